"""A change of a Secret concerns those that merged keys into it only where their keys may differ."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.external_secret.state import Applied, SyncState
from secret_sync.controller.secret_target.secret_client import SecretClient
from secret_sync.controller.secret_target.siblings import INDEXES, touched_shares
from secret_sync.kube import ApplyWriter, Store
from secret_sync.resources import ExternalSecret, ManagedSecret, secret_from_metadata
from tests.unit.controller.fakes import PlayedClient, managed, secret
from tests.unit.controller.writing import merge_writer, sync_of

if TYPE_CHECKING:
    from secret_sync.controller.secret_target.merge import MergeWriter

ME = "es-uid"
KEYS = ("a", "b", "c")
MERGING = {
    "metadata": {
        "namespace": "ns",
        "name": "some",
        "uid": ME,
        "resourceVersion": "10",
        "generation": 1,
    },
    "spec": {
        "data": [{"key": "db", "name": "a", "secretStoreRef": {"name": "store"}}],
        "target": {"creationPolicy": "Merge"},
    },
}


def merged(uid: str, *keys: str) -> dict[str, Any]:
    return managed(f"secret-sync-merge-{uid}", *keys, operation="Apply")


def by_string_data(*keys: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:stringData": {f"f:{key}": {} for key in keys}}
    return {"manager": "helm", "operation": "Apply", "fieldsV1": fields}


def held(*entries: dict[str, Any], version: str = "20") -> ManagedSecret:
    found = secret_from_metadata(secret(*entries, version=version))
    assert isinstance(found, ManagedSecret)
    return found


@pytest.mark.parametrize(
    ("before", "after", "touched"),
    [
        pytest.param([merged("x", "a")], [merged("x", "a")], set(), id="a foreign value"),
        pytest.param(
            [merged("x", "a")],
            [merged("x", "a"), managed("kubectl", "b")],
            set(),
            id="a foreign key",
        ),
        pytest.param([merged("x", "a")], [merged("x", "a"), merged("y", "b")], {"y"}, id="a merge"),
        pytest.param([merged("x", "a"), merged("y", "b")], [merged("x", "a")], {"y"}, id="an end"),
        pytest.param([merged("x", "a")], [merged("x", "a", "b")], {"x"}, id="one more key"),
        pytest.param(
            [merged("x", "a"), merged("y", "b")],
            [merged("x"), merged("y", "b"), managed("kubectl", "a")],
            {"x"},
            id="an edit",
        ),
        pytest.param(
            [merged("x", "a"), merged("y", "b")],
            [merged("x", "a"), merged("y", "b"), managed("kubectl", "a")],
            {"x"},
            id="another owner of a key",
        ),
        pytest.param(
            [merged("x", "a"), merged("y", "b"), by_string_data("a")],
            [merged("x", "a"), merged("y", "b"), by_string_data("a")],
            {"x"},
            id="stringData, which may have been applied again",
        ),
    ],
)
def test_change_touches_the_shares_whose_keys_may_differ(
    before: list[dict[str, Any]], after: list[dict[str, Any]], touched: set[str]
) -> None:
    assert touched_shares(held(*before), held(*after, version="21")) == touched


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(None, id="gone"),
        pytest.param(secret(managed("kubectl", "a")), id="nothing of ours is left"),
        pytest.param(secret(merged("x", "a"), uid="another"), id="another Secret"),
        pytest.param(secret(merged("x", "a"), by_string_data("z")), id="new stringData"),
        pytest.param(
            secret(merged("x", "a"), managed("secret-sync", "b", operation="Apply", mark=True)),
            id="an owner",
        ),
    ],
)
def test_change_of_more_than_keys_may_concern_everybody(after: dict[str, Any] | None) -> None:
    new = None if after is None else secret_from_metadata(after)
    assert touched_shares(held(merged("x", "a")), new) is None


def writer() -> MergeWriter:
    client: Any = PlayedClient()
    made = SecretClient(client, ApplyWriter(client, "secret-sync"), Store(INDEXES), Store())
    return merge_writer(made)


keys = st.frozensets(st.sampled_from(KEYS), min_size=1)
entries = st.lists(
    st.one_of(
        st.builds(lambda found: merged("another", *found), keys),
        st.builds(lambda found: managed("kubectl", *found), keys),
        st.builds(lambda found: by_string_data(*found), keys),
    ),
    max_size=3,
    unique_by=lambda entry: entry["manager"],
)


def changed(before: list[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Some of these entries, and others."""
    kept = st.lists(st.sampled_from(before), unique_by=lambda entry: entry["manager"])
    return st.builds(
        lambda old, new: old + [e for e in new if e["manager"] not in {o["manager"] for o in old}],
        kept,
        entries,
    )


@given(mine=keys, others=entries, data=st.data())
async def test_share_that_is_not_touched_is_as_right_as_before(
    mine: frozenset[str], others: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Otherwise an object would not be enqueued although it has something to write."""
    before = [merged(ME, *mine), *others]
    after = data.draw(st.one_of(st.just([merged(ME, *data.draw(keys)), *others]), changed(before)))
    old, new = (
        secret_from_metadata(secret(*found, version=version))
        for found, version in ((before, "20"), (after, "21"))
    )
    now = asyncio.get_running_loop().time()
    applied = Applied(b"wanted", old.uid, "20", now - 1000)
    state = SyncState(uid=ME, applied=applied, written=b"wanted")
    assert isinstance(old, ManagedSecret)
    state.shared = tuple((key, ("kubectl",)) for key in sorted(mine & old.shared_keys))
    desired = Desired(b"wanted", mine, dict.fromkeys(mine, b"v"), (), ())
    ctx = sync_of(ExternalSecret.from_dict(MERGING), state)
    touched = touched_shares(old, new)
    if touched is not None and ME not in touched:
        assert writer().is_right(ctx, desired, new)
