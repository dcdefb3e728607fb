"""A renamed child of a ClusterExternalSecret takes the Secret of the former one over."""

from __future__ import annotations

from typing import Any

import pytest

from secret_sync.controller.secret_target.ownership import (
    adoptable,
    hands_over,
    is_ours,
    may_adopt,
)
from secret_sync.controller.secret_target.siblings import INDEXES
from secret_sync.kube import Store
from secret_sync.resources import ExternalSecret, ManagedSecret, secret_from_metadata
from tests.unit.controller.fakes import managed, secret

OURS: Any = managed("secret-sync", "password", operation="Apply", mark=True)
MARK = "secret-sync.alibabacloud.com/replaced-by"


def child(name: str, *, replaced_by: str = "", controller: str = "ces-uid") -> ExternalSecret:
    owner = {
        "apiVersion": "alibabacloud.com/v1alpha1",
        "kind": "ClusterExternalSecret",
        "name": "some",
        "uid": controller,
        "controller": True,
    }
    metadata: dict[str, Any] = {"namespace": "ns", "name": name, "uid": f"{name}-uid"}
    metadata |= {"resourceVersion": "1", "annotations": {MARK: replaced_by}}
    metadata |= {"ownerReferences": [owner] if controller else []}
    spec = {"data": [{"key": "db"}], "target": {"name": "some"}}
    return ExternalSecret.from_dict({"metadata": metadata, "spec": spec})


def stored(*objects: ExternalSecret) -> Store[ExternalSecret]:
    store: Store[ExternalSecret] = Store(INDEXES)
    for es in objects:
        store.put(f"{es.namespace}/{es.name}", es)
    return store


def secret_of(owner: str) -> dict[str, Any]:
    reference = {
        "apiVersion": "alibabacloud.com/v1alpha1",
        "kind": "ExternalSecret",
        "name": owner,
        "uid": f"{owner}-uid",
        "controller": True,
    }
    found = secret(OURS, mark=f"{owner}/{owner}-uid", ownerReferences=[reference])
    metadata: dict[str, Any] = found["metadata"]
    return metadata


@pytest.mark.parametrize(
    ("former", "taken"),
    [
        (child("old", replaced_by="new"), True),
        (child("old"), False),
        (child("old", replaced_by="another"), False),
        # Anybody can write the annotation; only a sibling's counts.
        (child("old", replaced_by="new", controller="other"), False),
        (child("old", replaced_by="new", controller=""), False),
    ],
)
def test_secret_is_taken_from_a_sibling_that_hands_it_over(
    former: ExternalSecret, *, taken: bool
) -> None:
    new = child("new")
    assert may_adopt(new)
    assert hands_over(former, new) is taken
    assert adoptable(new, secret_of("old"), stored(former, new)) is taken


def test_object_of_no_cluster_external_secret_takes_nothing() -> None:
    alone = child("new", controller="")
    assert not may_adopt(alone)
    assert not hands_over(child("old", replaced_by="new", controller=""), alone)


def test_secret_that_was_handed_over_is_no_longer_the_former_childs() -> None:
    after = secret_from_metadata({"metadata": secret_of("new")})
    assert isinstance(after, ManagedSecret)
    assert not is_ours(child("old", replaced_by="new"), after, None)
    before = secret_from_metadata({"metadata": secret_of("old")})
    assert isinstance(before, ManagedSecret)
    assert is_ours(child("old", replaced_by="new"), before, None)
