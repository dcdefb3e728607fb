"""Host name lookups; names that are never answered do not delay others.

A tenant can write host names into an object, and a name server may stay silent about any of them.
Nothing can stop a ``getaddrinfo`` that has begun, and it may take a minute to give up. So each
session looks names up in threads of its own, and a name that hung once gets few of them.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

from secret_sync.background import DaemonExecutor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    #: The family, and the numeric address.
    Address: TypeAlias = tuple[int, str]
    Lookup: TypeAlias = Callable[[str, int], Awaitable[list[Address]]]

#: Concurrent lookups, each in a thread.
LOOKUPS: Final = 64
#: Of these, for names that have been resolved before.
RESERVED: Final = 8
#: Of these, for names whose last lookup hung.
FOR_HUNG: Final = 4
#: Seconds after which a lookup counts as hung.
HUNG_AFTER: Final = 1.0
#: Seconds that a caller waits for an answer; less than it waits for a connection.
WAIT: Final = 2.5
#: Seconds that addresses are used, that they may stand in while no response can be had, and
#: that a failure is remembered.
FRESH: Final = 10.0
USABLE: Final = 3600.0
FAILED: Final = 5.0
#: Names that are kept.
NAMES: Final = 1024

#: The codes of a name server for a name or address that does not exist.
_NONE: Final = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})
_SILENCE: Final = socket.EAI_AGAIN, "the name server does not answer"
_TEXT: Final = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class _Name:
    """One host name: its addresses, and its lookup."""

    __slots__ = (
        *("addresses", "answer", "error", "failed_until", "family", "fresh_until"),
        *("host", "hung", "usable_until", "waiting"),
    )

    def __init__(self, host: str, family: int) -> None:
        self.host = host
        self.family = family
        self.addresses: deque[Address] = deque()
        self.fresh_until = self.usable_until = self.failed_until = float("-inf")
        self.error = _SILENCE
        #: Whether its last lookup took too long, or takes too long already.
        self.hung = False
        #: Done when the lookup is; ``None`` where none waits or runs.
        self.answer: asyncio.Future[None] | None = None
        #: Callers that wait for it.
        self.waiting = 0

    def mark_hung(self) -> None:
        """Note that the lookup takes too long."""
        self.hung = True

    def found(self, addresses: Iterable[Address], now: float) -> None:
        """Note what the lookup has found."""
        self.addresses = deque(addresses)
        self.fresh_until = now + FRESH
        self.usable_until = now + USABLE

    def failed(self, error: Exception, now: float) -> None:
        """Note that the lookup has failed."""
        self.failed_until = now + FAILED
        if isinstance(error, OSError):
            self.error = error.errno or 0, error.strerror or type(error).__name__
        else:
            self.error = socket.EAI_FAIL, type(error).__name__
        if self.error[0] in _NONE:
            self.addresses.clear()
            self.usable_until = now

    def settle(self) -> None:
        """Release the callers."""
        if self.answer is not None:
            self.answer.set_result(None)
            self.answer = None


class Resolver(AbstractResolver):
    """Resolves the names of one session's hosts, in the running loop.

    At most one lookup of a name runs at a time, and its callers share the answer. Addresses are
    reused for a short time, failures for a shorter one. Where a lookup hangs or the name server
    fails, addresses from before are used still.

    Args:
        lookup: Finds the addresses of a host in a family, ``AF_UNSPEC`` for all, or raises
            ``OSError``; by default the C library does, in daemon threads.
    """

    def __init__(self, lookup: Lookup | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._executor = DaemonExecutor(LOOKUPS, "lookup")
        self._lookup = lookup or self._in_thread
        #: In order of the last request.
        self._names: dict[tuple[str, int], _Name] = {}
        self._queue: dict[_Name, None] = {}
        self._running: dict[_Name, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        """Return the number of names that are remembered."""
        return len(self._names)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host.

        Raises:
            OSError: There are none, or no answer came in time.
        """
        name = self._name(host.lower(), family)
        if self._loop.time() >= max(name.fresh_until, name.failed_until):
            await self._wait_for(name)
        if self._loop.time() >= name.usable_until:
            # Each caller gets a list of its own.
            raise socket.gaierror(*name.error)
        # In turns, as aiohttp's own cache has it.
        name.addresses.rotate(-1)
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=of, proto=0, flags=_NUMERIC
            )
            for of, address in name.addresses
        ]

    async def close(self) -> None:
        """Give up all lookups."""
        names, tasks = [*self._queue, *self._running], list(self._running.values())
        self._queue.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Also of those whose lookup was cancelled before it began.
        for name in names:
            name.settle()

    def _name(self, host: str, family: int) -> _Name:
        key = host, family
        name = self._names.pop(key, None)
        if name is None:
            if len(self._names) >= NAMES:
                self._forget_one()
            name = _Name(host, family)
        self._names[key] = name
        return name

    def _forget_one(self) -> None:
        """Make room for a name: one that nobody waits for goes, if need be out of the queue."""
        now = self._loop.time()
        usable: list[_Name] = []
        unresolved: list[_Name] = []
        for name in self._names.values():
            if not name.waiting and name not in self._running:
                (usable if now < name.usable_until else unresolved).append(name)
        if unresolved:
            # To find out again that a name hangs would cost a thread for long.
            forgotten = min(unresolved, key=lambda name: name.hung)
        elif len(usable) > NAMES // 2:
            # Names that were answered fill the table, and those are soon answered again.
            forgotten = usable[0]
        else:
            raise socket.gaierror(socket.EAI_AGAIN, "too many names are being looked up")
        del self._names[forgotten.host, forgotten.family]
        self._queue.pop(forgotten, None)
        forgotten.settle()

    async def _wait_for(self, name: _Name) -> None:
        """Wait for the end of the lookup, but not for one that hangs."""
        if name.answer is None:
            name.answer = self._loop.create_future()
            if self._may_start(name, self._count_hung()):
                self._start(name)
            else:
                self._queue[name] = None
        elif name.hung:
            return
        name.waiting += 1
        try:
            seconds = HUNG_AFTER if name.hung or name.addresses else WAIT
            await asyncio.wait((name.answer,), timeout=seconds)
        finally:
            name.waiting -= 1

    def _start(self, name: _Name) -> None:
        self._running[name] = self._loop.create_task(self._run(name))

    def _start_next(self) -> None:
        hung = self._count_hung()
        # First the names that have been resolved before.
        for name in sorted(self._queue, key=lambda name: not name.addresses):
            if self._may_start(name, hung):
                del self._queue[name]
                self._start(name)
                hung += name.hung
            elif not (name.waiting or name.hung or name.addresses):
                # One of too many new ones, and nobody waits for it any more.
                del self._queue[name]
                name.settle()

    def _count_hung(self) -> int:
        return sum(name.hung for name in self._running)

    def _may_start(self, name: _Name, hung: int) -> bool:
        limit = LOOKUPS if name.addresses and not name.hung else LOOKUPS - RESERVED
        return len(self._running) < limit and not (name.hung and hung >= FOR_HUNG)

    async def _run(self, name: _Name) -> None:
        begun = self._loop.time()
        hung = self._loop.call_later(HUNG_AFTER, name.mark_hung)
        name.error = _SILENCE
        try:
            name.found(await self._lookup(name.host, name.family), self._loop.time())
        except (OSError, UnicodeError, RuntimeError) as error:
            # The last two: it cannot be a host name, and there are no more threads.
            name.failed(error, self._loop.time())
        finally:
            hung.cancel()
            name.hung = self._loop.time() - begun >= HUNG_AFTER
            del self._running[name]
            name.settle()
            self._start_next()

    async def _in_thread(self, host: str, family: int) -> list[Address]:
        return await self._loop.run_in_executor(self._executor, look_up, host, family)


def look_up(host: str, family: int) -> list[Address]:
    """Return the addresses of a host, from the C library; blocks."""
    found = socket.getaddrinfo(
        host, None, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    # The scope of a link-local address is in its text only so.
    return [(of, socket.getnameinfo(address, _TEXT)[0]) for of, _, _, _, address in found]
