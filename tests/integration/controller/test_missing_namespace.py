"""Roles in two namespaces, of which one is deleted, and the controller started again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog.testing

from secret_sync.errors import DefiniteError
from tests.integration.controller.test_rights import rules_without
from tests.support.controlplane import fresh_namespace
from tests.support.operator import external_secret, operator, put_store, settings_for
from tests.support.program import kubeconfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from secret_sync.app import Controller
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from secret_sync.settings.model import Settings
    from tests.support.operator import Api

pytestmark = pytest.mark.timeout(120)

RBAC = "rbac.authorization.k8s.io"


@pytest.fixture
def gone(cluster: ControlPlane) -> Iterator[str]:
    yield from fresh_namespace(cluster)


@pytest.fixture
async def account(cluster: ControlPlane, api: Api, home: str, tmp_path: Path) -> str:
    """A kubeconfig of a ServiceAccount without any rights."""
    path = f"/api/v1/namespaces/{home}/serviceaccounts"
    status, body = await api.request("POST", path, {"metadata": {"name": "some"}})
    assert status == 201, body
    token = await cluster.token_for(home, "some")
    return kubeconfig(tmp_path / "kubeconfig", cluster.server, token, str(cluster.ca_file))


async def allow(api: Api, home: str, namespace: str) -> None:
    """Give the account of one namespace a Role in another one."""
    path = f"/apis/{RBAC}/v1/namespaces/{namespace}"
    some = {"metadata": {"name": "some"}}
    role = {"apiGroup": RBAC, "kind": "Role", "name": "some"}
    subject = {"kind": "ServiceAccount", "name": "some", "namespace": home}
    for kind, more in (
        ("roles", {"rules": rules_without()}),
        ("rolebindings", {"roleRef": role, "subjects": [subject]}),
    ):
        status, body = await api.request("POST", f"{path}/{kind}", {**some, **more})
        assert status == 201, body


async def create(api: Api, namespace: str) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    status, answer = await api.request("POST", "/api/v1/namespaces", body)
    assert status == 201, answer


def missing_by(controller: Controller) -> float | None:
    """What the metric says."""
    return controller.metrics.registry.get_sample_value("secret_sync_namespaces_missing")


async def test_the_others_are_served_and_it_is_again_when_it_is_back(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    gone: str,
    account: str,
) -> None:
    await admin.put_secret("missing/one", "one")
    entry = {"key": "missing/one", "name": "x"}
    settings = settings_for(cluster, cloud, home, gone, kubeconfig=account)
    await allow(api, home, home)
    await allow(api, home, gone)
    await put_store(api, cloud, gone)
    async with operator(settings) as controller:
        await api.put(external_secret("some", entry), gone)
        await api.until_holds(gone, "some", {"x": "one"})
        assert controller.watched.missing_namespaces == frozenset()
    await api.delete("Namespace", "", gone)
    await api.until("Namespace", "", gone, lambda found: found is None, 30)

    with structlog.testing.capture_logs() as logs:
        async with operator(settings) as controller:
            reported = [e for e in logs if e["event"].startswith("namespace not served")]
            assert [entry["namespace"] for entry in reported] == [gone]
            await api.put(external_secret("some", entry), home)
            await api.until_holds(home, "some", {"x": "one"})
            assert controller.watched.missing_namespaces == {gone}
            assert missing_by(controller) == 1
            assert controller.unready == ""

            await create(api, gone)
            await allow(api, home, gone)
            await put_store(api, cloud, gone)
            await api.put(external_secret("again", entry), gone)
            await api.until_holds(gone, "again", {"x": "one"}, 20)
            assert controller.watched.missing_namespaces == frozenset()
            assert missing_by(controller) == 0


async def test_a_new_leader_does_not_wait_for_it(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    account: str,
) -> None:
    await admin.put_secret("missing/two", "two")
    await allow(api, home, home)
    lease = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]}
    path = f"/apis/{RBAC}/v1/namespaces/{home}/roles/some"
    await api.replace(path, {"rules": [*rules_without(), lease]})
    settings = settings_for(
        *(cluster, cloud, home, "never-was"),
        kubeconfig=account,
        leader_elect=True,
        leader_elect_namespace=home,
    )
    async with operator(settings):
        await api.put(external_secret("some", {"key": "missing/two", "name": "x"}), home)
        await api.until_holds(home, "some", {"x": "two"}, 20)


async def test_without_rights_anywhere_it_says_what_is_missing(
    cluster: ControlPlane, cloud: CloudInfo, home: str, account: str
) -> None:
    settings: Settings = settings_for(cluster, cloud, home, "never-was", kubeconfig=account)
    with pytest.raises(DefiniteError, match=f"get externalsecrets.* in namespace {home}"):
        async with operator(settings):
            pass
