"""ClusterExternalSecrets: how fast they spread, what they cost at rest, and their memory."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from benchmarks.idle import requests_between, until_told
from benchmarks.newcomers import Newcomers
from benchmarks.table import Row
from benchmarks.world import API_VERSION, NAMESPACE

if TYPE_CHECKING:
    from benchmarks.world import World

#: Seconds for the last child of 500 to be Ready.
SECONDS: Final = 30.0
#: For an ordinary object meanwhile.
WAIT: Final = 1.0
_GLANCE: Final = 0.1
#: With 10,000 children: as much as with as many ordinary objects.
MIB: Final = 150.0
_OBJECTS: Final = "/apis/alibabacloud.com/v1alpha1/clusterexternalsecrets"
_STORES: Final = "/apis/alibabacloud.com/v1alpha1/clustersecretstores"
_KEY: Final = "spread"
_INTERVAL: Final = 20
#: Seconds for statuses and Events to be written, and for each child to be Ready.
_SETTLE: Final = 15.0
_WITHIN: Final = 0.06


async def prepare(world: World, namespaces: int) -> None:
    """Create labelled namespaces, and the store of all of them."""
    labels = {"bench": "yes"}
    bodies = ({"metadata": {"name": f"n{n}", "labels": labels}} for n in range(namespaces))
    await world.post_all("/api/v1/namespaces", bodies)
    ref = {"name": "access-key", "namespace": NAMESPACE}
    auth = {"accessKey": {**ref, "key": "id"}, "accessKeySecret": {**ref, "key": "secret"}}
    await world.post(
        _STORES,
        {
            "apiVersion": API_VERSION,
            "kind": "ClusterSecretStore",
            "metadata": {"name": "bench"},
            "spec": {"KMS": {"KMSAuth": auth}},
        },
    )
    await world.admin.put_secrets({_KEY: "value"})


def cluster_external_secret(name: str) -> dict[str, Any]:
    """Return one for all of the namespaces."""
    store = {"name": "bench", "kind": "ClusterSecretStore"}
    entry = {"key": _KEY, "name": "password", "secretStoreRef": store}
    return {
        "apiVersion": API_VERSION,
        "kind": "ClusterExternalSecret",
        "metadata": {"name": name},
        "spec": {
            "externalSecretSpec": {"data": [entry]},
            "namespaceSelectors": [{"matchLabels": {"bench": "yes"}}],
        },
    }


async def spread(world: World, namespaces: int, seconds: float) -> list[Row]:
    """Create one object, and look on when all is done.

    Args:
        world: With an audit log.
        namespaces: How many it selects.
        seconds: To look on for.
    """
    await prepare(world, namespaces)
    async with (
        world.controller(f"--polling-interval={_INTERVAL}s"),
        Newcomers.watch(world, NAMESPACE, "late") as late,
    ):
        await world.served(_OBJECTS)
        await late.warm_up()
        began, over = time.monotonic(), asyncio.Event()
        await world.post(_OBJECTS, cluster_external_secret("spread"))
        within = max(60.0, namespaces * _WITHIN)
        arriving = asyncio.create_task(late.arrive(within, over))
        async with asyncio.timeout(within):
            while await _ready(world, "spread") < namespaces:  # noqa: ASYNC110 (another process's)
                await asyncio.sleep(_GLANCE)
        took = time.monotonic() - began
        over.set()
        await arriving
        waited, _ = await late.waits()
        # The others are of the newcomers.
        calls = (await world.admin.counters())["secrets"][_KEY]
        await until_told(world)
        start = datetime.now(UTC)
        await asyncio.sleep(seconds)
        end = datetime.now(UTC)
    asked = await asyncio.to_thread(requests_between, world.plane.audit_log, start, end)
    at_rest = sum(n for what, n in asked.items() if not what.startswith("watch "))
    polls = took / _INTERVAL + 2
    return [
        Row(
            f"a ClusterExternalSecret for {namespaces} namespaces until the last is Ready",
            f"< {SECONDS:.0f} s, one KMS call for all",
            f"{took:.1f} s, {calls} calls ({namespaces / took:.0f} a second)",
            took < SECONDS and calls <= polls,
            {"seconds": took, "calls": calls},
        ),
        Row(
            "an ordinary new object meanwhile, until it is Ready",
            f"< {WAIT:.0f} s at most",
            f"{waited:.2f} s at most",
            waited < WAIT,
            {"longest_wait": waited},
        ),
        Row(
            f"requests at rest with these {namespaces} children, in {seconds:.0f} s",
            "0",
            str(at_rest),
            at_rest == 0,
            {"requests": at_rest},
        ),
    ]


async def _ready(world: World, name: str) -> int:
    """Return how many children are Ready, as the status says."""
    async with world.api.get(f"{_OBJECTS}/{name}") as answer:
        found = await answer.json()
    return int((found.get("status", {}).get("namespaces") or "0/0").partition("/")[0])


async def fan_out(world: World, namespaces: int, objects: int) -> list[Row]:
    """Create several objects at once for many namespaces, beside ordinary new objects.

    Args:
        world: In which they are.
        namespaces: How many each selects.
        objects: How many.
    """
    await prepare(world, namespaces)
    total = namespaces * objects
    within = max(60.0, total * _WITHIN)
    async with (
        world.controller() as controller,
        Newcomers.watch(world, NAMESPACE, "late") as late,
    ):
        await world.served(_OBJECTS)
        await late.warm_up()
        began, over = time.monotonic(), asyncio.Event()
        for number in range(objects):
            await world.post(_OBJECTS, cluster_external_secret(f"spread-{number}"))
        arriving = asyncio.create_task(late.arrive(within, over))
        async with asyncio.timeout(within):
            for number in range(objects):
                while await _ready(world, f"spread-{number}") < namespaces:  # noqa: ASYNC110 (another process's)
                    await asyncio.sleep(10 * _GLANCE)
        took = time.monotonic() - began
        over.set()
        await arriving
        waited, _ = await late.waits()
        await asyncio.sleep(_SETTLE)
        held, peak = controller.resident, controller.peak
    what = f"{objects} ClusterExternalSecrets for {namespaces} namespaces"
    return [
        Row(
            f"an ordinary new object while {what} spread, until it is Ready",
            f"< {WAIT:.0f} s at most",
            f"{waited:.2f} s at most, in {took:.0f} s ({total / took:.0f} children a second)",
            waited < WAIT,
            {"longest_wait": waited, "seconds": took},
        ),
        Row(
            f"resident: {what}",
            f"< {MIB:.0f} MiB",
            f"{held:.1f} MiB (peak {peak:.1f})",
            held < MIB,
            {"resident_mib": held, "peak_mib": peak},
        ),
    ]
