"""One watch and every way in which it can end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from secret_sync.kube import watch as module
from secret_sync.kube.watch import Ending, WatchState, watch
from tests.unit.kube.fakes import (
    COLLECTION,
    OneChunk,
    answering,
    bookmark,
    closing,
    event,
    item,
    refusing,
    stalling,
    status_of,
    streaming,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from secret_sync.kube import KubeClient
    from tests.unit.kube.fakes import Exchange, Script, ScriptedServer

    Watch = Callable[..., Awaitable[Ending]]

MIB = 1024 * 1024


@pytest.fixture
def state() -> WatchState:
    return WatchState("100")


@pytest.fixture
def seen() -> list[tuple[str, str]]:
    """Type and name of each event."""
    return []


@pytest.fixture
def watched(
    server: ScriptedServer,
    client: KubeClient,
    state: WatchState,
    seen: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> Watch:
    """Watches once, with this script."""
    # The scripts end at once; only the tests of short watches care.
    monkeypatch.setattr(module, "TOO_SHORT", 0.0)

    def on_event(sort: str, value: dict[str, Any]) -> None:
        seen.append((sort, value.get("metadata", {}).get("name", "")))

    async def run(*scripts: Script) -> Ending:
        server.watches.extend(scripts)
        async with asyncio.timeout(20):
            return await watch(
                client,
                COLLECTION,
                state,
                accept="application/json",
                kind="ConfigMap",
                on_open=lambda: seen.append(("OPEN", "")),
                on_event=on_event,
            )

    return run


async def test_connection_of_an_ended_watch_is_closed_at_once(state: WatchState) -> None:
    """To close TLS politely waits for the server, which may not answer any more."""
    client: Any = OneChunk(b"")
    await watch(
        client,
        COLLECTION,
        state,
        accept="application/json",
        kind="ConfigMap",
        on_open=lambda: None,
        on_event=lambda sort, value: None,
    )
    assert client.aborted


async def test_query_of_a_watch(server: ScriptedServer, watched: Watch) -> None:
    await watched(streaming())
    await watched(streaming())
    first, second = (dict(r.query) for r in server.watched)
    lengths = [int(query.pop("timeoutSeconds")) for query in (first, second)]
    assert all(240 <= seconds <= 300 for seconds in lengths)
    assert (
        first
        == second
        == {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": "100",
        }
    )


async def test_session_length_is_drawn_again(
    server: ScriptedServer, watched: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = iter([241, 299])
    monkeypatch.setattr("random.randint", lambda low, high: next(lengths))
    await watched(streaming())
    await watched(streaming())
    assert [r.query["timeoutSeconds"] for r in server.watched] == ["241", "299"]


async def test_every_event_moves_the_version_a_bookmark_too(
    watched: Watch, state: WatchState, seen: list[tuple[str, str]]
) -> None:
    versions = []
    for line in (
        event("ADDED", item("a", "101")),
        event("MODIFIED", item("a", "102")),
        event("DELETED", item("a", "103")),
        bookmark("250"),
    ):
        assert await watched(streaming(line)) is Ending.CLOSED
        versions.append(state.resource_version)
    assert versions == ["101", "102", "103", "250"]
    assert [s for s in seen if s[0] != "OPEN"] == [
        ("ADDED", "a"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
        ("BOOKMARK", ""),
    ]


async def test_a_normal_close_goes_on_from_the_last_version(
    watched: Watch, state: WatchState
) -> None:
    assert await watched(streaming(event("ADDED", item("a", "101")))) is Ending.CLOSED
    assert state.resource_version == "101"


async def test_a_connection_that_breaks_in_an_event_loses_only_that(
    watched: Watch, state: WatchState, seen: list[tuple[str, str]]
) -> None:
    whole, half = event("ADDED", item("a", "101")), event("ADDED", item("b", "102"))[:40]
    assert await watched(streaming(whole + half)) is Ending.CLOSED
    assert (state.resource_version, seen[-1]) == ("101", ("ADDED", "a"))


async def test_a_chunked_answer_that_breaks_off_leads_on(watched: Watch, state: WatchState) -> None:
    async def script(exchange: Exchange) -> None:
        line = event("ADDED", item("a", "101"))
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        await exchange.send(head + b"%x\r\n%s\r\n" % (len(line), line))
        exchange.close()

    assert await watched(script) is Ending.BROKEN
    assert state.resource_version == "101"


GONE = status_of(410, "Expired", "too old resource version: 100 (200)")


@pytest.mark.parametrize(
    "script",
    [
        refusing(410, "Gone"),
        refusing(410, "Expired"),
        streaming(event("ERROR", GONE)),
        streaming(event("ERROR", status_of(410, "Gone"))),
        streaming(event("ADDED", item("a", "101")), event("ERROR", GONE)),
        answering(GONE),
        streaming(orjson.dumps(GONE) + b"\n"),
    ],
    ids=[
        "status gone",
        "status expired",
        "event expired",
        "event gone",
        "later",
        "bare",
        "bare line",
    ],
)
async def test_410_in_each_of_its_shapes(watched: Watch, script: Script, state: WatchState) -> None:
    assert await watched(script) is Ending.EXPIRED
    assert state.error is not None
    assert state.error.status == 410


@pytest.mark.parametrize(
    ("script", "ending"),
    [
        (answering(status_of(429, "TooManyRequests"), 429), Ending.UNAVAILABLE),
        (streaming(event("ERROR", status_of(429, "TooManyRequests"))), Ending.UNAVAILABLE),
        (refusing(403, "Forbidden"), Ending.REFUSED),
        (refusing(500, "InternalError"), Ending.REFUSED),
        (streaming(event("ERROR", status_of(500, "InternalError"))), Ending.REFUSED),
        (answering(b"<html>Bad Gateway</html>", 502), Ending.REFUSED),
        (answering(b"", 503), Ending.REFUSED),
    ],
    ids=["429", "429 event", "403", "500", "500 event", "html 502", "empty 503"],
)
async def test_only_our_rate_says_nothing_of_the_version(
    watched: Watch, state: WatchState, script: Script, ending: Ending
) -> None:
    assert await watched(script) is ending
    assert state.resource_version == "100"
    assert state.error is not None


async def test_retry_after_of_a_watch_is_passed_on(watched: Watch, state: WatchState) -> None:
    await watched(answering(status_of(429, "TooManyRequests"), 429, Retry_After="3"))
    assert state.error is not None
    assert state.error.retry_after == 3.0


async def test_no_answer(watched: Watch) -> None:
    # The library tries a GET once more by itself.
    assert await watched(closing(), closing()) is Ending.UNAVAILABLE


async def test_connection_refused(server: ScriptedServer, watched: Watch) -> None:
    await server.stop()
    assert await watched() is Ending.UNAVAILABLE
    await server.start()  # the fixture stops it again


@pytest.mark.parametrize(
    "script", [streaming(), streaming(b"\n\n"), answering(b""), streaming(b"<html>")]
)
async def test_over_in_an_instant_without_an_event_is_a_fault(
    watched: Watch, monkeypatch: pytest.MonkeyPatch, script: Script
) -> None:
    monkeypatch.setattr(module, "TOO_SHORT", 1.0)
    assert await watched(script) is Ending.UNAVAILABLE


async def test_short_watch_with_an_event_is_no_fault(
    watched: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOO_SHORT", 1.0)
    assert await watched(streaming(bookmark("101"))) is Ending.CLOSED


async def test_empty_watch_that_lasted_is_no_fault(
    watched: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOO_SHORT", 0.05)
    assert await watched(streaming(wait=0.1)) is Ending.CLOSED


@pytest.mark.parametrize("script", [stalling(), streaming(bookmark("101"), stall=True)])
async def test_silence_ends_a_watch_and_is_no_error(
    watched: Watch, state: WatchState, monkeypatch: pytest.MonkeyPatch, script: Script
) -> None:
    monkeypatch.setattr(module, "IDLE", 0.1)
    assert await watched(script) is Ending.SILENT
    assert state.error is None


async def test_a_server_that_does_not_even_begin_to_answer(
    watched: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(exchange: Exchange) -> None:
        await exchange.stall()

    monkeypatch.setattr(module, "IDLE", 0.1)
    assert await watched(nothing) is Ending.UNAVAILABLE


async def test_events_keep_a_watch_alive(
    watched: Watch, state: WatchState, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dripping(exchange: Exchange) -> None:
        exchange.begin()
        for version in range(101, 107):
            await exchange.send(bookmark(str(version)))
            await asyncio.sleep(0.05)
        await exchange.stall()

    monkeypatch.setattr(module, "IDLE", 0.15)
    assert await watched(dripping) is Ending.SILENT
    assert state.resource_version == "106"


async def test_a_watch_that_outlives_its_own_end_is_ended(
    watched: Watch, state: WatchState, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(exchange: Exchange) -> None:
        exchange.begin()
        while True:
            await exchange.send(bookmark("101"))
            await asyncio.sleep(0.02)

    monkeypatch.setattr(module, "SHORTEST", 0)
    monkeypatch.setattr(module, "LONGEST", 0)
    monkeypatch.setattr(module, "OVERTIME", 0.15)
    assert await watched(endless) is Ending.SILENT
    assert state.events > 1


def test_the_limits() -> None:
    assert (module.IDLE, module.OVERTIME) == (90.0, 15.0)


@pytest.mark.parametrize(
    "line",
    [
        b"<html>\n",
        b"{]\n",
        b"[]\n",
        b"null\n",
        b"{}\n",
        b'{"type":"ADDED"}\n',
        b'{"type":"ADDED","object":null}\n',
        b'{"type":"ERROR","object":null}\n',
        b'{"type":["ADDED"],"object":{}}\n',
        event("ADDED", {"kind": "ConfigMap", "metadata": {}}),
        event("ADDED", item("a", "101") | {"kind": "Secret"}),
    ],
)
async def test_invalid_event_ends_the_watch(
    watched: Watch, state: WatchState, seen: list[tuple[str, str]], line: bytes
) -> None:
    good = event("ADDED", item("good", "101"))
    assert await watched(streaming(good + line + good)) is Ending.GARBLED
    assert seen == [("OPEN", ""), ("ADDED", "good")]
    assert state.resource_version == "101"


async def test_an_unknown_type_is_passed_by(
    watched: Watch, state: WatchState, seen: list[tuple[str, str]]
) -> None:
    lines = event("RENAMED", item("a", "101")) + event("ADDED", item("b", "102"))
    assert await watched(streaming(lines)) is Ending.CLOSED
    assert seen[1:] == [("RENAMED", "a"), ("ADDED", "b")]
    assert state.resource_version == "102"


async def test_a_line_of_3_mib(
    watched: Watch, state: WatchState, seen: list[tuple[str, str]]
) -> None:
    big = event("ADDED", item("big", "101", data={"key": "x" * 3 * MIB}))
    small = event("ADDED", item("small", "102"))
    began = time.monotonic()
    assert await watched(streaming(big + small)) is Ending.CLOSED
    assert seen[1:] == [("ADDED", "big"), ("ADDED", "small")]
    assert time.monotonic() - began < 5


async def test_a_line_of_more_than_4_mib(watched: Watch, state: WatchState) -> None:
    huge = event("ADDED", item("huge", "102", data={"key": "x" * 4 * MIB}))
    good = event("ADDED", item("a", "101"))
    assert await watched(streaming(good, huge, wait=0.1)) is Ending.GARBLED
    assert state.resource_version == "101"


async def test_events_cut_anywhere(watched: Watch, seen: list[tuple[str, str]]) -> None:
    stream = b"".join(event("ADDED", item(name, "101")) for name in "abc")

    async def script(exchange: Exchange) -> None:
        exchange.begin()
        for start in range(0, len(stream), 50):
            await exchange.send(stream[start : start + 50])
            await asyncio.sleep(0)
        exchange.close()

    assert await watched(script) is Ending.CLOSED
    assert [name for _, name in seen[1:]] == ["a", "b", "c"]


async def test_rejected_token_is_read_again_and_the_call_repeated(
    server: ScriptedServer, watched: Watch, tmp_path: Any
) -> None:
    (tmp_path / "token").write_text("token-2")
    script = streaming(bookmark("101"))
    assert await watched(refusing(401, "Unauthorized"), script) is Ending.CLOSED
    assert server.watched[-1].headers["authorization"] == "Bearer token-2"


async def test_a_cancelled_watch_is_cancelled(server: ScriptedServer, watched: Watch) -> None:
    task = asyncio.ensure_future(watched(stalling()))
    while not server.watched:  # noqa: ASYNC110 (the server has no event for it)
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
