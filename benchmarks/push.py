"""A rotated KMS secret, with push refresh: how long until its Secret follows?"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from benchmarks.latency import percentiles
from benchmarks.probe import free_port
from benchmarks.table import Row
from benchmarks.watching import arrivals

if TYPE_CHECKING:
    from benchmarks.watching import Arrivals
    from benchmarks.world import World

P99_MS: Final = 1000.0
#: Seconds between two polls of one object, so that few samples meet one; and calls per second, as
#: by default.
INTERVAL: Final = 120
RATE: Final = 10
_WITHIN: Final = 60.0


async def measure(world: World, objects: int, samples: int, over: float) -> list[float]:
    """Rotate one KMS secret after the other; the cloud posts an event for each.

    Args:
        world: Without objects.
        objects: How many are synced, each from a KMS secret of its own.
        samples: How many rotations.
        over: Seconds for all of them.

    Returns:
        Seconds from the request that rotates to the event of the changed Secret, one for each.
    """
    names = [f"object-{n}" for n in range(objects)]
    await world.add_objects(names)
    token = secrets.token_hex(32)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        (folder / "token").write_text(token)
        port = free_port()
        flags = (
            f"--polling-interval={INTERVAL}s",
            f"--max-concurrent-kms-secret-pulls={RATE}",
            f"--refresh-bind-address=127.0.0.1:{port}",
            f"--refresh-token-dir={folder}",
        )
        async with arrivals(world, change="MODIFIED") as seen, world.controller(*flags):
            await world.all_ready(objects, within=_WITHIN + 2 * objects / RATE)
            await world.admin.set_event_target(f"http://127.0.0.1:{port}/refresh", token=token)
            return await _rotate(world, seen, names, samples, over)


async def _rotate(
    world: World, seen: Arrivals, names: list[str], samples: int, over: float
) -> list[float]:
    began = time.monotonic()
    found = []
    for number in range(samples):
        await asyncio.sleep(max(0.0, began + number * over / samples - time.monotonic()))
        count = seen.count
        sent = time.monotonic()
        # The Secret may be there before the answer is read, so both are waited for at once.
        async with asyncio.TaskGroup() as both:
            both.create_task(world.admin.rotate(names[number % len(names)]))
            both.create_task(seen.until(count + 1, within=_WITHIN))
        found.append(seen.last - sent)
    return found


def row(seconds: list[float], objects: int) -> Row:
    """The line of the table."""
    p50, p99, worst = percentiles(seconds)
    return Row(
        f"push refresh among {objects} objects: KMS rotation to Secret",
        f"p99 < {P99_MS:.0f} ms",
        f"p50 {p50:.0f} ms, p99 {p99:.0f} ms (worst {worst:.0f}, {len(seconds)} samples)",
        p99 < P99_MS,
        {"p50_ms": p50, "p99_ms": p99, "worst_ms": worst, "samples": len(seconds)},
    )
