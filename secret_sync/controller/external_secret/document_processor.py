"""Extracts keys and values from documents and renders templates, beside the control loop.

What takes no time is done at once. The rest is the work of a thread in which namespaces take
turns, and the object is enqueued when it is done: a reconcile never waits for it, so that no
document keeps other objects waiting.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from secret_sync.controller.external_secret.desired import (
    Desired,
    build_extracted,
    build_plain,
)
from secret_sync.controller.external_secret.extraction import (
    ExtractionError,
    collect_inputs,
    extract_all_steps,
)
from secret_sync.controller.external_secret.quick_rendering import is_quickly_rendered
from secret_sync.controller.external_secret.rendering import render_steps
from secret_sync.controller.external_secret.state import Extracted
from secret_sync.controller.reasons import problem_of
from secret_sync.controller.sync import Problem
from secret_sync.errors import DefiniteError
from secret_sync.logs import describe_exception
from secret_sync.parse import QUICK_BYTES, check_data, is_quick, is_quickly_checked, run_to_end
from secret_sync.queue import Priority
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from secret_sync.controller.external_secret.expressions import ExpressionCompiler
    from secret_sync.controller.external_secret.extraction import ExtractionInput
    from secret_sync.controller.external_secret.planner import Plan
    from secret_sync.controller.external_secret.rendering import Rendered
    from secret_sync.controller.external_secret.state import SyncState
    from secret_sync.controller.external_secret.template_inputs import TemplateInputs
    from secret_sync.controller.sync import SyncContext
    from secret_sync.parse import Expressions, Steps
    from secret_sync.queue import TimeSlicedWorker
    from secret_sync.sources import SourceSnapshot

#: Bytes of values that wait to be parsed and of what was made of them, all together; one object of
#: each namespace gets in whatever the others have there, unless results alone are as much.
CAPACITY: Final = 16 * 1024 * 1024
#: Bytes that an object may make of nothing; charged before it starts, since it cannot be stopped.
RESERVED: Final = 1024 * 1024
#: Bytes that a key takes beside its value.
_OVERHEAD: Final = 128
#: Seconds after which an object that found no room is enqueued, whatever those before it do.
PARKED_FOR: Final = 1.0
#: Entries of an object that may be extracted at once.
_QUICK_ENTRIES: Final = 64

_log = structlog.get_logger(__name__)


class _Result(NamedTuple):
    """What the thread made, until the next sync takes it; it holds the values.

    Attributes:
        digest: Of the inputs.
    """

    digest: bytes
    made: Desired
    size: int

    def __repr__(self) -> str:
        """Omit the values."""
        return f"_Result({self.size} bytes)"


class DocumentProcessor:
    """Makes Secrets of documents.

    Invariant: as long as an object is parked for want of room, its enqueueing is scheduled.

    Args:
        worker: Does what takes time.
        expressions: The compiled ones of each object.
        enqueue: Called with objects whose documents were parsed, or for which there is room.
        templates: What templates need beside the values.
    """

    def __init__(
        self,
        worker: TimeSlicedWorker,
        expressions: ExpressionCompiler,
        enqueue: Callable[[Iterable[str], Priority], None],
        templates: TemplateInputs,
    ) -> None:
        self._worker = worker
        self._expressions = expressions
        self._enqueue = enqueue
        self._templates = templates
        # Digests of values that leave memory are keyed.
        self._secret = secrets.token_bytes(32)
        # Newer inputs of an object take the place of older ones.
        self._waiting: dict[str, ExtractionInput] = {}
        self._results: dict[str, _Result] = {}
        # Bytes of those that wait, with what they may make, and of results.
        self._held = 0
        self._unclaimed = 0
        # Those whose values would be too much to hold as well, with their sizes.
        self._parked: dict[str, int] = {}
        self._retry: asyncio.TimerHandle | None = None
        # Those for which hashes have been computed.
        self._hashed: set[str] = set()

    def __repr__(self) -> str:
        """Show counts, never contents."""
        return f"<{type(self).__name__} {len(self._waiting)} waiting, {self._held} bytes>"

    def __len__(self) -> int:
        """Objects whose documents wait to be parsed."""
        return len(self._waiting) + len(self._parked)

    def build_desired(
        self, ctx: SyncContext, plan: Plan, readings: Sequence[SourceSnapshot]
    ) -> tuple[ExtractionInput | None, Desired | ExtractionError | None]:
        """Build the Secret that these readings make.

        Returns:
            The inputs, ``None`` before all has been read once; and what it makes, ``None`` as
            long as that is not known. The values may be missing, since most often they are
            not needed; see :meth:`values`.
        """
        # Whatever it is good for: nobody else takes it.
        result = self._take(ctx.key)
        inputs = collect_inputs(ctx.es, plan, readings)
        if inputs is None:
            return None, None
        if ctx.es.template is not None:
            template = self._templates.of(ctx, ctx.es.template)
            inputs = replace(inputs, template=template)
            asked_at = ctx.state.asked_at
            if asked_at is not None and asked_at[0] == inputs.digest:
                inputs = replace(inputs, template=replace(template, now=asked_at[1]))
        if inputs.plain:
            return inputs, _plain(inputs)
        known = ctx.state.extracted
        if known is None or known.digest != inputs.digest:
            start = not (inputs.absent or inputs.lacks_texts)
            return inputs, self._extract(ctx, inputs) if start else None
        if result is not None and result.digest == inputs.digest:
            return inputs, result.made
        if known.error is not None:
            return inputs, known.error
        return inputs, Desired(
            known.fingerprint,
            known.keys,
            None,
            inputs.absent,
            known.overwritten,
            named=known.named,
            clock=known.clock,
        )

    def is_waiting(self, key: str, inputs: ExtractionInput) -> bool:
        """Return whether an object is enqueued when these inputs have been worked on."""
        waiting = self._waiting.get(key)
        return waiting is not None and waiting.digest == inputs.digest

    def values(self, ctx: SyncContext, inputs: ExtractionInput) -> Desired | ExtractionError | None:
        """Build the Secret with its values; ``None`` if the object is enqueued with them later."""
        return _plain(inputs) if inputs.plain else self._extract(ctx, inputs)

    def cancel(self, key: str) -> None:
        """Extract nothing for an object that is gone, or that needs nothing for now."""
        self._drop(key)
        self._take(key)
        if key in self._hashed:
            self._hashed.discard(key)
            self._templates.hashes.cancel(key)

    def _drop(self, key: str) -> None:
        self._parked.pop(key, None)
        inputs = self._waiting.pop(key, None)
        if inputs is not None:
            self._held -= inputs.size + RESERVED
            self._worker.drop(key.partition("/")[0], ("documents", key))
            self._wake_parked()

    def _take(self, key: str) -> _Result | None:
        """Take what the thread made; its room is free again."""
        result = self._results.pop(key, None)
        if result is not None:
            self._held -= result.size
            self._unclaimed -= result.size
            self._wake_parked()
        return result

    def _keep(self, key: str, digest: bytes, made: Desired) -> None:
        rendered = ((made.data or {}), made.metadata.labels, made.metadata.annotations)
        size = sum(_OVERHEAD + len(k) + len(v) for each in rendered for k, v in each.items())
        result = _Result(digest, made, size)
        self._results[key] = result
        self._held += result.size
        self._unclaimed += result.size

    def _extract(
        self, ctx: SyncContext, inputs: ExtractionInput
    ) -> Desired | ExtractionError | None:
        if self.is_waiting(ctx.key, inputs):
            return None
        expressions = self._expressions.of(ctx.key)
        if _is_quick(inputs, expressions):
            result = run_to_end(_make_safely(inputs, expressions, self._secret, quick=True))
            if inputs.template is None or not _is_too_costly(result):
                self._drop(ctx.key)
                return self._settle(ctx.key, ctx.state, inputs, result)
        self._enter(ctx, inputs, expressions)
        return None

    def _enter(self, ctx: SyncContext, inputs: ExtractionInput, expressions: Expressions) -> None:
        """Extract in the thread, or park the object: it is enqueued once there is room."""
        key, state = ctx.key, ctx.state
        if not self.admits(key, inputs):
            return

        def finished(result: Rendered) -> None:
            made = self._settle(key, state, inputs, result)
            if isinstance(made, Desired):
                self._keep(key, inputs.digest, made)
            self._drop(key)
            if made is not None:
                self._enqueue((key,), Priority.HIGH)

        self._waiting[key] = inputs
        self._held += inputs.size + RESERVED
        steps = _make_safely(inputs, expressions, self._secret)
        self._worker.add(key.partition("/")[0], ("documents", key), steps, finished)

    def admits(self, key: str, inputs: ExtractionInput) -> bool:
        """Return whether there is room for an object; park it if not."""
        self._drop(key)
        self._take(key)
        size = inputs.size + RESERVED
        full = self._held + size > CAPACITY and self._has_share(key.partition("/")[0])
        if full or self._unclaimed > CAPACITY:
            self._parked[key] = size
            self._schedule()
            return False
        return True

    def _has_share(self, namespace: str) -> bool:
        """Return whether something of a namespace is in the thread, or comes from there."""
        return self._worker.is_busy(namespace) or any(
            key.partition("/")[0] == namespace for key in self._results
        )

    def _schedule(self) -> None:
        """Schedule the enqueueing of parked objects, in case nothing else happens.

        One that was enqueued may start nothing: it is gone, or its values are.
        """
        if self._parked and self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(PARKED_FOR, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._wake_parked()

    def _wake_parked(self) -> None:
        """Enqueue as many as there is room for; at least one, if nothing is under way."""
        room, under_way = CAPACITY - self._held, bool(self._waiting)
        for key, size in list(self._parked.items()):
            if size > room and under_way:
                break
            under_way = True
            del self._parked[key]
            room -= size
            self._enqueue((key,), Priority.MIDDLE)
        self._schedule()

    def _settle(
        self, key: str, state: SyncState, inputs: ExtractionInput, result: Rendered
    ) -> Desired | ExtractionError | None:
        """Keep what was made; ``None`` if hashes come first, after which the object is enqueued."""
        state.asked_at = None
        if isinstance(result, ExtractionError):
            state.extracted = Extracted(inputs.digest, error=result)
            return result
        if not isinstance(result, Desired):
            if inputs.template is not None:
                state.asked_at = inputs.digest, inputs.template.now
            self._hashed.add(key)
            self._templates.hashes.compute(key, result.requests)
            return None
        state.extracted = Extracted(
            inputs.digest,
            result.fingerprint,
            result.keys,
            result.overwritten,
            result.named,
            result.clock,
        )
        return result


def _is_quick(inputs: ExtractionInput, expressions: Expressions) -> bool:
    """Return whether all values together are small enough to be extracted on the loop."""
    documents = [i for i in inputs.entries if not i.entry.plain]
    if len(inputs.entries) > _QUICK_ENTRIES:
        return False
    if not is_quickly_checked(*(i.spec for i in documents)):
        return False
    if inputs.template is not None and not is_quickly_rendered(inputs.template, inputs.size):
        return False
    size = sum(len(i.data or b"") for i in documents)
    return size <= QUICK_BYTES and all(
        is_quick(i.spec, i.data or b"", expressions) for i in documents
    )


def _is_too_costly(result: Rendered) -> bool:
    return isinstance(result, ExtractionError) and result.problem.reason is Reason.TOO_COSTLY


def _make_safely(
    inputs: ExtractionInput, expressions: Expressions, secret: bytes, *, quick: bool = False
) -> Steps[Rendered]:
    """Make the Secret; a bug of ours fails one object, not all of them.

    Args:
        inputs: All that it is made of.
        expressions: Those of the object.
        secret: The key of fingerprints.
        quick: Whether templates have to be rendered within the limits of the event loop.
    """
    rendering = False
    try:
        extracted = yield from extract_all_steps(inputs, expressions)
        if isinstance(extracted, ExtractionError):
            return extracted
        if inputs.template is None:
            return build_extracted(inputs, extracted, secret)
        rendering = True
        make = partial(build_extracted, inputs, secret=secret)
        return (yield from render_steps(inputs.template, extracted, make, quick=quick))
    except Exception as error:  # noqa: BLE001 (whatever it is, its text may quote a value)
        _log.error("documents not parsed", error=describe_exception(error))
        if rendering:
            problem = Problem(
                Reason.TEMPLATE_FAILED,
                "spec.target.template could not be rendered, by a fault of secret-sync: "
                f"{type(error).__name__}; its log has the place, please report it",
            )
        else:
            problem = Problem(
                Reason.NOT_A_DOCUMENT,
                "the documents could not be read, by a fault of secret-sync: "
                f"{type(error).__name__}; its log has the place, please report it",
            )
        return ExtractionError(None, problem)


def _plain(inputs: ExtractionInput) -> Desired | ExtractionError:
    """Build the Secret from values as they are; their keys were checked with the plan."""
    desired = build_plain(inputs)
    try:
        check_data(desired.data or {})
    except DefiniteError as error:
        return ExtractionError(None, problem_of(error))
    return desired
