"""Block YAML of a value, byte for byte as Go's yaml.v3 writes it, without the last line break."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.parse.json_document import quoted_json
from secret_sync.parse.values import Number

if TYPE_CHECKING:
    from secret_sync.parse.values import Value


def write_yaml(value: Value) -> str:
    """The value as block YAML."""
    lines: list[str] = []
    _write(value, "", "", lines)
    return "\n".join(lines)


def _write(value: Value, first: str, indent: str, lines: list[str]) -> None:
    if isinstance(value, dict) and value:
        for key in sorted(value):
            item = value[key]
            head = f"{first}{key}:"
            if isinstance(item, (dict, list)) and item:
                lines.append(head)
                _write(item, indent + "    ", indent + "    ", lines)
            else:
                lines.append(f"{head} {_scalar(item)}")
            first = indent
    elif isinstance(value, list) and value:
        for item in value:
            _write(item, first + "- ", indent + "  ", lines)
            first = indent
    else:
        lines.append(first + _scalar(value))


def _scalar(value: Value) -> str:
    if isinstance(value, str):
        return value if value.isalnum() else quoted_json(value)
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    return "null" if value is None else "true" if value else "false"
