"""A structural validator: the checks of the API server, as far as our CRDs need them.

It returns what the API server would keep, so that the valid part can be checked further. Messages
show no values, except those of an enum: there may be an AccessKey where a reference belongs.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.check.findings import CheckReason
from secret_sync.cli.check.scalars import NumberScalar

if TYPE_CHECKING:
    from secret_sync.resources.meta import FieldPath

_WORDS: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "boolean": "a boolean",
    "integer": "an integer",
}
#: In place of an invalid value, so that lists keep their indexes.
_NOTHING: Final[dict[str, Any]] = {"object": {}, "array": [], "string": "", "boolean": False}

#: The only form of rule in our CRDs: a string that is empty or matches.
_RULE: Final = re.compile(r"self == '' \|\| self\.matches\('(?P<regex>[^']+)'\)")
_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class FieldError:
    """An error in a field."""

    path: FieldPath
    message: str
    reason: CheckReason = CheckReason.INVALID


class Validator:
    """Validates values against a schema.

    Args:
        root: The schema of the whole object, to suggest where a field belongs.

    Attributes:
        errors: The errors found.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self.errors: list[FieldError] = []

    def read(self, schema: dict[str, Any], value: Any, path: FieldPath) -> Any:
        """Return the valid part of the value."""
        wanted = schema.get("type")
        if wanted is None:
            return value
        if _type_of(value) != wanted:
            self._error(path, f"must be {_WORDS[wanted]}, not {_described(value, wanted)}")
            return _NOTHING.get(wanted)
        match value:
            case dict():
                return self._mapping(schema, value, path)
            case list():
                return self._list(schema, value, path)
            case str():
                return self._text(schema, value, path)
        return value

    def _list(self, schema: dict[str, Any], value: list[Any], path: FieldPath) -> list[Any]:
        most = schema.get("maxItems")
        if most is not None and len(value) > most:
            self._error(path, f"has {len(value)} items, {most} are allowed")
            return []
        items = schema.get("items", {})
        return [self.read(items, item, (*path, n)) for n, item in enumerate(value)]

    def _mapping(
        self, schema: dict[str, Any], value: dict[str, Any], path: FieldPath
    ) -> dict[str, Any]:
        known = schema.get("properties", {})
        others = schema.get("additionalProperties")
        kept: dict[str, Any] = {}
        for name, item in value.items():
            below = known.get(name, others)
            if below is None:
                if not schema.get("x-kubernetes-preserve-unknown-fields"):
                    self._unknown(name, value, known, path)
            # The API server drops null before it validates.
            elif item is not None:
                kept[name] = self.read(below, item, (*path, name))
        for name in schema.get("required", ()):
            if name not in kept:
                self._error((*path, name), "it is missing")
        return kept

    def _unknown(
        self, name: str, siblings: dict[str, Any], known: dict[str, Any], path: FieldPath
    ) -> None:
        free = {field.lower(): field for field in known if field not in siblings}
        close = difflib.get_close_matches(name.lower(), free, n=1, cutoff=0.6)
        places = _places(self._root, name)
        if close:
            hint = f"; did you mean {free[close[0]]}?"
        elif places:
            hint = f"; it belongs under {' or '.join(places)}"
        else:
            hint = f"; known fields: {', '.join(sorted(known))}" if known else ""
        self.errors.append(
            FieldError((*path, name), f"unknown field{hint}", CheckReason.UNKNOWN_FIELD)
        )

    def _text(self, schema: dict[str, Any], value: str, path: FieldPath) -> str:
        words = schema.get("enum")
        longest = schema.get("maxLength")
        if words is not None and value not in words:
            close = difflib.get_close_matches(value, words, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            allowed = ", ".join(words)
            self._error(path, f"invalid value {value[:_SHOWN]!r}: expected one of {allowed}{hint}")
            return ""
        if longest is not None and len(value) > longest:
            self._error(path, f"has {len(value)} characters, {longest} are allowed")
            return ""
        for rule in schema.get("x-kubernetes-validations", ()):
            if not satisfies(rule["rule"], value):
                self._error(path, rule["message"])
                return ""
        return value

    def _error(self, path: FieldPath, message: str) -> None:
        self.errors.append(FieldError(path, message))


def satisfies(rule: str, text: str) -> bool:
    """Return whether a string satisfies a CEL rule of our CRDs."""
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
    """Return the paths of a field of this name elsewhere, if they are few."""
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
        case NumberScalar(integer=True):
            return "integer"
    return "null" if value is None else "number"


def _described(value: Any, wanted: str) -> str:
    kind = _type_of(value)
    if wanted == "string" and kind == "boolean":
        return "a boolean (yes, no, on and off are, too); quote it"
    if wanted == "string" and kind in {"integer", "number"}:
        return "a number; quote it"
    if kind == "number":
        return "a number"
    return "null" if kind == "null" else _WORDS[kind]
