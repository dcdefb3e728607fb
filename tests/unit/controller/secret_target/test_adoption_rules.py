"""Which Secrets of others may be taken over: nobody's but ack-secret-manager's, unless asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.secret_target.ownership import (
    adoptable,
    controller_of,
    legacy_editors,
    made_by_legacy,
    may_adopt,
)
from secret_sync.controller.secret_target.siblings import INDEXES
from secret_sync.kube import Store
from tests.unit.controller.fakes import managed, secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

FINALIZER = {"finalizers": ["finalizer.ack.secrets-manager.alibabacloud.com"]}
ADOPT = {"annotations": {"secret-sync.alibabacloud.com/adopt": "true"}}
LABEL = {"labels": {"lastUpdatedAt": "2024-01-01T00.00.00Z"}}
CONTROLLED = {"ownerReferences": [{"kind": "Certificate", "name": "tls", "controller": True}]}


def metadata(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = secret(*entries, **more)["metadata"]
    return found


@pytest.mark.parametrize(
    ("given", "target", "may"),
    [
        ({}, None, False),
        (FINALIZER, None, True),
        (FINALIZER, "some", True),
        # Since 0.6 ack-secret-manager knows other names than the object's own.
        (FINALIZER, "other", True),
        (ADOPT, None, True),
        (ADOPT, "other", True),
        ({"annotations": {"secret-sync.alibabacloud.com/adopt": "false"}}, None, False),
    ],
)
def test_objects_that_may_adopt(
    make_es: MakeES, given: dict[str, Any], target: str | None, *, may: bool
) -> None:
    assert may_adopt(make_es(metadata=given, target={"name": target})) is may


BY_MANAGER = managed("ack-secret-manager", "password")


@pytest.mark.parametrize(
    ("entries", "more", "theirs"),
    [
        ([], {}, False),
        ([], LABEL, True),
        ([BY_MANAGER], {}, True),
        ([managed("manager", "password")], {}, True),
        ([managed("kubectl", "password")], {}, False),
        # It never applied, and whoever only touched a label did not make it.
        ([managed("ack-secret-manager", "password", operation="Apply")], {}, False),
        ([managed("manager")], {}, False),
        ([{"manager": "manager", "operation": "Update", "fieldsV1": None}], {}, False),
        ([], {"labels": None, "managedFields": None}, False),
    ],
)
def test_secrets_made_by_ack_secret_manager(
    entries: list[dict[str, Any]], more: dict[str, Any], *, theirs: bool
) -> None:
    assert made_by_legacy(metadata(*entries, **more)) is theirs


def test_legacy_editors_are_named() -> None:
    entries = [BY_MANAGER, managed("manager", "a"), managed("kubectl", "b"), managed("manager")]
    assert legacy_editors(metadata(*entries)) == {"ack-secret-manager", "manager"}


@pytest.mark.parametrize(
    ("references", "controller"),
    [
        (None, ""),
        ([], ""),
        ([{"kind": "Pod", "name": "a"}, {"kind": "Pod", "name": "b", "controller": False}], ""),
        (CONTROLLED["ownerReferences"], "Certificate tls"),
    ],
)
def test_a_controller_is_named(make_es: MakeES, references: Any, controller: str) -> None:
    found = metadata(ownerReferences=references)
    assert controller_of(found, make_es(), Store()) == controller


@pytest.mark.parametrize(
    ("name", "uid", "controller"),
    [
        ("some", "es-uid", ""),
        ("living", "living-uid", "ExternalSecret living"),
        ("living", "older", ""),
        ("gone", "uid", ""),
    ],
    ids=["the object itself", "another one", "one that was re-created", "one that is gone"],
)
def test_an_external_secret_is_a_controller_as_long_as_it_exists(
    make_es: MakeES, name: str, uid: str, controller: str
) -> None:
    es = make_es(metadata=ADOPT)
    others: Store[ExternalSecret] = Store()
    others.put("ns/some", es)
    others.put("ns/living", make_es(metadata={"name": "living", "uid": "living-uid"}))
    reference: dict[str, Any] = {
        "apiVersion": "alibabacloud.com/v1alpha1",
        "kind": "ExternalSecret",
    }
    reference |= {"name": name, "uid": uid, "controller": True}
    found = metadata(mark=f"{name}/{uid}", ownerReferences=[reference])
    assert controller_of(found, es, others) == controller
    assert adoptable(es, found, others) is (controller == "")


def test_a_kind_of_that_name_in_another_group_is_anybody(make_es: MakeES) -> None:
    reference: dict[str, Any] = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret"}
    reference |= {"name": "some", "uid": "x", "controller": True}
    found = metadata(ownerReferences=[reference])
    assert controller_of(found, make_es(), Store()) == "ExternalSecret some"


def test_secret_without_managed_fields_may_be_taken_back(make_es: MakeES) -> None:
    es = make_es(metadata=ADOPT)
    others: Store[ExternalSecret] = Store()
    others.put("ns/some", es)
    assert adoptable(es, metadata(mark="some/es-uid"), others)


@pytest.mark.parametrize(
    ("given", "entries", "more", "fits"),
    [
        pytest.param(FINALIZER, [BY_MANAGER], {}, True, id="0.6.x"),
        pytest.param(FINALIZER, [], LABEL, True, id="0.5.x"),
        pytest.param(FINALIZER, [managed("kubectl", "password")], {}, False, id="made by a person"),
        pytest.param({}, [BY_MANAGER], LABEL, False, id="made for no object with its finalizer"),
        pytest.param(FINALIZER, [BY_MANAGER], CONTROLLED, False, id="somebody else's"),
        pytest.param(
            FINALIZER,
            [BY_MANAGER],
            {"ownerReferences": [{"kind": "App", "name": "a"}]},
            True,
            id="owned, but not controlled",
        ),
        pytest.param(
            FINALIZER, [BY_MANAGER], {"mark": "gone/uid"}, False, id="another ExternalSecret's once"
        ),
        pytest.param(
            FINALIZER, [BY_MANAGER], {"deletionTimestamp": "now"}, False, id="being deleted"
        ),
        pytest.param(ADOPT, [managed("kubectl", "a")], {}, True, id="asked for"),
        pytest.param(ADOPT, [], {}, True, id="asked for, whoever made it"),
        pytest.param(ADOPT, [], CONTROLLED, False, id="asked for, but somebody else's"),
        pytest.param(ADOPT, [], {"deletionTimestamp": "now"}, False, id="asked for too late"),
        pytest.param(ADOPT, [], {"mark": "living/living-uid"}, False, id="of one that is there"),
        pytest.param(ADOPT, [], {"mark": "living/older"}, True, id="of one that was re-created"),
        pytest.param(ADOPT, [], {"mark": "gone/uid"}, True, id="of one that is gone"),
        pytest.param(ADOPT, [], {"mark": "nonsense"}, True, id="of nobody"),
        pytest.param(ADOPT, [], {"mark": "/living-uid"}, True, id="of no name"),
        pytest.param({}, [], {"mark": "gone/uid"}, False, id="not asked for"),
    ],
)
def test_secrets_that_may_be_adopted(
    make_es: MakeES,
    given: dict[str, Any],
    entries: list[dict[str, Any]],
    more: dict[str, Any],
    *,
    fits: bool,
) -> None:
    others: Store[ExternalSecret] = Store()
    others.put("ns/living", make_es(metadata={"name": "living", "uid": "living-uid"}))
    assert adoptable(make_es(metadata=given), metadata(*entries, **more), others) is fits


def test_a_mark_is_of_an_object_in_the_secrets_own_namespace(make_es: MakeES) -> None:
    others: Store[ExternalSecret] = Store()
    elsewhere = {"name": "living", "namespace": "else", "uid": "living-uid"}
    others.put("else/living", make_es(metadata=elsewhere))
    assert adoptable(make_es(metadata=ADOPT), metadata(mark="living/living-uid"), others)


@pytest.mark.parametrize(
    ("rival", "fits"),
    [
        (None, True),
        ({"name": "rival", "uid": "rival-uid"}, False),
        ({"name": "rival", "uid": "rival-uid", "namespace": "elsewhere"}, True),
    ],
    ids=["alone", "another object names it, too", "one of another namespace"],
)
def test_under_another_name_it_is_the_only_objects_that_has_that_name(
    make_es: MakeES, rival: dict[str, Any] | None, *, fits: bool
) -> None:
    es = make_es(metadata=FINALIZER, target={"name": "shared"})
    others: Store[ExternalSecret] = Store(INDEXES)
    others.put("ns/some", es)
    if rival is not None:
        others.put("rival", make_es(metadata=rival, target={"name": "shared"}))
    assert adoptable(es, metadata(BY_MANAGER, name="shared"), others) is fits
