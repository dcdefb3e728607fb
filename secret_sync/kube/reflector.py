"""The reflector: list, watch, and start over, for as long as the process runs."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Final, Never, Protocol

import structlog

from secret_sync.backoff import Backoff
from secret_sync.clock import loop_time
from secret_sync.kube.errors import ApiError, ApiUnavailableError
from secret_sync.kube.pager import Pager
from secret_sync.kube.resource import JSON, METADATA, METADATA_LIST
from secret_sync.kube.watch import OBJECT_EVENTS, Ending, WatchState, ending_of, watch
from secret_sync.resources.meta import is_older, order_of, reached

if TYPE_CHECKING:
    from secret_sync.kube.client import KubeClient
    from secret_sync.kube.observe import ReflectorObserver
    from secret_sync.kube.pager import Listing
    from secret_sync.kube.resource import Resource
    from secret_sync.resources.meta import ObjectMeta

_log = structlog.get_logger(__name__)

#: Waits in seconds between failures, and the health after which they start over. The
#: longest one is short, since everything should be in sync half a minute after an outage, and
#: a list and the writes need time, too.
LONGEST_WAIT: Final = 15.0
BACKOFF: Final = Backoff(base=0.8, cap=LONGEST_WAIT)
HEALTHY_AFTER: Final = 120.0
#: Seconds within which a watch that is alive has brought what the API server had when it was
#: asked; and where versions cannot be ordered, so that a newer one does not count as well.
CATCH_UP: Final = 1.0
CATCH_UP_UNORDERED: Final = 5.0
_POLL: Final = 0.02
#: Seconds without an event or a bookmark, at least and at most, after which watches are not relied
#: on and a list follows. Bookmarks come about once a minute; a proxy that buffers holds all back.
QUIET: Final = (240.0, 300.0)
#: Statuses for a missing permission or resource.
_FOR_GOOD: Final = (403, 404)


class Sink(Protocol):
    """Receives what a reflector reads; must neither wait nor raise."""

    def read(self, value: dict[str, Any]) -> Any | None:
        """Convert an item of a list to its stored form; ``None`` omits it."""
        ...

    def replace(self, objects: list[Any], *, restored: bool) -> None:
        """Take all objects of the reflector's scope at this moment, as read.

        Args:
            objects: All of them.
            restored: Whether the API server is known to have gone back in time since the last one.
        """
        ...

    def newest(self) -> ObjectMeta | None:
        """Return the object held with the highest version."""
        ...

    def event(self, sort: str, value: dict[str, Any]) -> None:
        """Handle ``ADDED``, ``MODIFIED`` or ``DELETED``."""
        ...


class Waits:
    """Exponential waits with full jitter that start over after a time of health."""

    __slots__ = ("_failures", "_tried_at")

    def __init__(self) -> None:
        self._failures = 0
        self._tried_at = float("-inf")

    def next(self, now: float, at_least: float = 0.0) -> float:
        """Return the wait after a failure at ``now``, in seconds."""
        if now - self._tried_at > HEALTHY_AFTER:
            self._failures = 0
        bound = BACKOFF.bound(self._failures)
        self._failures += 1
        wait = max(at_least, random.uniform(0, bound))  # noqa: S311 (spreads load)
        self._tried_at = now + wait
        return wait


class Reflector:
    """Keeps a sink in sync with one kind of object in one namespace, or in all.

    Args:
        client: The API server.
        resource: The kind.
        sink: Receives the objects.
        observer: Receives events, for metrics.
        namespace: ``""`` for all.
        metadata_only: Ask for metadata alone, so that payloads never get here.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: Resource,
        sink: Sink,
        observer: ReflectorObserver,
        *,
        namespace: str = "",
        metadata_only: bool = False,
    ) -> None:
        self._client = client
        self._resource = resource
        self._path = resource.path(namespace)
        self._sink = sink
        self._observer = observer
        self._kind = "PartialObjectMetadata" if metadata_only else resource.kind
        self._pager = Pager(
            client,
            self._path,
            accept=METADATA_LIST if metadata_only else JSON,
            kind=self._kind,
            read=sink.read,
        )
        self._watch_accept = METADATA if metadata_only else JSON
        # A server that is back after an outage is not waited for as long as one that is away.
        self._no_answer = Waits()
        self._refused = Waits()
        # Whether the next 410 causes a list at once.
        self._may_relist = True
        # The version that the sink has.
        self._state = WatchState("")
        # The request that fails at present, "list" or "watch": logged once, not at every try.
        self._failing = ""
        # The version at which a watch could not be read.
        self._garbled_at = ""
        # When it was last known that nothing is missing, and how long that is good for.
        self._heard_at = 0.0
        self._quiet_for = QUIET[1]
        #: Whether a watch has ever been opened, and whether the last list was refused for good.
        self.opened = False
        self.refused = False
        # Whether the watch before this one did not end as agreed: etcd may have been restored from
        # a backup since; and whether it is known to have been.
        self._interrupted = False
        self._restored = False
        # Set while a caller waits for a list that begins from now on.
        self._stale = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"<Reflector {self._path} at {self.resource_version}>"

    @property
    def resource_version(self) -> str:
        """The version that the sink has."""
        return self._state.resource_version

    async def run(self) -> Never:
        """List and watch until cancelled."""
        version = ""
        while True:
            if not version:
                version = await self._list()
            if version:
                version = await self._watch_unless_stale(version)

    async def relist(self) -> None:
        """List again, and return when the sink has the result.

        For changes that move no version, as those of a schema do.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._stale.set()
        await waiter

    async def catch_up(self) -> None:
        """Return when the sink is no older than the API server was when this was called.

        A watch may be dead before its silence is noticed. One that does not
        get there soon, be it because nothing happens to its kind, is replaced by a list; at once
        where the API server has been restored from a backup, and is behind what is held.

        Raises:
            ApiError: The API server refused, or did not answer.
        """
        before = self._state.resource_version
        wanted = await self._pager.version()
        ordered = order_of(wanted) is not None
        # What was held before the question is no newer than the answer.
        if is_older(wanted, before):
            self._went_back()
            await self.relist()
            return
        try:
            async with asyncio.timeout(CATCH_UP if ordered else CATCH_UP_UNORDERED):
                while not reached(self._state.resource_version, wanted):  # noqa: ASYNC110 (rare)
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            _log.debug("watch is behind, listing again", path=self._path)
            await self.relist()

    async def _watch_unless_stale(self, version: str) -> str:
        watching = asyncio.ensure_future(self._watch(version))
        stale = asyncio.ensure_future(self._stale.wait())
        try:
            ended: set[asyncio.Future[Any]] = set()
            while not ended:
                heard_at = self._heard_at
                left = heard_at + self._quiet_for - loop_time()
                ended, _ = await asyncio.wait(
                    (watching, stale), timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED
                )
                if not ended and heard_at == self._heard_at:
                    self._fell_silent()
                    return ""
            return watching.result() if watching.done() and not stale.done() else ""
        finally:
            for task in (watching, stale):
                task.cancel()
            await asyncio.gather(watching, stale, return_exceptions=True)

    async def _list(self) -> str:
        """Return the version to watch from, or ``""`` if the list failed, after a wait."""
        waiting, self._waiting = self._waiting, []
        self._stale.clear()
        try:
            listing = await self._pager.list_all()
        except ApiError as error:
            self._waiting += waiting
            self.refused = error.status in _FOR_GOOD
            await self._fail("list", error, "refused")
            return ""
        if not self._restored and is_older(listing.resource_version, self._state.resource_version):
            self._went_back()
        self._sink.replace(listing.objects, restored=self._restored)
        self._state = WatchState(listing.resource_version)
        self._interrupted = self._restored = False
        # Drawn again, so that the lists of a process spread.
        self._quiet_for = random.uniform(*QUIET)  # noqa: S311 (spreads load)
        self._heard_at = loop_time()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
        self.refused = False
        self._observer.listed()
        self._recover("list")
        return listing.resource_version

    async def _watch(self, version: str) -> str:
        """Return the version to resume from, or ``""`` if a list is needed."""
        state = self._state = WatchState(version)
        if self._interrupted:
            try:
                if not await self._is_known_history(version):
                    return ""
            except ApiError as error:
                state.error = error
                return await self._ended(state, ending_of(error))
        began = loop_time()
        ending = await watch(
            self._client,
            self._path,
            state,
            accept=self._watch_accept,
            kind=self._kind,
            on_open=self._watching,
            on_event=self._event,
        )
        # A watch that lasted is no part of a loop; then lists keep the distance of failures.
        if loop_time() - began >= LONGEST_WAIT:
            self._may_relist = True
        return await self._ended(state, ending)

    async def _ended(self, state: WatchState, ending: Ending) -> str:
        """Return the version to resume from, or ``""`` if a list is needed; may wait before."""
        unanswered = state.error is not None and not state.error.status
        self._interrupted |= unanswered or ending in (Ending.BROKEN, Ending.SILENT)
        match ending:
            case Ending.CLOSED | Ending.BROKEN | Ending.SILENT:
                if state.events:
                    self._recover("watch")
                return state.resource_version
            case Ending.GARBLED:
                await self._fail("watch", None, "garbled")
                # The same event would come again for ever; a list goes around it.
                stuck = self._garbled_at == state.resource_version
                self._garbled_at = state.resource_version
                return "" if stuck else state.resource_version
            case Ending.UNAVAILABLE:
                await self._fail("watch", state.error, "unavailable")
                return state.resource_version
            case Ending.EXPIRED:
                if self._may_relist:
                    self._may_relist = False
                    self._observer.failed("expired")
                    _log.info("watch expired, listing again", path=self._path)
                else:
                    # A server to which every version is too old is not listed in a loop.
                    await self._fail("watch", None, "expired")
                return ""
            case Ending.REFUSED:
                await self._fail("watch", state.error, "refused")
                return ""

    async def _is_known_history(self, version: str) -> bool:
        """Return whether the API server's state descends from the one held.

        After etcd was restored from a backup, a watch from a version that it never had opens and
        stays silent, and from one that it has given out again since, it misses what was before.

        Raises:
            ApiError: The API server refused, or did not answer.
        """
        newest = self._sink.newest()
        if newest is None:
            now, same = await self._pager.version(), True
        else:
            path = self._resource.path(newest.namespace)
            found = await self._pager.find(path, newest.name)
            now, same = found.resource_version, _has(found, newest)
            if not same and not is_older(now, version):
                # It may have changed since. At the known version it has to be as it is held.
                same = _has(await self._pager.find(path, newest.name, at=version), newest)
        if not same or is_older(now, version):
            self._went_back()
            return False
        self._interrupted = False
        return True

    def _went_back(self) -> None:
        self._restored = True
        self._observer.failed("restored")
        _log.warning(
            "the API server went back in time (etcd restored from a backup?): listing again, and "
            "writing again what it may have lost",
            path=self._path,
        )

    def _fell_silent(self) -> None:
        self._observer.failed("silent")
        if not self._failing:
            self._failing = "watch"
            _log.warning(
                "watches bring nothing, not even bookmarks: listing instead; is there a proxy "
                "before the API server that buffers?",
                path=self._path,
                seconds=round(self._quiet_for),
                opened=self.opened,
            )

    def _watching(self) -> None:
        self.opened = True
        self._observer.watching()

    def _event(self, sort: str, value: dict[str, Any]) -> None:
        self._heard_at = loop_time()
        if sort in OBJECT_EVENTS:
            self._sink.event(sort, value)
        elif sort != "BOOKMARK":
            _log.warning("unknown watch event", path=self._path, type=sort[:40])
            # The number of metrics is not for a server to decide.
            sort = "unknown"
        self._observer.event(sort)
        self._recover("watch")

    async def _fail(self, action: str, error: ApiError | None, kind: str) -> None:
        """Count every failure, log the first in a row, and wait."""
        if isinstance(error, ApiUnavailableError):
            kind = "unavailable"
        self._observer.failed(kind)
        after = error.retry_after if error is not None and error.retry_after else 0.0
        answered = error is None or error.status != 0
        # A failure after an outage is no part of a loop before it.
        self._may_relist = self._may_relist or not answered
        waits = self._refused if answered else self._no_answer
        wait = waits.next(loop_time(), after)
        if not self._failing:
            self._failing = action
            message = error.message if error is not None else kind
            _log.warning(f"{action} failed, will retry", path=self._path, error=message)
        await asyncio.sleep(wait)

    def _recover(self, action: str) -> None:
        if self._failing == action:
            self._failing = ""
            _log.info("connected again", path=self._path)


def _has(listing: Listing[Any], wanted: ObjectMeta) -> bool:
    """Return whether a list has this version of this object."""
    version = wanted.uid, wanted.resource_version
    return version in [(obj.uid, obj.resource_version) for obj in listing.objects]
