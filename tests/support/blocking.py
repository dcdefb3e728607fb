"""Blocking calls inside a running loop fail the test that makes them."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from blockbuster import BlockBuster

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def blocking_fails(*excluded: str) -> Iterator[BlockBuster]:
    """Let no function of our package block the loop, but for those of some modules.

    Args:
        excluded: Those modules.
    """
    blockbuster = _made(excluded)
    blockbuster.activate()
    try:
        yield blockbuster
    finally:
        blockbuster.deactivate()


# Once: it looks at sixty functions, which takes as long as a short test.
@cache
def _made(excluded: tuple[str, ...]) -> BlockBuster:
    return BlockBuster("secret_sync", excluded_modules=list(excluded))
