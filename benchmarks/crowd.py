"""What many objects of one Secret do to everybody else: ``python -m benchmarks.crowd``.

A namespace has thousands of ExternalSecrets with one target. They wait for their store, so that all
go at once when it is there, and nothing but the controller's own work loads the API server.
Then the Secret is edited again and again, and all of them are deleted. Another namespace keeps
getting new objects meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
import uvloop

from benchmarks.newcomers import Newcomers
from benchmarks.probe import Probe, free_port
from benchmarks.table import Row, render, save
from benchmarks.world import (
    EXTERNAL_SECRETS,
    NAMESPACE,
    SECRETS,
    STORE,
    STORES,
    World,
    external_secret,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from benchmarks.process import ControllerProcess

CROWD: Final = "crowd"
TARGET: Final = "common"
#: The store that comes late.
LATE: Final = "late"
#: Seconds that new objects of others may wait: plain ones, and those with a document.
PLAIN_WITHIN: Final = 1.0
DOCUMENT_WITHIN: Final = 2.0
_AT_LEAST: Final = 6.0
_AT_MOST: Final = 600.0
#: Seconds between two looks at all of them.
_GLANCE: Final = 2.0
_EDITS: Final = 100
_EDIT_EVERY: Final = 0.1


def _member(number: int, key: str = "password", **target: str) -> dict[str, Any]:
    found = external_secret(f"{CROWD}-{number:05}", CROWD)
    found["spec"]["data"][0] |= {"name": key, "secretStoreRef": {"name": LATE}}
    if target:
        found["spec"]["target"] = target
    return found


#: What the crowd is, by its name; the last one, with a Secret each, is to compare with.
KINDS: Final[dict[str, Callable[[int], dict[str, Any]]]] = {
    "merge-one-key": lambda n: _member(n, name=TARGET, creationPolicy="Merge"),
    "merge-own-keys": lambda n: _member(n, f"key-{n}", name=TARGET, creationPolicy="Merge"),
    "owned": lambda n: _member(n, name=TARGET),
    "apart": _member,
}


@dataclass(frozen=True, slots=True)
class Met:
    """What others met while the crowd did something; all in seconds.

    Attributes:
        stall: The event loop answered nobody.
        plain: A new plain object of another namespace waited at most.
        document: The same for one with a document.
        took: Until the crowd was done.
        cpu: Processor time of the controller.
    """

    stall: float
    plain: float
    document: float
    took: float
    cpu: float

    def row(self, what: str) -> Row:
        """Return it as a line of the table."""
        figure = (
            f"plain {self.plain:.2f} s, document {self.document:.2f} s, stall "
            f"{self.stall * 1000:.0f} ms; done after {self.took:.0f} s, CPU {self.cpu:.1f} s"
        )
        reached = self.plain <= PLAIN_WITHIN and self.document <= DOCUMENT_WITHIN
        goal = f"< {PLAIN_WITHIN:.0f} s, {DOCUMENT_WITHIN:.0f} s"
        return Row(what, goal, figure, reached, asdict(self))


async def measure(world: World, kind: str, count: int) -> AsyncIterator[Row]:
    """Have a crowd of one kind come, see its Secret edited, and go.

    Args:
        world: With both namespaces.
        kind: One of ``KINDS``.
        count: The objects.
    """
    path = EXTERNAL_SECRETS.format(CROWD)
    port = free_port()
    async with world.controller(f"--metrics-bind-address=127.0.0.1:{port}") as controller:
        await controller.says("in sync")
        if kind.startswith("merge"):
            body = {"metadata": {"name": TARGET}, "stringData": {"own": "x"}}
            await world.post(SECRETS.format(CROWD), body)
        await world.post_all(path, map(KINDS[kind], range(count)))
        await _until(world, count, waits=True)

        async def come() -> None:
            await _add_late_store(world)
            await _until(world, count, waits=False)

        async def edit() -> None:
            for number in range(_EDITS):
                await _edit(world, number)
                await asyncio.sleep(_EDIT_EVERY)

        async def go() -> None:
            await _delete(world, path)

        acts: dict[str, Callable[[], Awaitable[None]]] = {"come": come, "edit": edit, "go": go}
        if kind == "apart":
            del acts["edit"]
        for what, act in acts.items():
            met = await _meet(world, f"{kind}-{what}", controller, port, act)
            yield met.row(f"{count} {kind}: {what}")
        await _delete(world, f"{SECRETS.format(CROWD)}/{TARGET}")
        await _delete(world, f"{STORES.format(CROWD)}/{LATE}")


async def _meet(
    world: World,
    name: str,
    controller: ControllerProcess,
    port: int,
    act: Callable[[], Awaitable[None]],
) -> Met:
    async with Newcomers.watch(world, NAMESPACE, name) as newcomers:
        await newcomers.warm_up()
        began, spent = time.monotonic(), controller.cpu_seconds
        over = asyncio.Event()
        with Probe(port, controller.pid) as probe:
            arriving = asyncio.create_task(newcomers.arrive(math.inf, over))
            await act()
            took = time.monotonic() - began
            await asyncio.sleep(_AT_LEAST - took)
            over.set()
            await arriving
            plain, document = await newcomers.waits()
    await _delete(world, EXTERNAL_SECRETS.format(NAMESPACE))
    return Met(probe.longest, plain, document, took, controller.cpu_seconds - spent)


async def _add_late_store(world: World) -> None:
    async with world.api.get(f"{STORES.format(CROWD)}/{STORE}") as answer:
        found = await answer.json()
    await world.post(STORES.format(CROWD), {**found, "metadata": {"name": LATE}, "status": None})


async def _edit(world: World, number: int) -> None:
    path = f"{SECRETS.format(CROWD)}/{TARGET}"
    body = orjson.dumps({"stringData": {"own": str(number)}})
    headers = {"Content-Type": "application/merge-patch+json"}
    async with world.api.patch(path, data=body, headers=headers) as answer:
        answer.raise_for_status()


async def _delete(world: World, path: str) -> None:
    async with world.api.delete(path):
        pass


async def _until(world: World, count: int, *, waits: bool) -> None:
    """Wait until all report that they wait for their store, or that they do not any more."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_AT_MOST):
            while await _reports(world, waits=waits) < count:  # noqa: ASYNC110 (another process's)
                await asyncio.sleep(_GLANCE)
            return
    print("  not done in time", flush=True)


async def _reports(world: World, *, waits: bool) -> int:
    items = await world.items(EXTERNAL_SECRETS.format(CROWD))
    reasons = [
        condition["reason"]
        for item in items
        for condition in item.get("status", {}).get("conditions", ())
        if condition["type"] == "Ready"
    ]
    return sum((r == "StoreNotFound") is waits and r != "Pending" for r in reasons)


async def measure_all(kinds: Sequence[str], count: int) -> list[Row]:
    """Measure crowds of these kinds, one after the other; each line is printed as it comes."""
    rows = []
    async with World.start() as world:
        for namespace in (NAMESPACE, CROWD):
            await world.add_namespace(namespace)
        await world.admin.put_secrets({CROWD: "value of the crowd"})
        for kind in kinds:
            async for row in measure(world, kind, count):
                print(f"  {row.what}: {row.figure} {row.verdict}", flush=True)
                rows.append(row)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table; 1 if others waited too long."""
    parser = argparse.ArgumentParser(prog="benchmarks.crowd", description=__doc__)
    parser.add_argument("--objects", type=int, default=3000, help="in a crowd")
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, separated by commas")
    arguments = parser.parse_args(argv)
    kinds = [kind for kind in arguments.only.split(",") if kind]
    if unknown := set(kinds) - KINDS.keys():
        parser.error(f"no such kind: {', '.join(sorted(unknown))}")
    if (load := os.getloadavg()[0]) > 1:
        print(f"The machine is busy (load {load:.1f}): times will look worse than they are.")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(measure_all(kinds, arguments.objects))
    print(f"\n{render(rows)}\n\n{save(rows, {'objects': arguments.objects})}")
    return 0 if all(row.reached for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
