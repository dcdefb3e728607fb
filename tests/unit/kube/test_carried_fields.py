"""Who owns the metadata of an object that was recreated."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_carried_fields_are_owned_by_their_writers_again() -> None:
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


ENTRIES = st.lists(
    st.builds(
        lambda manager, operation, label, subresource: {
            **entry(manager, {"f:labels": {f"f:{label}": {}}}, operation),
            "apiVersion": "v1",
            **({"subresource": subresource} if subresource else {}),
        },
        st.sampled_from([OURS, "a", "b"]),
        st.sampled_from(["Apply", "Update"]),
        st.sampled_from("xyz"),
        st.sampled_from(["", "status"]),
    ),
    max_size=6,
)


def owned(entries: list[Any]) -> set[Any]:
    """Each label with who owns it, except what we applied."""
    return {
        (*who(e), label)
        for e in entries
        if who(e)[:2] != (OURS, "Apply")
        for label in e["fieldsV1"]["f:metadata"]["f:labels"]
    }


def who(e: Any) -> tuple[str, ...]:
    return e["manager"], e["operation"], e["apiVersion"], e.get("subresource", "")


@given(ENTRIES, ENTRIES)
def test_carried_fields_have_one_entry_for_each_writer(
    entries: list[Any], theirs: list[Any]
) -> None:
    # Of several the API server would keep one; there are several after an interruption.
    theirs = [e for e in theirs if who(e)[:2] != (OURS, "Apply")]
    given = given_back(entries, OURS, frozenset(), theirs)
    assert len({who(e) for e in given}) == len(given)
    assert owned(given) == owned(entries) | owned(theirs)
    again = given_back(given, OURS, frozenset(), theirs)
    assert owned(again) == owned(given)
    assert len(again) == len(given)
