"""Corrections to suggest for a JMESPath expression that does not work."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from secret_sync.parse.values import Value

#: Not part of a name that only lacks quotes.
_SIGN: Final = r"\s.,:;\"'`$@!&|<>=*?(){}\[\]"
#: Such a name, and the indexes behind it: ``api-key[0]``.
_STEP: Final = re.compile(
    rf"(?P<name>[^{_SIGN}](?: *[^{_SIGN}])*)(?P<indexes>(?:\[(?:-?[0-9]+|\*)\])*)"
)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Names of a path that are tried as the parts of one key, for each start and end.
_MAX_NAMES: Final = 16


def quoted_path(path: str) -> str:
    """Return the path with the quotes that JMESPath needs; ``""`` if it is not a chain of names.

    The result still has to be compiled.
    """
    steps = []
    for step in path.split("."):
        found = _STEP.fullmatch(step)
        # A number is hardly a name: an index is meant, which needs brackets.
        if found is None or found["name"].isdecimal():
            return ""
        steps.append(_name(found["name"]) + found["indexes"])
    return ".".join(steps)


def dotted_path(path: str, root: Value) -> str:
    """Return the path that matches if keys of the document have dots; ``""`` if none does."""
    names = path.split(".")
    if not 1 < len(names) <= _MAX_NAMES or not all(map(_IDENTIFIER.fullmatch, names)):
        return ""
    found: list[str] = []
    value = root
    while names:
        if not isinstance(value, dict):
            return ""
        ends = range(len(names), 0, -1)
        end = next((end for end in ends if ".".join(names[:end]) in value), 0)
        if not end:
            return ""
        key = ".".join(names[:end])
        found.append(_name(key))
        value, names = value[key], names[end:]
    return "" if value is None else ".".join(found)


def _name(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else json.dumps(name, ensure_ascii=False)
