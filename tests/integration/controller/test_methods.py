"""Every way to authenticate, with real tokens of the real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from secret_sync.local.cloud import CloudAdmin
from secret_sync.settings import OwnIdentity
from tests.support.identities import (
    AUDIENCE,
    OTHER_ACCOUNT,
    Ram,
    auth_store,
    calls,
    owned,
    put_account,
    using,
)
from tests.support.operator import operator, ready_of, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running

PAIR = {
    "accessKey": {"name": "access-key", "key": "id"},
    "accessKeySecret": {"name": "access-key", "key": "secret"},
}


@pytest.fixture
async def ram(cluster: ControlPlane, admin: CloudAdmin, cloud: CloudInfo) -> Ram:
    return await Ram.of(cluster, admin, cloud)


@pytest.fixture
async def token_file(cluster: ControlPlane, api: Api, home: str, tmp_path: Path) -> str:
    """The controller's own token, as the kubelet would project it."""
    await put_account(api, home, "controller")
    path = tmp_path / "token"
    path.write_text(await cluster.token_for(home, "controller", audiences=[AUDIENCE]))
    return str(path)


async def test_rrsa_as_a_service_account(api: Api, ram: Ram, home: str, running: Running) -> None:
    await ram.admin.put_secret("methods/sa", "by token")
    role = await ram.role_for(f"sa-{home}", home, "reader")
    await put_account(api, home, "reader", role)
    ref = {"serviceAccountRef": {"name": "reader"}}
    await api.put(auth_store("rrsa", **ref, oidcProviderARN=ram.provider), home)
    async with running():
        await api.put(using("rrsa", "some", "methods/sa"), home)
        await api.until_holds(home, "some", {"x": "by token"})
        await api.until_ready(home, "rrsa", "Ready", kind="SecretStore")
    assumed = await calls(ram.admin, "AssumeRoleWithOIDC", role)
    assert [call["code"] for call in assumed] == ["OK"]
    assert not any(call["token_in_url"] for call in assumed)


async def test_provider_of_the_cluster_is_set_by_flags(
    cloud: CloudInfo, api: Api, ram: Ram, home: str, running: Running
) -> None:
    await ram.admin.put_secret("methods/flags", "by flags")
    await put_account(api, home, "reader", await ram.role_for(f"flags-{home}", home, "reader"))
    await api.put(auth_store("rrsa", serviceAccountRef={"name": "reader"}), home)
    flags = {"uid": cloud.account, "cluster_id": "c1"}
    async with running(**flags):
        await api.put(using("rrsa", "some", "methods/flags"), home)
        await api.until_holds(home, "some", {"x": "by flags"})


async def test_rrsa_as_the_controller_reads_its_token_again(
    cluster: ControlPlane, api: Api, ram: Ram, home: str, token_file: str, running: Running
) -> None:
    await ram.admin.put_secret("methods/controller", "one")
    role = await ram.role_for(f"controller-{home}", home, "controller")
    await api.put(auth_store("rrsa", oidcProviderARN=ram.provider, ramRoleARN=role), home)
    own = OwnIdentity(oidc_token_file=token_file)
    async with running(own=own, polling_interval=1.0):
        await api.put(using("rrsa", "some", "methods/controller"), home)
        await api.until_holds(home, "some", {"x": "one"})
        # The session ends; the next one is opened with what the file holds by then.
        token = await cluster.token_for(home, "controller", audiences=[AUDIENCE])
        with open(token_file, "w") as file:  # noqa: ASYNC230, PTH123 (a few bytes)
            file.write(token)
        await ram.admin.expire_sessions(role=role)
        await ram.admin.put_secret("methods/controller", "two")
        await api.until_holds(home, "some", {"x": "two"})
    assert len(await calls(ram.admin, "AssumeRoleWithOIDC", role)) == 2


async def test_a_role_assumed_with_an_access_key(
    api: Api, ram: Ram, home: str, running: Running
) -> None:
    await ram.admin.put_secret("methods/assumed", "assumed")
    role = await ram.role_for_account(f"assumed-{home}")
    more = {"ramRoleSessionName": "people@night", "roleSessionExpiration": "1200"}
    await api.put(auth_store("assumed", **PAIR, ramRoleARN=role, **more), home)
    async with running():
        await api.put(using("assumed", "some", "methods/assumed"), home)
        await api.until_holds(home, "some", {"x": "assumed"})
    fetched = await calls(ram.admin, "GetSecretValue", "methods/assumed")
    assert all(call["access_key"].startswith("STS.") for call in fetched)


async def test_a_second_role_in_another_account(
    cloud: CloudInfo, api: Api, ram: Ram, home: str, token_file: str, running: Running
) -> None:
    """The cross-account walkthrough of Alibaba's guide: the secret is in account A."""
    await ram.admin.put_secret("methods/theirs", "of account A", account=OTHER_ACCOUNT)
    here = await ram.role_for(f"here-{home}", home, "controller", roles=["*"])
    there = await ram.admin.put_role(
        f"there-{home}", account=OTHER_ACCOUNT, trust=[{"account": cloud.account}]
    )
    auth = {"oidcProviderARN": ram.provider, "ramRoleARN": here}
    remote = {"remoteRamRoleARN": there, "remoteRamRoleSessionName": "across"}
    await api.put(auth_store("cross", **auth, **remote), home)
    own = OwnIdentity(oidc_token_file=token_file)
    async with running(own=own):
        await api.put(using("cross", "some", "methods/theirs"), home)
        await api.until_holds(home, "some", {"x": "of account A"})


@pytest.mark.parametrize("mode", ["hardened", "plain"])
async def test_the_worker_role(
    cluster: ControlPlane, own_cloud: CloudInfo, api: Api, home: str, mode: str
) -> None:
    async with CloudAdmin(own_cloud.admin_url) as admin:
        await admin.put_secret("methods/worker", "by the node")
        role = await admin.put_role("node", trust=[])
        await admin.set_metadata(role=role, mode=mode)
        await api.put(auth_store("worker"), home)
        async with operator(settings_for(cluster, own_cloud, home)):
            await api.put(using("worker", "with-a-store", "methods/worker"), home)
            await api.put(owned("without", "methods/worker"), home)
            await api.until_holds(home, "with-a-store", {"x": "by the node"})
            await api.until_holds(home, "without", {"x": "by the node"})
        # One identity, however it is written.
        assert len(await calls(admin, "MetadataCredentials")) == 1


async def test_the_controllers_own_identity_from_its_environment(
    cloud: CloudInfo, api: Api, ram: Ram, home: str, token_file: str, running: Running
) -> None:
    await ram.admin.put_secret("methods/own", "own")
    role = await ram.role_for(f"own-{home}", home, "controller")
    pair = {"access_key_id": cloud.access_key_id, "access_key_secret": cloud.access_key_secret}
    plain_role = await ram.role_for_account(f"own-assumed-{home}")
    remote = await ram.role_for_account(f"own-remote-{home}")
    for name, own in {
        "rrsa": OwnIdentity(
            role_arn=role, oidc_provider_arn=ram.provider, oidc_token_file=token_file
        ),
        "key": OwnIdentity(**pair),
        "assumed": OwnIdentity(**pair, role_arn=plain_role, session_name="own"),
        "remote": OwnIdentity(**pair, remote_role_arn=remote, remote_session_name="far"),
    }.items():
        async with running(own=own):
            await api.put(owned(name, "methods/own"), home)
            await api.until_holds(home, name, {"x": "own"})


async def test_later_methods_are_named_as_ignored(
    api: Api, ram: Ram, home: str, token_file: str, running: Running
) -> None:
    role = await ram.role_for(f"first-{home}", home, "controller")
    await api.put(auth_store("both", oidcProviderARN=ram.provider, ramRoleARN=role, **PAIR), home)
    own = OwnIdentity(oidc_token_file=token_file)
    async with running(own=own):
        ready = await api.until_ready(home, "both", "Ready", kind="SecretStore")
    assert "ignored: accessKey, accessKeySecret" in ready["message"]


async def test_a_method_that_fails_is_an_error_and_no_other_is_tried(
    cloud: CloudInfo, api: Api, ram: Ram, home: str, token_file: str, running: Running
) -> None:
    """An AccessKey that works stands beside a role that does not exist."""
    await ram.admin.put_secret("methods/never", "never")
    nobody = f"acs:ram::{cloud.account}:role/nobody"
    await api.put(
        auth_store("broken", oidcProviderARN=ram.provider, ramRoleARN=nobody, **PAIR), home
    )
    own = OwnIdentity(oidc_token_file=token_file)
    async with running(own=own):
        await api.put(using("broken", "some", "methods/never"), home)
        await api.until_ready(home, "some", "RoleNotFound")
        await api.until_ready(home, "broken", "RoleNotFound", kind="SecretStore")
    assert await api.find("Secret", home, "some") is None
    assert await calls(ram.admin, "GetSecretValue", "methods/never") == []


async def test_a_store_for_oos_has_its_identity_too(api: Api, home: str, running: Running) -> None:
    document = auth_store("parameters")
    document["spec"] = {"OOS": {"OOSAuth": PAIR}}
    await api.put(document, home)
    async with running():
        await api.until_ready(home, "parameters", "Ready", kind="SecretStore")
        await api.put(using("parameters", "some", "methods/any"), home)
        reported = await api.until_ready(home, "some", "StoreInvalid")
    assert "has no spec.KMS" in reported["message"]
    assert ready_of(await api.get("SecretStore", home, "parameters"))["status"] == "True"
