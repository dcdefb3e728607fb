"""The election under a virtual clock, on an API server whose answers are late or lost at will."""

from __future__ import annotations

import asyncio
import copy

import pytest

from secret_sync.clock import loop_time as now
from secret_sync.kube.lease import Election, LeaseLostError, LeaseTimes
from tests.unit.kube.leasing import HeardLease, LeaseServer, LeaseWire

pytestmark = pytest.mark.looptime

TIMES = LeaseTimes()


@pytest.fixture
def server() -> LeaseServer:
    return LeaseServer()


@pytest.fixture
def heard() -> HeardLease:
    return HeardLease()


def candidate(server: LeaseServer, name: str, heard: HeardLease | None = None) -> Election:
    return Election(LeaseWire(server, name), "home", "some", name, heard or HeardLease())


async def leader(server: LeaseServer, name: str, heard: HeardLease | None = None) -> Election:
    election = candidate(server, name, heard)
    await election.acquire()
    return election


async def test_the_first_one_makes_the_lease(server: LeaseServer) -> None:
    one = candidate(server, "one")
    assert not one.may_start(0)
    await one.acquire()
    assert one.leading
    assert server.lease is not None
    spec = server.lease["spec"]
    assert spec["holderIdentity"] == "one"
    assert spec["leaseDurationSeconds"] == 15
    assert spec["leaseTransitions"] == 0
    assert spec["acquireTime"] == spec["renewTime"]


async def test_holder_keeps_the_lease_from_others(server: LeaseServer) -> None:
    one = await leader(server, "one")
    holding = asyncio.create_task(one.hold())
    waiting = asyncio.create_task(candidate(server, "two").acquire())
    for _ in range(100):
        await asyncio.sleep(1)
        assert one.may_start(TIMES.write)
    assert not waiting.done()
    assert {holder for _, holder in server.history} == {"one"}
    holding.cancel()
    waiting.cancel()


@pytest.mark.parametrize("_turn", range(5))
async def test_a_dead_leader_is_replaced_within_20_s_and_not_before_15(
    server: LeaseServer, heard: HeardLease, _turn: int
) -> None:
    one = await leader(server, "one")
    holding = asyncio.create_task(one.hold())
    waiting = asyncio.create_task(candidate(server, "two", heard).acquire())
    await asyncio.sleep(31)
    holding.cancel()
    died, renewed = now(), server.history[-1][0]
    await waiting
    assert now() - died <= 20
    assert now() - renewed >= TIMES.duration
    assert server.holder == "two"
    assert server.lease is not None
    assert server.lease["spec"]["leaseTransitions"] == 1
    assert heard.changes == 1


@pytest.mark.parametrize("_turn", range(5))
async def test_a_lease_that_is_given_back_is_taken_within_4_s(
    server: LeaseServer, _turn: int
) -> None:
    one = await leader(server, "one")
    waiting = asyncio.create_task(candidate(server, "two").acquire())
    await asyncio.sleep(5)
    await one.release()
    assert server.lease is not None
    assert "holderIdentity" not in server.lease["spec"]
    assert server.lease["spec"]["leaseDurationSeconds"] == 1
    assert not one.leading
    released = now()
    await waiting
    assert now() - released < 4
    assert server.lease["spec"]["leaseDurationSeconds"] == 15


async def test_the_times_in_the_record_mean_nothing(server: LeaseServer) -> None:
    for stamp in ("1999-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"):
        spec = {"holderIdentity": "dead", "leaseDurationSeconds": 15, "renewTime": stamp}
        server.put({"metadata": {"name": "some"}, "spec": spec})
        began = now()
        await leader(server, "one")
        assert TIMES.duration <= now() - began < 20


async def test_each_holder_has_the_time_that_it_says(server: LeaseServer) -> None:
    spec = {"holderIdentity": "dead", "leaseDurationSeconds": 40}
    server.put({"metadata": {"name": "some", "labels": {"a": "b"}}, "spec": spec})
    await leader(server, "one")
    assert now() >= 40
    assert server.lease is not None
    assert server.lease["metadata"]["labels"] == {"a": "b"}


@pytest.mark.parametrize("how", ["hangs", "down"])
async def test_renewing_that_fails_ends_it_before_the_lease_does(
    server: LeaseServer, heard: HeardLease, how: str
) -> None:
    one = await leader(server, "one", heard)
    holding = asyncio.create_task(one.hold())
    await asyncio.sleep(7)
    if how == "hangs":
        server.hangs.add("one")
    else:
        server.down = True
    renewed = server.history[-1][0]
    with pytest.raises(LeaseLostError, match=r"home/some is lost: .* 10 s"):
        await holding
    assert now() <= renewed + TIMES.renew_within
    assert not one.leading
    assert heard.failures >= 3


async def test_near_the_end_no_write_starts_that_may_outlive_it(server: LeaseServer) -> None:
    one = await leader(server, "one")
    renewed = server.history[-1][0]
    server.hangs.add("one")
    holding = asyncio.create_task(one.hold())
    while one.may_start(TIMES.write):  # noqa: ASYNC110 (asked as a client does)
        await asyncio.sleep(0.1)
    assert now() + TIMES.write <= renewed + TIMES.duration + 0.1
    assert one.leading
    # Whoever was only slow goes on where it was.
    server.hangs.clear()
    await asyncio.sleep(2.1)
    assert one.may_start(TIMES.write)
    holding.cancel()


async def test_a_frozen_leader_may_write_nothing_when_it_comes_back(server: LeaseServer) -> None:
    one = await leader(server, "one")
    # Nothing of it runs, and the clock goes on.
    await asyncio.sleep(TIMES.duration)
    assert not one.leading
    assert not one.may_start(0)
    began = now()
    with pytest.raises(LeaseLostError):
        await one.hold()
    assert now() == began


async def test_an_answer_that_got_lost_does_not_lose_the_lease(server: LeaseServer) -> None:
    one = await leader(server, "one")
    holding = asyncio.create_task(one.hold())
    await asyncio.sleep(3)
    server.lost = 2
    await asyncio.sleep(20)
    assert one.leading
    assert not holding.done()
    holding.cancel()


async def test_lease_whose_response_got_lost_is_found_again(server: LeaseServer) -> None:
    server.lost = 1
    began = now()
    await leader(server, "one")
    assert now() - began < 7
    assert server.holder == "one"


async def test_single_candidate_of_ten_wins(server: LeaseServer) -> None:
    elections = [candidate(server, f"no-{number}") for number in range(10)]
    tasks = [asyncio.create_task(election.acquire()) for election in elections]
    await asyncio.sleep(1)
    assert [e.leading for e in elections].count(True) == 1
    for task in tasks:
        task.cancel()


async def test_a_lease_that_another_one_took_ends_it_at_once(server: LeaseServer) -> None:
    one = await leader(server, "one")
    holding = asyncio.create_task(one.hold())
    await asyncio.sleep(5)
    assert server.lease is not None
    server.put({**server.lease, "spec": {**server.lease["spec"], "holderIdentity": "thief"}})
    with pytest.raises(LeaseLostError, match="thief leads"):
        await holding
    assert now() < 7.1
    assert not one.may_start(0)
    # It is not ours to give back.
    await one.release()
    assert server.holder == "thief"


async def test_deleted_lease_is_recreated_by_its_holder(server: LeaseServer) -> None:
    one = await leader(server, "one")
    holding = asyncio.create_task(one.hold())
    waiting = asyncio.create_task(candidate(server, "two").acquire())
    await asyncio.sleep(5)
    server.lease = None
    await asyncio.sleep(10)
    assert server.holder == "one"
    assert one.leading
    assert not waiting.done()
    holding.cancel()
    waiting.cancel()


async def test_marks_of_others_do_no_harm(server: LeaseServer) -> None:
    one = await leader(server, "one")
    holding = asyncio.create_task(one.hold())
    for _ in range(5):
        await asyncio.sleep(3)
        assert server.lease is not None
        metadata = {**server.lease["metadata"], "annotations": {"a": str(now())}}
        server.put({**server.lease, "metadata": metadata})
    await asyncio.sleep(3)
    assert one.leading
    assert server.lease is not None
    assert server.lease["metadata"]["annotations"]
    holding.cancel()


async def test_lease_can_be_released_during_a_renewal(server: LeaseServer) -> None:
    """A renewal that is cancelled half-way may have got through."""
    one = await leader(server, "one")
    holding = asyncio.create_task(one.hold())
    server.lost = 1
    await asyncio.sleep(2.5)
    holding.cancel()
    await asyncio.wait([holding])
    await one.release()
    assert server.holder == ""


async def test_candidate_stopped_while_acquiring_releases_the_lease(server: LeaseServer) -> None:
    server.lost = 1
    one = candidate(server, "one")
    acquiring = asyncio.create_task(one.acquire())
    await asyncio.sleep(1)
    assert server.holder == "one"
    acquiring.cancel()
    await asyncio.wait([acquiring])
    await one.release()
    assert server.holder == ""


async def test_candidate_that_never_asked_releases_nothing(server: LeaseServer) -> None:
    server.hangs.add("one")
    await candidate(server, "one").release()
    assert now() < 0.1


async def test_giving_back_takes_no_longer_than_an_attempt(server: LeaseServer) -> None:
    one = await leader(server, "one")
    server.hangs.add("one")
    began = now()
    await one.release()
    assert now() - began < 4


async def test_a_server_that_is_down_is_asked_again(server: LeaseServer, heard: HeardLease) -> None:
    server.down = True
    acquiring = asyncio.create_task(candidate(server, "one", heard).acquire())
    await asyncio.sleep(10)
    assert heard.failures >= 3
    server.down = False
    await acquiring
    assert now() < 14


@pytest.mark.parametrize("slow", [2.5, 3.4])
async def test_writes_that_take_seconds_cost_neither_the_lease_nor_a_write(
    server: LeaseServer, slow: float
) -> None:
    server.slow = slow
    async with asyncio.timeout(10):
        one = await leader(server, "one")
    holding = asyncio.create_task(one.hold())
    waiting = asyncio.create_task(candidate(server, "two").acquire())
    for _ in range(600):
        await asyncio.sleep(0.5)
        assert not holding.done(), holding
        assert one.may_start(TIMES.write)
    assert not waiting.done()
    assert {holder for _, holder in server.history} == {"one"}
    holding.cancel()
    waiting.cancel()


TIMINGS = [
    *(LeaseTimes(15, 10, 2), LeaseTimes(60, 40, 5), LeaseTimes(4.5, 3, 0.5)),
    LeaseTimes(120, 100, 2),
]


@pytest.mark.slow
@pytest.mark.parametrize("times", TIMINGS, ids=str)
async def test_two_leaders_never_write_at_once(server: LeaseServer, times: LeaseTimes) -> None:
    one = Election(LeaseWire(server, "one"), "home", "some", "one", HeardLease(), times)
    two = Election(LeaseWire(server, "two"), "home", "some", "two", HeardLease(), times)
    await one.acquire()
    assert server.lease is not None
    assert server.lease["spec"]["leaseDurationSeconds"] >= times.duration
    holding = asyncio.create_task(one.hold())
    acquiring = asyncio.create_task(two.acquire())
    for _ in range(100):
        await asyncio.sleep(times.retry / 3)
        assert one.may_start(times.write), "while it is renewed, all writes may start"
    server.hangs.add("one")
    last = 0.0
    while not two.leading:
        if one.may_start(times.write):
            last = now() + times.write
        await asyncio.sleep(0.05)
    assert 0 < last <= now(), "what it has begun is over"
    with pytest.raises(LeaseLostError):
        await holding
    await acquiring


@pytest.mark.parametrize("holder", ["", "before"], ids=["released", "another"])
async def test_a_record_restored_from_a_backup_does_not_make_two_leaders(
    server: LeaseServer, holder: str
) -> None:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 1, "renewTime": "x"}
    server.put({"metadata": {"name": "some"}, "spec": spec})
    backup, version = copy.deepcopy(server.lease), server.version
    one = await leader(server, "one")
    holding = asyncio.create_task(one.hold())
    acquiring = asyncio.create_task(candidate(server, "two").acquire())
    await asyncio.sleep(20)
    # The leader hears of it late.
    server.hangs.add("one")
    server.lease, server.version = backup, version
    await acquiring
    assert not one.leading
    with pytest.raises(LeaseLostError):
        await holding


async def test_a_leader_whose_record_was_restored_to_a_free_one_goes_on(
    server: LeaseServer,
) -> None:
    server.put({"metadata": {"name": "some"}, "spec": {"leaseDurationSeconds": 1}})
    backup, version = copy.deepcopy(server.lease), server.version
    one = await leader(server, "one")
    holding = asyncio.create_task(one.hold())
    acquiring = asyncio.create_task(candidate(server, "two").acquire())
    await asyncio.sleep(20)
    server.lease, server.version = backup, version
    await asyncio.sleep(30)
    assert one.leading
    assert server.holder == "one"
    assert not holding.done()
    holding.cancel()
    acquiring.cancel()
