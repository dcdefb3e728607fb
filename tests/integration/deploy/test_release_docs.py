"""docs/release.md and docs/versioning.md, command by command, in a repository of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from secret_sync import __version__
from tests.integration.deploy.releases import ENVIRONMENT, commit_all
from tests.integration.migration.shell import Shell, steps
from tests.support.documentation import section
from tests.support.kustomize import container, environment
from tests.support.operator import external_secret, install_crds, store

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.kustomize import Kubectl
    from tests.support.operator import Api

RELEASE, VERSIONING = "docs/release.md", "docs/versioning.md"
IMAGE = f"registry.example.com/platform/secret-sync:{__version__}"


#: A fresh clone would install an environment of its own, which takes a minute.
MAKE = f'make() {{ command make VENV={ENVIRONMENT} -o {ENVIRONMENT}/.installed "$@"; }}'


async def follow(shell: Shell, kind: str) -> str:
    (step,) = steps(kind, document=RELEASE)
    code, out = await shell.run(f"{MAKE}\n{step.commands}")
    assert code == 0, out
    return out


@pytest.fixture
def maintainer(plane: ControlPlane, tree: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """In a repository in which everything is committed."""
    commit_all(tree)
    (tree / ".venv").symlink_to(ENVIRONMENT)
    programs = tree.parent / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(plane.binaries.kubectl)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return Shell(tree, str(plane.kubeconfig))


async def test_release_is_cut_verified_and_built_again(maintainer: Shell) -> None:
    assert "passed" in await follow(maintainer, "version")
    await follow(maintainer, "tag")
    out = await follow(maintainer, "files")
    assert f"secret-sync {__version__}, with the image {IMAGE}" in out

    clone = replace(maintainer, folder=maintainer.folder / "build/release")
    await follow(clone, "reproduce")
    dist = replace(maintainer, folder=clone.folder / "dist")
    assert f"secret_sync-{__version__}.tar.gz: OK" in await follow(dist, "verify")
    (dist.folder / "crds.yaml").unlink()
    assert "crds.yaml" not in await follow(dist, "verify")
    (dist.folder / "install-rrsa.yaml").write_text("kind: Namespace\n")
    (step,) = steps("verify", document=RELEASE)
    code, out = await dist.run(step.commands)
    assert (code, "install-rrsa.yaml: FAILED" in out) == (1, True)


def test_install_file_is_a_resource_of_ones_own_kustomization(
    kubectl: Kubectl, release: Path, tmp_path: Path
) -> None:
    (text,) = section(RELEASE, "The files").fenced("yaml kustomization")
    shutil.copyfile(release / "install-rrsa.yaml", tmp_path / "install-rrsa.yaml")
    (tmp_path / "kustomization.yaml").write_text(text)
    objects = kubectl.render(tmp_path)
    assert container(objects)["image"] == IMAGE
    assert environment(objects)["SECRET_SYNC_REGION"] == "cn-hangzhou"


async def test_check_before_a_downgrade_finds_what_the_program_does_not_know(
    plane: ControlPlane, api: Api, namespace: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(install_crds, plane)
    await api.put(store(), namespace)
    await api.put(external_secret("some", {"key": "a", "name": "x"}), namespace)
    shell = Shell.in_folder(plane, tmp_path)
    (step,) = steps("downgrade", document=VERSIONING)
    _, out = await shell.run(step.commands)
    assert "UnknownField" not in out
    assert "objects in 2 files" in out
    file = tmp_path / "objects.yaml"
    assert f"namespace: {namespace}\n" in file.read_text()
    newer = file.read_text().replace("    data:\n", "    later: x\n    data:\n")
    file.write_text(newer)
    code, out = await shell.run("secret-sync check objects.yaml cluster.yaml")
    assert code == 1
    assert "UnknownField" in out
    assert "spec.later" in out
