"""Sessions that are revoked while they are in use."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.credentials import CredentialKey, Credentials
from secret_sync.errors import CredentialsError
from secret_sync.providers.kms import SecretValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.credentials import CredentialProvider
    from secret_sync.sources import Source

    MakeHarness = Callable[..., Any]

pytestmark = [pytest.mark.looptime, pytest.mark.slow]


@dataclass(eq=False)
class Sessions:
    """Gives out a new session each time."""

    base: CredentialProvider | None = None
    fetches: int = 0
    key: CredentialKey = field(default_factory=lambda: CredentialKey("sessions", ()))

    async def fetch(self, base: Credentials | None) -> Credentials:
        self.fetches += 1
        until = asyncio.get_running_loop().time() + 3600.0
        return Credentials(f"STS.{self.fetches}", "hush", "hush-token", until)


@dataclass
class Kms:
    """Refuses the sessions that were revoked."""

    revoked: Callable[[str], bool]
    used: list[str] = field(default_factory=list)

    async def __call__(self, source: Source, credentials: Credentials) -> SecretValue:
        self.used.append(credentials.access_key_id)
        await asyncio.sleep(0.01)
        if self.revoked(credentials.access_key_id):
            raise CredentialsError("revoked", code="InvalidSecurityToken.Expired")
        return SecretValue(b"value", "v1")


async def test_session_revoked_at_once_is_replaced_and_the_call_repeated(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        kms, sessions = Kms(lambda session: session == "STS.1"), Sessions()
        harness.fetchers["kms"] = kms
        wanted = [harness.want("db", sessions)]
        harness.registry.register("ns/a", wanted, interval=120)
        await asyncio.sleep(1.0)
        (reading,) = harness.registry.register("ns/a", wanted, interval=120)
        assert reading.data == b"value"
        assert reading.error is None
        assert kms.used == ["STS.1", "STS.2"]
        assert harness.notified_of("ns/a") == 1


async def test_for_many_sources_it_is_replaced_once(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        kms, sessions = Kms(lambda session: session == "STS.1"), Sessions()
        harness.fetchers["kms"] = kms
        wanted = [harness.want(f"db-{n}", sessions) for n in range(100)]
        harness.registry.register("ns/a", wanted, interval=120)
        await asyncio.sleep(1.0)
        readings = harness.registry.register("ns/a", wanted, interval=120)
        assert all(reading.data == b"value" for reading in readings)
        assert sessions.fetches == 2


async def test_permanent_refusal_makes_no_storm(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        kms, sessions = Kms(lambda _: True), Sessions()
        harness.fetchers["kms"] = kms
        wanted = [harness.want(f"db-{n}", sessions) for n in range(100)]
        harness.registry.register("ns/a", wanted, interval=120)
        await asyncio.sleep(3600.0)
        readings = harness.registry.register("ns/a", wanted, interval=120)
        assert all(isinstance(reading.error, CredentialsError) for reading in readings)
        assert sessions.fetches <= 64, "once a minute at most"
        assert len(kms.used) <= 100 * 2 * 20, "each source as slowly as a definite no"


async def test_session_revoked_again_is_replaced_within_30_s(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        ended = {"STS.1"}
        kms, sessions = Kms(lambda session: session in ended), Sessions()
        harness.fetchers["kms"] = kms
        wanted = [harness.want("db", sessions)]
        harness.registry.register("ns/a", wanted, interval=2)
        await asyncio.sleep(4.0)
        for session in (2, 3, 4, 5):
            ended.add(f"STS.{session}")
            await asyncio.sleep(30.0)
            (reading,) = harness.registry.register("ns/a", wanted, interval=2)
            assert reading.error is None
            assert sessions.fetches == session + 1
