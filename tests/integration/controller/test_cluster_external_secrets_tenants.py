"""ClusterExternalSecrets beside tenants, who may do what they like in their own namespaces."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.support.fleet import KIND
from tests.support.operator import (
    SOON,
    external_secret,
    path_of,
    secret,
    values_of,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.fleet import Fleet
    from tests.support.operator import Api

ONE = {"password": "one"}
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


async def until_gone(api: Api, kind: str, namespace: str, name: str) -> None:
    await api.until(kind, namespace, name, lambda found: found is None)


async def events_about(api: Api, name: str) -> list[tuple[str, str, str]]:
    """Those of a ClusterExternalSecret, oldest first."""
    selector = f"involvedObject.kind%3D{KIND},involvedObject.name%3D{name}"
    status, found = await api.request("GET", f"/api/v1/events?fieldSelector={selector}")
    assert status == 200, found
    events = sorted(found["items"], key=lambda e: int(version_of(e)))
    return [(e["type"], e["reason"], e["message"]) for e in events]


async def test_children_that_merge_leave_what_tenants_have(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    first, second = await fleet.namespaces("a", "b")
    for namespace in (first, second):
        await api.put(secret("host", {"theirs": "x"}), namespace)
    both = {**ONE, "theirs": "x"}
    child = {"target": {"name": "host", "creationPolicy": "Merge"}}
    async with everywhere():
        await api.put(fleet.document(key, child=child), "")
        await fleet.until_count("2/2")
        before = await api.until_holds(first, "host", both)
        await api.until_holds(second, "host", both)
        await fleet.select(first, selected=False)
        await until_gone(api, "ExternalSecret", first, fleet.name_of())
        await asyncio.sleep(1)
        after = await api.get("Secret", first, "host")
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert values_of(after)["theirs"] == "x"
        # A new name: the host stays, and the new child writes its key.
        await api.put(fleet.document(key, child=child, externalSecretName="new"), "")
        await until_gone(api, "ExternalSecret", second, fleet.name_of())
        await api.until_ready(second, "new", "Synced")
        assert values_of(await api.get("Secret", second, "host")) == both


async def test_events_are_of_transitions_only(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    await fleet.namespaces("a", "b")
    name = fleet.name_of()
    broken = [{"namespaceRegexes": ["("]}, fleet.selector]
    async with everywhere():
        await api.put(fleet.document(key), "")
        await fleet.until_ready("Provisioned")
        # Progress and a further namespace are none.
        await fleet.namespace("c")
        await fleet.until_count("3/3")
        await api.put(fleet.document(key, conditions=broken), "")
        await fleet.until_ready("ConditionsInvalid")
        await api.merge(KIND, "", name, {"metadata": {"labels": {"again": "x"}}})
        await api.put(fleet.document(key), "")
        await fleet.until_ready("Provisioned")
        await fleet.until_count("3/3")
    events = await events_about(api, name)
    assert [(type_, reason) for type_, reason, _ in events] == [
        ("Normal", "Provisioned"),
        ("Warning", "NotProvisioned"),
        ("Normal", "Provisioned"),
    ]
    assert events[1][2].startswith("ConditionsInvalid: spec.conditions[0].namespaceRegexes")


async def test_status_of_a_growing_object_is_written_once_a_second(
    api: Api, fleet: Fleet, key: str, everywhere: Any, requests: list[str]
) -> None:
    loop = asyncio.get_running_loop()
    async with everywhere():
        await fleet.namespaces("a")
        await api.put(fleet.document(key), "")
        await fleet.until_count("1/1")
        requests.clear()
        began = loop.time()
        for number in range(40):
            await fleet.namespace(f"n{number}")
            await asyncio.sleep(0.1)
        await fleet.until_count("41/41")
        await fleet.until_ready("Provisioned")
        seconds = loop.time() - began
    written = requests.count(f"PATCH {path_of(KIND, '', fleet.name_of())}/status")
    assert 3 <= written <= seconds + 2


async def test_child_that_its_tenant_takes_away_is_the_tenants(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    """Without our ownerReference it is an ExternalSecret like any other of theirs."""
    first, second = await fleet.namespaces("a", "b")
    name = fleet.name_of()
    async with everywhere():
        await api.put(fleet.document(key), "")
        await fleet.until_count("2/2")
        patch = {"metadata": {"ownerReferences": None}, "spec": {"rotationInterval": "9h"}}
        taken = await api.merge("ExternalSecret", first, name, patch)
        condition = await fleet.until_ready("NamespacesFailed")
        assert f"{first}: AlreadyExists" in condition["message"]
        await api.delete(KIND, "", name)
        await until_gone(api, "ExternalSecret", second, name)
        found = await api.get("ExternalSecret", first, name)
        assert (found["spec"], found["metadata"]["uid"]) == (
            taken["spec"],
            taken["metadata"]["uid"],
        )
        await api.until_holds(first, name, ONE)


async def test_owners_that_a_tenant_adds_stay_and_a_second_controller_is_none_of_ours(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    (first,) = await fleet.namespaces("a")
    name = fleet.name_of()
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}}
    status, owner = await api.request("POST", path_of("ConfigMap", first), config_map)
    assert status == 201
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs"}
    theirs["uid"] = owner["metadata"]["uid"]
    async with everywhere():
        await api.put(fleet.document(key), "")
        await fleet.until_count("1/1")
        (ours,) = (await api.get("ExternalSecret", first, name))["metadata"]["ownerReferences"]
        owners = {"metadata": {"ownerReferences": [ours, theirs]}}
        await api.merge("ExternalSecret", first, name, owners)
        await api.merge("ExternalSecret", first, name, {"spec": {"rotationInterval": "9h"}})
        await api.until(
            "ExternalSecret",
            first,
            name,
            lambda found: found is not None and "rotationInterval" not in found["spec"],
        )
        found = await api.get("ExternalSecret", first, name)
        assert found["metadata"]["ownerReferences"] == [ours, theirs]
        # Somebody else's controller: no longer ours, and not fought over.
        usurped = {**theirs, "controller": True}
        await api.merge("ExternalSecret", first, name, {"metadata": {"ownerReferences": [usurped]}})
        condition = await fleet.until_ready("NamespacesFailed")
        assert f"{first}: AlreadyExists" in condition["message"]
        assert (await api.get("ExternalSecret", first, name))["metadata"]["ownerReferences"] == [
            usurped
        ]


async def test_finalizer_of_a_tenant_delays_its_own_namespace_only(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    first, second = await fleet.namespaces("a", "b")
    name = fleet.name_of()
    async with everywhere():
        await api.put(fleet.document(key), "")
        await fleet.until_count("2/2")
        held = await api.merge(
            "ExternalSecret", first, name, {"metadata": {"finalizers": ["test/theirs"]}}
        )
        await fleet.select(first, selected=False)
        await api.until(
            "ExternalSecret",
            first,
            name,
            lambda found: found is not None and "deletionTimestamp" in found["metadata"],
        )
        await fleet.until_count("1/1")
        # Selected again meanwhile: it waits for the end of the former one.
        await fleet.select(first, selected=True)
        late = await fleet.namespace("c")
        await api.until_holds(late, name, ONE)
        await api.merge("ExternalSecret", first, name, {"metadata": {"finalizers": None}})
        await fleet.until_count("3/3")
        child = await api.get("ExternalSecret", first, name)
        assert child["metadata"]["uid"] != held["metadata"]["uid"]
        await api.until_holds(second, name, ONE)


@asynccontextmanager
async def refused_in(api: Api, namespace: str) -> AsyncIterator[None]:
    """A policy of the cluster that forbids new ExternalSecrets in a namespace."""
    rule = {
        "apiGroups": ["alibabacloud.com"],
        "apiVersions": ["*"],
        "operations": ["CREATE"],
        "resources": ["externalsecrets"],
    }
    home = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    named = {"metadata": {"name": namespace}}
    validation = {"expression": "false", "message": "none here", "reason": "Forbidden"}
    policy = {
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": home},
        "validations": [validation],
    }
    binding = {"policyName": namespace, "validationActions": ["Deny"]}
    kinds = {
        f"{ADMISSION}/validatingadmissionpolicies": policy,
        f"{ADMISSION}/validatingadmissionpolicybindings": binding,
    }
    for path, spec in kinds.items():
        status, body = await api.request("POST", path, {**named, "spec": spec})
        assert status == 201, body
    trial = external_secret("trial", {"key": "none"})
    path = f"{path_of('ExternalSecret', namespace)}?dryRun=All"
    async with asyncio.timeout(SOON):
        while (await api.request("POST", path, trial))[0] != 403:  # noqa: ASYNC110 (it has no event)
            await asyncio.sleep(0.1)
    try:
        yield
    finally:
        for path in kinds:
            await api.request("DELETE", f"{path}/{namespace}")


async def test_refusal_in_one_namespace_is_reported_and_stops_no_other(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    (full,) = await fleet.namespaces("full")
    others = await fleet.namespaces(*(f"n{number}" for number in range(5)))
    async with refused_in(api, full), everywhere():
        await api.put(fleet.document(key), "")
        for namespace in others:
            await api.until_holds(namespace, fleet.name_of(), ONE)
        condition = await fleet.until_ready("NamespacesFailed")
        assert f"1 of 6: {full}: WriteFailed" in condition["message"]
        found = await fleet.until_count("5/6")
        ((failed),) = found["status"]["failedNamespaces"]
        assert "refused by ValidatingAdmissionPolicy" in failed["reason"]


async def test_of_two_objects_made_at_once_one_has_the_name_everywhere(
    api: Api, fleet: Fleet, key: str, everywhere: Any
) -> None:
    names = await fleet.namespaces(*(f"n{number}" for number in range(8)))
    documents = [fleet.document(key, n, externalSecretName="shared") for n in ("one", "two")]
    async with everywhere():
        await asyncio.gather(*(api.put(document, "") for document in documents))
        for namespace in names:
            await api.until_holds(namespace, "shared", ONE)
        await asyncio.sleep(3)
        before = {n: c["metadata"]["uid"] for n, c in (await fleet.children("shared")).items()}
        await asyncio.sleep(3)
        after = {n: c["metadata"]["uid"] for n, c in (await fleet.children("shared")).items()}
        assert after == before
        counted = [
            (await api.get(KIND, "", fleet.name_of(n)))["status"].get("provisionedNamespaces", [])
            for n in ("one", "two")
        ]
        assert sorted(counted[0] + counted[1]) == sorted(names)
        await api.delete(KIND, "", fleet.name_of("one"))
        await fleet.until_count("8/8", "two")
