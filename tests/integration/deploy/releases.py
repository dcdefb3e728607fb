"""Building the files of a release, of this tree and of copies."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from tests.support.documentation import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.controlplane.plane import ControlPlane

#: Of some commit, wherever the tests are run.
EPOCH: Final = "1796049392"
ENVIRONMENT: Final = ROOT / ".venv"


def run(*command: str | Path, where: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (our own programs)
        command, cwd=where, capture_output=True, text=True, check=False, timeout=120
    )


def make_release(
    plane: ControlPlane, folder: Path, *more: str, where: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Of a tree, with the programs of this one."""
    return run(
        *("make", "--no-print-directory", f"--old-file={ENVIRONMENT}/.installed", "release"),
        *(f"VENV={ENVIRONMENT}", f"DIST={folder}", f"KUBECTL={plane.binaries.kubectl}"),
        *(f"SOURCE_DATE_EPOCH={EPOCH}", *more),
        where=where,
    )


def copy_tree(folder: Path) -> Path:
    """The files of the repository, in another place and of another age."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, folder / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            target.chmod(0o700 if os.access(source, os.X_OK) else 0o600)
    return folder


def commit_all(tree: Path) -> None:
    """Make it a repository of its own."""
    for command in (
        ("init", "--quiet"),
        ("config", "user.name", "some"),
        ("config", "user.email", "some@example.com"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=all"),
    ):
        done = run("git", *command, where=tree)
        assert done.returncode == 0, done.stderr
