"""``managedFields`` rewritten: who owns what changes, and for nobody else than meant."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.kube.managed_fields import data_keys, owned_fields, string_data_keys, without_keys

KEYS = st.sampled_from(["a", "b", "c", "f:odd", ".", "tls.crt"])
MANAGERS = st.sampled_from(["secret-sync-merge-1", "secret-sync-merge-2", "kubectl", ""])


@st.composite
def entries_of(draw: st.DrawFn) -> dict[str, Any]:
    """One entry as API servers write them, and some as they do not."""
    fields: dict[str, Any] = {}
    for field in ("f:data", "f:stringData"):
        if draw(st.booleans()):
            fields[field] = {f"f:{key}": {} for key in draw(st.sets(KEYS))}
            if draw(st.booleans()):
                fields[field]["."] = {}
    if draw(st.booleans()):
        fields["f:metadata"] = {"f:labels": {"f:team": {}}}
    entry = {
        "manager": draw(MANAGERS),
        "operation": draw(st.sampled_from(["Apply", "Update"])),
        "fieldsV1": fields,
        "time": draw(st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"])),
    }
    for field in draw(st.sets(st.sampled_from(["manager", "fieldsV1"]))):
        entry.pop(field)
    return entry


def owners(entries: list[dict[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """By data key, the manager and operation of each entry that owns it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in entries:
        for key in data_keys(entry):
            found.setdefault(key, []).append((entry.get("manager", ""), entry["operation"]))
    return found


@pytest.mark.slow
@given(st.lists(entries_of(), max_size=6), st.sets(MANAGERS), st.sets(KEYS))
def test_only_these_keys_of_these_managers_are_given_up(
    before: list[dict[str, Any]], givers: set[str], keys: set[str]
) -> None:
    givers -= {""}
    kept = deepcopy(before)
    after = without_keys(before, givers, keys)
    assert before == kept, "the given entries are not changed"
    # Nobody else's entry changes, and the order stays.
    others = [e for e in before if not (e.get("manager") in givers and e["operation"] == "Apply")]
    rest = [e for e in after if not (e.get("manager") in givers and e["operation"] == "Apply")]
    assert rest == others
    # Each key loses just the owners that were meant.
    left = owners(after)
    for key, held in owners(before).items():
        giving = [o for o in held if key in keys and o[0] in givers and o[1] == "Apply"]
        assert sorted(left.get(key, [])) == sorted(o for o in held if o not in giving)
    assert set(left) <= set(owners(before)), "nobody comes to own anything"
    # All else of the givers stays as well.
    assert [e.get("fieldsV1", {}).get("f:metadata") for e in after if "f:metadata" in f(e)] == [
        e.get("fieldsV1", {}).get("f:metadata") for e in before if "f:metadata" in f(e)
    ]
    assert [k for e in after if (k := string_data_keys(e))] == [
        k for e in before if (k := string_data_keys(e))
    ]
    assert without_keys(after, givers, keys) == after


def f(entry: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = entry.get("fieldsV1", {})
    return fields


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"f:data": {"f:a": {}, "f:b": {}}}, {"f:data": {"f:b": {}}}),
        ({"f:data": {".": {}, "f:a": {}, "f:b": {}}}, {"f:data": {".": {}, "f:b": {}}}),
        # Who owns nothing has no entry.
        ({"f:data": {".": {}, "f:a": {}}}, None),
        ({"f:data": {"f:a": {}}, "f:type": {}}, {"f:type": {}}),
        ({"f:stringData": {"f:a": {}}}, {"f:stringData": {"f:a": {}}}),
    ],
)
def test_remainder_of_a_managed_fields_entry(
    fields: dict[str, Any], left: dict[str, Any] | None
) -> None:
    entry = {"manager": "m", "operation": "Apply", "fieldsV1": fields, "time": "then"}
    expected = [] if left is None else [{**entry, "fieldsV1": left}]
    assert without_keys([entry], {"m"}, {"a"}) == expected


def test_labels_and_annotations_are_given_up_like_keys() -> None:
    labels: dict[str, Any] = {".": {}, "f:a": {}, "f:b": {}}
    about: dict[str, Any] = {"f:labels": labels, "f:annotations": {"f:c": {}}, "f:name": {}}
    fields = {"f:data": {"f:d": {}, "f:e": {}}, "f:metadata": about}
    entry = {"manager": "m", "operation": "Apply", "fieldsV1": fields}
    assert owned_fields(entry) == {"d", "e", "labels/a", "labels/b", "annotations/c"}
    (left,) = without_keys([entry], {"m"}, {"d", "labels/a", "annotations/c"})
    assert owned_fields(left) == {"e", "labels/b"}
    assert left["fieldsV1"]["f:metadata"].keys() == {"f:labels", "f:name"}
    assert without_keys([left], {"m"}, {"e", "labels/b"}) == [
        {**entry, "fieldsV1": {"f:metadata": {"f:name": {}}}}
    ]
