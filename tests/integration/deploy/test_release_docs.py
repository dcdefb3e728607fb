"""docs/release.md and docs/versioning.md, command by command, in a repository of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
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


def give_environment(tree: Path) -> None:
    """The programs of this tree, up to date whatever the age of the files."""
    (tree / ".venv").mkdir()
    for entry in ENVIRONMENT.iterdir():
        if entry.name != ".installed":
            (tree / ".venv" / entry.name).symlink_to(entry)
    (tree / ".venv/.installed").touch()


async def follow(shell: Shell, kind: str, document: str, before: str = "") -> str:
    (step,) = steps(kind, document=document)
    code, out = await shell.run(f"{before}\n{step.commands}")
    assert code == 0, out
    return out


@pytest.fixture
def maintainer(plane: ControlPlane, tree: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """In a repository in which everything is committed."""
    commit_all(tree)
    give_environment(tree)
    programs = tree.parent / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(plane.binaries.kubectl)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "some")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "some@example.com")
    return Shell(tree, str(plane.kubeconfig))


async def test_release_is_cut_verified_and_built_again(
    maintainer: Shell, kubectl: Kubectl, tmp_path: Path
) -> None:
    assert "passed" in await follow(maintainer, "version", RELEASE)
    await follow(maintainer, "tag", RELEASE)
    clone = maintainer.folder / "build/release"
    # A fresh clone would install an environment of its own; that takes a minute.
    given = 'make() { cp -r ../../.venv .; command make -o .venv/.installed "$@"; }'
    out = await follow(maintainer, "files", RELEASE, before=given)
    assert f"secret-sync {__version__}, with the image {IMAGE}" in out

    dist = Shell(clone / "dist", maintainer.kubeconfig)
    out = await follow(dist, "verify", RELEASE)
    assert f"secret_sync-{__version__}.tar.gz: OK" in out
    (dist.folder / "crds.yaml").unlink()
    assert "crds.yaml" not in await follow(dist, "verify", RELEASE)
    again = Shell(clone, maintainer.kubeconfig)
    await follow(
        again, "reproduce", RELEASE, before='make() { command make -o .venv/.installed "$@"; }'
    )

    (dist.folder / "install-rrsa.yaml").write_text("kind: Namespace\n")
    (step,) = steps("verify", document=RELEASE)
    assert (await dist.run(step.commands))[0] == 1


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
    assert "externalsecret" in out.lower()
    file = tmp_path / "objects.yaml"
    assert f"namespace: {namespace}\n" in file.read_text()
    newer = file.read_text().replace("    data:\n", "    later: x\n    data:\n")
    file.write_text(newer)
    code, out = await shell.run("secret-sync check objects.yaml cluster.yaml")
    assert code == 1
    assert "UnknownField" in out
    assert "spec.later" in out
