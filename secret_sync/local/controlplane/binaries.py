"""The programs of a control plane: found somewhere, else built."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from secret_sync.local.controlplane import build_spec
from secret_sync.local.controlplane.build import Builder
from secret_sync.local.controlplane.errors import ControlPlaneError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from secret_sync.local.controlplane.build_spec import BuildSpec

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
    the user's cache, then built into the cache from Go modules. An API server of the version
    that ``$K8S`` names is always one of ours. Blocking.

    Args:
        progress: Gets a line for a person now and then.
        cancelled: Set from another thread, it ends a build under way.

    Raises:
        ControlPlaneError: A program cannot be built, or ``$K8S`` is none of the versions that
            can be; with what to do about it.
        CancelledStartError: ``cancelled`` was set.
    """
    pinned = build_spec.load()
    asked = asked_for(pinned, os.environ)
    root = cache_root(os.environ)

    paths: dict[str, Path] = {}
    missing: dict[Builder, list[str]] = {}
    builders = [Builder(spec, root, progress, cancelled) for spec in (asked, pinned) if spec]
    for program in build_spec.PACKAGES:
        if asked is not None and program in asked.versions:
            missing.setdefault(builders[0], []).append(program)
        elif (found := find(program, pinned, os.environ)) is not None:
            paths[program] = found
        else:
            missing.setdefault(builders[-1], []).append(program)
    for builder, programs in missing.items():
        builder.announce(programs)
    for builder, programs in missing.items():
        paths |= {program: builder.ensure(program) for program in programs}
    return Binaries(**{program.replace("-", "_"): path for program, path in paths.items()})


def asked_for(pinned: BuildSpec, environ: Mapping[str, str]) -> BuildSpec | None:
    """Return the build specification that ``$K8S`` selects; ``None`` if it is not set.

    Raises:
        ControlPlaneError: There is none for that version.
    """
    version = environ.get("K8S", "")
    if not version:
        return None
    own = ".".join(map(str, pinned.versions["kube-apiserver"]))
    if version == own:
        return pinned
    others = build_spec.others()
    if version not in others:
        known = ", ".join([own, *others])
        raise ControlPlaneError(f"K8S={version}: cannot build this API server, only {known}")
    return build_spec.load(others[version])


def cache_root(environ: Mapping[str, str]) -> Path:
    """Return the folder of the user's builds of all versions."""
    base = environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    cache = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return cache / "secret-sync" / "controlplane"


def find(program: str, pinned: BuildSpec, environ: Mapping[str, str]) -> Path | None:
    """Return an installed program of this machine, if its version fits.

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
        major, minor, _ = build_spec.version(answer)
    except (OSError, ValueError, subprocess.SubprocessError):
        return False
    return major == pinned[0] and abs(minor - pinned[1]) <= _SKEW
