"""What cannot be undone is done only for an ExternalSecret that the API server confirms."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import secret_sync
from secret_sync.controller.confirmation import (
    OwnerChangedError,
    OwnerGoneError,
    confirm_owner,
)
from secret_sync.controller.external_secret.state import Applied, SyncState
from secret_sync.controller.secret_target.cleanup import BY_WRITER, SecretCleanup, writers_of
from secret_sync.controller.secret_target.secret_client import SecretClient
from secret_sync.controller.secret_target.siblings import INDEXES
from secret_sync.controller.sync import Changed
from secret_sync.kube import (
    ApiConflictError,
    ApiNotFoundError,
    ApiRefusedError,
    ApiUnavailableError,
    ApplyWriter,
    Store,
)
from secret_sync.kube.errors import Cause
from secret_sync.resources import secret_from_metadata
from tests.support.source import nodes_of
from tests.unit.controller.fakes import STORED, PlayedClient, managed, secret
from tests.unit.controller.writing import (
    MERGE,
    OURS,
    WriterHarness,
    merge_writer,
    own,
    state,
    sync_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from secret_sync.resources import ExternalSecret, SecretMeta

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime

RETAIN: Final = {"deletionPolicy": "Retain"}
LEGACY: Final = {"finalizers": ["finalizer.ack.secrets-manager.alibabacloud.com"]}
ADOPT: Final = {"annotations": {"secret-sync.alibabacloud.com/adopt": "true"}}
FROZEN: Final = ApiRefusedError("no", status=422, causes=(Cause("type", "FieldValueInvalid"),))
THEIRS: Final = managed("ack-secret-manager", "password")
GONE: Final = ApiNotFoundError("gone", status=404)

#: What has become of the ExternalSecret at the API server.
CHANGES: Final[dict[str, Any]] = {
    "another generation": {"generation": 2},
    "another object": {"uid": "another"},
    "being deleted": {"deletionTimestamp": "now"},
    "gone": GONE,
    "the wish to adopt withdrawn": {"annotations": {"a": "b"}},
    "not answered": ApiUnavailableError("no", status=500),
}


def secret_cleanup(client: Any, held: dict[str, Any]) -> SecretCleanup:
    secrets: Store[SecretMeta] = Store({BY_WRITER: writers_of})
    found = secret_from_metadata(held)
    secrets.put(f"{found.namespace}/{found.name}", found)
    writer = ApplyWriter(client, "secret-sync")
    made = SecretClient(client, writer, Store(INDEXES), secrets)
    return SecretCleanup(made, merge_writer(made))


async def recreate(make_es: MakeES, client: PlayedClient) -> object:
    client.answers.extend([FROZEN, own(), own(version="21"), {}, own(version="22")])
    made = WriterHarness(make_es(), client=client)
    made.holds(own())
    return await made.ensure(state(fingerprint=b"older"))


async def create_again(make_es: MakeES, client: PlayedClient) -> object:
    client.answers.append(own(version="21"))
    made = WriterHarness(make_es(), client=client)
    return await made.ensure(replace(state(), applied=None))


async def create_what_is_retained(make_es: MakeES, client: PlayedClient) -> object:
    client.answers.append(own(version="21"))
    return await WriterHarness(make_es(target=RETAIN), client=client).ensure(SyncState())


async def remove_foreign_keys(make_es: MakeES, client: PlayedClient) -> object:
    client.answers.append(own(version="21"))
    made = WriterHarness(make_es(), client=client)
    made.holds(own(OURS, managed("kubectl", "theirs")))
    return await made.ensure(state())


async def remove_keys_found_by_a_write(make_es: MakeES, client: PlayedClient) -> object:
    both = (OURS, managed("kubectl", "theirs"))
    client.answers.extend([own(*both, version="21"), own(version="22")])
    made = WriterHarness(make_es(), client=client)
    made.holds(own())
    return await made.ensure(state(fingerprint=b"older"))


async def adopt(make_es: MakeES, client: PlayedClient) -> object:
    theirs = secret(managed("kubectl", "password"))
    client.answers.extend([theirs, own(version="21")])
    made = WriterHarness(make_es(metadata=ADOPT), client=client)
    made.holds(theirs)
    return await made.ensure(SyncState())


async def take_over_from_ack_secret_manager(make_es: MakeES, client: PlayedClient) -> object:
    theirs = secret(THEIRS)
    client.answers.extend([theirs, own(OURS, version="21")])
    made = WriterHarness(make_es(metadata=LEGACY), client=client)
    made.holds(theirs)
    return await made.ensure(SyncState())


async def put_back_the_owner(make_es: MakeES, client: PlayedClient) -> object:
    client.answers.extend([own(version="21")])
    made = WriterHarness(make_es(), client=client)
    made.holds(own(ownerReferences=[]))
    return await made.ensure(state())


async def give_up(make_es: MakeES, client: PlayedClient) -> object:
    merged = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    client.answers.extend([own(OURS, merged, version="21"), secret(merged, version="22")])
    made = WriterHarness(make_es(target=MERGE), client=client)
    made.holds(own())
    return await made.ensure(state(fingerprint=b"older"))


async def take_over_keys_by_force(make_es: MakeES, client: PlayedClient) -> object:
    theirs = secret(managed("secret-sync-merge-older", "password", operation="Apply"))
    cause = Cause(".data.password", "FieldManagerConflict")
    refusal = ApiConflictError("owned", status=409, causes=(cause,))
    mine = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    client.answers.extend([refusal, theirs, secret(mine, version="21")])
    made = WriterHarness(make_es(target=MERGE), client=client)
    made.holds(theirs)
    return await made.ensure(SyncState())


async def remove_the_keys_of_one_that_is_gone(make_es: MakeES, client: PlayedClient) -> object:
    mine = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    older = managed("secret-sync-merge-older", "password", operation="Apply")
    client.answers.extend([secret(mine, older, version="21"), secret(mine, version="22")])
    made = WriterHarness(make_es(target=MERGE), client=client)
    made.holds(secret(older))
    return await made.ensure(SyncState())


async def delete_the_former(make_es: MakeES, client: PlayedClient) -> object:
    client.answers.append({})
    former = secret(OURS, mark="some/es-uid", name="former")
    return await secret_cleanup(client, former).prune_previous_targets(
        make_es(target={"name": "target"})
    )


async def leave_the_former(make_es: MakeES, client: PlayedClient) -> object:
    merged = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    client.answers.append(secret(name="former", version="21"))
    former = secret(merged, name="former")
    return await secret_cleanup(client, former).prune_previous_targets(
        make_es(target={"name": "target"})
    )


async def clean_up(make_es: MakeES, client: PlayedClient) -> object:
    client.answers.append({})
    held = SyncState(uid="es-uid", applied=Applied(b"x", "secret-uid", "20", 0.0), written=b"x")
    return await secret_cleanup(client, secret(OURS, mark="some/es-uid")).clean_up(
        sync_of(make_es(), held)
    )


async def delete_with_the_legacy_object(make_es: MakeES, client: PlayedClient) -> object:
    dying = make_es(metadata={**LEGACY, "deletionTimestamp": "earlier"})
    (stored,) = STORED.values()
    client.answers.extend([{"metadata": stored, "spec": {}}, secret(THEIRS), {}])
    await secret_cleanup(client, secret(THEIRS)).delete_on_finalize(dying)
    return True


#: Every act that cannot be undone, with what it sends when nothing has changed: the last request
#: before the confirmation may be an attempt that the API server refused, or a trial.
ACTS: Final[dict[str, tuple[Any, list[str], list[str]]]] = {
    "recreate": (recreate, ["PATCH", "GET", "PATCH"], ["DELETE", "PATCH"]),
    "create again": (create_again, [], ["PATCH"]),
    "create what is retained": (create_what_is_retained, [], ["PATCH"]),
    "remove foreign keys": (remove_foreign_keys, [], ["PATCH"]),
    "remove keys found by a write": (remove_keys_found_by_a_write, ["PATCH"], ["PATCH"]),
    "adopt": (adopt, ["GET"], ["PATCH"]),
    "take over from ack-secret-manager": (take_over_from_ack_secret_manager, ["GET"], ["PATCH"]),
    "put back the owner": (put_back_the_owner, [], ["PATCH"]),
    "give up": (give_up, [], ["PATCH", "PATCH"]),
    "take over keys by force": (take_over_keys_by_force, ["PATCH", "GET"], ["PATCH"]),
    "remove the keys of one that is gone": (
        remove_the_keys_of_one_that_is_gone,
        ["PATCH"],
        ["PATCH"],
    ),
    "delete the former": (delete_the_former, [], ["DELETE"]),
    "leave the former": (leave_the_former, [], ["PATCH"]),
    "clean up": (clean_up, [], ["DELETE"]),
    "delete with the legacy object": (
        delete_with_the_legacy_object,
        ["GET", "GET"],
        ["DELETE"],
    ),
}


@pytest.fixture(autouse=True)
def _nothing_stored() -> Iterator[None]:
    STORED.clear()
    yield
    STORED.clear()


@pytest.mark.parametrize("act", ACTS)
async def test_act_is_done_for_a_confirmed_object(make_es: MakeES, act: str) -> None:
    do, before, after = ACTS[act]
    client = PlayedClient()
    await do(make_es, client)
    assert client.methods == before + after
    assert client.confirmed == 1


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("act", ACTS)
async def test_nothing_is_done_for_one_that_has_changed(
    make_es: MakeES, act: str, change: str
) -> None:
    do, before, _ = ACTS[act]
    client = PlayedClient()
    client.changed = CHANGES[change]
    if act == "delete with the legacy object" and change == "being deleted":
        client.changed = {"generation": 2}
    with pytest.raises(ApiUnavailableError if change == "not answered" else OwnerChangedError):
        await do(make_es, client)
    assert client.methods == before
    assert client.confirmed == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"generation": 2}, OwnerChangedError),
        ({"annotations": {"a": "b"}}, OwnerChangedError),
        ({"uid": "another"}, OwnerGoneError),
        ({"deletionTimestamp": "now"}, OwnerGoneError),
        (GONE, OwnerGoneError),
    ],
)
async def test_change_of_the_owner_is_raised(
    make_es: MakeES, change: Any, error: type[Exception]
) -> None:
    client: Any = PlayedClient()
    client.changed = change
    with pytest.raises(error) as caught:
        await confirm_owner(client, make_es())
    assert type(caught.value) is error


async def test_a_first_secret_that_goes_with_its_owner_takes_no_confirmation(
    make_es: MakeES,
) -> None:
    client = PlayedClient(own(version="21"))
    assert isinstance(await WriterHarness(make_es(), client=client).ensure(SyncState()), Changed)
    assert not client.confirmed


async def test_changes_by_our_own_writes_do_not_count(make_es: MakeES) -> None:
    client: Any = PlayedClient()
    client.changed = {"resourceVersion": "99", "managedFields": [managed("secret-sync")]}
    owner = await confirm_owner(client, make_es())
    assert (owner.namespace, owner.name, owner.uid) == ("ns", "some", "es-uid")


# -- No way around it ---------------------------------------------------------------------

PACKAGE: Final = Path(secret_sync.__file__).parent
#: The playground is a client of its own, and works on nobody's Secrets.
OURS_TO_READ: Final = {
    str(path.relative_to(PACKAGE)): path
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0] != "local"
}


def calls(path: Path, name: str) -> Iterator[ast.Call]:
    for node in nodes_of(path):
        if isinstance(node, ast.Call):
            function = node.func
            called = function.attr if isinstance(function, ast.Attribute) else ""
            called = function.id if isinstance(function, ast.Name) else called
            if called == name:
                yield node


def _is_verb(word: ast.Constant) -> bool:
    return word.value in {"GET", "POST", "PATCH", "DELETE"}


def test_only_the_confirmation_gives_the_permission() -> None:
    makers = {name for name, path in OURS_TO_READ.items() if any(calls(path, "ConfirmedOwner"))}
    assert makers == {"controller/confirmation.py"}


def test_only_the_apply_writer_sends_a_deletion() -> None:
    senders = {
        name
        for name, path in OURS_TO_READ.items()
        for node in nodes_of(path)
        if isinstance(node, ast.Constant) and node.value == "DELETE"
    }
    # What requests are counted by: it sends none.
    assert senders - {"kube/resource.py"} == {"kube/apply.py"}


def test_no_request_has_a_verb_that_cannot_be_read_here() -> None:
    hidden = {
        name
        for name, path in OURS_TO_READ.items()
        for call in calls(path, "request")
        if name.startswith(("kube/", "controller/", "app/", "cli/"))
        and not (call.args and isinstance(call.args[0], ast.Constant) and _is_verb(call.args[0]))
    }
    # The client passes on what it was given; the election writes the Lease, and nothing else.
    assert hidden <= {"kube/client.py", "kube/lease.py", "controller/store/reconciler.py"}


@pytest.mark.parametrize(
    "method", ["delete", "transfer_field_ownership", "set_data", "set_managed_fields"]
)
def test_the_writer_demands_the_permission(method: str) -> None:
    (writer,) = (
        node
        for node in nodes_of(OURS_TO_READ["kube/apply.py"])
        if isinstance(node, ast.ClassDef) and node.name == "ApplyWriter"
    )
    (function,) = (
        node
        for node in writer.body
        if isinstance(node, ast.AsyncFunctionDef) and node.name == method
    )
    assert not function.args.defaults
    owner = function.args.args[-1]
    assert isinstance(owner.annotation, ast.Name)
    assert owner.annotation.id == "ConfirmedOwner"
