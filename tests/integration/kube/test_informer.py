"""Informers on the real API server, which is killed, restarted and made to forget."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import (
    SECRETS,
    Answer,
    ClusterAccess,
    Informer,
    KubeClient,
    Resource,
    WatchedNamespaces,
)
from secret_sync.kube import reflector as reflector_module
from secret_sync.kube.pager import Pager
from secret_sync.resources.meta import ObjectMeta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from secret_sync.kube import Change
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.wire import Wire

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")


@dataclass(frozen=True, slots=True)
class ValuedMap(ObjectMeta):
    value: str


def thing(value: dict[str, Any]) -> ValuedMap:
    metadata = value["metadata"]
    return ValuedMap(
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        metadata["resourceVersion"],
        (value.get("data") or {}).get("value", ""),
    )


@dataclass
class StrictObserver:
    lists: int = 0
    watches: int = 0
    events: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def listed(self) -> None:
        self.lists += 1

    def watching(self) -> None:
        self.watches += 1

    def event(self, kind: str) -> None:
        self.events.append(kind)

    def failed(self, kind: str) -> None:
        self.failures.append(kind)

    def handler_raised(self) -> None:
        raise AssertionError


class Rig:
    """An informer of ConfigMaps in one namespace, and what it delivered."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self.observer = StrictObserver()
        self.informer = Informer(
            client,
            CONFIG_MAPS,
            thing,
            self.observer,
            indexes={"value": lambda t: (t.value,)},
            namespaces=WatchedNamespaces([namespace]),
        )
        self.delivered: list[Change[ValuedMap]] = []
        self.informer.add_handler(self.delivered.append)

    def held(self) -> dict[str, str]:
        return {t.name: t.value for t in self.informer.store.values() if _is_ours(t.name)}

    def delivered_keys(self, name: str) -> list[str]:
        marks = {(True, False): "+", (False, False): "~", (False, True): "-"}
        return [
            marks[change.old is None, change.new is None]
            for change in self.delivered
            if change.key.endswith(f"/{name}")
        ]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.informer.run())
        try:
            await self.informer.wait_synced(30)
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _is_ours(name: str) -> bool:
    # Every namespace gets a ConfigMap with the cluster's CA.
    return name != "kube-root-ca.crt"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector_module, "LONGEST_WAIT", 0.3)


async def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (any condition, not one event)
            await asyncio.sleep(0.02)


async def put(client: KubeClient, namespace: str, name: str, value: str) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"value": value},
    }
    await client.request(
        "PATCH",
        CONFIG_MAPS.path(namespace, name),
        params={"fieldManager": "test", "force": "true"},
        body=body,
        content_type="application/apply-patch+yaml",
    )


async def remove(client: KubeClient, namespace: str, name: str) -> None:
    await client.request("DELETE", CONFIG_MAPS.path(namespace, name), expected=Answer.ANY)


async def put_all(client: KubeClient, namespace: str, names: Iterable[str], value: str) -> None:
    await each(names, lambda name: put(client, namespace, name, value))


async def each(names: Iterable[str], do: Callable[[str], Awaitable[None]]) -> None:
    """A few at a time: the wait for a connection counts as a wait for the answer."""
    gate = asyncio.Semaphore(20)

    async def one(name: str) -> None:
        async with gate:
            await do(name)

    await asyncio.gather(*map(one, names))


async def test_changes_arrive(client: KubeClient, namespace: str) -> None:
    await put(client, namespace, "before", "1")
    rig = Rig(client, namespace)
    async with rig.running():
        assert rig.held() == {"before": "1"}
        await put(client, namespace, "after", "1")
        await put(client, namespace, "after", "2")
        await remove(client, namespace, "before")
        await eventually(lambda: rig.held() == {"after": "2"})
        assert rig.delivered_keys("before") == ["+", "-"]
        assert rig.delivered_keys("after") == ["+", "~"]
        assert rig.informer.store.by_index("value", "2") == (f"{namespace}/after",)
        assert rig.informer.store.by_index("value", "1") == ()
    assert rig.observer.failures == []
    assert rig.observer.lists == 1


async def test_a_new_object_of_an_old_name(client: KubeClient, namespace: str) -> None:
    await put(client, namespace, "phoenix", "1")
    rig = Rig(client, namespace)
    async with rig.running():
        await remove(client, namespace, "phoenix")
        await put(client, namespace, "phoenix", "2")
        await eventually(lambda: rig.held() == {"phoenix": "2"})
        assert rig.delivered_keys("phoenix") == ["+", "-", "+"]


async def test_of_secrets_only_metadata_ever_gets_here(client: KubeClient, namespace: str) -> None:
    read: list[dict[str, Any]] = []

    def convert(value: dict[str, Any]) -> ValuedMap:
        read.append(value)
        return thing(value)

    async def secret(name: str) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": {"value": "payload"},
        }
        await client.request("POST", SECRETS.path(namespace), body=body)

    await secret("listed")
    informer = Informer(
        client,
        SECRETS,
        convert,
        StrictObserver(),
        namespaces=WatchedNamespaces([namespace]),
        metadata_only=True,
    )
    task = asyncio.create_task(informer.run())
    try:
        await informer.wait_synced(30)
        await secret("watched")
        await eventually(lambda: len(informer.store) == 2)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert {value["kind"] for value in read} == {"PartialObjectMetadata"}
    assert not [value for value in read if "data" in value]
    fields = [value["metadata"]["managedFields"][0]["fieldsV1"] for value in read]
    assert all("f:value" in f["f:data"] for f in fields)


async def test_more_than_one_page(client: KubeClient, namespace: str) -> None:
    names = [f"n-{number}" for number in range(1100)]
    await put_all(client, namespace, names, "x")
    rig = Rig(client, namespace)
    async with rig.running():
        assert set(rig.held()) == set(names)


async def test_the_api_server_is_killed_and_comes_back(
    breakable_control_plane: ControlPlane, breakable_client: KubeClient, breakable_namespace: str
) -> None:
    await put(breakable_client, breakable_namespace, "before", "1")
    rig = Rig(breakable_client, breakable_namespace)
    async with rig.running():
        await breakable_control_plane.kill_api_server()
        await eventually(lambda: rig.observer.failures.count("unavailable") > 2)
        assert rig.held() == {"before": "1"}
        await breakable_control_plane.start_api_server()
        await put(breakable_client, breakable_namespace, "after", "1")
        await eventually(lambda: rig.held() == {"before": "1", "after": "1"})
        await remove(breakable_client, breakable_namespace, "before")
        await eventually(lambda: rig.held() == {"after": "1"})


async def test_an_informer_that_starts_before_the_api_server(
    breakable_control_plane: ControlPlane, breakable_client: KubeClient, breakable_namespace: str
) -> None:
    await put(breakable_client, breakable_namespace, "before", "1")
    await breakable_control_plane.kill_api_server()
    rig = Rig(breakable_client, breakable_namespace)
    task = asyncio.create_task(rig.informer.run())
    try:
        await eventually(lambda: len(rig.observer.failures) > 1)
        assert not rig.informer.synced
        await breakable_control_plane.start_api_server()
        await rig.informer.wait_synced(30)
        assert rig.held() == {"before": "1"}
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("forgotten", [False, True], ids=["watched again", "listed again"])
async def test_1000_objects_changed_while_disconnected(
    breakable_control_plane: ControlPlane,
    breakable_client: KubeClient,
    breakable_namespace: str,
    wired_client: KubeClient,
    wire: Wire,
    forgotten: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    """Once the history since then is still there, once it is compacted: a real 410."""
    client, namespace = breakable_client, breakable_namespace
    deleted = [f"deleted-{number}" for number in range(350)]
    changed = [f"changed-{number}" for number in range(350)]
    reborn = [f"reborn-{number}" for number in range(10)]
    created = [f"created-{number}" for number in range(300)]
    await put_all(client, namespace, [*deleted, *changed, *reborn, "same"], "old")
    rig = Rig(wired_client, namespace)
    async with rig.running():
        assert len(rig.held()) == 711
        await wire.cut()
        await each([*deleted, *reborn], lambda name: remove(client, namespace, name))
        await put_all(client, namespace, [*changed, *created, *reborn], "new")
        if forgotten:
            await breakable_control_plane.expire_history()
        await wire.restore()
        expected = dict.fromkeys([*changed, *created, *reborn], "new") | {"same": "old"}
        await eventually(lambda: rig.held() == expected)
        for names, story in (
            (deleted, ["+", "-"]),
            (changed, ["+", "~"]),
            (reborn, ["+", "-", "+"]),
            (created, ["+"]),
            (["same"], ["+"]),
        ):
            assert all(rig.delivered_keys(name) == story for name in names)
        tombstones = [change for change in rig.delivered if change.new is None]
        assert {c.old.value for c in tombstones if c.old is not None} == {"old"}
        assert rig.observer.lists == (2 if forgotten else 1)
        assert ("expired" in rig.observer.failures) == forgotten
        await put(client, namespace, "same", "news")
        await eventually(lambda: rig.held()["same"] == "news")


class ForgettingBetweenPages(KubeClient):
    """Has the server forget its history before the second page of the first list."""

    plane: ControlPlane
    pages = 0

    async def request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        if "continue" in (more.get("params") or {}):
            self.pages += 1
            if self.pages == 1:
                await self.plane.expire_history()
        return await super().request(method, path, **more)


async def test_history_that_is_compacted_between_two_pages(
    breakable_control_plane: ControlPlane, breakable_client: KubeClient, breakable_namespace: str
) -> None:
    names = [f"n-{number}" for number in range(600)]
    await put_all(breakable_client, breakable_namespace, names, "x")
    access = await ClusterAccess.find(str(breakable_control_plane.kubeconfig))
    async with ForgettingBetweenPages(access) as client:
        client.plane = breakable_control_plane
        pager = Pager(
            client,
            CONFIG_MAPS.path(breakable_namespace),
            accept="application/json",
            kind="ConfigMap",
            read=thing,
        )
        listing = await pager.list_all()
    assert {t.name for t in listing.objects if _is_ours(t.name)} == set(names)
    assert client.pages == 2
