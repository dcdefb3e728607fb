"""Kubernetes Events, for ``kubectl describe``.

They are useful, not indispensable: recording one never waits, and what cannot be sent in time
is dropped, but never without being counted. Repetitions within ten minutes are one Event
whose count grows, so that an object that keeps failing does not flood its namespace.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal, Never, Protocol, TypeAlias

import structlog

from secret_sync.clock import loop_time, utc_text
from secret_sync.errors import SecretSyncError, TransientError
from secret_sync.kube.errors import ApiError, ApiNotFoundError
from secret_sync.kube.event_queue import (
    IN_FLIGHT,
    QUEUED,
    About,
    Bucket,
    EventQueue,
    EventType,
    Series,
)
from secret_sync.kube.event_writer import EventWriter

if TYPE_CHECKING:
    from secret_sync.kube.client import KubeClient

__all__ = ["About", "EventObserver", "EventRecorder", "EventType"]

_log = structlog.get_logger(__name__)

DropReason: TypeAlias = Literal[
    "rate", "queue_full", "refused", "namespace_gone", "unavailable", "shutdown"
]

#: Seconds since its last occurrence within which a repetition belongs to the same Event.
SAME_WITHIN: Final = 600.0
#: The seconds between two writes of one Event double up to this.
GROW_AFTER_AT_MOST: Final = 300.0
#: New Events of one object at once, and seconds for another one (as client-go has it).
BURST: Final = 25
REFILL: Final = 300.0
#: Events, and objects, that are remembered.
REMEMBERED: Final = 4096
#: Characters of a message; longer ones are for the condition.
LONGEST: Final = 1024
#: Seconds before each further try of one that failed in passing.
WAITS: Final = (1.0, 3.0, 9.0)
#: Seconds for which nothing is sent to a namespace that takes no Events.
REFUSED_FOR: Final = 10.0
#: Seconds between two log lines about what was dropped.
TELL_EVERY: Final = 60.0
#: Characters of the object's name in the Event's: with what follows, no more than a name has.
_NAME: Final = 230


class EventObserver(Protocol):
    """Receives the result of each occurrence, which is one of the two, for metrics."""

    def sent(self, type_: EventType, occurrences: int) -> None:
        """Count Events that the API server accepted."""
        ...

    def dropped(self, why: DropReason, occurrences: int) -> None:
        """Count Events that were dropped."""
        ...


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
        self._writer = EventWriter(client, component, instance)
        self._observer = observer
        # Least recently seen first.
        self._known: OrderedDict[_Key, Series] = OrderedDict()
        self._buckets: OrderedDict[About, Bucket] = OrderedDict()
        self._queue = EventQueue()
        # Namespaces that take none: why, and until when nothing is sent there.
        self._refused: dict[str, tuple[DropReason, float]] = {}
        self._closed = False
        self._untold: Counter[str] = Counter()
        self._refusal = ""
        self._told_at = float("-inf")

    def __repr__(self) -> str:
        """Return how many Events are to be sent and how many are remembered."""
        known = f"{len(self._known)} known of {len(self._buckets)} objects"
        return f"<EventRecorder {len(self._queue)} queued, {known}>"

    def record(self, about: About, type_: EventType, reason: str, message: str) -> None:
        """Record an Event, to be sent as soon as the limits allow; never wait.

        Args:
            about: The object.
            type_: ``Warning`` for what needs attention.
            reason: One CamelCase word.
            message: For a person; never a value of a Secret.
        """
        now = loop_time()
        message = _shortened(message)
        key = (about, type_, reason, message)
        self._forget(now)
        series = self._known.get(key)
        stamp = utc_text()
        new = series is None
        if series is None:
            # Unique, which need not be a surprise.
            name = f"{about.name[:_NAME].rstrip('-.')}.{random.getrandbits(64):016x}"
            series = Series(about, type_, reason, message, name, stamp, stamp, now)
        why = self._no_room(series, now, new=new)
        if why is not None:
            self._drop(why, 1)
            return
        self._known[key] = series
        self._known.move_to_end(key)
        series.last, series.seen = stamp, now
        series.pending += 1
        if not series.queued:
            self._queue.put(series, max(now, series.sent_at + series.grow_after))

    async def run(self) -> Never:
        """Send recorded Events until cancelled."""
        await self._send_all()
        # Flush has sent the rest.
        await asyncio.Event().wait()
        raise AssertionError("nobody sets this event")

    async def flush(self, within: float) -> None:
        """Send the remaining Events as fast as possible, and record no more.

        Args:
            within: Seconds; what is not sent by then is dropped.
        """
        self._queue.hurry()
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._send_all()
        self._closed = True
        for series in self._queue.drain():
            self._drop("shutdown", series.pending)
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

    def _no_room(self, series: Series, now: float, *, new: bool) -> DropReason | None:
        if self._closed:
            return "shutdown"
        if (refused := self._refused_for(series.namespace, now)) is not None:
            return refused
        if series.queued:
            return None
        if series.sent:
            # It is remembered, so that waiting costs a place in the queue and no more.
            return "queue_full" if len(self._queue) >= QUEUED + REMEMBERED else None
        if new:
            bucket = self._buckets.setdefault(series.about, Bucket(BURST, REFILL))
            self._buckets.move_to_end(series.about)
            if not bucket.take(now):
                return "rate"
        room, shed = self._queue.make_room(series.namespace)
        if shed is not None:
            self._give_up(shed, "queue_full")
        return None if room else "queue_full"

    async def _send_all(self) -> None:
        """Send Events until a flush was requested and none is left."""
        async with asyncio.TaskGroup() as senders:
            for _ in range(IN_FLIGHT):
                senders.create_task(self._work())

    async def _work(self) -> None:
        while (series := await self._queue.next()) is not None:
            try:
                await self._send(series)
            finally:
                self._queue.done(series)

    async def _send(self, series: Series) -> None:
        """Send one Event, and count its occurrences."""
        occurrences = series.pending
        if (refused := self._refused_for(series.namespace, loop_time())) is not None:
            self._give_up(series, refused)
            return
        try:
            await self._writer.write(series)
        except asyncio.CancelledError:
            # For flush to send. Should it have got through, that is found out there.
            self._put(series, loop_time())
            raise
        except TransientError as error:
            self._refusal = error.message
            if series.tries < len(WAITS):
                wait = max(WAITS[series.tries], error.retry_after or 0.0)
                series.tries += 1
                self._put(series, loop_time() + wait)
                return
            self._settle(series, occurrences, "unavailable")
        except SecretSyncError as error:
            self._refusal = error.message
            of_all = _refusal_of_all(error)
            self._settle(series, occurrences, of_all or "refused")
            if of_all is not None:
                self._refuse(series.namespace, of_all)
        else:
            self._settle(series, occurrences, None)

    def _settle(self, series: Series, occurrences: int, why: DropReason | None) -> None:
        """Record the result of a write."""
        series.queued, series.tries = False, 0
        series.pending -= occurrences
        series.sent_at = loop_time()
        if why is not None:
            self._drop(why, occurrences)
        else:
            if series.sent:
                series.grow_after = min(GROW_AFTER_AT_MOST, series.grow_after * 2)
            series.sent += occurrences
            self._observer.sent(series.type_, occurrences)
        if series.pending:
            self._put(series, series.sent_at + series.grow_after)

    def _refused_for(self, namespace: str, now: float) -> DropReason | None:
        why, until = self._refused.get(namespace, (None, now))
        return why if until > now else None

    def _refuse(self, namespace: str, why: DropReason) -> None:
        """Drop all Events of a namespace, now and for a while."""
        now = loop_time()
        self._refused = {name: told for name, told in self._refused.items() if told[1] > now}
        self._refused[namespace] = why, now + REFUSED_FOR
        for series in self._queue.drop(namespace):
            self._give_up(series, why)

    def _give_up(self, series: Series, why: DropReason) -> None:
        self._drop(why, series.pending)
        series.queued, series.tries, series.pending = False, 0, 0

    def _put(self, series: Series, due: float) -> None:
        if self._closed:
            self._drop("shutdown", series.pending)
        else:
            self._queue.put(series, due)

    def _drop(self, why: DropReason, occurrences: int) -> None:
        self._observer.dropped(why, occurrences)
        if why == "namespace_gone":
            return  # the Event has no reader left, which is no error
        self._untold[why] += occurrences
        if loop_time() - self._told_at >= TELL_EVERY:
            self._tell()

    def _tell(self) -> None:
        if not self._untold:
            return
        _log.warning("events dropped", **self._untold, last_error=self._refusal)
        self._untold.clear()
        self._told_at = loop_time()


def _refusal_of_all(error: SecretSyncError) -> DropReason | None:
    """Return why a namespace takes no Events at all, if that is what a refusal is about."""
    if not isinstance(error, ApiError):
        return None
    if isinstance(error, ApiNotFoundError) or any(
        cause.reason == "NamespaceTerminating" for cause in error.causes
    ):
        return "namespace_gone"
    return "refused" if error.lacks_right else None


def _shortened(message: str) -> str:
    # Half a surrogate pair cannot be sent; it may come from what somebody wrote in an object.
    message = message.encode(errors="replace").decode()
    return message if len(message) <= LONGEST else f"{message[: LONGEST - 3]}..."
