"""The public keys of an issuer of tokens, and the check of a signature with one."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

if TYPE_CHECKING:
    from collections.abc import Mapping

_P256_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """One key of a set.

    Attributes:
        kid: By which a token names it.
        algorithm: "RS256" or "ES256".
    """

    kid: str
    algorithm: str
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey

    def verifies(self, signature: bytes, signed: bytes) -> bool:
        """Tell whether a signature is one of this key's holder."""
        try:
            if isinstance(self.key, rsa.RSAPublicKey):
                self.key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
                return True
            if len(signature) != 2 * _P256_BYTES:
                return False
            r, s = signature[:_P256_BYTES], signature[_P256_BYTES:]
            der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
            self.key.verify(der, signed, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def read_keys(document: Mapping[str, Any]) -> tuple[VerifyingKey, ...]:
    """Read a JSON Web Key Set: its RSA and P-256 keys.

    Raises:
        ValueError: It is not a JWKS, or has no such key.
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise ValueError('a JWKS is {"keys": [...]}')  # noqa: TRY004 - joins what else may be wrong
    try:
        keys = tuple(key for entry in entries if (key := _read(entry)) is not None)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"a key of the JWKS cannot be read: {type(error).__name__}") from error
    if not keys:
        raise ValueError("the JWKS has no RSA and no P-256 key")
    return keys


def unpad(text: str) -> bytes:
    """Decode base64url without padding; raises `ValueError`."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _read(entry: Mapping[str, Any]) -> VerifyingKey | None:
    kid = str(entry.get("kid", ""))
    if entry["kty"] == "RSA":
        numbers = rsa.RSAPublicNumbers(e=_integer(entry["e"]), n=_integer(entry["n"]))
        return VerifyingKey(kid, "RS256", numbers.public_key())
    if entry["kty"] == "EC" and entry["crv"] == "P-256":
        point = ec.EllipticCurvePublicNumbers(
            _integer(entry["x"]), _integer(entry["y"]), ec.SECP256R1()
        )
        return VerifyingKey(kid, "ES256", point.public_key())
    return None


def _integer(text: str) -> int:
    return int.from_bytes(unpad(text), "big")
