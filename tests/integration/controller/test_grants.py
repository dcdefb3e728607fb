"""Who may refer to what; a grant that is withdrawn stops the next refresh, and the Secret stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.controlplane import fresh_namespace
from tests.support.identities import (
    ALLOW,
    Ram,
    auth_store,
    cluster_store,
    owned,
    put_account,
    using,
)
from tests.support.operator import (
    external_secret,
    operator,
    settings_for,
    store,
    version_of,
)
from tests.support.program import kubeconfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running

PAIR = {
    "accessKey": {"name": "access-key", "key": "id"},
    "accessKeySecret": {"name": "access-key", "key": "secret"},
}


@pytest.fixture
def tenant(cluster: ControlPlane) -> Iterator[str]:
    """Another namespace, with nothing in it."""
    yield from fresh_namespace(cluster)


@pytest.fixture
async def cluster_name(api: Api, home: str) -> AsyncIterator[Callable[..., str]]:
    """Names for ClusterSecretStores, which are deleted afterwards."""
    made: list[str] = []

    def name(suffix: str) -> str:
        made.append(f"{home}-{suffix}")
        return made[-1]

    yield name
    for each in made:
        await api.request("DELETE", f"/apis/alibabacloud.com/v1alpha1/clustersecretstores/{each}")


def of_home(home: str) -> dict[str, object]:
    """The AccessKey of the namespace ``home``, referred to from elsewhere."""
    return {field: {**ref, "namespace": home} for field, ref in PAIR.items()}


async def test_a_store_that_agrees_can_be_used_from_another_namespace(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str, tenant: str
) -> None:
    await admin.put_secret("grants/store", "one")
    ref = {"name": "store", "namespace": home}
    some = external_secret("some", {"key": "grants/store", "name": "x", "secretStoreRef": ref})
    async with operator(settings_for(cluster, cloud, home, tenant, polling_interval=1.0)):
        await api.put(some, tenant)
        reported = await api.until_ready(tenant, "some", "ReferenceRefused")
        assert "--enable-cross-namespace-secret-store" in reported["message"]
        assert ALLOW in reported["message"]

        agreed = {"metadata": {"annotations": {ALLOW: f"another, {tenant}"}}}
        await api.merge("SecretStore", home, "store", agreed)
        synced = await api.until_holds(tenant, "some", {"x": "one"})
        await api.until_ready(tenant, "some", "Synced")

        withdrawn = {"metadata": {"annotations": {ALLOW: "another"}}}
        await api.merge("SecretStore", home, "store", withdrawn)
        await api.until_ready(tenant, "some", "ReferenceRefused")
        await admin.put_secret("grants/store", "two")
        await api.put(using("store", "mine", "grants/store"), home)
        await api.until_holds(home, "mine", {"x": "two"})
        left = await api.get("Secret", tenant, "some")
        assert version_of(left) == version_of(synced)


async def test_the_flag_lets_every_store_be_used(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str, tenant: str
) -> None:
    await admin.put_secret("grants/flag", "flag")
    ref = {"name": "store", "namespace": home}
    flag = {"enable_cross_namespace_secret_store": True}
    async with operator(settings_for(cluster, cloud, home, tenant, **flag)):
        some = external_secret("some", {"key": "grants/flag", "name": "x", "secretStoreRef": ref})
        await api.put(some, tenant)
        await api.until_holds(tenant, "some", {"x": "flag"})


async def test_a_secret_that_agrees_can_be_referred_to(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str, tenant: str
) -> None:
    await admin.put_secret("grants/secret", "one")
    async with operator(settings_for(cluster, cloud, home, tenant)):
        await api.put(auth_store("far", **of_home(home)), tenant)
        await api.put(using("far", "some", "grants/secret"), tenant)
        reported = await api.until_ready(tenant, "far", "ReferenceRefused", kind="SecretStore")
        assert "--enable-cross-namespace-auth-ref" in reported["message"]
        await api.until_ready(tenant, "some", "ReferenceRefused")

        await api.merge("Secret", home, "access-key", {"metadata": {"annotations": {ALLOW: "*"}}})
        await api.until_ready(tenant, "far", "Ready", kind="SecretStore")
        await api.until_holds(tenant, "some", {"x": "one"})

        await api.merge("Secret", home, "access-key", {"metadata": {"annotations": {ALLOW: None}}})
        await api.until_ready(tenant, "far", "ReferenceRefused", kind="SecretStore")
        await api.until_ready(tenant, "some", "ReferenceRefused")
        assert await api.find("Secret", tenant, "some") is not None


async def test_a_service_account_that_agrees_can_be_referred_to(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str, tenant: str
) -> None:
    ram = await Ram.of(cluster, admin, cloud)
    role = await ram.role_for(f"lent-{home}", home, "lent")
    await put_account(api, home, "lent", role)
    ref = {"serviceAccountRef": {"name": "lent", "namespace": home}}
    async with operator(settings_for(cluster, cloud, home, tenant)):
        await api.put(auth_store("far", **ref, oidcProviderARN=ram.provider), tenant)
        await api.until_ready(tenant, "far", "ReferenceRefused", kind="SecretStore")
        agreed = {"metadata": {"annotations": {ALLOW: tenant}}}
        await api.merge("ServiceAccount", home, "lent", agreed)
        await api.until_ready(tenant, "far", "Ready", kind="SecretStore")
        await api.delete("ServiceAccount", home, "lent")
        await api.until_ready(tenant, "far", "ReferenceRefused", kind="SecretStore")


async def test_the_refusal_is_the_same_whether_it_exists_or_not(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, home: str, tenant: str
) -> None:
    def distinguished(message: str) -> str:
        return message.replace("there-is-none", "NAME").replace("access-key", "NAME")

    async with operator(settings_for(cluster, cloud, home, tenant)):
        messages = []
        for name in ("access-key", "there-is-none"):
            await api.put(store("probe", access_key=name, namespace=home), tenant)
            reported = await api.until_ready(
                tenant, "probe", "ReferenceRefused", kind="SecretStore"
            )
            messages.append(distinguished(reported["message"]))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(
    ("condition", "admits"),
    [
        ({"namespaces": ["HOME"]}, True),
        ({"namespaces": ["another"]}, False),
        ({"namespaceRegexes": ["test-[0-9a-f]+"]}, True),
        ({"namespaceRegexes": ["test-"]}, False),
        ({"namespaceRegexes": ["(", "test-.*"]}, True),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "HOME"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "somebody"}}}, False),
        ({"namespaceSelector": {"matchExpressions": [{"key": "x", "operator": "Near"}]}}, False),
    ],
    ids=str,
)
async def test_conditions_restrict_a_cluster_store(
    admin: CloudAdmin,
    api: Api,
    home: str,
    cluster_name: Callable[..., str],
    condition: dict[str, object],
    running: Running,
    *,
    admits: bool,
) -> None:
    await admin.put_secret("grants/cluster", "for some")
    name = cluster_name("restricted")
    spelled = _filled(condition, home)
    await api.put(cluster_store(name, spelled, **of_home(home)), "")
    ref = {"name": name, "kind": "ClusterSecretStore"}
    some = external_secret("some", {"key": "grants/cluster", "name": "x", "secretStoreRef": ref})
    async with running():
        await api.put(some, home)
        await api.until_ready(home, "some", "Synced" if admits else "StoreRefused")
    assert (await api.find("Secret", home, "some") is not None) is admits


def _filled(value: object, home: str) -> dict[str, object]:
    def fill(item: object) -> object:
        match item:
            case str():
                return item.replace("HOME", home)
            case dict():
                return {key: fill(inner) for key, inner in item.items()}
            case list():
                return [fill(inner) for inner in item]
        return item

    filled = fill(value)
    assert isinstance(filled, dict)
    return filled


async def test_unreadable_selector_is_reported(
    api: Api, home: str, cluster_name: Callable[..., str], running: Running
) -> None:
    name = cluster_name("broken")
    selector = {"matchExpressions": [{"key": "team", "operator": "Near"}]}
    await api.put(cluster_store(name, {"namespaceSelector": selector}, **of_home(home)), "")
    async with running():
        reported = await api.until_ready("", name, "ConditionsInvalid", kind="ClusterSecretStore")
    assert "spec.conditions[0].namespaceSelector" in reported["message"]
    assert "'Near' is not an operator" in reported["message"]


async def test_a_label_of_a_namespace_admits_and_shuts_out_at_once(
    admin: CloudAdmin, api: Api, home: str, cluster_name: Callable[..., str], running: Running
) -> None:
    await admin.put_secret("grants/label", "labelled")
    name = cluster_name("labelled")
    selector = {"matchLabels": {"team": "pay"}}
    await api.put(cluster_store(name, {"namespaceSelector": selector}, **of_home(home)), "")
    ref = {"name": name, "kind": "ClusterSecretStore"}
    some = external_secret("some", {"key": "grants/label", "name": "x", "secretStoreRef": ref})
    async with running():
        await api.until_ready("", name, "Ready", kind="ClusterSecretStore")
        await api.put(some, home)
        await api.until_ready(home, "some", "StoreRefused")
        for label, reason in (("pay", "Synced"), (None, "StoreRefused"), ("pay", "Synced")):
            patch = {"metadata": {"labels": {"team": label}}}
            await api.merge("Namespace", "", home, patch)
            await api.until_ready(home, "some", reason)
        assert await api.find("Secret", home, "some") is not None


async def test_a_cluster_store_that_comes_later_is_seen(
    admin: CloudAdmin, api: Api, home: str, cluster_name: Callable[..., str], running: Running
) -> None:
    await admin.put_secret("grants/later", "later")
    name = cluster_name("later")
    ref = {"name": name, "kind": "ClusterSecretStore"}
    some = external_secret("some", {"key": "grants/later", "name": "x", "secretStoreRef": ref})
    async with running():
        await api.put(some, home)
        await api.until_ready(home, "some", "StoreNotFound")
        await api.put(cluster_store(name, **of_home(home)), "")
        await api.until_holds(home, "some", {"x": "later"})
        await api.delete("ClusterSecretStore", "", name)
        await api.until_ready(home, "some", "StoreNotFound")
        assert await api.find("Secret", home, "some") is not None


async def test_controller_identity_is_granted_only_where_the_operator_says(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, home: str, tenant: str
) -> None:
    arn = f"acs:ram::{cloud.account}"
    rrsa = {"oidcProviderARN": f"{arn}:oidc-provider/any"}
    limits = {
        "controller_identity_namespaces": (home,),
        "allow_role_arn": (f"{arn}:role/lent-*",),
    }
    async with operator(settings_for(cluster, cloud, home, tenant, **limits)):
        for namespace in (home, tenant):
            await api.put(auth_store("lent", **rrsa, ramRoleARN=f"{arn}:role/lent-one"), namespace)
            await api.put(auth_store("other", **rrsa, ramRoleARN=f"{arn}:role/other"), namespace)
            await api.put(auth_store("worker"), namespace)
            await api.put(owned("none", "grants/any"), namespace)
        for name in ("lent", "other", "worker"):
            reported = await api.until_ready(tenant, name, "IdentityRefused", kind="SecretStore")
            assert "--controller-identity-namespaces" in reported["message"]
        await api.until_ready(tenant, "none", "IdentityRefused")
        reported = await api.until_ready(home, "other", "IdentityRefused", kind="SecretStore")
        assert "--allow-role-arn" in reported["message"]
        # Let through here, and refused by what comes next: there is no token file.
        await api.until_ready(home, "lent", "TokenFileUnreadable", kind="SecretStore")


async def test_changed_service_account_enqueues_its_users_at_once(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    running: Running,
) -> None:
    ram = await Ram.of(cluster, admin, cloud)
    await admin.put_secret("grants/role", "by role")
    role = await ram.role_for(f"late-{home}", home, "late")
    ref = {"serviceAccountRef": {"name": "late"}, "oidcProviderARN": ram.provider}
    await api.put(auth_store("late", **ref), home)
    async with running():
        await api.put(using("late", "some", "grants/role"), home)
        await api.until_ready(home, "some", "ServiceAccountNotFound")
        await put_account(api, home, "late")
        await api.until_ready(home, "some", "RoleMissing")
        named = {"metadata": {"annotations": {"ack.alibabacloud.com/role-arn": role}}}
        await api.merge("ServiceAccount", home, "late", named)
        await api.until_holds(home, "some", {"x": "by role"})
        await api.delete("ServiceAccount", home, "late")
        await api.until_ready(home, "some", "ServiceAccountNotFound")
        assert await api.find("Secret", home, "some") is not None


async def test_controller_service_account_is_granted_by_the_same_rules(
    cluster: ControlPlane,
    cloud: CloudInfo,
    api: Api,
    home: str,
    tenant: str,
    tmp_path: Path,
    running: Running,
) -> None:
    """Whoever may refer to it could otherwise get around the flags."""
    arn = f"acs:ram::{cloud.account}:role/not-lent"
    own = {
        "serviceAccountRef": {"name": "controller"},
        "oidcProviderARN": f"acs:ram::{cloud.account}:oidc-provider/any",
    }
    await put_account(api, home, "controller", arn)
    binding = {
        "metadata": {"name": f"{home}-controller"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cluster-admin",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "controller", "namespace": home}],
    }
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    status, body = await api.request("POST", path, binding)
    assert status == 201, body
    token = await cluster.token_for(home, "controller")
    access = kubeconfig(tmp_path / "kubeconfig", cluster.server, token, str(cluster.ca_file))
    roles = {"kubeconfig": access, "allow_role_arn": ("acs:ram::*:role/lent",)}
    namespaces = {
        "kubeconfig": access,
        "controller_identity_namespaces": (home,),
        "enable_cross_namespace_secret_store": True,
    }
    ref = {"name": "own", "namespace": home}
    granted_on = external_secret("on", {"key": "grants/any", "name": "x", "secretStoreRef": ref})
    try:
        await api.put(auth_store("own", **own), home)
        async with running(**roles):
            reported = await api.until_ready(home, "own", "IdentityRefused", kind="SecretStore")
            assert "--allow-role-arn" in reported["message"]
        async with operator(settings_for(cluster, cloud, home, tenant, **namespaces)):
            # By way of a store that may borrow it, in another namespace that a flag lets in.
            await api.put(granted_on, tenant)
            reported = await api.until_ready(tenant, "on", "IdentityRefused")
            assert "--controller-identity-namespaces" in reported["message"]
    finally:
        await api.request("DELETE", f"{path}/{home}-controller")
