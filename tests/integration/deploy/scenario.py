"""What befalls objects in the life of a controller, as far as it takes rights."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.support.identities import auth_store, cluster_store, put_account, using
from tests.support.operator import SOON, external_secret, secret, store
from tests.support.watching import force_sync, post_as, reported

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.support.identities import Ram
    from tests.support.operator import Api

FINALIZER: Final = "finalizer.ack.secrets-manager.alibabacloud.com"
CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ENTRY: Final = {"key": "rights/one", "name": "x"}


async def live(api: Api, ram: Ram, home: str) -> None:
    """A whole life, with everything that the documents promise of it."""
    admin = ram.admin
    await admin.put_secret("rights/one", "one")
    await api.put(external_secret("some", ENTRY), home)
    await api.until_holds(home, "some", {"x": "one"})
    await api.until_ready(home, "some", "Synced")
    await _stores(api, home)
    await _account(api, ram, home)
    await api.until_holds(home, "as-reader", {"x": "one"})
    await _drift(api, home)
    await _updates(api, admin, home, "two", "three")
    await _change(api, home)
    await _merge(api, home)
    await _adoption(api, home)
    await _failure(api, home)
    await _template(api, home)
    await _spread(api, home)
    await _definition(api)


async def _stores(api: Api, home: str) -> None:
    """One for all namespaces with a label, and what ack-secret-manager has left on both kinds."""
    labels = {"rights": home}
    await api.merge("Namespace", "", home, {"metadata": {"labels": labels}})
    await api.put(_shared(home, {"namespaceSelector": {"matchLabels": labels}}), home)
    reference = {"kind": "ClusterSecretStore", "name": home}
    await api.put(external_secret("shared", {**ENTRY, "secretStoreRef": reference}), home)
    await api.until_holds(home, "shared", {"x": "one"})
    await api.put(_left(store("old")), home)
    for kind, name in (("SecretStore", "old"), ("ClusterSecretStore", home)):
        await api.until_ready(home, name, "Ready", kind=kind)
        await _until_let_go(api, kind, home, name)


async def _account(api: Api, ram: Ram, home: str) -> None:
    """A store that acts as a ServiceAccount, for which it takes a token, and who uses it."""
    await put_account(api, home, "reader", await ram.role_for(f"reader-{home}", home, "reader"))
    reader = {"serviceAccountRef": {"name": "reader"}, "oidcProviderARN": ram.provider}
    await api.put(auth_store("reader", **reader), home)
    await api.put(using("reader", "as-reader", ENTRY["key"]), home)


_OWNERS: Final = "ownerReferences"


async def _drift(api: Api, home: str) -> None:
    await api.merge("Secret", home, "some", {"stringData": {"x": "other", "more": "x"}})
    await api.until_holds(home, "some", {"x": "one"})
    # Before it is made an owner again, the ExternalSecret is asked for.
    await api.merge("Secret", home, "some", {"metadata": {_OWNERS: None}})
    await api.until("Secret", home, "some", lambda s: bool((s or {})["metadata"].get(_OWNERS)))
    await api.delete("Secret", home, "some")
    await api.until_holds(home, "some", {"x": "one"})


async def _updates(api: Api, admin: CloudAdmin, home: str, *values: str) -> None:
    """New values: the second has the same message as the first, which makes one Event of both."""
    for value in values:
        await admin.put_secret("rights/one", value)
        await force_sync(api, home, "some", value)
        await api.until_holds(home, "some", {"x": value})
        await _until_reported(api, home, "some", "Updated")


async def _change(api: Api, home: str) -> None:
    await api.merge("ExternalSecret", home, "some", {"spec": {"target": {"name": "renamed"}}})
    await api.until_holds(home, "renamed", {"x": "three"})
    await api.until("Secret", home, "some", lambda s: s is None)
    await api.merge("ExternalSecret", home, "some", {"spec": {"type": "example.org/other"}})
    await api.until(
        "Secret", home, "renamed", lambda s: (s or {}).get("type") == "example.org/other"
    )


async def _merge(api: Api, home: str) -> None:
    await api.put(secret("host", {"theirs": "x"}), home)
    target = {"name": "host", "creationPolicy": "Merge"}
    await api.put(external_secret("guest", ENTRY, target=target), home)
    await api.until_holds(home, "host", {"theirs": "x", "x": "three"})
    await api.delete("ExternalSecret", home, "guest")


async def _adoption(api: Api, home: str) -> None:
    """One that lives, and one that waits for its finalizer, whose Secret goes first."""
    for name in ("left", "dying"):
        await post_as(api, "ack-secret-manager", secret(name, {"x": "old", "stale": "x"}), home)
        document = _left(external_secret(name, ENTRY))
        if name == "dying":
            document["spec"]["refreshPolicy"] = "CreatedOnce"
        await api.put(document, home)
        await api.until_holds(home, name, {"x": "three"})
        await _until_let_go(api, "ExternalSecret", home, name)
    await api.merge("ExternalSecret", home, "dying", {"metadata": {"finalizers": [FINALIZER]}})
    await api.delete("ExternalSecret", home, "dying")
    await api.until("ExternalSecret", home, "dying", lambda e: e is None)


async def _failure(api: Api, home: str) -> None:
    await api.put(external_secret("missing", {"key": "rights/none", "name": "x"}), home)
    await api.until_ready(home, "missing", "SecretNotFound")
    await _until_reported(api, home, "missing", "SyncFailed")


async def _template(api: Api, home: str) -> None:
    """A template in a ConfigMap, which changes."""
    for text in ("1 {{ .x }}", "2 {{ .x }}"):
        await put_template(api, home, text)
        await api.until_holds(home, "rendered", {"a": text.replace("{{ .x }}", "three")})


async def put_template(api: Api, home: str, text: str) -> None:
    """A template in a ConfigMap, and an object that refers to it."""
    texts = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "texts"}}
    await api.put({**texts, "data": {"a": text}}, home)
    source = {"configMap": {"name": "texts", "items": [{"key": "a"}]}}
    target = {"template": {"templateFrom": [source]}}
    await api.put(external_secret("rendered", ENTRY, target=target), home)


async def _spread(api: Api, home: str) -> None:
    """A ClusterExternalSecret that ack-secret-manager has left, and its child comes and goes."""
    kind = "ClusterExternalSecret"
    await api.put(_spreading(home), "")
    await api.until_ready("", home, "Provisioned", kind=kind)
    await _until_let_go(api, kind, "", home)
    await api.until_holds(home, "child", {"x": "three"})
    await api.put(_spreading(home, "nowhere"), "")
    await api.until("ExternalSecret", home, "child", lambda e: e is None)
    await api.delete(kind, "", home)


def _spreading(home: str, namespace: str = "", name: str = "") -> dict[str, Any]:
    spec = {"data": [{**ENTRY, "secretStoreRef": {"name": "store"}}]}
    document = {
        "apiVersion": "alibabacloud.com/v1alpha1",
        "kind": "ClusterExternalSecret",
        "metadata": {"name": name or home},
        "spec": {
            "externalSecretName": "child",
            "externalSecretSpec": spec,
            "conditions": [{"namespaces": [namespace or home]}],
        },
    }
    return _left(document)


async def _definition(api: Api) -> None:
    """It is changed by somebody, so that it is read again."""
    patch = {"metadata": {"annotations": {"rights": "changed"}}}
    path = f"{CRDS}/externalsecrets.alibabacloud.com"
    status, body = await api.request("PATCH", path, patch, "application/merge-patch+json")
    assert status == 200, body


def _left(document: dict[str, Any]) -> dict[str, Any]:
    """As ack-secret-manager leaves it."""
    document["metadata"]["finalizers"] = [FINALIZER]
    return document


def _shared(home: str, *conditions: dict[str, Any], name: str = "") -> dict[str, Any]:
    """A ClusterSecretStore of the name of the namespace that its AccessKey is in, or another."""
    where = {"name": "access-key", "namespace": home}
    keys = {"accessKey": {**where, "key": "id"}, "accessKeySecret": {**where, "key": "secret"}}
    return _left(cluster_store(name or home, *conditions, **keys))


async def _until_reported(api: Api, home: str, name: str, reason: str) -> None:
    async with asyncio.timeout(SOON):
        while reason not in {  # noqa: ASYNC110 (the way of a person with kubectl)
            said for _, said, _ in await reported(api, home, name)
        }:
            await asyncio.sleep(0.05)


async def _until_let_go(api: Api, kind: str, home: str, name: str) -> None:
    await api.until(kind, home, name, lambda found: not (found or {})["metadata"].get("finalizers"))


@dataclass(frozen=True)
class Provoked:
    """What makes a controller use a right that it does not look for when it starts.

    Attributes:
        kind: Of the object that is to be let go of, reported, or acted as.
        at_the_end: Whether the right is used when the controller stops.
    """

    kind: str
    at_the_end: bool = False


_UNCHECKED: Final = {
    ("patch", "externalsecrets"): Provoked("ExternalSecret"),
    ("get", "secretstores"): Provoked("SecretStore"),
    ("patch", "secretstores"): Provoked("SecretStore"),
    ("get", "clustersecretstores"): Provoked("ClusterSecretStore"),
    ("patch", "clustersecretstores"): Provoked("ClusterSecretStore"),
    ("patch", "clustersecretstores/status"): Provoked("ClusterSecretStore"),
    ("get", "clusterexternalsecrets"): Provoked("ClusterExternalSecret"),
    ("patch", "clusterexternalsecrets"): Provoked("ClusterExternalSecret"),
    ("create", "events"): Provoked("SecretStore"),
    ("patch", "events"): Provoked("Event", at_the_end=True),
    ("create", "serviceaccounts/token"): Provoked("ServiceAccount"),
    ("get", "configmaps"): Provoked("ConfigMap"),
    ("list", "configmaps"): Provoked("ConfigMap"),
    ("watch", "configmaps"): Provoked("ConfigMap"),
}


def unchecked(verb: str, resource: str) -> Provoked | None:
    """What to do where the right is not looked for at the start."""
    return _UNCHECKED.get((verb, resource))


async def provoke(case: Provoked, api: Api, ram: Ram, home: str) -> None:
    """Does what takes the right."""
    admin = ram.admin
    match case.kind:
        case "ExternalSecret":
            await admin.put_secret("rights/one", "one")
            await api.put(_left(external_secret("left", ENTRY)), home)
        case "SecretStore":
            await api.put(_left(store("old")), home)
        case "ClusterSecretStore":
            # A new one: those that were there before it may all have been reported.
            await api.put(_shared(home, name=f"{home}-{uuid.uuid4().hex[:6]}"), home)
        case "ConfigMap":
            await admin.put_secret("rights/one", "one")
            await put_template(api, home, "{{ .x }}")
        case "ClusterExternalSecret":
            await api.put(_spreading(home, name=f"{home}-{uuid.uuid4().hex[:6]}"), "")
        case "ServiceAccount":
            await admin.put_secret("rights/one", "one")
            await _account(api, ram, home)
            await api.until_ready(home, "as-reader", "TokenForbidden")
        case _:
            await admin.put_secret("rights/one", "one")
            await api.put(external_secret("some", ENTRY), home)
            await api.until_holds(home, "some", {"x": "one"})
            await api.until_ready(home, "some", "Synced")
            await _updates(api, admin, home, "two", "three")
