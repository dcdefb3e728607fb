"""The key of the digests, and what they show."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from secret_sync.controller.restart.digests import DataDigests, same_key
from secret_sync.kube import ApiRefusedError, ApiUnavailableError, ApplyWriter
from tests.unit.controller.restarting import KEY_PATH, PlayedCluster, encoded, restarting

pytestmark = pytest.mark.looptime

ES = restarting("deployment/shop")
REFUSED = ApiRefusedError("GET: 403 Forbidden", status=403)


def digests_of(cluster: PlayedCluster) -> DataDigests:
    async def namespace() -> str:
        return "system"

    client: Any = cluster
    return DataDigests(client, ApplyWriter(client, "secret-sync"), namespace)


async def test_a_key_is_created_once_and_shared() -> None:
    cluster = PlayedCluster()
    first, second = digests_of(cluster), digests_of(cluster)
    await asyncio.gather(first.load(), first.load(), second.load())
    await first.load()
    assert cluster.asked.count(f"PATCH {KEY_PATH}") == 2  # one of them came too late
    assert first.digest(ES, {"a": b"1"}) == second.digest(ES, {"a": b"1"})


async def test_digests_differ_by_data_by_object_and_by_key() -> None:
    digests, other = digests_of(PlayedCluster()), digests_of(PlayedCluster())
    await digests.load()
    await other.load()
    made = digests.digest(ES, {"a": b"1", "b": b"2"})
    assert made == digests.digest(ES, {"b": b"2", "a": b"1"})
    different = [
        digests.digest(ES, {"a": b"1", "b": b"3"}),
        digests.digest(ES, {"a": b"1b", "": b"2"}),
        digests.digest(restarting("deployment/shop", name="two"), {"a": b"1", "b": b"2"}),
        digests.digest(replace(ES, uid="recreated"), {"a": b"1", "b": b"2"}),
        other.digest(ES, {"a": b"1", "b": b"2"}),
    ]
    assert len({made, *different}) == 6
    assert [same_key(made, d) for d in different] == [True, True, True, True, False]


@pytest.mark.parametrize(
    "data", [None, {}, {"key": ""}, {"key": "%"}, {"key": encoded(b"k" * 16)}, {"key": 5}]
)
async def test_a_key_that_is_none_is_a_problem(data: Any) -> None:
    cluster = PlayedCluster()
    cluster.secrets[KEY_PATH] = {"data": data}
    digests = digests_of(cluster)
    await digests.load()
    assert digests.problem is not None
    assert "delete it" in digests.problem.message


async def test_a_key_that_was_refused_is_asked_for_again_after_a_minute() -> None:
    cluster = PlayedCluster()
    cluster.faults[f"GET {KEY_PATH}"] = REFUSED
    digests = digests_of(cluster)
    await digests.load()
    await digests.load()
    assert digests.problem is not None
    assert len(cluster.asked) == 1
    cluster.faults.clear()
    await asyncio.sleep(61)
    await digests.load()
    assert digests.problem is None


async def test_a_key_that_cannot_be_read_now_is_asked_for_again_soon() -> None:
    cluster = PlayedCluster()
    cluster.faults[f"GET {KEY_PATH}"] = ApiUnavailableError("GET: 503", status=503)
    digests = digests_of(cluster)
    await digests.load()
    await digests.load()
    assert digests.problem is not None
    assert "503" in digests.problem.message
    assert len(cluster.asked) == 1
    cluster.faults.clear()
    assert 0 < digests.retry_delay() < 10
    await asyncio.sleep(digests.retry_delay())
    await digests.load()
    assert digests.problem is None
