"""Who signed a request: what a server needs besides the two protocols.

That is, who may sign, when and with which token; and nothing is accepted twice.
"""

from __future__ import annotations

import hmac
import re
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

from secret_sync.local.cloud.errors import CloudApiError
from secret_sync.local.cloud.ram import Session
from secret_sync.local.cloud.signature import ALGORITHM, HeaderClaim
from secret_sync.local.cloud.signature_v1 import RpcClaim

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.local.cloud.signature import Signed
    from secret_sync.local.cloud.store import CloudStore, Principal

MAX_SKEW: Final = 15 * 60.0
"""Seconds a request's date may be off, either way."""

MAX_NONCES: Final = 200_000
"""Beyond it the oldest are forgotten early: some 60 MB, and 100 s at 2,000 calls a second."""

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Claim(Protocol):
    """What a request says of its signer; a part that is missing is ""."""

    @property
    def key_id(self) -> str:
        """Id of the access key."""

    @property
    def date(self) -> str:
        """Return when the request was signed."""

    @property
    def nonce(self) -> str:
        """Return what makes the request unique."""

    @property
    def token(self) -> str:
        """Return the security token of temporary credentials."""

    def check(self, secret: str) -> None:
        """Refuse a signature that is not made with this secret; raises `CloudApiError`."""


class Verifier:
    """Identifies the signer of a request, or refuses it.

    Args:
        store: Where the access keys and the sessions are.
        clock: The service's idea of the time, in seconds since the epoch.
    """

    def __init__(self, store: CloudStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        # Nonce -> when it may be forgotten; insertion order is arrival order.
        self._nonces: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        """Return the number of nonces that are remembered."""
        return len(self._nonces)

    def verify(self, request: Signed) -> Principal:
        """Return the key or the session that signed the request.

        Raises:
            CloudApiError: With the code of the service's table.
        """
        claim: Claim | None = HeaderClaim.read(request)
        if claim is None and "authorization" not in request.headers:
            claim = RpcClaim.read(request)
        if claim is None:
            raise CloudApiError(
                "MissingParameter", f"An Authorization with {ALGORITHM} is mandatory."
            )
        principal = self._store.principal(claim.key_id)
        if principal is None:
            raise CloudApiError("InvalidAccessKeyId.NotFound")
        if not isinstance(principal, Session) and not principal.active:
            raise CloudApiError("InvalidAccessKeyId.Inactive")
        now = self._clock()
        _check_date(claim.date, now)
        if not claim.nonce:
            raise CloudApiError("MissingParameter", "A signature nonce is mandatory.")
        claim.check(principal.secret)
        _check_token(principal, claim.token, now)
        # Last, so that only the key's holder can use up a nonce.
        self._use_nonce((claim.key_id, claim.nonce), now)
        return principal

    def _use_nonce(self, nonce: tuple[str, str], now: float) -> None:
        nonces = self._nonces
        while nonces:
            oldest = next(iter(nonces))
            if nonces[oldest] > now and len(nonces) < MAX_NONCES:
                break
            del nonces[oldest]
        if nonce in nonces:
            raise CloudApiError("SignatureNonceUsed")
        # A request dated ahead stays acceptable for up to two windows.
        nonces[nonce] = now + 2 * MAX_SKEW


def _check_date(date: str, now: float) -> None:
    if not _DATE.fullmatch(date):
        raise CloudApiError("IllegalTimestamp")
    try:
        signed_at = datetime.fromisoformat(date).timestamp()
    except ValueError:
        raise CloudApiError("IllegalTimestamp") from None
    if abs(now - signed_at) > MAX_SKEW:
        raise CloudApiError("InvalidTimeStamp.Expired")


def _check_token(principal: Principal, token: str, now: float) -> None:
    expected = principal.token if isinstance(principal, Session) else ""
    if not hmac.compare_digest(expected.encode(), token.encode()):
        raise CloudApiError("InvalidSecurityToken.Malformed")
    if isinstance(principal, Session) and principal.expires <= now:
        raise CloudApiError("InvalidSecurityToken.Expired")
