"""Whatever the API server answers: what was asked for, or an error of ours."""

from __future__ import annotations

import asyncio
import copy
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secret_sync.controller.crd_schema import OUR_DEFINITIONS, read_missing
from secret_sync.controller.kinds import EXTERNAL_SECRETS
from secret_sync.controller.secret_target.ownership import adoptable, data_editors
from secret_sync.controller.secret_target.siblings import INDEXES
from secret_sync.errors import SecretSyncError
from secret_sync.kube import (
    METADATA,
    METADATA_LIST,
    SECRETS,
    ApiUnavailableError,
    ApplyWriter,
    ClusterAccess,
    ConfirmedOwner,
    Election,
    KubeClient,
    OwnedByOthersError,
    Preflight,
    Ref,
    RequiredPermission,
    ServiceAccountTokenMinter,
    SingleSecretReader,
    Store,
    converted,
    preflight,
)
from secret_sync.kube.answers import Answer, checked, read_answer
from secret_sync.kube.lease import LeaseTimes
from secret_sync.kube.pager import Pager
from secret_sync.kube.service_account import read_service_account
from secret_sync.kube.watch import Ending, WatchState, watch
from secret_sync.resources import ExternalSecret, secret_from_metadata
from secret_sync.resources.meta import intent_revision
from tests.unit.kube.fakes import OneChunk, played_requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Call = Callable[[KubeClient], Awaitable[object]]

OWNER: Final = ConfirmedOwner("ns", "some", "es-uid")
REF: Final = Ref("ns", "some", "uid-1", "7")
ENTRY: Final = {
    "manager": "manager",
    "operation": "Update",
    "fieldsV1": {"f:data": {"f:key": {}}, "f:metadata": {"f:annotations": {"f:a": {}}}},
}
METADATA_OF_ONE: Final = {
    "namespace": "ns",
    "name": "some",
    "uid": "uid-1",
    "resourceVersion": "7",
    "generation": 1,
    "labels": {"lastUpdatedAt": "x"},
    "annotations": {"secret-sync.alibabacloud.com/owner": "some/es-uid"},
    "finalizers": ["finalizer.ack.secrets-manager.alibabacloud.com"],
    "ownerReferences": [{"uid": "es-uid", "kind": "ExternalSecret", "controller": True}],
    "managedFields": [ENTRY, {**ENTRY, "manager": "secret-sync", "operation": "Apply"}],
}
SECRET: Final = {
    "kind": "PartialObjectMetadata",
    "metadata": METADATA_OF_ONE,
    "data": {"id": "eA=="},
}
LIST: Final = {
    "kind": "PartialObjectMetadataList",
    "metadata": {"resourceVersion": "9", "continue": ""},
    "items": [{"metadata": METADATA_OF_ONE}],
}
LEASE: Final = {
    "metadata": {"name": "some", "uid": "uid-1", "resourceVersion": "7"},
    "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15, "leaseTransitions": 1},
}
OBJECT: Final = {
    "metadata": METADATA_OF_ONE,
    "spec": {
        "data": [{"key": "a", "secretStoreRef": {"name": "b"}, "jmesPath": [{"path": "c"}]}],
        "target": {"name": "x"},
    },
    "status": {"conditions": [{"type": "Ready"}], "dataSyncResults": [{"status": "Failed"}]},
}
DEFINITION: Final = {
    "metadata": {**METADATA_OF_ONE, "name": OUR_DEFINITIONS[0]},
    "spec": {
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "schema": {"openAPIV3Schema": {"properties": {"spec": {"properties": {}}}}},
            }
        ]
    },
}
#: {"kubernetes.io": {"serviceaccount": {"uid": "uid-1"}}}, as the payload of a token.
TOKEN: Final = "e30.eyJrdWJlcm5ldGVzLmlvIjogeyJzZXJ2aWNlYWNjb3VudCI6IHsidWlkIjogInVpZC0xIn19fQ.e30"
#: Of any review; the kinds of a group, too, since those are asked for first.
DISCOVERY: Final = {"resources": [{"name": "secrets"}]}
REVIEW: Final = {
    "status": {"allowed": True, "userInfo": {"username": "me"}, "token": TOKEN},
    "resources": [{"name": "secrets"}],
}
REFUSAL: Final = {
    "kind": "Status",
    "code": 429,
    "reason": "TooManyRequests",
    "message": "no",
    "details": {"causes": [{"field": "f", "reason": "r"}], "retryAfterSeconds": 3},
}


async def read_metadata(client: KubeClient) -> object:
    """The read of a Secret by which its owner is decided."""
    found = await client.request("GET", SECRETS.path("ns", "some"), accept=METADATA)
    metadata = found["metadata"]
    others: Store[ExternalSecret] = Store(INDEXES)
    for adopt in ("true", "false"):
        annotations = {"secret-sync.alibabacloud.com/adopt": adopt}
        whole = {**OBJECT, "metadata": {**METADATA_OF_ONE, "annotations": annotations}}
        adoptable(ExternalSecret.from_dict(whole), metadata, others)
    return secret_from_metadata(found), data_editors(metadata), intent_revision(metadata)


async def read_object(client: KubeClient) -> object:
    found = await client.request("GET", EXTERNAL_SECRETS.path("ns", "some"))
    return converted(ExternalSecret.from_dict, found, "ExternalSecret")


async def transfer_field_ownership(client: KubeClient) -> object:
    found = await client.request("GET", SECRETS.path("ns", "some"), accept=METADATA)
    entries = found["metadata"].get("managedFields") or []
    return await ApplyWriter(client, "secret-sync").transfer_field_ownership(
        SECRETS, REF, entries, frozenset({"manager"}), OWNER
    )


async def list_all(client: KubeClient) -> object:
    pager = Pager(
        client,
        SECRETS.path(),
        accept=METADATA_LIST,
        kind="PartialObjectMetadata",
        read=checked(secret_from_metadata, "list"),
    )
    return await pager.list_all()


class Silent:
    def failed(self) -> None: ...

    def changed(self) -> None: ...


async def take_the_lease(client: KubeClient) -> object:
    """Take it and renew it for a moment; return whether that succeeded."""
    times = LeaseTimes(duration=15.0, renew_within=10.0, retry=0.001)
    election = Election(client, "ns", "some", "me", Silent(), times)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.02):
            await election.acquire()
            await election.hold()
    return election.leading


def writer(client: KubeClient) -> ApplyWriter:
    return ApplyWriter(client, "secret-sync")


READ_SECRETS: Final = RequiredPermission(SECRETS, ("get",))
INTENT: Final = {"metadata": {"namespace": "ns", "name": "some"}}
CALLS: Final[dict[str, tuple[Any, Call]]] = {
    "metadata": (SECRET, read_metadata),
    "object": (OBJECT, read_object),
    "transfer_field_ownership": (SECRET, transfer_field_ownership),
    "list": (LIST, list_all),
    "lease": (LEASE, take_the_lease),
    "secret": (
        SECRET,
        lambda c: SingleSecretReader(c).read("ns", "some", uid="uid-1", resource_version="7"),
    ),
    "create": (SECRET, lambda c: writer(c).create(SECRETS, INTENT)),
    "delete": (SECRET, lambda c: writer(c).delete(SECRETS, REF, OWNER)),
    "finalizer": (
        SECRET,
        lambda c: writer(c).remove_finalizer(SECRETS, "ns", "some", "uid-1", "x"),
    ),
    "owners": (
        SECRET,
        lambda c: writer(c).owners(
            SECRETS,
            REF,
            OwnedByOthersError("x", causes=()),
        ),
    ),
    "token": (REVIEW, lambda c: ServiceAccountTokenMinter(c).mint("ns", "some", "uid-1", ["a"])),
    "who am I": (REVIEW, lambda c: Preflight(c).who_am_i()),
    "rights": (
        REVIEW,
        lambda c: Preflight(c).check([READ_SECRETS], namespaces=(), hint=""),
    ),
    "kinds": (DISCOVERY, lambda c: Preflight(c).missing_permission(READ_SECRETS)),
    "definition": (DEFINITION, lambda c: read_missing(c, OUR_DEFINITIONS[0])),
}
#: What may stand anywhere in JSON.
NODES: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "Status", "7", "\N{SUPERSCRIPT TWO}"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["metadata", "spec", "items", "kind", "uid", "f:data", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=3,
)


@st.composite
def spoiled(draw: st.DrawFn, sound: Any) -> Any:
    """A sound answer with something else at one or two places, or something else altogether."""
    value = copy.deepcopy(sound)
    for _ in range(draw(st.integers(0, 2))):
        places = list(_places(value))
        if not places:
            return draw(NODES)
        holder, at = draw(st.sampled_from(places))
        if draw(st.booleans()):
            holder[at] = draw(NODES)
        else:
            del holder[at]
    return value if draw(st.integers(0, 9)) else draw(NODES)


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for at in value if isinstance(value, dict) else range(len(value)):
            yield value, at
            yield from _places(value[at])


@asynccontextmanager
async def answering(*answers: tuple[int, bytes]) -> AsyncIterator[KubeClient]:
    """A client that gets these answers to whatever it asks, the last one for ever."""
    left = list(answers)

    def answer(*_: object) -> tuple[int, bytes]:
        return left.pop(0) if len(left) > 1 else left[0]

    access = ClusterAccess(read_service_account, "a test")
    access.server = "http://api.test"
    with played_requests(answer):
        async with KubeClient(access) as client:
            yield client


@pytest.fixture(scope="module", autouse=True)
def _impatient() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preflight, "PATIENCE", -1.0)
        yield


@pytest.mark.parametrize("name", CALLS)
def test_a_sound_answer_is_read(name: str) -> None:
    sound, call = CALLS[name]
    asyncio.run(_run(call, (200, orjson.dumps(sound))))


def test_sound_lease_is_taken() -> None:
    sound, call = CALLS["lease"]
    assert asyncio.run(_run(call, (200, orjson.dumps(sound)))) is True


async def _run(call: Call, *answers: tuple[int, bytes]) -> object:
    async with answering(*answers) as client:
        return await call(client)


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_answer_is_read_or_is_an_error_of_ours(name: str, data: st.DataObject) -> None:
    sound, call = CALLS[name]
    answers = [
        (data.draw(st.sampled_from([200, 200, 200, 404, 409, 503])), orjson.dumps(value))
        for value in data.draw(st.lists(spoiled(sound) | spoiled(REFUSAL), min_size=1, max_size=3))
    ]
    with suppress(SecretSyncError):
        asyncio.run(_run(call, *answers))


@settings(max_examples=100, deadline=None)
@given(
    spoiled({"type": "ADDED", "object": SECRET})
    | spoiled({"type": "BOOKMARK", "object": SECRET})
    | spoiled({"type": "ERROR", "object": REFUSAL})
    | spoiled(REFUSAL)
)
def test_any_event_is_read_or_ends_the_watch(value: Any) -> None:
    read = checked(secret_from_metadata, "watch")

    def on_event(sort: str, found: dict[str, Any]) -> None:
        if sort in {"ADDED", "DELETED"}:
            with suppress(ApiUnavailableError):
                read(found)

    async def one() -> Ending:
        state = WatchState("1")
        client: Any = OneChunk(orjson.dumps(value) + b"\n")
        ending = await watch(
            client,
            "/api/v1/secrets",
            state,
            accept=METADATA,
            kind="PartialObjectMetadata",
            on_open=lambda: None,
            on_event=on_event,
        )
        assert isinstance(state.resource_version, str)
        assert state.resource_version
        return ending

    assert isinstance(asyncio.run(one()), Ending)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'"x"', b"null", b"{", b"7"])
@pytest.mark.parametrize("expected", Answer)
def test_response_without_an_object_is_transient(body: bytes, expected: Answer) -> None:
    with pytest.raises(ApiUnavailableError, match="malformed"):
        read_answer(body, expected, "GET /x")


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"generation": "1"}, "generation is not a number"),
        ({"labels": []}, "labels is not an object"),
        ({"ownerReferences": {}}, "ownerReferences is not a list"),
        ({"ownerReferences": ["x"]}, "expected an object at ownerReferences"),
        ({"managedFields": [1]}, "expected an object at managedFields"),
    ],
)
def test_the_error_names_what_was_expected(metadata: dict[str, Any], expected: str) -> None:
    body = orjson.dumps({"metadata": {**METADATA_OF_ONE, **metadata}})
    with pytest.raises(ApiUnavailableError, match=expected):
        read_answer(body, Answer.OBJECT, "GET /x")


def test_a_malformed_answer_is_not_quoted() -> None:
    body = orjson.dumps({"metadata": {**METADATA_OF_ONE, "labels": {"a": ["canary"]}}})
    with pytest.raises(ApiUnavailableError) as caught:
        read_answer(body, Answer.OBJECT, "GET /x")
    assert "canary" not in str(caught.value)
