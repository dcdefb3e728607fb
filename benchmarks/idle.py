"""Polling that finds nothing new: what does it ask of the API server, and what does it cost?"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import orjson

from benchmarks.table import Row

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.world import World

_AGENT: Final = "secret-sync"
_STREAMS: Final = frozenset({"watch"})
_READS: Final = frozenset({"get", "list"})
#: Seconds for the last follow-ups of the first sync (a look at the cache after 10 s).
_SETTLE: Final = 12.0
_WITHIN: Final = 120.0
#: Events are over when none was sent for so many seconds, in so many at most.
_QUIET: Final = 5.0
_TOLD_WITHIN: Final = 300.0
_INTERVAL: Final = 20
#: Milliseconds of CPU for a poll that finds the value that is known.
CPU_MS: Final = 0.6


@dataclass(frozen=True, slots=True)
class IdleRequests:
    """What was asked within a time.

    Attributes:
        seconds: How long.
        requests: Of the controller at the API server, leases aside, by verb and resource.
        kms_calls: Of the controller at KMS.
        cpu_seconds: Of the controller.
    """

    seconds: float
    requests: Counter[str]
    kms_calls: int
    cpu_seconds: float

    @property
    def writes(self) -> int:
        """Requests that are neither reads nor streams."""
        others = _READS | _STREAMS
        return sum(n for what, n in self.requests.items() if what.split()[0] not in others)

    @property
    def reads(self) -> int:
        """Requests that read once."""
        return sum(n for what, n in self.requests.items() if what.split()[0] in _READS)


async def measure(world: World, objects: int, seconds: float) -> IdleRequests:
    """Sync objects, let that settle, then look on.

    Args:
        world: With an audit log, which tells who asked.
        objects: How many, with a KMS secret each.
        seconds: To look on for.
    """
    await world.add_objects([f"object-{n}" for n in range(objects)])
    async with world.controller(f"--polling-interval={_INTERVAL}s") as controller:
        await world.all_ready(objects, within=_WITHIN)
        await asyncio.sleep(_SETTLE)
        await until_told(world)
        calls = (await world.admin.counters())["total"]
        began, cpu = datetime.now(UTC), controller.cpu_seconds
        await asyncio.sleep(seconds)
        ended, cpu = datetime.now(UTC), controller.cpu_seconds - cpu
        calls = (await world.admin.counters())["total"] - calls
    requests = await asyncio.to_thread(requests_between, world.plane.audit_log, began, ended)
    return IdleRequests(seconds, requests, calls, cpu)


async def until_told(world: World) -> None:
    """Wait for the Events of the first sync, which are sent at a bounded rate."""
    async with asyncio.timeout(_TOLD_WITHIN):
        while True:
            began = datetime.now(UTC)
            await asyncio.sleep(_QUIET)
            log = world.plane.audit_log
            found = await asyncio.to_thread(requests_between, log, began, datetime.now(UTC))
            if not any(what.endswith(" events") for what in found):
                return


def requests_between(log: Path, began: datetime, ended: datetime) -> Counter[str]:
    """Requests of the controller that began and ended in between; a watch counts by its start."""
    found: Counter[str] = Counter()
    with log.open("rb") as lines:
        for line in lines:
            event = orjson.loads(line)
            if not event.get("userAgent", "").startswith(_AGENT):
                continue
            when = datetime.fromisoformat(event["requestReceivedTimestamp"])
            # What is no object has no reference: /version, say.
            what = event.get("objectRef", {}).get("resource") or event["requestURI"]
            if began <= when <= ended and what != "leases" and event["stage"] != "ResponseStarted":
                found[f"{event['verb']} {what}"] += 1
    return found


def rows(asked: IdleRequests, objects: int) -> list[Row]:
    """Two lines: the requests, the CPU."""
    cpu = 1000 * asked.cpu_seconds / asked.kms_calls
    requests = Row(
        f"{asked.seconds:.0f} s of polling {objects} objects every {_INTERVAL} s, nothing changed",
        "0 writes, 0 unary reads",
        f"{asked.writes} writes, {asked.reads} unary reads ({asked.kms_calls} KMS calls)",
        asked.writes == 0 and asked.reads == 0 and asked.kms_calls >= objects,
        {
            "writes": asked.writes,
            "unary_reads": asked.reads,
            "kms_calls": asked.kms_calls,
            **{f"requests: {what}": n for what, n in asked.requests.items()},
        },
    )
    # Also what the controller does in that time without polls.
    each = Row(
        f"CPU per unchanged poll, {asked.kms_calls / asked.seconds:.0f} a second",
        f"<= {CPU_MS} ms",
        f"{cpu:.2f} ms",
        cpu <= CPU_MS,
        {"cpu_ms_per_poll": cpu},
    )
    return [requests, each]
