"""kubectl with kustomizations: those of ``deploy/``, and such as a user writes around them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.documentation import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from secret_sync.local.controlplane.plane import ControlPlane

DEPLOY = ROOT / "deploy"
OVERLAYS = DEPLOY / "overlays"
COMPONENTS = DEPLOY / "components"
BASE = DEPLOY / "base"


class Kubectl:
    """kubectl as the administrator."""

    def __init__(self, plane: ControlPlane) -> None:
        self._prefix = [str(plane.binaries.kubectl), "--kubeconfig", str(plane.kubeconfig)]
        self._rendered: dict[Path, str] = {}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 (our own binary, our own arguments)
            [*self._prefix, *arguments], capture_output=True, text=True, check=False, timeout=60
        )

    def __call__(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
        return done.stdout

    def apply(self, folder: Path) -> str:
        return self("apply", "--server-side", "-k", str(folder))

    def delete(self, folder: Path) -> str:
        return self("delete", "--ignore-not-found", "-k", str(folder))

    def render(self, folder: Path) -> list[dict[str, Any]]:
        """The objects of a kustomization; it is built once, since kubectl takes its time."""
        if folder not in self._rendered:
            self._rendered[folder] = self("kustomize", str(folder))
        return list(yaml.safe_load_all(self._rendered[folder]))


def write(
    folder: Path, *, resources: Iterable[Path], components: Iterable[Path] = (), **more: Any
) -> Path:
    """A kustomization in a folder, which it returns."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        # The way to a folder behind a symbolic link is not the way back.
        "resources": [os.path.relpath(path, folder.resolve()) for path in resources],
        "components": [os.path.relpath(path, folder.resolve()) for path in components],
        **more,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document))
    return folder


def of_kind(kind: str, objects: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (found for found in objects if found["kind"] == kind)


def deployment(objects: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The only one among them."""
    (found,) = of_kind("Deployment", objects)
    return found


def container(objects: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The only one of the only Deployment among them."""
    (found,) = deployment(objects)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def environment(objects: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The variables of that container."""
    return {variable["name"]: variable["value"] for variable in container(objects)["env"]}
