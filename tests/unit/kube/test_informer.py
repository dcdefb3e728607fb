"""The store, the handlers and the barrier."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing

from secret_sync.errors import TransientError
from secret_sync.kube import Informer, WatchedNamespaces
from secret_sync.kube import reflector as reflector_module
from secret_sync.kube import watch as watch_module
from secret_sync.kube.informer import InformerScope
from tests.unit.kube.fakes import (
    event,
    eventually,
    item,
    listing,
    streaming,
)
from tests.unit.kube.informing import CONFIG_MAPS, Diary, colored, thing

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.kube import Change, KubeClient
    from tests.unit.kube.fakes import Exchange, ReflectorRecorder, ScriptedServer
    from tests.unit.kube.informing import ColoredMap


async def test_synced_means_delivered_to_the_handlers(
    server: ScriptedServer,
    informer: Informer[ColoredMap],
    diary: Diary,
    running: Callable[[], None],
) -> None:
    server.lists.append(listing(item("a"), item("b"), token="t"))
    server.lists.append(listing(item("c")))
    synced = [informer.synced]
    running()
    await informer.wait_synced()
    assert [*synced, informer.synced] == [False, True]
    assert sorted(diary.lines) == ["+ns/a", "+ns/b", "+ns/c"]


async def test_an_empty_list_is_in_sync_too(
    informer: Informer[ColoredMap], running: Callable[[], None]
) -> None:
    running()
    await informer.wait_synced()
    assert len(informer.store) == 0


async def test_object_that_was_read_and_that_the_first_list_does_not_have_is_gone(
    server: ScriptedServer,
    informer: Informer[ColoredMap],
    diary: Diary,
    running: Callable[[], None],
) -> None:
    server.lists.append(listing(item("b")))
    read = thing(item("a"))
    assert read is not None
    informer.learn(read)
    running()
    await informer.wait_synced()
    assert diary.lines == ["-ns/a", "+ns/b"]


@pytest.mark.looptime
async def test_a_barrier_of_more_than_two_minutes_fails(
    client: KubeClient, recorder: ReflectorRecorder
) -> None:
    waiting = Informer(client, CONFIG_MAPS, thing, recorder)
    began = asyncio.get_running_loop().time()
    with pytest.raises(TransientError, match="configmaps within 120 s"):
        await waiting.wait_synced()
    assert asyncio.get_running_loop().time() - began == pytest.approx(120)


async def test_changes_reach_store_index_and_handlers(
    server: ScriptedServer,
    informer: Informer[ColoredMap],
    diary: Diary,
    running: Callable[[], None],
) -> None:
    server.lists.append(listing(colored("a", "red")))
    server.watches.append(
        streaming(
            event("MODIFIED", colored("a", "blue", "101")),
            event("ADDED", colored("b", "blue", "102")),
            event("DELETED", colored("a", "blue", "103")),
            stall=True,
        )
    )
    running()
    await eventually(lambda: len(diary.lines) == 4)
    assert diary.lines == ["+ns/a", "~ns/a", "+ns/b", "-ns/a"]
    assert informer.store.by_index("color", "blue") == ("ns/b",)
    assert informer.store.by_index("color", "red") == ()
    modified = diary.changes[1]
    assert modified.old is not None
    assert modified.new is not None
    assert (modified.old.color, modified.new.color) == ("red", "blue")


async def test_a_scope_never_touches_another_ones_objects(
    informer: Informer[ColoredMap], diary: Diary
) -> None:
    def of(namespace: str, name: str) -> dict[str, Any]:
        made = item(name)
        made["metadata"]["namespace"] = namespace
        return made

    one, two = (
        InformerScope(informer, namespace, thing, None, frozenset()) for namespace in ("one", "two")
    )
    one.replace([_present(one.read(of("one", "a"))), _present(one.read(of("one", "b")))])
    two.replace([_present(two.read(of("two", "a")))])
    one.replace([])
    assert set(informer.store) == {"two/a"}
    assert sorted(diary.lines[3:]) == ["-one/a", "-one/b"]


def _present(found: ColoredMap | None) -> ColoredMap:
    assert found is not None
    return found


async def test_with_namespaces_each_is_listed_by_itself(
    server: ScriptedServer, client: KubeClient, recorder: ReflectorRecorder
) -> None:
    goes_on = asyncio.Event()

    async def late(exchange: Exchange) -> None:
        await goes_on.wait()
        await listing()(exchange)

    server.lists.extend([listing(), late])
    informer = Informer(
        client, CONFIG_MAPS, thing, recorder, namespaces=WatchedNamespaces(["one", "two", "one"])
    )
    task = asyncio.create_task(informer.run())
    await eventually(lambda: len(server.listed) == 2 and bool(server.watched))
    synced = informer.synced
    goes_on.set()
    await informer.wait_synced()
    assert [synced, informer.synced] == [False, True]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sorted(r.path for r in server.listed) == [
        "/api/v1/namespaces/one/configmaps",
        "/api/v1/namespaces/two/configmaps",
    ]


async def test_excluded_namespaces_are_omitted(
    server: ScriptedServer,
    client: KubeClient,
    recorder: ReflectorRecorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch_module, "TOO_SHORT", 0.0)
    elsewhere = item("c")
    elsewhere["metadata"]["namespace"] = "other"
    server.lists.append(listing(item("a")))
    server.watches.append(streaming(event("ADDED", item("b")), event("ADDED", elsewhere)))
    informer = Informer(
        client, CONFIG_MAPS, thing, recorder, namespaces=WatchedNamespaces(excluded=["ns"])
    )
    task = asyncio.create_task(informer.run())
    await eventually(lambda: len(server.watched) == 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert set(informer.store) == {"other/c"}


async def test_a_handler_that_raises_stops_nobody_else(
    server: ScriptedServer,
    informer: Informer[ColoredMap],
    recorder: ReflectorRecorder,
    running: Callable[[], None],
) -> None:
    def broken(change: Change[ColoredMap]) -> None:
        raise RuntimeError("no")

    informer.add_handler(broken)
    diary = Diary(informer)
    informer.add_handler(diary)
    server.lists.append(listing(item("a")))
    server.watches.append(streaming(event("ADDED", item("b", "101")), stall=True))
    with structlog.testing.capture_logs() as logs:
        running()
        await eventually(lambda: len(diary.lines) == 2)
    assert recorder.raised == 2
    assert {(entry["event"], entry["key"]) for entry in logs} == {
        ("handler raised", "ns/a"),
        ("handler raised", "ns/b"),
    }


async def test_object_that_the_converter_omits_is_deleted(
    server: ScriptedServer,
    informer: Informer[ColoredMap],
    diary: Diary,
    running: Callable[[], None],
) -> None:
    server.lists.append(listing(colored("a", "red"), colored("b", "invisible")))
    server.watches.append(
        streaming(
            event("MODIFIED", colored("a", "invisible", "101")),
            event("MODIFIED", colored("b", "red", "102")),
            event("DELETED", colored("c", "red", "103")),
            stall=True,
        )
    )
    running()
    await eventually(lambda: len(diary.lines) == 3)
    assert diary.lines == ["+ns/a", "-ns/a", "+ns/b"]


async def test_an_object_that_cannot_be_read_keeps_nobody_from_the_others(
    server: ScriptedServer,
    informer: Informer[ColoredMap],
    diary: Diary,
    recorder: ReflectorRecorder,
    running: Callable[[], None],
) -> None:
    odd: dict[str, Any] = item("odd", data="not a map")
    server.lists.append(listing(odd, item("a")))
    server.watches.append(
        streaming(
            event("MODIFIED", item("a", "101", data="not a map")),
            event("ADDED", item("b", "102")),
            stall=True,
        )
    )
    with structlog.testing.capture_logs() as logs:
        running()
        await eventually(lambda: len(diary.lines) == 3)
    assert diary.lines == ["+ns/a", "-ns/a", "+ns/b"]
    assert recorder.failures == ["unreadable", "unreadable"]
    assert [entry["key"] for entry in logs] == ["ns/odd", "ns/a"]


async def test_an_object_with_malformed_metadata_keeps_nobody_from_the_others(
    server: ScriptedServer,
    informer: Informer[ColoredMap],
    diary: Diary,
    recorder: ReflectorRecorder,
    running: Callable[[], None],
) -> None:
    def malformed(of: str, **metadata: Any) -> dict[str, Any]:
        value = item(of, "102")
        return {**value, "metadata": {**value["metadata"], **metadata}}

    anonymous = malformed("anonymous", uid=None)
    owned = malformed("owned", ownerReferences=[{"name": "canary"}])
    nameless = malformed("nameless", name={"canary": 1})
    server.lists.append(listing(anonymous, item("a"), owned, nameless, item("b")))
    server.watches.append(
        streaming(
            event("ADDED", owned),
            event("DELETED", malformed("a", uid=None)),
            event("ADDED", item("c", "103")),
            stall=True,
        )
    )
    with structlog.testing.capture_logs() as logs:
        running()
        await eventually(lambda: len(diary.lines) == 4)
    assert diary.lines == ["+ns/a", "+ns/b", "-ns/a", "+ns/c"]
    assert recorder.failures == ["unreadable"] * 4
    assert [entry["key"] for entry in logs] == ["ns/anonymous", "ns/owned", "ns", "ns/owned"]
    assert len(server.lists) == 0


async def test_running_ends_only_when_cancelled_and_fails_with_its_reflector(
    server: ScriptedServer, informer: Informer[ColoredMap], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: reflector_module.Reflector) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(reflector_module.Reflector, "run", broken)
    with pytest.raises(ExceptionGroup) as caught:
        await informer.run()
    assert caught.group_contains(RuntimeError, match="a bug")


async def test_10_000_objects_do_not_hold_up_the_loop(
    server: ScriptedServer,
    informer: Informer[ColoredMap],
    running: Callable[[], None],
    request: pytest.FixtureRequest,
) -> None:
    pages = [
        listing(*(colored(f"{page}-{n}", "red") for n in range(500)), token=f"t{page}")
        for page in range(19)
    ]
    server.lists.extend(pages)
    server.lists.append(listing(*(colored(f"last-{n}", "red") for n in range(500))))
    longest = 0.0
    # As the program does at start; what other tests have left behind is not looked at, either.
    gc.collect()
    gc.freeze()
    request.addfinalizer(gc.unfreeze)
    running()
    # Of its own time: that of a busy machine says nothing.
    before = time.thread_time()
    while not informer.synced:
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, before = max(longest, now - before), now
    assert len(informer.store) == 10_000
    assert longest < 0.5
