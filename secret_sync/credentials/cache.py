"""A cache of credentials: obtained once for all users, renewed before they expire.

Callers do not block. If there are no credentials yet, one fetch is started for all callers, and
each is called back when it has ended. Failures are cached, too: a thousand stores with one wrong
role cause no more requests than one store.
"""

from __future__ import annotations

import asyncio
import math
import random
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from secret_sync.backoff import Backoff
from secret_sync.credentials.types import Credentials
from secret_sync.errors import (
    ClockError,
    CredentialsError,
    DefiniteError,
    ReferenceChangedError,
    SecretSyncError,
    TransientError,
    word_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from secret_sync.credentials.types import CredentialKey, CredentialProvider

_log = structlog.get_logger(__name__)

_BACKOFF = Backoff(base=1.0, cap=60.0)
# For an outage of STS or the network: values have to arrive soon after it ends.
_BACKOFF_OUTAGE = Backoff(base=1.0, cap=15.0)
# Refreshed this long before the end, or a fifth of the lifetime if that is more ...
_REFRESH_AHEAD = 300.0
_REFRESH_FRACTION = 0.2
# ... plus up to a tenth of that, so that credentials obtained together are not renewed together.
_REFRESH_JITTER = 0.1
# Not returned any more this long before the end: a call takes up to 30 s with its retries.
_LAST_MOMENTS = 60.0
# Credentials that are refused again after a forced refresh, without having been accepted, will be
# refused after the next one, too: the interval grows up to this.
_BETWEEN_FORCED = Backoff(base=10.0, cap=60.0)
# Providers have deadlines of their own, 25 s of STS being the longest, but their waits for the
# rate of STS are added (10,000 identities take 200 s). So this limit only ends hanging fetches.
_FETCH_TIMEOUT = 300.0
# A referenced object changed since its grant was checked. Usually the watch event arrives within an
# instant, and another identity replaces this one before a failure is reported.
_CHANGE_ARRIVES = 1.0


class CredentialObserver(Protocol):
    """Observes attempts to obtain credentials, for metrics."""

    def fetched(self, method: str, result: str) -> None:
        """Record the end of an attempt; none was made if the credentials of the base failed.

        Args:
            method: The method; one of ``METHODS``.
            result: ``ok``, ``throttled``, ``unavailable``, ``credentials`` or ``refused``.
        """
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there are no credentials.

    Attributes:
        error: The error of the last attempt.
        retry_at: When the next attempt is allowed, on the loop's clock.
    """

    error: SecretSyncError
    retry_at: float


class _Entry:
    """One identity.

    ``task`` is set exactly while a fetch is running, and only then are there ``waiters``.
    ``failure`` is that of the last attempt, ``credentials`` those of the last successful one.
    """

    __slots__ = (
        "credentials", "failed", "failure", "forced", "forced_at", "provider", "task", "timer",
        "users", "waiters",
    )  # fmt: skip

    def __init__(self, provider: CredentialProvider) -> None:
        self.provider = provider
        self.users: set[Hashable] = set()
        self.credentials: Credentials | None = None
        self.forced_at = -math.inf
        self.forced = 0  # refreshes for a refusal, since a call was accepted
        self.failure: Failure | None = None
        self.failed = 0  # attempts since the last success
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.waiters: list[Callable[[], None]] = []


class CredentialCache:
    """All credentials of the process, by identity.

    An identity is known as long as it has a user. Built inside the running loop; it owns its
    tasks, and is closed after everything that calls Alibaba Cloud.
    """

    def __init__(self, observer: CredentialObserver) -> None:
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._entries: dict[CredentialKey, _Entry] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Return the number of identities in use."""
        return len(self._entries)

    def hold(self, user: Hashable, provider: CredentialProvider) -> None:
        """Record that a user needs an identity.

        Of several providers with equal keys the first is kept. The identity itself is a user of
        its base.
        """
        entry = self._entries.get(provider.key)
        if entry is None:
            entry = self._entries[provider.key] = _Entry(provider)
            if provider.base is not None:
                self.hold(provider.key, provider.base)
        entry.users.add(user)

    def shared(self, provider: CredentialProvider) -> CredentialProvider:
        """Return the provider that is kept for this identity, or the given one."""
        entry = self._entries.get(provider.key)
        return provider if entry is None else entry.provider

    def release(self, user: Hashable, key: CredentialKey) -> None:
        """Record that a user no longer needs an identity; without users it is removed."""
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.users.discard(user)
        if not entry.users:
            del self._entries[key]
            self._stop(entry)
            if entry.provider.base is not None:
                self.release(key, entry.provider.base.key)

    def peek(self, key: CredentialKey) -> Credentials | Failure | None:
        """Return what is cached, and start nothing.

        Returns:
            Credentials that can be used now; else the failure of the last attempt; ``None`` if
            there was no attempt yet or the identity has no user.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        return self._usable(entry) or entry.failure

    def request(
        self, key: CredentialKey, on_ready: Callable[[], None]
    ) -> Credentials | Failure | None:
        """Return what is cached, or start a fetch.

        Args:
            key: An identity with a user.
            on_ready: Called once when the running fetch has ended, whether or not it succeeded;
                only if ``None`` is returned.

        Returns:
            Credentials; or a failure, before the time of its next attempt; or ``None`` while the
            credentials are being fetched.

        Raises:
            KeyError: The identity has no user.
        """
        entry = self._entries[key]
        outcome = self._usable(entry) or self._recent_failure(entry)
        if outcome is None:
            self._start(entry)
            entry.waiters.append(on_ready)
        return outcome

    def invalidate(self, key: CredentialKey, refused: Credentials) -> bool:
        """Discard credentials that were refused, and fetch new ones.

        Permanent credentials are kept: fetching them again would return the same.

        Args:
            key: The identity.
            refused: The credentials that the refused call was signed with.

        Returns:
            Whether to repeat the call once with what ``request`` returns next: not if the
            credentials were just replaced after a refusal (or within the last minute, if no call
            was accepted since), nor if they are permanent, nor if the identity has no user.
        """
        entry = self._entries.get(key)
        if entry is None or refused.expires_at is None:
            return False
        if entry.credentials is refused:
            now = self._loop.time()
            if now - entry.forced_at < _BETWEEN_FORCED.bound(max(0, entry.forced - 1)):
                return False
            entry.forced_at = now
            entry.forced += 1
            entry.credentials = None
            self._start(entry)
        return True

    def accepted(self, key: CredentialKey, used: Credentials) -> None:
        """Record that a call was not refused for its credentials, so the next refusal is new."""
        entry = self._entries.get(key)
        if entry is not None and entry.credentials is used:
            entry.forced = 0

    async def close(self) -> None:
        """Cancel all fetches and remove everything."""
        for entry in self._entries.values():
            self._stop(entry)
        self._entries.clear()
        if self._ending:
            await asyncio.wait(self._ending)

    async def _outcome(self, entry: _Entry) -> Credentials | Failure:
        """Wait for the running fetch, and start one if there is nothing yet.

        Only fetches of identities above wait here. Each is a user of this one, and is cancelled
        before it stops being one, so the entry cannot go meanwhile.
        """
        while (outcome := self._usable(entry) or self._recent_failure(entry)) is None:
            await asyncio.wait((self._start(entry),))
        return outcome

    def _usable(self, entry: _Entry) -> Credentials | None:
        credentials = entry.credentials
        if credentials is None or credentials.expires_at is None:
            return credentials
        left = credentials.expires_at - self._loop.time()
        return credentials if left > _LAST_MOMENTS else None

    def _recent_failure(self, entry: _Entry) -> Failure | None:
        failure = entry.failure
        if entry.task is None and failure is not None and failure.retry_at > self._loop.time():
            return failure
        return None

    def _start(self, entry: _Entry) -> asyncio.Task[None]:
        if entry.task is None:
            _cancel_timer(entry)
            entry.task = self._loop.create_task(
                self._attempt(entry),
                name=f"credentials {entry.provider.key.mode}",
                # It serves all users of the identity, not only the context of the first one.
                context=Context(),
            )
        return entry.task

    def _stop(self, entry: _Entry) -> None:
        _cancel_timer(entry)
        entry.waiters.clear()
        if entry.task is not None:
            entry.task.cancel()
            self._ending.add(entry.task)
            entry.task.add_done_callback(self._ending.discard)

    async def _attempt(self, entry: _Entry) -> None:
        outcome = await self._obtain(entry)
        entry.task = None
        match outcome:
            case Failure():
                # The failure of the base, which was counted as such.
                self._failed(entry, outcome.error, not_before=outcome.retry_at)
            case SecretSyncError():
                self._refused(entry, outcome)
            case Credentials():
                self._succeeded(entry, outcome)
        waiters, entry.waiters = entry.waiters, []
        for on_ready in waiters:
            self._loop.call_soon(on_ready)  # one that raises does not affect the others

    async def _obtain(self, entry: _Entry) -> Credentials | SecretSyncError | Failure:
        """Fetch an identity's credentials, with those of its base first; never raises.

        Returns:
            A ``Failure`` if it is that of the base, which has to be fetched first.
        """
        provider = entry.provider
        if provider.base is None:
            return await _fetch(provider, None)
        base = self._entries[provider.base.key]
        found = await self._outcome(base)
        if isinstance(found, Failure):
            return found
        outcome = await _fetch(provider, found)
        if isinstance(outcome, Credentials):
            self.accepted(base.provider.key, found)
        refused = isinstance(outcome, CredentialsError)
        if not refused or not self.invalidate(base.provider.key, found):
            return outcome
        renewed = await self._outcome(base)
        return renewed if isinstance(renewed, Failure) else await _fetch(provider, renewed)

    def _succeeded(self, entry: _Entry, credentials: Credentials) -> None:
        now = self._loop.time()
        if credentials.expires_at is not None:
            lifetime = credentials.expires_at - now
            if lifetime <= _LAST_MOMENTS:
                error = DefiniteError("the credentials obtained have less than a minute to live")
                self._refused(entry, error)
                return
            ahead = max(_REFRESH_AHEAD, lifetime * _REFRESH_FRACTION)
            ahead *= random.uniform(1.0, 1.0 + _REFRESH_JITTER)  # noqa: S311 - spreads load only
            # Short-lived ones, which would be due at once, are renewed after half their lifetime.
            self._schedule(entry, now + max(lifetime - ahead, lifetime / 2))
        entry.credentials = credentials
        entry.failure = None
        entry.failed = 0
        self._observer.fetched(entry.provider.key.mode, "ok")

    def _refused(self, entry: _Entry, error: SecretSyncError) -> None:
        self._observer.fetched(entry.provider.key.mode, word_for(error))
        self._failed(entry, error)

    def _failed(self, entry: _Entry, error: SecretSyncError, *, not_before: float = 0.0) -> None:
        outage = isinstance(error, TransientError | ClockError)
        backoff = (_BACKOFF_OUTAGE if outage else _BACKOFF).bound(entry.failed)
        entry.failed += 1
        asked = error.retry_after if isinstance(error, TransientError) else None
        retry_at = max(self._loop.time() + max(backoff, asked or 0.0), not_before)
        entry.failure = Failure(error, retry_at)
        # While there are valid credentials, retry here; later the users request them again.
        if self._usable(entry) is not None:
            self._schedule(entry, retry_at)

    def _schedule(self, entry: _Entry, when: float) -> None:
        _cancel_timer(entry)
        entry.timer = self._loop.call_at(when, self._start, entry, context=Context())


async def _fetch(
    provider: CredentialProvider, base: Credentials | None
) -> Credentials | SecretSyncError:
    try:
        async with asyncio.timeout(_FETCH_TIMEOUT):
            return await provider.fetch(base)
    except SecretSyncError as error:
        if isinstance(error, ReferenceChangedError):
            await asyncio.sleep(_CHANGE_ARRIVES)
        # Kept for long, so without frames, whose locals contain what was read, and without other
        # errors and their frames.
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    except TimeoutError:
        return TransientError("the credentials could not be obtained in time")
    except Exception as error:  # noqa: BLE001 - one faulty method must not end the process
        # Only its type: the message may contain secrets.
        kind = type(error).__name__
        _log.error("credential fetch failed unexpectedly", error=kind)
        return TransientError(f"unexpected {kind} while obtaining credentials")


def _cancel_timer(entry: _Entry) -> None:
    if entry.timer is not None:
        entry.timer.cancel()
        entry.timer = None
