"""Takes documents apart, beside the control loop.

What takes no time is done at once. The rest is one thread's work, one object after another,
and the object is woken when it is done: a reconcile never waits for it, so that no document
keeps other objects waiting (C0).
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.controller.desired import (
    Desired,
    Mishap,
    cook_all,
    desire_cooked,
    desire_plain,
    gather,
)
from secret_sync.controller.problem import Problem
from secret_sync.controller.reasons import problem_of
from secret_sync.errors import DefiniteError
from secret_sync.logs import describe_exception
from secret_sync.parse import QUICK_BYTES, check_data, is_quick
from secret_sync.queue import Priority
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from secret_sync.controller.desired import (
        Batch,
        Cooked,
        Overwritten,
    )
    from secret_sync.controller.plan import Plan
    from secret_sync.resources import ExternalSecret
    from secret_sync.sources import Reading

#: Bytes of values that wait to be taken apart, all together.
CAPACITY: Final = 16 * 1024 * 1024

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """What became of a batch, without the values."""

    inputs: bytes
    fingerprint: bytes = b""
    keys: frozenset[str] = frozenset()
    overwritten: tuple[Overwritten, ...] = ()
    mishap: Mishap | None = None


class ParseDesk:
    """What documents are taken apart at.

    Args:
        wake: Told which object's documents have been taken apart.
    """

    def __init__(self, wake: Callable[[Iterable[str], Priority], None]) -> None:
        self._wake = wake
        # Digests of values that leave memory are keyed (A9).
        self._secret = secrets.token_bytes(32)
        self._known: dict[str, _Known] = {}
        # In the order of their arrival; a newer batch of an object takes the older one's place.
        self._waiting: dict[str, Batch] = {}
        # Those whose values would be too much to hold as well.
        self._later: dict[str, None] = {}
        self._finished: dict[str, tuple[bytes, Desired]] = {}
        self._work = asyncio.Event()

    def __repr__(self) -> str:
        """Counts, never contents."""
        return f"<{type(self).__name__} {len(self._waiting)} waiting>"

    def __len__(self) -> int:
        """Objects whose documents wait to be taken apart."""
        return len(self._waiting) + len(self._later)

    def desire(
        self, key: str, es: ExternalSecret, plan: Plan, readings: Sequence[Reading]
    ) -> tuple[Batch | None, Desired | Mishap | None]:
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
            return batch, None if batch.absent else self._cook(key, batch)
        if known.mishap is not None:
            return batch, known.mishap
        return batch, Desired(known.fingerprint, known.keys, None, batch.absent, known.overwritten)

    def values(self, key: str, batch: Batch) -> Desired | Mishap | None:
        """The Secret with its values, of a batch that is in hand; the object is woken later."""
        return _plain(batch) if batch.plain else self._cook(key, batch)

    def forget(self, key: str) -> None:
        """The object is gone, or wants nothing for now."""
        self._known.pop(key, None)
        self._waiting.pop(key, None)
        self._later.pop(key, None)
        self._finished.pop(key, None)

    async def run(self) -> None:
        """Takes apart what does not go at once, until cancelled."""
        while True:
            await self._work.wait()
            while self._waiting:
                key = next(iter(self._waiting))
                batch = self._waiting[key]
                result = await asyncio.to_thread(_cook_safely, batch)
                self._wake_later()
                if self._waiting.get(key) is not batch:
                    # Gone, or another batch by now.
                    continue
                del self._waiting[key]
                made = self._settle(key, batch, result)
                if isinstance(made, Desired):
                    self._finished[key] = (batch.inputs, made)
                self._wake((key,), Priority.HIGH)
            self._work.clear()

    def _take(self, key: str, batch: Batch) -> Desired | None:
        """What the thread made; handed out once, since it holds the values."""
        inputs, made = self._finished.pop(key, (b"", None))
        return made if inputs == batch.inputs else None

    def _cook(self, key: str, batch: Batch) -> Desired | Mishap | None:
        if _is_quick(batch):
            self._waiting.pop(key, None)
            return self._settle(key, batch, _cook_safely(batch))
        waiting = self._waiting.get(key)
        if waiting is None or waiting.inputs != batch.inputs:
            self._wait_for(key, batch)
        return None

    def _wait_for(self, key: str, batch: Batch) -> None:
        held = sum(waiting.size for waiting in self._waiting.values())
        if self._waiting and held + batch.size > CAPACITY:
            # Without its values: it is woken, and brings them again.
            self._later[key] = None
            return
        self._waiting[key] = batch
        self._work.set()

    def _wake_later(self) -> None:
        if self._later:
            key = next(iter(self._later))
            del self._later[key]
            self._wake((key,), Priority.MIDDLE)

    def _settle(self, key: str, batch: Batch, result: Cooked | Mishap) -> Desired | Mishap:
        if isinstance(result, Mishap):
            self._known[key] = _Known(batch.inputs, mishap=result)
            return result
        desired = desire_cooked(batch, result, self._secret)
        self._known[key] = _Known(
            batch.inputs, desired.fingerprint, desired.keys, desired.overwritten
        )
        return desired


def _is_quick(batch: Batch) -> bool:
    """Whether a batch may be taken apart on the loop: all of it together, whatever the number."""
    documents = [i for i in batch.ingredients if not i.entry.plain]
    size = sum(len(i.data or b"") for i in documents)
    return size <= QUICK_BYTES and all(is_quick(i.recipe, i.data or b"") for i in documents)


def _cook_safely(batch: Batch) -> Cooked | Mishap:
    """Takes a batch apart; a fault of ours is a mishap of one object, not the end of all."""
    try:
        return cook_all(batch)
    except Exception as error:  # noqa: BLE001 (whatever it is, its text may quote the document)
        _log.error("documents not taken apart", error=describe_exception(error))
        return Mishap(
            None,
            Problem(
                Reason.NOT_A_DOCUMENT,
                "the documents could not be read, by a fault of secret-sync: "
                f"{type(error).__name__}; its log has the place, please report it",
            ),
        )


def _plain(batch: Batch) -> Desired | Mishap:
    """The Secret of values as they are; their keys were checked with the plan."""
    desired = desire_plain(batch)
    try:
        check_data(desired.data or {})
    except DefiniteError as error:
        return Mishap(None, problem_of(error))
    return desired
