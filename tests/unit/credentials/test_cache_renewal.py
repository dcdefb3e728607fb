"""The cache renews credentials that expire, and replaces those that were refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.clock import loop_time as now
from secret_sync.credentials import CredentialKey, Credentials, Failure
from secret_sync.errors import (
    SecretSyncError,
    TransientError,
)
from tests.unit.credentials.caching import ScriptedProvider, ignore, lasting, permanent
from tests.unit.credentials.obtaining import obtain

if TYPE_CHECKING:
    from secret_sync.credentials import CredentialCache

pytestmark = pytest.mark.looptime


async def test_renewals_are_observed(cache: CredentialCache, heard: Any) -> None:
    provider = ScriptedProvider(lasting(900.0), TransientError("away"), lasting(900.0))
    cache.hold("store", provider)
    await obtain(cache, provider.key)
    await asyncio.sleep(700.0)
    assert heard == [("Scripted", r) for r in ("ok", "unavailable", "ok")]


@pytest.mark.parametrize(
    ("lifetime", "earliest", "latest"),
    # 5 minutes before the end, a fifth of the lifetime if that is more; jittered by a tenth
    [(900.0, 570.0, 600.0), (3600.0, 2808.0, 2880.0), (300.0, 150.0, 150.0)],
)
async def test_expiring_ones_are_renewed_ahead(
    cache: CredentialCache, lifetime: float, earliest: float, latest: float
) -> None:
    provider = ScriptedProvider(lasting(lifetime), takes=0.0)
    cache.hold("store", provider)
    first = await obtain(cache, provider.key)
    await asyncio.sleep(earliest - 1.0)
    assert cache.peek(provider.key) is first
    await asyncio.sleep(latest - earliest + 2.0)
    assert len(provider.started) == 2
    assert earliest - 0.1 <= provider.started[1] <= latest + 0.1
    second = cache.peek(provider.key)
    assert isinstance(second, Credentials)
    assert second is not first


async def test_credentials_obtained_together_are_not_renewed_together(
    cache: CredentialCache,
) -> None:
    providers = [ScriptedProvider(lasting(3600.0), takes=0.0, name=str(n)) for n in range(50)]
    for provider in providers:
        cache.hold("store", provider)
        cache.request(provider.key, ignore)
    await asyncio.sleep(2900)
    times = {round(provider.started[1]) for provider in providers}
    assert len(times) > 20


async def test_old_credentials_are_returned_until_their_last_minute_while_renewal_fails(
    cache: CredentialCache,
) -> None:
    provider = ScriptedProvider(lasting(900.0), TransientError("away"), takes=0.0)
    cache.hold("store", provider)
    first = await obtain(cache, provider.key)
    await asyncio.sleep(839.0)
    assert cache.request(provider.key, ignore) is first
    tries = len(provider.started) - 1
    assert 18 <= tries <= 22, "1, 2, 4, ... 15 s apart for 270 s"
    await asyncio.sleep(2.0)
    failure = cache.peek(provider.key)
    assert isinstance(failure, Failure)
    tries = len(provider.started)
    await asyncio.sleep(600.0)
    assert len(provider.started) <= tries + 1, "nothing is left to lose: the users come back"


async def test_renewal_does_not_affect_concurrent_callers(cache: CredentialCache) -> None:
    provider = ScriptedProvider(lasting(900.0), takes=5.0)
    cache.hold("store", provider)
    first = await obtain(cache, provider.key)
    await asyncio.sleep(569.0)
    for _ in range(40):
        if len(provider.started) == 2:
            break
        await asyncio.sleep(1.0)
    assert len(provider.started) == 2
    assert cache.request(provider.key, ignore) is first
    assert await obtain(cache, provider.key) is first


async def test_forgotten_identity_is_not_renewed(cache: CredentialCache) -> None:
    provider = ScriptedProvider(lasting(900.0))
    cache.hold("store", provider)
    await obtain(cache, provider.key)
    cache.release("store", provider.key)
    await asyncio.sleep(2000.0)
    assert len(provider.started) == 1


async def test_credentials_about_to_expire_are_refused_at_once(cache: CredentialCache) -> None:
    provider = ScriptedProvider(lasting(30.0))
    cache.hold("store", provider)
    with pytest.raises(SecretSyncError, match="less than a minute"):
        await obtain(cache, provider.key)


async def test_refused_credentials_are_replaced_once_for_all_callers(
    cache: CredentialCache,
) -> None:
    provider = ScriptedProvider(lasting(3600.0))
    cache.hold("store", provider)
    refused = await obtain(cache, provider.key)
    await asyncio.sleep(120.0)
    assert all(cache.invalidate(provider.key, refused) for _ in range(100))
    assert cache.peek(provider.key) is None
    renewed = await obtain(cache, provider.key)
    assert renewed is not refused
    assert cache.invalidate(provider.key, refused), "whoever comes late: there are newer ones"
    assert cache.peek(provider.key) is renewed
    assert len(provider.started) == 2


async def test_fresh_ones_that_are_refused_are_replaced_once(cache: CredentialCache) -> None:
    provider = ScriptedProvider(lasting(3600.0))
    cache.hold("store", provider)
    revoked = await obtain(cache, provider.key)
    assert cache.invalidate(provider.key, revoked)
    for _ in range(100):
        assert not cache.invalidate(provider.key, await obtain(cache, provider.key))
    assert len(provider.started) == 2


async def test_credentials_accepted_meanwhile_are_replaced_soon_again(
    cache: CredentialCache,
) -> None:
    provider = ScriptedProvider(lasting(3600.0), takes=0.0)
    cache.hold("store", provider)
    for _ in range(600):
        found = await obtain(cache, provider.key)
        cache.accepted(provider.key, found)
        cache.invalidate(provider.key, found)
        await asyncio.sleep(1.0)
    assert 58 <= len(provider.started) <= 62, "every ten seconds"


async def test_acceptance_of_other_credentials_does_not_count(cache: CredentialCache) -> None:
    provider = ScriptedProvider(lasting(3600.0), takes=0.0)
    cache.hold("store", provider)
    former = await obtain(cache, provider.key)
    for _ in range(600):
        cache.accepted(provider.key, former)
        cache.invalidate(provider.key, await obtain(cache, provider.key))
        await asyncio.sleep(1.0)
    assert len(provider.started) <= 14


async def test_permanently_refused_credentials_are_replaced_once_a_minute(
    cache: CredentialCache,
) -> None:
    provider = ScriptedProvider(lasting(3600.0), takes=0.0)
    cache.hold("store", provider)
    for _ in range(600):
        cache.invalidate(provider.key, await obtain(cache, provider.key))
        await asyncio.sleep(1.0)
    assert 12 <= len(provider.started) <= 14, "after 10, 20, 40 and then every 60 s"


async def test_renewals_ahead_do_not_keep_a_refused_one(cache: CredentialCache) -> None:
    provider = ScriptedProvider(lasting(900.0), takes=0.0)
    cache.hold("store", provider)
    await obtain(cache, provider.key)
    await asyncio.sleep(610.0)
    assert len(provider.started) == 2, "renewed a moment ago, but not for a refusal"
    assert cache.invalidate(provider.key, await obtain(cache, provider.key))


async def test_permanent_ones_are_not_replaced(cache: CredentialCache) -> None:
    provider = ScriptedProvider(permanent())
    cache.hold("store", provider)
    refused = await obtain(cache, provider.key)
    await asyncio.sleep(1000.0)
    assert not cache.invalidate(provider.key, refused)
    assert cache.peek(provider.key) is refused
    assert len(provider.started) == 1


async def test_credentials_without_a_user_cannot_be_invalidated(cache: CredentialCache) -> None:
    assert not cache.invalidate(CredentialKey("None", ()), lasting(3600.0)())


@pytest.mark.slow
async def test_ten_minutes_without_sts_lose_nothing(cache: CredentialCache) -> None:
    down = [TransientError("away")] * 100

    def away_or_back() -> Credentials:
        if 2700.0 < now() < 3300.0:
            raise down.pop()
        return lasting(3600.0)()

    provider = ScriptedProvider(away_or_back, takes=0.0)
    cache.hold("store", provider)
    await obtain(cache, provider.key)
    for _ in range(7200):
        await asyncio.sleep(1.0)
        assert isinstance(cache.request(provider.key, ignore), Credentials)
    assert len(down) < 100, "it was away when the renewal was due"
