"""A dry run's writer: it answers as the API server would, and changes nothing."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from secret_sync.controller.secret_target.dry_run import (
    DryRunWriter,
    KeyChanges,
    WouldWrite,
    WriteAction,
)
from secret_sync.kube import (
    SECRETS,
    AlreadyExistsError,
    ApiNotFoundError,
    ConfirmedOwner,
    ImmutableError,
    OutdatedError,
    OwnedByOthersError,
    Ref,
)
from tests.unit.controller.fakes import OWNER, managed

OWN = ConfirmedOwner("ns", "some", "es-uid")
REF = Ref("ns", "some", "secret-uid", "20")
MARK = {"annotations": {OWNER: "some/es-uid"}}
OURS = managed("secret-sync", "a", operation="Apply", mark=True)
MERGER = "secret-sync-merge-es-uid"


def encoded(**values: str) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def stored(
    *entries: dict[str, Any], data: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    metadata = {
        "namespace": "ns",
        "name": "some",
        "uid": "secret-uid",
        "resourceVersion": "20",
        "managedFields": list(entries or (OURS,)),
        **MARK,
    }
    return {"metadata": metadata, "type": "Opaque", "data": data or encoded(a="1"), **more}


def wanted(**more: Any) -> dict[str, Any]:
    whole = {"metadata": {"namespace": "ns", "name": "some", **MARK}, "type": "Opaque"}
    return {**whole, "data": encoded(a="1"), **more}


def merged(**values: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "ns", "name": "some"}, "data": encoded(**values)}


class OneSecret:
    """An API server with at most one Secret, which is only ever read."""

    def __init__(self, secret: dict[str, Any] | None) -> None:
        self._secret = secret

    async def request(self, method: str, path: str, **_: Any) -> dict[str, Any]:
        assert (method, path) == ("GET", SECRETS.path("ns", "some"))
        if self._secret is None:
            raise ApiNotFoundError("gone", status=404)
        return self._secret


def writer(secret: dict[str, Any] | None, manager: str = "secret-sync") -> DryRunWriter:
    client: Any = OneSecret(secret)
    return DryRunWriter(client, manager)


async def test_create_of_a_missing_secret_would_add_all_keys() -> None:
    with pytest.raises(WouldWrite) as raised:
        await writer(None).create(SECRETS, wanted())
    assert raised.value.action is WriteAction.CREATE
    assert raised.value.keys == KeyChanges(added=("a",))


async def test_create_finds_a_secret_that_exists() -> None:
    with pytest.raises(AlreadyExistsError):
        await writer(stored()).create(SECRETS, wanted())


async def test_update_that_changes_nothing_returns_the_metadata() -> None:
    secret = stored()
    reply = await writer(secret).update(SECRETS, wanted(), REF, force=True)
    assert reply == {"metadata": secret["metadata"]}


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        (encoded(a="1"), encoded(a="2"), KeyChanges(changed=("a",))),
        (encoded(a="1"), encoded(a="1", b="2"), KeyChanges(added=("b",))),
        (encoded(a="1", z="2"), encoded(a="1"), KeyChanges(removed=("z",))),
    ],
)
async def test_update_names_the_keys_that_differ(
    before: dict[str, str], after: dict[str, str], keys: KeyChanges
) -> None:
    with pytest.raises(WouldWrite) as raised:
        await writer(stored(data=before)).update(SECRETS, wanted(data=after), REF, force=True)
    assert (raised.value.action, raised.value.keys) == (WriteAction.CHANGE, keys)


async def test_update_of_a_secret_of_others_would_adopt_it() -> None:
    secret = stored(managed("somebody", "a"))
    del secret["metadata"]["annotations"]
    with pytest.raises(WouldWrite) as raised:
        await writer(secret).update(SECRETS, wanted(), REF, force=True)
    # Only the mark is missing.
    assert (raised.value.action, raised.value.keys) == (WriteAction.ADOPT, KeyChanges())


@pytest.mark.parametrize(
    ("secret", "configuration"),
    [
        (stored(), wanted(type="example.org/other")),
        (stored(immutable=True), wanted(immutable=True, data=encoded(a="2"))),
        (stored(immutable=True), wanted()),
    ],
)
async def test_update_that_only_a_recreation_makes_is_refused(
    secret: dict[str, Any], configuration: dict[str, Any]
) -> None:
    with pytest.raises(ImmutableError):
        await writer(secret).update(SECRETS, configuration, REF, force=True)


async def test_recreation_names_the_keys_that_differ() -> None:
    with pytest.raises(WouldWrite) as raised:
        await writer(stored()).dry_run_create(SECRETS, wanted(data=encoded(b="2")), "tried")
    assert raised.value.action is WriteAction.RECREATE
    assert raised.value.keys == KeyChanges(added=("b",), removed=("a",))


@pytest.mark.parametrize("other", [{"uid": "other"}, {"resource_version": "19"}])
async def test_secret_that_has_changed_since_is_outdated(other: dict[str, str]) -> None:
    with pytest.raises(OutdatedError):
        await writer(stored()).update(SECRETS, wanted(), replace(REF, **other), force=True)


async def test_merge_leaves_keys_of_others_and_gives_up_its_own() -> None:
    entries = (managed(MERGER, "old", operation="Apply"), managed("somebody", "theirs"))
    secret = stored(*entries, data=encoded(old="1", theirs="2"))
    with pytest.raises(WouldWrite) as raised:
        await writer(secret, MERGER).update(SECRETS, merged(new="3"), REF, force=False)
    assert raised.value.action is WriteAction.CHANGE
    assert raised.value.keys == KeyChanges(added=("new",), removed=("old",))


async def test_merge_of_a_key_that_others_own_is_a_conflict() -> None:
    secret = stored(managed("somebody", "a"))
    with pytest.raises(OwnedByOthersError) as raised:
        await writer(secret, MERGER).update(SECRETS, merged(a="2"), REF, force=False)
    assert raised.value.keys == ("a",)
    # An equal value is no conflict.
    assert await writer(secret, MERGER).update(SECRETS, merged(a="1"), REF, force=False)


async def test_removal_of_keys_of_others_is_named() -> None:
    secret = stored(data=encoded(a="1", theirs="2"))
    with pytest.raises(WouldWrite) as raised:
        await writer(secret).set_data(SECRETS, REF, encoded(a="1"), OWN)
    assert raised.value.keys == KeyChanges(removed=("theirs",))
    assert await writer(stored()).set_data(SECRETS, REF, encoded(a="1"), OWN)


async def test_deletion_is_named_and_finalizers_stay() -> None:
    with pytest.raises(WouldWrite) as raised:
        await writer(stored()).delete(SECRETS, REF, OWN)
    assert (raised.value.action, raised.value.secret) == (WriteAction.DELETE, "some")
    assert not await writer(None).remove_finalizer(SECRETS, "ns", "some", "u", "f")


async def test_managed_fields_stay_as_they_are() -> None:
    reply = await writer(stored()).set_managed_fields(SECRETS, REF, [], OWN)
    assert reply["metadata"]["managedFields"] == [OURS]
