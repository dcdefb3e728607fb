"""Credential plugins as processes: nothing of them is left, and their output is not shown."""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest
import uvloop

from secret_sync.app.loop import EventLoop
from secret_sync.errors import DefiniteError
from secret_sync.kube import ClusterAccess, KubeClient
from secret_sync.kube.answers import Answer
from secret_sync.kube.kubeconfig import Plugin, Server, plugin, run_plugin
from secret_sync.kube.tls import build_context
from tests.support.recording import Authority, RecordingServer
from tests.unit.kube.fakes import kubeconfig_text

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

V1: Final = "client.authentication.k8s.io/v1"
#: Starts another process, which holds the pipe as well; both write down who they are.
HANGING: Final = "sleep 600 & echo $! $$ > pids; wait"
LOOPS: Final = [asyncio.new_event_loop, uvloop.new_event_loop, EventLoop]


def shell(program: str) -> Plugin:
    return Plugin("/bin/sh", ("-c", program), (), V1, "{}")


def answering(**status: Any) -> Plugin:
    answer = {"kind": "ExecCredential", "apiVersion": V1, "status": status}
    return Plugin("printf", ("%s", orjson.dumps(answer).decode()), (), V1, "{}")


def alive(file: Path) -> list[int]:
    """Which of the processes written down there still run; a zombie does not."""
    running = []
    for pid in map(int, file.read_text().split()):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            running.append(pid)
    return running


def in_each_loop(factory: Callable[[], Any], work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)


async def gone(file: Path) -> None:
    async with asyncio.timeout(5):
        while alive(file):  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.01)


def has_text(file: Path) -> bool:
    return file.exists() and file.read_text() != ""


async def written(file: Path) -> None:
    async with asyncio.timeout(10):
        while not has_text(file):  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.01)


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "pids"


@pytest.mark.parametrize("factory", LOOPS)
def test_hanging_plugin_is_ended_with_its_children(
    factory: Callable[[], Any], pids: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "ANSWER_WITHIN", 0.5)

    async def work() -> None:
        with pytest.raises(DefiniteError, match="no answer within"):
            await run_plugin(shell(HANGING))
        await gone(pids)

    in_each_loop(factory, work())


@pytest.mark.parametrize("factory", LOOPS)
def test_the_end_of_the_process_does_not_wait_for_it(
    factory: Callable[[], Any], pids: Path
) -> None:
    async def work() -> None:
        running = asyncio.create_task(run_plugin(shell(f"trap '' TERM; {HANGING}")))
        await written(pids)
        running.cancel()
        async with asyncio.timeout(5):
            with pytest.raises(asyncio.CancelledError):
                await running
        await gone(pids)

    in_each_loop(factory, work())


async def test_plugin_cancelled_at_any_moment_leaves_nothing(tmp_path: Path) -> None:
    for number in range(30):
        mark = tmp_path / str(number)
        running = asyncio.create_task(run_plugin(shell(f"echo $$ > {mark}; sleep 600")))
        await asyncio.sleep(number / 3000)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        if has_text(mark):
            await gone(mark)


async def test_background_process_of_a_plugin_is_not_waited_for_for_ever(
    pids: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "ANSWER_WITHIN", 0.5)
    with pytest.raises(DefiniteError, match="no answer within"):
        await run_plugin(shell("sleep 600 & echo $! > pids; exit 0"))
    await gone(pids)


async def test_plugin_that_answers_without_end_is_stopped(pids: Path) -> None:
    with pytest.raises(DefiniteError, match="without end"):
        await run_plugin(shell("echo $$ > pids; exec cat /dev/zero"))
    await gone(pids)


HIDDEN: Final = "hidden-value"
UNUSABLE: Final = {
    "not JSON": shell(f"echo {HIDDEN}"),
    "not an object": shell("echo '[1]'"),
    "it failed": shell(f"echo {HIDDEN}; echo {HIDDEN} >&2; exit 7"),
    "killed": shell("kill -9 $$"),
    "no status": Plugin(
        "printf", ("%s", f'{{"kind":"ExecCredential","apiVersion":"{V1}"}}'), (), V1, ""
    ),
    "a number": answering(token=7),
    "a line break": answering(token=f"{HIDDEN}\nX: y"),
    "a surrogate": shell('printf \'{"status":{"token":"\\\\ud800"}}\''),
    "only a key": answering(token="t", clientKeyData=HIDDEN),
    "no time": answering(token=HIDDEN, expirationTimestamp="soon"),
    "no zone": answering(token=HIDDEN, expirationTimestamp="2030-01-01T00:00:00"),
    "not there": Plugin("no-such-plugin", (), (), V1, "{}"),
    "a folder": Plugin("/tmp", (), (), V1, "{}"),  # noqa: S108
    "a null byte": Plugin("printf", ("\0",), (), V1, "{}"),
    "a null byte in its environment": Plugin("printf", ("x",), (("A", "\0"),), V1, "{}"),
    "a surrogate in its arguments": Plugin("printf", ("\ud800",), (), V1, "{}"),
    "not a program": Plugin(__file__, (), (), V1, "{}"),
}


@pytest.mark.parametrize("unusable", UNUSABLE.values(), ids=UNUSABLE.keys())
async def test_plugin_failure_is_one_sentence_without_its_output(
    unusable: Plugin, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DefiniteError) as caught:
        await run_plugin(unusable)
    assert caught.value.message.startswith("exec plugin '")
    assert "\n" not in caught.value.message
    assert HIDDEN not in caught.value.message
    assert HIDDEN not in "".join(capfd.readouterr())


async def test_plugin_is_run_without_a_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    assert (await run_plugin(answering(token="t"))).authorization == "Bearer t"


async def test_plugin_expiry_is_read_as_rfc_3339() -> None:
    issued = await run_plugin(answering(token="t", expirationTimestamp="2999-01-01T00:00:00.1Z"))
    assert issued.seconds > 1e9
    issued = await run_plugin(answering(token="t", expirationTimestamp="2001-01-01T00:00:00+02:00"))
    assert issued.seconds < 0
    issued = await run_plugin(answering(token="t", expirationTimestamp=None))
    assert issued.seconds == float("inf")


def files_in(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


async def test_a_client_certificate_is_renewed_and_never_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New connections present the new one, kept ones are not used any more."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    issued = tmp_path / "issued"
    issued.mkdir()
    authority = Authority(issued)
    answer = tmp_path / "answer"

    def issue(name: str) -> None:
        certificate, key = authority.issue(name)
        status = {
            "clientCertificateData": certificate.read_text(),
            "clientKeyData": key.read_text(),
        }
        certificate.unlink()
        key.unlink()
        body = {"kind": "ExecCredential", "apiVersion": V1, "status": status}
        answer.write_bytes(orjson.dumps(body))

    issue("first")
    execute = {
        "apiVersion": V1,
        "command": "cat",
        "args": [str(answer)],
        "interactiveMode": "Never",
    }
    async with RecordingServer("a", authority) as server:
        config = tmp_path / "config"
        cluster = {"certificate-authority": str(authority.path)}
        config.write_text(kubeconfig_text(server.url, cluster, exec=execute))
        before = files_in(tmp_path)
        found = await ClusterAccess.find(str(config))
        async with KubeClient(found) as client:
            await client.request("GET", "/x", expected=Answer.ANY)
            issue("second")
            server.accepts = {"second"}
            await client.request("GET", "/x", expected=Answer.ANY)
        await found.close()
        assert [asked.certificate for asked in server.asked] == ["first", "first", "second"]
        assert files_in(tmp_path) == before


async def test_a_key_with_a_password_asks_nobody_for_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    authority = Authority(tmp_path)
    user: dict[str, Any] = {"client-certificate": str(authority.path), "client-key": "key"}
    (tmp_path / "config").write_text(kubeconfig_text("https://api.test", **user))
    with pytest.raises(DefiniteError, match="without a password"):
        await ClusterAccess.find(str(tmp_path / "config"))


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From where certificate chains are."""
    paths: list[str] = []
    load = ssl.SSLContext.load_cert_chain

    def watched(self: ssl.SSLContext, path: str, *rest: Any, **more: Any) -> None:
        paths.append(path)
        load(self, path, *rest, **more)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watched)
    return paths


def load(folder: Path) -> None:
    certificate, key = Authority(folder).issue("jane")
    build_context(Server("https://x"), certificate.read_bytes(), key.read_bytes())


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="not Linux")
def test_a_private_key_is_in_memory_only(tmp_path: Path, loaded: list[str]) -> None:
    load(tmp_path)
    assert loaded[0].startswith("/proc/self/fd/")
    assert not Path(loaded[0]).exists()


def forbid_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> int:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "memfd_create", forbidden, raising=False)


def test_private_key_is_in_a_file_for_a_moment_without_memfd(
    tmp_path: Path, loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_memory(monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    load(tmp_path)
    assert Path(loaded[0]).parent == tmp_path
    assert not Path(loaded[0]).exists()


def test_private_key_without_memfd_or_tmpdir_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_memory(monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(DefiniteError, match="TMPDIR cannot be written"):
        load(tmp_path)
