"""The commands of the playground: arguments, messages, and how they find it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.local import cli, playground, signals, state
from secret_sync.local.cloud import CloudAdmin, LocalCloud
from secret_sync.local.errors import LocalError
from secret_sync.local.signals import Signals
from secret_sync.local.up import usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.slow

VALUE = "never-to-be-shown"


class CommandLine:
    """Runs commands against a playground whose cloud is in this process."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._directory = directory
        self._capsys = capsys

    async def __call__(self, *words: str) -> str:
        # Not cli.main: it brings its own loop, and the cloud runs in this one.
        arguments = cli.build_parser().parse_args([*words, "--directory", str(self._directory)])
        task = asyncio.current_task()
        assert task is not None
        assert await arguments.command(arguments, Signals(task)) == 0
        return self._capsys.readouterr().out


@pytest.fixture
async def local(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[tuple[CommandLine, CloudAdmin]]:
    cloud = LocalCloud()
    with state.claim(tmp_path) as folder:
        info = await cloud.start(folder.cloud)
        info.write(folder.cloud)
        folder.publish()
        async with CloudAdmin(info.admin_url) as admin:
            yield CommandLine(tmp_path, capsys), admin
        await cloud.stop()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "secret-sync local: the following arguments are required: COMMAND"),
        (["secret", "put", "a"], "one of the arguments VALUE --file is required"),
        (["secret", "put", "a", "b", "--file", "c"], "not allowed with argument"),
        (["fault", "set", "rain"], "invalid choice: 'rain'"),
        (["fault", "set", "delay", "--seconds", "x"], "invalid float value"),
        (["dance"], "invalid choice: 'dance'"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == cli.EXIT_USAGE
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert "--help" in errors


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    words = capsys.readouterr().out.split()
    assert {"up", "demo", "secret", "access-key", "fault", "calls", "events"} <= set(words)


def test_command_without_a_playground_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["secret", "list", "--directory", str(tmp_path)]) == cli.EXIT_FAILURE
    errors = capsys.readouterr().err
    assert "secret-sync local up" in errors
    assert errors.count("\n") == 1


def test_file_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["secret", "put", "a", "--file", str(tmp_path / "no")]) == cli.EXIT_FAILURE
    assert capsys.readouterr().err.endswith("no: No such file or directory\n")


async def test_secrets_are_put_rotated_shown_and_deleted(
    local: tuple[CommandLine, CloudAdmin],
) -> None:
    run, _ = local
    assert await run("secret", "put", "team/db", VALUE) == "team/db: version v1\n"
    assert await run("secret", "rotate", "team/db") == "team/db: version v2\n"
    shown = await run("secret", "get", "team/db")
    assert shown.split("\n")[2:5] == [
        "VERSION   STAGES",
        "v1        ACSPrevious",
        "v2        ACSCurrent",
    ]
    listed = await run("secret", "list")
    assert listed.splitlines()[1].split() == ["team/db", "Enabled", "2"]
    assert VALUE not in shown + listed
    assert await run("secret", "delete", "team/db") == "team/db: deleted\n"
    assert await run("secret", "list") == "no secrets\n"


async def test_value_comes_from_a_file_or_stdin_as_it_is(
    local: tuple[CommandLine, CloudAdmin], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, admin = local
    put: list[str | bytes] = []

    async def remember(_: CloudAdmin, _name: str, value: str | bytes, **_options: Any) -> str:
        put.append(value)
        return "v1"

    monkeypatch.setattr(type(admin), "put_secret", remember)
    file = tmp_path / "value"
    file.write_bytes(b"\xff\x00\n")
    await run("secret", "put", "a", "--file", str(file), "--binary")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("pässword\n".encode())))
    await run("secret", "put", "a", "--file", "-")
    await run("secret", "put", "a", "text")
    await run("secret", "put", "a", "text", "--binary")
    assert put == [b"\xff\x00\n", "pässword\n", "text", b"text"]


async def test_bytes_that_are_no_text_are_refused_without_being_quoted(
    local: tuple[CommandLine, CloudAdmin], tmp_path: Path
) -> None:
    run, _ = local
    file = tmp_path / "value"
    file.write_bytes(VALUE.encode() + b"\xff")
    with pytest.raises(LocalError, match="add --binary") as refused:
        await run("secret", "put", "a", "--file", str(file))
    assert VALUE not in str(refused.value)


async def test_faults_are_set_with_their_options_and_cleared(
    local: tuple[CommandLine, CloudAdmin], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, admin = local
    asked: list[tuple[str, dict[str, Any]]] = []
    real = type(admin).set_fault

    async def record(self: CloudAdmin, kind: str, **options: Any) -> str:
        asked.append((kind, options))
        return await real(self, kind, **options)

    monkeypatch.setattr(type(admin), "set_fault", record)
    assert await run("fault", "set", "hang") == "fault-1\n"
    throttle = ("throttle", "--count", "3", "--retry-after-ms", "500", "--subject", "team/*")
    assert await run("fault", "set", *throttle) == "fault-2\n"
    options = {"count": 3, "retry_after_ms": 500, "subject": "team/*"}
    assert asked == [("hang", {}), ("throttle", options)]
    assert await run("fault", "clear", "fault-1") == "fault-1: cleared\n"
    assert await run("fault", "clear") == "all faults: cleared\n"


async def test_calls_are_counted_and_listed(local: tuple[CommandLine, CloudAdmin]) -> None:
    run, _ = local
    assert (await run("calls")).split()[:2] == ["calls", "0"]
    assert await run("calls", "--last", "5", "--reset") == "no calls\n"


async def test_events_are_posted_to_a_url_with_a_token_and_no_more(
    local: tuple[CommandLine, CloudAdmin], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, admin = local
    asked = []

    async def record(_: CloudAdmin, url: str, **options: Any) -> None:
        asked.append((url, options))

    monkeypatch.setattr(type(admin), "set_event_target", record)
    file = tmp_path / "token"
    file.write_text("new\nold\n")
    url = "http://127.0.0.1:1/refresh"
    shown = await run("events", url, "--token-file", str(file))
    assert shown == f"events are posted to {url}\n"
    assert await run("events") == "no events are posted\n"
    assert asked == [(url, {"token": "new"}), ("", {"token": ""})]


async def test_access_key_is_printed_as_the_secret_that_the_examples_refer_to(
    local: tuple[CommandLine, CloudAdmin],
) -> None:
    run, _ = local
    manifest = json.loads(await run("access-key"))
    assert manifest["kind"] == "Secret"
    assert set(manifest["stringData"]) == {"id", "secret"}
    store = (playground.EXAMPLES / "secret-store.yaml").read_text()
    assert f"name: {manifest['metadata']['name']}, key: id" in store


def test_run_folder_is_private_and_goes_with_the_run(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    with state.claim(directory) as folder:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        (folder.path / "key").write_text("k")
    assert [path.name for path in directory.iterdir()] == ["lock"]


def test_directory_holds_one_playground(tmp_path: Path) -> None:
    with (
        state.claim(tmp_path),
        pytest.raises(LocalError, match=r"is running in .* already"),
        state.claim(tmp_path),
    ):
        pass


def test_playground_that_is_starting_is_not_found_yet(tmp_path: Path) -> None:
    with state.claim(tmp_path), pytest.raises(LocalError, match="still starting"):
        state.find_cloud(tmp_path)


def test_state_of_a_killed_run_is_neither_found_nor_kept(tmp_path: Path) -> None:
    left = tmp_path / "run-killed"
    left.mkdir()
    (tmp_path / "lock").touch()
    (tmp_path / "playground.json").write_text('{"folder": "run-killed", "ready": true}')
    with pytest.raises(LocalError, match="no playground is running"):
        state.find_cloud(tmp_path)
    with state.claim(tmp_path):
        assert not left.exists()


@pytest.mark.parametrize("name", ["../precious", "precious", "run-/../precious", ""])
def test_nothing_but_a_run_folder_is_ever_removed(tmp_path: Path, name: str) -> None:
    directory = tmp_path / "directory"
    for precious in (tmp_path / "precious", directory / "precious", directory / "run-"):
        precious.mkdir(parents=True)
    (directory / "playground.json").write_text(json.dumps({"folder": name, "ready": True}))
    with state.claim(directory):
        pass
    assert (tmp_path / "precious").exists()
    assert (directory / "precious").exists()


def test_output_of_up_can_be_sourced(tmp_path: Path) -> None:
    variables = {"KUBECONFIG": "/with space/it's", "NO_PROXY": "localhost,127.0.0.1"}
    script = tmp_path / "environment.sh"
    script.write_text(usage(variables, ["/a dir"], script, Path("/else where")))
    shell = 'set -eu; . "$1"; printf "%s\\n" "$KUBECONFIG" "$NO_PROXY" "$PATH"'
    output = subprocess.run(  # noqa: S603 - our own script
        ["/bin/sh", "-c", shell, "sh", str(script)],
        env={"PATH": "/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    ).stdout
    assert output.splitlines() == ["/with space/it's", "localhost,127.0.0.1", "/a dir:/bin"]


def test_crds_are_found_in_a_checkout() -> None:
    names = {path.name for path in playground.find_crds().iterdir()}
    assert {"kustomization.yaml", "externalsecrets.yaml", "clustersecretstores.yaml"} <= names


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_cancels_a_command_which_cleans_up(signum: signal.Signals) -> None:
    cleaned = False

    async def command(_: Signals) -> int:
        nonlocal cleaned
        try:
            os.kill(os.getpid(), signum)
            await asyncio.sleep(10)
        finally:
            # An impatient second one does not cut the cleaning short.
            os.kill(os.getpid(), signum)
            await asyncio.sleep(0.05)
            cleaned = True
        return 0

    assert signals.run(command) == 128 + signum
    assert cleaned


def test_signal_that_is_waited_for_is_the_regular_end() -> None:
    async def command(received: Signals) -> int:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        await received.wait()
        return 0

    assert signals.run(command) == 0
