"""What was interrupted does not rest: of several writes none counts unless all were made."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from secret_sync.controller.secret_target.write_conflicts import REPAIRS, RepairBudget
from secret_sync.kube import ApiUnavailableError
from tests.unit.controller.fakes import managed
from tests.unit.controller.writing import DESIRED, MARK, OURS, WriterHarness, own, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret

pytestmark = pytest.mark.looptime

EXTRA = {
    **managed("kubectl", operation="Apply"),
    "fieldsV1": {"f:stringData": {"f:extra": {}}},
}


async def test_interrupted_change_is_finished_at_the_next_reconcile(
    make_es: Callable[..., ExternalSecret],
) -> None:
    harness, remembered = WriterHarness(make_es()), state()
    now = asyncio.get_running_loop().time()
    remembered.repairs = RepairBudget(rechecks=(now,) * REPAIRS)
    # Our key is gone, and another one has come by stringData: seen, so written at once.
    harness.holds(own(MARK, EXTRA, version="21"))
    repaired = own(OURS, EXTRA, version="22")
    harness.client.answers.extend([repaired, ApiUnavailableError("no answer")])
    with pytest.raises(ApiUnavailableError):
        await harness.ensure(remembered)
    assert remembered.applied is not None
    assert remembered.applied.fingerprint == b""
    # The key of stringData is still in it.
    harness.holds(repaired)
    await asyncio.sleep(1)
    harness.client.answers.extend([repaired, own(OURS, version="23")])
    before = len(harness.client.sent)
    await harness.ensure(remembered)
    assert len(harness.client.sent) > before


async def test_a_lost_answer_is_not_rested_on(make_es: Callable[..., ExternalSecret]) -> None:
    """The Secret holds another value than the one that is desired again."""
    harness, remembered = WriterHarness(make_es()), state()
    now = asyncio.get_running_loop().time()
    remembered.repairs = RepairBudget(rechecks=(now,) * REPAIRS)
    harness.holds(own(OURS, version="20"))
    harness.client.answers.append(ApiUnavailableError("the connection broke"))
    with pytest.raises(ApiUnavailableError):
        await harness.ensure(remembered, replace(DESIRED, fingerprint=b"rotated"))
    # It was written all the same; and the rotation is taken back.
    harness.holds(own(OURS, version="21"))
    harness.client.answers.append(own(OURS, version="22"))
    before = len(harness.client.sent)
    await harness.ensure(remembered)
    assert len(harness.client.sent) > before
