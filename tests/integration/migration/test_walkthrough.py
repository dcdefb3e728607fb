"""docs/migrating.md from its first command to its last, and back."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.local.cloud import CloudAdmin
from tests.integration.migration.ack import (
    CRDS,
    Ack,
    install_definitions,
    install_release,
    installed,
    listed,
    put_objects,
    remove_objects,
    until_definitions,
)
from tests.integration.migration.older import FINALIZER, HOME, LABEL, RELEASE
from tests.integration.migration.reading import WorkloadReader
from tests.integration.migration.shell import Shell, steps
from tests.support.kustomize import environment
from tests.support.operator import Api
from tests.support.program import kubeconfig, running
from tests.support.watching import editors_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.migration.ack import Version
    from tests.support.program import Running

VALUES = {"user": "shop", "password": "correct horse"}
OWNER = "secret-sync.alibabacloud.com/owner"
LISTS = (
    CRDS,
    "/api/v1/secrets",
    "/api/v1/namespaces",
    "/api/v1/serviceaccounts",
    "/apis/apps/v1/deployments",
    "/apis/batch/v1/jobs",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/alibabacloud.com/v1alpha1/externalsecrets",
    "/apis/alibabacloud.com/v1alpha1/secretstores",
)


async def everything(api: Api, home: str) -> dict[str, str]:
    """The uid of every object of these kinds, by kind and place.

    What other tests have left in their namespaces goes as it pleases.
    """
    found = {}
    for path in LISTS:
        for item in (await listed(api, path))["items"]:
            metadata = item["metadata"]
            place = f"{metadata.get('namespace', '')}/{metadata['name']}"
            if "test-" in place and home not in place:
                continue
            found[f"{path.rsplit('/', 1)[1]} {place}"] = metadata["uid"]
    return found


class AckCluster:
    """One where ack-secret-manager has been at work, and a person with our document."""

    def __init__(self, api: Api, shell: Shell, ack: Ack) -> None:
        self.api, self.shell, self.ack, self.home = api, shell, ack, ack.home

    async def follow(self, kind: str) -> None:
        taken = steps(kind)
        assert taken
        for step in taken:
            await self.shell.follow(step)

    async def get(self, kind: str, name: str) -> dict[str, Any]:
        return await self.api.get(kind, self.home, name)

    async def populate(self, info: CloudInfo) -> None:
        """All as ack-secret-manager leaves it."""
        await install_definitions(self.api, self.ack.version)
        await until_definitions(self.api, self.home, "refreshPolicy", there=False)
        await install_release(self.api)
        await put_objects(self.api, info, self.home)
        await self.ack.visit_store("store")
        await self.ack.poll("database", VALUES)

    def looks_like_theirs(self, found: dict[str, Any]) -> bool:
        """Whether a Secret is as ack-secret-manager makes it."""
        label = LABEL in (found["metadata"].get("labels") or {})
        return label is (self.ack.version == "0.5") and editors_of(found) == {(RELEASE, "Update")}


@pytest.fixture(params=["0.5", "0.6"])
async def cluster(
    request: pytest.FixtureRequest, plane: ControlPlane, home: str, cloud: CloudInfo, tmp_path: Path
) -> AsyncIterator[AckCluster]:
    version: Version = request.param
    async with Api(plane) as api, CloudAdmin(cloud.admin_url) as admin:
        await admin.put_secrets({f"migration/{key}": value for key, value in VALUES.items()})
        made = AckCluster(api, Shell.of_reader(plane, tmp_path), Ack(api, version, home))
        await made.populate(cloud)
        yield made
        await remove_objects(api, home)


@asynccontextmanager
async def as_its_pod(
    plane: ControlPlane, cluster: AckCluster, info: CloudInfo, namespace: str = HOME
) -> AsyncIterator[Running]:
    """``secret-sync run`` with the account and the configuration of the installation.

    Its endpoints are the usual ones.
    """
    deployment = await installed(cluster.api, namespace)
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    token = await plane.token_for(namespace, account)
    config = kubeconfig(cluster.shell.folder / "pod", plane.server, token, str(plane.ca_file))
    variables = {**environment([deployment]), "KUBECONFIG": config, **info.environment}
    async with running("--metrics-bind-address=0", **variables) as child:
        yield child


async def test_from_the_first_command_to_the_last_and_back(
    plane: ControlPlane, cluster: AckCluster, cloud: CloudInfo
) -> None:
    left = await cluster.get("Secret", "database")
    assert cluster.looks_like_theirs(left)
    async with WorkloadReader(cluster.api, cluster.home, "database") as reader:
        await cluster.follow("look")
        assert "deletionTimestamp" not in (cluster.shell.folder / "ack-objects.yaml").read_text()
        before = await everything(cluster.api, cluster.home)

        await cluster.follow("retire")
        after = await everything(cluster.api, cluster.home)
        gone = {name: uid for name, uid in before.items() if after.get(name) != uid}
        assert set(gone) == {
            f"secrets {HOME}/sh.helm.release.v1.{RELEASE}.v1",
            f"secrets {HOME}/sh.helm.release.v1.{RELEASE}.v2",
            f"deployments {HOME}/{RELEASE}",
            f"jobs {HOME}/ack-cleanup-external-secrets",
        }
        assert await cluster.get("Secret", "database") == left

        await cluster.follow("install")
        async with as_its_pod(plane, cluster, cloud) as child:
            await cluster.api.until_ready(cluster.home, "database", "Synced", within=20)
            await cluster.api.until_ready(cluster.home, "store", "Ready", kind="SecretStore")
            for kind, name in (("ExternalSecret", "database"), ("SecretStore", "store")):
                await cluster.api.until(kind, cluster.home, name, lambda f: not _finalizers(f))
            await cluster.follow("check")
            held = await cluster.get("Secret", "database")
            child.process.terminate()
            assert await child.ends() == 0
        await cluster.follow("tidy")
        await reader.check(VALUES)

    metadata = held["metadata"]
    assert metadata["uid"] == left["metadata"]["uid"]
    assert (held["data"], held["type"]) == (left["data"], left["type"])
    external = await cluster.get("ExternalSecret", "database")
    assert metadata["annotations"] == {OWNER: f"database/{external['metadata']['uid']}"}
    assert LABEL not in metadata.get("labels", {})
    assert editors_of(held) == {("secret-sync", "Apply")}
    # What is left of it has gone, but for who it was, which secret-sync is now; and nothing else.
    last = await everything(cluster.api, cluster.home)
    account = f"serviceaccounts {HOME}/{RELEASE}"
    assert {n for n in after if RELEASE in n and n in last} == {account}
    assert last[account] == after[account]
    assert {n for n in after if RELEASE not in n} <= set(last)
    await goes_back(cluster)


async def goes_back(cluster: AckCluster) -> None:
    async with WorkloadReader(cluster.api, cluster.home, "database") as reader:
        await cluster.follow("back")
        released = await cluster.get("Secret", "database")
        assert "ownerReferences" not in released["metadata"]
        left = await everything(cluster.api, cluster.home)
        assert {n for n in left if n.endswith("/secret-sync") or RELEASE in n} == set()
        # Helm installs it again.
        await install_definitions(cluster.api, cluster.ack.version)
        await until_definitions(cluster.api, cluster.home, "refreshPolicy", there=False)
        cluster.ack.writes.clear()
        await cluster.ack.poll("database", VALUES)
        assert "Secret" not in cluster.ack.writes
        assert await cluster.get("Secret", "database") == released
        assert _finalizers(await cluster.get("ExternalSecret", "database")) == [FINALIZER]
        # It is its own again: what KMS has is written, and stays without the ExternalSecret.
        new = {**VALUES, "password": "battery staple"}
        await cluster.ack.poll("database", new)
        assert cluster.ack.writes["Secret"] == 1
        await reader.check(VALUES, new)


async def test_fields_that_only_we_know_are_lost_on_the_way_back(cluster: AckCluster) -> None:
    """As the document says; the value of the test is in what the API server makes of it."""
    await cluster.follow("install")
    await until_definitions(cluster.api, cluster.home, "refreshPolicy", there=True)
    ours = {
        "refreshPolicy": "OnChange",
        "rotationInterval": "1h",
        "target": {"name": "db", "deletionPolicy": "Retain", "creationPolicy": "Merge"},
    }
    await cluster.api.merge("ExternalSecret", cluster.home, "database", {"spec": ours})
    await install_definitions(cluster.api, cluster.ack.version)
    await until_definitions(cluster.api, cluster.home, "refreshPolicy", there=False)
    spec = (await cluster.get("ExternalSecret", "database"))["spec"]
    kept: dict[str, Any] = {"rotationInterval": "1h", "target": {"name": "db"}}
    assert {n: spec[n] for n in ours if n in spec} == (kept if cluster.ack.version == "0.6" else {})


async def test_helm_definitions_are_not_replaced_without_force(cluster: AckCluster) -> None:
    definitions, controller = steps("install")
    (apply, *_) = definitions.commands.splitlines()
    await force_is_needed_once(cluster.shell, apply)
    await force_is_needed_once(cluster.shell, controller.commands)


async def force_is_needed_once(shell: Shell, forced: str) -> None:
    unforced = forced.replace("--force-conflicts ", "")
    code, out = await shell.run(unforced)
    assert code == 1
    # "conflict" where it is one field.
    assert re.search('conflicts? with "helm"', out), out
    for command in (forced, unforced):
        code, out = await shell.run(command)
        assert code == 0, out


@pytest.mark.parametrize("cluster", ["0.6"], indirect=True)
async def test_under_a_name_of_its_own_the_old_one_goes_too(
    plane: ControlPlane, cluster: AckCluster, cloud: CloudInfo, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    cluster.shell = shell = Shell.of_reader(plane, own, overlay="rrsa")
    await cluster.follow("retire")
    for step in steps("install"):
        code, out = await shell.run(step.commands)
        assert code == 0, out
    async with as_its_pod(plane, cluster, cloud, "secret-sync-system"):
        await cluster.api.until_ready(cluster.home, "database", "Synced", within=20)
    await cluster.follow("tidy")
    await cluster.follow("tidy-account")
    left = await everything(cluster.api, cluster.home)
    assert {name for name in left if RELEASE in name} == set()
    assert "serviceaccounts secret-sync-system/secret-sync" in left
    code, out = await shell.run("kubectl delete -k my-cluster")
    assert code == 0, out


def _finalizers(found: dict[str, Any] | None) -> list[str]:
    return list((found or {"metadata": {}})["metadata"].get("finalizers") or ())
