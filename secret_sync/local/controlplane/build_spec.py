"""The pinned sources and build options of the control plane's programs."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

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
