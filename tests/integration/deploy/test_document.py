"""docs/install.md: what it names is there, and what it has people write can be built."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.integration.deploy.person import fenced
from tests.support.documentation import ROOT, section
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


def written(folder: Path, text: str, **places: str) -> str:
    """A user's kustomization with the folders that it names; all that is written there.

    Args:
        folder: Where to write it.
        text: What it says.
        places: What its folders say, where that is not what the document has for them.
    """
    named = {place: text for place, text in FILES if place} | places
    used = {place: named[place] for place in yaml.safe_load(text)["resources"] if place in named}
    for place, content in {"": text, **used}.items():
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "kustomization.yaml").write_text(content)
    return "\n".join((text, *used.values()))


def test_document_names_every_overlay_and_component_that_exists() -> None:
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
    # From afar: test_first_hour.py.
    here = {folder for folder in folders if "https://" not in folder}
    assert here == {"crds", "my-cluster"}
    for folder in ("crds", "crds/legacy"):
        assert f"kubectl apply --server-side -k {folder}" in TEXT
        assert (ROOT / folder / "kustomization.yaml").is_file()


@pytest.mark.parametrize("index", [i for i, (place, _) in enumerate(FILES) if not place])
def test_kustomizations_of_the_document_can_be_built(
    kubectl: Kubectl, folder: Path, index: int
) -> None:
    text = written(folder, FILES[index][1])
    objects = kubectl.render(folder)
    variables, image = environment(objects), container(objects)["image"]
    match re.findall(r"overlays/([\w-]+)", text):
        case ["rrsa"]:
            assert image == "registry.example.com/platform/secret-sync:0.1.0"
            if "unhealthyPodEvictionPolicy" in text:
                (budget,) = of_kind("PodDisruptionBudget", objects)
                assert set(budget["spec"]) == {"maxUnavailable", "selector"}
            else:
                assert variables["SECRET_SYNC_REGION"] == "cn-hangzhou"
        case ["multi-tenant"]:
            assert not any("SET-ME" in value for value in variables.values())
        case ["namespaced"]:
            (role,) = of_kind("Role", objects)
            assert (
                role["metadata"]["namespace"] == variables["SECRET_SYNC_WATCH_NAMESPACES"] == "shop"
            )
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


def test_quota_for_the_priority_class_is_taken_by_the_api_server(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    file = tmp_path / "quota.yaml"
    file.write_text(fenced("yaml quota").replace("secret-sync-system", "default"))
    kubectl("apply", "--server-side", "--dry-run=server", "-f", str(file))


def test_in_another_namespace_everything_and_everybody_is_there(
    kubectl: Kubectl, folder: Path
) -> None:
    written(folder, f"namespace: secrets\n{FILES[0][1]}")
    objects = kubectl.render(folder)
    assert {o["metadata"].get("namespace", "secrets") for o in objects} == {"secrets"}
    assert [o["metadata"]["name"] for o in of_kind("Namespace", objects)] == ["secrets"]
    (binding,) = of_kind("ClusterRoleBinding", objects)
    assert [s["namespace"] for s in binding["subjects"]] == ["secrets"]


@pytest.mark.parametrize(
    ("overlay", "components", "where", "account"),
    [
        ("namespaced", ["ha"], "secrets", "secret-sync"),
        ("ack-compat", ["namespaced", "ha"], "kube-system", "ack-secret-manager"),
    ],
)
def test_roles_are_in_the_named_namespaces_wherever_the_controller_is(
    kubectl: Kubectl, folder: Path, overlay: str, components: list[str], where: str, account: str
) -> None:
    (outermost,) = (t for place, t in FILES if not place and "- shop" in t)
    (controller,) = (t for place, t in FILES if place == "controller")
    (shop,) = (t for place, t in FILES if place == "shop")
    controller = controller.replace("overlays/namespaced", f"overlays/{overlay}")
    controller = controller.replace("value: shop", "value: shop,billing")
    controller += f"namespace: {where}\ncomponents:\n"
    controller += "".join(f"  - ../../deploy/components/{name}\n" for name in components)
    outermost = outermost.replace("  - shop\n", "  - shop\n  - billing\n")
    written(folder, outermost, controller=controller, billing=shop.replace("shop", "billing"))

    objects = kubectl.render(folder)
    assert deployment(objects)["metadata"]["namespace"] == where
    assert environment(objects)["SECRET_SYNC_WATCH_NAMESPACES"] == "shop,billing"
    places = {("shop", "secret-sync"), ("billing", "secret-sync"), (where, "secret-sync-leader")}
    roles, bindings = list(of_kind("Role", objects)), list(of_kind("RoleBinding", objects))
    for found in (roles, bindings):
        assert {(f["metadata"]["namespace"], f["metadata"]["name"]) for f in found} == places
    for binding in bindings:
        assert binding["roleRef"]["name"] == binding["metadata"]["name"]
        subject = {"kind": "ServiceAccount", "name": account, "namespace": where}
        assert binding["subjects"] == [subject]
    assert not [found for found in objects if found["kind"].startswith("ClusterRole")]


def test_kustomization_for_push_refresh_can_be_built(kubectl: Kubectl, folder: Path) -> None:
    (text,) = section("docs/push-refresh.md", "Turn it on").fenced("yaml kustomization")
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(text)
    objects = kubectl.render(folder)
    assert environment(objects)["SECRET_SYNC_REFRESH_BIND_ADDRESS"] == ":8081"
    names = {found["metadata"]["name"] for found in of_kind("Service", objects)}
    assert names == {"secret-sync", "secret-sync-refresh"}
