"""With a Role in one namespace, and with less than that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from structlog.testing import capture_logs

from secret_sync.errors import DefiniteError
from tests.support.operator import ROOT, external_secret, operator, settings_for
from tests.support.program import kubeconfig
from tests.support.watching import until_reported

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.fleet import Fleet
    from tests.support.operator import Api

FORCE = "secret-sync.alibabacloud.com/force-sync"


def rules_without(verb: str = "") -> list[dict[str, Any]]:
    """The rules of ``deploy/base``, but without one verb on Secrets."""
    role = yaml.safe_load((ROOT / "deploy" / "base" / "clusterrole.yaml").read_text())
    for rule in role["rules"]:
        if rule["resources"] == ["secrets"] and verb:
            rule["verbs"].remove(verb)
    return list(role["rules"])


@pytest.fixture
async def account(cluster: ControlPlane, api: Api, home: str, tmp_path: Path) -> str:
    """A kubeconfig of a ServiceAccount with a Role named ``some``, which has no rules yet."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{home}"
    version = "rbac.authorization.k8s.io/v1"
    some = {"name": "some"}
    subject = {"kind": "ServiceAccount", "name": "some", "namespace": home}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "some"}
    for path, document in (
        (f"/api/v1/namespaces/{home}/serviceaccounts", {"metadata": some}),
        (f"{rbac}/roles", {"apiVersion": version, "kind": "Role", "metadata": some, "rules": []}),
        (f"{rbac}/rolebindings", {"metadata": some, "roleRef": role, "subjects": [subject]}),
    ):
        status, body = await api.request("POST", path, document)
        assert status == 201, body
    token = await cluster.token_for(home, "some")
    return kubeconfig(tmp_path / "kubeconfig", cluster.server, token, str(cluster.ca_file))


async def allow(api: Api, home: str, rules: list[dict[str, Any]]) -> None:
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{home}/roles/some"
    merge = "application/merge-patch+json"
    status, body = await api.request("PATCH", path, {"rules": rules}, merge)
    assert status == 200, body


async def until_it_starts(settings: Any) -> None:
    """A new rule takes a moment to be in force."""
    for _ in range(40):
        try:
            async with operator(settings):
                return
        except DefiniteError:
            await asyncio.sleep(0.05)
    raise AssertionError("the rules never came into force")


async def until_it_does_not_start(settings: Any) -> None:
    for _ in range(40):
        async with operator(settings):
            await asyncio.sleep(0.05)


async def test_the_rules_of_deploy_suffice_in_one_namespace_and_each_is_needed(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, home: str, account: str
) -> None:
    settings = settings_for(cluster, cloud, home, kubeconfig=account)
    await allow(api, home, rules_without())
    await until_it_starts(settings)
    for verb in ("get", "delete"):
        await allow(api, home, rules_without(verb))
        with pytest.raises(DefiniteError, match=f"RBAC does not allow .* {verb} secrets"):
            await until_it_does_not_start(settings)


async def test_with_one_role_cluster_external_secrets_are_not_processed(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, home: str, account: str, fleet: Fleet
) -> None:
    (first,) = await fleet.namespaces("a")
    settings = settings_for(cluster, cloud, home, kubeconfig=account)
    await allow(api, home, rules_without())
    await until_it_starts(settings)
    with capture_logs() as logged:
        async with operator(settings) as controller:
            await api.put(fleet.document("rights/one"), "")
            await asyncio.sleep(2)
            assert not controller.unready
            assert controller.watched.cluster_external_secrets is None
    assert await api.find("ExternalSecret", first, fleet.name_of()) is None
    (line,) = [li for li in logged if "ClusterExternalSecrets are not" in li["event"]]
    assert "namespaces" in line["why"]


async def test_a_right_that_is_taken_away_is_named_and_waited_for(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str, account: str
) -> None:
    await admin.put_secret("rights/one", "one")
    settings = settings_for(cluster, cloud, home, kubeconfig=account)
    await allow(api, home, rules_without())
    await until_it_starts(settings)
    async with operator(settings):
        await api.put(external_secret("some", {"key": "rights/one", "name": "x"}), home)
        await api.until_ready(home, "some", "Synced")
        await allow(api, home, rules_without("patch"))
        await asyncio.sleep(0.2)
        await admin.put_secret("rights/one", "two")
        patch = {"metadata": {"annotations": {FORCE: "now"}}}
        await api.merge("ExternalSecret", home, "some", patch)
        condition = await api.until_ready(home, "some", "WriteForbidden")
        assert f"Secret {home}/some was not written" in condition["message"]

        await allow(api, home, rules_without())
        await asyncio.sleep(0.2)
        patch = {"metadata": {"annotations": {FORCE: "again"}}}
        await api.merge("ExternalSecret", home, "some", patch)
        await api.until_holds(home, "some", {"x": "two"})
        await api.until_ready(home, "some", "Synced")


@pytest.fixture
async def cluster_account(
    cluster: ControlPlane, api: Api, home: str, tmp_path: Path
) -> AsyncIterator[str]:
    """A kubeconfig of a ServiceAccount that has the ClusterRole of ``deploy/base``."""
    name = f"rights-{home}"
    group = "rbac.authorization.k8s.io"
    rbac = f"/apis/{group}/v1"
    subject = {"kind": "ServiceAccount", "name": "whole", "namespace": home}
    role = {"apiGroup": group, "kind": "ClusterRole", "name": name}
    named = {"metadata": {"name": name}}
    for path, document in (
        (f"/api/v1/namespaces/{home}/serviceaccounts", {"metadata": {"name": "whole"}}),
        (f"{rbac}/clusterroles", {**named, "rules": rules_without()}),
        (f"{rbac}/clusterrolebindings", {**named, "roleRef": role, "subjects": [subject]}),
    ):
        status, body = await api.request("POST", path, document)
        assert status == 201, body
    token = await cluster.token_for(home, "whole")
    yield kubeconfig(tmp_path / "kubeconfig", cluster.server, token, str(cluster.ca_file))
    for kind in ("clusterrolebindings", "clusterroles"):
        status, body = await api.request("DELETE", f"{rbac}/{kind}/{name}")
        assert status == 200, body


async def test_the_rules_of_deploy_leave_nothing_out_in_the_whole_cluster(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    cluster_account: str,
) -> None:
    await admin.put_secret("rights/whole", "one")
    settings = settings_for(cluster, cloud, kubeconfig=cluster_account)
    await until_it_starts(settings)
    async with operator(settings) as controller:
        watched = {"definitions", "namespaces", "cluster secret stores"}
        assert watched <= controller.watched.running.keys()
        await api.put(external_secret("whole", {"key": "rights/whole", "name": "x"}), home)
        await api.until_holds(home, "whole", {"x": "one"})
        await until_reported(api, home, "whole", "Synced")
