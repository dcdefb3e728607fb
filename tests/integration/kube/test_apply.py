"""What server-side apply does in earnest: these are the server's promises that we rely on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import (
    METADATA,
    SECRETS,
    AlreadyExistsError,
    Answer,
    ApiError,
    ApiNotFoundError,
    ApplyWriter,
    ImmutableError,
    OutdatedError,
    OwnedByOthersError,
    Ref,
    Resource,
)
from secret_sync.kube.apply import APPLY
from tests.integration.kube.conftest import encoded

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from secret_sync.kube import KubeClient
    from tests.integration.kube.conftest import Secrets

BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NOBODY = "00000000-0000-0000-0000-000000000000"


async def test_a_first_write_creates(writer: ApplyWriter, secrets: Secrets) -> None:
    reply = await writer.create(SECRETS, secrets.intent(a="1"))
    assert await secrets.data() == {"a": encoded("1")}
    # The reply does not echo the payload.
    assert reply["kind"] == "PartialObjectMetadata"
    assert "data" not in reply
    entries = [(e["manager"], e["operation"]) for e in reply["metadata"]["managedFields"]]
    assert entries == [("secret-sync", "Apply")]


async def test_a_first_write_never_touches_what_is_there(
    writer: ApplyWriter, secrets: Secrets
) -> None:
    await secrets.create(secrets.intent(theirs="1"))
    before = await secrets.fields()
    with pytest.raises(AlreadyExistsError):
        await writer.create(SECRETS, secrets.intent(ours="1"))
    assert await secrets.data() == {"theirs": encoded("1")}
    assert await secrets.fields() == before


async def test_of_ten_racing_first_writes_exactly_one_wins(
    client: KubeClient, secrets: Secrets
) -> None:
    for round_ in range(5):
        name = f"raced-{round_}"
        results = await asyncio.gather(
            *(
                ApplyWriter(client, f"manager-{n}").create(
                    SECRETS, secrets.intent(name, winner=str(n))
                )
                for n in range(10)
            ),
            return_exceptions=True,
        )
        losers = [r for r in results if isinstance(r, AlreadyExistsError)]
        winners = [n for n, r in enumerate(results) if not isinstance(r, BaseException)]
        assert len(losers) == 9
        assert await secrets.data(name) == {"winner": encoded(str(winners[0]))}


async def test_a_first_write_into_no_namespace(writer: ApplyWriter, secrets: Secrets) -> None:
    intent = secrets.intent(a="1")
    intent["metadata"]["namespace"] = "no-such-namespace"
    with pytest.raises(ApiNotFoundError):
        await writer.create(SECRETS, intent)


async def test_omitted_key_is_removed(writer: ApplyWriter, secrets: Secrets) -> None:
    ref = secrets.ref(await writer.create(SECRETS, secrets.intent(a="1", b="2")))
    await writer.update(SECRETS, secrets.intent(a="1"), ref, force=True)
    assert await secrets.data() == {"a": encoded("1")}


async def test_an_unchanged_write_does_not_move_the_version(
    writer: ApplyWriter, secrets: Secrets
) -> None:
    ref = secrets.ref(await writer.create(SECRETS, secrets.intent(a="1")))
    reply = await writer.update(SECRETS, secrets.intent(a="1"), ref, force=True)
    assert reply["metadata"]["resourceVersion"] == ref.resource_version
    reply = await writer.update(SECRETS, secrets.intent(a="2"), ref, force=True)
    assert reply["metadata"]["resourceVersion"] != ref.resource_version


async def test_write_decided_on_an_older_version_is_refused(
    writer: ApplyWriter, secrets: Secrets
) -> None:
    ref = secrets.ref(await writer.create(SECRETS, secrets.intent(a="1")))
    await secrets.edit(foreign="1")
    with pytest.raises(OutdatedError):
        await writer.update(SECRETS, secrets.intent(a="2"), ref, force=True)
    assert (await secrets.data())["a"] == encoded("1")


async def test_a_deleted_secret_is_not_silently_created_again(
    writer: ApplyWriter, secrets: Secrets
) -> None:
    ref = secrets.ref(await writer.create(SECRETS, secrets.intent(a="1")))
    await secrets.delete()
    with pytest.raises(OutdatedError):
        await writer.update(SECRETS, secrets.intent(a="2"), ref, force=True)
    with pytest.raises(ApiNotFoundError):
        await secrets.data()


async def test_another_secret_of_that_name_is_not_written_to(
    writer: ApplyWriter, secrets: Secrets
) -> None:
    ref = secrets.ref(await writer.create(SECRETS, secrets.intent(a="1")))
    await secrets.delete()
    other = secrets.ref(await secrets.create(secrets.intent(theirs="1")))
    mixed = Ref(ref.namespace, ref.name, ref.uid, other.resource_version)
    for stale in (ref, mixed):
        with pytest.raises(OutdatedError):
            await writer.update(SECRETS, secrets.intent(a="2"), stale, force=True)
        with pytest.raises(OutdatedError):
            await writer.set_data(SECRETS, stale, {"a": encoded("1")}, secrets.confirmed)
        with pytest.raises(OutdatedError):
            await writer.transfer_field_ownership(
                SECRETS, stale, await secrets.fields(), frozenset({"somebody"}), secrets.confirmed
            )
        with pytest.raises(OutdatedError):
            await writer.delete(SECRETS, stale, secrets.confirmed)
    assert await secrets.data() == {"theirs": encoded("1")}


async def test_without_force_others_keep_what_they_own(
    writer: ApplyWriter, secrets: Secrets
) -> None:
    await writer.create(SECRETS, secrets.intent(a="1"))
    ref = secrets.ref(await secrets.edit(a="theirs"))
    with pytest.raises(OwnedByOthersError) as caught:
        await writer.update(SECRETS, secrets.intent(a="1"), ref, force=False)
    assert caught.value.managers == (".data.a",)
    assert encoded("1") not in str(caught.value)
    assert await secrets.data() == {"a": encoded("theirs")}


async def test_with_force_drift_is_repaired(writer: ApplyWriter, secrets: Secrets) -> None:
    await writer.create(SECRETS, secrets.intent(a="1"))
    ref = secrets.ref(await secrets.edit(a="theirs"))
    reply = await writer.update(SECRETS, secrets.intent(a="1"), ref, force=True)
    assert await secrets.data() == {"a": encoded("1")}
    assert [e["manager"] for e in reply["metadata"]["managedFields"]] == ["secret-sync"]


async def test_a_foreign_key_survives_force_and_goes_with_all_that_is_not_wanted(
    writer: ApplyWriter, secrets: Secrets
) -> None:
    await writer.create(SECRETS, secrets.intent(a="1"))
    ref = secrets.ref(await secrets.edit(foreign="1"))
    reply = await writer.update(SECRETS, secrets.intent(a="1"), ref, force=True)
    assert set(await secrets.data()) == {"a", "foreign"}
    wanted = {"a": encoded("1")}
    reply = await writer.set_data(SECRETS, secrets.ref(reply), wanted, secrets.confirmed)
    assert await secrets.data() == wanted
    # It leaves no entry of ours of another kind behind.
    entries = [(e["manager"], e["operation"]) for e in reply["metadata"]["managedFields"]]
    assert entries == [("secret-sync", "Apply")]
    # Where nothing is in excess, nothing changes.
    again = await writer.set_data(SECRETS, secrets.ref(reply), wanted, secrets.confirmed)
    assert again["metadata"] == reply["metadata"]


async def test_key_set_by_string_data_has_no_owner_and_stays_when_omitted(
    client: KubeClient, writer: ApplyWriter, secrets: Secrets
) -> None:
    async def by_kubectl(**values: str) -> Any:
        body = {**secrets.intent(), "stringData": values}
        del body["data"]
        return await client.request(
            "PATCH",
            SECRETS.path(body["metadata"]["namespace"], body["metadata"]["name"]),
            params={"fieldManager": "kubectl"},
            body=body,
            content_type=APPLY,
            accept=METADATA,
        )

    await writer.create(SECRETS, secrets.intent(a="1"))
    await by_kubectl(a="theirs", first="x")
    reply = await by_kubectl(second="y")
    assert set(await secrets.data()) == {"a", "first", "second"}
    owned = {e["manager"]: set(e["fieldsV1"]) for e in reply["metadata"]["managedFields"]}
    assert "f:data" not in owned["kubectl"]
    # The same again changes nothing, not even the time of the entry.
    assert (await by_kubectl(second="y"))["metadata"] == reply["metadata"]

    wanted = {"a": encoded("1")}
    reply = await writer.update(SECRETS, secrets.intent(a="1"), secrets.ref(reply), force=True)
    assert await secrets.data() == {**wanted, "first": encoded("x"), "second": encoded("y")}
    reply = await writer.set_data(SECRETS, secrets.ref(reply), wanted, secrets.confirmed)
    assert await secrets.data() == wanted
    # The entry outlives that.
    managers = [e["manager"] for e in reply["metadata"]["managedFields"]]
    assert sorted(managers) == ["kubectl", "secret-sync"]


async def test_decision_on_an_older_version_removes_nothing(
    writer: ApplyWriter, secrets: Secrets
) -> None:
    ref = secrets.ref(await writer.create(SECRETS, secrets.intent(a="1")))
    await secrets.edit(foreign="1")
    with pytest.raises(OutdatedError):
        await writer.set_data(SECRETS, ref, {"a": encoded("1")}, secrets.confirmed)
    await secrets.delete()
    with pytest.raises(OutdatedError):
        await writer.set_data(SECRETS, ref, {"a": encoded("1")}, secrets.confirmed)


async def test_the_type_cannot_be_changed(writer: ApplyWriter, secrets: Secrets) -> None:
    ref = secrets.ref(await writer.create(SECRETS, secrets.intent(a="1")))
    other = secrets.intent(of_type="example.com/other", a="1")
    with pytest.raises(ImmutableError):
        await writer.update(SECRETS, other, ref, force=True)


async def test_immutable_data_cannot_be_changed(writer: ApplyWriter, secrets: Secrets) -> None:
    await secrets.create(secrets.intent(a="1") | {"immutable": True})
    reply = await secrets.client.request("GET", SECRETS.path(secrets.namespace, "target"))
    with pytest.raises(ImmutableError):
        await writer.update(SECRETS, secrets.intent(a="2"), secrets.ref(reply), force=True)


# The library warns of large bodies: writing one takes a while. A Secret's is 1.4 MB at most.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize(
    ("of_type", "data"),
    [
        ("Opaque", {"a": "x" * 1_100_000}),
        ("kubernetes.io/tls", {"a": "1"}),
        ("Opaque", {"a b": "1"}),
    ],
    ids=["too long", "keys missing", "no key"],
)
async def test_object_that_is_refused_on_creation_too_is_not_immutable(
    writer: ApplyWriter, secrets: Secrets, of_type: str, data: dict[str, str]
) -> None:
    ref = secrets.ref(await writer.create(SECRETS, secrets.intent(a="1")))
    with pytest.raises(ApiError) as caught:
        await writer.update(SECRETS, secrets.intent(of_type=of_type, **data), ref, force=True)
    assert caught.value.status == 422
    assert not isinstance(caught.value, ImmutableError)
    assert len(caught.value.message) < 300


async def test_a_secret_is_made_immutable_and_stays_so(
    writer: ApplyWriter, secrets: Secrets
) -> None:
    frozen = secrets.intent(a="1") | {"immutable": True}
    reply = await writer.create(SECRETS, secrets.intent(a="1"))
    reply = await writer.update(SECRETS, frozen, secrets.ref(reply), force=True)
    ref = secrets.ref(reply)
    again = await writer.update(SECRETS, frozen, ref, force=True)
    assert secrets.ref(again) == ref
    for other in (secrets.intent(a="1"), secrets.intent(a="2") | {"immutable": True}):
        with pytest.raises(ImmutableError):
            await writer.update(SECRETS, other, ref, force=True)
    assert await secrets.data() == {"a": encoded("1")}
    # Its annotations are not immutable, so it can be released.
    frozen["metadata"]["annotations"] = {"mark": "1"}
    ref = secrets.ref(await writer.update(SECRETS, frozen, ref, force=True))
    del frozen["metadata"]["annotations"]
    released = await writer.update(SECRETS, frozen, ref, force=True)
    assert "annotations" not in released["metadata"]


async def test_a_creation_is_tried_out_and_nothing_is_there(
    writer: ApplyWriter, secrets: Secrets
) -> None:
    await writer.dry_run_create(SECRETS, secrets.intent(a="1") | {"immutable": True}, "trial")
    with pytest.raises(ApiError) as caught:
        await writer.dry_run_create(
            SECRETS, secrets.intent(of_type="kubernetes.io/tls", a="1"), "trial"
        )
    assert caught.value.status == 422
    for name in ("trial", "target"):
        with pytest.raises(ApiNotFoundError):
            await secrets.data(name)


async def test_a_deletion_of_just_this_version(writer: ApplyWriter, secrets: Secrets) -> None:
    old = secrets.ref(await writer.create(SECRETS, secrets.intent(a="1")))
    new = secrets.ref(await secrets.edit(a="2"))
    with pytest.raises(OutdatedError):
        await writer.delete(SECRETS, old, secrets.confirmed)
    await writer.delete(SECRETS, new, secrets.confirmed)
    await writer.delete(SECRETS, new, secrets.confirmed)
    with pytest.raises(ApiNotFoundError):
        await secrets.data()


class Budgets:
    """PodDisruptionBudgets: a kind with a status nobody else writes here."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self.client = client
        self.namespace = namespace

    async def create(self) -> dict[str, Any]:
        body = {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "budget"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}},
        }
        return await self.client.request("POST", BUDGETS.path(self.namespace), body=body)

    async def get(self) -> dict[str, Any]:
        return await self.client.request("GET", BUDGETS.path(self.namespace, "budget"))

    @staticmethod
    def status(*conditions: str) -> dict[str, Any]:
        numbers = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
        return dict.fromkeys(numbers, 1) | {
            "conditions": [
                {
                    "type": kind,
                    "status": "True",
                    "reason": "Test",
                    "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }
                for kind in conditions
            ]
        }


async def test_status_is_applied_by_itself(
    client: KubeClient, writer: ApplyWriter, namespace: str
) -> None:
    budgets = Budgets(client, namespace)
    uid = (await budgets.create())["metadata"]["uid"]

    def write(*conditions: str, of: str = uid) -> Coroutine[None, None, dict[str, Any]]:
        return writer.status(BUDGETS, namespace, "budget", of, budgets.status(*conditions))

    first = await write("One", "Two")
    assert first["kind"] == "PartialObjectMetadata"
    found = await budgets.get()
    assert [c["type"] for c in found["status"]["conditions"]] == ["One", "Two"]
    assert found["spec"]["minAvailable"] == 1
    assert found["metadata"]["generation"] == 1
    again = await write("One", "Two")
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    await write("Two")
    assert [c["type"] for c in (await budgets.get())["status"]["conditions"]] == ["Two"]
    with pytest.raises(OutdatedError):
        await write("Three", of=NOBODY)
    await client.request("DELETE", BUDGETS.path(namespace, "budget"), expected=Answer.ANY)
    with pytest.raises(ApiNotFoundError):
        await write("Two")
