"""Does an object hold what is expected of it? Expectations are YAML with a few tags.

``!contains text``: a string with that text in it. ``!any``: whatever, but something.
``!absent``: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Contains:
    text: str

    def accepts(self, actual: Any) -> bool:
        return self.text in str(actual)


@dataclass(frozen=True)
class AnyThing:
    def accepts(self, actual: Any) -> bool:
        return actual is not None


@dataclass(frozen=True)
class Absent:
    def accepts(self, actual: Any) -> bool:
        return actual is None


class _Loader(yaml.SafeLoader):
    pass


_Loader.add_constructor("!contains", lambda _, node: Contains(node.value))
_Loader.add_constructor("!any", lambda _, __: AnyThing())
_Loader.add_constructor("!absent", lambda _, __: Absent())


def load(path: Path) -> list[dict[str, Any]]:
    """All documents of a file."""
    return list(yaml.load_all(path.read_text(), Loader=_Loader))


def differences(expected: Any, actual: Any, where: str = "") -> Iterator[str]:
    """What is not as expected: maps may hold more, lists and values must be equal."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key, value in expected.items():
            yield from differences(value, actual.get(key), f"{where}.{key}")
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for index, value in enumerate(expected):
            yield from differences(value, actual[index], f"{where}[{index}]")
    elif isinstance(expected, Contains | AnyThing | Absent):
        if not expected.accepts(actual):
            yield f"{where}: {actual!r} is not {expected!r}"
    elif expected != actual:
        yield f"{where}: {actual!r} is not {expected!r}"
