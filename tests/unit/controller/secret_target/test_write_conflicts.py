"""Repairs are limited: a Secret that another writer changes again and again."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.external_secret.state import SyncState, SyncStateStore
from secret_sync.controller.secret_target.write_conflicts import (
    CONFLICT_SECONDS,
    REPAIRS,
    RepairBudget,
)
from secret_sync.controller.sync import UNCHANGED, Changed, Refused
from secret_sync.kube import ApiUnavailableError
from secret_sync.resources import Reason
from tests.unit.controller.fakes import managed, secret
from tests.unit.controller.writing import DESIRED, MARK, MERGE, OURS, WriterHarness, own, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.controller.sync import Pending, WriteResult
    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime


async def repair_after_edit(
    harness: WriterHarness, remembered: SyncState, *, by: str = "argocd"
) -> WriteResult | Pending:
    """Somebody takes our key over, and the control loop sees it."""
    assert remembered.applied is not None
    version = int(remembered.applied.resource_version) + 1
    harness.holds(own(MARK, managed(by, "password"), version=str(version)))
    harness.client.answers.append(own(OURS, version=str(version + 1)))
    return await harness.ensure(remembered)


async def test_a_change_is_undone_three_times_a_minute_then_it_takes_two_to_stop(
    make_es: MakeES,
) -> None:
    harness, remembered = WriterHarness(make_es()), state()
    made = [await repair_after_edit(harness, remembered) for _ in range(REPAIRS)]
    assert all(isinstance(result, Changed) for result in made)
    for _ in range(2):
        refused = await repair_after_edit(harness, remembered, by="ack-secret-manager")
        assert isinstance(refused, Refused)
        assert refused.problem.reason is Reason.WRITE_CONFLICT
        assert "3 times within 60 s by ack-secret-manager" in refused.problem.message
    assert len(harness.client.sent) == REPAIRS


async def test_loss_by_a_restored_api_server_is_no_write_conflict(make_es: MakeES) -> None:
    harness, states = WriterHarness(make_es()), SyncStateStore()
    remembered = states.of("ns/some")
    for field in fields(remembered):
        setattr(remembered, field.name, getattr(state(), field.name))
    states.mark_restored("ns/some")
    harness.holds(own(OURS, version="12"))
    harness.client.answers.append(own(OURS, version="13"))
    assert isinstance(await harness.ensure(remembered), Changed)
    # All three that others have are still theirs.
    made = [await repair_after_edit(harness, remembered) for _ in range(REPAIRS)]
    assert all(isinstance(result, Changed) for result in made)


async def test_from_then_on_there_is_one_write_a_minute_and_no_word_of_peace(
    make_es: MakeES,
) -> None:
    harness, remembered = WriterHarness(make_es()), state()
    for _ in range(REPAIRS + 1):
        await repair_after_edit(harness, remembered)
    for _ in range(5):
        await asyncio.sleep(CONFLICT_SECONDS)
        reported = [await repair_after_edit(harness, remembered) for _ in range(4)]
        assert all(
            isinstance(t, Refused) and t.problem.reason is Reason.WRITE_CONFLICT for t in reported
        )
    assert len(harness.client.sent) == REPAIRS + 5


async def test_write_that_has_stood_for_a_minute_ends_the_conflict(make_es: MakeES) -> None:
    harness, remembered = WriterHarness(make_es()), state()
    for _ in range(REPAIRS + 1):
        await repair_after_edit(harness, remembered)
    await asyncio.sleep(CONFLICT_SECONDS)
    refused = await repair_after_edit(harness, remembered)
    assert isinstance(refused, Refused)
    # The write of this minute is still one for the log.
    assert refused.written == Changed("secret updated", 1, 0)
    assert remembered.applied is not None
    harness.holds(own(version=remembered.applied.resource_version))
    # It is right, but for how long?
    assert isinstance(await harness.ensure(remembered), Refused)
    await asyncio.sleep(CONFLICT_SECONDS)
    assert await harness.ensure(remembered) == UNCHANGED
    made = [await repair_after_edit(harness, remembered) for _ in range(REPAIRS)]
    assert all(isinstance(result, Changed) for result in made)


async def test_repeated_deletion_ends_the_repairs(make_es: MakeES) -> None:
    harness, remembered = (
        WriterHarness(make_es()),
        SyncState(uid="es-uid", target="some", written=b"wanted"),
    )
    made: list[WriteResult | Pending] = []
    for number in range(REPAIRS + 2):
        harness.client.answers.append(own(version=str(30 + number), uid=f"uid-{number}"))
        made.append(await harness.ensure(remembered))
        remembered.applied = None
    assert all(isinstance(result, Changed) for result in made[:REPAIRS])
    assert all(isinstance(m, Refused) and "deleted" in m.problem.message for m in made[REPAIRS:])
    assert harness.client.methods.count("PATCH") == REPAIRS


async def test_write_in_a_conflict_is_reported_although_its_reason_cannot_be_read(
    make_es: MakeES,
) -> None:
    harness, remembered = (
        WriterHarness(make_es()),
        SyncState(uid="es-uid", target="some", written=b"wanted"),
    )
    for number in range(REPAIRS + 1):
        harness.client.answers.append(own(version=str(30 + number), uid=f"uid-{number}"))
        await harness.ensure(remembered)
        remembered.applied = None
    await asyncio.sleep(CONFLICT_SECONDS)
    harness.client.answers.extend([own(version="50", uid="uid-50"), ApiUnavailableError("away")])
    refused = await harness.ensure(remembered)
    assert isinstance(refused, Refused)
    assert refused.written == Changed("secret created", 1, created=True)


async def test_occasional_edit_is_reverted_each_time(make_es: MakeES) -> None:
    harness, remembered = WriterHarness(make_es()), state()
    for _ in range(10):
        assert isinstance(await repair_after_edit(harness, remembered), Changed)
        await asyncio.sleep(CONFLICT_SECONDS / REPAIRS + 1)


async def test_new_values_are_no_write_conflict(make_es: MakeES) -> None:
    harness, remembered = WriterHarness(make_es()), state()
    for number in range(6):
        harness.client.answers.append(own(version=str(30 + number)))
        fresh = Desired(b"%d" % number, DESIRED.keys, DESIRED.data, (), ())
        assert isinstance(await harness.ensure(remembered, fresh), Changed)
    assert remembered.repairs is None


async def test_new_value_is_written_during_a_write_conflict(make_es: MakeES) -> None:
    harness, remembered = WriterHarness(make_es()), state()
    for _ in range(REPAIRS):
        await repair_after_edit(harness, remembered)
    harness.client.answers.append(own(version="50"))
    fresh = Desired(b"fresh", DESIRED.keys, DESIRED.data, (), ())
    assert isinstance(await harness.ensure(remembered, fresh), Changed)


async def test_an_apply_that_changes_nothing_is_no_blow(make_es: MakeES) -> None:
    # After a restart nothing is known of the values.
    harness = WriterHarness(make_es())
    harness.holds(own())
    remembered = SyncState(uid="es-uid", target="some", written=b"wanted")
    for _ in range(5):
        remembered.applied = None
        harness.client.answers.extend([own(), own()])
        assert await harness.ensure(remembered) == UNCHANGED
    assert remembered.repairs is not None
    assert remembered.repairs.repairs == ()


async def test_conflict_is_over_when_a_write_finds_nothing_to_change(make_es: MakeES) -> None:
    harness, remembered = WriterHarness(make_es()), state()
    for _ in range(REPAIRS + 1):
        await repair_after_edit(harness, remembered, by="flux")
    await asyncio.sleep(CONFLICT_SECONDS)
    # The entry of such a writer stays, and others write labels all the time.
    by_flux = {**managed("flux", operation="Apply"), "fieldsV1": {"f:stringData": {"f:a": {}}}}
    found = own(OURS, by_flux, version="60")
    harness.holds(found)
    harness.client.answers.clear()
    harness.client.answers.extend([found, found])
    assert await harness.ensure(remembered) == UNCHANGED
    assert remembered.repairs == RepairBudget()


async def test_merged_keys_are_given_up_after_repeated_conflicts(make_es: MakeES) -> None:
    merged = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    harness = WriterHarness(make_es(target=MERGE))
    made: list[WriteResult | Pending] = []
    remembered = state(merge=True)
    for number in range(REPAIRS + 1):
        # Somebody replaces the whole Secret, our key with it.
        replaced = secret(managed("argocd", "username"), version=str(30 + 2 * number))
        harness.holds(replaced)
        harness.client.answers.extend([replaced, secret(merged, version=str(31 + 2 * number))])
        made.append(await harness.ensure(remembered))
    assert all(isinstance(result, Changed) for result in made[:REPAIRS])
    last = made[-1]
    assert isinstance(last, Refused)
    assert last.problem.reason is Reason.WRITE_CONFLICT


@pytest.mark.parametrize("target", [{}, MERGE], ids=["own", "merged into"])
async def test_writer_that_replaces_the_whole_secret_is_named(
    make_es: MakeES, target: dict[str, Any]
) -> None:
    harness = WriterHarness(make_es(target=target))
    remembered = state(merge=bool(target))
    now = asyncio.get_running_loop().time()
    remembered.repairs = RepairBudget(repairs=(now,) * REPAIRS)
    theirs = secret(managed("argocd", "password"), version="30")
    harness.holds(theirs)
    harness.client.answers.append(theirs)
    refused = await harness.ensure(remembered)
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.WRITE_CONFLICT
    assert "argocd" in refused.problem.message
