"""Events of many namespaces under a virtual clock: none waits for what happens in another."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from secret_sync.clock import loop_time as now
from secret_sync.kube import About, ApiNotFoundError, ApiRefusedError, EventRecorder
from secret_sync.kube.errors import Cause
from tests.unit.kube.fakes import Counts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.kube import ApiError, KubeClient

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

TERMINATING = ApiRefusedError("forbidden", status=403, causes=(Cause("", "NamespaceTerminating"),))
NO_RIGHT = ApiRefusedError(
    'User "system:serviceaccount:ns:secret-sync" cannot create resource "events" in API group ""',
    status=403,
)
NO_NAMESPACE = ApiNotFoundError("no such namespace", status=404)


@dataclass
class SlowEventsApi:
    """Takes Events; ``slow`` and ``refuses`` are by namespace."""

    slow: dict[str, float] = field(default_factory=dict)
    refuses: dict[str, ApiError] = field(default_factory=dict)
    asked: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    taken: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    in_flight: int = 0
    most_in_flight: int = 0

    async def request(self, _method: str, path: str, **_: Any) -> dict[str, Any]:
        namespace = path.split("/")[4]
        self.asked[namespace].append(now())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.slow.get(namespace, 0.02))
        finally:
            self.in_flight -= 1
        if namespace in self.refuses:
            raise self.refuses[namespace]
        self.taken[namespace].append(now())
        return {}


@dataclass
class EventsHarness:
    api: SlowEventsApi
    counts: Counts
    recorder: EventRecorder
    objects: int = 0

    def fail(self, namespace: str, count: int = 1) -> None:
        """So many objects of a namespace are found to be bad."""
        for _ in range(count):
            self.objects += 1
            name = f"es-{self.objects}"
            about = About("alibabacloud.com/v1alpha1", "ExternalSecret", namespace, name, name)
            self.recorder.record(about, "Warning", "SyncFailed", "forbidden")


@pytest.fixture
def harness() -> EventsHarness:
    api, counts = SlowEventsApi(), Counts()
    client = cast("KubeClient", api)
    recorder = EventRecorder(client, component="c", instance="i", observer=counts)
    return EventsHarness(api, counts, recorder)


@asynccontextmanager
async def running(harness: EventsHarness) -> AsyncIterator[None]:
    task = asyncio.create_task(harness.recorder.run())
    await asyncio.sleep(0)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("namespaces", [1, 5])
async def test_the_first_warnings_of_46_objects_are_out_within_a_second(
    harness: EventsHarness, namespaces: int
) -> None:
    async with running(harness):
        for number in range(46):
            harness.fail(f"ns-{number % namespaces}")
        await asyncio.sleep(1)
    assert harness.counts == Counts(Counter(Warning=46))


async def test_a_thousand_of_one_namespace_delay_another_by_one_turn(
    harness: EventsHarness,
) -> None:
    async with running(harness):
        harness.fail("busy", 1000)
        await asyncio.sleep(5)
        began = now()
        harness.fail("quiet")
        await asyncio.sleep(5)
        (taken,) = harness.api.taken["quiet"]
        assert taken - began <= 0.25
        # And the first of two namespaces that begin together does not hold up the second.
        harness.fail("busy", 500)
        harness.fail("late", 10)
        began = now()
        await asyncio.sleep(5)
    assert harness.api.taken["late"][-1] - began <= 2.5


async def test_full_queue_drops_the_last_event_of_the_largest_namespace(
    harness: EventsHarness,
) -> None:
    harness.fail("busy", 1500)
    assert harness.counts.dropped_ == Counter(queue_full=500)
    harness.fail("quiet", 30)
    assert harness.counts.dropped_ == Counter(queue_full=530)
    async with running(harness):
        await asyncio.sleep(200)
    assert len(harness.api.taken["quiet"]) == 30
    assert len(harness.api.taken["busy"]) == 970
    assert harness.counts.sent_ == Counter(Warning=1000)


async def test_a_slow_namespace_holds_up_no_other(harness: EventsHarness) -> None:
    harness.api.slow = {"slow-1": 4.9, "slow-2": 4.9}
    async with running(harness):
        harness.fail("slow-1", 20)
        harness.fail("slow-2", 20)
        harness.fail("quick", 20)
        await asyncio.sleep(1)
        assert len(harness.api.taken["quick"]) == 20
        assert harness.api.in_flight == 8, "four of each"
        await asyncio.sleep(60)
    assert harness.counts == Counts(Counter(Warning=60))


async def test_requests_under_way_are_bounded(harness: EventsHarness) -> None:
    async with running(harness):
        for number in range(90):
            harness.api.slow[f"ns-{number}"] = 3.0
            harness.fail(f"ns-{number}")
        await asyncio.sleep(60)
    assert harness.api.most_in_flight == 32
    assert harness.counts == Counts(Counter(Warning=90))


@pytest.mark.parametrize(
    ("error", "why"),
    [(TERMINATING, "namespace_gone"), (NO_NAMESPACE, "namespace_gone"), (NO_RIGHT, "refused")],
    ids=["end", "404", "right"],
)
async def test_a_namespace_that_takes_none_is_dropped_at_once(
    harness: EventsHarness, error: ApiError, why: str
) -> None:
    harness.api.refuses["going"] = error
    async with running(harness):
        harness.fail("going", 200)
        harness.fail("staying", 20)
        await asyncio.sleep(1)
        assert harness.counts == Counts(Counter(Warning=20), Counter({why: 200}))
        # Those that were under way when the first refusal came, and no more.
        assert len(harness.api.asked["going"]) <= 4
        asked = len(harness.api.asked["going"])
        harness.fail("going", 5)
        await asyncio.sleep(1)
        assert harness.counts.dropped_ == Counter({why: 205})
        assert len(harness.api.asked["going"]) == asked
        # It may have been created again.
        del harness.api.refuses["going"]
        await asyncio.sleep(10)
        harness.fail("going")
        await asyncio.sleep(1)
    assert len(harness.api.taken["going"]) == 1


async def test_counts_that_become_due_in_a_namespace_that_is_gone_are_dropped_too(
    harness: EventsHarness,
) -> None:
    abouts = [
        About("alibabacloud.com/v1alpha1", "ExternalSecret", "going", f"es-{n}", f"uid-{n}")
        for n in range(50)
    ]
    async with running(harness):
        for _ in range(2):
            for about in abouts:
                harness.recorder.record(about, "Warning", "SyncFailed", "forbidden")
                await asyncio.sleep(0.1)
        harness.api.refuses["going"] = NO_NAMESPACE
        asked = len(harness.api.asked["going"])
        await asyncio.sleep(20)
    # One each ten seconds, while they become due one after the other.
    assert len(harness.api.asked["going"]) - asked <= 4
    assert harness.counts.sent_.total() + harness.counts.dropped_.total() == 100


async def test_refused_event_ends_nothing_else(harness: EventsHarness) -> None:
    harness.api.refuses["ns"] = ApiRefusedError("invalid", status=422)
    async with running(harness):
        harness.fail("ns", 10)
        await asyncio.sleep(1)
    assert len(harness.api.asked["ns"]) == 10
    assert harness.counts.dropped_ == Counter(refused=10)


async def test_counts_that_grow_do_not_wait_in_front_of_what_is_new(harness: EventsHarness) -> None:
    abouts = [
        About("alibabacloud.com/v1alpha1", "ExternalSecret", "ns", f"es-{n}", f"uid-{n}")
        for n in range(800)
    ]
    async with running(harness):
        for _ in range(2):
            for about in abouts:
                harness.recorder.record(about, "Warning", "SyncFailed", "forbidden")
            await asyncio.sleep(90)
        harness.recorder.record(abouts[0], "Warning", "SyncFailed", "again")
        for about in abouts:
            harness.recorder.record(about, "Warning", "SyncFailed", "forbidden")
        await asyncio.sleep(30)
        began = now()
        harness.fail("ns", 46)
        await asyncio.sleep(1)
        assert len([at for at in harness.api.taken["ns"] if at > began]) >= 46
