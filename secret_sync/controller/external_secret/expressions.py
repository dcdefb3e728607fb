"""Checks and compiles the expressions of ExternalSecrets, each generation of one once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from secret_sync.controller.external_secret.quick_rendering import is_quickly_parsed
from secret_sync.controller.external_secret.rendering import check_template_steps
from secret_sync.controller.reasons import problem_of
from secret_sync.controller.sync import Problem
from secret_sync.errors import DefiniteError
from secret_sync.logs import describe_exception
from secret_sync.parse import (
    Expressions,
    ExtractionSpec,
    Rule,
    Selection,
    check_spec_steps,
    is_quickly_checked,
    run_to_end,
)
from secret_sync.queue import Priority
from secret_sync.resources import Reason
from secret_sync.resources.meta import object_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from secret_sync.parse import Steps
    from secret_sync.queue import TimeSlicedWorker
    from secret_sync.resources import DataEntry, ExternalSecret
    from secret_sync.resources.template import SecretTemplate

_log = structlog.get_logger(__name__)

#: Bytes of compiled expressions of all objects. The least recently used ones are compiled again
#: when their documents change.
CAPACITY: Final = 32 * 1024 * 1024
#: The index of the template among the entries of an object.
TEMPLATE: Final = -1


class ExpressionChecker(Protocol):
    """Says which entries of an object have expressions that cannot be used."""

    def check(self, es: ExternalSecret) -> Mapping[int, Problem] | None:
        """Return the problems by the index of their entry; ``None`` while they are looked for.

        That of the template has the index ``TEMPLATE``.
        """
        ...

    def forget(self, key: str) -> None:
        """Drop all that is known of an object."""
        ...


class ImmediateChecker:
    """Checks at once, where nothing else waits for it."""

    def check(self, es: ExternalSecret) -> Mapping[int, Problem]:
        """Return the problems by the index of their entry."""
        return run_to_end(_check(es, Expressions()))

    def forget(self, key: str) -> None:
        """Do nothing, since nothing is kept."""


@dataclass(slots=True)
class _Checked:
    """One generation of one object.

    Attributes:
        problems: By the index of their entry; ``None`` while they are looked for.
    """

    uid: str
    generation: int
    problems: Mapping[int, Problem] | None = None

    def is_of(self, es: ExternalSecret) -> bool:
        """Return whether it is about this generation of this very object."""
        return self.uid == es.uid and self.generation == es.generation


class ExpressionCompiler:
    """Compiles beside the event loop what is not trivially small.

    Args:
        worker: Does that.
        enqueue: Called with objects whose expressions were compiled.
    """

    def __init__(
        self, worker: TimeSlicedWorker, enqueue: Callable[[Iterable[str], Priority], None]
    ) -> None:
        self._worker = worker
        self._enqueue = enqueue
        self._checked: dict[str, _Checked] = {}
        self._compiled: OrderedDict[str, Expressions] = OrderedDict()
        self._size = 0

    def check(self, es: ExternalSecret) -> Mapping[int, Problem] | None:
        """Return the problems by the index of their entry; ``None`` while they are looked for.

        The object is enqueued when they are known.
        """
        key = object_key(es.namespace, es.name)
        template = es.template
        if template is None and all(entry.plain for entry in es.entries):
            self.forget(key)
            return {}
        checked = self._checked.get(key)
        if checked is not None and checked.is_of(es):
            return checked.problems
        self.forget(key)
        checked = self._checked[key] = _Checked(es.uid, es.generation)
        expressions = Expressions()
        steps = _check(es, expressions)
        quick = is_quickly_checked(*(extraction_spec_of(entry) for entry in es.entries))
        if quick and (template is None or is_quickly_parsed(template)):
            # What compiles in no time is not worth its memory, and most objects are like that.
            checked.problems = run_to_end(steps)
            return checked.problems

        def finished(problems: Mapping[int, Problem]) -> None:
            checked.problems = problems
            self._keep(key, expressions)
            self._enqueue((key,), Priority.HIGH)

        # With us in it, since other compilers share the worker, for objects of the same name.
        self._worker.add(es.namespace, (self, key), steps, finished)
        return None

    def of(self, key: str) -> Expressions:
        """Return the compiled expressions of an object, as far as they are kept."""
        compiled = self._compiled.get(key)
        if compiled is None:
            return Expressions()
        self._compiled.move_to_end(key)
        return compiled

    def forget(self, key: str) -> None:
        """Drop all that is known of an object."""
        if (compiled := self._compiled.pop(key, None)) is not None:
            self._size -= compiled.size
        if self._checked.pop(key, None) is not None:
            self._worker.drop(key.partition("/")[0], (self, key))

    def _keep(self, key: str, expressions: Expressions) -> None:
        self._compiled[key] = expressions
        self._size += expressions.size
        while self._size > CAPACITY:
            _, dropped = self._compiled.popitem(last=False)
            self._size -= dropped.size


def extraction_spec_of(entry: DataEntry, *, rendered: bool = False) -> ExtractionSpec:
    """Return how the entry's value is extracted.

    Args:
        entry: The entry.
        rendered: Whether a template makes the Secret of what it gives.
    """
    if entry.plain:
        return ExtractionSpec(name=entry.name, any_keys=rendered)
    return ExtractionSpec(
        selections=tuple(Selection(path, alias) for path, alias in entry.picks),
        extract=entry.extract,
        rules=tuple(Rule(source, target) for source, target in entry.rules),
        any_keys=rendered,
    )


def _check(es: ExternalSecret, expressions: Expressions) -> Steps[dict[int, Problem]]:
    problems = {}
    for index, entry in enumerate(es.entries):
        if entry.plain:
            continue
        try:
            spec = extraction_spec_of(entry, rendered=es.template is not None)
            yield from check_spec_steps(spec, expressions)
        except DefiniteError as error:
            known = problem_of(error)
            problems[index] = replace(known, message=f"entry {entry.key!r}: {known.message}")
        except Exception as error:  # noqa: BLE001 (a fault of ours harms one object)
            _log.error("expressions not compiled", error=describe_exception(error))
            problems[index] = Problem(
                Reason.INVALID_SPEC,
                f"entry {entry.key!r}: its expressions could not be compiled, by a fault of "
                f"secret-sync: {type(error).__name__}; its log has the place, please report it",
            )
    if es.template is not None and (problem := (yield from _check_template(es.template))):
        problems[TEMPLATE] = problem
    return problems


def _check_template(template: SecretTemplate) -> Steps[Problem | None]:
    try:
        return (yield from check_template_steps(template))
    except Exception as error:  # noqa: BLE001 (a fault of ours harms one object)
        _log.error("template not parsed", error=describe_exception(error))
        return Problem(
            Reason.TEMPLATE_INVALID,
            "spec.target.template could not be parsed, by a fault of secret-sync: "
            f"{type(error).__name__}; its log has the place, please report it",
        )
