"""Keys that are gathered are handled once each, soon, and in slices."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.queue import Gathering

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.looptime


class Handled:
    """Remembers what was handled, and when."""

    def __init__(self, at_once: int = 2) -> None:
        self.keys: list[tuple[str, int]] = []
        self.failing = ""
        #: A test may put its own in place of this.
        self.act: Callable[[str, int], None] = self.handle
        self.gathering: Gathering[str, int] = Gathering(
            self._act, merge=min, seconds=0.05, at_once=at_once
        )

    def _act(self, key: str, value: int) -> None:
        self.act(key, value)

    def handle(self, key: str, value: int) -> None:
        if key == self.failing:
            raise RuntimeError("a fault of ours")
        self.keys.append((key, value))


async def test_a_key_is_handled_once_after_the_time_with_the_value_that_counts() -> None:
    handled = Handled()
    for value in (3, 1, 2):
        handled.gathering.add("a", value)
        await asyncio.sleep(0.01)
    assert handled.keys == []
    assert handled.gathering.get("a") == 1
    await asyncio.sleep(0.05)
    assert handled.keys == [("a", 1)]
    assert handled.gathering.get("a") is None


async def test_the_event_loop_has_its_turn_between_two_slices() -> None:
    handled, loop = Handled(at_once=2), asyncio.get_running_loop()
    order: list[str] = []

    def handle(key: str, _value: int) -> None:
        order.append(key)
        loop.call_soon(order.append, "others")

    handled.act = handle
    for key in "abcde":
        handled.gathering.add(key, 0)
    await asyncio.sleep(1)
    assert "".join(order).replace("others", ".") == "ab..cd..e."


async def test_item_that_comes_during_a_run_is_handled() -> None:
    handled = Handled()
    again = ["a", "b"]

    def handle(key: str, value: int) -> None:
        handled.handle(key, value)
        if again:
            handled.gathering.add(again.pop(), value)

    handled.act = handle
    handled.gathering.add("a", 0)
    await asyncio.sleep(1)
    assert [key for key, _ in handled.keys] == ["a", "b", "a"]


async def test_a_key_whose_handling_raises_holds_up_no_other() -> None:
    handled = Handled()
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    handled.failing = "a"
    for key in "abcde":
        handled.gathering.add(key, 0)
    await asyncio.sleep(1)
    assert [key for key, _ in handled.keys] == list("bcde")
    assert len(reported) == 1
    # As the last one, too.
    handled.gathering.add("a", 0)
    await asyncio.sleep(1)
    handled.gathering.add("b", 0)
    await asyncio.sleep(1)
    assert handled.keys[-1] == ("b", 0)


async def test_keys_that_come_during_a_run_wait_for_their_time() -> None:
    handled, loop = Handled(at_once=1), asyncio.get_running_loop()
    times: list[float] = []
    began = loop.time()

    def handle(key: str, value: int) -> None:
        times.append(round(loop.time() - began, 3))
        if len(times) < 6:
            # As when Secrets with many users change all the time.
            handled.gathering.add(key, value)

    handled.act = handle
    for key in "ab":
        handled.gathering.add(key, 0)
    await asyncio.sleep(1)
    assert times == [0.05, 0.05, 0.1, 0.1, 0.15, 0.15, 0.2]
