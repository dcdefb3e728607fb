"""Random faults while Secrets are kept in sync: ``python -m tests.chaos.run --seconds 900``.

Prints its seed; the same seed draws the same faults. What the machine makes of them in between
is its own affair.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secret_sync.local.controlplane.plane import ControlPlane
from tests.chaos.faults import FAULTS
from tests.chaos.system import ChaosSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from tests.chaos.faults import Fault
    from tests.chaos.process import Footprint

#: Seconds after the last fault in which everything has to be right.
RIGHT_WITHIN: Final = 30.0
#: Seconds in which kept-alive connections are closed and what they took is given back, and more.
BACK_WITHIN: Final = 120.0
SHORTEST, LONGEST = 3.0, 15.0
#: Part of all sources that is rotated, every so many seconds.
ROTATED, EVERY = 0.1, 0.25
#: What may be more than before: connections come and go with what is polled, and the allocator
#: gives back pages, not bytes.
MORE_DESCRIPTORS, MORE_TASKS, MORE_BYTES = 16, 16, 24 * 2**20


@dataclass
class Chaos:
    """A run.

    Attributes:
        system: What suffers.
        random: Draws everything.
        faults: What is drawn from.
        say: Takes a line for a person.
        rounds: How many were played.
        before: What the controller had of the machine before the first fault.
    """

    system: ChaosSystem
    random: Random
    say: Callable[[str], None]
    faults: Sequence[Fault] = tuple(FAULTS)
    rounds: int = 0
    before: Footprint | None = None

    async def settle(self) -> None:
        """Waits until everything is in sync for the first time."""
        took = await self.system.auditor.until_right(60)
        self.before = await self.system.child.footprint()
        self.say(f"everything in step after {took:.1f} s, {self.before}")

    async def play(self, seconds: float) -> None:
        """Rounds of faults and calm until the time is over.

        Raises:
            AssertionError: An invariant does not hold; says which, and in which round.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.rounds += 1
            drawn = self.draw()
            begun = time.monotonic()
            title = f"round {self.rounds}: " + ", ".join(
                f"{one.name} ({length:.0f} s)" for one, length in drawn
            )
            try:
                await self._suffer(drawn)
                took = await self.system.auditor.until_right(RIGHT_WITHIN)
                now = await self._compare()
                await self.system.look_at(self.system.child)
                await self.system.look_around()
                self.check()
            except AssertionError as error:
                error.add_note(title)
                error.add_note("".join(self.system.child.lines[-15:]))
                raise
            took_all = time.monotonic() - begun
            self.say(f"{took_all:5.1f} s, right after {took:4.1f} s, {now}  {title}")

    def draw(self) -> list[tuple[Fault, float]]:
        """One to four faults that do not undo each other, and how long each lasts."""
        drawn: dict[str, Fault] = {}
        for one in self.random.sample(
            self.faults, self.random.randint(1, min(4, len(self.faults)))
        ):
            drawn.setdefault(one.group, one)
        return [(one, self.random.uniform(SHORTEST, LONGEST)) for one in drawn.values()]

    async def _suffer(self, drawn: Sequence[tuple[Fault, float]]) -> None:
        over = asyncio.Event()
        # Of its own for each: what one draws must not depend on when another does.
        seeds = iter([self.random.random() for _ in range(len(drawn) + 1)])
        rotating = asyncio.create_task(self._rotate(over, random.Random(next(seeds))))
        try:
            async with asyncio.TaskGroup() as tasks:
                for one, length in drawn:
                    draws = random.Random(next(seeds))
                    tasks.create_task(one.strike(self.system, draws, length))
        finally:
            # Not cancelled: what is counted as rotated has to be so in the cloud.
            over.set()
            await rotating

    async def _rotate(self, over: asyncio.Event, draws: Random) -> None:
        while not over.is_set():
            await self.system.cloudful.turn_some(draws, ROTATED)
            await asyncio.sleep(EVERY)

    async def _compare(self) -> Footprint:
        """Waits for this life to have no more of the machine than the first one had before."""
        child, before = self.system.child, self.before
        assert before is not None
        # asyncio's own TLS takes a quarter of a megabyte a connection; nobody's controller has it.
        more_bytes = MORE_BYTES if child.loop == "uvloop" else 4 * MORE_BYTES
        by = time.monotonic() + BACK_WITHIN
        while True:
            now = await child.footprint()
            more = [
                f"{what}: {b} before, {a} now"
                for what, b, a, slack in (
                    ("bytes", before.resident, now.resident, more_bytes),
                    ("descriptors", before.descriptors, now.descriptors, MORE_DESCRIPTORS),
                    ("tasks", before.tasks, now.tasks, MORE_TASKS),
                )
                if a > b + slack
            ]
            if not more:
                return now
            assert time.monotonic() < by, "; ".join(more)
            await asyncio.sleep(1)

    def check(self) -> None:
        wrong = [*self.system.auditor.complaints, *self.system.complaints]
        assert not wrong, "\n".join(wrong[:10])


async def chaos(  # noqa: PLR0913 (by name: what a run is told)
    plane: ControlPlane,
    directory: Path,
    *,
    seed: int,
    seconds: float,
    objects: int,
    say: Callable[[str], None],
    faults: Sequence[Fault] = tuple(FAULTS),
    patience: float = 0.2,
) -> Chaos:
    """Plays; see :meth:`Chaos.play`.

    Args:
        plane: Is broken and repaired.
        directory: For files.
        seed: Of all that is drawn.
        seconds: How long faults are drawn; the last calm comes on top.
        objects: ExternalSecrets.
        say: Takes lines for a person.
        faults: What is drawn from.
        patience: Seconds for which the controller may keep its loop to one thing.
    """
    say(f"seed {seed}, {objects} objects, {seconds:.0f} s")
    # One for what is drawn, so that it depends on nothing that happens.
    draws, rest = random.Random(seed), random.Random(seed + 1)
    async with ChaosSystem.start(plane, directory, rest, objects) as system:
        system.patience = patience
        game = Chaos(system, draws, say, faults)
        await game.settle()
        await game.play(seconds)
        await system.stop_child()
        game.check()
        say(f"{game.rounds} rounds, {system.lives + 1} lives, {system.auditor.states} states seen")
        return game


async def _main(arguments: argparse.Namespace) -> None:
    faults = [one for one in FAULTS if re.search(arguments.faults, one.name)]
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        directory = Path(folder)
        async with await ControlPlane.start(directory / "plane", progress=print) as plane:
            await chaos(
                plane,
                directory,
                seed=arguments.seed,
                seconds=arguments.seconds,
                objects=arguments.objects,
                say=_say,
                faults=faults,
            )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Plays for as long as the arguments say; 1 if an invariant did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.run", description=__doc__)
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--objects", type=int, default=300)
    parser.add_argument("--faults", default="", help="a regular expression; only those")
    arguments = parser.parse_args()
    try:
        asyncio.run(_main(arguments))
    except AssertionError as error:
        _say("\n".join([f"seed {arguments.seed}: {error}", *getattr(error, "__notes__", ())]))
        return 1
    _say("nothing found")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
