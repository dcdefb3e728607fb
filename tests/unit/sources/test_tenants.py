"""Whatever happens when: no tenant sees another one's credentials or data.

Tenants read secrets of equal names at one endpoint, through roles on top of bases that some of
them share, over one registry, one cache and one STS. Sessions are revoked, STS and KMS fail,
objects come and go, all at random times. Each session says for whom it was made, and each
value says with which session it was read.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from secret_sync.cloud.transport import Reply
from secret_sync.credentials import (
    AssumedRoleProvider,
    CredentialKey,
    Credentials,
    EnvironmentKeyProvider,
    OidcRoleProvider,
    Role,
    Sts,
)
from secret_sync.errors import CredentialsError, TransientError
from secret_sync.providers.kms import SecretValue
from tests.support.fake_time import run_in_fake_time

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from yarl import URL

    from secret_sync.credentials import CredentialProvider
    from secret_sync.sources import Source

    MakeHarness = Callable[..., Any]

TENANTS = ("amber", "basil", "cedar", "dill")
NAMES = ("db", "api")


@dataclass
class PlayedSts:
    """A session's key names the role it is of; who may assume which is checked."""

    random: Random
    healthy: bool = False
    made: int = 0
    wrong: list[str] = field(default_factory=list)

    async def send(
        self, method: str, url: URL, headers: Mapping[str, str], *, what: str, body: bytes = b""
    ) -> Reply:
        await asyncio.sleep(self.random.choice((0.0, 0.01, 0.5, 3.0)))
        fields = dict(part.split("=", 1) for part in body.decode().split("&")) if body else {}
        arn = url.query.get("RoleArn") or fields["RoleArn"].replace("%3A", ":").replace("%2F", "/")
        tenant = arn.rpartition("/")[2].partition("-")[0]
        if body:
            caller = fields["OIDCToken"].removeprefix("token-of-")
        else:
            caller = headers["authorization"].partition("Credential=")[2].partition(",")[0]
            caller = caller.rpartition(".")[2]
        if caller not in {tenant, "shared"}:
            self.wrong.append(f"{caller} assumed {arn}")
        dice = 1.0 if self.healthy else self.random.random()
        if dice < 0.1:
            raise TransientError(f"{what}: no answer in time")
        if dice < 0.2:
            code = self.random.choice(("InvalidSecurityToken.Expired", "ServiceUnavailable"))
            return Reply(400, CIMultiDict(), json.dumps({"Code": code}).encode(), complete=True)
        self.made += 1
        until = datetime.now(UTC) + timedelta(seconds=self.random.choice((900, 3600)))
        session = {
            "AccessKeyId": f"STS.{self.made}.{tenant}",
            "AccessKeySecret": f"key-{tenant}",
            "SecurityToken": f"token-{tenant}",
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        answer = json.dumps({"Credentials": session}).encode()
        return Reply(200, CIMultiDict(), answer, complete=True)


@dataclass
class PlayedKms:
    """A value is of the tenant whose session it was read with."""

    random: Random
    healthy: bool = False
    wrong: list[str] = field(default_factory=list)

    async def __call__(self, source: Source, credentials: Credentials) -> SecretValue:
        before = credentials.access_key_id
        await asyncio.sleep(self.random.choice((0.0, 0.01, 0.2, 2.0)))
        if credentials.access_key_id != before:
            self.wrong.append("credentials changed during a call")
        tenant = before.rpartition(".")[2]
        if credentials.access_key_secret != f"key-{tenant}":
            self.wrong.append("halves of two sessions")
        dice = 1.0 if self.healthy else self.random.random()
        if dice < 0.1:
            raise CredentialsError("revoked", code="InvalidSecurityToken.Expired")
        if dice < 0.2:
            raise TransientError("away")
        return SecretValue(f"{source.name} of {tenant}".encode(), "v1")


@dataclass
class TenantTokens:
    key: Hashable
    token_text: str

    async def token(self) -> str:
        return self.token_text


def identity(sts: Sts, tenant: str, method: str) -> CredentialProvider:
    """One tenant's way to its own role."""
    role = Role(f"acs:ram::1:role/{tenant}-reader")
    shared = EnvironmentKeyProvider("LTAI.shared", "key-shared")
    tokens = TenantTokens(("token", tenant), f"token-of-{tenant}")
    rrsa = OidcRoleProvider(sts, tokens, "acs:ram::1:oidc-provider/p", role)
    match method:
        case "rrsa":
            return rrsa
        case "remote":
            return AssumedRoleProvider(sts, rrsa, Role(f"acs:ram::2:role/{tenant}-remote"))
        case _:
            return AssumedRoleProvider(sts, shared, role)


Steps = list[tuple[str, str, str, float]]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(TENANTS),
        st.sampled_from(("rrsa", "remote", "shared", "release", "suspend")),
        st.sampled_from(NAMES),
        st.sampled_from((0.0, 0.005, 0.1, 1.0, 30.0, 700.0)),
    ),
    min_size=1,
    max_size=25,
)


async def live(make_harness: MakeHarness, steps: Steps, random: Random) -> None:
    async with make_harness() as harness:
        kms, played = PlayedKms(random), PlayedSts(random)
        harness.fetchers["kms"] = kms
        sts = Sts(played, endpoint="sts.example", region="")  # type: ignore[arg-type] # played
        held: dict[str, list[Any]] = {}

        def look(tenant: str) -> int:
            good = 0
            wanted = held.get(tenant, [])
            readings = harness.registry.register(tenant, wanted, interval=60.0)
            for item, reading in zip(wanted, readings, strict=True):
                if reading.data is not None:
                    assert reading.data == f"{item.source.name} of {tenant}".encode()
                    good += 1
            return good

        for turn, (tenant, step, name, pause) in enumerate(steps):
            if step == "release":
                held.pop(tenant, None)
                harness.registry.release(tenant)
            elif step == "suspend":
                held.pop(tenant, None)
                harness.registry.suspend(tenant)
            else:
                want = harness.want(name, identity(sts, tenant, step))
                held.setdefault(tenant, []).append(want)
                harness.registry.register(
                    tenant, held[tenant], interval=60.0, forced=str(turn), revision=turn
                )
            await asyncio.sleep(pause)
            for each in list(held):
                look(each)
        kms.healthy = played.healthy = True
        await asyncio.sleep(700.0)
        assert not kms.wrong
        assert not played.wrong
        for tenant, wanted in held.items():
            assert look(tenant) == len(wanted), "in the end everybody has what it asked for"
        for tenant in TENANTS:
            harness.registry.release(tenant)
        assert not len(harness.credentials), "and nothing stays behind"


@settings(deadline=None, max_examples=60)
@given(steps=STEPS, seed=st.integers(0, 2**32))
def test_no_interleaving_mixes_tenants(steps: Steps, seed: int, make_harness: MakeHarness) -> None:
    run_in_fake_time(live(make_harness, steps, Random(seed)))


@pytest.mark.looptime
async def test_500_objects_of_one_identity_are_one_session(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        fetched = 0

        class Slow:
            base = None
            key = CredentialKey("slow", ())

            async def fetch(self, base: Credentials | None) -> Credentials:
                nonlocal fetched
                fetched += 1
                await asyncio.sleep(2.0)
                return Credentials(
                    "STS.1", "hush", "hush", asyncio.get_running_loop().time() + 3600
                )

        harness.cloud.values = {f"s{n}": b"x" for n in range(500)}
        for n in range(500):
            harness.registry.register(f"ns/{n}", [harness.want(f"s{n}", Slow())], interval=None)
        await asyncio.sleep(60.0)
        assert fetched == 1
        assert all(harness.cloud.count(f"s{n}") == 1 for n in range(500))
