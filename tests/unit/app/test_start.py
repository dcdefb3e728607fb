"""What is checked beside the work, once the start is over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from secret_sync.app import start
from secret_sync.errors import SecretSyncError
from secret_sync.settings import parse_run_arguments

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from secret_sync.settings import Settings


class Works:
    """A controller that works until it is stopped."""

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()


@pytest.fixture(autouse=True)
def _controller(monkeypatch: pytest.MonkeyPatch) -> None:
    async def build(_settings: Settings, _stack: AsyncExitStack) -> Works:
        return Works()

    monkeypatch.setattr(start, "build", build)
    monkeypatch.setattr(start, "CHECK_PARSER_AFTER", 0.0)


@pytest.fixture
def settings() -> Settings:
    return parse_run_arguments((), {})


async def run(settings: Settings, stop: asyncio.Event) -> int:
    async with asyncio.timeout(10):
        return await start.run(settings, stop)


@pytest.mark.parametrize("parser", ["_ruamel_yaml", "yaml.cyaml"])
async def test_missing_yaml_parser_ends_the_process(
    parser: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, parser, None)
    stop = asyncio.Event()
    with pytest.raises(SecretSyncError) as caught:
        await run(settings, stop)
    assert "install wheels of both" in caught.value.message
    # It ends as when it is stopped: what is under way is finished, the Lease is released.
    assert stop.is_set()


async def test_process_that_is_stopped_before_that_check_ends_well(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(start, "CHECK_PARSER_AFTER", 60.0)
    stop = asyncio.Event()
    stop.set()
    assert await run(settings, stop) == 0
