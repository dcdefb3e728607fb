"""An issuer of OIDC tokens with keys of its own, as a cluster is one."""

from __future__ import annotations

import base64
import time
from functools import cached_property
from typing import Any

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://kubernetes.default.svc"
SUBJECT = "system:serviceaccount:shop:reader"


class Issuer:
    """Signs tokens; `jwks` is what it publishes, an RSA key "r" and a P-256 key "e"."""

    @cached_property
    def _rsa(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @cached_property
    def _ec(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    @property
    def jwks(self) -> dict[str, Any]:
        public = self._rsa.public_key().public_numbers()
        point = self._ec.public_key().public_numbers()
        return {
            "keys": [
                {"kty": "RSA", "kid": "r", "n": _number(public.n), "e": _number(public.e)},
                {
                    "kty": "EC",
                    "crv": "P-256",
                    "kid": "e",
                    "x": _number(point.x, 32),
                    "y": _number(point.y, 32),
                },
                {"kty": "oct", "kid": "of another kind"},
            ]
        }

    def token(self, *, alg: str = "RS256", kid: str | None = None, **claims: Any) -> str:
        """A token of the ServiceAccount shop/reader, valid for ten minutes, but for `claims`."""
        now = int(time.time())
        payload = {
            "iss": ISSUER,
            "sub": SUBJECT,
            "aud": ["sts.aliyuncs.com"],
            "exp": now + 600,
            "nbf": now,
            "iat": now,
            **claims,
        }
        default = "e" if alg == "ES256" else "r"
        header = {"alg": alg, "kid": default if kid is None else kid}
        signed = ".".join(_encode(orjson.dumps(part)) for part in (header, payload))
        return f"{signed}.{_encode(self._sign(alg, signed.encode()))}"

    def _sign(self, alg: str, signed: bytes) -> bytes:
        if alg == "none":
            return b""
        if alg == "ES256":
            r, s = decode_dss_signature(self._ec.sign(signed, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return self._rsa.sign(signed, padding.PKCS1v15(), hashes.SHA256())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _number(value: int, length: int = 0) -> str:
    return _encode(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))
