"""What the control loop of ExternalSecrets tells of new data, so that workloads restart."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.sync import UNCHANGED, Changed
from secret_sync.kube import ApiUnavailableError
from secret_sync.resources import ExternalSecretStatus
from tests.unit.controller.extracting import reading
from tests.unit.controller.looping import KEY, Loop
from tests.unit.controller.restarting import KEY_PATH, PlayedCluster, Process, restarting

if TYPE_CHECKING:
    from secret_sync.controller.restart.tracker import RestartTracker
    from secret_sync.resources import ExternalSecret
    from secret_sync.resources.restart import RestartStatus

pytestmark = pytest.mark.looptime


class RestartLoop(Loop):
    """One whose workloads are known to a played API server."""

    def __init__(self, **spec: Any) -> None:
        self.played = PlayedCluster()
        self.process: Process
        es = restarting("deployment/shop", data=[{"key": "a"}], **spec)
        super().__init__(es, restarts=self._make)

    def _make(self, loop: Loop) -> RestartTracker:
        self.process = Process(self.played, loop.statuses)
        self.process.events = loop.events
        return self.process.tracker

    @property
    def restart(self) -> RestartStatus | None:
        held = self.statuses.held.get(KEY, ExternalSecretStatus())
        return held.restart

    def is_due(self) -> bool:
        return self.restart is not None and self.restart.pending

    def has_digest(self) -> bool:
        return self.restart is not None

    def edited(self, **changes: Any) -> ExternalSecret:
        held = self.objects.get(KEY)
        assert held is not None
        return replace(held, status=self.statuses.held[KEY], **changes)


async def test_a_new_value_makes_a_restart_due_and_the_first_one_does_not() -> None:
    loop = RestartLoop()
    loop.knows(a=b"1")
    await loop.reconcile()
    assert loop.has_digest()
    assert not loop.is_due()
    assert loop.statuses.held[KEY].target == "some"
    loop.knows(a=b"2")
    await loop.reconcile(loop.edited())
    assert loop.is_due()
    assert loop.reported == ("True", "Synced")
    assert await loop.process.queue.get() == "ns/Deployment/shop"


async def test_drift_is_repaired_without_a_restart() -> None:
    loop = RestartLoop()
    loop.knows(a=b"1")
    await loop.reconcile()
    await loop.reconcile()
    assert loop.writer.written == [{"a": b"1"}, {"a": b"1"}]
    assert not loop.is_due()


async def test_an_unknown_value_is_fetched_for_its_first_digest() -> None:
    loop = RestartLoop()
    loop.writer.right, loop.writer.answer = True, UNCHANGED
    loop.knows(a=reading(b"1", in_hand=False))
    await loop.reconcile()
    assert loop.sources.log == ["register", "fetch a"]
    assert not loop.has_digest()
    loop.knows(a=b"1")
    await loop.reconcile()
    assert loop.has_digest()
    # Later it is known without its value.
    loop.knows(a=reading(b"1", in_hand=False))
    await loop.reconcile()
    assert loop.sources.log.count("fetch a") == 1
    assert not loop.is_due()


async def test_an_object_without_restarts_asks_for_no_key() -> None:
    loop = RestartLoop()
    loop.knows(a=b"1")
    held = loop.objects.get(KEY)
    assert held is not None
    await loop.reconcile(replace(held, restart=None))
    assert not loop.played.asked
    assert not loop.has_digest()


async def test_a_key_that_cannot_be_asked_for_delays_no_secret() -> None:
    loop = RestartLoop()
    loop.knows(a=b"1")
    loop.played.faults[f"GET {KEY_PATH}"] = ApiUnavailableError("away")
    await loop.reconcile()
    assert loop.writer.written == [{"a": b"1"}]
    assert loop.reported == ("True", "Synced")
    assert not loop.has_digest()
    loop.played.faults.clear()
    async with asyncio.timeout(10):
        assert await loop.process.object_queue.get() == KEY
    await loop.reconcile(loop.edited())
    assert loop.has_digest()


async def test_a_removed_annotation_removes_the_status() -> None:
    loop = RestartLoop()
    loop.knows(a=b"1")
    await loop.reconcile()
    await loop.reconcile(loop.edited(restart=None))
    assert not loop.has_digest()


async def test_a_secret_that_is_created_once_restarts_for_its_next_value() -> None:
    loop = RestartLoop(refreshPolicy="CreatedOnce")
    loop.writer.there = True
    loop.knows(a=b"1")
    await loop.reconcile()
    assert loop.has_digest()
    assert not loop.is_due()
    loop.writer.there = False
    await loop.reconcile(loop.edited(force_sync="now"))
    assert loop.is_due()


async def test_a_secret_that_is_created_once_does_not_restart_for_the_same_value() -> None:
    loop = RestartLoop(refreshPolicy="CreatedOnce")
    loop.writer.there = True
    loop.knows(a=b"1")
    await loop.reconcile()
    loop.writer.there, loop.writer.answer = False, UNCHANGED
    await loop.reconcile(loop.edited(force_sync="now"))
    assert loop.restart is not None
    assert loop.restart.data
    assert not loop.is_due()


async def test_a_secret_that_is_created_again_begins_with_its_value() -> None:
    loop = RestartLoop(refreshPolicy="CreatedOnce")
    loop.writer.there = True
    loop.knows(a=b"1")
    await loop.reconcile()
    # Someone deleted it.
    loop.writer.there, loop.writer.answer = False, Changed("secret created", 1, created=True)
    await loop.reconcile(loop.edited())
    assert loop.restart is not None
    assert loop.restart.data
    assert not loop.is_due()
    loop.knows(a=b"2")
    loop.writer.answer = Changed("secret updated", 1)
    await loop.reconcile(loop.edited(force_sync="now"))
    assert loop.is_due()


async def test_a_restart_that_is_due_goes_on_although_nothing_can_be_fetched() -> None:
    loop = RestartLoop()
    due = {"restart": {"dataDigest": "k.2", "restartedFor": "k.1"}}
    es = restarting("deployment/shop", data=[{"key": "a"}], status=due)
    await loop.reconcile(es)
    assert loop.reported == ("", "")
    async with asyncio.timeout(60):
        assert await loop.process.queue.get() == "ns/Deployment/shop"
