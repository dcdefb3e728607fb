"""The harness inside the controller notices when the loop is held up, and by whom."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.chaos import child
from tests.chaos.child import BEAT, BLOCKED, Pulse

if TYPE_CHECKING:
    from collections.abc import Callable


def sleeps() -> None:
    time.sleep(2 * BLOCKED)


def computes() -> None:
    until = time.thread_time() + 2 * BLOCKED
    while time.thread_time() < until:
        pass


def is_quick() -> None:
    """As most callbacks."""


@pytest.mark.parametrize("callback", [sleeps, computes])
def test_callback_that_blocks_the_loop_is_named(
    callback: Callable[[], None], said: list[dict[str, Any]]
) -> None:
    asyncio.run(beside_a_pulse(callback))
    (answer,) = said
    assert answer["blocked"] > BLOCKED
    assert any(callback.__name__ in where for where in answer["seen"])


def test_quick_callback_is_not_reported(said: list[dict[str, Any]]) -> None:
    asyncio.run(beside_a_pulse(is_quick))
    assert said == []


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the harness tells."""
    answers: list[dict[str, Any]] = []
    monkeypatch.setattr(child, "say", answers.append)
    return answers


async def beside_a_pulse(callback: Callable[[], None]) -> None:
    """In a loop of its own: in that of a test nothing may block."""
    pulse = Pulse()
    pulse.start()
    beating = asyncio.create_task(pulse.beat())
    await asyncio.sleep(3 * BEAT)
    callback()
    await asyncio.sleep(3 * BEAT)
    pulse.stop()
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
