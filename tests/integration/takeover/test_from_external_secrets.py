"""docs/from-external-secrets.md from its first command to its last, and back."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.migration.reading import WorkloadReader
from tests.integration.migration.shell import steps
from tests.integration.takeover.eso import (
    CLUSTER_FINALIZER,
    CREATED_BY,
    DATA_HASH,
    FINALIZER,
    MANAGED,
    NAMESPACE_FINALIZER,
    controller_reference,
    path_to,
)
from tests.support.documentation import ROOT
from tests.support.operator import operator, proxied_settings, secret, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.migration.shell import Shell
    from tests.integration.takeover.eso import Eso
    from tests.support.operator import Api

DOCUMENT = "docs/from-external-secrets.md"
SHOP = "shop"
API = "external-secrets.io/v1"
KMS = {
    "database": '{"username":"shop","password":"correct horse"}',
    "settings": '{"url/path":"x","mode":"live"}',
    "certificate": "certificate",
    "key": "key",
    "token": "t0ken",
}
ROTATED = {"database": '{"username":"shop","password":"battery staple"}', "token": "t0ken-2"}
OTHERS = {"other": "stays"}
#: By Secret: what it holds before and after the rotation.
HELD: Mapping[str, tuple[dict[str, str], dict[str, str]]] = {
    "database": (
        {"username": "shop", "password": "correct horse"},
        {"username": "shop", "password": "battery staple"},
    ),
    "app-settings": ({"url_path": "x", "mode": "live"}, {"url_path": "x", "mode": "live"}),
    "shop-tls": ({"tls.crt": "certificate", "tls.key": "key"},) * 2,
    "kept": ({"token": "t0ken"}, {"token": "t0ken-2"}),
    "once": ({"token": "t0ken"},) * 2,
    "frozen": ({"key": "key"},) * 2,
    "application": ({"token": "t0ken", **OTHERS}, {"token": "t0ken-2", **OTHERS}),
}
#: ExternalSecrets by the Secret that they write.
NAMES = {"app-settings": "settings", "shop-tls": "certificate", "kept": "orphan"}


def store() -> dict[str, Any]:
    refs = {
        f"{field}SecretRef": {"name": "access-key", "key": key}
        for field, key in (("accessKeyID", "id"), ("accessKeySecret", "secret"))
    }
    alibaba = {"regionID": "cn-hangzhou", "auth": {"secretRef": refs}}
    return _object("SecretStore", "kms", {"provider": {"alibaba": alibaba}})


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": SHOP}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


def entry(key: str, remote: str, **more: str) -> dict[str, Any]:
    return {"secretKey": key, "remoteRef": {"key": remote, **more}}


def external_secrets() -> dict[str, dict[str, Any]]:
    """By the Secret that they write; polled every second, so that a rotation soon arrives."""
    specs: dict[str, dict[str, Any]] = {
        "database": {
            "data": [
                entry("username", "database", property="username"),
                entry("password", "database", property="password"),
            ]
        },
        "app-settings": {"dataFrom": [{"extract": {"key": "settings"}}]},
        "shop-tls": {
            "target": {"template": {"type": "kubernetes.io/tls"}},
            "data": [entry("tls.crt", "certificate"), entry("tls.key", "key")],
        },
        "kept": {"target": {"creationPolicy": "Orphan"}, "data": [entry("token", "token")]},
        "once": {"refreshPolicy": "CreatedOnce", "data": [entry("token", "token")]},
        "frozen": {"target": {"immutable": True}, "data": [entry("key", "key")]},
        "application": {"target": {"creationPolicy": "Merge"}, "data": [entry("token", "token")]},
    }
    found = {}
    for target, spec in specs.items():
        spec |= {"secretStoreRef": {"name": "kms"}, "refreshInterval": "1s"}
        if target in NAMES:
            spec["target"] = {**spec.get("target", {}), "name": target}
        found[target] = _object("ExternalSecret", NAMES.get(target, target), spec)
    return found


class Takeover:
    """The operator's cluster, and a person with our document."""

    def __init__(
        self, plane: ControlPlane, cloud: CloudInfo, kms: CloudAdmin, eso: Eso, shell: Shell
    ) -> None:
        self.plane, self.cloud, self.kms = plane, cloud, kms
        self.eso, self.api, self.shell = eso, eso.api, shell

    async def begin(self) -> None:
        await self.kms.put_secrets(KMS)
        key = {"id": self.cloud.access_key_id, "secret": self.cloud.access_key_secret}
        await self.api.put(secret("access-key", key), SHOP)
        await self.api.put(secret("application", OTHERS), SHOP)
        await self.eso.create(store())
        for target, document in external_secrets().items():
            before, _ = HELD[target]
            await self.eso.sync(document, {k: v for k, v in before.items() if k not in OTHERS})

    async def follow(self, *kinds: str) -> None:
        for kind in kinds:
            taken = steps(kind, document=DOCUMENT)
            assert taken, kind
            for step in taken:
                await self.shell.follow(step)

    async def until_synced(self) -> None:
        for target in HELD:
            await self.api.until_ready(SHOP, NAMES.get(target, target), "Synced")

    async def secrets(self) -> dict[str, dict[str, Any]]:
        return {target: await self.api.get("Secret", SHOP, target) for target in HELD}


@pytest.fixture
async def takeover(
    plane: ControlPlane, cloud: CloudInfo, kms: CloudAdmin, eso: Eso, shell: Shell
) -> Takeover:
    begun = Takeover(plane, cloud, kms, eso, shell)
    await begun.begin()
    return begun


def owners(found: dict[str, Any]) -> list[str]:
    return [ref["apiVersion"] for ref in found["metadata"].get("ownerReferences", [])]


async def test_secrets_are_taken_over_without_a_gap(takeover: Takeover) -> None:
    uids = {name: s["metadata"]["uid"] for name, s in (await takeover.secrets()).items()}
    async with AsyncExitStack() as stack:
        readers = {
            target: await stack.enter_async_context(WorkloadReader(takeover.api, SHOP, target))
            for target in HELD
        }
        await takeover.follow("convert", "prepare")
        settings = proxied_settings(takeover.plane, takeover.cloud, SHOP)
        await stack.enter_async_context(operator(settings))
        await takeover.follow("apply")
        for target in ("database", "app-settings", "shop-tls", "once", "frozen"):
            name = NAMES.get(target, target)
            await takeover.api.until_ready(SHOP, name, "SecretConflict")
        before = await takeover.secrets()
        assert owners(before["database"]) == [API]
        await takeover.follow("stop", "release")
        await takeover.until_synced()
        await takeover.follow("merge", "check")
        for target, reader in readers.items():
            await reader.check(HELD[target][0])

        await takeover.kms.put_secrets(ROTATED)
        for target, (_, after) in HELD.items():
            await takeover.api.until_holds(SHOP, target, after)
            await readers[target].check(*HELD[target])
        await takeover.until_synced()

        await takeover.follow("tidy", "left")
        for target, reader in readers.items():
            await reader.check(*HELD[target])
    for target, found in (await takeover.secrets()).items():
        metadata = found["metadata"]
        assert metadata["uid"] == uids[target]
        ours = target not in {"kept", "application"}
        assert owners(found) == (["alibabacloud.com/v1alpha1"] if ours else [])
        assert not {MANAGED, CREATED_BY} & set(metadata.get("labels", {}))
        assert DATA_HASH not in metadata.get("annotations", {})


async def test_going_back_leaves_the_secrets_to_the_operator(takeover: Takeover) -> None:
    async with AsyncExitStack() as stack:
        readers = {
            target: await stack.enter_async_context(WorkloadReader(takeover.api, SHOP, target))
            for target in HELD
        }
        await takeover.follow("convert", "prepare")
        async with operator(proxied_settings(takeover.plane, takeover.cloud, SHOP)):
            await takeover.follow("apply", "stop", "release", "merge")
            await takeover.until_synced()
        await takeover.follow("back")
        for target, reader in readers.items():
            await reader.check(HELD[target][0])
    for found in (await takeover.secrets()).values():
        assert owners(found) == []


async def test_cluster_external_secrets_leave_their_children_and_the_namespace(
    eso: Eso, api: Api, shell: Shell
) -> None:
    document = _object("ClusterExternalSecret", "registry", {"externalSecretSpec": {}})
    document["metadata"] = {"name": "registry", "finalizers": [CLUSTER_FINALIZER]}
    cluster = await eso.create(document)
    child = _object("ExternalSecret", "registry", {"data": [entry("token", "token")]})
    child["metadata"]["ownerReferences"] = [controller_reference(cluster)]
    await eso.sync(child, {"token": "t0ken"})
    await api.merge(
        "Namespace", "", SHOP, {"metadata": {"finalizers": [f"{NAMESPACE_FINALIZER}registry"]}}
    )

    for step in steps("cluster", document=DOCUMENT):
        await shell.follow(step)

    status, found = await api.request("GET", path_to("ExternalSecret", SHOP, "registry"))
    assert status == 200
    assert owners(found) == []
    assert found["metadata"]["finalizers"] == [FINALIZER]
    assert values_of(await api.get("Secret", SHOP, "registry")) == {"token": "t0ken"}
    assert "finalizers" not in (await api.get("Namespace", "", SHOP))["metadata"]
    status, _ = await api.request("GET", path_to("ClusterExternalSecret", "", "registry"))
    assert status == 404


async def test_incomplete_objects_are_not_applied(eso: Eso, shell: Shell) -> None:
    case = ROOT / "tests/data/convert/incomplete-properties/eso.yaml"
    command = f"secret-sync convert {case} | kubectl apply --dry-run=server -f - -n {eso.namespace}"
    code, out = await shell.run(command)
    assert code == 0, out
    assert "secretstore.alibabacloud.com/alibaba-kms created" in out
    assert "4 INCOMPLETE" in out
    assert "externalsecret" not in out
