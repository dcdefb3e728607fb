"""What an ExternalSecret asks to be made of one value, and the making of it."""

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

#: JSON of this size is read in a fraction of a millisecond.
QUICK_BYTES: Final = 4096
#: Paths that are not worth a thread; a microsecond or two each.
QUICK_WORK: Final = 256
#: Instructions of all rules times bytes of the value, likewise; twenty take a microsecond at worst.
QUICK_SEARCH: Final = 20_000
#: Sources of this form, in this number, are compiled in microseconds: no classes, no repetition.
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
        alias: The key under which what it finds is written.
    """

    path: str
    alias: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One item of `replaceRule`.

    Attributes:
        source: Regular expression of RE2, searched in a key.
        target: What each match becomes; knows ``$1``, ``${name}`` and ``$$``.
    """

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to make of one value.

    Attributes:
        name: Of a plain recipe, which writes one key with the bytes as they are.
        selections: If any, only their aliases are written.
        extract: Without selections: all top-level keys are written.
        rules: Rename what selections or extract gave.
    """

    name: str = ""
    selections: tuple[Selection, ...] = ()
    extract: bool = False
    rules: tuple[Rule, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the value is not read at all."""
        return not self.selections and not self.extract


def check_recipe(recipe: Recipe) -> None:
    """Checks what can be known without a value.

    Raises:
        DefiniteError: With code ``InvalidJMESPath``, ``InvalidRegex``, ``InvalidKey``,
            ``DuplicateKey`` or ``TooCostly``.
    """
    run_to_end(check_steps(recipe, Expressions()))


def check_steps(recipe: Recipe, expressions: Expressions) -> Steps[None]:
    """Do what `check_recipe` does, one expression at a time, and keep what was compiled."""
    if recipe.is_plain:
        check_names([recipe.name], "write another one in the entry's `name`")
        return
    if len(recipe.selections) > MAX_SELECTIONS or len(recipe.rules) > MAX_RULES:
        raise DefiniteError(
            f"at most {MAX_SELECTIONS} items of `jmesPath` and {MAX_RULES} of `replaceRule` "
            "are allowed",
            code=TOO_COSTLY,
        )
    if sum(len(selection.path) for selection in recipe.selections) > MAX_PATHS_LENGTH:
        raise DefiniteError(
            f"the paths of `jmesPath` have over {MAX_PATHS_LENGTH} characters together",
            code=TOO_COSTLY,
        )
    aliases: set[str] = set()
    for selection in recipe.selections:
        _check_path(selection, expressions)
        if selection.alias in aliases:
            raise DefiniteError(
                f"two items of `jmesPath` have the objectAlias {shown(selection.alias)}",
                code=DUPLICATE_KEY,
            )
        aliases.add(selection.alias)
        yield
    _check_aliases(recipe)
    for rule in recipe.rules:
        check_rule(rule.source, rule.target)
        expressions.regex(rule.source)
        yield


def cook(recipe: Recipe, data: bytes) -> dict[str, bytes]:
    """The keys and values that the recipe makes of a value.

    Raises:
        DefiniteError: See the codes of this room; never shows anything of a value.
    """
    if recipe.is_plain:
        return {recipe.name: data}
    expressions = Expressions()
    run_to_end(check_steps(recipe, expressions))
    return run_to_end(cook_steps(recipe, read_document(data), expressions, ObjectBudget()))


def cook_steps(
    recipe: Recipe, document: Document, expressions: Expressions, budget: ObjectBudget
) -> Steps[dict[str, bytes]]:
    """Return the keys and values that a checked recipe makes of a document.

    Raises:
        DefiniteError: As `cook` does.
    """
    step = budget.step
    room = Budget(
        MAX_BYTES,
        f"the values have over {MAX_BYTES} bytes together, which is what a Secret holds",
        TOO_LARGE,
        also=lambda size: step(1 + size // _CHARACTERS_PER_STEP),
    )
    if recipe.selections:
        found = yield from _selected(recipe, document, expressions, step, room.take)
    else:
        found = yield from _extracted(document, room.take)
    keys = list(found)
    if recipe.rules:
        check_work(keys, len(recipe.rules))
        rules = [(expressions.regex(rule.source, step), rule.target) for rule in recipe.rules]
        keys = yield from rename_steps(keys, rules, step)
    cooked = dict(zip(keys, found.values(), strict=True))
    check_document_keys(cooked)
    return cooked


def is_quick(recipe: Recipe, data: bytes, expressions: Expressions | None = None) -> bool:
    """Whether `cook` takes about a millisecond at most and may run on the event loop.

    Args:
        recipe: What to make of the value.
        data: The value.
        expressions: Those of the recipe, as far as they are compiled already.
    """
    if recipe.is_plain:
        return True
    if len(data) > QUICK_BYTES or len(recipe.selections) > QUICK_WORK:
        return False
    known = expressions or Expressions()
    if not is_quickly_checked(recipe):
        return False
    try:
        # YAML is a hundred times slower, so it must be known that this is none.
        json.loads(data)
        instructions = sum(known.regex(rule.source).programsize for rule in recipe.rules)
        return instructions * len(data) <= QUICK_SEARCH and all(
            is_simple(known.path(selection.path)) for selection in recipe.selections
        )
    except (ValueError, RecursionError):
        return False
    except DefiniteError:
        # A bad path is told before anything is read.
        return True


def is_quickly_checked(*recipes: Recipe) -> bool:
    """Whether `check_recipe` takes a few milliseconds at most for all of these."""
    rules = [rule for recipe in recipes for rule in recipe.rules]
    if len(rules) > _QUICK_RULES or any(not _PLAIN_SOURCE.fullmatch(r.source) for r in rules):
        return False
    return sum(len(s.path) for r in recipes for s in r.selections) <= _QUICK_CHARACTERS


def _check_path(selection: Selection, expressions: Expressions) -> None:
    if not selection.path:
        raise DefiniteError(
            f"the `path` of the objectAlias {shown(selection.alias)} is empty",
            code=INVALID_JMESPATH,
        )
    expressions.path(selection.path)


def _check_aliases(recipe: Recipe) -> None:
    # With rules, an alias need not be legal yet; but nothing renames an empty one for certain.
    aliases = [s.alias for s in recipe.selections if not recipe.rules or not s.alias]
    check_names(aliases, "write another `objectAlias`")


def _selected(
    recipe: Recipe,
    document: Document,
    expressions: Expressions,
    step: Callable[[int], None],
    take: Callable[[int], None],
) -> Steps[dict[str, bytes]]:
    search = Search(document.root, expressions, step)
    found: dict[str, bytes] = {}
    for selection in recipe.selections:
        value = search.find(selection.path)
        if value is None:
            raise _not_found(selection, document.root)
        found[selection.alias] = document.text_of(value, take)
        yield
    return found


def _not_found(selection: Selection, root: Value) -> DefiniteError:
    if not isinstance(root, (dict, list)):
        return DefiniteError(
            f"the path {shown(selection.path)} finds nothing: the value is {_kind(root)} and has "
            "no fields; remove `jmesPath` to write it whole",
            code=NOT_A_DOCUMENT,
        )
    advice = not_found_hint(selection.path, root) or "correct it or take it out"
    return DefiniteError(
        f"the path {shown(selection.path)} of the objectAlias {shown(selection.alias)} "
        f"finds nothing in the document, or null; {advice}",
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
            f"the document is {kind}; `extract` needs a mapping, whose keys it can write",
            code=NOT_A_DOCUMENT,
        )
    found: dict[str, bytes] = {}
    for key, value in root.items():
        encoded(key)
        # Plain strings as keys: what YAML knows of a key beyond its text ends here.
        found[str(key)] = document.text_of(value, take)
        yield
    return found
