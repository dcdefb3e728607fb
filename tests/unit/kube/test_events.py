"""Events under a virtual clock: what is sent, when, and what is not."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
from structlog.testing import capture_logs

from secret_sync.clock import loop_time as now
from secret_sync.kube import (
    About,
    ApiConflictError,
    ApiNotFoundError,
    ApiRefusedError,
    ApiUnavailableError,
    EventRecorder,
)
from tests.unit.kube.fakes import Counts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.kube import (
        ApiError,
        KubeClient,
    )

pytestmark = pytest.mark.looptime

ES = About("alibabacloud.com/v1alpha1", "ExternalSecret", "ns", "es", "uid-1")
#: Long enough for anything but what waits for a bucket to refill.
SOON = 60.0


@dataclass
class EventsApi:
    """Events as an API server keeps them.

    Attributes:
        fails: What is raised at the next requests, in turn.
        seconds: What each request takes.
        asked: The path of the Event of each request.
    """

    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[float, str]] = field(default_factory=list)
    fails: list[ApiError] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    seconds: float = 0.0

    async def request(self, method: str, path: str, *, body: Any, **_: Any) -> dict[str, Any]:
        self.calls.append((now(), method))
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
        self.asked.append(path)
        await asyncio.sleep(self.seconds)
        if self.fails:
            raise self.fails.pop(0)
        if method == "POST":
            if path in self.events:
                raise ApiConflictError("exists", status=409)
            self.events[path] = body
        elif path in self.events:
            self.events[path] |= body
        else:
            raise ApiNotFoundError("gone", status=404)
        return {}

    @property
    def delivered(self) -> list[tuple[str, int]]:
        """Message and count of each Event."""
        return [(e["message"], e["count"]) for e in self.events.values()]


@pytest.fixture
def api() -> EventsApi:
    return EventsApi()


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def recorder(api: EventsApi, counts: Counts) -> EventRecorder:
    client = cast("KubeClient", api)
    return EventRecorder(client, component="secret-sync", instance="pod-1", observer=counts)


@asynccontextmanager
async def running(recorder: EventRecorder) -> AsyncIterator[None]:
    task = asyncio.create_task(recorder.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def about(number: int) -> About:
    return About(ES.api_version, ES.kind, "ns", f"es-{number}", f"uid-{number}")


async def test_an_event_is_sent_at_once(
    api: EventsApi, counts: Counts, recorder: EventRecorder
) -> None:
    async with running(recorder):
        await asyncio.sleep(5)
        recorder.record(ES, "Normal", "Synced", "3 keys")
        await asyncio.sleep(SOON)
    assert api.calls == [(5, "POST")]
    assert api.delivered == [("3 keys", 1)]
    assert counts == Counts(Counter(Normal=1))


async def test_same_message_is_one_event_whose_count_grows(
    api: EventsApi, counts: Counts, recorder: EventRecorder
) -> None:
    async with running(recorder):
        for _ in range(5):
            recorder.record(ES, "Warning", "SyncFailed", "forbidden")
            await asyncio.sleep(1)
        await asyncio.sleep(SOON)
    # All that came while the Event was too young to be written again is one write.
    assert api.calls == [(0, "POST"), (10, "PATCH")]
    assert api.delivered == [("forbidden", 5)]
    assert counts.sent_ == Counter(Warning=5)


async def test_an_event_that_keeps_growing_is_written_less_and_less(
    api: EventsApi, recorder: EventRecorder
) -> None:
    async with running(recorder):
        for _ in range(1500):
            recorder.record(ES, "Warning", "SyncFailed", "forbidden")
            await asyncio.sleep(1)
        await asyncio.sleep(600)
    assert [at for at, _ in api.calls] == [0, 10, 30, 70, 150, 310, 610, 910, 1210, 1510]
    assert api.delivered == [("forbidden", 1500)]


@pytest.mark.parametrize(
    "other",
    [
        (ES, "Normal", "SyncFailed", "forbidden"),
        (ES, "Warning", "Conflict", "forbidden"),
        (ES, "Warning", "SyncFailed", "not found"),
        (about(2), "Warning", "SyncFailed", "forbidden"),
    ],
)
async def test_other_message_is_another_event(
    api: EventsApi, recorder: EventRecorder, other: tuple[About, Any, str, str]
) -> None:
    async with running(recorder):
        recorder.record(ES, "Warning", "SyncFailed", "forbidden")
        recorder.record(*other)
        await asyncio.sleep(SOON)
    assert [count for _, count in api.delivered] == [1, 1]


async def test_event_is_new_again_after_ten_quiet_minutes(
    api: EventsApi, recorder: EventRecorder
) -> None:
    async with running(recorder):
        for wait in (599, 601, SOON):
            recorder.record(ES, "Normal", "Synced", "3 keys")
            await asyncio.sleep(wait)
    assert api.delivered == [("3 keys", 2), ("3 keys", 1)]


async def test_an_object_has_a_burst_and_then_one_in_five_minutes(
    api: EventsApi, counts: Counts, recorder: EventRecorder
) -> None:
    async with running(recorder):
        for number in range(30):
            recorder.record(ES, "Normal", "Updated", f"version {number}")
        recorder.record(about(2), "Normal", "Synced", "another object has its own")
        await asyncio.sleep(300)
        assert len(api.events) == 26
        for number in range(30, 32):
            recorder.record(ES, "Normal", "Updated", f"version {number}")
        await asyncio.sleep(SOON)
    assert len(api.events) == 27
    assert counts.sent_.total() == 27
    assert counts.dropped_ == Counter(rate=6)


async def test_event_allowance_of_an_object_does_not_pile_up(
    api: EventsApi, recorder: EventRecorder
) -> None:
    async with running(recorder):
        recorder.record(ES, "Normal", "Updated", "first")
        await asyncio.sleep(86400)
        for number in range(30):
            recorder.record(ES, "Normal", "Updated", f"version {number}")
        await asyncio.sleep(SOON)
    assert len(api.events) == 26


async def test_a_hundred_at_once_and_then_ten_a_second_in_all(
    api: EventsApi, recorder: EventRecorder
) -> None:
    async with running(recorder):
        for number in range(300):
            recorder.record(about(number), "Normal", "Synced", "3 keys")
        await asyncio.sleep(SOON)
    times = [at for at, _ in api.calls]
    assert times == pytest.approx([0.0] * 100 + [n / 10 for n in range(1, 201)], abs=1e-3)


async def test_the_queue_is_bounded_and_what_finds_no_place_counted(
    api: EventsApi, counts: Counts, recorder: EventRecorder
) -> None:
    for number in range(1100):
        recorder.record(about(number), "Normal", "Synced", "3 keys")
    assert counts.dropped_ == Counter(queue_full=100)
    # What is queued already, or only grows, needs no place.
    recorder.record(about(0), "Normal", "Synced", "3 keys")
    async with running(recorder):
        await asyncio.sleep(200)
    assert counts == Counts(Counter(Normal=1001), Counter(queue_full=100))


@pytest.mark.slow
async def test_growing_old_events_do_not_keep_out_new_ones(
    api: EventsApi, counts: Counts, recorder: EventRecorder
) -> None:
    async with running(recorder):
        for _ in range(2):
            for number in range(1000):
                recorder.record(about(number), "Normal", "Synced", "3 keys")
            await asyncio.sleep(120)
            # From here on all of them grow, and wait longer for it than this test takes.
        for number in range(1000):
            recorder.record(about(number), "Normal", "Synced", "3 keys")
        recorder.record(about(2000), "Normal", "Synced", "3 keys")
    assert not counts.dropped_


@pytest.mark.slow
async def test_remembered_events_are_bounded(api: EventsApi, recorder: EventRecorder) -> None:
    async with running(recorder):
        for number in range(6000):
            recorder.record(about(number), "Normal", "Synced", "3 keys")
            if number % 500 == 0:
                await asyncio.sleep(51)
    assert "4097 known of 4097 objects" in repr(recorder)
    await asyncio.sleep(700)
    recorder.record(ES, "Normal", "Synced", "3 keys")
    assert " 1 known of" in repr(recorder), "the others are too old to grow"


async def test_a_passing_failure_is_tried_again(
    api: EventsApi, counts: Counts, recorder: EventRecorder
) -> None:
    api.fails = [ApiUnavailableError("no answer"), ApiUnavailableError("busy", retry_after=7)]
    async with running(recorder):
        recorder.record(ES, "Normal", "Synced", "3 keys")
        await asyncio.sleep(SOON)
    assert [at for at, _ in api.calls] == [0, 1, 8]
    assert api.delivered == [("3 keys", 1)]
    assert counts == Counts(Counter(Normal=1))


async def test_a_failure_that_does_not_pass_is_given_up(
    api: EventsApi, counts: Counts, recorder: EventRecorder
) -> None:
    api.fails = [ApiUnavailableError("no answer")] * 4
    async with running(recorder):
        recorder.record(ES, "Normal", "Synced", "3 keys")
        await asyncio.sleep(SOON)
        assert counts == Counts(dropped_=Counter(unavailable=1))
        # Nothing of it stands, so it is reported when it comes again.
        recorder.record(ES, "Normal", "Synced", "3 keys")
        await asyncio.sleep(SOON)
    assert api.delivered == [("3 keys", 1)]


@pytest.mark.parametrize(
    "error",
    [
        ApiRefusedError("forbidden", status=403),
        ApiRefusedError("invalid", status=422),
    ],
)
async def test_a_refusal_is_final_and_stops_nothing_else(
    api: EventsApi, counts: Counts, recorder: EventRecorder, error: ApiError
) -> None:
    api.fails = [error]
    async with running(recorder):
        recorder.record(ES, "Normal", "Synced", "refused")
        recorder.record(about(2), "Normal", "Synced", "taken")
        await asyncio.sleep(SOON)
    assert api.delivered == [("taken", 1)]
    assert counts == Counts(Counter(Normal=1), Counter(refused=1))


async def test_an_event_that_expired_is_made_again_with_its_count(
    api: EventsApi, recorder: EventRecorder
) -> None:
    async with running(recorder):
        recorder.record(ES, "Normal", "Synced", "3 keys")
        await asyncio.sleep(30)
        api.events.clear()
        recorder.record(ES, "Normal", "Synced", "3 keys")
        await asyncio.sleep(30)
    assert api.delivered == [("3 keys", 2)]


async def test_an_answer_that_got_lost_makes_no_second_event(
    api: EventsApi, counts: Counts, recorder: EventRecorder
) -> None:
    async with running(recorder):
        api.seconds = 3
        recorder.record(ES, "Normal", "Synced", "3 keys")
        await asyncio.sleep(1)
    # Cut off while on its way; the server has it all the same.
    (path,) = api.asked
    api.events[path] = {"message": "3 keys", "count": 1}
    await recorder.flush(10)
    assert api.delivered == [("3 keys", 1)]
    assert counts == Counts(Counter(Normal=1))


async def test_an_occurrence_during_a_write_is_sent_later(
    api: EventsApi, counts: Counts, recorder: EventRecorder
) -> None:
    api.seconds = 2
    async with running(recorder):
        recorder.record(ES, "Normal", "Synced", "3 keys")
        await asyncio.sleep(1)
        recorder.record(ES, "Normal", "Synced", "3 keys")
        await asyncio.sleep(SOON)
    assert api.delivered == [("3 keys", 2)]
    assert counts.sent_ == Counter(Normal=2)


async def test_at_the_end_what_is_left_is_sent_at_once(
    api: EventsApi, counts: Counts, recorder: EventRecorder
) -> None:
    async with running(recorder):
        for _ in range(3):
            recorder.record(ES, "Normal", "Synced", "3 keys")
            await asyncio.sleep(1)
    for number in range(50):
        recorder.record(about(number), "Normal", "Synced", "3 keys")
    began = now()
    await recorder.flush(5)
    assert now() == began
    assert counts == Counts(Counter(Normal=53))
    assert api.delivered[0] == ("3 keys", 3)


async def test_the_end_does_not_wait_for_long_and_counts_the_rest(
    api: EventsApi, counts: Counts, recorder: EventRecorder
) -> None:
    api.seconds = 2
    for number in range(10):
        recorder.record(about(number), "Normal", "Synced", "3 keys")
    await recorder.flush(5)
    assert now() == 5
    recorder.record(ES, "Normal", "Synced", "too late")
    # Four at a time in one namespace, for two seconds each.
    assert counts == Counts(Counter(Normal=8), Counter(shutdown=3))


@pytest.mark.parametrize(
    ("seconds", "counted"),
    [
        (2.0, Counts(Counter(Normal=3))),
        # One is on its way for longer than there is time, the other does not get that far.
        (20.0, Counts(dropped_=Counter(shutdown=3))),
    ],
)
async def test_the_end_while_one_is_on_its_way_loses_none(
    api: EventsApi, counts: Counts, recorder: EventRecorder, seconds: float, counted: Counts
) -> None:
    api.seconds = seconds
    async with running(recorder):
        recorder.record(ES, "Normal", "Synced", "3 keys")
        await asyncio.sleep(1)
        recorder.record(ES, "Normal", "Synced", "3 keys")
        recorder.record(about(2), "Normal", "Synced", "3 keys")
        await recorder.flush(9)
    assert counts == counted


async def test_drops_are_logged_once_a_minute_with_their_number(
    api: EventsApi, recorder: EventRecorder
) -> None:
    api.fails = [ApiRefusedError("no right to create events", status=403)] * 1000
    with capture_logs() as logs:
        async with running(recorder):
            for number in range(100):
                recorder.record(about(number), "Normal", "Synced", "3 keys")
                await asyncio.sleep(1)
        await recorder.flush(1)
    assert [entry.get("refused") for entry in logs] == [1, 60, 39]
    assert {entry["last_error"] for entry in logs} == {"no right to create events"}
    assert {entry["log_level"] for entry in logs} == {"warning"}


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, "x" * 1021 + "..."),
        # What JSON cannot carry must not end the task, and with it the controller.
        ("half \ud800 a pair", "half ? a pair"),
    ],
)
async def test_a_message_is_made_fit(
    api: EventsApi, recorder: EventRecorder, message: str, sent: str
) -> None:
    async with running(recorder):
        recorder.record(ES, "Normal", "Synced", message)
        await asyncio.sleep(1)
    assert api.delivered == [(sent, 1)]
