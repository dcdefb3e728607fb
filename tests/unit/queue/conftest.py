"""A queue with an observer that remembers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from secret_sync.queue import Backoff, Priority, WorkQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.queue import Result

HIGH, MIDDLE, LOW = Priority


@dataclass
class Recorder:
    """Both observers of the package."""

    adds: int = 0
    waits: list[float] = field(default_factory=list)
    works: list[float] = field(default_factory=list)
    retries: int = 0
    results: list[Result] = field(default_factory=list)

    def added(self) -> None:
        self.adds += 1

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)

    def worked(self, seconds: float) -> None:
        self.works.append(seconds)

    def retried(self) -> None:
        self.retries += 1

    def finished(self, result: Result) -> None:
        self.results.append(result)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def queue(recorder: Recorder) -> WorkQueue[str]:
    return WorkQueue("test", backoff=Backoff(jitter=0), aging=10, observer=recorder)


@pytest.fixture
def new_recorder() -> Callable[[], Recorder]:
    """For property tests, which need a fresh one for each example."""
    return Recorder


async def take_all(queue: WorkQueue[str]) -> list[str]:
    """Take and give back what is ready, in the queue's order."""
    keys = []
    while len(queue):
        key = await queue.get()
        queue.done(key)
        keys.append(key)
    return keys
