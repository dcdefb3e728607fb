"""The other event loop, which production runs on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import uvloop

from secret_sync.kube import ClusterAccess, KubeClient, Reflector, Resource
from secret_sync.kube import watch as watch_module
from tests.unit.kube.fakes import (
    ScriptedServer,
    Sink,
    bookmark,
    closing,
    event,
    eventually,
    item,
    kubeconfig_text,
    listing,
    status_of,
    streaming,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.unit.kube.fakes import ReflectorRecorder


async def reflect(directory: Path, recorder: ReflectorRecorder) -> list[Any]:
    """Lists, loses a kept connection, watches, meets silence and a 410, lists again."""
    server, sink = ScriptedServer(), Sink()
    await server.start()
    server.lists.extend([listing(item("a"), token="t"), closing(), listing(item("b"))])
    server.watches.append(streaming(event("ADDED", item("c", "101"))))
    server.watches.append(streaming(bookmark("102"), stall=True))
    server.watches.append(streaming(event("ERROR", status_of(410, "Expired"))))
    # After the silence one look: the history is what it was.
    server.lists.extend([listing(rv="102"), listing(item("d"), rv="103")])
    (directory / "config").write_text(kubeconfig_text(server.url, token="x"))
    access = await ClusterAccess.find(str(directory / "config"))
    async with KubeClient(access) as client:
        kind = Resource("", "v1", "configmaps", "ConfigMap")
        task = asyncio.create_task(Reflector(client, kind, sink, recorder).run())
        await eventually(lambda: len(sink.delivered) == 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await access.close()
    await server.stop()
    return sink.delivered


def test_reflector_works_the_same_on_uvloop(
    tmp_path: Path, recorder: ReflectorRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "IDLE", 0.2)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        delivered = runner.run(reflect(tmp_path, recorder))
    assert delivered == [["a", "b"], ("ADDED", "c"), ["d"]]
    assert recorder.failures == ["expired"]
