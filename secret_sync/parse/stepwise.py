"""Work that can be interrupted: a generator that yields between two pieces of it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeAlias, TypeVar

T = TypeVar("T")

#: Yields where it may rest; returns the result. Between two yields lie some milliseconds, a
#: whole document or all paths of a value at most.
Steps: TypeAlias = Generator[None, None, T]


def run_to_end(steps: Steps[T]) -> T:
    """Return the result of work that nothing else has to wait for."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
