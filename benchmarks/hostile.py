"""What one hostile object does to everybody else: ``python -m benchmarks.hostile``.

For each object of the list a fresh controller, a namespace that keeps getting new objects, and
another one in which the hostile object is created, observed for some seconds and deleted. The rate
of KMS calls is the default one, or a higher one with which all secrets of the object come in half
of that time.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from benchmarks import hostile_objects, hostile_shapes, hostile_templates
from benchmarks.newcomers import Newcomers
from benchmarks.probe import Probe, free_port
from benchmarks.table import Row, render, save
from benchmarks.world import EXTERNAL_SECRETS, NAMESPACE, ApiRefusedError, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from benchmarks.hostile_parts import HostileObject
    from benchmarks.process import ControllerProcess

HOSTILE: Final = "hostile"
MAKERS: Final = hostile_objects.MAKERS | hostile_templates.MAKERS
#: Seconds that a hostile object is observed, and that its deletion is.
OBSERVED: Final = 8.0
_DELETION: Final = 1.0
#: Calls a second, by default.
_RATE: Final = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """What one object may do to the others.

    Attributes:
        stall: Seconds for which the event loop answers nobody.
        growth: MiB of resident memory, at their peak.
        plain: Seconds from the creation of another namespace's plain object until it is Ready.
        document: The same for one whose YAML has to be parsed.
    """

    stall: float = 0.1
    growth: float = 64.0
    plain: float = 1.0
    document: float = 2.0

    def times(self, factor: float) -> Limits:
        """Return all of them multiplied."""
        return Limits(**{name: value * factor for name, value in asdict(self).items()})

    def __str__(self) -> str:
        """Return them for a person."""
        return (
            f"< {self.stall * 1000:.0f} ms, {self.growth:.0f} MiB, "
            f"{self.plain:.0f} s, {self.document:.0f} s"
        )


@dataclass(frozen=True, slots=True)
class Harm:
    """What it did; as :class:`Limits`."""

    stall: float
    growth: float
    plain: float
    document: float

    def within(self, limits: Limits) -> bool:
        """Return whether no limit is exceeded."""
        measured, allowed = asdict(self), asdict(limits)
        return all(measured[name] <= allowed[name] for name in measured)

    def __str__(self) -> str:
        """Return the figures for a person."""
        return (
            f"stall {self.stall * 1000:.0f} ms, {self.growth:+.0f} MiB, "
            f"plain {self.plain:.2f} s, document {self.document:.2f} s"
        )


async def measure(
    world: World, hostile: HostileObject, limits: Limits, seconds: float = OBSERVED
) -> Row:
    """Have a fresh controller meet a hostile object, and look at what becomes of the others.

    Args:
        world: With both namespaces, and nothing in them.
        hostile: The object.
        limits: What it may do.
        seconds: How long it is observed.
    """
    await world.admin.put_secrets(hostile.secrets)
    port = free_port()
    rate = max(_RATE, int(2 * len(hostile.secrets) / seconds))
    flags = (
        f"--metrics-bind-address=127.0.0.1:{port}",
        f"--max-concurrent-kms-secret-pulls={rate}",
    )
    async with world.controller(*flags) as controller:
        await controller.says("in sync")
        async with Newcomers.watch(world, NAMESPACE, hostile.name) as newcomers:
            await newcomers.warm_up()
            try:
                harm, reason = await _meet(world, hostile, controller, port, newcomers, seconds)
            except ApiRefusedError as error:
                return _refused(hostile, limits, str(error))
            finally:
                for namespace in (NAMESPACE, HOSTILE):
                    await _clear(world, namespace)
    return Row(hostile.name, str(limits), f"{harm} ({reason})", harm.within(limits), asdict(harm))


async def _meet(
    world: World,
    hostile: HostileObject,
    controller: ControllerProcess,
    port: int,
    newcomers: Newcomers,
    seconds: float,
) -> tuple[Harm, str]:
    path = EXTERNAL_SECRETS.format(HOSTILE)
    resident = controller.resident
    Path(f"/proc/{controller.pid}/clear_refs").write_text("5", encoding="ascii")  # noqa: ASYNC240
    with Probe(port, controller.pid) as probe:
        await world.post(path, hostile.document)
        await newcomers.arrive(seconds)
        plain, document = await newcomers.waits()
        reason = await _reason(world, f"{path}/{hostile.name}")
        await _clear(world, HOSTILE)
        await asyncio.sleep(_DELETION)
    try:
        growth = controller.peak - resident
    except (OSError, KeyError):
        # It ended, and nothing is resident any more.
        growth = math.inf
    return Harm(probe.longest, growth, plain, document), reason


async def _reason(world: World, path: str) -> str:
    async with world.api.get(path) as answer:
        found = await answer.json()
    conditions = found.get("status", {}).get("conditions", ())
    return next((c["reason"] for c in conditions if c["type"] == "Ready"), "no condition")


async def _clear(world: World, namespace: str) -> None:
    async with world.api.delete(EXTERNAL_SECRETS.format(namespace)) as answer:
        answer.raise_for_status()


def _refused(hostile: HostileObject, limits: Limits, why: str) -> Row:
    """Return the line of an object that the API server does not take: it harms nobody."""
    return Row(hostile.name, str(limits), f"refused: {why[:120]}", reached=True)


async def measure_all(
    objects: Iterable[HostileObject], limits: Limits, seconds: float = OBSERVED
) -> AsyncIterator[Row]:
    """Yield a line for each object, in a world for all of them."""
    async with World.start() as world:
        for namespace in (NAMESPACE, HOSTILE):
            await world.add_namespace(namespace)
        for hostile in objects:
            yield await measure(world, hostile, limits, seconds)


def chosen(only: Sequence[str], generated: int, seed: int) -> Iterable[HostileObject]:
    """Yield the objects of these names, or all, and so many of random shapes."""
    for name, make in MAKERS.items():
        if not only or name in only:
            yield make()
    for number in range(generated):
        yield hostile_shapes.generated(seed + number)


async def _told(found: AsyncIterator[Row]) -> list[Row]:
    """Collect the lines, each printed as it comes."""
    rows = []
    async for row in found:
        print(f"  {row.what}: {row.figure} {row.verdict}", flush=True)
        rows.append(row)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table; 1 if an object exceeds a limit."""
    parser = argparse.ArgumentParser(prog="benchmarks.hostile", description=__doc__)
    parser.add_argument("--only", default="", help="names, separated by commas; 'none' for none")
    parser.add_argument("--generated", type=int, default=0, help="objects of random shapes")
    parser.add_argument("--seed", type=int, default=0, help="of the first of these")
    parser.add_argument("--seconds", type=float, default=OBSERVED, help="to observe each one")
    parser.add_argument("--factor", type=float, default=1.0, help="of all limits")
    arguments = parser.parse_args(argv)
    only = [name for name in arguments.only.split(",") if name]
    if unknown := set(only) - MAKERS.keys() - {"none"}:
        parser.error(f"no such object: {', '.join(sorted(unknown))}")
    if (load := os.getloadavg()[0]) > 1:
        print(f"The machine is busy (load {load:.1f}): times will look worse than they are.")
    objects = chosen(only, arguments.generated, arguments.seed)
    limits = Limits().times(arguments.factor)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(_told(measure_all(objects, limits, arguments.seconds)))
    print(f"\n{render(rows)}\n\n{save(rows, vars(arguments) | {'only': len(only)})}")
    return 0 if all(row.reached is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
