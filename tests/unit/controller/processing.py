"""A document processor that runs, and an held_extraction that extracts when it is let."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.external_secret.document_processor import DocumentProcessor
from secret_sync.controller.external_secret.expressions import ExpressionCompiler
from secret_sync.controller.external_secret.extraction import extract_all_steps
from secret_sync.controller.external_secret.quick_rendering import import_templates
from secret_sync.controller.external_secret.state import SyncStateStore
from secret_sync.controller.sync import SyncContext
from secret_sync.queue import Priority, TimeSlicedWorker
from tests.unit.controller.extracting import an_es, plan_of, reading
from tests.unit.controller.rendered import template_inputs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from secret_sync.controller.external_secret.extraction import (
        ExtractedData,
        ExtractionError,
        ExtractionInput,
    )
    from secret_sync.parse import Expressions, Steps
    from secret_sync.resources import ExternalSecret
    from secret_sync.sources import SourceSnapshot

KEY = "ns/some"


class HeldExtraction:
    """Extracts in the thread, but only once `let` is released."""

    def __init__(self) -> None:
        self.let = threading.Semaphore(0)
        self.batches: list[ExtractionInput] = []

    def __call__(
        self, inputs: ExtractionInput, expressions: Expressions
    ) -> Steps[ExtractedData | ExtractionError]:
        self.batches.append(inputs)
        assert self.let.acquire(timeout=10)
        return (yield from extract_all_steps(inputs, expressions))


class ProcessorHarness:
    """A processor that runs, and the objects that it enqueued."""

    def __init__(self) -> None:
        import_templates()
        self.worker = TimeSlicedWorker()
        self.expressions = ExpressionCompiler(self.worker, self._enqueue)
        self.processor = DocumentProcessor(
            self.worker,
            self.expressions,
            self._enqueue,
            template_inputs(self.worker, self._enqueue),
        )
        self.states = SyncStateStore()
        self.enqueued: list[str] = []
        self._heard = 0
        self._changed = asyncio.Event()

    def _enqueue(self, keys: Iterable[str], priority: Priority) -> None:
        assert priority in (Priority.HIGH, Priority.MIDDLE)
        self.enqueued += keys
        self._changed.set()

    def build_desired(
        self, es: ExternalSecret, *values: bytes | SourceSnapshot, key: str = KEY
    ) -> Desired | ExtractionError | None:
        readings = [reading(v) if isinstance(v, bytes) else v for v in values]
        return self.processor.build_desired(self.context(key, es), plan_of(es), readings)[1]

    def context(self, key: str, es: ExternalSecret) -> SyncContext:
        return SyncContext(key, es, self.states.of(key))

    def values(self, inputs: ExtractionInput) -> Desired | ExtractionError | None:
        return self.processor.values(self.context(KEY, an_es()), inputs)

    def forget(self, key: str) -> None:
        """As the control loop does."""
        self.states.forget(key)
        self.processor.cancel(key)

    async def wait(self) -> None:
        """For the next object that is enqueued."""
        async with asyncio.timeout(10):
            while len(self.enqueued) == self._heard:
                self._changed.clear()
                await self._changed.wait()
        self._heard += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ProcessorHarness]:
        task = asyncio.create_task(self.worker.run())
        await asyncio.sleep(0)
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def data_of(made: Desired | ExtractionError | None) -> dict[str, bytes] | None:
    assert isinstance(made, Desired)
    return made.data
