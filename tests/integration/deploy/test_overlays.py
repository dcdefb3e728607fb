"""Each way to install it, on a real API server: applied, applied again, and taken away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.deploy.installs import INSTALLS, PATHS, folder_of, path_of
from tests.integration.deploy.rights import AuditLog, Right, may
from tests.support.kustomize import BASE
from tests.support.operator import external_secret, operator

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.deploy.conftest import AsAccount
    from tests.integration.deploy.synced import Synced
    from tests.support.kustomize import Kubectl
    from tests.support.operator import Api

OURS = "system:serviceaccount:secret-sync-system:secret-sync"
SECRETS = Right("", "secrets", "list")
TOKENS = Right("", "serviceaccounts/token", "create")
LEASES = Right("coordination.k8s.io", "leases", "create")

#: A namespace takes seconds to go; what the others are made of is in these.
TAKEN_AWAY = ("namespaced+all", "rrsa+all", "ack-compat+all")
SERVER_SIDE = ("--server-side",)
#: How it is applied: `kubectl apply -k` as such, and as the document has it.
CASES = [*((install, SERVER_SIDE) for install in INSTALLS), ("rrsa+all", ())]


async def versions(api: Api, objects: list[dict[str, Any]]) -> dict[str, str]:
    """The resource version of each of them."""
    found = {}
    for path in map(path_of, objects):
        status, body = await api.request("GET", path)
        assert status == 200, (path, body)
        found[path] = body["metadata"]["resourceVersion"]
    return found


@pytest.mark.parametrize(
    ("install", "way"), CASES, ids=[f"{install}{''.join(way)}" for install, way in CASES]
)
async def test_installation_stays_unchanged_and_is_removed_without_a_secret(
    kubectl: Kubectl,
    api: Api,
    home: str,
    synced: Synced,
    tmp_path: Path,
    install: str,
    way: tuple[str, ...],
) -> None:
    folder = folder_of(install, tmp_path, home)
    objects = await asyncio.to_thread(kubectl.render, folder)
    assert {found["kind"] for found in objects} <= PATHS.keys()
    named = {found["metadata"]["labels"]["app.kubernetes.io/name"] for found in objects}
    assert named == {"secret-sync"}
    await asyncio.to_thread(kubectl, "apply", *way, "-k", str(folder))
    first = await versions(api, objects)

    diff = await asyncio.to_thread(kubectl.run, "diff", *way, "-k", str(folder))
    assert (diff.returncode, diff.stdout) == (0, "")
    await asyncio.to_thread(kubectl, "apply", *way, "-k", str(folder))
    assert await versions(api, objects) == first

    if way and install in TAKEN_AWAY:
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
    # A first apply as anybody writes it; the next one is as docs/install.md has it.
    await asyncio.to_thread(kubectl, "apply", "-k", str(BASE))
    settings = await as_account("secret-sync-system", "secret-sync")
    async with operator(settings):
        await asyncio.sleep(0.3)
    await synced.check()
    await asyncio.to_thread(kubectl.apply, folder_of("rrsa+all", tmp_path))
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
    await asyncio.to_thread(kubectl.apply, folder_of("ack-compat+all", tmp_path))
    settings = await as_account("kube-system", "ack-secret-manager")
    async with operator(settings):
        await asyncio.sleep(0.3)
    await synced.check()
    for right, namespace in ((TOKENS, ""), (LEASES, "kube-system")):
        assert await may(
            api, "system:serviceaccount:kube-system:ack-secret-manager", right, namespace
        )
        assert not await may(api, OURS, right, namespace)


@pytest.fixture
async def account(
    request: pytest.FixtureRequest, kubectl: Kubectl, api: Api, home: str, tmp_path: Path
) -> tuple[str, str]:
    """Namespace and name of the controller's account, by an install that is for one namespace."""
    install, account = request.param
    for kind in ("clusterrolebindings", "clusterroles"):
        # Whatever another test has installed.
        path = f"/apis/rbac.authorization.k8s.io/v1/{kind}/secret-sync"
        assert (await api.request("DELETE", path))[0] in {200, 404}
    await asyncio.to_thread(kubectl.apply, folder_of(install, tmp_path, home))
    where, name = account
    return where, name


@pytest.mark.parametrize(
    "account",
    [
        ("namespaced", ("secret-sync-system", "secret-sync")),
        ("namespaced+all", ("secrets", "secret-sync")),
        ("ack-compat+namespaced", ("kube-system", "ack-secret-manager")),
    ],
    ids=["namespaced", "namespaced+all", "ack-compat+namespaced"],
    indirect=True,
)
async def test_with_roles_alone_it_works_in_their_namespaces(
    plane: ControlPlane,
    admin: CloudAdmin,
    api: Api,
    home: str,
    account: tuple[str, str],
    as_account: AsAccount,
) -> None:
    await admin.put_secret("deploy/named", "one")
    settings = await as_account(*account, home)
    log, user = AuditLog(plane, home), ":".join(("system:serviceaccount", *account))
    async with operator(settings) as controller:
        assert {"definitions", "namespaces"}.isdisjoint(controller.watched.running)
        await api.put(external_secret("named", {"key": "deploy/named", "name": "x"}), home)
        await api.until_holds(home, "named", {"x": "one"})
        await api.until_ready(home, "named", "Synced")
    assert Right("", "secrets", "create") in log.used(user)
    assert log.denied(user) == set()
    assert await may(api, user, SECRETS, home)
    for elsewhere in ("", "default", account[0]):
        assert not await may(api, user, SECRETS, elsewhere)
