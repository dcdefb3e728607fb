"""The signature ACS3-HMAC-SHA256, worked out from the published protocol alone."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from secret_sync.local.cloud.errors import CloudApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALGORITHM: Final = "ACS3-HMAC-SHA256"

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} +Credential=([^,\s]+), *SignedHeaders=([^,\s]+), *Signature=([0-9a-fA-F]+)"
)
_ALWAYS_SIGNED: Final = frozenset(
    ("host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce")
)


@dataclass(frozen=True, slots=True)
class Signed:
    """The parts of a request that its signature covers.

    Attributes:
        method: As sent, in capitals.
        path: Path of the URL, still encoded.
        query: Decoded name-value pairs of the URL's query, in any order.
        headers: By lower-case name; a repeated header's values joined by commas.
        body: The raw body.
        form: Decoded name-value pairs of the body, if it is a form.
    """

    method: str
    path: str
    query: list[tuple[str, str]] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    form: list[tuple[str, str]] = field(default_factory=list, repr=False)


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Sort and encode the query again, so that both encodings of a space are accepted."""
    return "&".join(
        f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(pairs)
    )


def canonical_request(request: Signed, signed_headers: list[str]) -> str:
    """Return the text whose hash is signed."""
    headers = request.headers
    lines = [
        request.method,
        request.path,
        canonical_query(request.query),
        *[f"{name}:{headers.get(name, '').strip()}" for name in signed_headers],
        "",
        ";".join(signed_headers),
        headers.get("x-acs-content-sha256", ""),
    ]
    return "\n".join(lines)


def string_to_sign(canonical: str) -> str:
    """Return what goes under the HMAC."""
    return f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


def signature(secret: str, text: str) -> str:
    """Return the signature of a string to sign, in lower-case hex."""
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()


@dataclass(frozen=True, slots=True)
class HeaderClaim:
    """Who is said to have signed a request, and the proof of it: see `verifier.Claim`."""

    request: Signed
    key_id: str
    signed_headers: list[str]
    given: str

    @classmethod
    def read(cls, request: Signed) -> HeaderClaim | None:
        """Return the claim; None if there is no such signature in the headers."""
        match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if match is None:
            return None
        key_id, names, given = match.groups()
        return cls(request, key_id, names.split(";"), given)

    @property
    def date(self) -> str:
        return self.request.headers.get("x-acs-date", "")

    @property
    def nonce(self) -> str:
        return self.request.headers.get("x-acs-signature-nonce", "")

    @property
    def token(self) -> str:
        return self.request.headers.get("x-acs-security-token", "")

    def check(self, secret: str) -> None:
        """Refuse a signature that is not made with this secret; raises `CloudApiError`."""
        request = self.request
        _check_coverage(request.headers, self.signed_headers)
        claimed = request.headers.get("x-acs-content-sha256", "")
        if not hmac.compare_digest(
            claimed.lower().encode(), hashlib.sha256(request.body).hexdigest().encode()
        ):
            raise CloudApiError(
                "SignatureDoesNotMatch", "x-acs-content-sha256 is not the body's hash."
            )
        text = string_to_sign(canonical_request(request, self.signed_headers))
        if not hmac.compare_digest(signature(secret, text), self.given.lower()):
            # The text contains only a hash, and helps the author of a client.
            raise CloudApiError(
                "SignatureDoesNotMatch",
                f"Specified signature does not match our calculation. String to sign: {text}",
            )


def _check_coverage(headers: Mapping[str, str], signed_headers: list[str]) -> None:
    """Refuse a signature that leaves out a header which the service acts upon."""
    for name in _ALWAYS_SIGNED:
        if name not in headers:
            raise CloudApiError("MissingParameter", f"{name} is mandatory.")
        if name not in signed_headers:
            raise CloudApiError("IncompleteSignature", f"{name} is not signed.")
    for name in headers:
        if name.startswith("x-acs-") and name not in signed_headers:
            raise CloudApiError("IncompleteSignature", f"{name} is not signed.")
