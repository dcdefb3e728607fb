"""Tenants take turns at the rate of STS; under a virtual clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secret_sync.clock import loop_time as now
from secret_sync.cloud.rate_limiter import RateLimiter
from secret_sync.credentials import (
    AssumedRoleProvider,
    CredentialCache,
    EnvironmentKeyProvider,
    OidcRoleProvider,
    Role,
    Sts,
)
from secret_sync.credentials.fair_limiter import FairRateLimiter
from tests.support.fake_time import run_in_fake_time
from tests.unit.credentials.fakes import Tokens
from tests.unit.credentials.obtaining import obtain

if TYPE_CHECKING:
    from secret_sync.credentials import CredentialProvider, TokenSource

pytestmark = pytest.mark.slow

MANY = 3000
RATE = 50.0


def with_token(
    sts: Sts, tenant: str, name: object, tokens: TokenSource | None = None
) -> CredentialProvider:
    role = Role(f"acs:ram::42:role/{tenant}-{name}")
    tokens = tokens or Tokens()
    return OidcRoleProvider(sts, tokens, "acs:ram::42:oidc-provider/p", role, tenant=tenant)


def with_keys(sts: Sts, tenant: str, name: object) -> CredentialProvider:
    role = Role(f"acs:ram::42:role/{tenant}-{name}")
    base = EnvironmentKeyProvider("LTAI-id", "hush-key")
    return AssumedRoleProvider(sts, base, role, tenant=tenant)


def with_two_roles(sts: Sts, tenant: str, name: object) -> CredentialProvider:
    base = with_token(sts, tenant, name)
    return AssumedRoleProvider(sts, base, Role(f"acs:ram::43:role/{tenant}-{name}"), tenant=tenant)


@pytest.mark.looptime
@pytest.mark.parametrize("method", [with_token, with_keys, with_two_roles])
async def test_3000_invented_roles_of_one_namespace_delay_another_by_a_turn(
    played: Any, heard: Any, method: Any
) -> None:
    def answer(sent: Any) -> Any:
        if "tenant" in sent.fields["RoleArn"]:
            return played.granted()
        return played.refused(403, "NoPermission")

    wire = played.wire([answer], takes=0.1)
    sts = Sts(wire, endpoint="sts.example", region="")
    cache = CredentialCache(heard)
    invented = with_keys if method is with_keys else with_token
    hostile = [invented(sts, "hostile", n) for n in range(MANY)]
    for n, provider in enumerate(hostile):
        cache.hold(n, provider)
        cache.request(provider.key, lambda: None)
    await asyncio.sleep(1.0)
    mine = method(sts, "tenant", "reader")
    cache.hold("store", mine)
    began = now()
    await obtain(cache, mine.key)
    calls = 2 if method is with_two_roles else 1
    assert now() - began <= calls * (0.1 + 0.1), "two turns at most, and the call"
    assert len(wire.sent) < 100, "the others still wait"
    await cache.close()


@pytest.mark.looptime
async def test_api_server_is_asked_for_no_more_tokens_than_are_used(
    played: Any, heard: Any
) -> None:
    sts = Sts(played.wire([played.granted()]), endpoint="sts.example", region="")
    cache = CredentialCache(heard)
    tokens = Tokens()
    for n in range(MANY):
        provider = with_token(sts, "hostile", n, tokens)
        cache.hold(n, provider)
        cache.request(provider.key, lambda: None)
    await asyncio.sleep(1.0)
    assert tokens.asked <= 1.1 * RATE + 1
    await cache.close()


@pytest.mark.looptime
async def test_each_of_many_namespaces_waits_for_one_call_of_each() -> None:
    limiter = FairRateLimiter(RateLimiter(RATE, on_wait=lambda _: None))
    order: list[str] = []

    async def call(tenant: str) -> None:
        await limiter.acquire(tenant)
        order.append(tenant)

    tenants = [f"ns-{n % 10}" if n % 2 else "hostile" for n in range(400)]
    await asyncio.gather(*(call(tenant) for tenant in tenants))
    assert set(order[:12]) == set(tenants)
    assert now() == pytest.approx(400 / RATE, abs=0.2)
    assert not len(limiter)


@pytest.mark.looptime
async def test_vanishing_tenant_does_not_delay_the_others(played: Any, heard: Any) -> None:
    wire = played.wire([played.granted()])
    sts = Sts(wire, endpoint="sts.example", region="")
    cache = CredentialCache(heard)
    hostile = [with_token(sts, "hostile", n) for n in range(MANY)]
    hostile += [with_keys(sts, "hostile", n) for n in range(MANY)]
    for n, provider in enumerate(hostile):
        cache.hold(n, provider)
        cache.request(provider.key, lambda: None)
    await asyncio.sleep(1.0)
    assert len(asyncio.all_tasks()) > 2 * MANY - 200, "each waits in a fetch of its own"
    for n, provider in enumerate(hostile):
        cache.release(n, provider.key)
    await asyncio.sleep(0.1)
    assert len(asyncio.all_tasks()) <= 3, "this one, and at most the dispatchers of both rates"
    mine = with_token(sts, "tenant", "reader")
    cache.hold("store", mine)
    await obtain(cache, mine.key)
    assert len(wire.sent) < 60
    await cache.close()


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        # When it comes; when it is cancelled after that, if at all. Calls pass 10 ms apart, so
        # many are cancelled in the very moment in which they would pass.
        st.integers(0, 30),
        st.one_of(st.none(), st.integers(0, 60)),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(STEPS)
def test_cancelled_caller_costs_no_turn(
    steps: list[tuple[str, int, int | None]],
) -> None:
    rate = 100.0

    async def live() -> None:
        limiter = FairRateLimiter(RateLimiter(rate, on_wait=lambda _: None))
        passed: list[float] = []

        async def call(tenant: str, at: int) -> None:
            await asyncio.sleep(at / 200)
            await limiter.acquire(tenant)
            passed.append(now())

        loop = asyncio.get_running_loop()
        calls = []
        for tenant, at, after in steps:
            task = asyncio.create_task(call(tenant, at))
            if after is not None:
                loop.call_at((at + after) / 200, task.cancel)
            calls.append(task)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        ended = now()
        assert len(passed) == sum(outcome is None for outcome in outcomes)
        kept = sum(after is None for _, _, after in steps)
        assert len(passed) >= kept, "everybody who stays passes"
        assert ended <= (30 + 60) / 200 + len(steps) / rate, "and none waits for one that left"
        for n, start in enumerate(passed):
            assert sum(other < start + 0.1 for other in passed[n:]) <= rate * 0.2 + 1
        assert not len(limiter)
        await limiter.acquire("late")
        assert now() - ended <= 2 / rate

    run_in_fake_time(live())


@pytest.mark.looptime
async def test_call_cancelled_as_it_is_admitted_passes_its_turn_on() -> None:
    class Cancelling(RateLimiter):
        """Cancels the first caller after it was admitted, and before it runs again."""

        async def acquire(self) -> None:
            await super().acquire()
            asyncio.get_running_loop().call_soon(first.cancel)

    limiter = FairRateLimiter(Cancelling(1.0, on_wait=lambda _: None))
    first, second, third = (asyncio.create_task(limiter.acquire(tenant)) for tenant in "abc")
    await second
    assert first.cancelled()
    assert now() == 0.0
    await third
    assert now() == 1.0
