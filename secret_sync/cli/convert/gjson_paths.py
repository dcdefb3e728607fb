"""GJSON paths (``property``) as JMESPath, where both certainly select the same value."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

#: What has a meaning of its own anywhere in a path.
_OPERATORS: Final = frozenset("*?#|")
#: What has one where a part begins: modifiers, literals, lists and objects of several paths.
_PREFIXES: Final = ("@", "!", "[", "{")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INDEX: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class GjsonPath:
    """A JMESPath expression.

    Attributes:
        guessed: The number that GJSON takes as an index of a list or as a key of an object,
            whichever it finds, and this expression as an index; ``""`` if there is none.
    """

    expression: str
    guessed: str = ""


def jmes_path(path: str) -> GjsonPath | None:
    """Return the expression, or ``None`` if the path has more than names and numbers."""
    parts = _parts(path)
    if parts is None:
        return None
    expression, guessed = "", ""
    for name, escaped in parts:
        if not escaped and _INDEX.fullmatch(name):
            expression += f"[{int(name)}]"
            guessed = guessed or name
            continue
        plain = name if _IDENTIFIER.fullmatch(name) else json.dumps(name, ensure_ascii=False)
        expression += f".{plain}" if expression else plain
    return GjsonPath(expression, guessed)


def _parts(path: str) -> list[tuple[str, bool]] | None:
    """Split a path at its dots: each part, and whether anything in it was escaped."""
    parts: list[tuple[str, bool]] = []
    part, escaped = "", False
    characters = iter(path)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            if not following:
                return None
            part, escaped = part + following, True
        elif character == ".":
            parts.append((part, escaped))
            part, escaped = "", False
        elif character in _OPERATORS or (not part and character in _PREFIXES):
            return None
        else:
            part += character
    parts.append((part, escaped))
    return parts if all(name for name, _ in parts) else None
