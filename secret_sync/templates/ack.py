"""Functions of ack-secret-manager on strings of several lines and on JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from secret_sync.templates.errors import FunctionError
from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.json_functions import UnreadableJSONError, read_json
from secret_sync.templates.json_text import write_json
from secret_sync.templates.kinds import described
from secret_sync.templates.sameness import check_level
from secret_sync.templates.values import Missing

if TYPE_CHECKING:
    from secret_sync.templates.limits import TemplateBudget
    from secret_sync.templates.rendering import Rendering

ACK: Final = FunctionTable()

#: A part of a path: characters other than dots, or anything after a backslash.
_PART: Final = re.compile(rb"(?:[^.\\]|\\.)*", re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
#: What gjson understands and this function does not, unless after a backslash.
_UNSUPPORTED: Final = re.compile(rb"(?:[^\\]|\\.)*?[*?|]|[@!{\[]|#.", re.DOTALL)
_INDEX: Final = re.compile(rb"[0-9]{1,9}")


def key_values(text: bytes, budget: TemplateBudget) -> dict[bytes, bytes]:
    """Return the keys and values of lines ``key=value``.

    Empty lines and those that begin with ``#`` are skipped, and spaces around keys and values
    removed. Of two equal keys the later one wins.

    Raises:
        FunctionError: Another line; the message states its number.
    """
    budget.create(len(text))
    lines = text.split(b"\n")
    budget.add(len(lines))
    found = {}
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if not stripped or stripped.startswith(b"#"):
            continue
        key, equals, value = stripped.partition(b"=")
        key = key.rstrip()
        if not equals or not key:
            raise FunctionError(
                f"line {number} is not key=value, and neither empty nor a # comment"
            )
        found[key] = value.lstrip()
    return found


@ACK.function("parseKeyValue", Kind.STRING)
def _parse_key_value(rendering: Rendering, text: bytes) -> dict[bytes, bytes]:
    try:
        return key_values(text, rendering.budget)
    except FunctionError as error:
        raise FunctionError(f"parseKeyValue: {error.message}") from None


@ACK.function("toLines", Kind.STRING)
def _to_lines(rendering: Rendering, text: bytes) -> list[bytes]:
    rendering.budget.create(len(text))
    rendering.budget.add(text.count(b"\n") + 1)
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    # The end of the last line is not the beginning of another.
    return lines if lines[-1] else lines[:-1]


@ACK.function("jsonPath", Kind.STRING, Kind.STRING)
def _json_path(rendering: Rendering, text: bytes, path: bytes) -> Any:
    parts = _parts(path)
    try:
        document = read_json(text, rendering.budget)
    except UnreadableJSONError as error:
        return Missing(f"jsonPath: the string is not JSON: {error}")
    return _found(document, parts)


def _parts(path: bytes) -> list[bytes]:
    parts = []
    position = 0
    while True:
        match = _PART.match(path, position)
        part = match[0] if match else b""
        position += len(part)
        if not part or _UNSUPPORTED.match(part):
            raise FunctionError(
                "jsonPath needs keys and indexes with dots between them, as in a.0.b, and knows no "
                "queries; write a backslash before a dot, *, ?, |, @ or # of a key"
            )
        parts.append(part)
        if path[position : position + 1] != b".":
            break
        position += 1
    if position < len(path):
        raise FunctionError("jsonPath: the path ends with a backslash")
    return parts


def _found(value: Any, parts: list[bytes]) -> Any:
    for number, part in enumerate(parts):
        if isinstance(value, dict):
            key = _ESCAPED.sub(rb"\1", part)
            if key not in value:
                return Missing("jsonPath found nothing at this path", key, value)
            value = value[key]
        elif isinstance(value, list) and part == b"#":
            rest = parts[number + 1 :]
            if not rest:
                return len(value)
            return [
                item
                for item in (_found(item, rest) for item in value)
                if item.__class__ is not Missing
            ]
        elif isinstance(value, list) and _INDEX.fullmatch(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            return Missing("jsonPath found nothing at this path")
    return value


@ACK.function("mergeJson", Kind.STRING, Kind.STRING)
def _merge_json(rendering: Rendering, base: bytes, over: bytes) -> bytes:
    merged = _object(rendering, base, "first")
    _merge_into(merged, _object(rendering, over, "second"), rendering.budget, 0)
    return write_json(merged, rendering.budget)


def _object(rendering: Rendering, text: bytes, which: str) -> dict[bytes, Any]:
    try:
        value = read_json(text, rendering.budget)
    except UnreadableJSONError as error:
        raise FunctionError(f"mergeJson: the {which} string is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise FunctionError(
            f"mergeJson needs two JSON objects; the {which} one is {described(value)}"
        )
    return value


def _merge_into(
    base: dict[bytes, Any], over: dict[bytes, Any], budget: TemplateBudget, level: int
) -> None:
    check_level(level)
    budget.step(len(over))
    for key, value in over.items():
        present = base.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            _merge_into(present, value, budget, level + 1)
        else:
            base[key] = value
