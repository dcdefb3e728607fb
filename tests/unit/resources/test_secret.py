"""Of a Secret's metadata only what shows drift is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.resources import ForeignSecret, ManagedSecret, secret_from_metadata
from secret_sync.resources.secret import StringDataEntry, owner_of

if TYPE_CHECKING:
    from secret_sync.resources import SecretMeta

OWNER = "secret-sync.alibabacloud.com/owner"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def read(*entries: dict[str, Any], **metadata: Any) -> Any:
    base = {"namespace": "ns", "name": "some", "uid": "u", "resourceVersion": "7"}
    return secret_from_metadata({"metadata": {**base, "managedFields": [*entries], **metadata}})


def entry(manager: str, operation: str, *keys: str, mark: bool = False) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:data": {".": {}, **{f"f:{key}": {} for key in keys}}}
    if mark:
        fields["f:metadata"] = {"f:annotations": {".": {}, f"f:{OWNER}": {}}}
    return {"manager": manager, "operation": operation, "fieldsV1": fields}


def test_a_foreign_one_is_three_words() -> None:
    annotations = {LAST_APPLIED: '{"data": {"password": "aHVudGVyMg=="}}'}
    found = read(entry("kubectl", "Update", "password"), annotations=annotations)
    assert found == ForeignSecret("ns", "some", "u", "7", "")


@pytest.mark.parametrize("metadata", [{}, {"annotations": None, "managedFields": None}])
def test_secret_without_marks_is_foreign(metadata: dict[str, Any]) -> None:
    assert isinstance(read(**metadata), ForeignSecret)


def test_managed_secret_is_recognized_by_its_keys_and_its_mark() -> None:
    found = read(
        entry("secret-sync", "Apply", "a", "b", mark=True),
        entry("kubectl", "Update", "b", "c"),
        entry("helm", "Apply", "d"),
        annotations={OWNER: "some/uid", LAST_APPLIED: "payload"},
        ownerReferences=[{"uid": "x"}],
    )
    assert found == ManagedSecret(
        namespace="ns",
        name="some",
        uid="u",
        resource_version="7",
        deleting=False,
        owner="some/uid",
        owner_is_ours=True,
        owner_uids=("x",),
        our_keys=frozenset("ab"),
        other_keys=frozenset("bcd"),
        merged={},
        editors=("helm", "kubectl"),
        allows="",
    )
    assert "payload" not in repr(found)


def test_mark_written_by_others_is_not_ours() -> None:
    found = read(
        entry("secret-sync", "Apply", "a"),
        entry("kubectl", "Update", mark=True),
        annotations={OWNER: "some/uid"},
    )
    assert isinstance(found, ManagedSecret)
    assert not found.owner_is_ours


def test_an_update_in_our_name_is_not_ours() -> None:
    # We only apply: whoever updates under our name is somebody else.
    found = read(entry("secret-sync", "Update", "a", mark=True), annotations={OWNER: "some/uid"})
    assert isinstance(found, ManagedSecret)
    assert not found.owner_is_ours
    assert found.our_keys == frozenset()
    assert found.other_keys == {"a"}


@pytest.mark.parametrize("fields", [None, {}, {"f:type": {}}, {"f:data": None}, {"f:data": {}}])
def test_entries_without_data_own_no_keys(fields: Any) -> None:
    found = read(
        {"manager": "secret-sync", "operation": "Apply", "fieldsV1": fields},
        {"manager": "kubectl", "operation": "Update", "fieldsV1": fields},
    )
    assert isinstance(found, ManagedSecret)
    assert found.our_keys == found.other_keys == frozenset()


MINE = "secret-sync-merge-one"
OTHER = "secret-sync-merge-two"


@pytest.mark.parametrize(
    ("entries", "merged", "others", "editors"),
    [
        pytest.param(
            [entry(MINE, "Apply", "a")], (("one", {"a"}),), {"a"}, (MINE,), id="of one object"
        ),
        pytest.param(
            [entry(MINE, "Apply", "a"), entry(OTHER, "Apply", "a", "b"), entry("helm", "Apply")],
            (("one", {"a"}), ("two", {"a", "b"})),
            {"a", "b"},
            (MINE, OTHER),
            id="of two, one key of both",
        ),
        pytest.param(
            [entry(MINE, "Apply", "a"), entry("kubectl", "Update", "b")],
            (("one", {"a"}),),
            {"a", "b"},
            ("kubectl", MINE),
            id="beside somebody else's",
        ),
        # We only apply: whoever updates under our name is somebody else.
        pytest.param([entry(MINE, "Update", "a")], (), {"a"}, (MINE,), id="an update"),
        pytest.param([entry(MINE, "Apply")], (), set(), (), id="nothing any more"),
    ],
)
def test_merged_keys_are_listed_by_object(
    entries: list[dict[str, Any]],
    merged: tuple[tuple[str, set[str]], ...],
    others: set[str],
    editors: tuple[str, ...],
) -> None:
    found = read(*entries)
    assert isinstance(found, ManagedSecret)
    assert tuple((uid, set(keys)) for uid, keys in found.merged.items()) == merged
    # To the Secret's own ExternalSecret, if it has one, they are keys of others.
    assert found.our_keys == frozenset()
    assert found.other_keys == others
    assert found.editors == editors


def test_a_manager_that_is_called_nearly_like_ours_is_foreign() -> None:
    for name in ("secret-sync-merge", "secret-syncer", "not-secret-sync-merge-one"):
        assert isinstance(read(entry(name, "Apply", "a")), ForeignSecret)


@pytest.mark.parametrize(
    ("found", "owner"),
    [
        (None, ("", "")),
        (read(), ("", "")),
        (read(entry("secret-sync", "Apply", mark=True), annotations={OWNER: "a/u1"}), ("a", "u1")),
        (read(entry("secret-sync", "Apply", mark=True), annotations={OWNER: "a"}), ("a", "")),
        (read(entry("secret-sync", "Apply", mark=True), annotations={OWNER: ""}), ("", "")),
        # Anybody can copy a mark.
        (read(entry("secret-sync", "Apply", "k"), annotations={OWNER: "a/u1"}), ("", "")),
        (read(entry("kubectl", "Update", mark=True), annotations={OWNER: "a/u1"}), ("", "")),
        (read(entry(MINE, "Apply", "k", mark=True), annotations={OWNER: "a/u1"}), ("", "")),
    ],
)
def test_owner_of_a_secret(found: SecretMeta | None, owner: tuple[str, str]) -> None:
    assert owner_of(found) == owner


def test_secret_being_deleted_is_marked() -> None:
    found = read(entry("secret-sync", "Apply", "a"), deletionTimestamp="2026-01-01T00:00:00Z")
    assert isinstance(found, ManagedSecret)
    assert found.deleting


def test_writers_of_string_data_are_distinguished() -> None:
    by_kubectl = {
        "manager": "kubectl",
        "operation": "Apply",
        "time": "2026-01-01T00:00:00Z",
        "fieldsV1": {"f:stringData": {"f:a": {}, "f:extra": {}}},
    }
    mixed = {**by_kubectl, "manager": "helm", "time": None}
    mixed["fieldsV1"] = {"f:data": {"f:b": {}}, "f:stringData": {".": {}, "f:c": {}}}
    found = read(entry("secret-sync", "Apply", "a", mark=True), by_kubectl, mixed)
    assert isinstance(found, ManagedSecret)
    assert found.string_data == (
        StringDataEntry("helm", frozenset("c"), ""),
        StringDataEntry("kubectl", frozenset({"a", "extra"}), "2026-01-01T00:00:00Z"),
    )
    # Such a writer owns no key, so that none of them are drift by their owner.
    assert found.other_keys == {"b"}
    assert found.editors == ("helm",)


def test_keys_with_several_owners_are_distinguished() -> None:
    found = read(
        entry(MINE, "Apply", "a", "b", "c"),
        entry("kubectl", "Update", "b"),
        entry(OTHER, "Apply", "c", "d"),
        entry("secret-sync", "Apply", "a"),
    )
    assert found.shared_keys == {"b", "c"}
    assert read(entry(MINE, "Apply", "a")).shared_keys == frozenset()


def labelled(manager: str, operation: str, *labels: str) -> dict[str, Any]:
    about: dict[str, Any] = {"f:labels": {".": {}, **{f"f:{name}": {} for name in labels}}}
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:metadata": about}}


def test_merged_labels_with_several_owners_are_distinguished() -> None:
    theirs = labelled("kubectl", "Update", "b", "c")
    found = read(labelled(MINE, "Apply", "a", "b"), theirs)
    assert found.shared_keys == {"labels/b"}
    # Of a Secret of our own they are repaired by force.
    found = read(labelled("secret-sync", "Apply", "b"), theirs, annotations={OWNER: "some/uid"})
    assert found.shared_keys == frozenset()


def test_long_texts_of_others_are_kept_shortened() -> None:
    long = "K" * 600_000
    reference = {"kind": long, "name": "n", "uid": long, "controller": True}
    found = read(annotations={OWNER: long}, ownerReferences=[reference])
    assert isinstance(found, ManagedSecret)
    kept = (found.owner, *found.owner_uids, *found.controller)
    assert max(map(len, kept)) < 1000


REFERENCE = 'k:{"uid":"uid"}'


@pytest.mark.parametrize(
    ("owned", "carries"),
    [
        (
            {"f:annotations": {".": {}, f"f:{OWNER}": {}}, "f:ownerReferences": {REFERENCE: {}}},
            False,
        ),
        ({"f:labels": {".": {}}}, False),
        ({"f:labels": {"f:team": {}}}, True),
        ({"f:annotations": {f"f:{OWNER}": {}, "f:note": {}}}, True),
        ({"f:ownerReferences": {".": {}, REFERENCE: {}, 'k:{"uid":"x"}': {}}}, True),
        ({"f:ownerReferences": {'k:{"uid":"x"}': {}}}, True),
    ],
)
@pytest.mark.parametrize("who", ["us", "somebody else", "an update in our name"])
def test_fields_not_given_back_to_others_are_visible(
    owned: dict[str, Any], who: str, *, carries: bool
) -> None:
    manager = "helm" if who == "somebody else" else "secret-sync"
    operation = "Apply" if who == "us" else "Update"
    reported = {"manager": manager, "operation": operation, "fieldsV1": {"f:metadata": owned}}
    found = read(reported, annotations={OWNER: "some/uid"})
    assert found.carries is (carries and who == "us")


def test_without_the_mark_one_owner_is_taken_for_ours() -> None:
    for references, carries in (([REFERENCE], False), ([REFERENCE, 'k:{"uid":"x"}'], True)):
        owned: dict[str, Any] = {"f:ownerReferences": {field: {} for field in references}}
        reported = {
            "manager": "secret-sync",
            "operation": "Apply",
            "fieldsV1": {"f:metadata": owned},
        }
        assert read(reported).carries is carries


RENDERED = "secret-sync.alibabacloud.com/rendered-metadata"


def rendering(manager: str = "secret-sync", *, mark: bool = True, **fields: Any) -> dict[str, Any]:
    """An apply of labels and annotations, by default with our marks."""
    marks: dict[str, Any] = {f"f:{OWNER}": {}, f"f:{RENDERED}": {}} if mark else {}
    about: dict[str, Any] = {
        f"f:{field}": {f"f:{name}": {} for name in names} for field, names in fields.items()
    }
    about["f:annotations"] = {**about.get("f:annotations", {}), **marks}
    applied: dict[str, Any] = {"f:data": {"f:a": {}}, "f:metadata": about}
    return {"manager": manager, "operation": "Apply", "fieldsV1": applied}


def test_rendered_labels_are_fields_of_ours() -> None:
    annotations = {OWNER: "some/uid", RENDERED: "annotations/note labels/app"}
    found = read(rendering(labels=["app"], annotations=["note"]), annotations=annotations)
    assert isinstance(found, ManagedSecret)
    assert found.our_keys == {"a", "labels/app", "annotations/note"}
    assert found.rendered == {"labels/app", "annotations/note"}
    assert not found.carries


def test_labels_that_are_not_recorded_are_carried_for_others() -> None:
    annotations = {OWNER: "some/uid", RENDERED: "labels/app"}
    found = read(rendering(labels=["app", "theirs"]), annotations=annotations)
    assert isinstance(found, ManagedSecret)
    assert found.carries


def test_a_record_of_another_writer_does_not_count() -> None:
    annotations = {OWNER: "some/uid", RENDERED: "labels/app"}
    found = read(rendering(mark=False, labels=["app"]), annotations=annotations)
    assert isinstance(found, ManagedSecret)
    assert found.rendered == frozenset()
    assert found.carries


def test_writer_of_a_rendered_label_is_an_editor() -> None:
    annotations = {OWNER: "some/uid", RENDERED: "labels/app"}
    edit = {
        "manager": "kubectl",
        "operation": "Update",
        "fieldsV1": {"f:metadata": {"f:labels": {"f:app": {}}}},
    }
    found = read(rendering(labels=[]), edit, annotations=annotations)
    assert isinstance(found, ManagedSecret)
    assert found.editors == ("kubectl",)
    assert found.other_keys == frozenset()


def test_merged_labels_are_listed_by_object() -> None:
    found = read(rendering(MINE, mark=False, labels=["app"]))
    assert isinstance(found, ManagedSecret)
    assert found.merged == {"one": {"a", "labels/app"}}
    assert found.other_keys == {"a"}


MANAGED_BY = "app.kubernetes.io/managed-by"
LABELLED = {
    "manager": "helm",
    "operation": "Update",
    "fieldsV1": {"f:metadata": {"f:labels": {f"f:{MANAGED_BY}": {}}}},
}


@pytest.mark.parametrize(
    ("value", "entries", "theirs"),
    [
        ("secret-sync", [rendering(labels=[MANAGED_BY])], False),
        ("secret-sync", [rendering(labels=[MANAGED_BY]), LABELLED], True),
        ("secret-sync", [rendering(labels=[]), LABELLED], True),
        ("Helm", [rendering(labels=[]), LABELLED], True),
        # Carried over from a predecessor, and not given back yet.
        ("Helm", [rendering(labels=[MANAGED_BY])], True),
        # Nobody is known to have set it, as after a restore.
        ("Helm", [rendering(labels=[])], True),
        ("secret-sync", [rendering(labels=[])], False),
        (None, [rendering(labels=[])], False),
    ],
)
def test_label_managed_by_belongs_to_the_other_writer_who_sets_it(
    value: str | None, entries: list[dict[str, Any]], *, theirs: bool
) -> None:
    labels = {} if value is None else {MANAGED_BY: value}
    found = read(*entries, annotations={OWNER: "some/uid"}, labels=labels)
    assert isinstance(found, ManagedSecret)
    assert found.labelled is theirs
    # It is a mark, not a key that can be right or wrong.
    assert found.our_keys == {"a"}
    assert found.carries is (value == "Helm" and len(entries) == 1 and is_owned(entries[0]))


def is_owned(entry: dict[str, Any]) -> bool:
    return bool(entry["fieldsV1"]["f:metadata"].get("f:labels"))


def test_label_managed_by_of_a_template_is_rendered_like_any_other() -> None:
    named = f"labels/{MANAGED_BY}"
    found = read(
        rendering(labels=[MANAGED_BY]),
        annotations={OWNER: "some/uid", RENDERED: named},
        labels={MANAGED_BY: "shop"},
    )
    assert isinstance(found, ManagedSecret)
    assert found.our_keys == {"a", named}
    assert (found.labelled, found.carries) == (False, False)


def test_label_managed_by_of_a_foreign_secret_is_known() -> None:
    found = read(LABELLED, labels={MANAGED_BY: "Helm"})
    assert isinstance(found, ForeignSecret)
    assert found.labelled
