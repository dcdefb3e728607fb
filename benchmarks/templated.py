"""What templates cost on the real API server: a cold start of many, and the worst ones.

``python -m benchmarks.run --rows templated`` measures them.
"""

from __future__ import annotations

import asyncio
import time
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, Final

from benchmarks import cold, latency
from benchmarks.hostile_templates import ENDLESS, with_single
from benchmarks.table import Row
from benchmarks.watching import arrivals
from benchmarks.world import EXTERNAL_SECRETS, external_secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.watching import Arrivals
    from benchmarks.world import World

#: Of the rate without templates.
SHARE: Final = 0.85
#: Until another namespace has its Secret; the longest of all.
BESIDE_MS: Final = 100.0
_WITHIN: Final = 120.0
#: Objects with a worst template for each second of samples: each takes a fifth of one or more.
_PER_SECOND: Final = 8
#: Seconds between two samples.
_EVERY: Final = 0.1
#: Two keys and a label, as people write them.
TEMPLATE: Final = {
    "data": {
        "url": "postgresql://app:{{ .password | urlquery }}@db.example.com/app",
        ".pgpass": 'db.example.com:5432:app:app:{{ .password | replace ":" "\\\\:" }}\n',
    },
    "metadata": {"labels": {"team": '{{ "Databases" | lower }}'}},
}


def templated(name: str) -> dict[str, Any]:
    """Return an ExternalSecret with a KMS secret of its name, and a template."""
    body = external_secret(name, name)
    body["spec"]["target"] = {"template": TEMPLATE}
    return body


async def compare(world: World, objects: int) -> Row:
    """Start cold with templates and without, in turns, each with objects of its own.

    Args:
        world: Without a controller.
        objects: How many in each of the four starts.
    """
    starts: dict[bool, list[cold.ColdStart]] = {False: [], True: []}
    for number, with_templates in enumerate((False, True, True, False)):
        start = await _start(world, f"turn-{number}", objects, with_templates=with_templates)
        starts[with_templates].append(start)
    plain, rendered = (_rate(starts[which]) for which in (False, True))
    cpu = [1000 * sum(s.cpu_seconds for s in of) / objects / len(of) for of in starts.values()]
    share = rendered / plain
    return Row(
        f"templates: {objects} objects with one, cold, against {objects} without",
        f">= {SHARE} of the rate",
        f"{share:.2f} ({rendered:.0f}/s and {plain:.0f}/s; "
        f"CPU with the start {cpu[1]:.2f} and {cpu[0]:.2f} ms)",
        share >= SHARE,
        {
            "share": share,
            "objects_per_second": rendered,
            "objects_per_second_without": plain,
            "cpu_ms_per_object_with_start": cpu[1],
            "cpu_ms_per_object_with_start_without": cpu[0],
        },
    )


async def _start(
    world: World, namespace: str, objects: int, *, with_templates: bool
) -> cold.ColdStart:
    await world.add_namespace(namespace)
    names = [f"{namespace}-{n}" for n in range(objects)]
    await world.admin.put_secrets({name: f"value of {name}" for name in names})
    bodies = (templated(n) if with_templates else external_secret(n, n) for n in names)
    await world.post_all(EXTERNAL_SECRETS.format(namespace), bodies)
    flag = f"--watch-namespaces={namespace}"
    async with arrivals(world, namespace) as seen, world.controller(flag) as controller:
        return await cold.follow(world, controller, seen, objects, namespace=namespace)


def _rate(starts: Sequence[cold.ColdStart]) -> float:
    return sum(s.objects for s in starts) / sum(s.secrets for s in starts)


async def beside_the_worst(world: World, samples: int) -> Row:
    """Create objects, with templates and without, while another namespace has the worst rendered.

    Args:
        world: Without a controller.
        samples: Objects at most; the last ones are left out if the worst end before.
    """
    for namespace in ("calm", "hostile"):
        await world.add_namespace(namespace)
    bad = [
        with_single(name, number)
        for number, name in enumerate(islice(cycle(ENDLESS), int(samples * _EVERY * _PER_SECOND)))
    ]
    await world.admin.put_secrets(bad[0].secrets)
    async with arrivals(world, "calm") as seen, world.controller() as controller:
        await controller.says("in sync")
        # What the first ones import and connect is none of the worst ones' doing.
        await _sampled(world, seen, "first", 4)
        alone = await _sampled(world, seen, "alone", samples)
        path = EXTERNAL_SECRETS.format("hostile")
        await world.post_all(path, [each.document for each in bad])
        rendered = asyncio.create_task(_all_reported(world, path))
        beside = await _sampled(world, seen, "beside", samples, rendered)
        rendered.cancel()
        await asyncio.wait([rendered])
    return _beside_row(alone, beside)


def _beside_row(alone: list[float], beside: list[float]) -> Row:
    p50, p99, worst = latency.percentiles(beside)
    quiet = latency.percentiles(alone)
    return Row(
        "templates: another namespace's new object while the worst are rendered",
        f"< {BESIDE_MS:.0f} ms",
        f"p50 {p50:.0f} ms, worst {worst:.0f} ms ({len(beside)} samples; "
        f"alone p50 {quiet[0]:.0f}, worst {quiet[2]:.0f})",
        worst < BESIDE_MS,
        {
            "p50_ms": p50,
            "p99_ms": p99,
            "worst_ms": worst,
            "samples": len(beside),
            "p50_ms_alone": quiet[0],
            "worst_ms_alone": quiet[2],
        },
    )


async def _all_reported(world: World, path: str) -> None:
    """Return when each object has a condition."""
    while not all(o.get("status", {}).get("conditions") for o in await world.items(path)):  # noqa: ASYNC110 (another process's)
        await asyncio.sleep(_EVERY)


async def _sampled(
    world: World,
    seen: Arrivals,
    prefix: str,
    samples: int,
    until: asyncio.Task[None] | None = None,
) -> list[float]:
    """Return seconds from the creation of objects until their Secrets were there.

    Args:
        world: Its namespace ``calm`` is where they are created.
        seen: Watches its Secrets.
        prefix: Of their names.
        samples: How many.
        until: When it is done, no more are created.
    """
    names = [f"{prefix}-{n}" for n in range(samples)]
    await world.admin.put_secrets({name: f"value of {name}" for name in names})
    found: list[float] = []
    for number, name in enumerate(names):
        if until is not None and until.done():
            break
        body = templated(name) if number % 2 else external_secret(name, name)
        count, sent = seen.count, time.monotonic()
        async with asyncio.TaskGroup() as both:
            both.create_task(world.post(EXTERNAL_SECRETS.format("calm"), body))
            both.create_task(seen.until(count + 1, within=_WITHIN))
        found.append(seen.last - sent)
        await asyncio.sleep(_EVERY)
    return found
