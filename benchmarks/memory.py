"""Resident memory."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from benchmarks.table import Row
from benchmarks.world import SECRETS

if TYPE_CHECKING:
    from benchmarks.world import World

MIB_AT_WORK: Final = 100.0
#: With ten times as many objects.
MIB_LARGE: Final = 150.0
MIB_AFTER_IMPORT: Final = 55.0
_FOREIGN: Final = "foreign"
_FOREIGN_BYTES: Final = 10_000
#: Seconds for all to be synced, for each object.
_WITHIN: Final = 0.06
_SETTLE: Final = 5.0
_IMPORT: Final = """
import secret_sync.app
from benchmarks.process import memory
import os
print(memory(os.getpid(), "VmRSS"))
"""


async def at_work(world: World, objects: int, foreign: int, goal: float = MIB_AT_WORK) -> Row:
    """Sync objects amid Secrets of others.

    Args:
        world: Without objects.
        objects: How many ExternalSecrets.
        foreign: How many Secrets of others, of 10 KB each.
        goal: What the process may hold, in MiB.
    """
    await world.post("/api/v1/namespaces", {"metadata": {"name": _FOREIGN}})
    text = base64.b64encode(b"x" * _FOREIGN_BYTES).decode()
    bodies = ({"metadata": {"name": f"foreign-{n}"}, "data": {"x": text}} for n in range(foreign))
    await world.post_all(SECRETS.format(_FOREIGN), bodies)
    await world.add_objects([f"object-{n}" for n in range(objects)])
    async with world.controller() as controller:
        await world.all_ready(objects, within=max(60.0, objects * _WITHIN))
        await asyncio.sleep(_SETTLE)
        resident, peak = controller.resident, controller.peak
    return Row(
        f"resident: {objects} objects, {foreign} foreign Secrets of {_FOREIGN_BYTES // 1000} KB",
        f"< {goal:.0f} MiB",
        f"{resident:.1f} MiB (peak {peak:.1f})",
        resident < goal,
        {"resident_mib": resident, "peak_mib": peak},
    )


async def after_import() -> Row:
    """What there is before any work."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _IMPORT, stdout=subprocess.PIPE
    )
    answer, _ = await process.communicate()
    resident = float(answer)
    return Row(
        "resident: after import alone",
        f"< {MIB_AFTER_IMPORT:.0f} MiB",
        f"{resident:.1f} MiB",
        resident < MIB_AFTER_IMPORT,
        {"resident_mib": resident},
    )
