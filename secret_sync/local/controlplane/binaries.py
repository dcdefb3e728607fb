"""The programs of a control plane: found somewhere, else built."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from secret_sync.local.controlplane import recipe
from secret_sync.local.controlplane.build import Builder

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from secret_sync.local.controlplane.recipe import Recipe

# How far a program may be from the pinned minor version: what Kubernetes supports of kubectl.
_SKEW = 1
_VERSION_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Binaries:
    """Paths of the programs."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kubectl: Path


def ensure_binaries(progress: Callable[[str], None], cancelled: threading.Event) -> Binaries:
    """Find the programs, or build what is missing: minutes, once per machine and version.

    Each is looked for in ``$KUBEBUILDER_ASSETS``, on ``PATH`` (if of a version near ours) and in
    the user's cache, then built into the cache from Go modules. Blocking.

    Args:
        progress: Gets a line for a person now and then.
        cancelled: Set from another thread, it ends a build under way.

    Raises:
        ControlPlaneError: A program cannot be built; with what to do about it.
        CancelledStartError: ``cancelled`` was set.
    """
    pinned = recipe.load()
    builder = Builder(pinned, cache_root(os.environ), progress, cancelled)
    paths = {
        program: found if (found := find(program, pinned, os.environ)) else builder.ensure(program)
        for program in recipe.PACKAGES
    }
    return Binaries(**{program.replace("-", "_"): path for program, path in paths.items()})


def cache_root(environ: Mapping[str, str]) -> Path:
    """Where the user's builds of all versions are."""
    base = environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    cache = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return cache / "secret-sync" / "controlplane"


def find(program: str, pinned: Recipe, environ: Mapping[str, str]) -> Path | None:
    """A program that somebody else has put on this machine, if it will do.

    What ``$KUBEBUILDER_ASSETS`` has is taken unseen: whoever sets it, chose it. A folder without
    the controller manager, as they usually are, is fine.
    """
    assets = environ.get("KUBEBUILDER_ASSETS", "")
    if assets and (chosen := shutil.which(program, path=assets)):
        return Path(chosen).absolute()
    on_path = shutil.which(program, path=environ.get("PATH", ""))
    if on_path and _is_near(Path(on_path), pinned.versions[program]):
        return Path(on_path).absolute()
    return None


def _is_near(program: Path, pinned: tuple[int, int, int]) -> bool:
    question = ["version", "--client"] if program.name == "kubectl" else ["--version"]
    try:
        answer = subprocess.run(  # noqa: S603  # a program the user has on PATH
            [program, *question],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
            check=True,
        ).stdout
        major, minor, _ = recipe.version(answer)
    except (OSError, ValueError, subprocess.SubprocessError):
        return False
    return major == pinned[0] and abs(minor - pinned[1]) <= _SKEW
