"""The pinned sources and build options of the control plane's programs."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MODULES = Path(__file__).with_name("tools")
# Beside it, a folder for each other version of the API server, which is all that it has.
_OTHERS = "tools-"
_KUBERNETES = "k8s.io/kubernetes"

# Program -> Go package, in the order of building: what is needed first comes first.
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": f"{_KUBERNETES}/cmd/kube-apiserver",
    "kube-controller-manager": f"{_KUBERNETES}/cmd/kube-controller-manager",
    "kubectl": f"{_KUBERNETES}/cmd/kubectl",
}
# Program -> folder of the module with a program of ours that does what we need of it.
_OWN = {"kube-controller-manager": "controllers"}
# Processor seconds that each takes alone, with nothing in Go's cache; and, roughly, beside others.
_COSTS = {"etcd": 119, "kube-apiserver": 596, "kube-controller-manager": 257, "kubectl": 255}
_BESIDE = 60
# The linker and the largest packages use one processor only, and the modules are downloaded first.
_OVERHEAD = 1.3


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """A Go module that pins the programs, and what follows from it.

    Attributes:
        modules: Folder with its ``go.mod`` and ``go.sum``.
        key: Names the results: another pin or another kind of machine, another key.
        go: Least version of Go that builds it, as ``(major, minor)``.
        versions: Program -> version it is pinned at, as ``(major, minor, patch)``; only what
            the module has.
    """

    modules: Path
    key: str
    go: tuple[int, int]
    versions: dict[str, tuple[int, int, int]]

    def package(self, program: str) -> str:
        """Return the Go package to build, as an argument within the module."""
        own = self._own(program)
        return f"./{own.parent.name}" if own else PACKAGES[program]

    def file(self, program: str) -> Path:
        """Return the path of the built program within the folder of this build."""
        own = self._own(program)
        if own is None:
            return Path(program)
        # Not in the key: a change here does not have everything else built again.
        return Path(hashlib.sha256(own.read_bytes()).hexdigest()[:16], program)

    def _own(self, program: str) -> Path | None:
        folder = _OWN.get(program)
        source = self.modules / folder / "main.go" if folder else None
        return source if source and source.exists() else None

    @property
    def ldflags(self) -> str:
        """Linker flags: no symbols, and the version that Kubernetes cannot know by itself."""
        major, minor, patch = self.versions["kube-apiserver"]
        variables = {
            "gitVersion": f"v{major}.{minor}.{patch}",
            "gitMajor": major,
            "gitMinor": minor,
        }
        return "-s -w " + " ".join(
            f"-X k8s.io/component-base/version.{name}={value}" for name, value in variables.items()
        )


def load(modules: Path = _MODULES) -> BuildSpec:
    """Read the pins in ``modules``."""
    pins = [(modules / name).read_bytes() for name in ("go.mod", "go.sum")]
    text = pins[0].decode()
    machine = f"{sys.platform}-{platform.machine()}".encode()
    return BuildSpec(
        modules=modules,
        key=hashlib.sha256(b"".join([*pins, machine])).hexdigest()[:16],
        go=version(_line(r"go (\S+)", text))[:2],
        versions={
            program: version(_line(rf"\t{_module(package)} v(\S+).*", text))
            for program, package in PACKAGES.items()
            if re.search(rf"(?m)^(tool )?\s*{re.escape(package)}$", text)
        },
    )


def minutes(programs: Sequence[str], processors: int) -> int:
    """Estimate how long a first build of programs takes, in minutes."""
    seconds = max(_COSTS[program] for program in programs) + _BESIDE * (len(programs) - 1)
    return max(1, round(seconds * _OVERHEAD / processors / 60))


def others() -> dict[str, Path]:
    """Return the other available versions of the API server, each with its module."""
    return {
        folder.name.removeprefix(_OTHERS): folder
        for folder in sorted(_MODULES.parent.glob(f"{_OTHERS}*"))
    }


def version(text: str) -> tuple[int, int, int]:
    """Return the first ``1.2.3`` or ``1.2`` in a text; a missing third number is 0.

    Raises:
        ValueError: There is none.
    """
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if found is None:
        raise ValueError(f"no version in {text!r}")
    return int(found[1]), int(found[2]), int(found[3] or 0)


def _module(package: str) -> str:
    return package.partition("/cmd/")[0]


def _line(pattern: str, text: str) -> str:
    found = re.search(rf"(?m)^{pattern}$", text)
    if found is None:
        raise ValueError(f"no line {pattern!r} in go.mod")
    return found[1]
