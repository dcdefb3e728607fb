"""``judge``: whose Secret it is, and what has to be done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.desired import Desired
from secret_sync.controller.memory import Applied
from secret_sync.controller.ownership import CATCH_UP, Action, Verdict, judge

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


NOTHING = Verdict(Action.NOTHING)


def repair(
    *remove: str,
    apply: bool = True,
    uid: str = "secret-uid",
    by: str = "20",
    orphan: bool = False,
) -> Verdict:
    return Verdict(Action.REPAIR, apply, remove, uid, by, orphan)


APPLY = repair()
ADOPT = repair(orphan=True)
REFUSE = Verdict(Action.REFUSE, uid="secret-uid")


@pytest.mark.parametrize(
    ("secret", "memory", "verdict"),
    [
        pytest.param({}, applied(), NOTHING, id="as it was written"),
        pytest.param({}, None, APPLY, id="A9: after a restart nothing is known of its values"),
        pytest.param({}, applied(fingerprint=b"older"), APPLY, id="another value is wanted"),
        pytest.param({"labels": {"a": "b"}}, applied("19"), NOTHING, id="S10: a foreign label"),
        pytest.param({"ours": ()}, applied(), APPLY, id="S10: our key is gone or somebody else's"),
        pytest.param(
            {"others": ("extra",)},
            applied(),
            repair("extra", apply=False),
            id="A7a: a key was added",
        ),
        pytest.param(
            {"ours": (), "others": ("password", "extra")},
            applied(),
            repair("extra"),
            id="a key was added and another one edited",
        ),
        pytest.param({"others": ("password",)}, applied(), NOTHING, id="somebody owns it with us"),
        pytest.param({"ours": ("password", "old")}, applied(), APPLY, id="a key is not wanted now"),
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
        pytest.param({"mark": "some/older", "owners": ()}, None, ADOPT, id="from before: adopted"),
        pytest.param({"mark": "other/es-uid", "owners": ()}, None, REFUSE, id="of another one"),
        pytest.param(
            {"ours": (), "marked_by_us": False, "owners": ()}, None, REFUSE, id="a copied mark"
        ),
        pytest.param(
            {"ours": (), "marked_by_us": False, "mark": ""}, None, REFUSE, id="foreign, but owned"
        ),
        pytest.param(
            {"deletionTimestamp": "now"}, applied(), Verdict(Action.WAIT), id="on its way"
        ),
        pytest.param(
            {"uid": "new"},
            applied(),
            repair(uid="new"),
            id="ours, but another one than we wrote",
        ),
    ],
)
def test_verdicts(
    make_es: Callable[..., ExternalSecret],
    make_secret: Callable[..., SecretMeta],
    secret: dict[str, Any],
    memory: Applied | None,
    verdict: Verdict,
) -> None:
    assert judge(make_es(), desired(), make_secret(**secret), memory, NOW) == verdict


def test_one_that_lost_every_mark_is_ours_as_long_as_we_remember_it(
    make_es: Callable[..., ExternalSecret], make_secret: Callable[..., SecretMeta]
) -> None:
    bare = make_secret(ours=(), marked_by_us=False, mark="", owners=())
    assert judge(make_es(), desired(), bare, applied(), NOW) == ADOPT
    assert judge(make_es(), desired(), bare, applied("19", uid="older"), NOW) == REFUSE
    assert judge(make_es(), desired(), bare, None, NOW) == REFUSE


def test_one_that_is_missing_is_created(make_es: Callable[..., ExternalSecret]) -> None:
    assert judge(make_es(), desired(), None, None, NOW) == Verdict(Action.CREATE)


def test_A6_a_foreign_secret_is_refused_whatever_its_state(
    make_es: Callable[..., ExternalSecret], make_secret: Callable[..., SecretMeta]
) -> None:
    foreign = make_secret(ours=(), marked_by_us=False, mark="", owners=(), deletionTimestamp="x")
    assert judge(make_es(), desired(), foreign, None, NOW) == REFUSE


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
def test_S16_W15_no_drift_is_seen_in_a_cache_that_is_behind(
    make_es: Callable[..., ExternalSecret],
    make_secret: Callable[..., SecretMeta],
    held: str,
    written: str,
    age: float,
    action: Action,
) -> None:
    drifted = make_secret(ours=(), resourceVersion=held)
    verdict = judge(make_es(), desired(), drifted, applied(written, age=age), NOW)
    assert verdict.action is action


def test_S16_a_new_value_is_written_by_the_version_that_we_wrote(
    make_es: Callable[..., ExternalSecret], make_secret: Callable[..., SecretMeta]
) -> None:
    memory = applied("31", fingerprint=b"older")
    assert judge(make_es(), desired(), make_secret(), memory, NOW) == repair(by="31")


@pytest.mark.parametrize(
    ("age", "action"), [(CATCH_UP - 0.1, Action.NOTHING), (CATCH_UP + 0.1, Action.CREATE)]
)
def test_S16_one_that_we_created_may_not_be_in_the_cache_yet(
    make_es: Callable[..., ExternalSecret], age: float, action: Action
) -> None:
    assert judge(make_es(), desired(), None, applied(age=age), NOW).action is action
