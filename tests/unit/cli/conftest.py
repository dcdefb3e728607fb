"""The commands in this process, against the scripted API server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync import cli as program
from secret_sync import logs
from tests.support.commands import Done
from tests.unit.kube.fakes import ScriptedServer, kubeconfig_text, status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.commands import Cli
    from tests.unit.kube.fakes import Exchange, Script


@pytest.fixture(autouse=True)
def _no_logging_setup(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the commands ask of the logs would outlive the test."""
    monkeypatch.setattr(logs, "configure", lambda *_: None)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def cli(
    server: ScriptedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Cli:
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig_text(server.url, token="token"))
    monkeypatch.setenv("KUBECONFIG", str(path))

    async def run(*arguments: str, **more: str) -> Done:
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        # In a thread, for the command makes a loop of its own.
        code = await asyncio.to_thread(program.main, arguments)
        return Done(code, *capsys.readouterr())

    return run


def collection(kind: str, *items: dict[str, Any], token: str = "") -> dict[str, Any]:
    """A page of a list; with a token there are more."""
    return {
        "kind": f"{kind}List",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": "100", "continue": token},
        "items": list(items),
    }


def serving(**kinds: dict[str, Any] | int) -> Script:
    """Answers a list by its plural: with a collection, or with a refusal of this status."""

    async def script(exchange: Exchange) -> None:
        answer = kinds[exchange.request.path.rpartition("/")[2]]
        if isinstance(answer, int):
            reason = {403: "Forbidden", 404: "NotFound"}[answer]
            exchange.answer(status_of(answer, reason), answer)
        else:
            exchange.answer(answer)

    return script
