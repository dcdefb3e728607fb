"""List, watch and begin again: what a reflector does after each ending."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing

from secret_sync.backoff import Backoff
from secret_sync.kube import METADATA, METADATA_LIST, SECRETS, Reflector, Resource
from secret_sync.kube import reflector as module
from secret_sync.kube import watch as watch_module
from secret_sync.kube.reflector import HEALTHY_AFTER, LONGEST_WAIT, Waits
from tests.unit.kube.fakes import (
    Sink,
    answering,
    bookmark,
    event,
    eventually,
    item,
    listing,
    refusing,
    stalling,
    status_of,
    streaming,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from secret_sync.kube import KubeClient
    from tests.unit.kube.fakes import ReflectorRecorder, Script, ScriptedServer

    Run = Callable[[Callable[[], bool]], Awaitable[None]]

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
EXPIRED = streaming(event("ERROR", status_of(410, "Expired")))


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that a reflector asked for; none is waited for."""
    waits: list[float] = []
    next_wait = Waits.next

    def remembering(self: Waits, now: float, at_least: float = 0.0) -> float:
        waits.append(next_wait(self, now, at_least))
        return 0.0

    monkeypatch.setattr(Waits, "next", remembering)
    return waits


@pytest.fixture
def run(
    client: KubeClient, sink: Sink, recorder: ReflectorRecorder, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Runs a reflector until something is so."""
    # Scripts end at once; the tests of short watches set it back.
    monkeypatch.setattr(watch_module, "TOO_SHORT", 0.0)

    async def until(condition: Callable[[], bool]) -> None:
        task = asyncio.create_task(Reflector(client, CONFIG_MAPS, sink, recorder).run())
        try:
            await eventually(lambda: condition() or task.done())
            assert not task.done(), task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return until


def versions(server: ScriptedServer) -> list[str]:
    return [request.query["resourceVersion"] for request in server.watched]


async def test_a_watch_starts_at_the_version_of_the_list(
    server: ScriptedServer, run: Run, sink: Sink, recorder: ReflectorRecorder
) -> None:
    server.lists.append(listing(item("a", rv="900"), rv="100"))
    server.watches.append(streaming(event("ADDED", item("b", "101")), stall=True))
    await run(lambda: len(sink.delivered) == 2)
    assert sink.delivered == [["a"], ("ADDED", "b")]
    assert versions(server) == ["100"]
    assert (recorder.lists, recorder.watches, recorder.events) == (1, 1, ["ADDED"])
    assert recorder.failures == []


async def test_a_bookmark_moves_the_version_and_is_not_delivered(
    server: ScriptedServer, run: Run, sink: Sink, recorder: ReflectorRecorder
) -> None:
    server.watches.append(streaming(bookmark("250")))
    await run(lambda: len(server.watched) == 2)
    assert versions(server) == ["100", "250"]
    assert sink.delivered == [[]]
    assert recorder.events == ["BOOKMARK"]


async def test_a_normal_close_is_no_reason_to_list(
    server: ScriptedServer, run: Run, recorder: ReflectorRecorder, waited: list[float]
) -> None:
    for version in ("101", "102", "103"):
        server.watches.append(streaming(event("ADDED", item("a", version))))
    await run(lambda: len(server.watched) == 4)
    assert versions(server) == ["100", "101", "102", "103"]
    assert len(server.listed) == 1
    assert recorder.failures == []
    assert waited == []


@pytest.mark.parametrize(
    "script",
    [refusing(410, "Gone"), EXPIRED, answering(status_of(410, "Expired"))],
    ids=["status", "event", "bare"],
)
async def test_410_in_each_shape_leads_to_a_list(
    server: ScriptedServer,
    run: Run,
    sink: Sink,
    recorder: ReflectorRecorder,
    waited: list[float],
    script: Script,
) -> None:
    server.lists.extend([listing(item("a"), rv="100"), listing(item("b"), rv="200")])
    server.watches.append(script)
    await run(lambda: len(server.watched) == 2)
    assert sink.delivered == [["a"], ["b"]]
    assert versions(server) == ["100", "200"]
    assert recorder.failures == ["expired"]


async def test_a_server_to_which_everything_is_too_old_is_not_listed_in_a_loop(
    server: ScriptedServer, run: Run, waited: list[float]
) -> None:
    server.watches.extend([EXPIRED] * 5)
    await run(lambda: len(server.watched) == 6)
    assert len(waited) == 4


@pytest.mark.parametrize(
    "script",
    [
        answering(status_of(429, "TooManyRequests"), 429, Retry_After="7"),
        streaming(event("ERROR", status_of(429, "TooManyRequests", retryAfterSeconds=7))),
    ],
    ids=["status", "event"],
)
async def test_429_waits_as_asked_and_goes_on_from_the_same_version(
    server: ScriptedServer,
    run: Run,
    recorder: ReflectorRecorder,
    waited: list[float],
    script: Script,
) -> None:
    server.watches.append(script)
    await run(lambda: len(server.watched) == 2)
    assert versions(server) == ["100", "100"]
    assert len(server.listed) == 1
    assert waited == [7.0]
    assert recorder.failures == ["unavailable"]


async def test_connection_refused_goes_on_from_the_same_version(
    server: ScriptedServer,
    run: Run,
    recorder: ReflectorRecorder,
    waited: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def gone(exchange: Any) -> None:
        server.refuse()
        exchange.close()

    server.watches.append(gone)
    await run(lambda: len(recorder.failures) >= 3)
    assert set(recorder.failures) == {"unavailable"}
    assert recorder.lists == 1


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (answering(b"<html>Bad Gateway</html>", 502), "unavailable"),
        (answering(b"", 503), "unavailable"),
        (refusing(403, "Forbidden"), "refused"),
        (streaming(event("ERROR", status_of(500, "InternalError"))), "unavailable"),
    ],
    ids=["html 502", "empty 503", "403", "500 event"],
)
async def test_anything_else_waits_and_lists(
    server: ScriptedServer,
    run: Run,
    sink: Sink,
    recorder: ReflectorRecorder,
    waited: list[float],
    script: Script,
    kind: str,
) -> None:
    server.lists.extend([listing(item("a"), rv="100"), listing(item("b"), rv="200")])
    server.watches.append(script)
    await run(lambda: len(server.watched) == 2)
    assert versions(server) == ["100", "200"]
    assert sink.delivered == [["a"], ["b"]]
    assert recorder.failures == [kind]
    assert len(waited) == 1


async def test_watches_that_end_at_once_are_waited_for(
    server: ScriptedServer, run: Run, waited: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.watches.extend([streaming()] * 3)
    monkeypatch.setattr(watch_module, "TOO_SHORT", 1.0)
    await run(lambda: len(server.watched) == 4)
    assert len(waited) == 3
    assert len(server.listed) == 1


async def test_a_silent_socket_is_left_and_watched_again(
    server: ScriptedServer,
    run: Run,
    recorder: ReflectorRecorder,
    waited: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch_module, "IDLE", 0.1)
    server.watches.extend([streaming(bookmark("101"), stall=True), stalling()])
    server.lists.extend([listing(rv="100"), listing(rv="101"), listing(rv="101")])
    await run(lambda: len(server.watched) == 3)
    assert versions(server) == ["100", "101", "101"]
    assert recorder.lists == 1
    assert recorder.failures == []
    assert waited == []


async def test_garbage_is_counted_and_the_watch_goes_on_from_the_last_version(
    server: ScriptedServer, run: Run, recorder: ReflectorRecorder, waited: list[float]
) -> None:
    server.watches.append(streaming(event("ADDED", item("a", "101")) + b"garbage\n"))
    await run(lambda: len(server.watched) == 2)
    assert versions(server) == ["100", "101"]
    assert recorder.failures == ["garbled"]
    assert len(waited) == 1


async def test_the_same_garbage_twice_is_gone_around_by_a_list(
    server: ScriptedServer, run: Run, waited: list[float]
) -> None:
    """An event over the limit would come again at that version for ever."""
    server.lists.extend([listing(rv="100"), listing(rv="200")])
    server.watches.extend([streaming(b"garbage\n")] * 2)
    await run(lambda: len(server.watched) == 3)
    assert versions(server) == ["100", "100", "200"]


async def test_an_unknown_type_is_logged_and_skipped(
    server: ScriptedServer, run: Run, sink: Sink, recorder: ReflectorRecorder
) -> None:
    lines = event("RENAMED", item("a", "101")) + event("ADDED", item("b", "102"))
    server.watches.append(streaming(lines, stall=True))
    with structlog.testing.capture_logs() as logs:
        await run(lambda: len(sink.delivered) == 2)
    assert sink.delivered == [[], ("ADDED", "b")]
    assert recorder.events == ["unknown", "ADDED"]
    assert [entry["type"] for entry in logs] == ["RENAMED"]


async def test_a_list_that_fails_is_tried_for_ever(
    server: ScriptedServer, run: Run, sink: Sink, recorder: ReflectorRecorder, waited: list[float]
) -> None:
    server.lists.extend([refusing(403, "Forbidden"), refusing(500, "InternalError")] * 5)
    server.lists.append(listing(item("a")))
    await run(lambda: len(sink.delivered) == 1)
    assert recorder.failures == ["refused", "unavailable"] * 5
    assert len(waited) == 10
    assert recorder.lists == 1


@pytest.mark.parametrize("fails", ["list", "watch", "expired watch"])
async def test_a_wait_is_waited_for(
    server: ScriptedServer,
    run: Run,
    recorder: ReflectorRecorder,
    no_jitter: None,
    monkeypatch: pytest.MonkeyPatch,
    fails: str,
) -> None:
    monkeypatch.setattr(module, "BACKOFF", Backoff(base=0.15, cap=LONGEST_WAIT))
    if fails == "list":
        server.lists.append(refusing(500, "InternalError"))
    else:
        # The first 410 is listed for at once.
        expired = [EXPIRED, EXPIRED]
        server.watches += expired if "expired" in fails else [refusing(500, "InternalError")]
    began = asyncio.get_running_loop().time()
    await run(lambda: recorder.lists == {"list": 1, "watch": 2, "expired watch": 3}[fails])
    assert asyncio.get_running_loop().time() - began >= 0.15


async def test_failures_in_a_row_are_logged_once(
    server: ScriptedServer, run: Run, sink: Sink, waited: list[float]
) -> None:
    server.lists.extend([refusing(500, "InternalError")] * 5)
    with structlog.testing.capture_logs() as logs:
        await run(lambda: len(sink.delivered) == 1)
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("warning", "list failed, will retry"),
        ("info", "connected again"),
    ]


async def test_a_list_that_succeeds_does_not_hide_watches_that_fail(
    server: ScriptedServer, run: Run, waited: list[float]
) -> None:
    server.watches.extend([refusing(500, "InternalError")] * 4)
    with structlog.testing.capture_logs() as logs:
        await run(lambda: len(server.watched) == 5)
    assert [entry["event"] for entry in logs] == ["watch failed, will retry"]


async def test_metadata_only_accepts_nothing_else(
    server: ScriptedServer, client: KubeClient, sink: Sink, recorder: ReflectorRecorder
) -> None:
    page = {
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": "100"},
        "items": [{"metadata": item("a")["metadata"]}],
    }
    partial = {"kind": "PartialObjectMetadata", "metadata": item("b", "101")["metadata"]}
    server.lists.append(answering(page))
    server.watches.append(streaming(event("ADDED", partial), stall=True))
    reflector = Reflector(client, SECRETS, sink, recorder, namespace="ns", metadata_only=True)
    task = asyncio.create_task(reflector.run())
    await eventually(lambda: len(sink.delivered) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sink.delivered == [["a"], ("ADDED", "b")]
    assert [r.path for r in server.requests] == ["/api/v1/namespaces/ns/secrets"] * 2
    assert [r.headers["accept"] for r in server.requests] == [METADATA_LIST, METADATA]
    assert "," not in METADATA_LIST + METADATA


async def test_a_server_that_sends_whole_secrets_is_refused(
    server: ScriptedServer,
    client: KubeClient,
    sink: Sink,
    recorder: ReflectorRecorder,
    waited: list[float],
) -> None:
    whole = {"kind": "SecretList", "metadata": {"resourceVersion": "100"}, "items": []}
    server.lists.extend([answering(whole)] * 2)
    server.lists.append(refusing(406, "NotAcceptable"))
    reflector = Reflector(client, SECRETS, sink, recorder, metadata_only=True)
    task = asyncio.create_task(reflector.run())
    await eventually(lambda: len(recorder.failures) >= 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sink.delivered == []
    assert recorder.failures[:3] == ["unavailable", "unavailable", "refused"]


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)


def test_waits_double_up_to_15_seconds(no_jitter: None) -> None:
    waits = Waits()
    now, found = 1000.0, []
    for _ in range(7):
        found.append(waits.next(now))
        now += found[-1] + 20
    assert found == pytest.approx([0.8, 1.6, 3.2, 6.4, 12.8, 15, 15])


def test_waits_are_drawn_from_nothing_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return high

    monkeypatch.setattr("random.uniform", uniform)
    Waits().next(0.0)
    assert bounds == [(0, 0.8)]


def test_two_minutes_of_health_start_them_over(no_jitter: None) -> None:
    waits = Waits()
    for _ in range(6):
        waits.next(0.0)
    assert waits.next(LONGEST_WAIT + HEALTHY_AFTER - 5) == LONGEST_WAIT
    assert waits.next(2 * LONGEST_WAIT + 2 * HEALTHY_AFTER) == module.BACKOFF.base


def test_a_thousand_failures_are_no_overflow(no_jitter: None) -> None:
    waits = Waits()
    assert [waits.next(float(n)) for n in range(2000)][-1] == LONGEST_WAIT


def test_the_server_may_ask_for_more_but_not_for_less(no_jitter: None) -> None:
    assert Waits().next(0.0, at_least=7.0) == 7.0
    assert Waits().next(0.0, at_least=0.1) == 0.8
