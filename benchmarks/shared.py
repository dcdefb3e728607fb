"""Many objects on one KMS secret."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from benchmarks.table import Row

if TYPE_CHECKING:
    from benchmarks.world import World

CALLS: Final = 2
_WITHIN: Final = 60.0


async def measure(world: World, objects: int, interval: int, rounds: int) -> Row:
    """Sync objects that share a KMS secret, then count the calls of some intervals.

    Args:
        world: Without objects.
        objects: How many.
        interval: Seconds between polls.
        rounds: How many intervals.
    """
    await world.add_objects([f"object-{n}" for n in range(objects)], shared="shared")
    async with world.controller(f"--polling-interval={interval}s"):
        await world.all_ready(objects, within=_WITHIN)
        first = (await world.admin.counters())["total"]
        counts = []
        for _ in range(rounds):
            before = (await world.admin.counters())["total"]
            await asyncio.sleep(interval)
            counts.append((await world.admin.counters())["total"] - before)
    return Row(
        f"{objects} objects on one KMS secret, {rounds} intervals of {interval} s",
        f"<= {CALLS} KMS calls per interval",
        f"{', '.join(map(str, counts))} calls ({first} for the first sync)",
        max(counts) <= CALLS and sum(counts) > 0,
        {"most_calls_per_interval": max(counts), "calls_of_first_sync": first},
    )
