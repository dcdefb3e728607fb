"""The figures the project promises, measured: ``python -m benchmarks.run``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import uvloop

from benchmarks import (
    cluster_external_secrets,
    cold,
    first,
    hostile,
    identities,
    idle,
    latency,
    memory,
    push,
    scrape,
    shared,
    templated,
    templates,
)
from benchmarks.table import render, save
from benchmarks.watching import arrivals
from benchmarks.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from benchmarks.table import Row


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything; times in seconds.

    Attributes:
        objects: For all rows but those of sharing and memory.
        connections: Of the bare loop, to each server.
        samples: New objects whose latency is measured.
        sampled_over: The time they are spread over; more than a polling interval.
        idle: The time nothing happens.
        pushed: Objects, of which some are rotated.
        sharing: Objects on one KMS secret, and objects whose memory is measured.
        interval: Of polling the shared secret.
        rounds: Intervals that are looked at.
        foreign: Secrets of others.
        many: Objects and Secrets of others where there are many of both.
        stores: Stores that are cold.
        identities: What they stand for.
        observed: Seconds for which each hostile object is.
        starts: With one object.
        namespaces: That a ClusterExternalSecret spreads to.
        beside: New objects while the worst templates are rendered.
        several: Namespaces, and ClusterExternalSecrets that spread to them at once.
        large: The same of the row that is measured only if it is asked for.
    """

    objects: int = 2000
    connections: int = 32
    samples: int = 240
    sampled_over: float = 72.0
    idle: float = 60.0
    pushed: int = 200
    sharing: int = 1000
    interval: int = 10
    rounds: int = 3
    foreign: int = 2000
    many: int = 10_000
    stores: int = 500
    identities: int = 50
    observed: float = hostile.OBSERVED
    starts: int = 9
    namespaces: int = 500
    beside: int = 100
    several: tuple[int, int] = (200, 5)
    large: tuple[int, int] = (2000, 5)


QUICK: Final = Sizes(
    objects=200,
    samples=20,
    sampled_over=4.0,
    idle=25.0,
    pushed=20,
    sharing=100,
    interval=2,
    foreign=200,
    many=400,
    stores=50,
    identities=5,
    observed=2.0,
    starts=2,
    namespaces=30,
    beside=20,
    several=(20, 2),
    large=(40, 2),
)


async def starting(sizes: Sizes) -> list[Row]:
    """The rows of a cold start: its ceiling, its time, its CPU."""
    async with World.start() as world:
        return await cold.measure(world, sizes.objects, sizes.connections)


async def beginning(sizes: Sizes) -> list[Row]:
    """The row of a start with one object."""
    async with World.start() as world:
        await world.add_namespace()
        return [first.row(await first.measure(world, sizes.starts))]


async def joining(sizes: Sizes) -> list[Row]:
    """The row of a new object among many."""
    async with World.start() as world:
        await world.add_namespace()
        await cold.prepare(world, sizes.objects)
        async with (
            arrivals(world) as seen,
            world.controller(f"--polling-interval={latency.INTERVAL}s") as controller,
        ):
            await cold.follow(world, controller, seen, sizes.objects)
            late = await latency.measure(world, seen, sizes.samples, sizes.sampled_over)
    return [latency.row(late, sizes.objects)]


async def pushing(sizes: Sizes) -> list[Row]:
    """The row of push refresh."""
    async with World.start() as world:
        await world.add_namespace()
        found = await push.measure(world, sizes.pushed, sizes.samples, sizes.sampled_over)
    return [push.row(found, sizes.pushed)]


async def polling(sizes: Sizes) -> list[Row]:
    """The rows of polling that finds nothing new."""
    async with World.start(audit_log=True) as world:
        await world.add_namespace()
        asked = await idle.measure(world, sizes.objects, sizes.idle)
        return idle.rows(asked, sizes.objects)


async def sharing(sizes: Sizes) -> list[Row]:
    """The row of many objects on one KMS secret."""
    async with World.start() as world:
        await world.add_namespace()
        return [await shared.measure(world, sizes.sharing, sizes.interval, sizes.rounds)]


async def authenticating(sizes: Sizes) -> list[Row]:
    """The row of cold identities."""
    async with World.start() as world:
        await world.add_namespace()
        return [await identities.measure(world, sizes.stores, sizes.identities)]


async def memories(sizes: Sizes) -> list[Row]:
    """The rows of memory."""
    async with World.start() as world:
        await world.add_namespace()
        at_work = await memory.at_work(world, sizes.sharing, sizes.foreign)
    return [at_work, await memory.after_import()]


async def many(sizes: Sizes) -> list[Row]:
    """The row of memory with ten thousand objects among as many Secrets of others."""
    async with World.start() as world:
        await world.add_namespace()
        return [await memory.at_work(world, sizes.many, sizes.many, memory.MIB_LARGE)]


async def spreading(sizes: Sizes) -> list[Row]:
    """The rows of ClusterExternalSecrets."""
    async with World.start(audit_log=True) as world:
        await world.add_namespace()
        rows = await cluster_external_secrets.spread(world, sizes.namespaces, sizes.idle)
    return [*rows, *await _fanning_out(sizes.several)]


async def fanning_out(sizes: Sizes) -> list[Row]:
    """The rows of ten thousand children at once."""
    return await _fanning_out(sizes.large)


async def _fanning_out(size: tuple[int, int]) -> list[Row]:
    async with World.start() as world:
        await world.add_namespace()
        return await cluster_external_secrets.fan_out(world, *size)


async def harming(sizes: Sizes) -> list[Row]:
    """The rows of objects that are made to harm."""
    objects = hostile.chosen((), 0, 0)
    found = hostile.measure_all(objects, hostile.Limits(), sizes.observed)
    return [row async for row in found]


async def scraping(sizes: Sizes) -> list[Row]:
    """The row of a scrape."""
    return [await scrape.measure(sizes.many)]


async def rendering(_sizes: Sizes) -> list[Row]:
    """The rows of templates alone."""
    return templates.measure()


async def templating(sizes: Sizes) -> list[Row]:
    """The rows of templates on an API server."""
    async with World.start() as world:
        compared = await templated.compare(world, sizes.objects)
    async with World.start() as world:
        return [compared, await templated.beside_the_worst(world, sizes.beside)]


_JOBS: Final[Mapping[str, Callable[[Sizes], Awaitable[list[Row]]]]] = {
    "cold": starting,
    "first": beginning,
    "latency": joining,
    "push": pushing,
    "idle": polling,
    "shared": sharing,
    "identities": authenticating,
    "memory": memories,
    "many": many,
    "spread": spreading,
    "fanout": fanning_out,
    "scrape": scraping,
    "templates": rendering,
    "templated": templating,
    "hostile": harming,
}
#: Measured only if they are asked for.
_UNUSUAL: Final = frozenset({"fanout"})


async def run(names: Sequence[str], sizes: Sizes) -> list[Row]:
    """Measure some rows, one world after the other, so that none sees what another left."""
    found: list[Row] = []
    for name in names:
        began = time.monotonic()
        print(f"{name} ...", flush=True)
        rows = await _JOBS[name](sizes)
        for row in rows:
            print(f"  {row.what}: {row.figure}")
        print(f"  took {time.monotonic() - began:.0f} s", flush=True)
        found += rows
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the JSON; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few objects, figures of no meaning")
    usual = ",".join(name for name in _JOBS if name not in _UNUSUAL)
    asked = f"some of %(default)s, or {', '.join(sorted(_UNUSUAL))}, which takes minutes"
    parser.add_argument("--rows", default=usual, help=asked)
    arguments = parser.parse_args(argv)
    names = arguments.rows.split(",")
    if unknown := set(names).difference(_JOBS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    if (load := os.getloadavg()[0]) > 1:
        print(f"The machine is busy (load {load:.1f}): times will look worse than they are.")
    sizes = QUICK if arguments.quick else Sizes()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(run(names, sizes))
    print(f"\n{render(found)}\n\n{save(found, asdict(sizes))}")
    return 0 if all(row.reached is not False for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
