"""Retries of failed calls."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, TypeVar

from secret_sync.backoff import Backoff
from secret_sync.cloud.errors import StaleConnectionError
from secret_sync.errors import SecretSyncError, TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_T = TypeVar("_T")

MAX_TRIES = 4
_BACKOFF = Backoff(base=0.2, cap=10.0)


def next_delay(tries: int, error: TransientError, *, most: int = MAX_TRIES) -> float | None:
    """Return the seconds until the next try, or ``None`` if there is none.

    Exponential with full jitter, so that callers who failed together do not retry together. A
    requested wait is never shortened. A stale connection is not a failure of the service: the
    first time, the call is repeated at once.

    Args:
        tries: Number of tries, the failed one included.
        error: The error of the last one.
        most: Maximum number of tries.
    """
    if tries >= most:
        return None
    if tries == 1 and isinstance(error, StaleConnectionError):
        return 0.0
    delay = random.uniform(0.0, _BACKOFF.bound(tries))  # noqa: S311 - spreads load only
    return max(delay, error.retry_after or 0.0)


async def repeated(
    attempt: Callable[[], Awaitable[_T]],
    *,
    what: str,
    seconds: float,
    admit: Callable[[], Awaitable[None]] | None = None,
    most: int = MAX_TRIES,
) -> _T:
    """Try a call until it succeeds or fails with an error that retries do not fix.

    Args:
        attempt: Makes one try.
        what: What is requested; error messages begin with it.
        seconds: Limit for all tries and the waits between them.
        admit: Awaited before each try, outside of that limit: the service's rate limiter.
        most: Maximum number of tries.

    Raises:
        TransientError: The error of the last try, or the time is over.
        SecretSyncError: The error of the first try that failed for good.
    """
    loop = asyncio.get_running_loop()
    spent = 0.0
    tries = 0
    while True:
        if admit is not None:
            await admit()
        began = loop.time()
        outcome = await _tried(attempt(), seconds - spent, what)
        if not isinstance(outcome, SecretSyncError):
            return outcome
        tries += 1
        # Raised outside of any except block: each error would have the previous ones as context.
        delay = None
        if isinstance(outcome, TransientError):
            delay = next_delay(tries, outcome, most=most)
        if delay is None:
            raise outcome
        spent += loop.time() - began + delay
        if spent >= seconds:
            raise outcome
        await asyncio.sleep(delay)


async def settled(call: Awaitable[_T]) -> _T | SecretSyncError:
    """Return an error instead of raising it, so that it does not become a context."""
    try:
        return await call
    except SecretSyncError as error:
        return error


async def _tried(call: Awaitable[_T], seconds: float, what: str) -> _T | SecretSyncError:
    try:
        async with asyncio.timeout(seconds):
            return await settled(call)
    except TimeoutError:
        return TransientError(f"{what}: no answer in time")
