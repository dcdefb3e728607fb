"""The older signature, HMAC-SHA1 over the parameters, as RPC clients make it.

All that matters is a parameter here, of the query or of a form, the signature among them.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from secret_sync.local.cloud.errors import CloudApiError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secret_sync.local.cloud.signature import Signed

METHOD: Final = "HMAC-SHA1"
VERSION: Final = "1.0"


def string_to_sign(method: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return what goes under the HMAC: every parameter but the signature itself."""
    encoded = sorted(
        (quote(name, safe="~"), quote(value, safe="~"))
        for name, value in pairs
        if name != "Signature"
    )
    query = "&".join(f"{name}={value}" for name, value in encoded)
    return f"{method}&{quote('/', safe='')}&{quote(query, safe='~')}"


def signature(secret: str, text: str) -> str:
    """Return the signature of a string to sign, in base64."""
    return base64.b64encode(hmac.digest(f"{secret}&".encode(), text.encode(), "sha1")).decode()


@dataclass(frozen=True, slots=True)
class RpcClaim:
    """Who is said to have signed a request, and the proof of it: see `verifier.Claim`."""

    request: Signed
    key_id: str
    date: str
    nonce: str
    token: str = field(repr=False)
    given: str

    @classmethod
    def read(cls, request: Signed) -> RpcClaim | None:
        """Return the claim; None if there is no signature among the parameters."""
        parameters = dict([*request.query, *request.form])
        if "Signature" not in parameters:
            return None
        return cls(
            request,
            key_id=parameters.get("AccessKeyId", ""),
            date=parameters.get("Timestamp", ""),
            nonce=parameters.get("SignatureNonce", ""),
            token=parameters.get("SecurityToken", ""),
            given=parameters["Signature"],
        )

    def check(self, secret: str) -> None:
        """Refuse a signature that is not made with this secret; raises `CloudApiError`."""
        pairs = [*self.request.query, *self.request.form]
        for name, value in (("SignatureMethod", METHOD), ("SignatureVersion", VERSION)):
            if (name, value) not in pairs:
                raise CloudApiError("InvalidParameter", f"{name} is to be {value}.")
        text = string_to_sign(self.request.method, pairs)
        if not hmac.compare_digest(signature(secret, text).encode(), self.given.encode()):
            # Without the string to sign: security tokens are a part of it.
            raise CloudApiError("SignatureDoesNotMatch")
