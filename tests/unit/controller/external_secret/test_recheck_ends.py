"""What needs no write when it is looked at may need one a moment later: no values, no write."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from secret_sync.controller.secret_target.write_conflicts import (
    RECHECK_SECONDS,
    REPAIRS,
    RepairBudget,
)
from secret_sync.queue import Done, RequeueAfter, Retry
from tests.unit.controller.fakes import managed
from tests.unit.controller.looping import Loop
from tests.unit.controller.writing import OURS, WriterHarness, own

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret

pytestmark = pytest.mark.looptime


async def test_stop_that_ends_between_read_and_write_is_no_fault(
    make_es: Callable[..., ExternalSecret], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue hands a key out up to a tick early, so that a reconcile straddles the end."""
    es = make_es(data=[{"key": "doc", "jmesPath": [{"path": "a", "objectAlias": "password"}]}])
    harness = WriterHarness(es)
    loop = Loop(es, writer=harness.writer)
    loop.knows(doc=b'{"a": "v"}')
    made = own(OURS, version="20")
    harness.client.answers.extend([made] * 4)
    await loop.reconcile()
    by_string_data = {
        **managed("flux", operation="Apply"),
        "fieldsV1": {"f:stringData": {"f:password": {}}},
    }
    harness.holds(own(OURS, by_string_data, version="21"))
    now = asyncio.get_running_loop().time()
    loop.state.repairs = RepairBudget(rechecks=(now,) * REPAIRS)
    await asyncio.sleep(RECHECK_SECONDS - 0.0005)
    real, looks = RepairBudget.recheck_delay, 0

    def rest(budget: RepairBudget, at: float) -> float:
        """As it is, with half a millisecond of work between two looks."""
        nonlocal looks
        looks += 1
        if looks == 2:
            loop_ = asyncio.get_running_loop()
            monkeypatch.setattr(loop_, "time", lambda: now + RECHECK_SECONDS + 0.0001)
            at = loop_.time()
        return real(budget, at)

    monkeypatch.setattr(RepairBudget, "recheck_delay", rest)
    harness.client.answers.extend([own(OURS, by_string_data, version="21")] * 6)
    outcome = await loop.reconcile()
    assert isinstance(outcome, Done | RequeueAfter | Retry)
