"""Many stores that share few identities, all of them cold."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from benchmarks.table import Row
from benchmarks.world import API_VERSION, NAMESPACE, STORES

if TYPE_CHECKING:
    from benchmarks.world import World

_WITHIN: Final = 60.0
_GLANCE: Final = 0.05
_ACTION: Final = "AssumeRole"


async def measure(world: World, stores: int, identities: int) -> Row:
    """Start a controller beside stores that each assume one of some roles.

    Args:
        world: With a namespace and its AccessKey, without objects.
        stores: How many.
        identities: Roles that they share evenly.
    """
    trust = [{"account": world.cloud.account}]
    roles = [await world.admin.put_role(f"role-{n}", trust=trust) for n in range(identities)]
    await world.post_all(
        STORES.format(NAMESPACE),
        [_store(f"store-{n}", roles[n % identities]) for n in range(stores)],
    )
    loop = asyncio.get_running_loop()
    async with world.controller() as controller:
        in_sync = await controller.says("in sync")
        began = loop.time()
        async with asyncio.timeout(_WITHIN):
            # The one that the namespace came with is ready as well.
            while await world.ready_count(path=STORES) < stores + 1:  # noqa: ASYNC110 (another process's)
                await asyncio.sleep(_GLANCE)
        seconds = loop.time() - began
    calls = (await world.admin.counters())["actions"].get(_ACTION, 0)
    return Row(
        f"{stores} cold stores of {identities} identities, lists in to last one Ready",
        f"{identities} STS calls",
        f"{seconds:.2f} s, {calls} calls (process start to lists {in_sync:.2f} s)",
        calls == identities,
        {"seconds_to_last_ready": seconds, "sts_calls": calls, "seconds_to_sync": in_sync},
    )


def _store(name: str, role: str) -> dict[str, Any]:
    auth = {
        "accessKey": {"name": "access-key", "key": "id"},
        "accessKeySecret": {"name": "access-key", "key": "secret"},
        "ramRoleARN": role,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "SecretStore",
        "metadata": {"name": name},
        "spec": {"KMS": {"KMSAuth": auth}},
    }
