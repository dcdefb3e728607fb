"""Objects whose values find no room: as long as one is parked, something will enqueue it.

The world outside is a model: an object that is enqueued may bring its values, find that there is
nothing to do any more, or be gone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from secret_sync.controller.external_secret import document_processor as module
from secret_sync.controller.external_secret.document_processor import PARKED_FOR, DocumentProcessor
from secret_sync.controller.external_secret.expressions import ExpressionCompiler
from secret_sync.controller.external_secret.state import SyncState
from secret_sync.controller.sync import SyncContext
from secret_sync.queue import Priority, TimeSlicedWorker
from tests.support.hand_loop import HandLoop
from tests.unit.controller.extracting import an_es, extract, plan_of, reading
from tests.unit.controller.rendered import template_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from typing import Any

pytestmark = pytest.mark.slow

EXTRACTING = an_es(dataProcess=[extract()])
#: Of which two fit.
VALUE = b"user: app\n# " + b"x" * 400
KEYS = st.sampled_from([f"{namespace}/{name}" for namespace in "ab" for name in "123"])


class HeldWorker(TimeSlicedWorker):
    """Finishes a job when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[Hashable, tuple[Any, Callable[[Any], None]]] = {}

    def add(
        self, namespace: str, key: Hashable, steps: Any, finished: Callable[[Any], None]
    ) -> None:
        super().add(namespace, key, steps, finished)
        self.jobs[key] = steps, finished

    def drop(self, namespace: str, key: Hashable) -> None:
        super().drop(namespace, key)
        self.jobs.pop(key, None)

    def finish(self, key: Hashable) -> None:
        steps, finished = self.jobs[key]
        while True:
            try:
                next(steps)
            except StopIteration as end:
                super().drop(str(key[1])[0], key)  # type: ignore[index]
                finished(end.value)
                return


class Parking(RuleBasedStateMachine):
    """Objects that come, are enqueued, and leave in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = HandLoop()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(module, "CAPACITY", 2 * len(VALUE + b"a/1"))
        self.patch.setattr(module, "RESERVED", 0)
        self.worker = HeldWorker()
        expressions = ExpressionCompiler(self.worker, self.enqueue)
        templates = template_inputs(self.worker, self.enqueue)
        self.processor = DocumentProcessor(self.worker, expressions, self.enqueue, templates)
        self.queued: dict[str, None] = {}

    def enqueue(self, keys: Iterable[str], priority: Priority) -> None:
        assert priority in (Priority.HIGH, Priority.MIDDLE)
        self.queued |= dict.fromkeys(keys)

    def bring(self, key: str) -> None:
        async def build_desired() -> None:
            value = VALUE + key.encode()
            ctx = SyncContext(key, EXTRACTING, SyncState())
            self.processor.build_desired(ctx, plan_of(EXTRACTING), [reading(value)])

        self.loop.run_until_complete(build_desired())

    @rule(key=KEYS)
    def comes(self, key: str) -> None:
        self.bring(key)

    @precondition(lambda self: self.queued)
    @rule(nothing=st.booleans())
    def is_reconciled(self, nothing: bool) -> None:  # noqa: FBT001 (hypothesis passes it)
        key = next(iter(self.queued))
        del self.queued[key]
        if nothing:
            self.is_gone(key)
        else:
            self.bring(key)

    @rule(key=KEYS)
    def is_gone(self, key: str) -> None:
        async def forget() -> None:
            self.processor.cancel(key)

        self.loop.run_until_complete(forget())

    @precondition(lambda self: self.worker.jobs)
    @rule(data=st.data())
    def is_finished(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.worker.jobs, key=str)))

        async def finish() -> None:
            self.worker.finish(key)

        self.loop.run_until_complete(finish())

    @rule()
    def time_passes(self) -> None:
        parked = self.parked
        self.loop.now += PARKED_FOR
        self.loop.run_until_complete(asyncio.sleep(0))
        assert self.worker.jobs or not parked or self.parked < parked

    @property
    def parked(self) -> int:
        return len(self.processor) - len(self.worker.jobs)

    @invariant()
    def what_is_not_in_the_thread_is_parked(self) -> None:
        assert self.parked >= 0

    def teardown(self) -> None:
        try:
            self.let_all_end()
        finally:
            self.patch.undo()
            self.loop.close()

    def let_all_end(self) -> None:
        self.time_passes()
        for key in sorted(self.worker.jobs, key=str):
            self.worker.finish(key)
        while self.parked:
            self.time_passes()
        assert len(self.processor) == 0
        for namespace in "ab":
            for name in "123":
                self.is_gone(f"{namespace}/{name}")
        # All the room is there again: of three that come at once, two get in.
        for key in ("a/1", "a/2", "a/3"):
            self.bring(key)
        assert (len(self.worker.jobs), self.parked) == (2, 1)


TestParking = Parking.TestCase
TestParking.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


async def test_all_waiters_are_notified_although_the_first_starts_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CAPACITY", 2 * len(VALUE))
    monkeypatch.setattr(module, "RESERVED", 0)
    monkeypatch.setattr(module, "PARKED_FOR", PARKED_FOR / 100)
    enqueued: set[str] = set()
    all_enqueued = asyncio.Event()

    def enqueue(keys: Iterable[str], _priority: Priority) -> None:
        enqueued.update(keys)
        if len(enqueued) == 6:
            all_enqueued.set()

    worker = HeldWorker()
    expressions, templates = ExpressionCompiler(worker, enqueue), template_inputs(worker, enqueue)
    processor = DocumentProcessor(worker, expressions, enqueue, templates)
    for number in range(6):
        value = VALUE + str(number).encode()
        key = f"ns/{number}"
        ctx = SyncContext(key, EXTRACTING, SyncState())
        processor.build_desired(ctx, plan_of(EXTRACTING), [reading(value)])
    for _, key in list(worker.jobs):  # type: ignore[misc]
        worker.finish(("documents", key))
    # No object that is enqueued brings anything.
    async with asyncio.timeout(10):
        await all_enqueued.wait()
