"""The objects that benchmarks/hostile.py and the chaos have in their lists are possible ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import orjson
import pytest

from benchmarks.hostile import MAKERS, Harm, Limits
from benchmarks.hostile_parts import KMS_BYTES
from benchmarks.hostile_shapes import generated

if TYPE_CHECKING:
    from benchmarks.hostile_parts import HostileObject

#: What the API server and etcd take, in bytes.
LARGEST = 1_500_000
SEEDS = range(12)


def is_possible(hostile: HostileObject) -> bool:
    """Whether Kubernetes and KMS would store it."""
    return len(orjson.dumps(hostile.document)) <= LARGEST and all(
        0 < len(value.encode()) <= KMS_BYTES for value in hostile.secrets.values()
    )


@pytest.mark.parametrize("name", MAKERS)
def test_each_of_the_list_is_possible_and_has_its_name(name: str) -> None:
    hostile = MAKERS[name]()
    assert hostile.name == name
    assert is_possible(hostile)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_object_is_valid_and_reproducible(seed: int) -> None:
    hostile = generated(seed)
    assert is_possible(hostile)
    assert generated(seed) == hostile


def test_random_shapes_are_small_and_large() -> None:
    sizes = [len(orjson.dumps(generated(seed).document)) for seed in SEEDS]
    assert min(sizes) < 10_000
    assert max(sizes) > 1_000_000


@pytest.mark.parametrize(
    ("harm", "is_within"),
    [
        (Harm(stall=0.1, growth=64, plain=1, document=2), True),
        (Harm(stall=0.11, growth=0, plain=0, document=0), False),
        (Harm(stall=0, growth=65, plain=0, document=0), False),
        (Harm(stall=0, growth=0, plain=1.1, document=0), False),
        (Harm(stall=0, growth=0, plain=0, document=2.1), False),
        (Harm(stall=math.inf, growth=0, plain=0, document=0), False),
    ],
)
def test_harm_is_held_against_each_limit(harm: Harm, *, is_within: bool) -> None:
    assert harm.within(Limits()) is is_within
