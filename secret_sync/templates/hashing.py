"""Hashes of passwords: slow on purpose, so that the caller chooses the thread."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from secret_sync.templates.rendering import HashRequest

#: Bytes of a password that bcrypt regards, and of a salt.
MAX_PASSWORD: Final = 72
SALT_LENGTH: Final = 16
#: Cost 13 takes half a second.
MIN_COST: Final = 4
MAX_COST: Final = 13
#: Bytes of a hash.
HASH_LENGTH: Final = 60

_BASE64: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
)


def bcrypt_hash(request: HashRequest) -> bytes:
    """Return ``$2a$<cost>$<salt><hash>``; takes 70 ms at cost 10, without the GIL."""
    # Few objects need it.
    import bcrypt  # noqa: PLC0415

    salt = base64.b64encode(request.salt).rstrip(b"=").translate(_BASE64)
    return bcrypt.hashpw(request.password, b"$2a$%02d$%s" % (request.cost, salt))


def placeholder(request: HashRequest) -> bytes:
    """Return what stands for a hash that is not known yet; no password has this hash."""
    return (b"$2a$%02d$" % request.cost).ljust(HASH_LENGTH, b".")
