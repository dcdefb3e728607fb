"""Workloads that restart after a change of the data, on the real API server.

It runs no controller of Deployments, so what they would act on is checked: their pod template.
"""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from secret_sync.controller.restart import pacing
from secret_sync.controller.restart.digests import KEY_SECRET
from tests.integration.controller.test_rights import account, allow, rules_without
from tests.support.documentation import sections
from tests.support.kustomize import COMPONENTS
from tests.support.operator import external_secret, operator, secret, settings_for
from tests.support.watching import force_sync

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running

__all__ = ["account"]  # a fixture

RESTART = "secret-sync.alibabacloud.com/restart"
RESTARTED_FOR = "secret-sync.alibabacloud.com/restarted-for"
#: Seconds in which a restart that is not due would have happened.
WHILE = 1.5
KEY = "restarts/password"
ENTRY = {"key": KEY, "name": "password"}
#: Restarts of a Deployment and a StatefulSet.
FIELD = [{"kind": "Deployment", "name": "shop"}, {"kind": "StatefulSet", "name": "db"}]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "SETTLE", 0.3)


def workload(kind: str, name: str) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"containers": [{"name": "one", "image": "registry.example/one:1"}]}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels, "annotations": {"kept": "1"}}, "spec": pod},
    }
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


class Workloads:
    """Those of one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    def _path(self, kind: str, name: str = "") -> str:
        place = f"/apis/apps/v1/namespaces/{self._namespace}/{kind.lower()}s"
        return f"{place}/{name}".rstrip("/")

    async def put(self, kind: str, name: str) -> dict[str, Any]:
        path = self._path(kind)
        status, made = await self._api.request("POST", path, workload(kind, name))
        assert status == 201, made
        return dict(made)

    async def get(self, kind: str = "Deployment", name: str = "shop") -> dict[str, Any]:
        status, found = await self._api.request("GET", self._path(kind, name))
        assert status == 200, found
        return dict(found)

    async def annotation(self, kind: str = "Deployment", name: str = "shop") -> str:
        template = (await self.get(kind, name))["spec"]["template"]
        return str(template["metadata"]["annotations"].get(RESTARTED_FOR, ""))

    async def until_restarted(
        self, before: str = "", kind: str = "Deployment", name: str = "shop"
    ) -> str:
        async with asyncio.timeout(30):
            while (now := await self.annotation(kind, name)) == before:  # noqa: ASYNC110 (a watch is none of ours)
                await asyncio.sleep(0.05)
        return now


@pytest.fixture
async def workloads(api: Api, home: str, admin: CloudAdmin) -> Workloads:
    """A Deployment ``shop`` and a StatefulSet ``db``, and the first value."""
    found = Workloads(api, home)
    await found.put("Deployment", "shop")
    await found.put("StatefulSet", "db")
    await admin.put_secret(KEY, "one")
    return found


def restarting(**target: Any) -> dict[str, Any]:
    wanted = {"rolloutRestart": FIELD, **target}
    return external_secret("some", ENTRY, target=wanted, rotationInterval="1s")


async def until_condition(api: Api, home: str, reason: str, name: str = "some") -> dict[str, Any]:
    """Waits for the reason of the condition ``Restarted``; returns the condition."""

    def of(found: dict[str, Any] | None) -> dict[str, Any]:
        conditions = ((found or {}).get("status") or {}).get("conditions") or []
        return next((dict(c) for c in conditions if c["type"] == "Restarted"), {})

    found = await api.until("ExternalSecret", home, name, lambda f: of(f).get("reason") == reason)
    return of(found)


async def test_a_new_value_restarts_what_the_field_names(
    admin: CloudAdmin, api: Api, home: str, running: Running, workloads: Workloads
) -> None:
    async with running():
        await api.put(restarting(), home)
        await api.until_ready(home, "some", "Synced")
        await asyncio.sleep(WHILE)
        assert await workloads.annotation() == ""
        await admin.put_secret(KEY, "two")
        await api.until_holds(home, "some", {"password": "two"})
        for kind, name in (("Deployment", "shop"), ("StatefulSet", "db")):
            assert (await workloads.until_restarted("", kind, name)).startswith("some=")
            assert (await workloads.get(kind, name))["metadata"]["generation"] == 2
        condition = await until_condition(api, home, "Restarted")
        assert condition["status"] == "True"
        found = await api.until_ready(home, "some", "Synced")
        assert found["status"] == "True"
        es = await api.get("ExternalSecret", home, "some")
        restart = es["status"]["restart"]
        assert restart["dataDigest"] == restart["restartedFor"]
        assert "two" not in str(es["status"])


async def test_only_the_pod_template_of_the_own_namespace_changes(
    admin: CloudAdmin, api: Api, home: str, running: Running, workloads: Workloads
) -> None:
    # A Deployment of that name in another namespace.
    other = Workloads(api, "default")
    await other.put("Deployment", f"shop-{home}")
    wanted = external_secret("some", ENTRY, rotationInterval="1s")
    wanted["metadata"]["annotations"] = {RESTART: f"deployment/shop, deploy/shop-{home}"}
    before = await workloads.get()
    async with running():
        await api.put(wanted, home)
        await api.until_ready(home, "some", "Synced")
        await admin.put_secret(KEY, "two")
        await workloads.until_restarted()
        await until_condition(api, home, "WorkloadNotFound")
    after = deepcopy(await workloads.get())
    assert after["spec"]["template"]["metadata"]["annotations"].pop(RESTARTED_FOR)
    assert after["spec"] == before["spec"]
    (entry,) = [
        e for e in after["metadata"]["managedFields"] if e["manager"] == "secret-sync-restart"
    ]
    template = entry["fieldsV1"]["f:spec"]["f:template"]
    assert template == {"f:metadata": {"f:annotations": {f"f:{RESTARTED_FOR}": {}}}}
    assert await other.annotation(name=f"shop-{home}") == ""
    status, _ = await api.request(
        "DELETE", f"/apis/apps/v1/namespaces/default/deployments/shop-{home}"
    )
    assert status == 200


async def test_drift_labels_and_a_restart_of_the_controller_restart_nothing(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, home: str, workloads: Workloads
) -> None:
    settings = settings_for(cluster, cloud, home)
    async with operator(settings):
        await api.put(restarting(), home)
        await api.until_ready(home, "some", "Synced")
        edited = {"data": {"password": "eA=="}, "metadata": {"labels": {"a": "b"}}}
        await api.merge("Secret", home, "some", edited)
        await api.until_holds(home, "some", {"password": "one"})
        await api.delete("Secret", home, "some")
        await api.until_holds(home, "some", {"password": "one"})
        await asyncio.sleep(WHILE)
    # Another edit while nobody is there.
    await api.merge("Secret", home, "some", {"data": {"password": "eA=="}})
    async with operator(settings):
        await api.until_holds(home, "some", {"password": "one"})
        await asyncio.sleep(WHILE)
    assert await workloads.annotation() == ""


async def test_a_controller_that_starts_again_restarts_what_is_due(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    workloads: Workloads,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_for(cluster, cloud, home)
    with monkeypatch.context() as patched:
        patched.setattr(pacing, "SETTLE", 3600.0)
        async with operator(settings):
            await api.put(restarting(), home)
            await api.until_ready(home, "some", "Synced")
            await admin.put_secret(KEY, "two")
            await api.until_holds(home, "some", {"password": "two"})
    assert await workloads.annotation() == ""
    async with operator(settings):
        first = await workloads.until_restarted()
        await until_condition(api, home, "Restarted")
    async with operator(settings):
        await api.until_ready(home, "some", "Synced")
        await asyncio.sleep(WHILE)
    assert await workloads.annotation() == first


@pytest.mark.parametrize("target", [{"immutable": True}, {"creationPolicy": "Merge"}])
async def test_restarts_work_with_immutable_secrets_and_with_merged_keys(
    admin: CloudAdmin,
    api: Api,
    home: str,
    running: Running,
    workloads: Workloads,
    target: dict[str, Any],
) -> None:
    merged = "creationPolicy" in target
    if merged:
        await api.put(secret("some", {"theirs": "1"}), home)
    async with running():
        await api.put(restarting(**target), home)
        await api.until_ready(home, "some", "Synced")
        if merged:
            await api.merge("Secret", home, "some", {"data": {"theirs": "Mg=="}})
            await asyncio.sleep(WHILE)
            assert await workloads.annotation() == ""
        await admin.put_secret(KEY, "two")
        await workloads.until_restarted()
        found = await api.get("Secret", home, "some")
        assert found["data"]["password"] == "dHdv"


async def test_a_secret_that_is_created_once_restarts_when_it_is_forced(
    admin: CloudAdmin, api: Api, home: str, running: Running, workloads: Workloads
) -> None:
    async with running():
        await api.put({**restarting(), **_once()}, home)
        await api.until_ready(home, "some", "Synced")
        await force_sync(api, home, "some", "1")
        await asyncio.sleep(WHILE)
        assert await workloads.annotation() == ""
        await admin.put_secret(KEY, "two")
        await force_sync(api, home, "some", "2")
        await workloads.until_restarted()


def _once() -> dict[str, Any]:
    target = {"rolloutRestart": FIELD}
    return external_secret("some", ENTRY, target=target, refreshPolicy="CreatedOnce")


async def test_a_child_of_a_cluster_external_secret_restarts_workloads_of_its_namespace(
    admin: CloudAdmin, api: Api, home: str, running: Running, workloads: Workloads
) -> None:
    spec = {**restarting()["spec"], "rotationInterval": "1s"}
    wanted = {
        "apiVersion": "alibabacloud.com/v1alpha1",
        "kind": "ClusterExternalSecret",
        "metadata": {"name": home},
        "spec": {"conditions": [{"namespaces": [home]}], "externalSecretSpec": spec},
    }
    async with running():
        await api.put(wanted, "")
        await api.until_ready(home, home, "Synced")
        await admin.put_secret(KEY, "two")
        assert (await workloads.until_restarted()).startswith(f"{home}=")
    await api.delete("ClusterExternalSecret", "", home)


async def test_a_missing_permission_is_reported_and_the_secret_stays_ready(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    account: str,
    workloads: Workloads,
) -> None:
    await allow(api, home, rules_without())
    settings = settings_for(cluster, cloud, home, kubeconfig=account, leader_elect_namespace=home)
    async with operator(settings):
        await api.put(restarting(), home)
        await api.until_ready(home, "some", "Synced")
        await admin.put_secret(KEY, "two")
        condition = await until_condition(api, home, "RestartForbidden")
        assert condition["status"] == "False"
        assert "kustomize component restart" in condition["message"]
        ready = await api.until_ready(home, "some", "Synced")
        assert ready["status"] == "True"
        assert await api.find("Secret", home, KEY_SECRET)
        path = COMPONENTS / "restart" / "clusterrole.yaml"
        rules = yaml.safe_load(path.read_text())["rules"]
        await allow(api, home, [*rules_without(), *rules])
    async with operator(settings):
        # Within a minute; sooner where it starts again.
        await workloads.until_restarted()
        await until_condition(api, home, "Restarted")


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"kind": "CronJob", "name": "shop"}, "spec.target.rolloutRestart[0].kind"),
        ({"kind": "Deployment", "name": "a/b"}, "spec.target.rolloutRestart[0].name"),
        ({"kind": "Deployment"}, "spec.target.rolloutRestart[0].name"),
    ],
)
async def test_the_schema_refuses_what_is_no_workload(
    api: Api, home: str, item: dict[str, str], field: str
) -> None:
    wanted = external_secret("some", ENTRY, target={"rolloutRestart": [item]})
    path = f"/apis/alibabacloud.com/v1alpha1/namespaces/{home}/externalsecrets"
    status, body = await api.request("POST", path, wanted)
    assert status == 422
    assert field in body["message"]
    many = [{"kind": "Deployment", "name": f"a{n}"} for n in range(17)]
    wanted = external_secret("some", ENTRY, target={"rolloutRestart": many})
    status, body = await api.request("POST", path, wanted)
    assert (status, "at most 16 items" in body["message"]) == (422, True)


async def test_every_object_of_the_document_is_accepted(api: Api, home: str) -> None:
    found = 0
    for part in sections("docs/restart-on-change.md"):
        for info in ("field", "annotation", "reloader", "match"):
            for text in part.fenced(f"yaml {info}"):
                wanted = yaml.safe_load(text)
                plural = f"{wanted['kind'].lower()}s"
                path = f"/apis/{wanted['apiVersion']}/namespaces/{home}/{plural}"
                query = "?dryRun=All&fieldValidation=Strict"
                status, body = await api.request("POST", path + query, wanted)
                assert status == 201, body
                found += 1
    assert found == 4
