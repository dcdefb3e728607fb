"""Two replicas on the real API server: what is promised of the moment one takes over."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.operator import external_secret

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.integration.ha.conftest import Record, Replicas
    from tests.support.operator import Api
    from tests.support.program import Running
    from tests.support.wire import Wire

#: What the Lease times promise, in seconds.
DEAD = 20.0
RELEASED = 4.0
COUNT = 20

pytestmark = pytest.mark.timeout(180)


async def leader_and_standby(replicas: Replicas, server: str = "") -> tuple[Running, Running]:
    one = await replicas.start("one", server)
    await one.until_says('"leading"')
    return one, await replicas.start("two")


async def put_objects(admin: CloudAdmin, api: Api, home: str, value: str) -> None:
    await put_values(admin, home, value)
    for number in range(COUNT):
        await api.put(
            external_secret(f"some-{number}", {"key": f"{home}/{number}", "name": "x"}), home
        )
    await until_all_hold(api, home, value)


async def put_values(admin: CloudAdmin, home: str, value: str) -> None:
    await admin.put_secrets({f"{home}/{number}": value for number in range(COUNT)})


async def until_all_hold(api: Api, home: str, value: str) -> None:
    for number in range(COUNT):
        await api.until_holds(home, f"some-{number}", {"x": value}, within=15)


def effects(records: list[Record], user: str, *, since: str = "") -> list[Record]:
    """The writes of a replica that took effect, those to the Lease apart."""
    return [
        r
        for r in records
        if r.user == user and r.took_effect and r.resource != "leases" and r.at > since
    ]


async def test_a_leader_that_is_killed_is_replaced_within_20_s_and_nothing_is_lost(
    replicas: Replicas, admin: CloudAdmin, api: Api, home: str
) -> None:
    one, two = await leader_and_standby(replicas)
    await put_objects(admin, api, home, "first")
    assert effects(await replicas.records(), "two") == []

    one.process.kill()
    killed = time.monotonic()
    # What nobody sees: values that change, an object that comes, a Secret that somebody edits.
    await put_values(admin, home, "second")
    await api.put(external_secret("late", {"key": f"{home}/0", "name": "x"}), home)
    await api.merge("Secret", home, "some-1", {"stringData": {"extra": "x"}})
    await two.until_says('"leading"', DEAD)
    assert time.monotonic() - killed <= DEAD
    await until_all_hold(api, home, "second")
    await api.until_holds(home, "late", {"x": "second"}, within=15)
    two.process.send_signal(signal.SIGTERM)
    assert await two.ends() == 0


async def test_a_leader_that_was_frozen_past_its_lease_writes_nothing_more(
    replicas: Replicas, admin: CloudAdmin, api: Api, home: str
) -> None:
    one, two = await leader_and_standby(replicas)
    await put_objects(admin, api, home, "first")
    # In the middle of its work.
    await put_values(admin, home, "second")
    await asyncio.sleep(0.9)
    one.process.send_signal(signal.SIGSTOP)
    await two.until_says('"leading"', DEAD)
    await put_values(admin, home, "third")
    await until_all_hold(api, home, "third")
    before = effects(await replicas.records(), "one")[-1].at
    one.process.send_signal(signal.SIGCONT)
    assert await one.ends(10) == 1
    assert "is lost: it could not be renewed for 10 s; this replica stops" in one.lines[-1]
    await asyncio.sleep(1)
    assert effects(await replicas.records(), "one", since=before) == []
    await until_all_hold(api, home, "third")
    assert (await replicas.lease())["leaseTransitions"] == 1


async def test_a_leader_that_stops_hands_over_within_4_s(
    replicas: Replicas, admin: CloudAdmin, api: Api, home: str
) -> None:
    one, two = await leader_and_standby(replicas)
    await put_objects(admin, api, home, "first")
    await put_values(admin, home, "second")
    one.process.send_signal(signal.SIGTERM)
    await one.until_says('"lease released"')
    released = time.monotonic()
    await two.until_says('"leading"', RELEASED)
    assert time.monotonic() - released <= RELEASED
    assert await one.ends() == 0
    await until_all_hold(api, home, "second")
    # None of its writes came after the other one's first.
    records = await replicas.records()
    first = effects(records, "two")[0].at
    assert effects(records, "one", since=first) == []


async def test_a_standby_that_stops_is_gone_at_once_and_changes_nothing(
    replicas: Replicas,
) -> None:
    one, two = await leader_and_standby(replicas)
    await two.until_says('"another replica leads"')
    two.process.send_signal(signal.SIGTERM)
    assert await two.ends(8) == 0
    assert "lease released" not in "".join(two.lines)
    assert one.process.returncode is None


async def test_behind_answers_that_take_10_s_nothing_stale_is_written(
    replicas: Replicas, admin: CloudAdmin, api: Api, home: str, slow_wire: Wire
) -> None:
    one, two = await leader_and_standby(replicas, slow_wire.url)
    await put_objects(admin, api, home, "first")
    slow_wire.late_answers = 10.0
    began = time.monotonic()
    await put_values(admin, home, "second")
    assert await one.ends(DEAD) == 1
    assert "is lost" in one.lines[-1]
    # The last renewal of which no answer came counts for the others, too.
    await two.until_says('"leading"', DEAD + 10)
    assert time.monotonic() - began <= DEAD + 10
    await put_values(admin, home, "third")
    await until_all_hold(api, home, "third")
    records = await replicas.records()
    first = effects(records, "two")[0].at
    assert effects(records, "one", since=first) == []


@pytest.mark.parametrize("late", [10.0, 25.0])
async def test_requests_that_arrive_late_change_nothing_after_the_new_leaders_first_write(
    replicas: Replicas, admin: CloudAdmin, api: Api, home: str, slow_wire: Wire, late: float
) -> None:
    one, two = await leader_and_standby(replicas, slow_wire.url)
    await put_objects(admin, api, home, "first")
    slow_wire.late_requests = late
    sent = time.monotonic()
    await put_values(admin, home, "second")
    assert await one.ends(DEAD) == 1
    assert "is lost" in one.lines[-1]
    # It is gone, and what it sent is still on its way. Half of that is about Secrets that the other
    # one has no reason to write, so that no version of theirs keeps it out.
    await put_values(admin, home, "first")
    await admin.put_secrets({f"{home}/{number}": "third" for number in range(0, COUNT, 2)})
    # A renewal that arrives before counts.
    await two.until_says('"leading"', DEAD + late)
    for number in range(COUNT):
        value = "first" if number % 2 else "third"
        await api.until_holds(home, f"some-{number}", {"x": value}, within=15)
    # All has arrived by then, the ends of its connections, too.
    await asyncio.sleep(max(0.0, sent + DEAD + late - time.monotonic()))
    records = await replicas.records()
    first = effects(records, "two")[0].at
    assert effects(records, "one", since=first) == []
    # What took long enough came after it, and was refused.
    came = [r for r in records if r.user == "one" and r.resource == "secrets" and r.at > first]
    assert bool(came) == (late > DEAD)
