"""The public keys of an issuer of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import jwt

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What a service accepts: algorithm -> the members of its keys that count; no private ones.
_MEMBERS: Final = {"RS256": ("kty", "n", "e"), "ES256": ("kty", "crv", "x", "y")}


def read_keys(document: Mapping[str, Any]) -> tuple[tuple[str, jwt.PyJWK], ...]:
    """Read a JSON Web Key Set: its RSA and P-256 keys, each with the name that tokens use for it.

    Raises:
        ValueError: It is not a JWKS, or has no such key.
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise ValueError('a JWKS is {"keys": [...]}')  # noqa: TRY004 - joins what else may be wrong
    try:
        keys = tuple(
            (str(entry.get("kid", "")), _read(entry, algorithm))
            for entry in entries
            if (algorithm := _algorithm(entry))
        )
    except (KeyError, TypeError, AttributeError, ValueError, jwt.PyJWTError) as error:
        raise ValueError(f"a key of the JWKS cannot be read: {type(error).__name__}") from error
    if not keys:
        raise ValueError("the JWKS has no RSA and no P-256 key")
    return keys


def _algorithm(entry: Mapping[str, Any]) -> str:
    if entry["kty"] == "RSA":
        return "RS256"
    return "ES256" if entry["kty"] == "EC" and entry["crv"] == "P-256" else ""


def _read(entry: Mapping[str, Any], algorithm: str) -> jwt.PyJWK:
    return jwt.PyJWK({name: entry[name] for name in _MEMBERS[algorithm]}, algorithm)
