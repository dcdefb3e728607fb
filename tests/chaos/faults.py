"""What clusters do to a controller, as a list to draw from.

A fault lasts as long as its function runs, which puts everything right again at its end. Those
of one group never come together: they would undo each other.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from benchmarks import hostile_objects, hostile_shapes
from secret_sync.kube.apply import APPLY
from tests.chaos.auditor import FOREIGN
from tests.chaos.gateway import Trouble
from tests.support.operator import path_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from random import Random

    from tests.chaos.system import ChaosSystem

READS: Final = ("GetSecretValue", "GetSecretParameter")
#: Seconds of what takes long. Beyond every time limit of a call.
LONG: Final = 10.0


@dataclass(frozen=True)
class Fault:
    """One of the list."""

    name: str
    group: str
    strike: Callable[[ChaosSystem, Random, float], Coroutine[None, None, None]]


FAULTS: list[Fault] = []


def fault(group: str) -> Callable[[Any], Any]:
    """Puts a function on the list; it gets the system, a generator, and how long to last."""

    def listed(strike: Any) -> Any:
        FAULTS.append(Fault(strike.__name__.replace("_", " "), group, strike))
        return strike

    return listed


# --- The API server -----------------------------------------------------------------------


@fault("api server")
async def the_api_server_is_killed(system: ChaosSystem, random: Random, seconds: float) -> None:
    await system.plane.kill_api_server()
    try:
        await asyncio.sleep(seconds)
    finally:
        await system.plane.start_api_server()


@fault("api server")
async def the_past_is_forgotten(system: ChaosSystem, random: Random, seconds: float) -> None:
    await system.plane.expire_history()


@fault("api server")
async def etcd_is_compacted(system: ChaosSystem, random: Random, seconds: float) -> None:
    for _ in range(3):
        await system.plane.compact()
        system.gateway.cut(watches_only=True)
        await asyncio.sleep(seconds / 3)


@fault("way to the api server")
async def connections_are_cut(system: ChaosSystem, random: Random, seconds: float) -> None:
    for _ in range(4):
        system.gateway.cut(watches_only=random.random() < 0.5)
        await asyncio.sleep(seconds / 4)


@fault("way to the api server")
async def the_api_server_falls_silent(system: ChaosSystem, random: Random, seconds: float) -> None:
    system.gateway.silence()
    await _calm_after(system, seconds)


@fault("way to the api server")
async def the_api_server_refuses(system: ChaosSystem, random: Random, seconds: float) -> None:
    share = random.choice([0.3, 0.9, 1.0])
    system.gateway.trouble = Trouble(refused=random.choice([429, 429, 500, 503, 504]), share=share)
    await _calm_after(system, seconds)


@fault("way to the api server")
async def the_api_server_takes_10_s(system: ChaosSystem, random: Random, seconds: float) -> None:
    system.gateway.trouble = Trouble(late=LONG)
    await _calm_after(system, seconds)


@fault("way to the api server")
async def answers_are_lost(system: ChaosSystem, random: Random, seconds: float) -> None:
    system.gateway.trouble = Trouble(lost=True, share=0.3)
    await _calm_after(system, seconds)


async def _calm_after(system: ChaosSystem, seconds: float) -> None:
    try:
        await asyncio.sleep(seconds)
    finally:
        system.gateway.calm()


# --- Alibaba Cloud ------------------------------------------------------------------------


@fault("rate")
async def kms_lets_one_call_in_ten_pass(
    system: ChaosSystem, random: Random, seconds: float
) -> None:
    async with _set(system, *((action, "throttle", {"probability": 0.9}) for action in READS)):
        await asyncio.sleep(seconds)


@fault("kms")
async def kms_is_dead(system: ChaosSystem, random: Random, seconds: float) -> None:
    kind, options = random.choice(
        [("error", {"status": 503}), ("hang", {}), ("html", {}), ("empty", {}), ("blank", {})]
    )
    async with _set(system, *((action, kind, options) for action in READS)):
        await asyncio.sleep(seconds)


@fault("kms")
async def kms_takes_10_s(system: ChaosSystem, random: Random, seconds: float) -> None:
    # Just in time, or after the call has been given up.
    late = random.choice([LONG * 0.4, LONG])
    async with _set(system, *((action, "delay", {"seconds": late}) for action in READS)):
        await asyncio.sleep(seconds)


@fault("kms")
async def connections_to_kms_break(system: ChaosSystem, random: Random, seconds: float) -> None:
    async with _set(system, *((action, "close", {"probability": 0.5}) for action in READS)):
        await asyncio.sleep(seconds)


@fault("events")
async def events_are_lost_and_repeated(system: ChaosSystem, random: Random, seconds: float) -> None:
    """Polling repairs what no event tells of, and a flood of requests harms nothing."""
    target = system.refreshes
    await system.admin.set_event_target(
        target.url, token=target.token, drop=random.choice([0.0, 0.5, 0.9]), duplicate=0.5
    )
    flooding = asyncio.create_task(_flood(system))
    try:
        await asyncio.sleep(seconds)
    finally:
        flooding.cancel()
        await asyncio.wait([flooding])
        await system.admin.set_event_target()


async def _flood(system: ChaosSystem) -> None:
    """Somebody without the token, and somebody who names everything all the time."""
    target, names = system.refreshes, sorted(system.cloudful.turns)[:100]
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            for token in ("wrong" * 10, target.token):
                headers = {"Authorization": f"Bearer {token}"}
                with suppress(aiohttp.ClientError, TimeoutError):
                    await session.post(target.url, json={"secrets": names}, headers=headers)
            await asyncio.sleep(0.05)


@fault("sts")
async def sts_is_dead(system: ChaosSystem, random: Random, seconds: float) -> None:
    kind = random.choice(["error", "hang", "html"])
    options = {"status": 503} if kind == "error" else {}
    async with _set(system, ("AssumeRole", kind, options)):
        await system.admin.expire_sessions(role=system.role)
        await asyncio.sleep(seconds)


@fault("sts")
async def sessions_expire(system: ChaosSystem, random: Random, seconds: float) -> None:
    for _ in range(2):
        await system.admin.expire_sessions(role=system.role)
        await asyncio.sleep(seconds / 2)


@fault("names")
async def no_name_is_resolved(system: ChaosSystem, random: Random, seconds: float) -> None:
    system.child.report("resolve", failing=True)
    try:
        # What is connected needs no name.
        async with _set(system, *((action, "close", {}) for action in (*READS, "AssumeRole"))):
            await asyncio.sleep(seconds)
    finally:
        system.child.report("resolve", failing=False)


@asynccontextmanager
async def _set(
    system: ChaosSystem, *faults: tuple[str, str, dict[str, Any]]
) -> AsyncIterator[None]:
    ids = [
        await system.admin.set_fault(kind, action=action, **options)
        for action, kind, options in faults
    ]
    try:
        yield
    finally:
        for fault_id in ids:
            await system.admin.clear_faults(fault_id)


# --- Another tenant -----------------------------------------------------------------------


#: The schema refuses the one that is omitted, after the API server spent a minute on its 116,666
#: entries where the machine is busy: that harms the API server, whatever the controller is.
_ACCEPTED: Final = [
    make for name, make in hostile_objects.MAKERS.items() if name != "empty-entries"
]


@fault("tenant")
async def a_tenant_is_hostile(system: ChaosSystem, random: Random, seconds: float) -> None:
    makers = random.sample(_ACCEPTED, random.randint(1, 3))
    objects = [make() for make in makers] + [hostile_shapes.generated(random.randrange(2**32))]
    path = path_of("ExternalSecret", system.tenant)
    for hostile in objects:
        await system.admin.put_secrets(hostile.secrets)
    try:
        for hostile in objects:
            # One that costs the API server too much to look at does not reach the controller.
            await system.insist("POST", path, hostile.document)
        await asyncio.sleep(seconds)
    finally:
        assert await system.insist("DELETE", path), "the hostile objects were not deleted"


# --- Other writers ------------------------------------------------------------------------


@fault("writers")
async def others_write_by_string_data(system: ChaosSystem, random: Random, seconds: float) -> None:
    """A server-side apply that leaves no trace in the keys' managed fields."""
    # Too few for a write conflict: no write is reverted three times in a minute. Half of them at
    # the end, when no rotation follows that would write the Secret in any case.
    names = random.sample(sorted(system.auditor.keys), 12)
    for number, name in enumerate(names):
        if number < 6:
            await asyncio.sleep(seconds / 6)
        key = random.choice(sorted(system.auditor.keys[name]))
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": {key: FOREIGN},
        }
        path = f"{path_of('Secret', system.namespace, name)}?fieldManager=others"
        await system.insist("PATCH", path, body, APPLY)


# --- The process and its clocks -----------------------------------------------------------


@fault("process")
async def the_controller_is_killed(system: ChaosSystem, random: Random, seconds: float) -> None:
    for _ in range(2):
        child = system.child
        after, pause = random.randrange(3000), random.random() * seconds / 2
        if child.loop == "asyncio":
            child.doomed = True
            child.report("die", after=after)
            pause = seconds / 2
        await asyncio.sleep(pause)
        await child.end()
        await system.look_at(child)
        await system.start_child()


@fault("process")
async def the_controller_is_stopped(system: ChaosSystem, random: Random, seconds: float) -> None:
    await asyncio.sleep(random.random() * seconds)
    await system.stop_child()
    await system.start_child()


@fault("process")
async def the_process_is_frozen(system: ChaosSystem, random: Random, seconds: float) -> None:
    child = system.child
    child.report("forgive", lateness=True)
    await asyncio.sleep(0.1)
    child.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        child.send(signal.SIGCONT)
        await asyncio.sleep(0.5)
        child.report("forgive", lateness=False)


@fault("process")
async def the_clock_on_the_wall_is_wrong(
    system: ChaosSystem, random: Random, seconds: float
) -> None:
    child = system.child
    child.report("wall", offset=random.choice([-86400, -1200, -60, 60, 1200, 86400]))
    try:
        await asyncio.sleep(seconds)
    finally:
        child.report("wall", offset=0)


@fault("process")
async def the_clock_of_the_loop_leaps(system: ChaosSystem, random: Random, seconds: float) -> None:
    if system.child.loop != "asyncio":
        # The clock of uvloop cannot be put forward.
        await system.stop_child()
        await system.start_child("asyncio")
    child = system.child
    for _ in range(3):
        await asyncio.sleep(seconds / 3)
        if not child.in_sync:
            # It would give up waiting for an API server in trouble, and rightly so.
            continue
        # All that would have come one after the other is due at once, as after a freeze.
        child.report("forgive", lateness=True)
        # Too far, and a token of the API server's or a session has ended meanwhile, or not.
        child.report("leap", seconds=random.choice([1, 30, 400, 4000]))
        await asyncio.sleep(1)
        child.report("forgive", lateness=False)
