"""The watcher that distinguishes whole versions of a Secret from mixed ones."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.support.generations import GenerationWatch, Rotation

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api


def watched(*versions: dict[str, str] | None, **behind: int) -> GenerationWatch:
    """A watch that has seen these versions, a second after the other."""
    rotation = Rotation(cast("CloudAdmin", None), ["a/user", "a/password"])
    rotation.written = [-1.0, 0.5]
    watch = GenerationWatch(cast("Api", None), "here", "some", rotation, behind)
    watch.history = [None if held is None else secret(held) for held in versions]
    watch.times = [float(second) for second in range(len(versions))]
    return watch


def secret(values: dict[str, str]) -> dict[str, Any]:
    return {"data": {key: base64.b64encode(v.encode()).decode() for key, v in values.items()}}


OLD = {"user": "user-0", "password": "password-0"}
NEW = {"user": "user-1", "password": "password-1"}


@pytest.mark.parametrize(
    ("held", "behind", "expected"),
    [
        (OLD, {}, (False, 0)),
        (OLD | {"user": "user-1"}, {}, (True, None)),
        (OLD | {"user": "edited"}, {}, (False, None)),
        (None, {}, (False, None)),
        ({"current": "account-3", "previous": "account-2"}, {"previous": 1}, (False, 3)),
        ({"current": "account-3", "previous": "account-3"}, {"previous": 1}, (True, None)),
    ],
)
def test_a_version_is_whole_or_mixed_or_neither(
    held: dict[str, str] | None, behind: dict[str, int], expected: tuple[bool, int | None]
) -> None:
    (seen,) = watched(held, **behind).seen
    assert (seen.mixed, seen.whole) == expected


def test_report_lists_generations_with_their_times() -> None:
    watch = watched(OLD, NEW | {"password": "password-0"}, None, NEW | {"user": "edited"})
    assert str(watch).splitlines() == [
        "   0.00 s  Secret: user=0 password=0",
        "   0.50 s  KMS: generation 1",
        "   1.00 s  Secret: user=1 password=0   <- mixed",
        "   2.00 s  no Secret",
        "   3.00 s  Secret: user=edited password=1",
    ]


def test_of_many_keys_it_prints_how_many() -> None:
    many = {f"part-{number}": f"part-{number}-{number % 2}" for number in range(20)}
    assert "  Secret: 10 keys of 0, 10 keys of 1   <- mixed" in str(watched(many))
