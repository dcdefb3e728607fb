"""A short run of what ``make chaos`` does for long, and stops at every await."""

from __future__ import annotations

import math
import os
import random
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from tests.chaos.faults import READS
from tests.chaos.process import STOPS_WITHIN, Child
from tests.chaos.run import chaos
from tests.chaos.system import ChaosSystem

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.controlplane.plane import ControlPlane

#: Lives that end at an await of their own each, and callbacks of the longest of them.
LIVES, LONGEST = 10, 6000
#: The same faults each time, of eight kinds in three rounds: new ones are drawn by `make chaos`.
SEED = int(os.environ.get("SEED") or 432)
#: Seconds after which it is told to stop from outside.
COMES = 10
#: Seconds that something may take here. How long it takes is for `make chaos`, on a machine that
#: does nothing else.
PATIENCE = 1.0


@pytest.mark.timeout(300)
async def test_no_fault_harms_a_secret(
    breakable_control_plane: ControlPlane, tmp_path: Path
) -> None:
    said: list[str] = []
    seed = SEED
    try:
        game = await chaos(
            breakable_control_plane,
            tmp_path,
            seed=seed,
            seconds=45,
            objects=60,
            say=said.append,
            patience=PATIENCE,
        )
    except BaseException as error:
        error.add_note("\n".join(said))
        raise
    assert game.rounds >= 1
    assert game.system.auditor.states > 60


@pytest.mark.timeout(450)  # it mostly waits, beside other tests
async def test_SIGTERM_at_any_await_ends_it_in_peace(
    breakable_control_plane: ControlPlane, tmp_path: Path
) -> None:
    seed = SEED
    draws = random.Random(seed)
    async with ChaosSystem.start(breakable_control_plane, tmp_path, draws, 30) as system:
        await system.auditor.until_right(60)
        await system.end_child()
        system.patience = PATIENCE
        for life in range(LIVES):
            after = round(math.exp(draws.uniform(0, math.log(LONGEST)))) if life else 0
            await system.cloudful.turn(system.cloudful.turns)
            async with AsyncExitStack() as stack:
                trouble = await _trouble(system, life, stack)
                child = await Child.start(
                    "asyncio", system.flags, system.variables, signal_after=after
                )
                stack.push_async_callback(child.end)
                about = f"seed {seed}: {after} callbacks after its start, {trouble}"
                # So many may never come where all it does is to wait.
                if not await child.is_told_to_stop(COMES):
                    child.send(signal.SIGTERM)
                child.doomed = True
                try:
                    code = await child.ends(STOPS_WITHIN)
                except TimeoutError as error:
                    error.add_note(f"{about}, {child.lines[-3:]}")
                    raise
                await child.end()
            assert code == 0, (about, child.lines[-3:])
            assert child.leftovers() == [], (about, child.lines)
            await system.look_at(child)
        assert [*system.auditor.complaints, *system.complaints] == []


async def _trouble(system: ChaosSystem, life: int, stack: AsyncExitStack) -> str:
    """What it is in the middle of, apart from its own work."""
    match life % 4:
        case 1:
            system.gateway.silence()
            stack.callback(system.gateway.calm)
            return "the API server is silent"
        case 2:
            for action in (*READS, "AssumeRole"):
                await system.admin.set_fault("hang", action=action)
            stack.push_async_callback(system.admin.clear_faults)
            return "Alibaba Cloud hangs"
        case _:
            return "nothing is wrong"
