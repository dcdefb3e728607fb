"""The use of rates, as labels that are few and name nobody."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.sources.rate_limited_queue import SourceQueueKey
from secret_sync.sources.rate_use import MAX_SERIES, rate_use_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    MakeHarness = Callable[..., Any]


def queue(owner: Hashable, endpoint: str = "", use: float = 0.5) -> Any:
    key = SourceQueueKey("kms", owner, endpoint)
    return SimpleNamespace(key=key, limiter=SimpleNamespace(use=use))


@pytest.mark.parametrize(
    ("owner", "endpoint", "labels"),
    [
        (None, "", ("kms", "unproved", "mixed")),
        ("1234567890123456", "cn-hangzhou", ("kms", "account-3456", "cn-hangzhou")),
        ("1234567890123456", "", ("kms", "account-3456", "mixed")),
        (("AccessKey", ("ns", "keys")), "oos-vpc.cn-beijing.aliyuncs.com", ("cn-beijing",)),
        (("RRSA", ()), "kst-1.cryptoservice.kms.aliyuncs.com", ("kms", "RRSA", "dedicated")),
        (("RRSA", ()), "10.0.0.1:8443", ("kms", "RRSA", "dedicated")),
    ],
)
def test_labels_name_neither_account_nor_key_nor_host(
    owner: Hashable, endpoint: str, labels: tuple[str, ...]
) -> None:
    (found,) = rate_use_of([queue(owner, endpoint)])
    assert found[-len(labels) :] == labels
    assert "keys" not in str(found)


def test_of_queues_with_the_same_labels_the_highest_use_counts() -> None:
    queues = [queue(("AccessKey", n), "cn-hangzhou", use) for n, use in enumerate([0.2, 0.9, 0.4])]
    assert rate_use_of(queues) == {("kms", "AccessKey", "cn-hangzhou"): 0.9}


def test_series_are_few_whatever_accounts_there_are() -> None:
    queues = [queue(f"{n:016}", "cn-hangzhou", n / 1000) for n in range(1000)]
    found = rate_use_of(queues)
    assert len(found) == MAX_SERIES + 1
    assert found["kms", "other", "other"] == 0.999


@pytest.mark.slow
@pytest.mark.looptime
async def test_registry_shows_the_rates_of_its_queues(make_harness: MakeHarness) -> None:
    async with make_harness(rate=10) as harness:
        assert harness.registry.rate_use() == {}
        for n in range(120):
            harness.cloud.values[f"{n}"] = b"x"
            request = harness.want(f"{n}", endpoint="kms.cn-hangzhou.aliyuncs.com")
            harness.registry.register(f"ns/{n}", [request], interval=None)
        await asyncio.sleep(12)
        used = harness.registry.rate_use()
        assert set(used) == {("kms", "played", "cn-hangzhou")}
        assert 0.1 < used["kms", "played", "cn-hangzhou"] < 0.25
