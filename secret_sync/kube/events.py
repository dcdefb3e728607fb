"""Events: what befell an object, for whoever asks ``kubectl describe``.

They are useful, not indispensable: recording one never waits, and what cannot be sent in time
is dropped, but never without being counted. The same news within ten minutes is one Event
whose count grows, so that an object that keeps failing does not flood its namespace.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, Literal, Never, Protocol, TypeAlias

import structlog

from secret_sync.errors import SecretSyncError, TransientError
from secret_sync.kube.answers import Answer
from secret_sync.kube.apply import MERGE_PATCH
from secret_sync.kube.errors import ApiConflictError, ApiNotFoundError
from secret_sync.kube.resource import EVENTS, METADATA

if TYPE_CHECKING:
    from secret_sync.kube.client import KubeClient

_log = structlog.get_logger(__name__)

EventType: TypeAlias = Literal["Normal", "Warning"]
DropReason: TypeAlias = Literal["rate", "queue_full", "refused", "unavailable", "shutdown"]

#: Seconds since its last occurrence within which the same news is the same Event.
SAME_WITHIN: Final = 600.0
#: Seconds between two writes of one Event; they double from the first to the second of these.
GROW_AFTER: Final = 10.0
GROW_AFTER_AT_MOST: Final = 300.0
#: New Events of one object at once, and seconds for another one (as client-go has it).
BURST: Final = 25
REFILL: Final = 300.0
#: Seconds between two requests: ten a second at most, whatever happens to how many objects.
BETWEEN: Final = 0.1
#: New Events that wait to be sent.
QUEUED: Final = 1000
#: Events, and objects, that are remembered.
REMEMBERED: Final = 4096
#: Characters of a message; longer ones are for the condition.
LONGEST: Final = 1024
#: Seconds for one request, and before each further try of one that failed in passing.
TIMEOUT: Final = 5.0
WAITS: Final = (1.0, 3.0, 9.0)
#: Seconds between two log lines about what was dropped.
TELL_EVERY: Final = 60.0
#: Where the API server wants Events about what has no namespace.
_NOWHERE: Final = "default"
#: Characters of the object's name in the Event's: with what follows, no more than a name has.
_NAME: Final = 230


class EventObserver(Protocol):
    """What the recorder tells its metrics: each occurrence ends in one of the two."""

    def sent(self, type_: EventType, occurrences: int) -> None:
        """The API server has taken these."""
        ...

    def dropped(self, why: DropReason, occurrences: int) -> None:
        """Nobody will see these."""
        ...


@dataclass(frozen=True, slots=True)
class About:
    """The object that an Event is about; ``namespace`` is ``""`` for a cluster-scoped one."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(slots=True, eq=False)
class _Series:
    """One Event and the occurrences of it.

    Attributes:
        first, last: When, by the clock on the wall.
        seen: When last, in seconds of the loop.
        pending: Occurrences to be sent; also ones that are on their way.
        sent: Occurrences that the API server knows of.
        grow_after: Seconds before the next write.
        sent_at: When the last one was, in seconds of the loop.
        queued: Waits to be sent, or is on its way; in the queue at most once.
    """

    about: About
    type_: EventType
    reason: str
    message: str
    name: str
    first: str
    last: str
    seen: float
    pending: int = 0
    sent: int = 0
    grow_after: float = GROW_AFTER
    sent_at: float = float("-inf")
    queued: bool = False


_Key: TypeAlias = tuple[About, str, str, str]


class EventRecorder:
    """Records Events; to be used inside one loop.

    Args:
        client: The API server.
        component: Who reports, as ``kubectl describe`` shows it.
        instance: Which of its processes.
        observer: Hears what became of each occurrence.
    """

    def __init__(
        self, client: KubeClient, *, component: str, instance: str, observer: EventObserver
    ) -> None:
        self._client = client
        self._component = component
        self._instance = instance
        self._observer = observer
        # Least recently seen first.
        self._known: OrderedDict[_Key, _Series] = OrderedDict()
        self._buckets: OrderedDict[About, _Bucket] = OrderedDict()
        # By when they are due; the number decides among equals. Each series is in it once.
        self._queue: list[tuple[float, int, _Series]] = []
        self._numbers = count()
        # Of those, the ones that the API server knows nothing of.
        self._new = 0
        self._wake = asyncio.Event()
        # Held while one is on its way.
        self._turn = asyncio.Lock()
        self._closed = False
        self._untold: Counter[str] = Counter()
        self._refusal = ""
        self._told_at = float("-inf")

    def __repr__(self) -> str:
        """How much there is to do."""
        return f"<EventRecorder {len(self._queue)} queued, {len(self._known)} known>"

    def record(self, about: About, type_: EventType, reason: str, message: str) -> None:
        """Records an Event, to be sent as soon as the limits allow; never waits.

        Args:
            about: The object.
            type_: ``Warning`` for what somebody should look at.
            reason: One CamelCase word.
            message: For a person; never a value of a Secret.
        """
        now = _now()
        message = _shortened(message)
        key = (about, type_, reason, message)
        self._forget(now)
        series = self._known.get(key)
        why = self._no_room(series, about, now)
        if why is not None:
            self._drop(why, 1)
            return
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if series is None:
            name = f"{about.name[:_NAME].rstrip('-.')}.{token_hex(8)}"
            series = _Series(about, type_, reason, message, name, stamp, stamp, now)
            self._known[key] = series
        self._known.move_to_end(key)
        series.last, series.seen = stamp, now
        series.pending += 1
        if not series.queued:
            self._put(series, max(now, series.sent_at + series.grow_after))

    async def run(self) -> Never:
        """Sends what was recorded; ends only when cancelled."""
        while True:
            await self._due()
            async with self._turn:
                # Flush may have been quicker.
                if self._queue:
                    await self._send(self._take())
            await asyncio.sleep(BETWEEN)

    async def flush(self, within: float) -> None:
        """Sends what is left, as fast as it can, then records nothing any more.

        Args:
            within: Seconds; what is not sent by then is dropped.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(within), self._turn:
                while self._queue:
                    await self._send(self._take())
        self._closed = True
        while self._queue:
            self._drop("shutdown", self._take().pending)
        self._tell()

    def _forget(self, now: float) -> None:
        """Lets go of what is too old to grow, and of what is too much."""
        known = self._known
        while known and (
            len(known) > REMEMBERED or next(iter(known.values())).seen < now - SAME_WITHIN
        ):
            known.popitem(last=False)
        while len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)

    def _no_room(self, series: _Series | None, about: About, now: float) -> DropReason | None:
        if self._closed:
            return "shutdown"
        if series is not None:
            # It is remembered, so that waiting costs a place in the queue and no more.
            full = not series.queued and len(self._queue) >= QUEUED + REMEMBERED
            return "queue_full" if full else None
        if self._new >= QUEUED:
            return "queue_full"
        bucket = self._buckets.setdefault(about, _Bucket(BURST, now))
        self._buckets.move_to_end(about)
        return None if bucket.take(now) else "rate"

    def _put(self, series: _Series, due: float) -> None:
        if self._closed:
            self._drop("shutdown", series.pending)
            return
        series.queued = True
        self._new += not series.sent
        heapq.heappush(self._queue, (due, next(self._numbers), series))
        self._wake.set()

    def _take(self) -> _Series:
        _, _, series = heapq.heappop(self._queue)
        self._new -= not series.sent
        return series

    async def _due(self) -> None:
        """Waits until there is something to send."""
        while True:
            self._wake.clear()
            wait = self._queue[0][0] - _now() if self._queue else None
            if wait is not None and wait <= 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _send(self, series: _Series) -> None:
        """Sends one, and sees to it that its occurrences are counted."""
        occurrences = series.pending
        try:
            why = await self._deliver(series)
        except asyncio.CancelledError:
            # For flush to send. Should it have got through, that is found out there.
            self._put(series, _now())
            raise
        series.queued = False
        series.pending -= occurrences
        if why is None:
            if series.sent:
                series.grow_after = min(GROW_AFTER_AT_MOST, series.grow_after * 2)
            series.sent += occurrences
            self._observer.sent(series.type_, occurrences)
        else:
            self._drop(why, occurrences)
        series.sent_at = _now()
        if series.pending:
            self._put(series, series.sent_at + series.grow_after)

    async def _deliver(self, series: _Series) -> DropReason | None:
        """Why it could not be, after as many tries as there are."""
        asked = 0.0
        for wait in (0.0, *WAITS):
            await asyncio.sleep(max(wait, asked))
            try:
                await self._write(series)
            except TransientError as error:
                self._refusal = error.message
                asked = error.retry_after or 0.0
            except SecretSyncError as error:
                # A right is missing, say, or the namespace is about to go.
                self._refusal = error.message
                return "refused"
            else:
                return None
        return "unavailable"

    async def _write(self, series: _Series) -> None:
        """Makes the Event, or lets it grow; the same again does no harm."""
        if not series.sent:
            # A conflict: an earlier try got through, and only its answer did not.
            with suppress(ApiConflictError):
                return await self._create(series)
        # Events expire, and anybody may delete them.
        with suppress(ApiNotFoundError):
            return await self._grow(series)
        return await self._create(series)

    async def _create(self, series: _Series) -> None:
        about = series.about
        namespace = about.namespace or _NOWHERE
        body: dict[str, Any] = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"namespace": namespace, "name": series.name},
            "involvedObject": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "name": about.name,
                "uid": about.uid,
            },
            "type": series.type_,
            "reason": series.reason,
            "message": series.message,
            "firstTimestamp": series.first,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
            **self._extent(series),
        }
        if about.namespace:
            body["involvedObject"]["namespace"] = about.namespace
        await self._client.request(
            "POST",
            EVENTS.path(namespace),
            body=body,
            accept=METADATA,
            expected=Answer.ANY,
            timeout=TIMEOUT,
        )

    async def _grow(self, series: _Series) -> None:
        await self._client.request(
            "PATCH",
            EVENTS.path(series.about.namespace or _NOWHERE, series.name),
            body=self._extent(series),
            content_type=MERGE_PATCH,
            accept=METADATA,
            expected=Answer.ANY,
            timeout=TIMEOUT,
        )

    @staticmethod
    def _extent(series: _Series) -> dict[str, Any]:
        return {"count": series.sent + series.pending, "lastTimestamp": series.last}

    def _drop(self, why: DropReason, occurrences: int) -> None:
        self._observer.dropped(why, occurrences)
        self._untold[why] += occurrences
        if _now() - self._told_at >= TELL_EVERY:
            self._tell()

    def _tell(self) -> None:
        if not self._untold:
            return
        _log.warning("events dropped", **self._untold, last_error=self._refusal)
        self._untold.clear()
        self._told_at = _now()


class _Bucket:
    """New Events that one object may still have."""

    __slots__ = ("_at", "_tokens")

    def __init__(self, tokens: float, now: float) -> None:
        self._tokens = tokens
        self._at = now

    def take(self, now: float) -> bool:
        """Takes one, if there is one."""
        self._tokens = min(BURST, self._tokens + (now - self._at) / REFILL)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _shortened(message: str) -> str:
    # Half a surrogate pair cannot be sent; it may come from what somebody wrote in an object.
    message = message.encode(errors="replace").decode()
    return message if len(message) <= LONGEST else f"{message[: LONGEST - 3]}..."


def _now() -> float:
    return asyncio.get_running_loop().time()
