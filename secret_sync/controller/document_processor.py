"""Extracts keys and values from documents, beside the control loop.

What takes no time is done at once. The rest is the work of a thread in which namespaces take
turns, and the object is woken when it is done: a reconcile never waits for it, so that no
document keeps other objects waiting (C0).
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.controller.desired import (
    Desired,
    ExtractionError,
    desire_extracted,
    desire_plain,
    gather,
)
from secret_sync.controller.extraction import extract_all_steps
from secret_sync.controller.problem import Problem
from secret_sync.controller.reasons import problem_of
from secret_sync.errors import DefiniteError
from secret_sync.logs import describe_exception
from secret_sync.parse import QUICK_BYTES, check_data, is_quick, is_quickly_checked, run_to_end
from secret_sync.queue import Priority
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from secret_sync.controller.desired import (
        ExtractedData,
        ExtractionInput,
        Overwritten,
    )
    from secret_sync.controller.expressions import ExpressionCompiler
    from secret_sync.controller.plan import Plan
    from secret_sync.parse import Expressions, Steps
    from secret_sync.queue import TimeSlicedWorker
    from secret_sync.resources import ExternalSecret
    from secret_sync.sources import SourceSnapshot

#: Bytes of values that wait to be parsed, all together; one object of each namespace gets in
#: whatever the others have there.
CAPACITY: Final = 16 * 1024 * 1024
#: Seconds after which an object that found no room is woken, whatever becomes of those before it.
PARKED_FOR: Final = 1.0
#: Entries of a batch that may be extracted at once.
_QUICK_ENTRIES: Final = 64

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """What became of a batch, without the values."""

    inputs: bytes
    fingerprint: bytes = b""
    keys: frozenset[str] = frozenset()
    overwritten: tuple[Overwritten, ...] = ()
    error: ExtractionError | None = None


class DocumentProcessor:
    """Makes Secrets of documents.

    Invariant: as long as an object is parked for want of room, its wake-up is scheduled.

    Args:
        worker: Does what takes time.
        expressions: The compiled ones of each object.
        wake: Told which object's documents have been parsed, or for which there is room.
    """

    def __init__(
        self,
        worker: TimeSlicedWorker,
        expressions: ExpressionCompiler,
        wake: Callable[[Iterable[str], Priority], None],
    ) -> None:
        self._worker = worker
        self._expressions = expressions
        self._wake = wake
        # Digests of values that leave memory are keyed (A9).
        self._secret = secrets.token_bytes(32)
        self._known: dict[str, _Known] = {}
        # A newer batch of an object takes the older one's place.
        self._waiting: dict[str, ExtractionInput] = {}
        self._held = 0
        # Those whose values would be too much to hold as well, with their sizes.
        self._parked: dict[str, int] = {}
        self._retry: asyncio.TimerHandle | None = None
        self._finished: dict[str, tuple[bytes, Desired]] = {}

    def __repr__(self) -> str:
        """Counts, never contents."""
        return f"<{type(self).__name__} {len(self._waiting)} waiting>"

    def __len__(self) -> int:
        """Objects whose documents wait to be parsed."""
        return len(self._waiting) + len(self._parked)

    def desire(
        self, key: str, es: ExternalSecret, plan: Plan, readings: Sequence[SourceSnapshot]
    ) -> tuple[ExtractionInput | None, Desired | ExtractionError | None]:
        """The Secret that these readings make.

        Returns:
            The batch, ``None`` before all has been read once; and what it makes, ``None`` as
            long as that is not known. The values may be missing, since most often they are
            not needed; see :meth:`values`.
        """
        batch = gather(es, plan, readings)
        if batch is None:
            return None, None
        if batch.plain:
            return batch, _plain(batch)
        if (made := self._take(key, batch)) is not None:
            return batch, made
        known = self._known.get(key)
        if known is None or known.inputs != batch.inputs:
            return batch, None if batch.absent else self._extract(key, batch)
        if known.error is not None:
            return batch, known.error
        return batch, Desired(known.fingerprint, known.keys, None, batch.absent, known.overwritten)

    def values(self, key: str, batch: ExtractionInput) -> Desired | ExtractionError | None:
        """The Secret with its values, of a batch that is in hand; the object is woken later."""
        return _plain(batch) if batch.plain else self._extract(key, batch)

    def forget(self, key: str) -> None:
        """The object is gone, or wants nothing for now."""
        self._known.pop(key, None)
        self._finished.pop(key, None)
        self._leave(key)

    def _take(self, key: str, batch: ExtractionInput) -> Desired | None:
        """What the thread made; handed out once, since it holds the values."""
        inputs, made = self._finished.pop(key, (b"", None))
        return made if inputs == batch.inputs else None

    def _extract(self, key: str, batch: ExtractionInput) -> Desired | ExtractionError | None:
        expressions = self._expressions.of(key)
        if _is_quick(batch, expressions):
            self._leave(key)
            return self._settle(key, batch, run_to_end(_extract_safely(batch, expressions)))
        waiting = self._waiting.get(key)
        if waiting is None or waiting.inputs != batch.inputs:
            self._enter(key, batch, expressions)
        return None

    def _enter(self, key: str, batch: ExtractionInput, expressions: Expressions) -> None:
        """Has a batch extracted, or parks its object: it is woken, and brings it again."""
        self._leave(key)
        namespace, size = key.partition("/")[0], batch.size
        if self._held + size > CAPACITY and self._worker.is_busy(namespace):
            self._parked[key] = size
            self._schedule()
            return

        def finished(result: ExtractedData | ExtractionError) -> None:
            self._leave(key)
            made = self._settle(key, batch, result)
            if isinstance(made, Desired):
                self._finished[key] = (batch.inputs, made)
            self._wake((key,), Priority.HIGH)

        self._waiting[key] = batch
        self._held += size
        steps = _extract_safely(batch, expressions)
        self._worker.add(namespace, ("documents", key), steps, finished)

    def _leave(self, key: str) -> None:
        """Gives up the place of an object, to those for whom there was none."""
        self._parked.pop(key, None)
        batch = self._waiting.pop(key, None)
        if batch is not None:
            self._held -= batch.size
            self._worker.drop(key.partition("/")[0], ("documents", key))
            self._wake_parked()

    def _schedule(self) -> None:
        """Sees to it that parked objects are woken even if nothing else happens.

        One that was woken may start nothing: it is gone, or its values are.
        """
        if self._parked and self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(PARKED_FOR, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._wake_parked()

    def _wake_parked(self) -> None:
        """Wakes as many as there is room for; at least one, if nothing is under way."""
        room = CAPACITY - self._held
        for key, size in list(self._parked.items()):
            if size > room and self._waiting:
                break
            del self._parked[key]
            room -= size
            self._wake((key,), Priority.MIDDLE)
        self._schedule()

    def _settle(
        self, key: str, batch: ExtractionInput, result: ExtractedData | ExtractionError
    ) -> Desired | ExtractionError:
        if isinstance(result, ExtractionError):
            self._known[key] = _Known(batch.inputs, error=result)
            return result
        desired = desire_extracted(batch, result, self._secret)
        self._known[key] = _Known(
            batch.inputs, desired.fingerprint, desired.keys, desired.overwritten
        )
        return desired


def _is_quick(batch: ExtractionInput, expressions: Expressions) -> bool:
    """Whether a batch may be extracted on the loop: all of it together, whatever the number."""
    documents = [i for i in batch.entries if not i.entry.plain]
    if len(batch.entries) > _QUICK_ENTRIES:
        return False
    if not is_quickly_checked(*(i.spec for i in documents)):
        return False
    size = sum(len(i.data or b"") for i in documents)
    return size <= QUICK_BYTES and all(
        is_quick(i.spec, i.data or b"", expressions) for i in documents
    )


def _extract_safely(
    batch: ExtractionInput, expressions: Expressions
) -> Steps[ExtractedData | ExtractionError]:
    """Extracts a batch; a fault of ours fails one object, not all of them."""
    try:
        return (yield from extract_all_steps(batch, expressions))
    except Exception as error:  # noqa: BLE001 (whatever it is, its text may quote the document)
        _log.error("documents not taken apart", error=describe_exception(error))
        return ExtractionError(
            None,
            Problem(
                Reason.NOT_A_DOCUMENT,
                "the documents could not be read, by a fault of secret-sync: "
                f"{type(error).__name__}; its log has the place, please report it",
            ),
        )


def _plain(batch: ExtractionInput) -> Desired | ExtractionError:
    """The Secret of values as they are; their keys were checked with the plan."""
    desired = desire_plain(batch)
    try:
        check_data(desired.data or {})
    except DefiniteError as error:
        return ExtractionError(None, problem_of(error))
    return desired
