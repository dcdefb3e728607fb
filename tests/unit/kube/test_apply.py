"""What writes send, and what refusals of them mean. The real server has its say too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from secret_sync.kube import (
    METADATA,
    SECRETS,
    AlreadyExistsError,
    ApiError,
    ApiNotFoundError,
    ApiRefusedError,
    ApiUnavailableError,
    ApplyWriter,
    ConfirmedOwner,
    ImmutableError,
    OutdatedError,
    OwnedByOthersError,
    Ref,
    Resource,
)
from secret_sync.kube.apply import APPLY, JSON_PATCH, MERGE_PATCH
from tests.unit.kube.fakes import refusing, storing

if TYPE_CHECKING:
    from secret_sync.kube import KubeClient
    from tests.unit.kube.fakes import ScriptedServer

PATH = "/api/v1/namespaces/ns/secrets/name"
REF = Ref("ns", "name", "uid-1", "7")
OWNER = ConfirmedOwner("ns", "some", "es-uid")
INTENT = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"namespace": "ns", "name": "name"},
    "data": {"key": "dmFsdWU="},
}


@pytest.fixture
def writer(client: KubeClient) -> ApplyWriter:
    return ApplyWriter(client, "secret-sync")


def invalid(*causes: tuple[str, str]) -> Any:
    return refusing(422, "Invalid", causes=[{"field": f, "reason": r} for f, r in causes])


OWNED = refusing(409, "Conflict", causes=[{"field": ".data.key", "reason": "FieldManagerConflict"}])


async def test_a_first_write_can_only_create(server: ScriptedServer, writer: ApplyWriter) -> None:
    await writer.create(SECRETS, INTENT)
    sent = server.requests[0]
    assert (sent.method, sent.path) == ("PATCH", PATH)
    assert sent.query == {"fieldManager": "secret-sync", "force": "false"}
    assert sent.headers["content-type"] == APPLY
    assert sent.headers["accept"] == METADATA
    body = orjson.loads(sent.body)
    assert body["metadata"] == {"namespace": "ns", "name": "name", "resourceVersion": "1"}
    assert body["data"] == INTENT["data"]
    assert "resourceVersion" not in INTENT["metadata"]  # the caller's is not changed


async def test_a_later_write_names_uid_and_version(
    server: ScriptedServer, writer: ApplyWriter
) -> None:
    await writer.update(SECRETS, INTENT, REF, force=True)
    sent = server.requests[0]
    assert sent.query == {"fieldManager": "secret-sync", "force": "true"}
    metadata = orjson.loads(sent.body)["metadata"]
    assert (metadata["uid"], metadata["resourceVersion"]) == ("uid-1", "7")


async def test_the_manager_is_a_parameter(server: ScriptedServer, client: KubeClient) -> None:
    await ApplyWriter(client, "secret-sync-merge-1").update(SECRETS, INTENT, REF, force=False)
    assert server.requests[0].query["fieldManager"] == "secret-sync-merge-1"


async def test_the_data_are_set_under_uid_and_version(
    server: ScriptedServer, writer: ApplyWriter
) -> None:
    await writer.set_data(SECRETS, REF, {"a": "MQ=="}, OWNER)
    sent = server.requests[0]
    assert sent.headers["content-type"] == JSON_PATCH
    assert "force" not in sent.query
    assert orjson.loads(sent.body) == [
        {"op": "replace", "path": "/metadata/uid", "value": "uid-1"},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/data", "value": {"a": "MQ=="}},
    ]


async def test_status_is_an_apply_of_its_own(server: ScriptedServer, writer: ApplyWriter) -> None:
    kind = Resource("alibabacloud.com", "v1alpha1", "externalsecrets", "ExternalSecret")
    await writer.status(kind, "ns", "es", "uid-2", {"conditions": []})
    sent = server.requests[0]
    assert sent.path == "/apis/alibabacloud.com/v1alpha1/namespaces/ns/externalsecrets/es/status"
    assert sent.query == {"fieldManager": "secret-sync", "force": "true"}
    assert orjson.loads(sent.body) == {
        "apiVersion": "alibabacloud.com/v1alpha1",
        "kind": "ExternalSecret",
        "metadata": {"namespace": "ns", "name": "es", "uid": "uid-2"},
        "status": {"conditions": []},
    }


async def test_a_deletion_names_uid_and_version(
    server: ScriptedServer, writer: ApplyWriter
) -> None:
    await writer.delete(SECRETS, REF, OWNER)
    sent = server.requests[0]
    assert (sent.method, sent.path) == ("DELETE", PATH)
    preconditions = orjson.loads(sent.body)["preconditions"]
    assert preconditions == {"uid": "uid-1", "resourceVersion": "7"}


async def test_deletion_of_a_missing_object_succeeds(
    server: ScriptedServer, writer: ApplyWriter
) -> None:
    server.others.append(refusing(404, "NotFound"))
    await writer.delete(SECRETS, REF, OWNER)
    server.others.append(refusing(409, "Conflict"))
    with pytest.raises(OutdatedError):
        await writer.delete(SECRETS, REF, OWNER)


async def test_a_conflict_of_a_creation(server: ScriptedServer, writer: ApplyWriter) -> None:
    server.others.append(refusing(409, "Conflict"))
    with pytest.raises(AlreadyExistsError):
        await writer.create(SECRETS, INTENT)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (refusing(409, "Conflict"), OutdatedError),
        (refusing(404, "NotFound"), OutdatedError),
        (OWNED, OwnedByOthersError),
        (invalid(("metadata.uid", "FieldValueInvalid")), OutdatedError),
        (invalid(("type", "FieldValueInvalid")), ImmutableError),
        (invalid(("data", "FieldValueForbidden")), ImmutableError),
        (
            invalid(("data", "FieldValueForbidden"), ("type", "FieldValueInvalid")),
            ImmutableError,
        ),
        (refusing(503, "ServiceUnavailable"), ApiUnavailableError),
    ],
)
async def test_refusals_of_an_update_are_classified(
    server: ScriptedServer, writer: ApplyWriter, script: Any, kind: type[ApiError]
) -> None:
    server.others.append(script)
    with pytest.raises(kind) as caught:
        await writer.update(SECRETS, INTENT, REF, force=False)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "script",
    [
        invalid(("data", "FieldValueTooLong")),
        invalid(("data", "FieldValueForbidden"), ("data", "FieldValueTooLong")),
        invalid(("type", "FieldValueInvalid"), ("data[tls.crt]", "FieldValueRequired")),
        invalid(("data[a b]", "FieldValueInvalid")),
        refusing(422, "Invalid"),
    ],
)
async def test_refusal_that_a_creation_would_share_is_not_immutable(
    server: ScriptedServer, writer: ApplyWriter, script: Any
) -> None:
    """A recreation would delete the Secret and be left with none."""
    server.others.append(script)
    with pytest.raises(ApiError) as caught:
        await writer.update(SECRETS, INTENT, REF, force=True)
    assert type(caught.value) is ApiRefusedError


async def test_a_status_of_another_object_of_that_name_is_outdated(
    server: ScriptedServer, writer: ApplyWriter
) -> None:
    server.others.append(invalid(("metadata.uid", "FieldValueInvalid")))
    with pytest.raises(OutdatedError):
        await writer.status(SECRETS, "ns", "name", "uid-1", {})
    server.others.append(refusing(404, "NotFound"))
    with pytest.raises(ApiNotFoundError):
        await writer.status(SECRETS, "ns", "name", "uid-1", {})


async def test_error_names_fields_and_no_values(
    server: ScriptedServer, writer: ApplyWriter
) -> None:
    server.others.append(
        refusing(
            409,
            "Conflict",
            'Apply failed with 1 conflict: conflict with "x": .data.key: dmFsdWU=',
            causes=[
                {"field": ".data.key", "reason": "FieldManagerConflict", "message": "dmFsdWU="}
            ],
        )
    )
    with pytest.raises(OwnedByOthersError) as caught:
        await writer.update(SECRETS, INTENT, REF, force=False)
    assert caught.value.managers == (".data.key",)
    assert "dmFsdWU=" not in str(caught.value) + repr(vars(caught.value))


def entry(manager: str, operation: str, *keys: str, **more: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:data": {".": {}, **{f"f:{key}": {} for key in keys}}}
    made = {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields}
    return made | more


def labelling(manager: str) -> dict[str, Any]:
    fields: Any = {"f:metadata": {"f:labels": {"f:app": {}}}}
    return {"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsV1": fields}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([entry("old", "Update", "a")], [entry("secret-sync", "Apply", "a")]),
        (
            [entry("old", "Update", "a"), entry("kubectl", "Update", "b")],
            [entry("kubectl", "Update", "b"), entry("secret-sync", "Apply", "a")],
        ),
        # One entry a manager and operation: a second one of ours would replace the first.
        (
            [entry("secret-sync", "Apply", "a", "b"), entry("old", "Update", "b", "c")],
            [entry("secret-sync", "Apply", "a", "b", "c")],
        ),
        # What the two are called says which release of it wrote: never both, but if so, both.
        (
            [entry("old", "Update", "a"), entry("older", "Update", "b")],
            [entry("secret-sync", "Apply", "a", "b")],
        ),
        # A name as common as "manager" may be somebody else's, who never wrote data.
        (
            [labelling("old"), entry("older", "Update", "a")],
            [labelling("old"), entry("secret-sync", "Apply", "a")],
        ),
        (
            [entry("old", "Update", "a", subresource="status")],
            [entry("old", "Update", "a", subresource="status")],
        ),
    ],
)
async def test_the_fields_of_an_older_manager_become_ours(
    server: ScriptedServer, writer: ApplyWriter, before: list[Any], after: list[Any]
) -> None:
    await writer.transfer_field_ownership(SECRETS, REF, before, frozenset({"old", "older"}), OWNER)
    sent = server.requests[0]
    assert sent.headers["content-type"] == JSON_PATCH
    assert {op["path"]: op["value"] for op in orjson.loads(sent.body)} == {
        "/metadata/uid": "uid-1",
        "/metadata/resourceVersion": "7",
        "/metadata/managedFields": after,
    }


def metadata(**more: Any) -> Any:
    return storing(**{"uid": "uid-1", **more})


async def test_a_conflict_names_the_keys_and_who_owns_them(
    server: ScriptedServer, writer: ApplyWriter
) -> None:
    causes = [
        {"field": field, "reason": "FieldManagerConflict"}
        for field in (".data.tls.crt", ".data.gone", ".metadata.labels.app")
    ]
    server.others.append(refusing(409, "Conflict", causes=causes))
    with pytest.raises(OwnedByOthersError) as caught:
        await writer.update(SECRETS, INTENT, REF, force=False)
    assert caught.value.keys == ("tls.crt", "gone", "labels/app")
    entries = [
        entry("kubectl-edit", "Update", "tls.crt"),
        entry("helm", "Update", "tls.crt", "other"),
        labelling("tls.crt"),
    ]
    server.lists.append(metadata(managedFields=entries))
    owners = await writer.owners(SECRETS, REF, caught.value)
    assert owners == {
        "tls.crt": ("helm", "kubectl-edit"),
        "gone": (),
        "labels/app": ("tls.crt",),
    }
    assert server.requests[-1].headers["accept"] == METADATA


@pytest.mark.parametrize("script", [metadata(uid="another"), refusing(404, "NotFound")])
async def test_the_owners_of_another_object_are_not_asked_for(
    server: ScriptedServer, writer: ApplyWriter, script: Any
) -> None:
    server.lists.append(script)
    with pytest.raises(OutdatedError):
        await writer.owners(SECRETS, REF, OwnedByOthersError("conflict"))


async def test_finalizer_is_removed_and_the_others_stay(
    server: ScriptedServer, writer: ApplyWriter
) -> None:
    server.lists.append(metadata(finalizers=["theirs", "old", "more"]))
    assert await writer.remove_finalizer(SECRETS, "ns", "name", "uid-1", "old")
    sent = server.requests[-1]
    assert sent.headers["content-type"] == MERGE_PATCH
    assert orjson.loads(sent.body) == {
        "metadata": {"uid": "uid-1", "resourceVersion": "7", "finalizers": ["theirs", "more"]}
    }


@pytest.mark.parametrize(
    "script",
    [metadata(), metadata(finalizers=None), metadata(finalizers=["x"]), refusing(404, "NotFound")],
)
async def test_a_finalizer_that_is_not_there_costs_no_write(
    server: ScriptedServer, writer: ApplyWriter, script: Any
) -> None:
    server.lists.append(script)
    assert not await writer.remove_finalizer(SECRETS, "ns", "name", "uid-1", "old")
    assert [r.method for r in server.requests] == ["GET"]


async def test_finalizer_is_removed_again_after_a_concurrent_write(
    server: ScriptedServer, writer: ApplyWriter
) -> None:
    server.lists.append(metadata(finalizers=["old"]))
    server.others.append(refusing(409, "Conflict"))
    server.lists.append(metadata(resourceVersion="8", finalizers=["old", "new"]))
    assert await writer.remove_finalizer(SECRETS, "ns", "name", "uid-1", "old")
    sent = orjson.loads(server.requests[-1].body)["metadata"]
    assert (sent["resourceVersion"], sent["finalizers"]) == ("8", ["new"])


async def test_a_finalizer_of_another_object_of_that_name_stays(
    server: ScriptedServer, writer: ApplyWriter
) -> None:
    server.lists.append(metadata(uid="another", finalizers=["old"]))
    with pytest.raises(OutdatedError):
        await writer.remove_finalizer(SECRETS, "ns", "name", "uid-1", "old")
    assert [r.method for r in server.requests] == ["GET"]


async def test_removing_a_finalizer_is_given_up_where_everything_changes_all_the_time(
    server: ScriptedServer, writer: ApplyWriter
) -> None:
    server.lists.extend([metadata(finalizers=["old"])] * 9)
    server.others.extend([refusing(409, "Conflict")] * 9)
    with pytest.raises(OutdatedError):
        await writer.remove_finalizer(SECRETS, "ns", "name", "uid-1", "old")


async def test_a_creation_is_tried_out_under_another_name(
    server: ScriptedServer, writer: ApplyWriter
) -> None:
    await writer.dry_run_create(SECRETS, INTENT, "trial")
    sent = server.requests[0]
    assert sent.path == "/api/v1/namespaces/ns/secrets/trial"
    assert sent.query["dryRun"] == "All"
    assert orjson.loads(sent.body)["metadata"] == {"namespace": "ns", "name": "trial"}
