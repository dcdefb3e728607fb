"""Steps of the start at the same time."""

from __future__ import annotations

import asyncio

import pytest

from secret_sync.app.together import together
from secret_sync.errors import DefiniteError


async def test_results_are_there_at_the_end() -> None:
    both = asyncio.Barrier(2)
    async with together() as tasks:
        one, other = tasks.create_task(both.wait()), tasks.create_task(both.wait())
    assert {one.result(), other.result()} == {0, 1}


async def test_the_first_error_is_raised_itself_and_ends_the_others() -> None:
    async def fail() -> None:
        raise DefiniteError("port in use")

    async def both() -> None:
        async with together() as tasks:
            begun.append(tasks.create_task(asyncio.Event().wait()))
            tasks.create_task(fail())

    begun: list[asyncio.Task[bool]] = []
    with pytest.raises(DefiniteError, match="port in use") as caught:
        await both()
    assert begun[0].cancelled()
    assert caught.value.__context__ is None
