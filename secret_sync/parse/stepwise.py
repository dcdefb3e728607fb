"""Work that can be interrupted: a generator that yields between its parts."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeAlias, TypeVar

T = TypeVar("T")

#: Yields where it can be interrupted; returns the result. Between two yields it works for a few
#: milliseconds: at most a whole document, or all paths of a value.
Steps: TypeAlias = Generator[None, None, T]


def run_to_end(steps: Steps[T]) -> T:
    """Run the work without interruption and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
