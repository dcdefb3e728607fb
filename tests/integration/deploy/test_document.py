"""docs/install.md: what it names is there, and what it has people write can be built."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.documentation import ROOT
from tests.support.kustomize import (
    COMPONENTS,
    OVERLAYS,
    container,
    deployment,
    environment,
    of_kind,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kustomize import Kubectl

TEXT = (ROOT / "docs" / "install.md").read_text()
#: Each with the folder below ``my-cluster`` that it is for.
FILES = re.findall(r"^```yaml kustomization ?(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a user has ``deploy/`` and writes something beside it."""
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    return tmp_path / "my-cluster"


def test_what_it_names_is_there_and_nothing_is_left_out() -> None:
    named = set(re.findall(r"\bdeploy/[\w/.-]*\w", TEXT))
    for path in named:
        assert (ROOT / path).exists(), path
    for kind in (OVERLAYS, COMPONENTS):
        there = {f"deploy/{kind.name}/{folder.name}" for folder in kind.iterdir()}
        assert there <= named


def test_the_folders_of_its_commands_are_there_or_are_the_users_own() -> None:
    commands = re.findall(r"^```sh[ \w]*\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    lines = [line for block in commands for line in block.splitlines()]
    folders = [words[words.index("-k") + 1] for words in map(str.split, lines) if "-k" in words]
    assert set(folders) == {"crds", "my-cluster"}
    assert (ROOT / "crds" / "kustomization.yaml").is_file()


@pytest.mark.parametrize("index", [i for i, (place, _) in enumerate(FILES) if not place])
def test_what_it_has_people_write_can_be_built(kubectl: Kubectl, folder: Path, index: int) -> None:
    for place, text in (*(f for f in FILES if f[0]), FILES[index]):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "kustomization.yaml").write_text(text)
    objects = kubectl.render(folder)
    told, image = environment(objects), container(objects)["image"]
    match re.findall(r"overlays/([\w-]+)", FILES[index][1]):
        case ["rrsa"]:
            assert image == "registry.example.com/platform/secret-sync:0.1.0"
            assert told["SECRET_SYNC_REGION"] == "cn-hangzhou"
        case ["multi-tenant"]:
            assert not any("SET-ME" in value for value in told.values())
        case ["namespaced"]:
            (role,) = of_kind("Role", objects)
            assert role["metadata"]["namespace"] == told["SECRET_SYNC_WATCH_NAMESPACES"] == "shop"
            (binding,) = of_kind("RoleBinding", objects)
            account = deployment(objects)["spec"]["template"]["spec"]["serviceAccountName"]
            where = deployment(objects)["metadata"]["namespace"]
            subject = {"kind": "ServiceAccount", "name": account, "namespace": where}
            assert binding["subjects"] == [subject]
            assert not list(of_kind("ClusterRole", objects))
        case ["ack-compat"]:
            places = {found["metadata"].get("namespace", "") for found in objects}
            assert places == {"", "kube-system"}
            assert not list(of_kind("Namespace", objects))
        case others:
            pytest.fail(f"nothing is known of {others}")


def test_in_another_namespace_everything_and_everybody_is_there(
    kubectl: Kubectl, folder: Path
) -> None:
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(f"namespace: secrets\n{FILES[0][1]}")
    objects = kubectl.render(folder)
    assert {o["metadata"].get("namespace", "secrets") for o in objects} == {"secrets"}
    assert [o["metadata"]["name"] for o in of_kind("Namespace", objects)] == ["secrets"]
    (binding,) = of_kind("ClusterRoleBinding", objects)
    assert [s["namespace"] for s in binding["subjects"]] == ["secrets"]
