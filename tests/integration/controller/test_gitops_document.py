"""docs/gitops.md on the real API server: its CEL, its objects, and that nothing differs."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.kstatus.objects import STATUSES, VERDICTS
from tests.support.gitops import ARGO_CD, argo_cd_health, snippet
from tests.support.kstatus import kstatus
from tests.support.kustomize import Kubectl
from tests.support.operator import (
    MERGE,
    ROOT,
    external_secret,
    path_of,
    put_store,
    store,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running

PROBE = "test/probe"
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
ROWS: list[dict[str, Any]] = [
    row
    for row in json.loads(VERDICTS.read_text())
    # The API server sets what the first one lacks; what is being deleted takes no annotation.
    if not row["name"].endswith(("/without status", "/deleting"))
]
SPECS: dict[str, dict[str, Any]] = {
    "ExternalSecret": external_secret("some", {"key": "a", "name": "a"}),
    "SecretStore": store("some"),
    "ClusterSecretStore": store("some", namespace="any"),
    "ClusterExternalSecret": {
        "apiVersion": "alibabacloud.com/v1alpha1",
        "spec": {"externalSecretSpec": {"data": [{"key": "a", "name": "a"}]}},
    },
}


def evaluated(expression: str) -> str:
    """An expression as Flux evaluates it: over the fields of the object."""
    inner = f"[object.metadata].map(metadata, string({expression}))[0]"
    return f"[object.status].map(status, {inner})[0]"


@asynccontextmanager
async def evaluating(api: Api, kind: str) -> AsyncIterator[None]:
    """The API server answers with ``failed`` and ``current`` of an object that is annotated."""
    (check,) = [c for c in snippet("flux")["spec"]["healthCheckExprs"] if c["kind"] == kind]
    name = f"gitops-{kind.lower()}"
    rule = {
        "apiGroups": ["alibabacloud.com"],
        "apiVersions": ["v1alpha1"],
        "operations": ["UPDATE"],
        "resources": [f"{kind.lower()}s"],
    }
    probed = f"has(object.metadata.annotations) && '{PROBE}' in object.metadata.annotations"
    answer = (
        f"'failed=' + {evaluated(check['failed'])} + ' current=' + {evaluated(check['current'])}"
    )
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "matchConditions": [{"name": "probed", "expression": probed}],
            "validations": [{"expression": "false", "messageExpression": answer}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    for path, document in ((POLICIES, policy), (BINDINGS, binding)):
        status, body = await api.request("POST", path, document)
        assert status == 201, body
    try:
        yield
    finally:
        for path in (BINDINGS, POLICIES):
            await api.request("DELETE", f"{path}/{name}")


async def flux_health(api: Api, path: str, found: dict[str, Any]) -> str:
    """What Flux makes of an object with the expressions of the document."""
    if found["status"]["observedGeneration"] != found["metadata"]["generation"]:
        # Flux compares them itself, before it evaluates anything.
        return "InProgress"
    probe = {"metadata": {"annotations": {PROBE: "now"}}}
    async with asyncio.timeout(30):
        # A new policy takes a moment to be in force.
        while True:
            status, body = await api.request("PATCH", f"{path}?dryRun=All", probe, MERGE)
            if status != 200:
                break
            await asyncio.sleep(0.1)
    message = body["message"]
    assert "current=" in message, message
    if "failed=true" in message:
        return "Failed"
    return "Current" if "current=true" in message else "InProgress"


@pytest.mark.parametrize("kind", STATUSES)
async def test_cel_for_flux_agrees_with_kstatus(api: Api, namespace: str, kind: str) -> None:
    """With each status as the API server stores it."""
    name = f"gitops-{namespace}"
    created = {**SPECS[kind], "kind": kind, "metadata": {"name": name}}
    path = path_of(kind, namespace, name)
    await api.put(created, namespace)
    async with evaluating(api, kind):
        for row in ROWS:
            if row["object"]["kind"] != kind:
                continue
            generation = (await api.get(kind, namespace, name))["metadata"]["generation"]
            behind = row["object"]["metadata"]["generation"] - 1
            reported = {"conditions": None, **row["object"]["status"]}
            if reported["observedGeneration"] > 0:
                reported["observedGeneration"] = generation - behind or -1
            status, body = await api.request("PATCH", f"{path}/status", {"status": reported}, MERGE)
            assert status == 200, body
            expected = "InProgress" if "children" in row["name"] else row["verdict"]
            assert await flux_health(api, path, body) == expected, row["name"]
            assert kstatus(body) == row["verdict"], row["name"]
            assert argo_cd_health(body)[0] == ARGO_CD[row["verdict"]], row["name"]
    await api.delete(kind, namespace, name)


async def test_stalled_object_heals_and_each_tool_follows(
    api: Api, home: str, admin: CloudAdmin, cloud: CloudInfo, running: Running
) -> None:
    await admin.put_secret(f"gitops/{home}", "one")
    await put_store(api, cloud, home)
    path = path_of("ExternalSecret", home, "some")
    async with evaluating(api, "ExternalSecret"), running():
        await api.put(external_secret("some", {"key": f"gitops/{home}x", "name": "a"}), home)
        await api.until_ready(home, "some", "SecretNotFound")
        found = await api.get("ExternalSecret", home, "some")
        ready, stalled = found["status"]["conditions"]
        assert (stalled["type"], stalled["status"]) == ("Stalled", "True")
        assert (stalled["reason"], stalled["message"]) == (ready["reason"], ready["message"])
        assert await flux_health(api, path, found) == kstatus(found) == "Failed"
        assert argo_cd_health(found) == ("Degraded", f"SecretNotFound: {ready['message']}")

        right = {"spec": external_secret("some", {"key": f"gitops/{home}", "name": "a"})["spec"]}
        edited = await api.merge("ExternalSecret", home, "some", right)
        assert kstatus(edited) == "InProgress"
        await api.until_ready(home, "some", "Synced")
        found = await api.get("ExternalSecret", home, "some")
        assert [c["type"] for c in found["status"]["conditions"]] == ["Ready"]
        assert await flux_health(api, path, found) == kstatus(found) == "Current"
        assert argo_cd_health(found)[0] == "Healthy"


@pytest.fixture
async def applied(
    api: Api, home: str, cloud: CloudInfo, cluster: ControlPlane, tmp_path: Path
) -> tuple[Kubectl, Path]:
    """kubectl, and a file for what it applies, where an AccessKey is."""
    await put_store(api, cloud, home)
    return Kubectl(cluster), tmp_path / "objects.yaml"


@pytest.mark.parametrize("name", ["waves", "keep"])
async def test_objects_of_the_document_show_no_difference_once_they_are_synced(
    api: Api,
    home: str,
    admin: CloudAdmin,
    applied: tuple[Kubectl, Path],
    running: Running,
    name: str,
) -> None:
    await admin.put_secret("shop/database", "one")
    kubectl, file = applied
    file.write_text(yaml.safe_dump_all([store("shop"), snippet(name)]))
    way = ("--server-side", "--field-manager", "argocd-controller", "-n", home, "-f", str(file))
    await asyncio.to_thread(kubectl, "apply", *way)
    async with running():
        await api.until_ready(home, "shop", "Synced")
        await api.until_ready(home, "shop", "Ready", kind="SecretStore")
        diff = await asyncio.to_thread(kubectl.run, "diff", *way)
        assert (diff.returncode, diff.stdout) == (0, "")
        before = version_of(await api.get("ExternalSecret", home, "shop"))
        await asyncio.to_thread(kubectl, "apply", *way)
        assert version_of(await api.get("ExternalSecret", home, "shop")) == before
        secret = await api.get("Secret", home, "shop")
        assert "argocd" not in json.dumps(secret["metadata"])


def test_crds_of_the_document_are_excluded_from_pruning(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    (tmp_path / "crds").symlink_to(ROOT / "crds")
    folder = tmp_path / snippet("application")["spec"]["source"]["path"]
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(snippet("crds")))
    found = Kubectl(cluster).render(folder)
    assert len(found) == len(STATUSES)
    for definition in found:
        annotations = definition["metadata"]["annotations"]
        assert annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"
        options = annotations["argocd.argoproj.io/sync-options"].split(",")
        assert {"Prune=false", "Delete=false"} <= set(options)
    assert "finalizers" not in snippet("application")["metadata"]
