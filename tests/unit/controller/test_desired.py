"""The Secret that readings make, and the fingerprint that stands for it: nothing taken apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.controller.desired import Overwritten, desire_plain, gather, outcomes_of
from secret_sync.controller.plan import Plan, PlannedEntry, recipe_of
from secret_sync.credentials import CredentialKey
from secret_sync.errors import NotFoundError
from secret_sync.resources import DataEntry, ExternalSecret, Reason
from secret_sync.sources import Reading, Source, Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.controller.desired import Desired
    from secret_sync.credentials import Provider
    from secret_sync.errors import SecretSyncError

PLAIN = {
    "metadata": {"namespace": "ns", "name": "some", "uid": "u", "resourceVersion": "1"},
}


def an_es(secret_type: str = "") -> ExternalSecret:
    return ExternalSecret.from_dict({**PLAIN, "spec": {"type": secret_type}})


def plan_of(*names: str) -> Plan:
    entries = []
    for number, name in enumerate(names):
        source = Source(CredentialKey("AccessKey", ()), "kms", "host", f"s{number}", "", "", None)
        wanted = Wanted(source, cast("Provider", None))
        entry = DataEntry(f"s{number}", name, "", "", None)
        entries.append(PlannedEntry(entry, recipe_of(entry), wanted, None))
    return Plan(tuple(entries), 120.0)


def reading(
    value: bytes | None, *, known: bool = True, error: SecretSyncError | None = None
) -> Reading:
    digest = (value or b"not in hand") if known else None
    return Reading(digest, value, "v1", error, pending=False)


def desire(es: ExternalSecret, plan: Plan, readings: Sequence[Reading]) -> Desired | None:
    batch = gather(es, plan, readings)
    return desire_plain(batch) if batch is not None else None


def test_one_key_for_each_entry() -> None:
    wanted = desire(an_es(), plan_of("a", "b"), [reading(b"1"), reading(b"2")])
    assert wanted is not None
    assert wanted.data == {"a": b"1", "b": b"2"}
    assert wanted.keys == {"a", "b"}
    assert wanted.overwritten == ()
    assert "1" not in repr(wanted)


def test_the_later_entry_wins_and_the_key_is_named() -> None:
    wanted = desire(an_es(), plan_of("a", "b", "a"), [reading(b"1"), reading(b"2"), reading(b"3")])
    assert wanted is not None
    assert wanted.data == {"a": b"3", "b": b"2"}
    assert wanted.overwritten == (Overwritten("a", loser="s0", winner="s2"),)


def test_nothing_is_desired_before_all_were_read_once() -> None:
    assert desire(an_es(), plan_of("a", "b"), [reading(b"1"), reading(None, known=False)]) is None


def test_S15_what_is_not_in_hand_is_named() -> None:
    plan = plan_of("a", "b")
    wanted = desire(an_es(), plan, [reading(b"1"), reading(None)])
    assert wanted is not None
    assert wanted.data is None
    assert [source.name for source in wanted.absent] == ["s1"]
    assert wanted.keys == {"a", "b"}


def test_a_failed_refresh_leaves_the_last_good_value() -> None:
    error = NotFoundError("gone", code="Forbidden.ResourceNotFound")
    plan, readings = plan_of("a", "b"), [reading(b"1", error=error), reading(b"2")]
    wanted = desire(an_es(), plan, readings)
    assert wanted is not None
    assert wanted.data == {"a": b"1", "b": b"2"}
    first, second = outcomes_of(plan, readings)
    assert first.problem is not None
    assert first.problem.reason is Reason.SECRET_NOT_FOUND
    assert second.problem is None


def fingerprint(names: tuple[str, ...], values: tuple[bytes, ...], secret_type: str = "") -> Any:
    wanted = desire(an_es(secret_type), plan_of(*names), [reading(value) for value in values])
    assert wanted is not None
    return wanted.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        (("a", "b"), (b"1", b"3")),
        (("a", "c"), (b"1", b"2")),
        (("b", "a"), (b"1", b"2")),
        (("a",), (b"1",)),
        (("a", "b"), (b"1", b"2"), "example.org/type"),
    ],
)
def test_A9_the_fingerprint_tells_type_keys_and_values_apart(other: tuple[Any, ...]) -> None:
    assert fingerprint(("a", "b"), (b"1", b"2")) != fingerprint(*other)


def test_A9_the_order_of_entries_does_not_count() -> None:
    assert fingerprint(("a", "b"), (b"1", b"2")) == fingerprint(("b", "a"), (b"2", b"1"))


texts = st.dictionaries(st.text("ab", min_size=1, max_size=3), st.binary(max_size=3), max_size=3)


@given(texts, texts)
def test_A9_no_two_contents_share_a_fingerprint(
    one: dict[str, bytes], two: dict[str, bytes]
) -> None:
    def of(content: dict[str, bytes]) -> Any:
        # A digest is never empty.
        return fingerprint(tuple(content), tuple(b"." + value for value in content.values()))

    assert (of(one) == of(two)) == (one == two)
