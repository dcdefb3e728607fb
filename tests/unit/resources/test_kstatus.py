"""What the library kstatus, which Flux waits with, makes of our objects in each state."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kstatus.objects import VERDICTS, read_objects
from tests.support.kstatus import kstatus

ROWS: list[dict[str, Any]] = json.loads(VERDICTS.read_text())
EXPECTED = {
    "created": "InProgress",
    # Without the default of the CRD, an object that nobody has looked at would be in order.
    "without status": "Current",
    "ready": "Current",
    "failing": "InProgress",
    "missing": "InProgress",
    "stalled": "Failed",
    "waiting": "InProgress",
    "outdated": "InProgress",
    "ready, edited": "InProgress",
    "stalled, edited": "InProgress",
    "deleting": "Terminating",
    "children not ready": "Current",
}


def test_kstatus_data_belongs_to_the_objects() -> None:
    assert {row["name"]: row["object"] for row in ROWS} == read_objects(), "run make kstatus"


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_kstatus_library_and_its_model_agree_on_the_state_of_an_object(row: dict[str, Any]) -> None:
    _, _, state = row["name"].partition("/")
    assert (row["verdict"], kstatus(row["object"])) == (EXPECTED[state], EXPECTED[state])
