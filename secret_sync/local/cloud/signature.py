"""The check of a request's signature, worked out from the published protocol alone.

`canonical_request`, `string_to_sign` and `signature` are the protocol; `Verifier` adds what a
server needs besides: who may sign, when, and never the same thing twice.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from secret_sync.local.cloud.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from secret_sync.local.cloud.store import AccessKey, Store

ALGORITHM: Final = "ACS3-HMAC-SHA256"
MAX_SKEW: Final = 15 * 60.0
"""Seconds a request's date may be off, either way."""

_MAX_NONCES: Final = 200_000
"""Beyond it the oldest are forgotten early: some 60 MB, and 100 s at 2,000 calls a second."""

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} +Credential=([^,\s]+), *SignedHeaders=([^,\s]+), *Signature=([0-9a-fA-F]+)"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
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
    """

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Sort and encode the query anew, so that it is no matter how the client wrote a space."""
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


class Verifier:
    """Says who signed a request, or why it is refused.

    Args:
        store: Where the access keys are.
        clock: The service's idea of the time, in seconds since the epoch.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        # Nonce -> when it may be forgotten; insertion order is arrival order.
        self._nonces: dict[tuple[str, str], float] = {}

    def verify(self, request: Signed) -> AccessKey:
        """Return the key that signed the request.

        Raises:
            ApiError: With the code of the service's table.
        """
        headers = request.headers
        match = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if match is None:
            raise ApiError("MissingParameter", f"An Authorization with {ALGORITHM} is mandatory.")
        key_id, names, given = match.groups()
        key = self._store.access_keys.get(key_id)
        if key is None:
            raise ApiError("InvalidAccessKeyId.NotFound")
        if not key.active:
            raise ApiError("InvalidAccessKeyId.Inactive")
        now = self._clock()
        self._check_date(headers.get("x-acs-date", ""), now)
        nonce = headers.get("x-acs-signature-nonce")
        if not nonce:
            raise ApiError("MissingParameter", "x-acs-signature-nonce is mandatory.")
        signed_headers = names.split(";")
        _check_coverage(headers, signed_headers)
        self._check_signature(request, signed_headers, key, given)
        # Last, so that nobody but the key's holder can use up a nonce.
        self._use_nonce((key_id, nonce), now)
        return key

    @staticmethod
    def _check_date(date: str, now: float) -> None:
        if not _DATE.fullmatch(date):
            raise ApiError("IllegalTimestamp")
        try:
            signed_at = datetime.fromisoformat(date).timestamp()
        except ValueError:
            raise ApiError("IllegalTimestamp") from None
        if abs(now - signed_at) > MAX_SKEW:
            raise ApiError("InvalidTimeStamp.Expired")

    @staticmethod
    def _check_signature(
        request: Signed, signed_headers: list[str], key: AccessKey, given: str
    ) -> None:
        claimed = request.headers.get("x-acs-content-sha256", "")
        if not hmac.compare_digest(
            claimed.lower().encode(), hashlib.sha256(request.body).hexdigest().encode()
        ):
            raise ApiError("SignatureDoesNotMatch", "x-acs-content-sha256 is not the body's hash.")
        text = string_to_sign(canonical_request(request, signed_headers))
        if not hmac.compare_digest(signature(key.secret, text), given.lower()):
            # The text holds but a hash, and tells the author of a client where to look.
            raise ApiError(
                "SignatureDoesNotMatch",
                f"Specified signature does not match our calculation. String to sign: {text}",
            )

    def _use_nonce(self, nonce: tuple[str, str], now: float) -> None:
        nonces = self._nonces
        while nonces:
            oldest = next(iter(nonces))
            if nonces[oldest] > now and len(nonces) < _MAX_NONCES:
                break
            del nonces[oldest]
        if nonce in nonces:
            raise ApiError("SignatureNonceUsed")
        # A request dated ahead stays acceptable for up to two windows.
        nonces[nonce] = now + 2 * MAX_SKEW


def _check_coverage(headers: Mapping[str, str], signed_headers: list[str]) -> None:
    """Refuse a signature that leaves out a header which the service acts upon."""
    for name in _ALWAYS_SIGNED:
        if name not in headers:
            raise ApiError("MissingParameter", f"{name} is mandatory.")
        if name not in signed_headers:
            raise ApiError("IncompleteSignature", f"{name} is not signed.")
    for name in headers:
        if name.startswith("x-acs-") and name not in signed_headers:
            raise ApiError("IncompleteSignature", f"{name} is not signed.")
