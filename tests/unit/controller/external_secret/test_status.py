"""Statuses: equal where nothing has changed, and times that move only with a change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync import clock
from secret_sync.cloud.clocks import minutes
from secret_sync.controller.external_secret.extraction import EntryOutcome
from secret_sync.controller.external_secret.status import results, status_of, written_versions
from secret_sync.controller.sync import Problem, condition, count_by_ready, problem_condition
from secret_sync.resources import (
    Condition,
    DataEntry,
    DataSyncResult,
    ExternalSecretStatus,
    Reason,
    StoreStatus,
)
from secret_sync.resources.meta import CustomObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret

BEFORE = "2026-01-01T00:00:00Z"
NOW = "2026-01-01T00:00:10Z"


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "utc_text", lambda _=None: NOW)


def ready(status: str = "True", reason: str = "Synced") -> Condition:
    return Condition("Ready", status, reason, "message", BEFORE, 1)


def reporting(status: ExternalSecretStatus | StoreStatus) -> CustomObject[Any]:
    return CustomObject(
        *("ns", "some", "uid", "1"),
        generation=1,
        revision=0,
        deleting=False,
        legacy=False,
        force_sync="",
        status=status,
    )


def test_objects_are_counted_by_their_condition() -> None:
    reported = [
        ready("True"),
        ready("True"),
        ready("False"),
        ready("Unknown"),
        ready("whatever"),
        None,
    ]
    objects = [reporting(ExternalSecretStatus(ready=one)) for one in reported]
    none = {("True", ""): 0, ("False", ""): 0, ("Unknown", ""): 0}
    synced = {("True", "Synced"): 2, ("False", "Synced"): 1, ("Unknown", "Synced"): 2}
    assert count_by_ready(objects) == none | synced | {("Unknown", ""): 1}
    store = reporting(StoreStatus(ready("False", "RoleNotFound")))
    assert count_by_ready([store])["False", "RoleNotFound"] == 1
    assert count_by_ready([]) == none


def test_reasons_that_nobody_knows_do_not_become_labels() -> None:
    objects = [
        reporting(ExternalSecretStatus(ready=ready("False", f"tenant{n}"))) for n in range(9)
    ]
    objects.append(reporting(ExternalSecretStatus(ready=ready("True", ""))))
    counts = count_by_ready(objects)
    assert counts["False", "other"] == 9
    assert counts["True", ""] == 1
    assert len(counts) == 4


@pytest.mark.parametrize(
    ("before", "status", "time"),
    [
        (None, "True", NOW),
        (ready("True"), "True", BEFORE),
        (ready("True"), "False", NOW),
        (ready("False"), "True", NOW),
        (ready("Unknown"), "False", NOW),
    ],
)
def test_the_transition_time_moves_only_when_the_status_flips(
    before: Condition | None, status: str, time: str
) -> None:
    made = condition(before, generation=2, status=status, reason=Reason.PENDING, message="new")
    assert made.last_transition_time == time
    assert (made.reason, made.message, made.observed_generation) == ("Pending", "new", 2)


def test_a_problem_is_a_false_condition() -> None:
    problem = Problem(Reason.FORBIDDEN, "RAM says no")
    made = problem_condition(ready("False", "Forbidden"), generation=1, problem=problem)
    assert (made.status, made.reason, made.message) == ("False", "Forbidden", "RAM says no")
    assert made.last_transition_time == BEFORE


@pytest.mark.parametrize(
    ("reported", "number", "other_number"),
    [
        ("refused (EntityNotExist.Role, HTTP 404, request {})", "0A1B-2C", "9F8E-7D"),
        ("that of this machine is {} behind: set it", minutes(-7229.0), minutes(-7231.0)),
    ],
)
def test_response_with_another_number_is_not_reported(
    reported: str, number: str, other_number: str
) -> None:
    assert number != other_number
    first = Problem(Reason.ROLE_NOT_FOUND, reported.format(number))
    before = problem_condition(None, generation=1, problem=first)
    again = Problem(Reason.ROLE_NOT_FOUND, reported.format(other_number))
    assert problem_condition(before, generation=1, problem=again) == before
    edited = problem_condition(before, generation=2, problem=again)
    assert edited.message == again.message
    other = Problem(Reason.ROLE_NOT_FOUND, "refused (EntityNotExist.Role, HTTP 404)!")
    assert problem_condition(before, generation=1, problem=other).message == other.message


def outcome(key: str, *, version: str = "v1", problem: Problem | None = None) -> EntryOutcome:
    return EntryOutcome(DataEntry(key, key, "", "", None), version, problem)


def result(
    key: str, status: str = "Succeeded", reason: str = "", version: str = "v1"
) -> DataSyncResult:
    return DataSyncResult(key, status, reason, BEFORE, version)


def test_the_time_of_a_result_moves_only_with_the_result() -> None:
    gone = Problem(Reason.SECRET_NOT_FOUND, "gone")
    before = [result("a"), result("b"), result("c"), result("d")]
    after = results(
        before,
        [outcome("a"), outcome("b", version="v2"), outcome("c", problem=gone), outcome("x")],
        written=True,
    )
    assert [each.time for each in after] == [BEFORE, NOW, NOW, NOW]
    assert [each.status for each in after] == ["Succeeded", "Succeeded", "Failed", "Succeeded"]
    assert after[2].reason == "SecretNotFound"


def test_good_entries_of_a_secret_that_was_not_written_say_so() -> None:
    failed = outcome("b", problem=Problem(Reason.FORBIDDEN, "no"))
    good, bad = results([result("a")], [outcome("a"), failed], written=False)
    assert (good.status, good.reason, good.time) == ("Succeeded", "NotWritten", NOW)
    assert (bad.status, bad.reason) == ("Failed", "Forbidden")


def test_entry_that_is_fetched_again_keeps_its_report() -> None:
    pending = replace(outcome("b", version="v2"), pending=True)
    before = [result("a"), result("b", reason="NotWritten"), result("c")]
    after = results(before, [outcome("a"), pending, outcome("c")], written=True)
    assert after == tuple(before)
    assert results([], [outcome("a"), pending], written=True)[1:] == ()


def test_a_key_may_repeat() -> None:
    twice = [outcome("a", version="v1"), outcome("a", version="v2")]
    before = [result("a", version="v1"), result("a", version="v2")]
    assert [each.time for each in results(before, twice, written=True)] == [BEFORE, BEFORE]


def test_nothing_new_is_an_equal_status() -> None:
    before = ExternalSecretStatus(
        ready=ready(),
        observed_generation=1,
        results=(result("a"),),
        last_sync_time=BEFORE,
        target="some",
    )
    again = condition(
        before.ready, generation=1, status="True", reason=Reason.SYNCED, message="message"
    )
    same = status_of(before, again, [outcome("a")], written=True, changed=False, target="some")
    assert same == before
    assert ExternalSecretStatus.from_dict(same.to_dict()) == before


def test_the_last_sync_time_is_that_of_the_last_change_written() -> None:
    before = ExternalSecretStatus(ready(), 1, (result("a"),), BEFORE, "some")
    changed = status_of(before, ready(), [outcome("a", version="v2")], written=True, changed=True)
    assert changed.last_sync_time == NOW
    failed = status_of(before, ready("False"), ())
    assert (failed.last_sync_time, failed.target, failed.results) == (BEFORE, "some", ())
    waiting = status_of(before, ready("Unknown"), None)
    assert waiting.results == before.results


NOT_WRITTEN = {"ExternalSecretKey": "db", "reason": "NotWritten", "versionId": "v8"}


def synced_status(**more: object) -> dict[str, object]:
    return {
        "observedGeneration": 1,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Synced"}],
        "lastSyncTime": BEFORE,
        "dataSyncResults": [
            {"ExternalSecretKey": "db", "status": "Succeeded", "versionId": "v7"},
        ],
        **more,
    }


@pytest.mark.parametrize(
    ("changes", "spec", "versions"),
    [
        ({}, {}, ["v7"]),
        # Never synced, or a service whose versions have no order.
        ({"lastSyncTime": ""}, {}, None),
        ({}, {"provider": "oos"}, None),
        # What is in the Secret is not known.
        ({"observedGeneration": 0}, {}, [""]),
        ({"conditions": [{"type": "Ready", "status": "False", "reason": "Throttled"}]}, {}, [""]),
        ({"dataSyncResults": []}, {}, [""]),
        ({"dataSyncResults": [{"ExternalSecretKey": "other", "versionId": "v7"}]}, {}, [""]),
        (
            {
                "dataSyncResults": [
                    {"ExternalSecretKey": "db", "reason": "NotWritten", "versionId": "v8"}
                ]
            },
            {},
            [""],
        ),
    ],
)
def test_the_status_says_which_versions_were_written(
    make_es: Callable[..., ExternalSecret],
    changes: dict[str, object],
    spec: dict[str, object],
    versions: list[str] | None,
) -> None:
    assert written_versions(make_es(status=synced_status(**changes), **spec)) == versions


def test_a_message_is_no_longer_than_a_condition_bears() -> None:
    reported = condition(
        None, generation=1, status="True", reason=Reason.SYNCED, message="x" * 600_000
    )
    assert len(reported.message) == 4096
