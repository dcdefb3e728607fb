"""``decide``: whose Secret it is, and what has to be done with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.external_secret.state import Applied
from secret_sync.controller.secret_target.ownership import (
    Action,
    Decision,
    decide,
    is_there,
    looks_right,
    merged_by,
)
from secret_sync.controller.view import CATCH_UP
from secret_sync.resources import ManagedSecret, secret_from_metadata
from tests.unit.controller.extracting import extract
from tests.unit.controller.fakes import managed, secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret, SecretMeta

NOW = 1000.0
WANTED = b"wanted"


def desired(*keys: str, fingerprint: bytes = WANTED) -> Desired:
    names = frozenset(keys or ("password",))
    return Desired(fingerprint, names, dict.fromkeys(names, b"x"), (), ())


def applied(
    version: str = "20", *, fingerprint: bytes = WANTED, uid: str = "secret-uid", age: float = 1.0
) -> Applied:
    return Applied(fingerprint, uid, version, NOW - age)


NOTHING = Decision(Action.NOTHING)


def repair(
    *remove: str,
    apply: bool = True,
    uid: str = "secret-uid",
    by: str = "20",
    orphan: bool = False,
) -> Decision:
    return Decision(Action.REPAIR, apply, remove, uid, by, orphan)


APPLY = repair()
ADOPT = repair(orphan=True)
REFUSE = Decision(Action.REFUSE, uid="secret-uid")


@pytest.mark.parametrize(
    ("secret", "state", "decision"),
    [
        pytest.param({}, applied(), NOTHING, id="as it was written"),
        pytest.param(
            {},
            None,
            replace(APPLY, unverified=True),
            id="after a restart nothing is known of its values",
        ),
        pytest.param({}, applied(fingerprint=b"older"), APPLY, id="another value is wanted"),
        pytest.param({"labels": {"a": "b"}}, applied("19"), NOTHING, id="a foreign label"),
        pytest.param({"ours": ()}, applied(), APPLY, id="our key is gone or another writer's"),
        pytest.param(
            {"others": ("extra",)},
            applied(),
            repair("extra", apply=False),
            id="a key was added",
        ),
        pytest.param(
            {"ours": (), "others": ("password", "extra")},
            applied(),
            repair("extra"),
            id="a key was added and another one edited",
        ),
        pytest.param({"others": ("password",)}, applied(), NOTHING, id="somebody owns it with us"),
        pytest.param({"ours": ("password", "old")}, applied(), APPLY, id="a key is not wanted now"),
        pytest.param(
            {"by_string_data": ("password",)},
            applied("19"),
            replace(APPLY, hidden=True),
            id="something changed that stringData may have changed",
        ),
        pytest.param(
            {"by_string_data": ("password",)},
            applied(),
            NOTHING,
            id="such an entry outlived our write and is left",
        ),
        pytest.param({"owners": ()}, applied(), ADOPT, id="the ownerReference is gone"),
        pytest.param({"owners": ("else",)}, applied(), ADOPT, id="it belongs to another object"),
        pytest.param({"mark": ""}, applied(), APPLY, id="the mark is gone"),
        pytest.param(
            {"mark": "x/y", "marked_by_us": False}, applied(), APPLY, id="the mark was edited"
        ),
        pytest.param(
            {"mark": "", "marked_by_us": False},
            None,
            APPLY,
            id="the mark is gone, and so is our memory: keys and owner tell",
        ),
        pytest.param(
            {"marked_by_us": False},
            applied(fingerprint=b"older"),
            APPLY,
            id="another writer set the mark, to what it was",
        ),
        pytest.param({"mark": "some/older", "owners": ()}, None, ADOPT, id="from before: adopted"),
        pytest.param({"mark": "other/es-uid", "owners": ()}, None, REFUSE, id="of another one"),
        pytest.param(
            {"ours": (), "marked_by_us": False, "owners": ()}, None, REFUSE, id="a copied mark"
        ),
        pytest.param(
            {"ours": (), "marked_by_us": False, "mark": ""}, None, REFUSE, id="foreign, but owned"
        ),
        pytest.param(
            {"deletionTimestamp": "now"}, applied(), Decision(Action.WAIT), id="on its way"
        ),
        pytest.param(
            {"uid": "new"},
            applied(),
            repair(uid="new"),
            id="ours, but another one than we wrote",
        ),
    ],
)
def test_decisions(
    make_es: Callable[..., ExternalSecret],
    make_secret: Callable[..., SecretMeta],
    secret: dict[str, Any],
    state: Applied | None,
    decision: Decision,
) -> None:
    assert decide(make_es(), desired(), make_secret(**secret), state, NOW) == decision


def test_unmarked_secret_is_ours_as_long_as_its_uid_is_remembered(
    make_es: Callable[..., ExternalSecret], make_secret: Callable[..., SecretMeta]
) -> None:
    bare = make_secret(ours=(), marked_by_us=False, mark="", owners=())
    assert decide(make_es(), desired(), bare, applied(), NOW) == ADOPT
    assert decide(make_es(), desired(), bare, applied("19", uid="older"), NOW) == REFUSE
    assert decide(make_es(), desired(), bare, None, NOW) == REFUSE


def test_merged_secret_is_not_owned_for_that(
    make_es: Callable[..., ExternalSecret],
) -> None:
    merged = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    others = secret_from_metadata(secret(merged, mark="another/u", version="20"))
    assert decide(make_es(), desired(), others, applied(), NOW) == REFUSE


def test_missing_secret_is_created(make_es: Callable[..., ExternalSecret]) -> None:
    assert decide(make_es(), desired(), None, None, NOW) == Decision(Action.CREATE)


def test_a_foreign_secret_is_refused_whatever_its_state(
    make_es: Callable[..., ExternalSecret], make_secret: Callable[..., SecretMeta]
) -> None:
    foreign = make_secret(ours=(), marked_by_us=False, mark="", owners=(), deletionTimestamp="x")
    assert decide(make_es(), desired(), foreign, None, NOW) == REFUSE


@pytest.mark.parametrize(
    ("held", "written", "age", "action"),
    [
        ("20", "20", 1.0, Action.REPAIR),
        ("20", "19", 1.0, Action.REPAIR),
        ("20", "21", 1.0, Action.NOTHING),
        # Numbers, not text; beyond any fixed width.
        ("9", "10", 1.0, Action.NOTHING),
        ("99999999999999999999", "100000000000000000000", 1.0, Action.NOTHING),
        # A server restored from a backup gives out lower ones for good.
        ("20", "21", CATCH_UP + 0.1, Action.REPAIR),
        # Where they are no numbers: equality, and a bound.
        ("abc", "abc", 1.0, Action.REPAIR),
        ("abc", "abd", CATCH_UP - 0.1, Action.NOTHING),
        ("abc", "abd", CATCH_UP + 0.1, Action.REPAIR),
    ],
)
def test_no_drift_is_seen_in_a_cache_that_is_behind(
    make_es: Callable[..., ExternalSecret],
    make_secret: Callable[..., SecretMeta],
    held: str,
    written: str,
    age: float,
    action: Action,
) -> None:
    drifted = make_secret(ours=(), resourceVersion=held)
    decision = decide(make_es(), desired(), drifted, applied(written, age=age), NOW)
    assert decision.action is action


@pytest.mark.parametrize(("held", "action"), [("20", Action.REPAIR), ("22", Action.NOTHING)])
def test_a_lower_version_than_our_write_for_good_is_written_again(
    make_es: Callable[..., ExternalSecret],
    make_secret: Callable[..., SecretMeta],
    held: str,
    action: Action,
) -> None:
    # Its metadata are as they should be; etcd was restored from a backup, and so was the value.
    current = make_secret(resourceVersion=held)
    assert decide(make_es(), desired(), current, applied("21", age=60), NOW).action is action


def test_a_new_value_is_written_by_the_version_that_we_wrote(
    make_es: Callable[..., ExternalSecret], make_secret: Callable[..., SecretMeta]
) -> None:
    state = applied("31", fingerprint=b"older")
    assert decide(make_es(), desired(), make_secret(), state, NOW) == repair(by="31")


@pytest.mark.parametrize(
    ("age", "action"), [(CATCH_UP - 0.1, Action.NOTHING), (CATCH_UP + 0.1, Action.CREATE)]
)
def test_created_secret_may_not_be_in_the_cache_yet(
    make_es: Callable[..., ExternalSecret], age: float, action: Action
) -> None:
    assert decide(make_es(), desired(), None, applied(age=age), NOW).action is action


RETAIN = {"deletionPolicy": "Retain"}


@pytest.mark.parametrize(
    ("given", "state", "decision"),
    [
        pytest.param({"owners": ()}, applied(), NOTHING, id="as it was written"),
        pytest.param({}, applied(), APPLY, id="its owner would take it along"),
        pytest.param({"owners": ("else",)}, applied(), NOTHING, id="others may"),
        pytest.param({"owners": (), "mark": ""}, applied(), APPLY, id="the mark is gone"),
        pytest.param({"owners": (), "mark": "some/older"}, None, APPLY, id="from before: adopted"),
    ],
)
def test_a_secret_to_be_retained_has_no_owner_reference(
    make_es: Callable[..., ExternalSecret],
    make_secret: Callable[..., SecretMeta],
    given: dict[str, Any],
    state: Applied | None,
    decision: Decision,
) -> None:
    # So that none is missing either.
    es = make_es(target=RETAIN)
    assert decide(es, desired(), make_secret(**given), state, NOW) == decision


MERGE = {"creationPolicy": "Merge"}
MERGED = managed("secret-sync-merge-es-uid", "password", operation="Apply")


def test_keys_merged_by_each_object_are_distinguished(
    make_es: Callable[..., ExternalSecret],
) -> None:
    other = managed("secret-sync-merge-other", "a", "b", operation="Apply")
    found = secret_from_metadata(secret(MERGED, other, managed("kubectl", "c")))
    assert isinstance(found, ManagedSecret)
    assert merged_by(make_es(), found) == {"password"}
    assert merged_by(make_es(metadata={"uid": "other"}), found) == {"a", "b"}
    assert merged_by(make_es(metadata={"uid": "none"}), found) == frozenset()


@pytest.mark.parametrize(
    ("target", "found", "there"),
    [
        pytest.param({}, {}, True, id="ours"),
        pytest.param({}, {"ours": ("password", "x")}, True, id="whatever became of its keys"),
        # Its marks decide whether it goes with the object.
        pytest.param({}, {"owners": ()}, False, id="the garbage collector knows nothing of it"),
        pytest.param({}, {"mark": "some/older"}, False, id="from before"),
        pytest.param({}, {"ours": ()}, True, id="whatever others made of every key"),
        pytest.param({}, {"mark": "other/x", "owners": ()}, False, id="another object's"),
        pytest.param({}, {"deletionTimestamp": "now"}, False, id="on its way"),
        pytest.param(MERGE, {}, False, id="our own is not merged into"),
        pytest.param(RETAIN, {"owners": ()}, True, id="retained"),
    ],
)
def test_created_once_secrets(
    make_es: Callable[..., ExternalSecret],
    make_secret: Callable[..., SecretMeta],
    target: dict[str, Any],
    found: dict[str, Any],
    *,
    there: bool,
) -> None:
    assert is_there(make_es(target=target), make_secret(**found), None, NOW) is there


def test_secrets_merged_once(make_es: Callable[..., ExternalSecret]) -> None:
    es = make_es(target=MERGE)
    assert is_there(es, secret_from_metadata(secret(MERGED)), None, NOW)
    theirs = secret_from_metadata(secret(managed("kubectl", "password")))
    assert not is_there(es, theirs, None, NOW)
    assert not is_there(es, None, None, NOW)


PICKED = {"data": None, "dataProcess": [extract()]}
BESIDE = {"dataProcess": [extract()]}


@pytest.mark.parametrize(
    ("spec", "found", "right"),
    [
        pytest.param({}, {}, True, id="one key"),
        pytest.param({}, {"ours": ("other",)}, False, id="another key"),
        pytest.param({}, {"others": ("extra",)}, False, id="one more"),
        pytest.param({}, {"by_string_data": ("password",)}, False, id="it cannot be known"),
        pytest.param({}, {"owners": ()}, False, id="no owner"),
        pytest.param({"target": RETAIN}, {"owners": ()}, True, id="no owner, as it should be"),
        # Which keys a document has is not known without a fetch.
        pytest.param(PICKED, {"ours": ("a", "b")}, True, id="any keys of ours"),
        pytest.param(BESIDE, {"ours": ("password", "b")}, True, id="also beside plain ones"),
        pytest.param(PICKED, {"ours": ("a",), "others": ("b",)}, False, id="but only of ours"),
        pytest.param(PICKED, {"ours": ()}, False, id="and not none"),
        pytest.param(PICKED, {"deletionTimestamp": "now"}, False, id="on its way"),
    ],
)
def test_secrets_that_look_right_without_a_fetch(
    make_es: Callable[..., ExternalSecret],
    make_secret: Callable[..., SecretMeta],
    spec: dict[str, Any],
    found: dict[str, Any],
    *,
    right: bool,
) -> None:
    assert looks_right(make_es(**spec), make_secret(**found)) is right


@pytest.mark.parametrize(
    ("spec", "keys", "right"),
    [
        ({}, ("password",), True),
        ({}, ("password", "more"), False),
        ({}, (), False),
        (PICKED, ("a", "b"), True),
        (PICKED, (), False),
    ],
)
def test_merged_secrets_that_look_right_without_a_fetch(
    make_es: Callable[..., ExternalSecret],
    spec: dict[str, Any],
    keys: tuple[str, ...],
    *,
    right: bool,
) -> None:
    # Keys of others are theirs.
    entries = managed("secret-sync-merge-es-uid", *keys, operation="Apply"), managed("kubectl", "x")
    found = secret_from_metadata(secret(*entries))
    assert looks_right(make_es(target=MERGE, **spec), found) is right
    assert not looks_right(make_es(target=MERGE, **spec), None)


@pytest.mark.parametrize(
    ("finalizers", "decision"),
    [
        ([], NOTHING),
        (["finalizer.ack.secrets-manager.alibabacloud.com"], APPLY),
    ],
    ids=["it is ours", "its takeover was interrupted"],
)
def test_fields_of_ack_secret_manager_are_taken_before_its_finalizer_goes(
    make_es: Callable[..., ExternalSecret], finalizers: list[str], decision: Decision
) -> None:
    ours = managed("secret-sync", "password", operation="Apply", mark=True)
    found = secret_from_metadata(
        secret(
            ours,
            managed("ack-secret-manager", "password"),
            mark="some/es-uid",
            ownerReferences=[{"uid": "es-uid"}],
        )
    )
    es = make_es(metadata={"finalizers": finalizers})
    assert decide(es, desired(), found, applied(), NOW) == decision
