"""Each way to install it, on a real API server: applied, applied again, and taken away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.kustomize import BASE, COMPONENTS, OVERLAYS, write
from tests.support.operator import external_secret, operator, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.deploy.conftest import AsAccount
    from tests.support.kustomize import Kubectl
    from tests.support.operator import Api

ALL_COMPONENTS = (
    "ha",
    "monitoring",
    "network-policy",
    "network-policy-metadata",
    "service-account-ref",
)
#: The overlays, and the combinations that are the farthest from them.
INSTALLS = ("base", *(f.name for f in sorted(OVERLAYS.iterdir())), "rrsa+all", "ack-compat+all")
#: A namespace takes seconds to go; what the others are made of is in these.
TAKEN_AWAY = ("namespaced", "rrsa+all", "ack-compat+all")

MONITORING = "/apis/monitoring.coreos.com/v1/namespaces/{namespace}"
#: Where all kinds are that may be in them. Ours are not among them, nor are their definitions.
PATHS = {
    "Namespace": "/api/v1/namespaces/{name}",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts/{name}",
    "Service": "/api/v1/namespaces/{namespace}/services/{name}",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{name}",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{name}",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/{name}",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/{name}",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps/{name}",
    "ServiceMonitor": f"{MONITORING}/servicemonitors/{{name}}",
    "PrometheusRule": f"{MONITORING}/prometheusrules/{{name}}",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/{name}",
}


def folder_of(install: str, tmp_path: Path, namespaced: Path) -> Path:
    """The kustomization of one of the installs."""
    if install == "base":
        return BASE
    if install == "namespaced":
        return namespaced
    overlay, _, more = install.partition("+")
    if not more:
        return OVERLAYS / overlay
    where = {"namespace": "kube-system"} if overlay == "ack-compat" else {}
    return write(
        tmp_path / "install",
        resources=[OVERLAYS / overlay],
        components=[COMPONENTS / name for name in ALL_COMPONENTS],
        **where,
    )


class Synced:
    """An ExternalSecret and its Secret, which nothing that is done to the controller may touch."""

    def __init__(self, api: Api, home: str) -> None:
        self._api, self._home = api, home
        self._before: list[dict[str, Any]] = []

    async def objects(self) -> list[dict[str, Any]]:
        kinds = ("ExternalSecret", "Secret")
        return [await self._api.get(kind, self._home, "some") for kind in kinds]

    async def remember(self) -> None:
        self._before = await self.objects()

    async def check(self) -> None:
        # The garbage collector needs no longer than this where somebody is to go with its owner.
        await asyncio.sleep(0.3)
        assert await self.objects() == self._before


@pytest.fixture
async def synced(
    plane: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str
) -> Synced:
    await admin.put_secret("deploy/one", "one")
    async with operator(settings_for(plane, cloud, home)):
        await api.put(external_secret("some", {"key": "deploy/one", "name": "x"}), home)
        await api.until_holds(home, "some", {"x": "one"})
        await api.until_ready(home, "some", "Synced")
    made = Synced(api, home)
    await made.remember()
    return made


async def versions(api: Api, objects: list[dict[str, Any]]) -> dict[str, str]:
    """The resource version of each of them."""
    found = {}
    for item in objects:
        metadata = item["metadata"]
        place = {"namespace": metadata.get("namespace", ""), "name": metadata["name"]}
        path = PATHS[item["kind"]].format(**place)
        status, body = await api.request("GET", path)
        assert status == 200, (path, body)
        found[path] = body["metadata"]["resourceVersion"]
    return found


@pytest.mark.parametrize("install", INSTALLS)
async def test_what_is_installed_stays_as_it_is_and_goes_without_a_secret(
    kubectl: Kubectl,
    api: Api,
    synced: Synced,
    tmp_path: Path,
    namespaced: Path,
    install: str,
) -> None:
    folder = folder_of(install, tmp_path, namespaced)
    objects = await asyncio.to_thread(kubectl.render, folder)
    assert {found["kind"] for found in objects} <= PATHS.keys()
    await asyncio.to_thread(kubectl.apply, folder)
    first = await versions(api, objects)

    diff = await asyncio.to_thread(kubectl.run, "diff", "--server-side", "-k", str(folder))
    assert (diff.returncode, diff.stdout) == (0, "")
    await asyncio.to_thread(kubectl.apply, folder)
    assert await versions(api, objects) == first

    if install in TAKEN_AWAY:
        await asyncio.to_thread(kubectl.delete, folder)
        for path in first:
            status, _ = await api.request("GET", path)
            assert status == 404, path
    await synced.check()


async def test_an_overlay_over_the_base_keeps_every_secret(
    synced: Synced,
    kubectl: Kubectl,
    tmp_path: Path,
    as_account: AsAccount,
) -> None:
    await asyncio.to_thread(kubectl.apply, BASE)
    settings = await as_account("secret-sync-system", "secret-sync")
    async with operator(settings):
        await asyncio.sleep(0.3)
    await synced.check()
    await asyncio.to_thread(kubectl.apply, folder_of("rrsa+all", tmp_path, tmp_path))
    async with operator(settings):
        await asyncio.sleep(0.3)
    await synced.check()


async def test_the_account_of_the_guide_has_the_rights_and_no_other_one_has(
    api: Api,
    synced: Synced,
    kubectl: Kubectl,
    tmp_path: Path,
    as_account: AsAccount,
) -> None:
    await asyncio.to_thread(kubectl.apply, folder_of("ack-compat+all", tmp_path, tmp_path))
    settings = await as_account("kube-system", "ack-secret-manager")
    async with operator(settings):
        await asyncio.sleep(0.3)
    await synced.check()
    for namespace, verb, group, resource, subresource in (
        ("", "create", "", "serviceaccounts", "token"),
        ("kube-system", "create", "coordination.k8s.io", "leases", ""),
    ):
        asked = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
        asked |= {"namespace": namespace}
        ours = "system:serviceaccount:kube-system:ack-secret-manager"
        assert await may(api, ours, asked)
        assert not await may(api, "system:serviceaccount:secret-sync-system:secret-sync", asked)


async def test_with_roles_alone_it_works_in_their_namespaces(
    api: Api,
    admin: CloudAdmin,
    home: str,
    kubectl: Kubectl,
    namespaced: Path,
    as_account: AsAccount,
) -> None:
    for kind in ("clusterrolebindings", "clusterroles"):
        # Whatever another test has installed.
        path = f"/apis/rbac.authorization.k8s.io/v1/{kind}/secret-sync"
        assert (await api.request("DELETE", path))[0] in {200, 404}
    await asyncio.to_thread(kubectl.apply, namespaced)
    await admin.put_secret("deploy/named", "one")
    settings = await as_account("secret-sync-system", "secret-sync", home)
    async with operator(settings) as controller:
        assert {"definitions", "namespaces"}.isdisjoint(controller.watched.running)
        await api.put(external_secret("named", {"key": "deploy/named", "name": "x"}), home)
        await api.until_holds(home, "named", {"x": "one"})
        await api.until_ready(home, "named", "Synced")
    secrets = {"verb": "list", "group": "", "resource": "secrets"}
    user = "system:serviceaccount:secret-sync-system:secret-sync"
    assert await may(api, user, {**secrets, "namespace": home})
    for elsewhere in ("", "default", "secret-sync-system"):
        assert not await may(api, user, {**secrets, "namespace": elsewhere})


async def may(api: Api, user: str, attributes: dict[str, str]) -> bool:
    """Whether RBAC lets somebody do it."""
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    asked = {"spec": {"user": user, "resourceAttributes": attributes}}
    status, body = await api.request("POST", path, asked)
    assert status == 201, body
    allowed: bool = body["status"]["allowed"]
    return allowed
