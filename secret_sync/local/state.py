"""Where a running playground keeps its files, and how other commands find it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secret_sync.local.cloud import CloudInfo
from secret_sync.local.controlplane.binaries import cache_root
from secret_sync.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LOCK: Final = "lock"
_STATE: Final = "playground.json"
_PREFIX: Final = "run-"


def default_directory(environ: Mapping[str, str]) -> Path:
    """Return the default directory of this user's playground."""
    return cache_root(environ).with_name("local")


class RunFolder:
    """The files of one run, in a folder that only its owner can read.

    Attributes:
        path: The folder; it goes with the run.
    """

    def __init__(self, directory: Path) -> None:
        self._state = directory / _STATE
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=directory))
        self._write(ready=False)

    @property
    def plane(self) -> Path:
        """Return the control plane's folder, which it creates."""
        return self.path / "control-plane"

    @property
    def cloud(self) -> Path:
        """Return the cloud's folder."""
        folder = self.path / "cloud"
        folder.mkdir(exist_ok=True)
        return folder

    def publish(self) -> None:
        """Let other commands find this run."""
        self._write(ready=True)

    def remove(self) -> None:
        """Remove the run's files, keys among them."""
        self._state.unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def _write(self, *, ready: bool) -> None:
        draft = self._state.with_suffix(".draft")
        draft.write_text(json.dumps({"folder": self.path.name, "ready": ready}))
        draft.replace(self._state)


@contextmanager
def claim(directory: Path) -> Iterator[RunFolder]:
    """Hold a directory for one run; what a killed run has left there is removed.

    Raises:
        LocalError: Another run has it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalError(
                f"a playground is running in {directory} already; stop it, or give this one "
                "another --directory"
            ) from None
        _remove_left_over(directory)
        folder = RunFolder(directory)
        try:
            yield folder
        finally:
            folder.remove()


def find_cloud(directory: Path) -> CloudInfo:
    """Return where the cloud of the playground in this directory is.

    Raises:
        LocalError: None is running there.
    """
    state = _read(directory) if _is_held(directory) else None
    if state is None:
        raise LocalError(
            f"no playground is running in {directory}; start one with 'secret-sync local up'"
        )
    folder, ready = state
    if not ready:
        raise LocalError("the playground is still starting; try again when it says that it is up")
    return CloudInfo.read(folder / "cloud")


def _is_held(directory: Path) -> bool:
    """Tell whether a run holds the directory: a lock goes with its holder, a file may not."""
    try:
        descriptor = os.open(directory / _LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _read(directory: Path) -> tuple[Path, bool] | None:
    try:
        state = json.loads((directory / _STATE).read_bytes())
        name, ready = str(state["folder"]), bool(state["ready"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    # Never a path: what is named here gets removed.
    if not name.startswith(_PREFIX) or Path(name).name != name:
        return None
    return directory / name, ready


def _remove_left_over(directory: Path) -> None:
    state = _read(directory)
    if state is not None:
        shutil.rmtree(state[0], ignore_errors=True)
