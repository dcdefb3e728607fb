"""Work in a thread, in time slices; namespaces take turns."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable

#: Seconds of one slice. A new job waits for one slice of each other namespace with work.
SLICE: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """Steps, and a callback for their result."""

    steps: Generator[None, None, Any]
    finished: Callable[[Any], None]


class TimeSlicedWorker:
    """Runs generators in a thread, one time slice after the other.

    One thread, and no process of its own. Measured with the longest piece during which a loop
    beside it stood still: RE2 searches without the interpreter's lock (16 ms in 0.7 s of
    searching). It compiles with the lock, 35 ms for an expression that just fits into its
    memory. The YAML scanner holds the lock for one event at a time and the JSON one for what
    lies between two mappings (28 and 40 ms for the worst documents within our limits).

    Between two yields a piece takes 0.4 s at most: one document, or all paths of one value.
    """

    def __init__(self) -> None:
        self._namespaces: OrderedDict[str, OrderedDict[Hashable, _Job]] = OrderedDict()
        self._work = asyncio.Event()

    def __len__(self) -> int:
        """Return the number of unfinished jobs."""
        return sum(map(len, self._namespaces.values()))

    def add(
        self,
        namespace: str,
        key: Hashable,
        steps: Generator[None, None, Any],
        finished: Callable[[Any], None],
    ) -> None:
        """Run steps to their end.

        Args:
            namespace: The namespace whose slices they use.
            key: Of the job; a newer job replaces an older one of this key.
            steps: The work; it must not raise.
            finished: Called on the loop with the result, unless the job was replaced or dropped.
        """
        self._namespaces.setdefault(namespace, OrderedDict())[key] = _Job(steps, finished)
        self._work.set()

    def drop(self, namespace: str, key: Hashable) -> None:
        """Drop the job of a key, if there is one."""
        jobs = self._namespaces.get(namespace)
        if jobs is None:
            return
        jobs.pop(key, None)
        if not jobs:
            del self._namespaces[namespace]

    def is_busy(self, namespace: str) -> bool:
        """Return whether there is a job of this namespace."""
        return namespace in self._namespaces

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._work.wait()
            while self._namespaces:
                namespace, jobs = next(iter(self._namespaces.items()))
                key, job = next(iter(jobs.items()))
                ended, result = await asyncio.to_thread(_advance, job.steps)
                if namespace in self._namespaces:
                    self._namespaces.move_to_end(namespace)
                if ended and self._is_wanted(namespace, key, job):
                    self.drop(namespace, key)
                    job.finished(result)
            self._work.clear()

    def _is_wanted(self, namespace: str, key: Hashable, job: _Job) -> bool:
        jobs = self._namespaces.get(namespace)
        return jobs is not None and jobs.get(key) is job


def _advance(steps: Generator[None, None, Any]) -> tuple[bool, Any]:
    """Run steps for one slice; return whether they came to their end, and their result."""
    end = time.monotonic() + SLICE
    while time.monotonic() < end:
        try:
            next(steps)
        except StopIteration as stop:
            return True, stop.value
    return False, None
