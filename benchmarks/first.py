"""The start: from the process to the first Secret, with one object."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.table import Row
from benchmarks.watching import arrivals
from benchmarks.world import EXTERNAL_SECRETS, NAMESPACE, SECRETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.world import World

SECONDS: Final = 0.7
_WITHIN: Final = 30.0
#: Seconds for the API server to come to rest after a controller has gone.
_REST: Final = 0.3


@dataclass(frozen=True, slots=True)
class Start:
    """One start.

    Attributes:
        seconds: From the start of the process to its first Secret.
        cpu_seconds: Of the process until then.
        aiohttp_seconds: What a bare interpreter took just before to import aiohttp and to end: the
            speed of the machine at that moment.
    """

    seconds: float
    cpu_seconds: float
    aiohttp_seconds: float


async def measure(world: World, rounds: int) -> list[Start]:
    """Start a controller again and again, each time with one object that has no Secret.

    Args:
        world: With a namespace, and without objects.
        rounds: How often.
    """
    return [await _once(world, f"first-{number}") for number in range(rounds)]


async def _once(world: World, name: str) -> Start:
    await world.add_objects([name])
    bare = await _import_aiohttp()
    async with arrivals(world) as seen, world.controller() as controller:
        await seen.until(1, within=_WITHIN)
        start = Start(seen.last - controller.started, controller.cpu_seconds, bare)
    for kind in (EXTERNAL_SECRETS, SECRETS):
        async with world.api.delete(f"{kind.format(NAMESPACE)}/{name}") as answer:
            # The Secret may have gone with its owner.
            await answer.read()
    await asyncio.sleep(_REST)
    return start


async def _import_aiohttp() -> float:
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import aiohttp", stdin=subprocess.DEVNULL
    )
    await process.wait()
    return time.monotonic() - began


def row(starts: Sequence[Start]) -> Row:
    """One line: the medians."""
    seconds = statistics.median(start.seconds for start in starts)
    cpu = statistics.median(start.cpu_seconds for start in starts)
    ratio = statistics.median(start.seconds / start.aiohttp_seconds for start in starts)
    slowest = max(start.seconds for start in starts)
    return Row(
        "start: process start to first Secret, one object",
        f"<= {SECONDS} s",
        f"{seconds:.2f} s ({slowest:.2f} the slowest of {len(starts)}), {cpu:.2f} s CPU; "
        f"{ratio:.1f} times a bare import of aiohttp",
        seconds <= SECONDS,
        {
            "seconds_to_first_secret": seconds,
            "seconds_slowest": slowest,
            "cpu_seconds": cpu,
            "times_an_import_of_aiohttp": ratio,
        },
    )
