"""A Secret that others write all the time: how often it is made sure that it is still right.

An entry with ``stringData`` outlives what it set, and from then on every new version may hide
another value. Only a write shows it, and most of the time it finds nothing to change.
"""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.secret_target.payload_digests import KEPT_SECONDS, PayloadDigests
from secret_sync.controller.secret_target.write_conflicts import (
    CONFLICT_SECONDS,
    RECHECK_SECONDS,
    REPAIRS,
    RepairBudget,
)
from secret_sync.controller.sync import UNCHANGED
from secret_sync.errors import ReferenceChangedError
from secret_sync.kube import ApiUnavailableError, Ref
from secret_sync.queue import Done, RequeueAfter
from tests.unit.controller.extracting import an_es
from tests.unit.controller.fakes import PlayedClient, managed, secret
from tests.unit.controller.looping import Loop
from tests.unit.controller.writing import DESIRED, MERGE, OURS, WriterHarness, own, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.controller.external_secret.state import SyncState
    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime

BY_STRING_DATA = {
    **managed("flux", operation="Apply"),
    "fieldsV1": {"f:stringData": {"f:password": {}}},
}
MERGED = managed("secret-sync-merge-es-uid", "password", operation="Apply")
VALUES = {"password": "dg=="}


def stored(version: int, *, merge: bool) -> dict[str, Any]:
    """What has our value, under a label that somebody has just edited."""
    entries = (MERGED if merge else OURS), BY_STRING_DATA
    if merge:
        return {**secret(*entries, version=str(version)), "data": VALUES}
    return {**own(*entries, version=str(version)), "data": VALUES}


async def edit(harness: WriterHarness, remembered: SyncState, version: int, *, merge: bool) -> int:
    """Somebody edits a label; returns how many requests that causes."""
    found = stored(version, merge=merge)
    harness.holds(found)
    harness.client.answers.clear()
    harness.client.answers.extend([found] * 4)
    before = len(harness.client.sent)
    assert await harness.ensure(remembered) == UNCHANGED
    return len(harness.client.sent) - before


@pytest.fixture(params=[False, True], ids=["Owner", "Merge"])
def merge(request: pytest.FixtureRequest) -> bool:
    found: bool = request.param
    return found


@pytest.fixture
def harness(make_es: MakeES, *, merge: bool) -> WriterHarness:
    return WriterHarness(make_es(**({"target": MERGE} if merge else {})))


def remembering(*, merge: bool) -> SyncState:
    return state(merge=merge)


async def test_the_first_edits_are_looked_at_at_once_then_one_in_a_few_seconds(
    harness: WriterHarness, *, merge: bool
) -> None:
    remembered = remembering(merge=merge)
    costs = [await edit(harness, remembered, 21 + n, merge=merge) for n in range(REPAIRS)]
    assert all(costs)
    assert [await edit(harness, remembered, 30 + n, merge=merge) for n in range(50)] == [0] * 50
    await asyncio.sleep(RECHECK_SECONDS)
    assert [bool(await edit(harness, remembered, 90 + n, merge=merge)) for n in range(3)] == [
        True,
        False,
        False,
    ]
    # Once nobody has edited it for a while, the next edits are looked at at once.
    await asyncio.sleep(CONFLICT_SECONDS)
    assert await edit(harness, remembered, 100, merge=merge)


async def test_visible_drift_is_repaired_at_once(harness: WriterHarness, *, merge: bool) -> None:
    remembered = remembering(merge=merge)
    for n in range(REPAIRS + 1):
        await edit(harness, remembered, 21 + n, merge=merge)
    lost = managed("secret-sync-merge-es-uid", operation="Apply")
    found = secret(lost, version="40") if merge else own(OURS, managed("x", "added"), version="40")
    harness.holds(found)
    right = stored(41, merge=merge)
    harness.client.answers.clear()
    harness.client.answers.extend([found] if merge else [])
    harness.client.answers.extend([right] * 3)
    before = len(harness.client.sent)
    await harness.ensure(remembered)
    assert len(harness.client.sent) > before


async def test_another_value_is_written_at_once(harness: WriterHarness, *, merge: bool) -> None:
    remembered = remembering(merge=merge)
    for n in range(REPAIRS + 1):
        await edit(harness, remembered, 21 + n, merge=merge)
    remembered.written = b"older"
    assert await edit(harness, remembered, 40, merge=merge)


async def test_resting_object_fetches_nothing(harness: WriterHarness, *, merge: bool) -> None:
    remembered = remembering(merge=merge)
    for n in range(REPAIRS):
        await edit(harness, remembered, 21 + n, merge=merge)
    harness.holds(stored(40, merge=merge))
    assert harness.writer.is_right(harness.context(remembered), DESIRED)
    await asyncio.sleep(RECHECK_SECONDS)
    assert not harness.writer.is_right(harness.context(remembered), DESIRED)


async def test_an_object_that_rests_is_looked_at_again_by_itself() -> None:
    loop = Loop(an_es(data=[{"key": "a"}]))
    loop.knows(a=b"1")
    loop.writer.answer = UNCHANGED
    assert await loop.reconcile() == Done()
    now = asyncio.get_running_loop().time()
    loop.state.repairs = RepairBudget(rechecks=(now,) * REPAIRS)
    assert await loop.reconcile() == RequeueAfter(RECHECK_SECONDS)
    await asyncio.sleep(RECHECK_SECONDS)
    assert await loop.reconcile() == Done()


# -- One payload for all who merge into a Secret -----------------------------------------------


def digests(*answers: Any) -> tuple[PayloadDigests, PlayedClient]:
    client: Any = PlayedClient(*answers)
    return PayloadDigests(client), client


REF = Ref("ns", "some", "secret-uid", "20")
STORED = stored(20, merge=True)


async def test_version_is_read_once_for_concurrent_requests() -> None:
    shared, client = digests(STORED, STORED)
    found = await asyncio.gather(*(shared.read(REF) for _ in range(100)))
    assert found == [{"password": shared.digest(b"v")}] * 100
    assert b"v" not in found[0].values()
    await shared.read(REF)
    assert len(client.sent) == 1
    await asyncio.sleep(KEPT_SECONDS)
    await shared.read(REF)
    assert len(client.sent) == 2


async def test_another_version_is_read_for_itself() -> None:
    shared, client = digests(STORED, stored(21, merge=True))
    await asyncio.gather(shared.read(REF), shared.read(replace(REF, resource_version="21")))
    assert len(client.sent) == 2


async def test_interrupted_or_refused_request_spoils_nothing_for_others() -> None:
    shared, client = digests(ApiUnavailableError("away", status=503), STORED)
    first, second, third = (asyncio.create_task(shared.read(REF)) for _ in range(3))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(ApiUnavailableError):
        await second
    assert await third
    client.answers.append(STORED)
    with pytest.raises(ReferenceChangedError):
        await shared.read(replace(REF, resource_version="19"))
    assert len(shared) <= 2
    del first, second, third
    gc.collect()
    assert len(shared) == 1
