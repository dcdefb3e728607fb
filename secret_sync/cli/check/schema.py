"""A structural validator: what the API server says of a value, as far as our CRDs need it.

It gives back what the API server would keep, so that what is right can be looked at further.
No value is shown, apart from words of a closed list: somebody may have written an AccessKey
where a reference belongs.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.check.findings import Word
from secret_sync.cli.check.scalars import Number

if TYPE_CHECKING:
    from secret_sync.cli.check.findings import Path

_WORDS: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
}
#: What stands for a value that is not what it should be; lists keep their numbering so.
_NOTHING: Final[dict[str, Any]] = {"object": {}, "array": [], "string": "", "boolean": False}

#: The one form of rule that our CRDs have: a text that is empty or matches.
_RULE: Final = re.compile(r"self == '' \|\| self\.matches\('(?P<regex>[^']+)'\)")
_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a field."""

    path: Path
    message: str
    word: Word = Word.INVALID


class Validator:
    """Reads values by a schema.

    Args:
        root: The schema of the whole object, for where fields belong.

    Attributes:
        faults: What was found.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self.faults: list[Fault] = []

    def read(self, schema: dict[str, Any], value: Any, path: Path) -> Any:
        """The value as far as it is right."""
        wanted = schema.get("type")
        if wanted is None:
            return value
        if _type_of(value) != wanted:
            self._fault(path, f"it must be {_WORDS[wanted]}, and is {_described(value, wanted)}")
            return _NOTHING.get(wanted)
        match value:
            case dict():
                return self._mapping(schema, value, path)
            case list():
                return self._list(schema, value, path)
            case str():
                return self._text(schema, value, path)
        return value

    def _list(self, schema: dict[str, Any], value: list[Any], path: Path) -> list[Any]:
        most = schema.get("maxItems")
        if most is not None and len(value) > most:
            self._fault(path, f"it has {len(value)} items, {most} are allowed")
            return []
        items = schema.get("items", {})
        return [self.read(items, item, (*path, n)) for n, item in enumerate(value)]

    def _mapping(self, schema: dict[str, Any], value: dict[str, Any], path: Path) -> dict[str, Any]:
        known = schema.get("properties", {})
        others = schema.get("additionalProperties")
        kept: dict[str, Any] = {}
        for name, item in value.items():
            below = known.get(name, others)
            if below is None:
                if not schema.get("x-kubernetes-preserve-unknown-fields"):
                    self._unknown(name, value, known, path)
            # The API server drops an empty value before it looks at anything else.
            elif item is not None:
                kept[name] = self.read(below, item, (*path, name))
        for name in schema.get("required", ()):
            if name not in kept:
                self._fault((*path, name), "it is missing")
        return kept

    def _unknown(
        self, name: str, siblings: dict[str, Any], known: dict[str, Any], path: Path
    ) -> None:
        free = {field.lower(): field for field in known if field not in siblings}
        close = difflib.get_close_matches(name.lower(), free, n=1, cutoff=0.6)
        places = _places(self._root, name)
        if close:
            hint = f"; did you mean {free[close[0]]}?"
        elif places:
            hint = f"; it belongs under {' or '.join(places)}"
        else:
            hint = f"; known here: {', '.join(sorted(known))}" if known else ""
        self.faults.append(
            Fault((*path, name), f"there is no such field{hint}", Word.UNKNOWN_FIELD)
        )

    def _text(self, schema: dict[str, Any], value: str, path: Path) -> str:
        words = schema.get("enum")
        longest = schema.get("maxLength")
        if words is not None and value not in words:
            shown = f"{value[:_SHOWN]!r}, which" if value else "empty, which"
            close = difflib.get_close_matches(value, words, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            self._fault(path, f"it is {shown} is none of {', '.join(words)}{hint}")
            return ""
        if longest is not None and len(value) > longest:
            self._fault(path, f"it has {len(value)} characters, {longest} are allowed")
            return ""
        for rule in schema.get("x-kubernetes-validations", ()):
            if not satisfies(rule["rule"], value):
                self._fault(path, rule["message"])
                return ""
        return value

    def _fault(self, path: Path, message: str) -> None:
        self.faults.append(Fault(path, message))


def satisfies(rule: str, text: str) -> bool:
    """Whether a text satisfies a rule of ours in CEL."""
    form = _RULE.fullmatch(" ".join(rule.split()))
    if form is None:
        raise ValueError(f"a rule of another form: {rule}")
    return not text or _compiled(form["regex"]).search(text) is not None


@lru_cache(maxsize=16)
def _compiled(regex: str) -> Any:
    # The API server's own syntax; the standard library's `$` also matches before a line end.
    import re2  # noqa: PLC0415 (2 MiB, and few objects have such a field)

    return re2.compile(regex)


def _places(root: dict[str, Any], name: str) -> list[str]:
    """Where else a field of this name is known, if those are few."""
    found: dict[str, None] = {}
    pending: list[tuple[str, dict[str, Any]]] = [("", root)]
    while pending:
        place, schema = pending.pop(0)
        properties = schema.get("properties", {})
        if name in properties:
            found[place or "the top"] = None
        pending += [(f"{place}.{key}".lstrip("."), below) for key, below in properties.items()]
        if "items" in schema:
            pending.append((f"{place}[]", schema["items"]))
    places = [place for place in found if place.startswith(("spec", "the"))]
    return places if len(places) <= 2 else []  # noqa: PLR2004 (more would help nobody)


def _type_of(value: Any) -> str:
    match value:
        case dict():
            return "object"
        case list():
            return "array"
        case str():
            return "string"
        case bool():
            return "boolean"
        case Number(integer=True):
            return "integer"
    return "null" if value is None else "number"


def _described(value: Any, wanted: str) -> str:
    kind = _type_of(value)
    if wanted == "string" and kind == "boolean":
        return "true or false (as are yes, no, on and off); put it in quotes"
    if wanted == "string" and kind in {"integer", "number"}:
        return "a number; put it in quotes"
    if kind == "number":
        return "a number"
    words = _WORDS | {"null": "empty", "boolean": "true or false"}
    return words[kind]
