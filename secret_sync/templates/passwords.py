"""``bcrypt`` and ``htpasswd``: the same salt at each rendering, never made of the password."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from secret_sync.templates.errors import FunctionError
from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.hashing import (
    HASH_LENGTH,
    MAX_COST,
    MAX_PASSWORD,
    MIN_COST,
    SALT_LENGTH,
    placeholder,
)
from secret_sync.templates.rendering import HashRequest

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering

PASSWORDS: Final = FunctionTable()

_DEFAULT_COST: Final = 10
#: Changing it, or anything else a salt is made of, rewrites every Secret with a hash.
_LABEL: Final = b"secret-sync.alibabacloud.com/template-salt/v1"


@PASSWORDS.function("bcrypt", Kind.STRING, rest=Kind.INT)
def _bcrypt(rendering: Rendering, password: bytes, *cost: int) -> bytes:
    if len(cost) > 1:
        raise FunctionError("bcrypt takes a string and a cost, not more")
    number = rendering.calls[rendering.key] = rendering.calls.get(rendering.key, 0) + 1
    return _hash(
        rendering, "bcrypt", password, b"call %d" % number, cost[0] if cost else _DEFAULT_COST
    )


@PASSWORDS.function("htpasswd", Kind.STRING, Kind.STRING)
def _htpasswd(rendering: Rendering, user: bytes, password: bytes) -> bytes:
    if b":" in user or b"\n" in user:
        raise FunctionError("htpasswd takes a user without colon and line break")
    rendering.budget.create(len(user) + 2)
    hashed = _hash(rendering, "htpasswd", password, b"user " + user, _DEFAULT_COST)
    return user + b":" + hashed + b"\n"


def _hash(rendering: Rendering, name: str, password: bytes, of: bytes, cost: int) -> bytes:
    if len(password) > MAX_PASSWORD:
        raise FunctionError(
            f"{name} takes a password of at most {MAX_PASSWORD} bytes; of a longer one only those "
            "would count"
        )
    if not MIN_COST <= cost <= MAX_COST:
        raise FunctionError(f"{name} takes a cost from {MIN_COST} to {MAX_COST}")
    rendering.budget.hash()
    rendering.budget.create(HASH_LENGTH)
    request = HashRequest(password, _salt(rendering.uid, rendering.key, of), cost)
    known = rendering.hashes.get(request)
    if known is None:
        rendering.needed.append(request)
        known = placeholder(request)
    return known


def _salt(uid: str, key: str, of: bytes) -> bytes:
    digest = hashlib.sha256(_LABEL)
    for part in (uid.encode(), key.encode(), of):
        # With its length, so that no two lists of parts are alike.
        digest.update(b"%d:" % len(part) + part)
    return digest.digest()[:SALT_LENGTH]
