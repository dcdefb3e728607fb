"""What is remembered of an ExternalSecret between two reconciles."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from secret_sync.controller.memory import Applied, Memories, Memory
from tests.unit.controller.played import secret

pytestmark = pytest.mark.looptime


async def test_a_write_is_remembered_by_its_reply() -> None:
    await asyncio.sleep(3)
    memory = Memory(uid="es-uid")
    memory.remember(b"wanted", secret(version="31"))
    assert memory.applied == Applied(b"wanted", "secret-uid", "31", at=3.0)
    assert memory.written == b"wanted"


async def test_the_news_of_a_deletion_may_overtake_the_reply() -> None:
    memories = Memories()
    memory = memories.of("ns/some")
    memories.deleted("ns/some", "secret-uid")
    memory.remember(b"wanted", secret(version="31"))
    # What was written is still what to repair from; that it stands is not believed.
    assert memory.applied is None
    assert memory.written == b"wanted"
    memory.remember(b"wanted", secret(uid="new", version="33"))
    assert memory.applied is not None


async def test_a_doubted_write_still_tells_whose_secret_it_is() -> None:
    applied = Applied(b"wanted", "secret-uid", "31", 1.0)
    assert applied.doubted() == Applied(b"", "secret-uid", "0", float("-inf"))


async def test_nothing_that_an_api_server_was_told_before_it_went_back_in_time_counts() -> None:
    memories = Memories()
    memory = memories.of("ns/some")
    memory.applied = Applied(b"wanted", "secret-uid", "31", 1.0)
    memory.written, memory.forced, memory.gone = b"wanted", "again", "former-uid"
    none: str | None = None
    memories.distrust("ns/some")
    assert memory.applied == Applied(b"", "secret-uid", "0", float("-inf"))
    assert memory.restored
    # What it should hold is still known; what the user wished for the status tells.
    assert (memory.written, memory.gone, memory.forced) == (b"wanted", "", none)
    memories.distrust("ns/unknown")
    assert memories._memories.keys() == {"ns/some"}


def full() -> Memory:
    """Something of everything."""
    return Memory(
        uid="es-uid",
        target="some",
        applied=Applied(b"x", "secret-uid", "31", 1.0),
        written=b"x",
        forced="monday",
        repairs=(1.0,),
        gone="gone",
        caused_at=5.0,
        waiting_since=6.0,
    )


async def test_the_same_object_with_the_same_target_is_nothing_new() -> None:
    memory = full()
    assert memory.aim("es-uid", "some") is False
    assert memory == full()


async def test_an_object_that_is_created_again_starts_afresh() -> None:
    memory = full()
    assert memory.aim("newer", "some") is True
    # The event that brought it is still unanswered.
    assert replace(memory, forced=None) == Memory(uid="newer", target="some", caused_at=5.0)


async def test_nothing_of_another_target_was_written_yet() -> None:
    memory = full()
    assert memory.aim("es-uid", "other") is False
    assert memory.target == "other"
    assert memory.applied is None
    assert memory.written is None


async def test_that_goes_for_what_it_asked_for_as_well() -> None:
    memory = full()
    memory.aim("newer", "some")
    assert memory.forced is None


async def test_the_oldest_unanswered_cause_counts() -> None:
    memories = Memories()
    memories.cause("ns/some", 1.0)
    memories.cause("ns/some", 2.0)
    assert memories.of("ns/some").caused_at == 1.0


async def test_an_echo_of_our_own_write_is_known() -> None:
    memories = Memories()
    assert not memories.wrote("ns/some", "secret-uid", "31")
    memories.of("ns/some").remember(b"wanted", secret(version="31"))
    assert memories.wrote("ns/some", "secret-uid", "31")
    assert not memories.wrote("ns/some", "secret-uid", "32")
    assert not memories.wrote("ns/some", "another", "31")
    memories.forget("ns/some")
    assert not memories.wrote_any("ns/some")
