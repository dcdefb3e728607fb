"""How everything grows with the number of objects: ``python -m benchmarks.scale``.

One world grows. At each size the missing objects are synced, and the controller is started again:
it finds everything in sync, polls, and meets new objects. A run up to 50,000 takes over an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from benchmarks import api_server, latency
from benchmarks.chart import draw
from benchmarks.growth import Growth, Joining, Polling, Restart, Sync, goals, panels, summary
from benchmarks.pauses import Collected, read
from benchmarks.probe import Probe, free_port
from benchmarks.table import render, save
from benchmarks.watching import arrivals
from benchmarks.world import (
    ALL_EXTERNAL_SECRETS,
    ALL_SECRETS,
    EXTERNAL_SECRETS,
    NAMESPACE,
    World,
    external_secret,
)

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.api_server import ApiServer
    from benchmarks.process import ControllerProcess

SIZES: Final = (1000, 2000, 5000, 10_000, 20_000, 50_000)
PER_NAMESPACE: Final = 100
#: Of KMS: half of them have two users, the others three.
SECRETS_PER_NAMESPACE: Final = 40
#: The shares of an interval for which the first round of values settles and nothing is polled.
_SETTLE: Final = 1 / 30
_REST: Final = 1 / 5
#: All are polled once in so many intervals.
_ROUND: Final = 1.1
#: Seconds: between two looks, for all at least, and more for each object.
_GLANCE: Final = 1.0
_AT_LEAST: Final = 120.0
_WITHIN: Final = 0.06


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the controller at each size.

    Attributes:
        interval: Seconds between two polls of a KMS secret.
        samples: New objects whose latency is measured, spread over an interval.
    """

    interval: int
    samples: int


async def grow(world: World, have: int, objects: int) -> Sync:
    """Create the objects that are missing and sync them.

    Args:
        world: Without a controller.
        have: Objects that there are.
        objects: How many there should be; both are multiples of ``PER_NAMESPACE``.
    """
    names = [f"scale-{n:03}" for n in range(have // PER_NAMESPACE, objects // PER_NAMESPACE)]
    for name in names:
        await world.add_namespace(name)
        keys = [f"{name}-{n}" for n in range(SECRETS_PER_NAMESPACE)]
        await world.admin.put_secrets({key: f"value of {key}" for key in keys})
    secrets = await world.count(ALL_SECRETS)
    for name in names:
        bodies = (
            external_secret(f"object-{n}", f"{name}-{n % SECRETS_PER_NAMESPACE}")
            for n in range(PER_NAMESPACE)
        )
        await world.post_all(EXTERNAL_SECRETS.format(name), bodies)
    added = objects - have
    before = await api_server.look(world)
    async with world.controller() as controller:
        async with asyncio.timeout(_AT_LEAST + _WITHIN * added):
            # All objects are listed only when it is nearly over: that is much work.
            while await world.count(ALL_SECRETS) < secrets + added:  # noqa: ASYNC110
                await asyncio.sleep(_GLANCE)
        seconds = time.monotonic() - controller.started
        await world.all_ready(objects, within=_AT_LEAST, path=ALL_EXTERNAL_SECRETS)
        cpu, resident = controller.cpu_seconds, controller.resident
    spent = await api_server.look(world) - before
    return Sync(added, seconds, cpu, spent.cpu_seconds, resident)


class Observation:
    """A controller that is started where everything is in sync.

    Args:
        world: Without a controller.
        objects: How many there are.
        load: What is asked of it.
    """

    def __init__(self, world: World, objects: int, load: Load) -> None:
        self._world = world
        self._objects = objects
        self._secrets = objects // PER_NAMESPACE * SECRETS_PER_NAMESPACE
        self._load = load
        self._port = free_port()
        self._pauses = world.directory / "pauses.txt"

    async def step(self, sync: Sync) -> Growth:
        """Observe it from its start to the end.

        Args:
            sync: How the objects were synced.
        """
        flags = (
            f"--polling-interval={self._load.interval}s",
            f"--metrics-bind-address=127.0.0.1:{self._port}",
        )
        before = await api_server.look(self._world)
        controller = self._world.controller(*flags)
        controller.command = ("-m", "benchmarks.pauses", str(self._pauses), "run")
        async with controller:
            restart = await self._restart(controller, before)
            polling = await self._polling(controller)
            joining = await self._joining(controller)
        return Growth(self._objects, self._secrets, sync, restart, polling, joining)

    async def _restart(self, controller: ControllerProcess, before: ApiServer) -> Restart:
        calls = await self._calls()
        with Probe(self._port, controller.pid) as probe:
            # Collections before that are no pauses: the event loop is not there yet.
            began = controller.started + await controller.says("starting", within=_AT_LEAST)
            seconds = await controller.says("in sync", within=_AT_LEAST)
            async with asyncio.timeout(_AT_LEAST + _WITHIN * self._secrets):
                while await self._calls() < calls + self._secrets:  # noqa: ASYNC110
                    await asyncio.sleep(_GLANCE)
        fetched = time.monotonic() - controller.started
        writes = await self._writes(before)
        collected = self._collected(began)
        return Restart(seconds, fetched, controller.peak, probe.longest, writes, collected)

    async def _writes(self, before: ApiServer) -> Counter[str]:
        """Return what has been written since, when no more is."""
        found = (await api_server.look(self._world) - before).writes
        while True:
            await asyncio.sleep(self._load.interval * _SETTLE)
            earlier, found = found, (await api_server.look(self._world) - before).writes
            if found == earlier:
                return found

    async def _polling(self, controller: ControllerProcess) -> Polling:
        began, spent = time.monotonic(), controller.cpu_seconds
        rest = self._load.interval * _REST
        calls = await self._calls()
        await asyncio.sleep(rest)
        at_rest = (controller.cpu_seconds - spent) / rest
        earlier, calls = calls, await self._calls()
        if calls != earlier:
            # The start has taken so long that polls have begun: nothing is known of a rest.
            at_rest = 0.0
        spent = controller.cpu_seconds
        seconds = self._load.interval * (_ROUND - _REST)
        await asyncio.sleep(seconds)
        spent = controller.cpu_seconds - spent
        calls = await self._calls() - calls
        collected = self._collected(began)
        return Polling(at_rest, seconds, spent, calls, controller.resident, collected)

    async def _joining(self, controller: ControllerProcess) -> Joining:
        world, load = self._world, self._load
        await world.add_namespace()
        async with arrivals(world) as seen:
            # Nothing has been written yet: the first one pays for connections and imports.
            await latency.measure(world, seen, 1, 0.0, name="first")
            began = time.monotonic()
            with Probe(self._port, controller.pid) as probe:
                waits = await latency.measure(world, seen, load.samples, load.interval)
        collected = self._collected(began)
        await world.remove_namespace(NAMESPACE)
        return Joining(waits, probe.longest, collected)

    async def _calls(self) -> int:
        total: int = (await self._world.admin.counters())["total"]
        return total

    def _collected(self, began: float) -> Collected:
        return Collected.between(read(self._pauses), began, time.monotonic())


async def measure_all(sizes: Sequence[int], load: Load) -> AsyncIterator[Growth]:
    """Measure at these sizes, from the smallest to the largest."""
    async with World.start() as world:
        have = 0
        for objects in sizes:
            sync = await grow(world, have, objects)
            yield await Observation(world, objects, load).step(sync)
            have = objects


async def _run(sizes: Sequence[int], load: Load, steps: list[Growth]) -> None:
    async for step in measure_all(sizes, load):
        for row in (summary(step), *goals(step)):
            print(f"  {row.what}: {row.figure} {row.verdict}", flush=True)
        steps.append(step)


def _report(steps: Sequence[Growth], load: Load, chart: Path | None) -> bool:
    """Print the table, write JSON and chart; return whether all goals are reached."""
    rows = [*map(summary, steps), *goals(steps[-1])]
    path = save(rows, asdict(load))
    title = f"secret-sync by the number of ExternalSecrets, polled every {load.interval} s"
    text = draw(title, "ExternalSecrets", panels(steps))
    for file in filter(None, (path.with_suffix(".svg"), chart)):
        file.write_text(text, encoding="utf-8")
    print(f"\n{render(rows)}\n\n{path}")
    return all(row.reached is not False for row in rows)


def _sizes(text: str) -> list[int]:
    found = sorted({int(size) for size in text.split(",")})
    if found[0] <= 0 or any(size % PER_NAMESPACE for size in found):
        raise argparse.ArgumentTypeError(f"sizes are multiples of {PER_NAMESPACE}")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, write JSON and chart; 1 if the largest size misses a goal."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--sizes", type=_sizes, default=SIZES, help="separated by commas")
    parser.add_argument("--interval", type=int, default=300, help="of polling, in seconds")
    parser.add_argument("--samples", type=int, default=240, help="new objects, at least two")
    parser.add_argument("--chart", type=Path, help="a further place for the SVG")
    arguments = parser.parse_args(argv)
    if (load := os.getloadavg()[0]) > 1:
        print(f"The machine is busy (load {load:.1f}): times will look worse than they are.")
    asked = Load(arguments.interval, arguments.samples)
    steps: list[Growth] = []
    reached = False
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(arguments.sizes, asked, steps))
    finally:
        # A failure, or a person who has seen enough, takes nothing away from what was measured.
        if steps:
            reached = _report(steps, asked, arguments.chart)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
