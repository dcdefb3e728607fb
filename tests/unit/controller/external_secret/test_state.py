"""What is remembered of an ExternalSecret between two reconciles."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from secret_sync.controller.external_secret.state import Applied, SyncState, SyncStateStore
from secret_sync.controller.secret_target.write_conflicts import RepairBudget
from secret_sync.resources import secret_from_metadata
from tests.unit.controller.fakes import secret

pytestmark = pytest.mark.looptime


async def test_a_write_is_remembered_by_its_reply() -> None:
    await asyncio.sleep(3)
    state = SyncState(uid="es-uid")
    state.remember(b"wanted", secret(version="31"))
    assert state.applied == Applied(b"wanted", "secret-uid", "31", at=3.0)
    assert state.written == b"wanted"


async def test_deletion_event_may_overtake_the_response() -> None:
    states = SyncStateStore()
    state = states.of("ns/some")
    states.deleted("ns/some", "secret-uid")
    state.remember(b"wanted", secret(version="31"))
    # What was written is still what to repair from; that it stands is not believed.
    assert state.applied is None
    assert state.written == b"wanted"
    state.remember(b"wanted", secret(uid="new", version="33"))
    assert state.applied is not None


async def test_invalidated_write_still_identifies_the_secret() -> None:
    applied = Applied(b"wanted", "secret-uid", "31", 1.0)
    assert applied.invalidated() == Applied(b"", "secret-uid", "0", float("-inf"))


async def test_writes_before_a_restore_of_the_api_server_do_not_count() -> None:
    states = SyncStateStore()
    state = states.of("ns/some")
    state.applied = Applied(b"wanted", "secret-uid", "31", 1.0)
    state.written, state.forced, state.gone = b"wanted", "again", "former-uid"
    none: str | None = None
    states.mark_restored("ns/some")
    assert state.applied == Applied(b"", "secret-uid", "0", float("-inf"))
    assert state.restored
    # What it should hold is still known; what the user requested is in the status.
    assert (state.written, state.gone, state.forced) == (b"wanted", "", none)
    states.mark_restored("ns/unknown")
    assert states.of("ns/unknown") == SyncState()


def full() -> SyncState:
    """Something of everything."""
    return SyncState(
        uid="es-uid",
        target="some",
        applied=Applied(b"x", "secret-uid", "31", 1.0),
        written=b"x",
        forced="monday",
        repairs=RepairBudget(repairs=(1.0,)),
        gone="gone",
        triggered_at=5.0,
        waiting_since=6.0,
    )


async def test_the_same_object_with_the_same_target_is_nothing_new() -> None:
    state = full()
    assert state.retarget("es-uid", "some") is False
    assert state == full()


async def test_an_object_that_is_created_again_starts_afresh() -> None:
    state = full()
    assert state.retarget("newer", "some") is True
    # The event that brought it is still unanswered.
    assert replace(state, forced=None) == SyncState(uid="newer", target="some", triggered_at=5.0)


async def test_nothing_of_another_target_was_written_yet() -> None:
    state = full()
    assert state.retarget("es-uid", "other") is False
    assert state.target == "other"
    assert state.applied is None
    assert state.written is None


async def test_answered_force_sync_is_forgotten_with_the_target() -> None:
    state = full()
    state.retarget("newer", "some")
    assert state.forced is None


async def test_the_oldest_unanswered_cause_counts() -> None:
    states = SyncStateStore()
    states.mark_triggered("ns/some", 1.0)
    states.mark_triggered("ns/some", 2.0)
    assert states.of("ns/some").triggered_at == 1.0


async def test_an_echo_of_our_own_write_is_known() -> None:
    states = SyncStateStore()
    written = secret(version="31")
    meta = secret_from_metadata(written)
    assert not states.wrote("ns/some", meta)
    states.of("ns/some").remember(b"wanted", written)
    assert states.wrote("ns/some", meta)
    assert not states.wrote("ns/some", replace(meta, resource_version="32"))
    assert not states.wrote("ns/some", replace(meta, uid="another"))
    states.forget("ns/some")
    assert not states.wrote_any("ns/some")
