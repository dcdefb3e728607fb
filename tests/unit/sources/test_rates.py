"""Rates belong to who authenticates and to the endpoint, never to what an object names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import DefiniteError, NotFoundError, ThrottledError
from secret_sync.sources.source_queues import OWN_QUEUES

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.credentials import Credentials
    from secret_sync.errors import SecretSyncError
    from secret_sync.sources import Source

    MakeHarness = Callable[..., Any]

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

#: Calls a second, and what is let through in the first one with its burst.
RATE = 10
FIRST_SECOND = 11
MANY = 3000
SHARED = "kms-vpc.cn-hangzhou.aliyuncs.com"
PUBLIC = "kms.cn-hangzhou.aliyuncs.com"


def arn(account: object, name: str = "db") -> str:
    return f"acs:kms:cn-hangzhou:{account}:secret/{name}"


def instance(name: str) -> str:
    return f"{name}.cryptoservice.kms.aliyuncs.com"


def role(harness: Any, name: str, account: str) -> Any:
    return type(harness.provider)(account=name, role_in=account)


def key(harness: Any, name: str) -> Any:
    """An AccessKey, whose account nobody knows."""
    return type(harness.provider)(account=name)


def refusing(*names: str, error: SecretSyncError) -> Callable[..., SecretSyncError | None]:
    """A service that refuses the identities whose names begin so."""

    def refuse(_: Source, credentials: Credentials) -> SecretSyncError | None:
        return error if credentials.access_key_id.removeprefix("id-").startswith(names) else None

    return refuse


NO_KEY = DefiniteError("no such AccessKey", code="InvalidAccessKeyId.NotFound")
TOO_FAST = ThrottledError("slow down", code="Rejected.Throttling")


async def serve(harness: Any, user: str, names: list[str], **more: Any) -> None:
    """Have an identity prove itself, and poll all of these a bit more often than it may."""
    harness.cloud.values |= dict.fromkeys(names, b"x")
    wanted = [harness.want(name, **more) for name in names]
    harness.registry.register(user, wanted, interval=len(names) / (2 * RATE))
    await asyncio.sleep(2 * len(names) / RATE)


@pytest.mark.parametrize("identity", ["key", "role"])
async def test_invented_accounts_in_arns_are_one_rate(
    make_harness: MakeHarness, identity: str
) -> None:
    async with make_harness(rate=RATE) as harness:
        who = role(harness, "one", "77") if identity == "role" else key(harness, "one")
        for n in range(MANY):
            want = harness.want(arn(10_000 + n), who, SHARED)
            harness.registry.register(f"ns/{n}", [want], interval=120)
        await asyncio.sleep(1)
        assert harness.cloud.within(1) <= FIRST_SECOND
        await asyncio.sleep(9)
        assert harness.cloud.within(10) <= 10 * RATE + 1


@pytest.mark.parametrize("invented", ["regions", "instances"])
async def test_invented_endpoints_are_one_rate(make_harness: MakeHarness, invented: str) -> None:
    async with make_harness(rate=RATE) as harness:
        who = role(harness, "one", "77")
        for n in range(MANY):
            host = f"kms.xx-made-{n}.aliyuncs.com" if invented == "regions" else instance(f"i{n}")
            harness.registry.register(f"ns/{n}", [harness.want("db", who, host)], interval=120)
        await asyncio.sleep(1)
        assert harness.cloud.within(1) <= FIRST_SECOND


async def test_invented_access_keys_are_one_rate_and_delay_nobody_else(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(rate=RATE) as harness:
        harness.cloud.refuse = refusing("made", error=NO_KEY)
        served = [f"served/{n}" for n in range(50)]
        await serve(harness, "known/a", served, provider=key(harness, "known"))
        before = harness.cloud.within(5, "served/")
        for n in range(MANY):
            want = harness.want("invented", key(harness, f"made-{n}"))
            harness.registry.register(f"greedy/{n}", [want], interval=120)
        await asyncio.sleep(1)
        assert harness.cloud.within(1, "invented") <= FIRST_SECOND
        await asyncio.sleep(4)
        assert harness.cloud.within(5, "served/") >= before - 1
        # A new identity of another namespace has the next turn.
        harness.cloud.values["new"] = b"x"
        harness.registry.register(
            "honest/a", [harness.want("new", key(harness, "new"))], interval=120
        )
        await asyncio.sleep(0.5)
        assert harness.notified_of("honest/a") == 1


async def test_throttled_tenant_that_names_another_account_slows_only_itself(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(rate=RATE) as harness:
        harness.cloud.refuse = refusing("attacker", error=TOO_FAST)
        served = [arn(1, f"served-{n}") for n in range(50)]
        await serve(
            harness, "victim/a", served, provider=role(harness, "victim", "1"), endpoint=SHARED
        )
        before = harness.cloud.within(10, arn(1, "served"))
        assert before >= 10 * RATE - 1
        attackers = [key(harness, "attacker"), role(harness, "attacker-role", "666")]
        for who in attackers:
            for n in range(100):
                want = harness.want(arn(1, f"bait-{n}"), who, instance("small"))
                harness.registry.register(f"attack/{who.account}{n}", [want], interval=1)
        await asyncio.sleep(30)
        assert harness.cloud.within(30, arn(1, "bait")) > 0
        assert harness.cloud.within(10, arn(1, "served")) >= before - 1
        # Nor does a new identity wait, although the attacker's has had no success either.
        harness.cloud.values["new"] = b"x"
        harness.registry.register(
            "honest/a", [harness.want("new", key(harness, "new"))], interval=120
        )
        await asyncio.sleep(0.5)
        assert harness.notified_of("honest/a") == 1


async def test_a_throttling_answer_slows_the_identity_at_that_endpoint_alone(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(rate=RATE) as harness:
        who = role(harness, "one", "77")
        hosts = [SHARED, instance("big"), instance("small")]
        for host in hosts:
            wanted = [harness.want(f"{host}/{n}", who, host) for n in range(20)]
            harness.cloud.values |= {w.source.name: b"x" for w in wanted}
            harness.registry.register(f"ns/{host}", wanted, interval=1)
        await asyncio.sleep(10)
        harness.cloud.refuse = lambda source, _: (
            TOO_FAST if source.endpoint == instance("small") else None
        )
        await asyncio.sleep(20)
        rates = [harness.cloud.within(10, host) / 10 for host in hosts]
        assert rates[0] > 0.95 * RATE
        assert rates[1] > 0.95 * RATE
        assert rates[2] < 0.2 * RATE


async def test_identity_throttled_from_its_first_call_is_slowed_down(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(rate=RATE) as harness:
        harness.cloud.refuse = lambda *_: TOO_FAST
        who = role(harness, "one", "77")
        for n in range(200):
            harness.registry.register(f"ns/{n}", [harness.want(f"s{n}", who, SHARED)], interval=120)
        await asyncio.sleep(20)
        assert harness.cloud.within(10) < 0.2 * 10 * RATE


async def test_the_public_and_the_vpc_host_of_a_region_are_one_rate(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(rate=RATE) as harness:
        who = role(harness, "one", "77")
        for host in (SHARED, PUBLIC):
            wanted = [harness.want(f"{host}/{n}", who, host) for n in range(50)]
            harness.cloud.values |= {w.source.name: b"x" for w in wanted}
            harness.registry.register(f"ns/{host}", wanted, interval=1)
        await asyncio.sleep(20)
        assert harness.cloud.within(10) <= 10 * RATE + 1


async def test_identities_of_one_account_are_one_rate_once_that_is_known(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(rate=RATE) as harness:
        for who in (role(harness, "a", "77"), role(harness, "b", "77")):
            wanted = [harness.want(arn(77, f"{who.account}{n}"), who, SHARED) for n in range(40)]
            harness.cloud.values |= {w.source.name: b"x" for w in wanted}
            harness.registry.register(f"{who.account}/all", wanted, interval=1)
        await asyncio.sleep(20)
        assert harness.cloud.within(10) <= 10 * RATE + 1
        assert all(harness.cloud.within(10, arn(77, name)) > 30 for name in "ab")


async def test_cross_account_reader_takes_nothing_of_the_rate_of_that_account(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(rate=RATE) as harness:
        served = [arn(77, f"served-{n}") for n in range(50)]
        await serve(
            harness, "victim/a", served, provider=role(harness, "victim", "77"), endpoint=SHARED
        )
        before = harness.cloud.within(5, arn(77, "served"))
        # The owner of a secret may let other accounts read it.
        guest, shared = key(harness, "guest"), arn(77, "shared")
        harness.cloud.values[shared] = b"x"
        harness.registry.register("guest/a", [harness.want(shared, guest, SHARED)], interval=1)
        await asyncio.sleep(3)
        harness.cloud.refuse = refusing("guest", error=TOO_FAST)
        await asyncio.sleep(30)
        assert harness.cloud.within(5, arn(77, "served")) >= before - 1


async def test_an_arn_that_is_refused_proves_no_account(make_harness: MakeHarness) -> None:
    async with make_harness(rate=RATE) as harness:
        harness.cloud.faults = dict.fromkeys([arn(1, f"bait-{n}") for n in range(50)], NO_KEY)
        harness.cloud.values = {"own": b"x"}
        who = key(harness, "attacker")
        harness.registry.register("attack/own", [harness.want("own", who, SHARED)], interval=1)
        for name in harness.cloud.faults:
            harness.registry.register(
                f"attack/{name}", [harness.want(name, who, SHARED)], interval=1
            )
        await asyncio.sleep(10)
        assert len(harness.registry.queues) == 1
        of_account = role(harness, "victim", "1")
        harness.registry.register(
            "victim/own", [harness.want("own", of_account, SHARED)], interval=1
        )
        await asyncio.sleep(2)
        assert len(harness.registry.queues) == 2, "the role's account shares nothing with the key"


async def test_no_identity_has_more_than_a_few_queues(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        who = role(harness, "one", "77")
        harness.cloud.values = {"db": b"x"}
        for n in range(100):
            want = harness.want("db", who, instance(f"i{n}"))
            harness.registry.register(f"ns/{n}", [want], interval=120)
        await asyncio.sleep(10)
        assert all(harness.notified_of(f"ns/{n}") == 1 for n in range(100))
        assert len(harness.registry.queues) == OWN_QUEUES + 1


async def test_5000_new_objects_of_one_namespace_delay_another_by_a_turn(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(rate=RATE) as harness:
        who = role(harness, "one", "77")
        for n in range(5000):
            harness.cloud.values[f"s{n}"] = b"x"
            harness.registry.register(f"greedy/{n}", [harness.want(f"s{n}", who)], interval=3600)
        await asyncio.sleep(20)
        harness.cloud.values |= {"new": b"x", "s4999": b"x"}
        began = asyncio.get_running_loop().time()
        harness.registry.register("honest/new", [harness.want("new", who)], interval=3600)
        # What waits for another already goes with the first turn of either.
        harness.registry.register("third/new", [harness.want("s4999", who)], interval=3600)
        while not (harness.notified_of("honest/new") and harness.notified_of("third/new")):
            harness.changed.clear()
            await harness.changed.wait()
        took = asyncio.get_running_loop().time() - began
        assert took <= 3 / RATE + harness.cloud.seconds + 0.01


async def test_each_is_asked_for_once_while_an_identity_gets_its_queue(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(rate=1000) as harness:
        who = key(harness, "one")
        names = [arn(7, f"s{n}") for n in range(2000)]
        harness.cloud.values = dict.fromkeys(names, b"x")
        for n, name in enumerate(names):
            harness.registry.register(f"ns/{n}", [harness.want(name, who, SHARED)], interval=None)
        await asyncio.sleep(10)
        assert [harness.cloud.count(name) for name in names[:: len(names) // 50]] == [1] * 50
        assert len(harness.cloud.calls) == 2000
        assert len(harness.registry.queues) == 1
        # It is neither the queue of unproved identities nor that of this one's unproved endpoints.
        other = harness.want("any", key(harness, "other"), SHARED)
        elsewhere = harness.want("any", who, "kms.cn-beijing.aliyuncs.com")
        harness.registry.register("ns/other", [other, elsewhere], interval=None)
        assert len(harness.registry.queues) == 3


async def test_nothing_is_kept_of_identities_out_of_use(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        nothing = repr(harness.registry)
        harness.cloud.faults = dict.fromkeys(("gone", "slow"), NotFoundError("no", code="No"))
        harness.cloud.values = {"db": b"x", arn(7): b"x"}
        for n in range(300):
            who = role(harness, f"role-{n}", str(n)) if n % 2 else key(harness, f"key-{n}")
            wanted = [harness.want(name, who, SHARED) for name in ("db", "gone", "slow", arn(7))]
            harness.registry.register(f"ns/{n}", wanted, interval=None)
        await asyncio.sleep(10)
        for n in range(300):
            harness.registry.release(f"ns/{n}")
        assert (len(harness.registry.queues), len(harness.credentials)) == (0, 0)
        assert repr(harness.registry) == nothing
