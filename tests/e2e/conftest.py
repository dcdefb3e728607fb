"""Commands as real child processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

import pytest

from tests.support.operator import install_crds, running_cloud

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

SECONDS = 90.0


class Command:
    """``secret-sync ARGUMENTS`` in a process group of its own, as a shell starts one.

    Its working directory is ``TMPDIR`` too, and a mark that all its descendants carry, in their
    environment or their arguments.
    """

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.mark = folder / "tmp"
        self.mark.mkdir(parents=True)
        self._outputs = {name: folder / name for name in ("stdout", "stderr")}
        inherited = {k: v for k, v in os.environ.items() if k != "KUBECONFIG"}
        with self._open("stdout") as stdout, self._open("stderr") as stderr:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "secret_sync", *arguments],
                cwd=self.mark,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**inherited, "TMPDIR": str(self.mark), **environment},
                start_new_session=True,
            )

    def _open(self, name: str) -> IO[bytes]:
        return self._outputs[name].open("wb")

    @property
    def stdout(self) -> str:
        return self._outputs["stdout"].read_text()

    @property
    def stderr(self) -> str:
        return self._outputs["stderr"].read_text()

    def until(self, condition: Callable[[Self], bool], seconds: float = SECONDS) -> None:
        """Wait while it runs."""
        deadline = time.monotonic() + seconds
        while not condition(self):
            assert self.process.poll() is None, self.stdout + self.stderr
            assert time.monotonic() < deadline, self.stdout + self.stderr
            time.sleep(0.05)

    def ctrl_c(self) -> int:
        """As at a terminal: the whole process group gets it."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(40)

    def running(self) -> list[str]:
        """The descendants that run, by their command lines."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            if folder.name == str(os.getpid()):
                continue
            try:
                text = (folder / "cmdline").read_bytes()
                environment = (folder / "environ").read_bytes()
            except OSError:
                continue
            if str(self.mark).encode() in text + environment:
                found.append(text.replace(b"\0", b" ").decode(errors="replace"))
        return sorted(found)

    def has_left_nothing(self) -> bool:
        """Whether all descendants end soon after it: the kernel takes a moment to kill."""
        deadline = time.monotonic() + 10
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.running()

    def end(self) -> None:
        """Whatever a failed test has left."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """The shared control plane, with our kinds."""
    install_crds(control_plane)
    return control_plane


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as info:
        yield info


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Starts ``secret-sync ARGUMENTS``; what runs at the end of the test is ended."""
    started: list[Command] = []

    def begin(*arguments: str, **environment: str) -> Command:
        started.append(Command(tmp_path / str(len(started)), *arguments, **environment))
        return started[-1]

    yield begin
    for command in started:
        command.end()


@pytest.fixture
def shell() -> Callable[[str, Path, Mapping[str, str]], str]:
    """Runs a line of shell after sourcing a file, and returns what it prints."""

    def run(line: str, sourced: Path, environment: Mapping[str, str]) -> str:
        done = subprocess.run(  # noqa: S603 - a line of the test's own
            ["/bin/sh", "-c", f'set -eu; . "$0"; {line}', str(sourced)],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
