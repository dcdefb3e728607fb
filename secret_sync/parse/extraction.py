"""Extraction of keys and values from one value, as an entry of an ExternalSecret specifies."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secret_sync.errors import DefiniteError
from secret_sync.parse.budget import Budget, ObjectBudget
from secret_sync.parse.codes import (
    DUPLICATE_KEY,
    INVALID_JMESPATH,
    MAX_BYTES,
    NOT_A_DOCUMENT,
    PATH_NOT_FOUND,
    TOO_COSTLY,
    TOO_LARGE,
    encoded,
    shown,
)
from secret_sync.parse.document import read_document
from secret_sync.parse.expressions import Expressions
from secret_sync.parse.keys import check_document_keys, check_names
from secret_sync.parse.paths import MAX_PATHS_LENGTH, Search, is_simple, not_found_hint
from secret_sync.parse.rules import MAX_RULES, check_rule, check_work, rename_steps
from secret_sync.parse.stepwise import run_to_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.parse.document import Document
    from secret_sync.parse.stepwise import Steps
    from secret_sync.parse.values import Value

#: JSON of this size is parsed in a fraction of a millisecond.
QUICK_BYTES: Final = 4096
#: Paths that are not worth a thread: one or two microseconds each.
QUICK_WORK: Final = 256
#: Likewise, instructions of all rules times bytes of the value: at worst a microsecond for twenty.
QUICK_SEARCH: Final = 20_000
#: A few sources of this form compile in microseconds: no classes, no repetition.
_PLAIN_SOURCE: Final = re.compile(r"[-\w^$./ ]{0,64}", re.ASCII)
_QUICK_RULES: Final = 16
_QUICK_CHARACTERS: Final = 1024
MAX_SELECTIONS: Final = 256
#: Characters of a value that cost as much as a step.
_CHARACTERS_PER_STEP: Final = 64


@dataclass(frozen=True, slots=True)
class Selection:
    """One item of `jmesPath`.

    Attributes:
        path: JMESPath expression.
        alias: The key under which the result is written.
    """

    path: str
    alias: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One item of `replaceRule`.

    Attributes:
        source: RE2 regular expression, searched for in a key.
        target: Replacement of each match, with ``$1``, ``${name}`` and ``$$``.
    """

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class ExtractionSpec:
    """What to extract from one value.

    Attributes:
        name: The only key of a plain spec, which writes the bytes as they are.
        selections: If any, only their aliases are written.
        extract: Without selections, all top-level keys are written.
        rules: Rename the keys of the selections or of `extract`.
        any_keys: Whether the keys need not be legal, because a template reads them.
    """

    name: str = ""
    selections: tuple[Selection, ...] = ()
    extract: bool = False
    rules: tuple[Rule, ...] = ()
    any_keys: bool = False

    @property
    def is_plain(self) -> bool:
        """Return whether the value is not parsed at all."""
        return not self.selections and not self.extract


def check_spec(spec: ExtractionSpec) -> None:
    """Check what can be checked without a value.

    Raises:
        DefiniteError: With code ``InvalidJMESPath``, ``InvalidRegex``, ``InvalidKey``,
            ``DuplicateKey`` or ``TooCostly``.
    """
    run_to_end(check_spec_steps(spec, Expressions()))


def check_spec_steps(spec: ExtractionSpec, expressions: Expressions) -> Steps[None]:
    """Check like `check_spec`, one expression at a time, and keep the compiled expressions."""
    if spec.is_plain:
        if not spec.any_keys:
            check_names([spec.name], "choose another one in the entry's `name`")
        return
    if len(spec.selections) > MAX_SELECTIONS or len(spec.rules) > MAX_RULES:
        raise DefiniteError(
            f"at most {MAX_SELECTIONS} items of `jmesPath` and {MAX_RULES} of `replaceRule` "
            "are allowed",
            code=TOO_COSTLY,
        )
    if sum(len(selection.path) for selection in spec.selections) > MAX_PATHS_LENGTH:
        raise DefiniteError(
            f"the paths of `jmesPath` have over {MAX_PATHS_LENGTH} characters together",
            code=TOO_COSTLY,
        )
    aliases: set[str] = set()
    for selection in spec.selections:
        _check_path(selection, expressions)
        if selection.alias in aliases:
            raise DefiniteError(
                f"two items of `jmesPath` have the objectAlias {shown(selection.alias)}",
                code=DUPLICATE_KEY,
            )
        aliases.add(selection.alias)
        yield
    _check_aliases(spec)
    for rule in spec.rules:
        check_rule(rule.source, rule.target)
        expressions.regex(rule.source)
        yield


def extract(spec: ExtractionSpec, data: bytes) -> dict[str, bytes]:
    """Extract the keys and values of a value.

    Raises:
        DefiniteError: With a code of `codes`; the message shows nothing of the value.
    """
    if spec.is_plain:
        return {spec.name: data}
    expressions = Expressions()
    run_to_end(check_spec_steps(spec, expressions))
    return run_to_end(extract_steps(spec, read_document(data), expressions, ObjectBudget()))


def extract_steps(
    spec: ExtractionSpec, document: Document, expressions: Expressions, budget: ObjectBudget
) -> Steps[dict[str, bytes]]:
    """Extract the keys and values of a document, one item at a time; the spec is checked already.

    Raises:
        DefiniteError: Like `extract`.
    """
    step = budget.step
    output = Budget(
        MAX_BYTES,
        f"the values have over {MAX_BYTES} bytes together, which is what a Secret holds",
        TOO_LARGE,
        also=lambda size: step(1 + size // _CHARACTERS_PER_STEP),
    )
    if spec.selections:
        found = yield from _selected(spec, document, expressions, step, output.take)
    else:
        found = yield from _extracted(document, output.take)
    keys = list(found)
    if spec.rules:
        check_work(keys, len(spec.rules))
        rules = [(expressions.regex(rule.source, step), rule.target) for rule in spec.rules]
        keys = yield from rename_steps(keys, rules, step)
    extracted = dict(zip(keys, found.values(), strict=True))
    if not spec.any_keys:
        check_document_keys(extracted)
    return extracted


def is_quick(spec: ExtractionSpec, data: bytes, expressions: Expressions | None = None) -> bool:
    """Return whether `extract` takes about a millisecond at most and may run on the event loop.

    Args:
        spec: What to extract from the value.
        data: The value.
        expressions: Expressions that are compiled already.
    """
    if spec.is_plain:
        return True
    if len(data) > QUICK_BYTES or len(spec.selections) > QUICK_WORK:
        return False
    known = expressions or Expressions()
    if not is_quickly_checked(spec):
        return False
    try:
        # YAML is a hundred times slower, so make sure that this is JSON.
        json.loads(data)
        instructions = sum(known.regex(rule.source).programsize for rule in spec.rules)
        return instructions * len(data) <= QUICK_SEARCH and all(
            is_simple(known.path(selection.path)) for selection in spec.selections
        )
    except (ValueError, RecursionError):
        return False
    except DefiniteError:
        # An invalid path is reported before anything is parsed.
        return True


def is_quickly_checked(*specs: ExtractionSpec) -> bool:
    """Return whether `check_spec` takes a few milliseconds at most for all of these."""
    rules = [rule for spec in specs for rule in spec.rules]
    if len(rules) > _QUICK_RULES or any(not _PLAIN_SOURCE.fullmatch(r.source) for r in rules):
        return False
    return sum(len(s.path) for r in specs for s in r.selections) <= _QUICK_CHARACTERS


def _check_path(selection: Selection, expressions: Expressions) -> None:
    if not selection.path:
        raise DefiniteError(
            f"the `path` of the objectAlias {shown(selection.alias)} is empty",
            code=INVALID_JMESPATH,
        )
    expressions.path(selection.path)


def _check_aliases(spec: ExtractionSpec) -> None:
    if spec.any_keys:
        return
    # With rules, an alias need not be legal yet; but an empty one may not match any rule.
    aliases = [s.alias for s in spec.selections if not spec.rules or not s.alias]
    check_names(aliases, "choose another `objectAlias`")


def _selected(
    spec: ExtractionSpec,
    document: Document,
    expressions: Expressions,
    step: Callable[[int], None],
    take: Callable[[int], None],
) -> Steps[dict[str, bytes]]:
    search = Search(document.root, expressions, step)
    found: dict[str, bytes] = {}
    for selection in spec.selections:
        value = search.find(selection.path)
        if value is None:
            raise _not_found(selection, document.root)
        found[selection.alias] = document.text_of(value, take)
        yield
    return found


def _not_found(selection: Selection, root: Value) -> DefiniteError:
    if not isinstance(root, (dict, list)):
        return DefiniteError(
            f"the path {shown(selection.path)} matches nothing: the value is {_kind(root)} and has "
            "no fields; remove `jmesPath` to write the whole value",
            code=NOT_A_DOCUMENT,
        )
    advice = not_found_hint(selection.path, root) or "correct or remove it"
    return DefiniteError(
        f"the path {shown(selection.path)} of the objectAlias {shown(selection.alias)} "
        f"matches nothing in the document, or null; {advice}",
        code=PATH_NOT_FOUND,
    )


def _kind(root: Value) -> str:
    if isinstance(root, bool):
        return "a single boolean"
    if root is None:
        return "null"
    return "a single string" if isinstance(root, str) else "a single number"


def _extracted(document: Document, take: Callable[[int], None]) -> Steps[dict[str, bytes]]:
    root = document.root
    if not isinstance(root, dict):
        kind = "a list" if isinstance(root, list) else _kind(root)
        raise DefiniteError(
            f"the document is {kind}; `extract` needs a mapping, whose keys it writes",
            code=NOT_A_DOCUMENT,
        )
    found: dict[str, bytes] = {}
    for key, value in root.items():
        encoded(key)
        # Plain strings as keys: the type that a YAML key had is not needed from here on.
        found[str(key)] = document.text_of(value, take)
        yield
    return found
