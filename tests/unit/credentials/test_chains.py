"""Identities on top of identities, in the cache; under a virtual clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing

from secret_sync.clock import loop_time as now
from secret_sync.credentials import (
    AssumedRoleProvider,
    CredentialCache,
    CredentialKey,
    Credentials,
    Failure,
    OidcRoleProvider,
    Role,
    Sts,
)
from secret_sync.errors import CredentialsError, DefiniteError, TransientError
from tests.unit.credentials.fakes import Tokens
from tests.unit.credentials.obtaining import obtain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from secret_sync.errors import SecretSyncError

pytestmark = pytest.mark.looptime


def ignore() -> None:
    pass


def session(name: str, lifetime: float = 3600.0) -> Credentials:
    return Credentials(f"STS.{name}.{now()}", "hush", "hush-token", now() + lifetime)


@dataclass(eq=False)
class Link:
    """One identity; remembers which credentials of its base it was given."""

    name: str
    base: Link | None = None
    takes: float = 0.1
    error: SecretSyncError | None = None
    refuses: Callable[[Credentials | None], bool] = lambda _: False
    lifetime: float = 3600.0
    given: list[Credentials | None] = field(default_factory=list)
    started: list[float] = field(default_factory=list)

    @property
    def key(self) -> CredentialKey:
        below = () if self.base is None else (self.base.key,)
        return CredentialKey("Link", (self.name, *below))

    async def fetch(self, base: Credentials | None) -> Credentials:
        self.given.append(base)
        self.started.append(now())
        await asyncio.sleep(self.takes)
        if self.refuses(base):
            raise CredentialsError("refused", code="InvalidSecurityToken.Revoked")
        if self.error is not None:
            raise self.error
        return session(self.name, self.lifetime)


def chain(*, base: Link | None = None) -> tuple[Link, Link, Link]:
    low = base or Link("low")
    middle = Link("middle", low)
    return low, middle, Link("high", middle)


@pytest.fixture
async def cache(heard: Any) -> AsyncIterator[CredentialCache]:
    cache = CredentialCache(heard)
    yield cache
    await cache.close()


async def test_each_identity_is_fetched_with_the_credentials_of_its_base(
    cache: CredentialCache,
) -> None:
    low, middle, high = chain()
    cache.hold("store", high)
    found = await obtain(cache, high.key)
    assert found.access_key_id.startswith("STS.high")
    assert low.given == [None]
    assert middle.given == [cache.peek(low.key)]
    assert high.given == [cache.peek(middle.key)]


async def test_shared_base_serves_all_identities_above(cache: CredentialCache) -> None:
    low = Link("low", takes=2.0)
    tops = [Link(f"top-{n}", low) for n in range(500)]
    for top in tops:
        cache.hold(top.name, top)
    await asyncio.gather(*(obtain(cache, top.key) for top in tops))
    assert len(low.started) == 1
    assert {top.given[0] for top in tops} == {cache.peek(low.key)}


async def test_chain_is_removed_with_its_last_user(cache: CredentialCache) -> None:
    low, middle, high = chain()
    cache.hold("store", high)
    cache.hold("other", high)
    await obtain(cache, high.key)
    cache.release("other", high.key)
    assert cache.peek(low.key) is not None
    cache.release("store", high.key)
    assert not len(cache)
    assert cache.peek(low.key) is None
    await asyncio.sleep(10_000.0)
    assert [len(link.started) for link in (low, middle, high)] == [1, 1, 1]


async def test_base_with_another_user_is_kept(cache: CredentialCache) -> None:
    low, middle, high = chain()
    cache.hold("store", high)
    cache.hold("other", low)
    await obtain(cache, high.key)
    cache.release("store", high.key)
    assert len(cache) == 1
    assert cache.peek(low.key) is not None
    cache.hold("store", high)
    await obtain(cache, high.key)
    assert [len(link.started) for link in (low, middle, high)] == [1, 2, 2]
    cache.release("store", high.key)
    cache.release("other", low.key)
    assert not len(cache)


async def test_release_during_a_fetch_leaves_nothing_behind(
    cache: CredentialCache,
) -> None:
    for moment in (0.0, 0.05, 0.15, 0.25):
        links = chain()
        cache.hold("store", links[2])
        cache.request(links[2].key, ignore)
        await asyncio.sleep(moment)
        cache.release("store", links[2].key)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not len(cache)
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_failure_of_a_base_is_the_failure_of_all_identities_above(
    cache: CredentialCache, heard: Any
) -> None:
    low, middle, high = chain(base=Link("low", error=DefiniteError("no such Secret", code="X")))
    cache.hold("store", high)
    cache.request(high.key, ignore)
    await asyncio.sleep(1.0)
    below, above = cache.peek(low.key), cache.peek(high.key)
    assert isinstance(below, Failure)
    assert isinstance(above, Failure)
    assert above.error is below.error
    assert above.retry_at >= below.retry_at
    assert not middle.given
    assert not high.given
    assert heard == [("Link", "refused")], "of the others nothing was tried"


@pytest.mark.slow
async def test_failing_base_is_not_requested_more_often_for_identities_above(
    cache: CredentialCache,
) -> None:
    low = Link("low", takes=0.0, error=TransientError("away"))
    tops = [Link(f"top-{n}", low) for n in range(100)]
    for top in tops:
        cache.hold(top.name, top)
    for _ in range(600):
        for top in tops:
            cache.request(top.key, ignore)
        await asyncio.sleep(1.0)
    assert len(low.started) <= 44, "1, 2, 4, ... 15 s apart"
    low.error = None
    await asyncio.sleep(61.0)
    for top in tops:
        cache.request(top.key, ignore)
    await asyncio.sleep(61.0)
    for top in tops:
        cache.request(top.key, ignore)
    await asyncio.sleep(1.0)
    assert all(isinstance(cache.peek(top.key), Credentials) for top in tops)


async def test_base_that_is_refused_is_replaced_once(cache: CredentialCache) -> None:
    low, middle, high = chain()
    cache.hold("store", middle)
    revoked = await obtain(cache, low.key)
    cache.hold("store", high)
    middle.refuses = lambda base: base is revoked
    assert (await obtain(cache, high.key)).access_key_id.startswith("STS.high")
    assert len(low.started) == 2
    assert middle.given == [revoked, cache.peek(low.key)]
    assert len(high.started) == 1


async def test_base_refused_for_many_is_replaced_once(cache: CredentialCache) -> None:
    low = Link("low")
    tops = [Link(f"top-{n}", low, takes=n * 0.01) for n in range(50)]
    for top in tops:
        cache.hold(top.name, top)
    revoked = await obtain(cache, low.key)
    for top in tops:
        top.refuses = lambda base: base is revoked
    await asyncio.gather(*(obtain(cache, top.key) for top in tops))
    assert len(low.started) == 2


async def test_base_that_is_always_refused_causes_no_request_storm(cache: CredentialCache) -> None:
    low, middle, _ = chain()
    middle.refuses = lambda _: True
    cache.hold("store", middle)
    for _ in range(600):
        cache.request(middle.key, ignore)
        await asyncio.sleep(1.0)
    failure = cache.peek(middle.key)
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, CredentialsError)
    assert len(low.started) <= 12
    assert len(middle.started) <= 30


async def test_permanent_base_is_not_refreshed_away(cache: CredentialCache) -> None:
    class Permanent(Link):
        async def fetch(self, base: Credentials | None) -> Credentials:
            await super().fetch(base)
            return Credentials("LTAI", "hush")

    low = Permanent("low")
    top = Link("top", low, refuses=lambda _: True)
    cache.hold("store", top)
    with pytest.raises(CredentialsError):
        await obtain(cache, top.key)
    assert len(low.started) == 1
    assert isinstance(cache.peek(low.key), Credentials)


async def test_renewed_base_leaves_the_sessions_made_with_it_alone(
    cache: CredentialCache,
) -> None:
    low = Link("low", lifetime=900.0)
    top = Link("top", low, lifetime=43_200.0)
    cache.hold("store", top)
    first = await obtain(cache, top.key)
    await asyncio.sleep(10_000.0)
    assert cache.peek(top.key) is first
    assert len(low.started) > 10


async def test_wait_for_the_base_is_not_counted(cache: CredentialCache) -> None:
    low = Link("low", takes=290.0)
    top = Link("top", low, takes=290.0)
    cache.hold("store", top)
    assert isinstance(await obtain(cache, top.key), Credentials)


async def test_closing_ends_whole_chains(heard: Any) -> None:
    cache = CredentialCache(heard)
    links = chain()
    cache.hold("store", links[2])
    cache.request(links[2].key, ignore)
    await asyncio.sleep(0.05)
    await cache.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_remote_role_on_rrsa_against_a_played_sts_that_revokes(
    cache: CredentialCache, played: Any
) -> None:
    count = 0
    revoked: set[str] = set()

    def answer(sent: Any) -> Any:
        nonlocal count
        if sent.headers.get("x-acs-security-token") in revoked:
            return played.refused(400, "InvalidSecurityToken.Expired", "hush-token")
        count += 1
        return played.granted(str(count))

    wire = played.wire([answer], takes=0.05)
    sts = Sts(wire, endpoint="sts.example", region="")
    base = OidcRoleProvider(sts, Tokens(), "acs:ram::1:oidc-provider/p", Role("acs:ram::1:role/a"))
    remote = AssumedRoleProvider(sts, base, Role("acs:ram::2:role/b"))
    with structlog.testing.capture_logs() as logs:
        cache.hold("store", remote)
        first = await obtain(cache, remote.key)
        revoked.add("hush-token-1")
        assert cache.invalidate(remote.key, first)
        second = await obtain(cache, remote.key)
    actions = [sent.headers["x-acs-action"] for sent in wire.sent]
    assert actions == [
        "AssumeRoleWithOIDC",
        "AssumeRole",
        "AssumeRole",
        "AssumeRoleWithOIDC",
        "AssumeRole",
    ]
    assert second.access_key_id == "STS.id-4"
    assert "hush" not in f"{logs}{cache!r}{sts!r}{base!r}{remote!r}"
    cache.release("store", remote.key)
    assert not len(cache)


async def test_failure_of_sts_is_kept_without_the_token(
    cache: CredentialCache, played: Any
) -> None:
    wire = played.wire([played.refused(401, "AuthenticationFail.OIDCToken.Invalid", "hush-jwt")])
    sts = Sts(wire, endpoint="sts.example", region="")
    role = Role("acs:ram::1:role/a")
    provider = OidcRoleProvider(sts, Tokens(), "acs:ram::1:oidc-provider/p", role)
    cache.hold("store", provider)
    with structlog.testing.capture_logs() as logs:
        cache.request(provider.key, ignore)
        await asyncio.sleep(1.0)
    failure = cache.peek(provider.key)
    assert isinstance(failure, Failure)
    error = failure.error
    assert "hush" not in f"{failure!r}{error!r}{logs}"
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)
