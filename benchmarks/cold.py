"""Cold start: everything is there but the controller and the Secrets."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks import ceiling
from benchmarks.table import Row
from benchmarks.watching import arrivals
from benchmarks.world import NAMESPACE
from secret_sync.app.start import CHECK_PARSER_AFTER

if TYPE_CHECKING:
    from benchmarks.process import ControllerProcess
    from benchmarks.watching import Arrivals
    from benchmarks.world import World

SHARE_OF_CEILING: Final = 0.75
CPU_MS: Final = 1.8
_WITHIN: Final = 120.0
#: Seconds for an idle controller to come to rest after it is in sync: its last work is to check
#: the YAML parser, which a start with objects does, too.
_REST: Final = CHECK_PARSER_AFTER + 1.0


@dataclass(frozen=True, slots=True)
class IdleStart:
    """A start with nothing to do.

    Attributes:
        seconds: From the start of the process to the end of the initial lists.
        cpu_seconds: Of the process, up to its rest.
    """

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class ColdStart:
    """A start with everything to do; seconds from the start of the process.

    Attributes:
        secrets: Until the last Secret was there.
        statuses: Until the last status said so.
        cpu_seconds: Of the process until then, its start included.
    """

    objects: int
    secrets: float
    statuses: float
    cpu_seconds: float


async def idle_start(world: World) -> IdleStart:
    """Start and stop a controller before there are objects."""
    async with world.controller() as controller:
        seconds = await controller.says("in sync")
        await asyncio.sleep(_REST)
        return IdleStart(seconds, controller.cpu_seconds)


async def prepare(world: World, objects: int) -> None:
    """Create the objects and their KMS secrets."""
    await world.add_objects([f"object-{n}" for n in range(objects)])


async def follow(
    world: World,
    controller: ControllerProcess,
    seen: Arrivals,
    objects: int,
    *,
    namespace: str = NAMESPACE,
) -> ColdStart:
    """Wait for the end of the work of a controller that was just started.

    Args:
        world: Holds that many ExternalSecrets.
        controller: Just started.
        seen: Has watched since before that.
        objects: How many.
        namespace: Theirs.
    """
    await seen.until(objects, within=_WITHIN)
    secrets = seen.last - controller.started
    # Only now, since these lists are long, and not the controller's work.
    await world.all_ready(objects, within=_WITHIN, namespace=namespace)
    statuses = time.monotonic() - controller.started
    return ColdStart(objects, secrets, statuses, controller.cpu_seconds)


async def bare(world: World, part: str, objects: int, connections: int) -> ceiling.Ceiling:
    """A part of the ceiling's measurement; leaves nothing behind.

    Args:
        world: Without a controller.
        part: Distinguishes it from other parts.
        objects: How many.
        connections: To each of the two servers.
    """
    await world.add_namespace(part)
    names = [f"{part}-{n}" for n in range(objects)]
    uids = await world.add_objects(names, namespace=part)
    pairs = list(zip(names, uids, strict=True))
    try:
        return await ceiling.measure(world, part, pairs, connections)
    finally:
        await world.remove_namespace(part)


async def measure(world: World, objects: int, connections: int) -> list[Row]:
    """The rows of a cold start.

    Half of the ceiling is measured before it and half after it: a machine whose speed changes
    shows as a difference between the two.
    """
    before = await bare(world, "before", objects // 2, connections)
    await world.add_namespace()
    start = await idle_start(world)
    await prepare(world, objects)
    async with arrivals(world) as seen, world.controller() as controller:
        cold = await follow(world, controller, seen, objects)
    after = await bare(world, "after", objects // 2, connections)
    return rows(start, cold, before, after)


def rows(
    start: IdleStart, cold: ColdStart, before: ceiling.Ceiling, after: ceiling.Ceiling
) -> list[Row]:
    """Three lines: the ceiling, the share of it, the CPU."""
    top = before + after
    rate = cold.objects / cold.secrets
    share = rate / top.per_second
    # The bare loop writes statuses as well: what defers them is told apart here.
    whole_share = cold.objects / cold.statuses / top.per_second
    cpu = 1000 * (cold.cpu_seconds - start.cpu_seconds) / cold.objects
    whole = 1000 * cold.cpu_seconds / cold.objects
    return [
        Row(
            "ceiling: bare loop, KMS call and two applies",
            "",
            f"{top.per_second:.0f}/s, {top.cpu_ms:.2f} ms CPU "
            f"(before {before.per_second:.0f}/s, after {after.per_second:.0f}/s)",
            values={
                "objects_per_second": top.per_second,
                "objects_per_second_before": before.per_second,
                "objects_per_second_after": after.per_second,
                "cpu_ms_per_object": top.cpu_ms,
            },
        ),
        Row(
            f"cold: {cold.objects} ExternalSecrets, process start to last Secret",
            f">= {SHARE_OF_CEILING} of the ceiling",
            f"{rate:.0f}/s = {share:.2f}; {cold.secrets:.1f} s; to the last status "
            f"{cold.statuses:.1f} s = {whole_share:.2f}; start {start.seconds:.2f} s",
            share >= SHARE_OF_CEILING,
            {
                "objects_per_second": rate,
                "share_of_ceiling": share,
                "share_of_ceiling_to_last_status": whole_share,
                "seconds_to_last_secret": cold.secrets,
                "seconds_to_last_status": cold.statuses,
                "seconds_to_sync_idle": start.seconds,
            },
        ),
        Row(
            "CPU per synced object, controller only",
            f"< {CPU_MS} ms",
            f"{cpu:.2f} ms ({whole:.2f} with the start)",
            cpu < CPU_MS,
            {
                "cpu_ms_per_object": cpu,
                "cpu_ms_per_object_with_start": whole,
                "cpu_seconds_idle_start": start.cpu_seconds,
            },
        ),
    ]
