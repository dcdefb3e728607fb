"""Whoever looks for harm recognises it."""

from __future__ import annotations

import base64
import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.chaos.auditor import FOREIGN, Auditor
from tests.chaos.holdings import FIELDS, MARK, Cloudful, Holding, read, value, wishes
from tests.support.leaks import spellings

if TYPE_CHECKING:
    from tests.chaos.holdings import Wish

EXTRACTED, PICKED, PAIR = wishes(3)
TOGETHER = [wish for wish in wishes(28) if wish.together]
(SOURCE,) = EXTRACTED.sources
NOBODY: Any = None


def whole(turn: int, **other: int) -> dict[str, str]:
    return {of: value(SOURCE, other.get(of, turn), of) for of in FIELDS}


def test_a_secret_as_it_is_to_be() -> None:
    assert read(EXTRACTED, whole(3)) == Holding({SOURCE: 3})


def test_two_secrets_of_kms_may_be_of_different_turns() -> None:
    data = {key: value(spot.source, turn) for turn, (key, spot) in enumerate(PAIR.keys.items())}
    held = read(PAIR, data)
    assert isinstance(held, Holding)
    assert sorted(held.turns.values()) == [0, 1]


@pytest.mark.parametrize("wish", TOGETHER, ids=lambda wish: wish.name)
def test_values_rotated_together_are_of_one_version(wish: Wish) -> None:
    assert isinstance(read(wish, holding(wish, dict.fromkeys(wish.sources, 3))), Holding)
    for late in wish.sources:
        found = read(wish, holding(wish, {**dict.fromkeys(wish.sources, 3), late: 2}))
        assert isinstance(found, str)
        assert "mixes versions" in found


def holding(wish: Wish, turns: dict[str, int]) -> dict[str, str]:
    """What its Secret holds when its sources are of these turns."""
    return {
        key: value(spot.source, turns[spot.source], spot.field) for key, spot in wish.keys.items()
    }


def test_two_spellings_of_one_secret_are_of_one_version() -> None:
    wish = next(wish for wish in TOGETHER if "by-arn" in wish.keys)
    data = holding(wish, dict.fromkeys(wish.sources, 3))
    found = read(wish, {**data, "by-arn": data["by-arn"].replace("#3#", "#2#")})
    assert isinstance(found, str)
    assert "another key 3" in found


async def test_values_of_one_secret_are_rotated_in_one_step() -> None:
    steps: list[set[str]] = []

    class Cloud:
        async def put_secrets(self, secrets: dict[str, str]) -> None:
            steps.append(set(secrets))

        async def put_parameters(self, parameters: dict[str, str]) -> None:
            """As many as there are."""

    cloud: Any = Cloud()
    wanted = wishes(60)
    cloudful = Cloudful(cloud, {source: 0 for wish in wanted for source in wish.sources})
    for seed in range(20):
        await cloudful.turn_some(random.Random(seed), 0.1)
    together = [wish.sources for wish in wanted if wish.together]
    assert any(sources <= step for step in steps for sources in together)
    assert all(
        sources <= step or sources.isdisjoint(step) for step in steps for sources in together
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "empty"),
        ({"user": value(SOURCE, 1, "user")}, "instead of"),
        ({**whole(1), "more": "x"}, "instead of"),
        (whole(1, host=2), "another key"),
        ({**whole(1), "host": value(SOURCE, 1, "user")}, "field 'user'"),
        ({**whole(1), "host": value("chaos/json/77", 1, "host")}, "chaos/json/77"),
        ({**whole(1), "host": ""}, "no value of anything"),
    ],
)
def test_harm_is_named_without_a_value(data: dict[str, str], said: str) -> None:
    found = read(EXTRACTED, data)
    assert isinstance(found, str)
    assert said in found
    assert not any(text and text in found for text in data.values())


def checked(*turns: int, known: int) -> list[str]:
    """The complaints about a Secret that held these turns, where the last one is ``known``."""
    return reported(*(("MODIFIED", turn, "a uid") for turn in turns), known=known)


def reported(*events: tuple[str, int, str], known: int = 5) -> list[str]:
    """The complaints about a Secret to which this happened."""
    auditor = Auditor(NOBODY, "ns", [EXTRACTED], Cloudful(NOBODY, {SOURCE: known}))
    for sort, turn, uid in events:
        data = {key: base64.b64encode(text.encode()) for key, text in whole(turn).items()}
        metadata = {"name": EXTRACTED.name, "uid": uid}
        auditor.happened(sort, {"metadata": metadata, "data": data})
    return auditor.complaints


def test_values_that_follow_are_fine() -> None:
    assert checked(0, 0, 1, 5, known=5) == []


def test_edits_of_others_have_to_go() -> None:
    auditor = Auditor(NOBODY, "ns", [EXTRACTED], Cloudful(NOBODY, {SOURCE: 1}))
    for host, stale in ((FOREIGN, True), (whole(1)["host"], False)):
        values = {**whole(1), "host": host}
        data = {key: base64.b64encode(text.encode()) for key, text in values.items()}
        metadata = {"name": EXTRACTED.name, "uid": "a uid"}
        auditor.happened("MODIFIED", {"metadata": metadata, "data": data})
        assert bool(auditor.stale()) is stale
        assert auditor.complaints == []


def test_a_value_that_comes_back_is_found() -> None:
    (complaint,) = checked(0, 2, 1, known=5)
    assert "from version 2 back to 1" in complaint


def test_a_value_that_never_was_is_found() -> None:
    (complaint,) = checked(6, known=5)
    assert "never was" in complaint


def test_a_secret_that_goes_away_is_found() -> None:
    assert reported(("ADDED", 1, "a uid"), ("DELETED", 1, "a uid")) == [
        f"{EXTRACTED.name}: it was deleted"
    ]


def test_a_secret_that_went_away_while_nobody_looked_is_found() -> None:
    (complaint,) = reported(("ADDED", 1, "a uid"), ("ADDED", 1, "another"))
    assert complaint.endswith("it is another one")


@pytest.mark.parametrize("before", [b"", b"x", b"xy"])
@pytest.mark.parametrize("after", [b"", b"x", b"xy"])
def test_a_value_in_base64_is_found_wherever_it_is(before: bytes, after: bytes) -> None:
    said = base64.b64encode(before + MARK.encode() + after).decode()
    assert any(spelt in said for spelt in spellings(MARK.encode()))
    assert all(len(spelt) >= len(MARK) for spelt in spellings(MARK.encode()))
