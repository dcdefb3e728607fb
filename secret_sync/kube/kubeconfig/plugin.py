"""Credential plugins: run as kubectl runs them, and ended with all that they started."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from secret_sync.errors import DefiniteError
from secret_sync.kube.kubeconfig.connection import as_header
from secret_sync.kube.kubeconfig.fields import quoted

if TYPE_CHECKING:
    from secret_sync.kube.kubeconfig.fields import Fields

#: Seconds within which a plugin has to answer.
ANSWER_WITHIN: Final = 30.0
#: Seconds within which a killed plugin has ended.
_GONE_WITHIN: Final = 1.0
#: Bytes of a response.
_MAX_ANSWER: Final = 1024 * 1024
_BY_HAND: Final = "run it by hand to see why"


@dataclass(frozen=True, slots=True, repr=False)
class Plugin:
    """One entry ``exec`` of a kubeconfig.

    Attributes:
        command: A path, or a name that is looked for in ``PATH``.
        environment: Variables added to our own.
        info: The value of ``KUBERNETES_EXEC_INFO``.
    """

    command: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    api_version: str
    info: str


@dataclass(frozen=True, slots=True, repr=False)
class Issued:
    """Credentials from a plugin.

    Attributes:
        authorization: The value of that header; ``""`` for none.
        certificate: As PEM, with ``key``; empty for none.
        seconds: How long they are valid; infinite if the plugin gives no time.
    """

    authorization: str
    certificate: bytes
    key: bytes
    seconds: float


def find_command(execute: Fields) -> str:
    """Return the command; with a slash it is relative to its file."""
    command = execute.text("command")
    if not command:
        execute.refuse("command", "missing")
    return execute.path("command") if os.sep in command else command


async def run_plugin(plugin: Plugin) -> Issued:
    """Run the plugin once; none of its processes outlives the call.

    Raises:
        DefiniteError: It cannot be started, failed, took too long, or answered nonsense. What it
            wrote is not shown.
    """
    name = f"exec plugin {quoted(plugin.command)}"
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            output, code = await _output_of(plugin, name)
    except TimeoutError:
        raise DefiniteError(f"{name}: no answer within {ANSWER_WITHIN:g} s; {_BY_HAND}") from None
    if code != 0:
        raise DefiniteError(f"{name}: ended with the exit code {code}; {_BY_HAND}")
    try:
        return _read(output, plugin.api_version)
    except _AnswerError as error:
        raise DefiniteError(f"{name}: its answer is not usable: {error}; {_BY_HAND}") from None


async def _output_of(plugin: Plugin, name: str) -> tuple[bytes, int | None]:
    # Of our own PATH, as for kubectl, whatever the plugin's is.
    path = await asyncio.to_thread(shutil.which, plugin.command)
    if path is None:
        raise DefiniteError(f"{name}: not found, or not executable; install it")
    starting = asyncio.ensure_future(_start(path, plugin, name))
    try:
        transport, process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The process exists in a moment, and has to be ended.
        with suppress(DefiniteError):
            await _end(*await starting)
        raise
    try:
        await process.answered.wait()
        if len(process.output) > _MAX_ANSWER:
            raise DefiniteError(f"{name}: it answers without end; {_BY_HAND}")
        return bytes(process.output), transport.get_returncode()
    finally:
        await _end(transport, process)


class _Process(asyncio.SubprocessProtocol):
    """What a plugin answers, and whether it goes on.

    Attributes:
        output: What it wrote, up to what is too much.
        answered: Set when there is no more output, or too much.
        exited: Set when the process has ended; one that it started may go on, with its output.
        ended: Whether neither is left.
    """

    def __init__(self) -> None:
        self.output = bytearray()
        self.answered = asyncio.Event()
        self.exited = asyncio.Event()
        self.ended = False

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 (asyncio's)
        if len(self.output) <= _MAX_ANSWER:
            self.output += data
        if len(self.output) > _MAX_ANSWER:
            self.answered.set()

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's)
        self.ended = True
        self.answered.set()


async def _start(
    path: str, plugin: Plugin, name: str
) -> tuple[asyncio.SubprocessTransport, _Process]:
    environment = {
        **os.environ,
        **dict(plugin.environment),
        "KUBERNETES_EXEC_INFO": plugin.info,
    }
    try:
        return await asyncio.get_running_loop().subprocess_exec(
            _Process,
            path,
            *plugin.arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            # For a person at a terminal, as with kubectl; it may quote what no log should have.
            stderr=None if _at_a_terminal() else asyncio.subprocess.DEVNULL,
            # Its children are ended with it.
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its arguments are not valid"
        raise DefiniteError(f"{name}: cannot be started ({why})") from None


def _at_a_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


async def _end(transport: asyncio.SubprocessTransport, process: _Process) -> None:
    """Kill the process group of a plugin, unless all has ended, and wait until it has."""
    if not process.ended:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(_GONE_WITHIN):
                await process.exited.wait()
    # A process that left the group may still hold the other end of the pipe.
    transport.close()


class _AnswerError(Exception):
    """Return the error for an invalid response; it shows nothing of the response."""


def _read(output: bytes, api_version: str) -> Issued:
    answer = _object(output)
    if answer.get("kind") != "ExecCredential" or answer.get("apiVersion") != api_version:
        raise _AnswerError(f"expected an ExecCredential of {api_version}")
    status = answer.get("status")
    if not isinstance(status, dict):
        raise _AnswerError("status is missing")
    token, certificate, key = (
        _text(status, name) for name in ("token", "clientCertificateData", "clientKeyData")
    )
    if bool(certificate) != bool(key):
        raise _AnswerError("of clientCertificateData and clientKeyData only one is there")
    if not token and not certificate:
        raise _AnswerError("it holds neither a token nor a certificate")
    header = as_header(token)
    if header is None:
        raise _AnswerError("the token has characters that no token has")
    return Issued(
        f"Bearer {header}" if header else "",
        certificate.encode(),
        key.encode(),
        _seconds(_text(status, "expirationTimestamp")),
    )


def _object(output: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(output)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise _AnswerError("it is not a JSON object")
    return answer


def _text(status: dict[str, Any], name: str) -> str:
    value = status.get(name)
    if not isinstance(value, str | None):
        raise _AnswerError(f"{name} is not a string")
    return value or ""


def _seconds(timestamp: str) -> float:
    if not timestamp:
        return float("inf")
    try:
        ends = datetime.fromisoformat(timestamp)
    except ValueError:
        ends = None
    if ends is None or ends.tzinfo is None:
        raise _AnswerError("expirationTimestamp is not a time of RFC 3339")
    return (ends - datetime.now(UTC)).total_seconds()
