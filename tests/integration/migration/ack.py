"""ack-secret-manager as far as the API server notices it: its release, and its program at work."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import orjson

from tests.integration.migration.older import (
    FINALIZER,
    HELM,
    HOME,
    JOB,
    LABEL,
    RELEASE,
    definitions,
    kept,
)
from tests.support.operator import external_secret, path_of, secret, store, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.local.cloud import CloudInfo
    from tests.support.operator import Api

Version = Literal["0.5", "0.6"]

_LABELS = {"app.kubernetes.io/name": RELEASE, "app.kubernetes.io/instance": RELEASE}
_POD = {"containers": [{"name": RELEASE, "image": "example.org/ack-secret-manager"}]}
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def marked(document: dict[str, Any]) -> dict[str, Any]:
    """With what Helm puts on everything."""
    metadata = document["metadata"]
    labels = {**metadata.get("labels", {}), **HELM["labels"]}
    return {**document, "metadata": {**metadata, **HELM, "labels": labels}}


def release() -> dict[str, dict[str, Any]]:
    """What Helm installs besides the CRDs, and its own record; by the path to create it at."""
    role_ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": RELEASE}
    subject = {"kind": "ServiceAccount", "name": RELEASE, "namespace": HOME}
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}]
    deployment = {
        "metadata": {"name": RELEASE, "labels": _LABELS},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": _POD},
        },
    }
    binding = {"roleRef": role_ref, "subjects": [subject]}
    auth = {**role_ref, "name": "system:auth-delegator"}
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    return {
        f"/apis/apps/v1/namespaces/{HOME}/deployments": marked(deployment),
        f"/api/v1/namespaces/{HOME}/serviceaccounts": marked(
            {"metadata": {"name": RELEASE, "labels": _LABELS}}
        ),
        f"{rbac}/clusterroles": marked({"metadata": {"name": RELEASE}, "rules": rules}),
        f"{rbac}/clusterrolebindings": marked({"metadata": {"name": RELEASE}, **binding}),
        # The path twice would be one key.
        f"{rbac}/clusterrolebindings?": marked(
            {"metadata": {"name": f"{RELEASE}-auth"}, **binding, "roleRef": auth}
        ),
    }


def record(revision: int) -> dict[str, Any]:
    """Helm's record of one revision of the release."""
    labels = {"owner": "helm", "name": RELEASE, "status": "deployed", "version": str(revision)}
    return {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"name": f"sh.helm.release.v1.{RELEASE}.v{revision}", "labels": labels},
        "type": "helm.sh/release.v1",
        "stringData": {"release": "what was installed"},
    }


def left_over_job() -> dict[str, Any]:
    """The Job with which an uninstall begins; it stays where the uninstall was broken off."""
    template = {"spec": {**_POD, "restartPolicy": "OnFailure"}}
    return {"metadata": {"name": JOB}, "spec": {"template": template}}


async def create(api: Api, path: str, document: dict[str, Any], manager: str = "helm") -> Any:
    """Creates an object, or takes the one that is there."""
    bare = path.rstrip("?")
    status, body = await api.request("POST", f"{bare}?fieldManager={manager}", document)
    if status == 409:
        status, body = await api.request("GET", f"{bare}/{document['metadata']['name']}")
    assert status in {200, 201}, body
    return body


async def install_definitions(api: Api, version: Version) -> None:
    """Its CRDs, by Helm: created, or put in the place of others."""
    for document in definitions(version):
        name = document["metadata"]["name"]
        status, body = await api.request("POST", f"{CRDS}?fieldManager=helm", document)
        if status == 409:
            await api.replace(f"{CRDS}/{name}", document, "helm")
        else:
            assert status == 201, body


async def until_definitions(api: Api, home: str, field: str, *, there: bool) -> None:
    """Waits for the API server to know a field of ``spec``, or not to know it any more.

    A new definition counts a moment after it was written.
    """
    document = {**external_secret("probe"), "spec": {field: "OnChange"}}
    path = f"{path_of('ExternalSecret', home)}?dryRun=All"
    async with asyncio.timeout(20):
        while True:
            # Before there is such a kind the answer is no JSON.
            with suppress(orjson.JSONDecodeError):
                status, body = await api.request("POST", path, document)
                if status == 201 and (field in body["spec"]) is there:
                    return
                assert status in {201, 404, 429}, body
            await asyncio.sleep(0.05)


async def install_release(api: Api) -> None:
    """All that its chart installs, with two revisions on record and a Job of a broken uninstall."""
    # That of secret-sync, where another test has left it.
    account = f"/api/v1/namespaces/{HOME}/serviceaccounts/{RELEASE}"
    assert (await api.request("DELETE", account))[0] in {200, 404}
    for path, document in release().items():
        await create(api, path, document)
    for revision in (1, 2):
        await create(api, f"/api/v1/namespaces/{HOME}/secrets", record(revision))
    await create(api, f"/apis/batch/v1/namespaces/{HOME}/jobs", left_over_job())


@dataclass
class Ack:
    """Its program, one poll at a time.

    Attributes:
        version: 0.5: the Secret is replaced as a whole, with a label, whoever else has marked it.
            0.6: what is there keeps its marks.
        manager: As which it writes.
        writes: What was written, by kind.
    """

    api: Api
    version: Version
    home: str
    manager: str = RELEASE
    writes: dict[str, int] = field(default_factory=dict)
    clock: int = 0

    async def poll(self, name: str, values: Mapping[str, str]) -> None:
        """One round over an ExternalSecret, for which it fetched these values."""
        found = await self.api.get("ExternalSecret", self.home, name)
        found = await self._finalize("ExternalSecret", found)
        await self._write_secret(name, values)
        await self._report(found, [{"status": "Succeeded", "synchronizationTime": self._now()}])

    async def visit_store(self, name: str) -> None:
        """One round over a SecretStore; 0.6.x comes round every five seconds."""
        found = await self.api.get("SecretStore", self.home, name)
        found = await self._finalize("SecretStore", found)
        if self.version == "0.5":
            return
        conditions = [{"type": "Ready", "status": "True", "reason": "StoreValid"}]
        was = (found.get("status") or {}).get("conditions") or [{}]
        if was[0].get("reason") == "StoreValid":
            return
        conditions[0] |= {"lastTransitionTime": self._now()}
        whole = kept(self.version, "SecretStore", found)
        whole["status"] = {"capabilities": "ReadOnly", "conditions": conditions}
        await self._put("SecretStore", whole, "status")

    async def remove_finalizer(self, kind: str, name: str) -> None:
        found = kept(self.version, kind, await self.api.get(kind, self.home, name))
        found["metadata"].pop("finalizers", None)
        await self._put(kind, found)

    async def _finalize(self, kind: str, found: dict[str, Any]) -> dict[str, Any]:
        finalizers = found["metadata"].get("finalizers") or []
        if FINALIZER in finalizers:
            return found
        whole = kept(self.version, kind, found)
        whole["metadata"] = {**found["metadata"], "finalizers": [*finalizers, FINALIZER]}
        return await self._put(kind, whole) or found

    async def _write_secret(self, name: str, values: Mapping[str, str]) -> None:
        there = await self.api.find("Secret", self.home, name)
        if values_of(there) == values:
            return
        data = {k: base64.b64encode(v.encode()).decode() for k, v in values.items()}
        document: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": self.home},
            "type": "Opaque",
            "data": data,
        }
        if self.version == "0.5":
            document["metadata"]["labels"] = {LABEL: self._now().replace(":", ".")}
        elif there is not None:
            document = {**there, "data": data}
        if there is not None:
            await self._put("Secret", document)
            return
        path = f"{path_of('Secret', self.home)}?fieldManager={self.manager}"
        status, body = await self.api.request("POST", path, document)
        assert status == 201, body

    async def _report(self, found: dict[str, Any], results: list[dict[str, Any]]) -> None:
        reported = (found.get("status") or {}).get("dataSyncResults") or []
        said = [(r.get("ExternalSecretKey"), r["status"], r.get("reason")) for r in reported]
        if self.version == "0.6" and said == [(None, "Succeeded", None)]:
            return
        whole = kept(self.version, "ExternalSecret", found)
        whole["status"] = {"dataSyncResults": results}
        await self._put("ExternalSecret", whole, "status")

    async def _put(self, kind: str, document: dict[str, Any], part: str = "") -> Any:
        """A write of the whole object; one that is refused for its version waits a round."""
        path = path_of(kind, self.home, document["metadata"]["name"])
        path = f"{path}/{part}".rstrip("/")
        status, body = await self.api.request(
            "PUT", f"{path}?fieldManager={self.manager}", document
        )
        assert status in {200, 409}, body
        if status == 409:
            return None
        key = f"{kind}/{part}".rstrip("/")
        self.writes[key] = self.writes.get(key, 0) + 1
        return body

    def _tick(self) -> int:
        self.clock += 1
        return self.clock

    def _now(self) -> str:
        seconds = self._tick()
        return f"2025-06-24T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}Z"


async def put_objects(api: Api, info: CloudInfo, home: str) -> None:
    """A store, its AccessKey and an ExternalSecret, as 0.5.x demands them.

    Each reference says its namespace.
    """
    values = {"id": info.access_key_id, "secret": info.access_key_secret}
    await api.put(secret("access-key", values), home)
    await api.put(store(namespace=home), home)
    ref = {"secretStoreRef": {"name": "store", "namespace": home}}
    entries = (
        {"key": "migration/user", "name": "user", **ref},
        {"key": "migration/password", "name": "password", **ref},
    )
    await api.put(external_secret("database", *entries), home)


async def remove_objects(api: Api, home: str) -> None:
    """Deletes them; the cluster is shared, and no controller is there to take finalizers off."""
    for kind in ("ExternalSecret", "SecretStore"):
        found = await listed(api, path_of(kind, home))
        for item in found["items"]:
            name = item["metadata"]["name"]
            await api.merge(kind, home, name, {"metadata": {"finalizers": None}})
            await api.request("DELETE", path_of(kind, home, name))


async def installed(api: Api, namespace: str = HOME) -> dict[str, Any]:
    """The Deployment of secret-sync."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/secret-sync"
    status, found = await api.request("GET", path)
    assert status == 200, found
    return dict(found)


async def listed(api: Api, path: str) -> dict[str, Any]:
    """A list, also right after another definition has come, when it is refused for a while."""
    async with asyncio.timeout(20):
        while True:
            status, found = await api.request("GET", path)
            if status == 200:
                return dict(found)
            assert status == 429, found
            await asyncio.sleep(0.05)
