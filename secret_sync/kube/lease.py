"""Leader election by a Lease, and the fence for writes that it gives.

Whether a lease has run out is decided by this process's monotonic clock since the record last
changed, never by the times in it, so that no clock of another machine matters.
"""

from __future__ import annotations

import asyncio
import math
import random
import socket
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Never, Protocol

import structlog

from secret_sync.clock import loop_time
from secret_sync.errors import SecretSyncError
from secret_sync.kube.answers import check_fields, section
from secret_sync.kube.errors import ApiConflictError, ApiNotFoundError
from secret_sync.kube.resource import LEASES
from secret_sync.resources.meta import is_older

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_log = structlog.get_logger(__name__)

#: A candidate that waits adds up to this part of the pause between two attempts.
_JITTER: Final = 0.5
#: The part of the time to renew that one attempt may take. A slower server would be useless: a
#: lease that is twice as old as a response takes leaves no time for writes.
_ATTEMPT_PART: Final = 0.35
#: Seconds of an attempt, at most: what takes longer hangs.
_LONGEST_ATTEMPT: Final = 15.0
#: The part of a lease that a write may take.
_WRITE_PART: Final = 8 / 15
#: Seconds of a write, at most.
_LONGEST_WRITE: Final = 8.0
#: The duration of a released lease.
_RELEASED: Final = 1
_NEVER: Final = float("-inf")
#: The fields that are read from its spec.
_SPEC: Final = {
    "holderIdentity": str,
    "leaseDurationSeconds": int,
    "leaseTransitions": int,
}


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """How long a lease lasts, and how often it is renewed; seconds.

    Attributes:
        duration: How long a lease is valid after a renewal.
        renew_within: When a leader that cannot renew gives up; less than ``duration``.
        retry: Between the starts of two attempts.
    """

    duration: float = 15.0
    renew_within: float = 10.0
    retry: float = 2.0

    @property
    def attempt(self) -> float:
        """Seconds for one renewal with all its requests, so that two may fail."""
        return min(_LONGEST_ATTEMPT, self.renew_within * _ATTEMPT_PART)

    @property
    def write(self) -> float:
        """Seconds for a write under the lease: one may start until the lease is half over."""
        return min(_LONGEST_WRITE, self.duration * _WRITE_PART)


class LeaseLostError(SecretSyncError):
    """Another replica leads, or may; nothing may be written any more."""


class Requests(Protocol):
    """The client of the lease: one that no fence holds up."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float = ...,  # noqa: ASYNC109 (that of the client)
    ) -> dict[str, Any]:
        """One request."""
        ...


class LeaseObserver(Protocol):
    """Receives the events of a lease, for metrics."""

    def failed(self) -> None:
        """Count a failed attempt to acquire, renew or read the Lease."""

    def changed(self) -> None:
        """Count a change of the leader."""


def new_identity() -> str:
    """Return a name that no other process ever has."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


class Election:
    """One candidate for one Lease: :meth:`acquire`, :meth:`hold`, :meth:`release`.

    Args:
        client: Used for the Lease alone.
        namespace: The namespace of the Lease.
        name: The name of the Lease.
        identity: Our name; no other replica may have it.
        observer: Receives failures and changes, for metrics.
        times: Durations and intervals.
    """

    def __init__(
        self,
        client: Requests,
        namespace: str,
        name: str,
        identity: str,
        observer: LeaseObserver,
        times: LeaseTimes = LeaseTimes(),
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._observer = observer
        self._times = times
        # The Lease as last read, and when that state was first seen; no metadata if it is missing.
        self._spec: dict[str, Any] = {}
        self._metadata: dict[str, Any] | None = None
        self._seen_at = _NEVER
        # Taken before the request that renewed it last, so no other replica counts from earlier.
        self._renewed_at = _NEVER
        # Until when a former holder may rely on it that a restored etcd no longer names.
        self._held_until = _NEVER
        # Also while it is unknown whether our request to acquire it got through.
        self._may_hold = False
        self._leader = ""
        self._told = ""

    def __repr__(self) -> str:
        """Return the lease, this candidate and the holder."""
        lease = f"{self._namespace}/{self._name}"
        return f"<{type(self).__name__} {lease} {self._identity} leader={self._leader}>"

    @property
    def leading(self) -> bool:
        """Return whether no other replica can lead now."""
        return self.may_start(0)

    def may_start(self, seconds: float) -> bool:
        """Return whether a write that takes effect within so many seconds is under our lease."""
        return loop_time() + seconds < self._renewed_at + self._times.duration

    @property
    def write_timeout(self) -> float:
        """Return the seconds that each write under the lease has."""
        return self._times.write

    async def acquire(self) -> None:
        """Wait until this replica leads."""
        while not await self._attempt(self._take, self._times.renew_within):  # noqa: ASYNC110 (no event tells)
            await asyncio.sleep(self._pause())
        _log.info("leading", lease=f"{self._namespace}/{self._name}", identity=self._identity)

    async def hold(self) -> Never:
        """Renew the Lease until that has failed for too long.

        Raises:
            LeaseLostError: It has; nothing can be written any more by then.
        """
        begun, times = self._renewed_at, self._times
        while True:
            deadline = self._renewed_at + times.renew_within
            await asyncio.sleep(max(0.0, min(begun + times.retry, deadline) - loop_time()))
            begun = loop_time()
            if begun >= deadline:
                self._lose(f"it could not be renewed for {times.renew_within:g} s")
            await self._attempt(self._renew, min(times.attempt, deadline - begun))
            if self._holder not in {self._identity, ""}:
                self._lose(f"{self._holder} leads")

    async def release(self) -> None:
        """Release the Lease, so another replica leads at once; only after all writes have ended."""
        self._renewed_at = _NEVER
        if not self._may_hold:
            return
        if await self._attempt(self._give_back, self._times.attempt):
            _log.info("lease released")
        else:
            _log.warning("lease not released, so another replica waits for its end")

    @property
    def _holder(self) -> str:
        return str(self._spec.get("holderIdentity") or "")

    @property
    def _ends_at(self) -> float:
        """Return when it expires for its holder."""
        seconds = self._spec.get("leaseDurationSeconds")
        return self._seen_at + (seconds if isinstance(seconds, int) else self._times.duration)

    def _pause(self) -> float:
        """Return the seconds until the next read; a lease is read when it runs out."""
        pause = self._times.retry * (1 + _JITTER * random.random())  # noqa: S311 (no secret)
        left = self._ends_at - loop_time()
        return min(pause, left) if left > 0 else pause

    def _lose(self, why: str) -> Never:
        self._renewed_at = _NEVER
        self._may_hold = False
        raise LeaseLostError(
            f"the lease {self._namespace}/{self._name} is lost: {why}; this replica stops"
        )

    async def _attempt(self, work: Callable[[], Awaitable[bool]], within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                done = await work()
        except TimeoutError:
            why = "no answer in time"
        except SecretSyncError as error:
            why = error.message
        else:
            self._told = ""
            return done
        self._observer.failed()
        if why != self._told:
            _log.warning("lease not reached, will retry", error=why)
            self._told = why
        return False

    async def _take(self) -> bool:
        """Return whether it is ours: it was already, was free, or has run out."""
        await self._look()
        if self._holder not in {self._identity, ""} and loop_time() < self._ends_at:
            return False
        if loop_time() < self._held_until:
            return False
        try:
            await self._claim()
        except ApiConflictError:
            # Another candidate was quicker.
            return False
        return True

    async def _renew(self) -> bool:
        try:
            await self._claim()
        except (ApiConflictError, ApiNotFoundError):
            # Perhaps by an earlier request of ours whose response got lost.
            return await self._take()
        return True

    async def _give_back(self) -> bool:
        try:
            await self._write(self._released())
        except (ApiConflictError, ApiNotFoundError):
            await self._look()
            if self._metadata is not None and self._holder == self._identity:
                await self._write(self._released())
        self._may_hold = False
        return True

    async def _look(self) -> None:
        try:
            found = await self._request("GET", LEASES.path(self._namespace, self._name))
        except ApiNotFoundError:
            # The former holder may not have noticed: the record counts until it runs out.
            self._metadata = None
        else:
            self._saw(found)

    async def _claim(self) -> None:
        begun = loop_time()
        self._may_hold = True
        try:
            await self._write(self._claimed())
        except ApiConflictError:
            self._may_hold = self._holder == self._identity
            raise
        self._renewed_at = begun

    async def _write(self, spec: dict[str, Any]) -> None:
        """Create the Lease, or change the version of it that we have seen."""
        new = self._metadata is None
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": self._metadata or {"namespace": self._namespace, "name": self._name},
            "spec": spec,
        }
        path = LEASES.path(self._namespace, "" if new else self._name)
        self._saw(await self._request("POST" if new else "PUT", path, body))

    async def _request(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        # A write that takes effect after its timeout would only confuse us.
        within = self._times.attempt
        params = None if body is None else {"timeout": f"{within:g}s"}
        found = await self._client.request(method, path, params=params, body=body, timeout=within)
        check_fields(section(found, "spec", path), _SPEC, f"{method} {path}")
        return found

    def _saw(self, found: dict[str, Any]) -> None:
        metadata, spec = found.get("metadata") or {}, found.get("spec") or {}
        former = (self._metadata or {}).get("resourceVersion", "")
        if is_older(metadata["resourceVersion"], former) and self._holder not in {
            self._identity,
            "",
        }:
            # The record is an older one: its later holder does not know that yet.
            self._held_until = loop_time() + self._ends_at - self._seen_at
        self._metadata = {k: v for k, v in metadata.items() if k != "managedFields"}
        if spec == self._spec:
            return
        self._spec = spec
        self._seen_at = loop_time()
        leader = self._holder
        if leader and leader != self._leader:
            if self._leader:
                self._observer.changed()
            if leader != self._identity:
                _log.info("another replica leads", leader=leader)
            self._leader = leader

    def _claimed(self) -> dict[str, Any]:
        now = _timestamp()
        ours = {
            "holderIdentity": self._identity,
            # Rounded up: no replica may count from less than we do.
            "leaseDurationSeconds": math.ceil(self._times.duration),
            "renewTime": now,
        }
        if self._holder == self._identity:
            return {**self._spec, **ours}
        transitions = self._spec.get("leaseTransitions")
        count = transitions + 1 if isinstance(transitions, int) else 0
        return {**self._spec, **ours, "acquireTime": now, "leaseTransitions": count}

    def _released(self) -> dict[str, Any]:
        return {
            **{k: v for k, v in self._spec.items() if k != "holderIdentity"},
            "leaseDurationSeconds": _RELEASED,
            "renewTime": _timestamp(),
        }


def _timestamp() -> str:
    """Return a time for people to read; it decides nothing."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
