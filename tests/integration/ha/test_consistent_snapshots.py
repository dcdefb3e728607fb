"""A change of leader in the middle of rotations: no version of a Secret is a mix of two."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.generations import GenerationWatch, Rotation
from tests.support.operator import external_secret

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.integration.ha.conftest import Replicas
    from tests.support.operator import Api

#: Seconds in which a leader that ended in this way is replaced.
REPLACED = {signal.SIGTERM: 15.0, signal.SIGKILL: 20.0}
COUNT = 5

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("ended", REPLACED, ids=lambda ended: ended.name)
async def test_a_change_of_leader_mixes_no_generations(
    replicas: Replicas, admin: CloudAdmin, api: Api, home: str, ended: signal.Signals
) -> None:
    rotation = await Rotation.of(admin, [f"{home}/part-{number}" for number in range(COUNT)])
    one = await replicas.start("one")
    await one.until_says('"leading"')
    two = await replicas.start("two")
    await api.put(external_secret("some", *rotation.entries, rotationInterval="1s"), home)
    await api.until_ready(home, "some", "Synced")
    async with GenerationWatch(api, home, "some", rotation) as watch:
        async with asyncio.TaskGroup() as tasks:
            rotating = tasks.create_task(rotation.go_on((0.6,) * 200))
            await asyncio.sleep(3)
            one.process.send_signal(ended)
            await two.until_says('"leading"', REPLACED[ended])
            led = len(watch.history)
            await asyncio.sleep(5)
            rotating.cancel()
        # The generation before may have been cut off.
        await rotation.next()
        await watch.until(rotation.latest, within=20)
        await watch.check_whole()
        # Both had their part in it.
        assert 1 < led < len(watch.history), str(watch)
    await api.until_ready(home, "some", "Synced")
