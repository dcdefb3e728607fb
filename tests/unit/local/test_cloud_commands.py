"""The commands about parameters, against a cloud in this process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from secret_sync.local import cli, state
from secret_sync.local.cloud import AdminError, LocalCloud
from secret_sync.local.errors import LocalError
from secret_sync.local.signals import Signals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Run = Callable[..., Awaitable[str]]

VALUE = "never-to-be-shown"


@pytest.fixture
async def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Run]:
    async def run(*words: str) -> str:
        arguments = cli.build_parser().parse_args([*words, "--directory", str(tmp_path)])
        task = asyncio.current_task()
        assert task is not None
        assert await arguments.command(arguments, Signals(task)) == 0
        return capsys.readouterr().out

    cloud = LocalCloud()
    with state.claim(tmp_path) as folder:
        info = await cloud.start(folder.cloud)
        info.write(folder.cloud)
        folder.publish()
        yield run
        await cloud.stop()


async def test_parameter_from_put_to_delete(run: Run) -> None:
    assert await run("parameter", "list") == "no parameters\n"
    assert await run("parameter", "put", "team/db", VALUE) == "team/db: version 1\n"
    assert await run("parameter", "put", "team/db", VALUE) == "team/db: version 2\n"
    assert await run("parameter", "list") == "NAME      VERSION\nteam/db   2\n"
    assert await run("parameter", "delete", "team/db") == "team/db: deleted\n"
    with pytest.raises(AdminError, match="no parameter team/db"):
        await run("parameter", "delete", "team/db")


async def test_parameter_is_text(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text(VALUE)
    assert await run("parameter", "put", "db", "--file", str(file)) == "db: version 1\n"
    file.write_bytes(b"\xff")
    with pytest.raises(LocalError, match=r"value is not UTF-8 text$"):
        await run("parameter", "put", "db", "--file", str(file))


async def test_value_that_is_refused_is_not_repeated(run: Run) -> None:
    with pytest.raises(AdminError, match="4096 bytes") as caught:
        await run("parameter", "put", "db", VALUE * 1000)
    assert VALUE not in str(caught.value)
    with pytest.raises(AdminError, match="a parameter's name is"):
        await run("parameter", "put", "a b", VALUE)
