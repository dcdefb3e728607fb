"""Sources whose credentials cannot be had follow these, and cost the account's rate nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import DefiniteError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.errors import SecretSyncError

    MakeHarness = Callable[..., Any]

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize(
    "error", [TransientError("API server away"), DefiniteError("no such Secret", code="NotFound")]
)
async def test_sources_follow_their_credentials(
    make_harness: MakeHarness, error: SecretSyncError
) -> None:
    async with make_harness(rate=10) as harness:
        wanted = [harness.want(f"s{i}") for i in range(50)]
        harness.cloud.values = {w.source.name: b"x" for w in wanted}
        harness.provider.error = error
        harness.registry.register("ns/a", wanted, interval=120)
        await asyncio.sleep(1000)
        assert not harness.cloud.calls
        # Fifty failures are hardly more log lines than one.
        assert 1 <= harness.notified_of("ns/a") <= 2
        harness.provider.error = None
        # Credentials are asked for every minute, and 50 sources take five seconds.
        await asyncio.sleep(60 + 6)
        readings = harness.registry.register("ns/a", wanted, interval=120)
        assert all(r.data == b"x" for r in readings)


async def test_a_retry_without_credentials_takes_no_rate(make_harness: MakeHarness) -> None:
    async with make_harness(rate=1) as harness:
        broken = type(harness.provider)(account="broken", error=TransientError("API server away"))
        harness.cloud.values = {"fine": b"x"}
        for i in range(30):
            want = harness.want(f"s{i}", broken)
            harness.registry.register(f"ns/{i}", [want], interval=120)
        await asyncio.sleep(600)
        attempts = broken.fetches
        while broken.fetches == attempts:  # noqa: ASYNC110 (the virtual clock runs by sleeping)
            await asyncio.sleep(0.1)
        # All thirty come back now; at a call a second this one would wait for half a minute.
        want = harness.want("fine")
        harness.registry.register("ns/fine", [want], interval=120, urgent=False)
        await asyncio.sleep(3)
        assert harness.notified_of("ns/fine") == 1
