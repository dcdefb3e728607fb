"""One watch: from its opening to its end, whatever that looks like."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from secret_sync.kube.answers import check_version
from secret_sync.kube.errors import ApiError, ApiExpiredError, ApiUnavailableError, error_of_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.kube.client import KubeClient

#: Seconds of a watch, drawn for each one so that they do not end together.
SHORTEST: Final = 240
LONGEST: Final = 300
#: Seconds of silence; bookmarks come about once a minute.
IDLE: Final = 90.0
#: Seconds past its own end at which a watch is ended for it.
OVERTIME: Final = 15.0
#: A watch that ends sooner than this, and empty, is a fault.
TOO_SHORT: Final = 1.0
#: Bytes of one event.
MAX_LINE: Final = 4 * 1024 * 1024

OBJECT_EVENTS: Final = frozenset({"ADDED", "MODIFIED", "DELETED"})
_KNOWN_EVENTS: Final = OBJECT_EVENTS | {"BOOKMARK"}
#: No answer at all, or one about our rate: neither says anything of the version.
_NOT_ABOUT_THE_VERSION: Final = (0, 429)

#: Seconds of events in a row before everything else in the loop has its turn.
_SLICE: Final = 0.01


class Ending(Enum):
    """Why a watch is over."""

    CLOSED = auto()
    """As agreed: go on from the last version."""
    BROKEN = auto()
    """Broken off: go on from the last version."""
    SILENT = auto()
    """Nothing for too long: go on from the last version, this is no error."""
    EXPIRED = auto()
    """The version is too old: list again."""
    UNAVAILABLE = auto()
    """429, no answer, or over in an instant: back off, same version."""
    GARBLED = auto()
    """Not what a watch sends: go on from the last version."""
    REFUSED = auto()
    """Anything else: back off and list again."""


@dataclass(slots=True)
class WatchState:
    """How far a watch came.

    Attributes:
        resource_version: To go on from.
        events: Events received, bookmarks among them.
        error: What ended it, if it was a refusal.
    """

    resource_version: str
    events: int = 0
    error: ApiError | None = None


class _Garbled(Exception):  # noqa: N818 (a signal within this module)
    """A line that is not an event of this kind."""


async def watch(
    client: KubeClient,
    path: str,
    state: WatchState,
    *,
    accept: str,
    kind: str,
    on_open: Callable[[], None],
    on_event: Callable[[str, dict[str, Any]], None],
) -> Ending:
    """Watches from ``state.resource_version`` until it is over, and says why it is.

    Args:
        client: The API server.
        path: Of the collection.
        state: Updated as events come in.
        accept: ``application/json``, or the metadata-only form.
        kind: Of the objects in the stream; another one is garbage.
        on_open: Called when the server has agreed.
        on_event: Called with ``ADDED``, ``MODIFIED``, ``DELETED`` and the object, of which only
            the version is checked, or with ``BOOKMARK``, or a type unknown to us; must neither
            wait nor raise.
    """
    seconds = random.randint(SHORTEST, LONGEST)  # noqa: S311 (spreads load, hides nothing)
    params = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": state.resource_version,
        "timeoutSeconds": str(seconds),
    }
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(seconds + OVERTIME):
            response = await client.stream(path, params=params, accept=accept, idle=IDLE)
            async with response:
                try:
                    on_open()
                    await _read(response, path, state, kind, on_event)
                finally:
                    _abort(response)
    except (ApiError, aiohttp.ClientError, OSError, _Garbled) as error:
        ending = ending_of(error)
        if isinstance(error, ApiError):
            state.error = error
    else:
        ending = Ending.CLOSED
    ended = ending in (Ending.CLOSED, Ending.BROKEN)
    if ended and not state.events and loop.time() - began < TOO_SHORT:
        return Ending.UNAVAILABLE
    return ending


def _abort(response: aiohttp.ClientResponse) -> None:
    """Close the connection of a stream at once: TLS would wait for the server to agree."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()


def ending_of(error: Exception) -> Ending:
    """Return what a failure means for the watch."""
    match error:
        case TimeoutError():
            return Ending.SILENT
        case _Garbled():
            return Ending.GARBLED
        case ApiExpiredError():
            return Ending.EXPIRED
        case ApiError(status=status) if status in _NOT_ABOUT_THE_VERSION:
            return Ending.UNAVAILABLE
        case ApiError():
            return Ending.REFUSED
    return Ending.BROKEN


async def _read(
    response: aiohttp.ClientResponse,
    path: str,
    state: WatchState,
    kind: str,
    on_event: Callable[[str, dict[str, Any]], None],
) -> None:
    splitter = LineSplitter(MAX_LINE)
    while chunk := await response.content.readany():
        try:
            lines = splitter.feed(chunk)
        except LineTooLongError:
            raise _Garbled from None
        # Not the loop's time: uvloop's stands still within a turn.
        began = time.perf_counter()
        for line in lines:
            if line:
                _event(line, path, state, kind, on_event)
                if time.perf_counter() - began > _SLICE:
                    # A chunk has hundreds of lines, and each may concern thousands of objects.
                    await asyncio.sleep(0)
                    began = time.perf_counter()
    # A refusal may come as a bare object, without a line's end. What is no whole object
    # was cut off, and comes again.
    with contextlib.suppress(_Garbled):
        _event(splitter.rest(), path, state, kind, on_event)


def _event(
    line: bytes,
    path: str,
    state: WatchState,
    kind: str,
    on_event: Callable[[str, dict[str, Any]], None],
) -> None:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise _Garbled from None
    action = f"watch of {path}"
    if not isinstance(event, dict):
        raise _Garbled
    if event.get("kind") == "Status":
        raise error_of_status(action, event)
    sort, value = event.get("type"), event.get("object")
    if not isinstance(sort, str) or not isinstance(value, dict):
        raise _Garbled
    if sort == "ERROR":
        raise error_of_status(action, value)
    if sort not in _KNOWN_EVENTS:
        # A newer server's word; what it is about comes by in the next list.
        on_event(sort, value)
        return
    try:
        version = check_version(value, action)
    except ApiUnavailableError:
        raise _Garbled from None
    if value.get("kind") != kind:
        raise _Garbled
    on_event(sort, value)
    state.events += 1
    state.resource_version = version


class LineTooLongError(ValueError):
    """A line outgrew the limit; what the splitter holds is of no use any more."""


class LineSplitter:
    """Splits a stream of bytes at newlines.

    The parts of a line are joined once, when its end is there: its cost is its length, however
    small the chunks are.

    Args:
        limit: Bytes of the longest line that is let through.
    """

    __slots__ = ("_held", "_limit", "_parts")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Add the next chunk and return the lines it completes, without their newlines.

        Raises:
            LineTooLongError: A line is longer than the limit.
        """
        first, *others = chunk.split(b"\n")
        self._hold(first)
        if not others:
            return []
        lines = [self.rest(), *others[:-1]]
        if any(len(line) > self._limit for line in lines):
            raise LineTooLongError
        self._hold(others[-1])
        return lines

    def rest(self) -> bytes:
        """Remove and return an incomplete last line."""
        line = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        return line

    def _hold(self, part: bytes) -> None:
        self._held += len(part)
        if self._held > self._limit:
            raise LineTooLongError
        if part:
            self._parts.append(part)
