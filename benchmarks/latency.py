"""One new object among many that poll: how long until its Secret is there?"""

from __future__ import annotations

import asyncio
import time
from statistics import quantiles
from typing import TYPE_CHECKING, Final

from benchmarks.table import Row
from benchmarks.world import EXTERNAL_SECRETS, NAMESPACE, external_secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.watching import Arrivals
    from benchmarks.world import World

P50_MS: Final = 30.0
P99_MS: Final = 250.0
#: Seconds between two polls of one object.
INTERVAL: Final = 60
_WITHIN: Final = 30.0


async def measure(
    world: World, seen: Arrivals, samples: int, over: float, *, name: str = "late"
) -> list[float]:
    """Create objects one after the other, evenly over some time.

    After a cold start the first round of polls comes all at once, one interval later: the time
    should cover it, so that the samples see both the crowd and the calm.

    Args:
        world: Has a controller that is at rest.
        seen: Watches its Secrets.
        samples: How many objects.
        over: Seconds for all of them.
        name: How their names begin.

    Returns:
        Seconds from sending the request to the news of the Secret, one for each.
    """
    names = [f"{name}-{n}" for n in range(samples)]
    await world.admin.put_secrets({each: f"value of {each}" for each in names})
    path = EXTERNAL_SECRETS.format(NAMESPACE)
    began = time.monotonic()
    found = []
    for number, each in enumerate(names):
        await asyncio.sleep(max(0.0, began + number * over / samples - time.monotonic()))
        count = seen.count
        sent = time.monotonic()
        # The Secret may be there before the answer is read, so both are waited for at once.
        async with asyncio.TaskGroup() as both:
            both.create_task(world.post(path, external_secret(each, each)))
            both.create_task(seen.until(count + 1, within=_WITHIN))
        found.append(seen.last - sent)
    return found


def percentiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    """The median, the 99th percentile and the longest of at least two times; milliseconds."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    return 1000 * cuts[49], 1000 * cuts[98], 1000 * max(seconds)


def row(seconds: list[float], objects: int) -> Row:
    """The line of the table."""
    p50, p99, worst = percentiles(seconds)
    return Row(
        f"one new object while {objects} poll every {INTERVAL} s: create to Secret",
        f"p50 < {P50_MS:.0f} ms, p99 < {P99_MS:.0f} ms",
        f"p50 {p50:.0f} ms, p99 {p99:.0f} ms (worst {worst:.0f}, {len(seconds)} samples)",
        p50 < P50_MS and p99 < P99_MS,
        {"p50_ms": p50, "p99_ms": p99, "worst_ms": worst, "samples": len(seconds)},
    )
