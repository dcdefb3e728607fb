"""Who owns the metadata of an object that was made anew (A13)."""

from __future__ import annotations

from typing import Any

import pytest

from secret_sync.kube.managed_fields import given_back, metadata_of_others

OURS = "secret-sync"


def entry(manager: str, metadata: Any, operation: str = "Update", *keys: str) -> Any:
    data: dict[str, Any] = {"f:data": {f"f:{key}": {} for key in keys}} if keys else {}
    return {
        "manager": manager,
        "operation": operation,
        "fieldsV1": {"f:metadata": metadata, **data},
    }


LABELS: dict[str, Any] = {"f:labels": {".": {}, "f:team": {}}}


@pytest.mark.parametrize(
    ("entries", "kept"),
    [
        ([], []),
        ([entry("a", LABELS, "Update", "x")], [entry("a", LABELS)]),
        ([entry(OURS, LABELS, "Apply")], []),
        # We only apply: whoever updates in our name is somebody else.
        ([entry(OURS, LABELS)], [entry(OURS, LABELS)]),
        ([entry("a", {"f:annotations": {".": {}, "f:dropped": {}}})], []),
        (
            [entry("a", {"f:annotations": {"f:dropped": {}, "f:note": {}}, "f:finalizers": {}})],
            [entry("a", {"f:annotations": {"f:note": {}}})],
        ),
        ([{**entry("a", LABELS), "subresource": "status"}], []),
        ([{"manager": "a", "operation": "Update"}], []),
    ],
)
def test_of_others_the_labels_annotations_and_owners_are_kept(
    entries: list[Any], kept: list[Any]
) -> None:
    assert metadata_of_others(entries, OURS, frozenset({"dropped"})) == kept


def test_what_was_written_for_others_is_theirs_again() -> None:
    ours = entry(
        OURS,
        {
            "f:labels": {"f:team": {}},
            "f:annotations": {"f:mark": {}, "f:note": {}},
            "f:ownerReferences": {'k:{"uid":"es"}': {}, 'k:{"uid":"x"}': {}},
        },
        "Apply",
        "password",
    )
    theirs = entry("a", LABELS)
    kept = frozenset({("f:annotations", "f:mark"), ("f:ownerReferences", 'k:{"uid":"es"}')})
    other = entry("late", {"f:labels": {"f:late": {}}})
    assert given_back([ours, other], OURS, kept, [theirs]) == [
        theirs,
        entry(
            OURS,
            {"f:annotations": {"f:mark": {}}, "f:ownerReferences": {'k:{"uid":"es"}': {}}},
            "Apply",
            "password",
        ),
        other,
    ]
