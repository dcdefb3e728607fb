"""Tests marked ``looptime`` run in a loop whose clock jumps to the next timer.

It takes the place of the plugin of ``looptime``, which looks at all of pytest-asyncio for every
fixture of every test, and polls 42 times before each jump: a quarter of the unit tests' time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from looptime import new_event_loop, patch_event_loop

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

#: A jump waits for input so often. There is none: what runs in fake time has no socket, and the
#: threads of executors are waited for anyhow.
IDLE_POLLS = 1


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "looptime: the clock of the loop jumps to the next timer")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    if not all(map(pyfuncitem.get_closest_marker, ("looptime", "asyncio"))):
        return (yield)
    # What fixtures did in this loop was in real time.
    own = asyncio.get_event_loop_policy().get_event_loop()
    assert isinstance(own, asyncio.BaseEventLoop)
    loop = patch_event_loop(own, _enabled=False)
    loop.setup_looptime(noop_cycles=IDLE_POLLS)
    with loop.looptime_enabled():
        return (yield)


def run_in_fake_time(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run one example of a property in a loop of its own."""
    loop = new_event_loop(noop_cycles=IDLE_POLLS)
    try:
        loop.run_until_complete(coroutine)
    finally:
        loop.close()
