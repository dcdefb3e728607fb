"""ClusterExternalSecrets on the real API server: which namespaces have a child, and keep it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.cluster_external_secret import reconciler
from tests.support.fleet import KIND
from tests.support.kustomize import Kubectl
from tests.support.operator import (
    ROOT,
    external_secret,
    operator,
    ready_of,
    settings_for,
    version_of,
)
from tests.support.program import kubeconfig
from tests.support.watching import FORCE_SYNC, Watching

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.fleet import Fleet
    from tests.support.operator import Api

ONE = {"password": "one"}
ADOPT = {"secret-sync.alibabacloud.com/adopt": "true"}
LEGACY = "finalizer.ack.secrets-manager.alibabacloud.com"


async def gone(api: Api, kind: str, namespace: str, name: str) -> None:
    await api.until(kind, namespace, name, lambda found: found is None)


async def test_a_namespace_has_a_child_as_long_as_it_is_selected(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    first, second = await fleet.namespaces("a", "b")
    other = await fleet.namespace("c", selected=False)
    name = fleet.name_of()
    async with everywhere():
        await api.put(fleet.document(key), "")
        for namespace in (first, second):
            await api.until_holds(namespace, name, ONE)
        found = await fleet.until_count("2/2")
        assert found["status"]["provisionedNamespaces"] == [first, second]
        assert found["status"]["externalSecretName"] == name
        conditions = {c["type"]: (c["status"], c["reason"]) for c in found["status"]["conditions"]}
        assert conditions == {
            "Ready": ("True", "Provisioned"),
            "ExternalSecretsReady": ("True", "ExternalSecretsReady"),
        }
        child = await api.get("ExternalSecret", first, name)
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["controller"]) == (KIND, True)

        await fleet.select(other, selected=True)
        await api.until_holds(other, name, ONE)
        await fleet.select(first, selected=False)
        await gone(api, "ExternalSecret", first, name)
        await gone(api, "Secret", first, name)
        late = await fleet.namespace("d")
        await api.until_holds(late, name, ONE)
        await api.request("DELETE", f"/api/v1/namespaces/{late}")

        def settled(found: dict[str, Any] | None) -> bool:
            status = (found or {}).get("status") or {}
            return status.get("provisionedNamespaces") == [second, other]

        found = await api.until(KIND, "", name, settled)
        assert found["status"]["namespaces"] == "2/2"
        assert "failedNamespaces" not in found["status"]


async def test_conditions_that_cannot_be_parsed_delete_nothing(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    names = await fleet.namespaces(*(f"n{number}" for number in range(20)))
    regexes = [{"namespaceRegexes": [f"{fleet.prefix}-n.*"]}]
    async with everywhere():
        await api.put(fleet.document(key, conditions=regexes), "")
        await fleet.until_count("20/20")
        before = {n: c["metadata"]["uid"] for n, c in (await fleet.children()).items()}
        assert sorted(before) == sorted(names)
        broken = [{"namespaceRegexes": [f"{fleet.prefix}-(n.*"]}]
        await api.put(fleet.document(key, conditions=broken), "")
        condition = await fleet.until_ready("ConditionsInvalid")
        assert "spec.conditions[0].namespaceRegexes" in condition["message"]
        # Nothing is repaired or created either, until it is fixed.
        await fleet.namespace("nlate")
        await api.merge("Namespace", "", names[0], {"metadata": {"labels": {"other": "label"}}})
        await asyncio.sleep(2)
        after = {n: c["metadata"]["uid"] for n, c in (await fleet.children()).items()}
        assert after == before
        await api.put(fleet.document(key, conditions=regexes), "")
        await fleet.until_count("21/21")
        assert (
            before.items()
            <= {n: c["metadata"]["uid"] for n, c in (await fleet.children()).items()}.items()
        )


async def test_a_store_that_is_missing_deletes_nothing(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    (first,) = await fleet.namespaces("a")
    name = fleet.name_of()
    async with everywhere():
        await api.put(fleet.document(key), "")
        await fleet.until_count("1/1")
        async with Watching(api, first, name) as watching:
            await api.delete("ClusterSecretStore", "", fleet.store)
            await api.until_ready(first, name, "StoreNotFound")
            found = await fleet.until_count("0/1")
            children = found["status"]["conditions"][1]
            assert "StoreNotFound" in children["message"]
            assert ready_of(found)["reason"] == "Provisioned"
            await fleet.put_cluster_store()
            await fleet.until_count("1/1")
            await watching.check(ONE)


async def test_a_tenants_object_of_that_name_is_never_changed(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    first, second = await fleet.namespaces("a", "b")
    name = fleet.name_of()
    tenant = external_secret(name, {"key": "anything"})
    await api.put(tenant, first)

    async def form() -> Any:
        found = await api.get("ExternalSecret", first, name)
        metadata = {
            k: v
            for k, v in found["metadata"].items()
            if k not in ("managedFields", "resourceVersion")
        }
        return metadata, found["spec"]

    async with everywhere():
        before = await form()
        await api.put(fleet.document(key), "")
        condition = await fleet.until_ready("NamespacesFailed")
        assert f"1 of 2: {first}: AlreadyExists" in condition["message"]
        found = await api.get(KIND, "", name)
        ((failed),) = found["status"]["failedNamespaces"]
        assert failed["namespace"] == first
        assert failed["reason"].startswith("AlreadyExists: ")
        await api.delete(KIND, "", name)
        await gone(api, "ExternalSecret", second, name)
        assert await form() == before
        await api.put(fleet.document(key), "")
        await fleet.until_ready("NamespacesFailed")
        assert await form() == before
        # Only its author may give it away.
        await api.merge("ExternalSecret", first, name, {"metadata": {"annotations": ADOPT}})
        await fleet.until_count("2/2")
        assert (await form())[0]["uid"] == before[0]["uid"]


async def test_first_of_two_objects_for_one_name_keeps_it(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    (first,) = await fleet.namespaces("a")
    async with everywhere():
        await api.put(fleet.document(key, "one", externalSecretName="shared"), "")
        await fleet.until_count("1/1", "one")
        child = await api.get("ExternalSecret", first, "shared")
        await api.put(fleet.document(key, "two", externalSecretName="shared"), "")
        await fleet.until_ready("NamespacesFailed", "two")
        found = await api.get(KIND, "", fleet.name_of("two"))
        assert fleet.name_of("one") in found["status"]["failedNamespaces"][0]["reason"]
        assert (await api.get("ExternalSecret", first, "shared"))["metadata"]["uid"] == child[
            "metadata"
        ]["uid"]
        await api.delete(KIND, "", fleet.name_of("one"))
        await fleet.until_count("1/1", "two")


async def test_an_edit_is_reverted_and_what_others_add_stays(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    (first,) = await fleet.namespaces("a")
    name = fleet.name_of()
    metadata = {"labels": {"team": "blue"}, "annotations": {"note": "ours"}}
    async with everywhere():
        written = await api.put(fleet.document(key, externalSecretMetadata=metadata), "")
        await fleet.until_count("1/1")

        async def until_as_it_was(**labels: str) -> dict[str, Any]:
            def settled(found: dict[str, Any] | None) -> bool:
                return (
                    found is not None
                    and found["spec"] == written["spec"]["externalSecretSpec"]
                    and found["metadata"].get("labels") == {"team": "blue", **labels}
                    and found["metadata"]["annotations"]["note"] == "ours"
                )

            return await api.until("ExternalSecret", first, name, settled, within=5)

        await api.merge("ExternalSecret", first, name, {"spec": {"rotationInterval": "1h"}})
        await until_as_it_was()
        patch = {"metadata": {"labels": {"team": "red", "theirs": "x"}, "finalizers": ["test/x"]}}
        await api.merge("ExternalSecret", first, name, patch)
        found = await until_as_it_was(theirs="x")
        assert found["metadata"]["finalizers"] == ["test/x"]
        await api.merge("ExternalSecret", first, name, {"metadata": {"finalizers": None}})
        await api.delete("ExternalSecret", first, name)
        await until_as_it_was()
        await api.until_holds(first, name, ONE)


async def test_a_label_that_leaves_the_template_leaves_the_child(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    (first,) = await fleet.namespaces("a")
    labels = {"labels": {"team": "blue", "tier": "one"}}
    async with everywhere():
        await api.put(fleet.document(key, externalSecretMetadata=labels), "")
        await fleet.until_count("1/1")
        await api.put(fleet.document(key, externalSecretMetadata={"labels": {"team": "blue"}}), "")
        await api.until(
            "ExternalSecret",
            first,
            fleet.name_of(),
            lambda found: found is not None and found["metadata"].get("labels") == {"team": "blue"},
        )


async def test_writer_that_keeps_changing_a_child_is_reported_and_met_slowly(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    (first,) = await fleet.namespaces("a")
    name = fleet.name_of()
    async with everywhere():
        await api.put(fleet.document(key), "")
        await fleet.until_count("1/1")
        async with asyncio.timeout(30):
            while True:
                await api.merge("ExternalSecret", first, name, {"spec": {"type": "Opaque"}})
                found = await api.get(KIND, "", name)
                if ready_of(found).get("reason") == "NamespacesFailed":
                    break
                await asyncio.sleep(0.1)
        ((failed),) = found["status"]["failedNamespaces"]
        assert failed["reason"].startswith("WriteConflict: ")


async def test_renamed_children_are_replaced_once_the_new_ones_are_ready(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    (first,) = await fleet.namespaces("a")
    async with everywhere():
        await api.put(fleet.document(key, externalSecretName="old"), "")
        await fleet.until_count("1/1")
        async with Watching(api, first, "old") as old, Watching(api, first, "new") as new:
            await api.put(fleet.document(key, externalSecretName="new"), "")
            await gone(api, "ExternalSecret", first, "old")
            await gone(api, "Secret", first, "old")
            await api.until_holds(first, "new", ONE)
            await old.check(ONE, absences=1)
            await new.check(ONE)
            appeared = next(t for t, h in zip(new.times, new.history, strict=True) if h)
            vanished = next(t for t, h in zip(old.times, old.history, strict=True) if h is None)
            assert appeared < vanished


async def test_a_renamed_child_takes_a_named_secret_over_and_back(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    (first,) = await fleet.namespaces("a")
    child = {"target": {"name": "kept"}}
    async with everywhere():
        await api.put(fleet.document(key, externalSecretName="old", child=child), "")
        await fleet.until_count("1/1")
        async with Watching(api, first, "kept") as watching:
            for name, former in (("new", "old"), ("old", "new")):
                await api.put(fleet.document(key, externalSecretName=name, child=child), "")
                await gone(api, "ExternalSecret", first, former)
                await api.until_ready(first, name, "Synced")
                await fleet.until_count("1/1")
            await asyncio.sleep(1)
            await watching.check(ONE)
            uids = {held["metadata"]["uid"] for held in watching.history if held}
            assert len(uids) == 1
        found = await api.get("ExternalSecret", first, "old")
        assert "annotations" not in found["metadata"]


@pytest.mark.parametrize("policy", ["Background", "Orphan"])
async def test_deleting_the_object_deletes_its_children_unless_they_are_orphaned(
    api: Api, fleet: Fleet, key: str, everywhere: Any, policy: str
) -> None:
    first, second = await fleet.namespaces("a", "b")
    name = fleet.name_of()
    async with everywhere():
        await api.put(fleet.document(key), "")
        await fleet.until_count("2/2")
        uid = (await api.get("ExternalSecret", first, name))["metadata"]["uid"]
        async with Watching(api, first, name) as watching:
            found = await api.get(KIND, "", name)
            assert "finalizers" not in found["metadata"]
            path = f"/apis/alibabacloud.com/v1alpha1/clusterexternalsecrets/{name}"
            await api.request("DELETE", path, {"propagationPolicy": policy})
            await gone(api, KIND, "", name)
            if policy == "Background":
                for namespace in (first, second):
                    await gone(api, "ExternalSecret", namespace, name)
                    await gone(api, "Secret", namespace, name)
                return
            await asyncio.sleep(3)
            child = await api.get("ExternalSecret", first, name)
            assert child["metadata"]["uid"] == uid
            assert "ownerReferences" not in child["metadata"]
            await watching.check(ONE)


async def test_objects_of_ack_secret_manager_are_taken_over_live(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    (first,) = await fleet.namespaces("a")
    name = fleet.name_of()
    document = fleet.document(key)
    document["metadata"]["finalizers"] = [LEGACY]
    written = await api.put(document, "")
    child = external_secret(name)
    child["spec"] = {**written["spec"]["externalSecretSpec"], "rotationInterval": "9s"}
    child["metadata"]["finalizers"] = [LEGACY]
    child["metadata"]["ownerReferences"] = [
        {
            "apiVersion": document["apiVersion"],
            "kind": KIND,
            "name": name,
            "uid": written["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    made = await api.put(child, first)
    async with everywhere():
        await fleet.until_count("1/1")
        await api.until(
            KIND, "", name, lambda f: f is not None and "finalizers" not in f["metadata"]
        )
        found = await api.until(
            "ExternalSecret",
            first,
            name,
            lambda f: (
                f is not None
                and "finalizers" not in f["metadata"]
                and f["spec"] == written["spec"]["externalSecretSpec"]
            ),
        )
        assert found["metadata"]["uid"] == made["metadata"]["uid"]
        assert len(found["metadata"]["ownerReferences"]) == 1
        # An object that is being deleted must not wait for ack-secret-manager either.
        patch = {"metadata": {"finalizers": [LEGACY]}}
        await api.merge(KIND, "", name, patch)
        await api.delete(KIND, "", name)
        await gone(api, KIND, "", name)
        await gone(api, "ExternalSecret", first, name)


async def test_mistakes_in_the_template_are_reported_and_change_nothing(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    (first,) = await fleet.namespaces("a")
    name = fleet.name_of()
    async with everywhere():
        await api.put(fleet.document(key), "")
        await fleet.until_count("1/1")
        before = version_of(await api.get("ExternalSecret", first, name))
        broken = [{"key": key, "jmesPath": [{"path": "a[", "objectAlias": "a"}]}]
        await api.put(fleet.document(key, child={"data": broken}), "")
        condition = await fleet.until_ready("InvalidSpec")
        assert "JMESPath" in condition["message"]
        await api.put(fleet.document(key, child={"provider": "aws"}), "")
        async with asyncio.timeout(10):
            while "spec.externalSecretSpec.provider" not in condition["message"]:
                condition = await fleet.until_ready("InvalidSpec")
        labels = {"labels": {"not a label!": "x"}}
        await api.put(fleet.document(key, externalSecretMetadata=labels), "")
        async with asyncio.timeout(10):
            while "externalSecretMetadata.labels" not in condition["message"]:
                condition = await fleet.until_ready("InvalidSpec")
        assert version_of(await api.get("ExternalSecret", first, name)) == before
        await api.put(fleet.document(key), "")
        await fleet.until_count("1/1")


async def test_selecting_no_namespace_is_no_success(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    await fleet.namespaces("a")
    async with everywhere():
        await api.put(fleet.document(key, conditions=[{}]), "")
        await fleet.until_ready("NoNamespaceMatches")
        # Newer versions of ack-secret-manager would take this for a match.
        partial = [{"namespaceRegexes": [fleet.prefix]}]
        await api.put(fleet.document(key, conditions=partial), "")
        async with asyncio.timeout(10):
            while True:
                condition = await fleet.until_ready("NoNamespaceMatches")
                if "matches only a part" in condition["message"]:
                    break


async def test_a_forced_sync_is_passed_on(
    api: Api, fleet: Fleet, key: str, everywhere: Any, admin: CloudAdmin
) -> None:
    first, second = await fleet.namespaces("a", "b")
    name = fleet.name_of()
    async with everywhere():
        await api.put(fleet.document(key), "")
        await fleet.until_count("2/2")
        await admin.put_secret(key, "two")
        await api.merge(KIND, "", name, {"metadata": {"annotations": {FORCE_SYNC: "now"}}})
        for namespace in (first, second):
            await api.until_holds(namespace, name, {"password": "two"})


async def test_a_restart_that_finds_all_in_order_sends_no_request(
    api: Api, fleet: Fleet, key: str, everywhere: Any, requests: list[str]
) -> None:
    names = await fleet.namespaces("a", "b", "c")
    async with everywhere():
        await api.put(fleet.document(key), "")
        await fleet.until_count("3/3")
    requests.clear()
    async with everywhere() as controller:
        async with asyncio.timeout(20):
            while not controller.watched.cluster_external_secrets:  # noqa: ASYNC110 (no event)
                await asyncio.sleep(0.05)
        await asyncio.sleep(3)
    writes = [r for r in requests if "externalsecrets" in r and not r.startswith("GET /apis/")]
    assert [w for w in writes if any(n in w for n in names) or "cluster" in w] == []


async def test_terminating_and_unserved_namespaces_are_no_failures(
    api: Api, fleet: Fleet, key: str, cluster: ControlPlane, cloud: CloudInfo
) -> None:
    first, second = await fleet.namespaces("a", "b")
    settings = settings_for(cluster, cloud, exclude_namespaces=(second,))
    async with operator(settings):
        await api.put(fleet.document(key), "")
        found = await fleet.until_count("1/1")
        assert ready_of(found)["reason"] == "Provisioned"
        assert found["status"]["provisionedNamespaces"] == [first]


async def test_the_kind_may_be_turned_off(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    (first,) = await fleet.namespaces("a")
    async with everywhere(process_cluster_external_secret=False) as controller:
        await api.put(fleet.document(key), "")
        await asyncio.sleep(2)
        assert await api.find("ExternalSecret", first, fleet.name_of()) is None
        assert controller.watched.cluster_external_secrets is None


async def test_missing_rights_are_reported_until_the_component_is_there(
    api: Api,
    fleet: Fleet,
    key: str,
    cluster: ControlPlane,
    cloud: CloudInfo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconciler, "REFUSED_AGAIN_AFTER", 2.0)
    kubectl = Kubectl(cluster)
    first, second = await fleet.namespaces("a", "b")
    name = fleet.name_of()
    await asyncio.to_thread(kubectl, "apply", "--server-side", "-k", str(ROOT / "deploy" / "base"))
    token = await cluster.token_for("secret-sync-system", "secret-sync")
    config = kubeconfig(tmp_path / "kubeconfig", cluster.server, token, str(cluster.ca_file))
    component = ROOT / "deploy" / "components" / "cluster-external-secrets"
    files = [f"-f={component / file}" for file in ("clusterrole.yaml", "clusterrolebinding.yaml")]
    async with operator(settings_for(cluster, cloud, kubeconfig=config)):
        await api.put(fleet.document(key), "")
        condition = await fleet.until_ready("WriteForbidden")
        assert "component cluster-external-secrets" in condition["message"]
        await asyncio.to_thread(kubectl, "apply", "--server-side", *files)
        try:
            await fleet.until_count("2/2")
            await fleet.select(first, selected=False)
            await gone(api, "ExternalSecret", first, name)
            await api.until_holds(second, name, ONE)
        finally:
            await asyncio.to_thread(kubectl, "delete", *files)
