"""The condition ``Stalled``: beside a ``Ready`` that stays False until somebody acts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from secret_sync.controller.sync import Problem, problem_condition, stalled_condition
from secret_sync.resources import Condition, ExternalSecretStatus, Reason
from secret_sync.resources.conditions import STALLED_REASONS
from tests.support.documentation import section

LATER = "2999-01-01T00:00:00Z"


def ready(reason: Reason, message: str = "why", before: Condition | None = None) -> Condition:
    return problem_condition(before, generation=1, problem=Problem(reason, message))


def test_stalled_has_reason_message_and_generation_of_ready() -> None:
    stalled = stalled_condition(None, ready(Reason.FORBIDDEN))
    assert stalled is not None
    assert (stalled.type, stalled.status) == ("Stalled", "True")
    assert (stalled.reason, stalled.message, stalled.observed_generation) == ("Forbidden", "why", 1)


@pytest.mark.parametrize(
    "healed",
    [
        Condition("Ready", "True", "Synced", "", LATER, 1),
        Condition("Ready", "Unknown", "Pending", "", LATER, 1),
        ready(Reason.THROTTLED),
        ready(Reason.STORE_NOT_FOUND),
    ],
    ids=lambda c: c.reason,
)
def test_stalled_goes_as_soon_as_it_is_over(healed: Condition) -> None:
    assert stalled_condition(stalled_condition(None, ready(Reason.FORBIDDEN)), healed) is None


def test_stalled_keeps_its_time_whatever_the_reason() -> None:
    before = stalled_condition(None, ready(Reason.FORBIDDEN))
    assert before is not None
    before = replace(before, last_transition_time=LATER)
    after = stalled_condition(before, ready(Reason.SECRET_NOT_FOUND))
    assert after is not None
    assert (after.reason, after.last_transition_time) == ("SecretNotFound", LATER)


def test_stalled_is_unchanged_by_another_answer_of_the_same_kind() -> None:
    """Otherwise each retry would write the status."""
    first = ready(Reason.FORBIDDEN, "no, request 1-a")
    before = stalled_condition(None, first)
    again = ready(Reason.FORBIDDEN, "no, request 2-b", first)
    assert stalled_condition(before, again) == before


def test_stalled_is_read_back_as_it_was_written() -> None:
    reported = ready(Reason.FORBIDDEN)
    status = ExternalSecretStatus(
        ready=reported, observed_generation=1, stalled=stalled_condition(None, reported)
    )
    found = ExternalSecretStatus.from_dict(status.to_dict())
    assert found == status
    assert found.ready is not None
    assert found.stalled is not None
    assert found.stalled.message is found.ready.message
    # As an older version has written it: reported once more.
    del (older := status.to_dict())["conditions"][1]
    assert ExternalSecretStatus.from_dict(older) != status


def test_stalled_reasons_are_those_that_waiting_cannot_help() -> None:
    text = section("docs/reference.md", "Reasons").text
    waiting = dict(re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|", text, re.MULTILINE))
    assert waiting.keys() >= {reason.value for reason in Reason}
    (listed,) = re.findall(r"\*\*`Stalled`\*\*.*?\n\n(.*?)\n\n", text, re.DOTALL)
    excepted = set(re.findall(r"`(\w+)`", listed))
    # Of another condition.
    (restarts,) = re.findall(r"\nRestarts of workloads.*?\n\n(.*?)\n\n", text, re.DOTALL)
    excepted |= set(re.findall(r"^\| `(\w+)`", restarts, re.MULTILINE))
    lasting = {reason for reason, how in waiting.items() if how.strip().startswith("no")} - excepted
    assert {reason.value for reason in STALLED_REASONS} == lasting
