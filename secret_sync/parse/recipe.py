"""What an ExternalSecret asks to be made of one value, and the making of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secret_sync.errors import DefiniteError
from secret_sync.parse.budget import Budget
from secret_sync.parse.codes import (
    DUPLICATE_KEY,
    INVALID_JMESPATH,
    INVALID_KEY,
    MAX_BYTES,
    NOT_A_DOCUMENT,
    PATH_NOT_FOUND,
    TOO_COSTLY,
    TOO_LARGE,
    is_shown_whole,
    shown,
)
from secret_sync.parse.document import read_document
from secret_sync.parse.keys import key_problem, legal_key
from secret_sync.parse.paths import MAX_PATHS_LENGTH, Search, compiled, is_simple
from secret_sync.parse.rules import MAX_RULES, check_rule, escaped, rename

if TYPE_CHECKING:
    from secret_sync.parse.document import Document

#: JSON of this size is read in a fraction of a millisecond.
QUICK_BYTES: Final = 4096
#: Paths, or rules times keys, that are not worth a thread; a microsecond or two each.
QUICK_WORK: Final = 256
MAX_SELECTIONS: Final = 256


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
    if recipe.is_plain:
        _check_name(recipe.name, "the entry's `name`")
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
        _check_selection(selection, renamed=bool(recipe.rules))
        if selection.alias in aliases:
            raise DefiniteError(
                f"two items of `jmesPath` have the objectAlias {shown(selection.alias)}",
                code=DUPLICATE_KEY,
            )
        aliases.add(selection.alias)
    for rule in recipe.rules:
        check_rule(rule.source, rule.target)


def cook(recipe: Recipe, data: bytes) -> dict[str, bytes]:
    """The keys and values that the recipe makes of a value.

    Raises:
        DefiniteError: See the codes of this room; never shows anything of a value.
    """
    if recipe.is_plain:
        return {recipe.name: data}
    check_recipe(recipe)
    document = read_document(data)
    found = _selected(recipe, document) if recipe.selections else _extracted(document)
    rules = [(rule.source, rule.target) for rule in recipe.rules]
    keys = rename(list(found), rules) if rules else list(found)
    cooked = dict(zip(keys, found.values(), strict=True))
    _check_keys(cooked)
    return cooked


def is_quick(recipe: Recipe, data: bytes) -> bool:
    """Whether `cook` takes about a millisecond at most and may run on the event loop."""
    if recipe.is_plain:
        return True
    if len(data) > QUICK_BYTES or len(recipe.selections) > QUICK_WORK:
        return False
    if len(recipe.rules) * data.count(b":") > QUICK_WORK:
        return False
    try:
        # YAML is a hundred times slower, so it must be known that this is none.
        json.loads(data)
        return all(is_simple(selection.path) for selection in recipe.selections)
    except (ValueError, RecursionError):
        return False
    except DefiniteError:
        # A bad path is told before anything is read.
        return True


def _check_selection(selection: Selection, *, renamed: bool) -> None:
    if not selection.path:
        raise DefiniteError(
            f"the `path` of the objectAlias {shown(selection.alias)} is empty",
            code=INVALID_JMESPATH,
        )
    compiled(selection.path)
    if not renamed or not selection.alias:
        _check_name(selection.alias, f"the `objectAlias` of the path {shown(selection.path)}")


def _check_name(name: str, what: str) -> None:
    problem = key_problem(name)
    if problem:
        raise DefiniteError(
            f"{shown(name)} cannot be a key of a Secret: {problem}; change {what}",
            code=INVALID_KEY,
        )


def _selected(recipe: Recipe, document: Document) -> dict[str, bytes]:
    search = Search(document.root)
    room = _room()
    found: dict[str, bytes] = {}
    for selection in recipe.selections:
        value = search.find(selection.path)
        if value is None:
            raise DefiniteError(
                f"the path {shown(selection.path)} of the objectAlias {shown(selection.alias)} "
                "finds nothing in the document, or null; correct it or take it out",
                code=PATH_NOT_FOUND,
            )
        found[selection.alias] = document.text_of(value, room.take)
    return found


def _extracted(document: Document) -> dict[str, bytes]:
    root = document.root
    if not isinstance(root, dict):
        kind = "a list" if isinstance(root, list) else "a single value"
        raise DefiniteError(
            f"the document is {kind}; `extract` needs a mapping, whose keys it can write",
            code=NOT_A_DOCUMENT,
        )
    room = _room()
    # Plain strings as keys: what YAML knows of a key beyond its text ends here.
    return {str(key): document.text_of(value, room.take) for key, value in root.items()}


def _room() -> Budget:
    """What the values of one recipe may have together, in characters."""
    return Budget(
        MAX_BYTES,
        f"the values have over {MAX_BYTES} bytes together, which is what a Secret holds",
        TOO_LARGE,
    )


def _check_keys(cooked: dict[str, bytes]) -> None:
    illegal = [key for key in cooked if key_problem(key)]
    if not illegal:
        return
    key = illegal[0]
    others = f" (and {len(illegal) - 1} more)" if len(illegal) > 1 else ""
    raise DefiniteError(
        f"{shown(key)}{others} cannot be a key of a Secret: {key_problem(key)}; "
        + _suggestion(key, cooked),
        code=INVALID_KEY,
    )


def _suggestion(key: str, cooked: dict[str, bytes]) -> str:
    if not is_shown_whole(key):
        return "rename it with a `replaceRule`"
    # JSON's quotes are YAML's too, so that it can be copied.
    source = json.dumps(f"^{escaped(key)}$", ensure_ascii=False)
    target = json.dumps(legal_key(key, cooked))
    return f"add to its `replaceRule`: source: {source}, target: {target}"
