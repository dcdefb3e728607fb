"""Counts what the controller calls for each object: ``python -m benchmarks.calls``.

A busy machine changes times, but not the number of calls. A call of a Python function counts as 1,
one of a native function as 0.15, which predicts CPU time well. What remains of a call tree is
printed with the calls of each function and of all that it calls, per object.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import orjson
import uvloop

from benchmarks import ceiling
from benchmarks.counted import TO
from benchmarks.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.process import ControllerProcess

#: What a call of a native function counts for.
NATIVE: Final = 0.15
_WITHIN: Final = 300.0
#: Seconds for a controller that has done all to come to rest.
_REST: Final = 3.0
_POLLS: Final = 10
_CONNECTIONS: Final = 32
_COUNTED: Final = ("-m", "benchmarks.counted")

#: Calls by the path of functions that leads to them, native ones as a last step in brackets.
Calls = dict[tuple[str, ...], float]


async def of_syncs(world: World, objects: int) -> Calls:
    """The calls of a start with new objects, less those of one without any."""
    await world.add_namespace()
    idle = await _of_start(world, 0)
    await world.add_objects([f"object-{n}" for n in range(objects)])
    started = await _of_start(world, objects)
    return {
        path: (started.get(path, 0) - idle.get(path, 0)) / objects for path in started.keys() | idle
    }


async def of_polls(world: World, objects: int) -> Calls:
    """The calls of polls that find nothing new."""
    await world.add_namespace()
    await world.add_objects([f"object-{n}" for n in range(objects)])
    interval = max(2, objects // 50)
    async with _counted(world, f"--polling-interval={interval}s") as controller:
        await world.all_ready(objects, within=_WITHIN)
        # Events are sent at a limited rate, and are none of a poll's work.
        await asyncio.sleep(_REST + objects / 10)
        await _written(controller, world)
        polls = (await world.admin.counters())["total"]
        await asyncio.sleep(_POLLS * interval)
        polls = (await world.admin.counters())["total"] - polls
        calls = await _written(controller, world)
    return {path: number / polls for path, number in calls.items()}


async def of_bare_loop(world: World, objects: int) -> Calls:
    """The calls of the loop that is the ceiling."""
    await world.add_namespace()
    names = [f"object-{n}" for n in range(objects)]
    uids = await world.add_objects(names)
    place = world.directory / "calls"
    os.environ[TO] = str(place)
    pairs = list(zip(names, uids, strict=True))
    await ceiling.measure(
        world, "bench", pairs, _CONNECTIONS, command=(*_COUNTED, "benchmarks.ceiling")
    )
    everything = read(place)
    # Imports are not part of an object's work.
    return {p: n / objects for p, n in everything.items() if "runners.Runner.run" in p}


def _counted(world: World, *flags: str) -> ControllerProcess:
    os.environ[TO] = str(world.directory / "calls")
    controller = world.controller(*flags)
    controller.command = (*_COUNTED, "secret_sync", "run")
    return controller


async def _of_start(world: World, objects: int) -> Calls:
    async with _counted(world) as controller:
        await controller.says("in sync", within=_WITHIN)
        await world.all_ready(objects, within=_WITHIN)
        await asyncio.sleep(_REST)
        return await _written(controller, world)


async def _written(controller: ControllerProcess, world: World) -> Calls:
    """What was called since the start, or since this was last asked."""
    place = world.directory / "calls"
    place.unlink(missing_ok=True)
    os.kill(controller.pid, signal.SIGUSR1)
    while not place.exists():  # noqa: ASYNC110 (another process's)
        await asyncio.sleep(0.1)
    return read(place)


def read(place: Path) -> Calls:
    """The weighted calls that a process has written."""
    calls: Calls = defaultdict(float)
    paths: list[tuple[str, ...]] = []
    for parent, name, number, native in orjson.loads(place.read_bytes()):
        path = (*(paths[parent] if parent >= 0 else ()), name)
        paths.append(path)
        calls[path] += number
        for function, times in native.items():
            calls[*path, f"[{function}]"] += times * NATIVE
    return calls


def render(calls: Calls, least: float) -> str:
    """The tree of what costs at least so many calls with all that it calls."""
    whole: dict[tuple[str, ...], float] = defaultdict(float)
    for path, number in calls.items():
        for length in range(len(path) + 1):
            whole[path[:length]] += number
    below: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
    for path, number in whole.items():
        if path and number >= least:
            below[path[:-1]].append(path)
    lines = [f"{whole[()]:8.1f}"]
    # What everything is called by: the main module, the start of the loop.
    top: tuple[str, ...] = ()
    while len(below[top]) == 1:
        (top,) = below[top]
    left = sorted(below[top], key=whole.__getitem__)
    while left:
        path = left.pop()
        indent = "  " * (len(path) - len(top))
        lines.append(f"{whole[path]:8.1f} {calls.get(path, 0):7.1f} {indent}{path[-1]}")
        left += sorted(below[path], key=whole.__getitem__)
    return "\n".join(lines)


def render_functions(calls: Calls, least: float) -> str:
    """What each function costs with all that it calls, by whatever path."""
    whole: dict[str, float] = defaultdict(float)
    for path, number in calls.items():
        for name in set(path):
            whole[name] += number
    ordered = sorted(whole.items(), key=lambda pair: -pair[1])
    return "\n".join(f"{number:8.1f} {name}" for name, number in ordered if number >= least)


_SCENES: Final = {"sync": of_syncs, "poll": of_polls, "bare": of_bare_loop}


async def _run(scene: str, objects: int) -> Calls:
    async with World.start() as world:
        return await _SCENES[scene](world, objects)


def main(argv: Sequence[str] | None = None) -> None:
    """Print a tree and a table of functions."""
    parser = argparse.ArgumentParser(prog="benchmarks.calls", description=__doc__)
    parser.add_argument("scene", choices=_SCENES)
    parser.add_argument("--objects", type=int, default=300)
    parser.add_argument("--least", type=float, default=5.0, help="calls of what is printed")
    arguments = parser.parse_args(argv)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        calls = runner.run(_run(arguments.scene, arguments.objects))
    print(render(calls, arguments.least))
    print(f"\n{render_functions(calls, arguments.least)}")


if __name__ == "__main__":
    main()
