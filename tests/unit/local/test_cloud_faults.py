from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from secret_sync.local.cloud.faults import Fault, FaultKind, Faults

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.unit.local.conftest import KmsCaller


@pytest.fixture(autouse=True)
async def _secret(admin: CloudAdmin) -> None:
    await admin.put_secret("s", "v")


async def test_throttled_without_a_wait(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.set_fault("throttle")
    answer = await kms.get("s")
    assert (answer.status, answer.code) == (429, "Rejected.Throttling")
    assert "x-acs-retry-after" not in answer.headers


async def test_throttled_with_a_wait_a_certain_number_of_times(
    admin: CloudAdmin, kms: KmsCaller
) -> None:
    await admin.set_fault("throttle", code="Throttling.User", retry_after_ms=1500, count=2)
    for _ in range(2):
        answer = await kms.get("s")
        assert (answer.status, answer.code) == (400, "Throttling.User")
        assert answer.headers["x-acs-retry-after"] == "1500"
    assert (await kms.get("s")).status == 200


async def test_throttled_beyond_a_rate(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.set_fault("throttle", qps=5)
    statuses = [(await kms.get("s")).status for _ in range(8)]
    assert statuses[:5] == [200] * 5
    assert 429 in statuses[5:]
    await asyncio.sleep(0.21)
    assert (await kms.get("s")).status == 200


def test_fault_hits_a_share_of_the_calls() -> None:
    faults = Faults()
    faults.set(Fault(kind=FaultKind.ERROR, probability=0.5))
    hits = sum(faults.hit("a", "s", "k", reused=False) is not None for _ in range(1000))
    assert 400 < hits < 600


async def test_error_of_choice(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.set_fault("error", status=503, code="SerivceUnvailableTemporary")
    answer = await kms.get("s")
    assert (answer.status, answer.code) == (503, "SerivceUnvailableTemporary")


async def test_bodies_that_are_no_json(admin: CloudAdmin, kms: KmsCaller) -> None:
    for kind in ("html", "empty", "blank"):
        await admin.set_fault(kind, count=1)
    html, empty, blank = await kms.get("s"), await kms.get("s"), await kms.get("s")
    assert html.status == 502
    assert html.headers["content-type"] == "text/html"
    assert html.raw.startswith(b"<html>")
    assert (empty.status, empty.raw) == (503, b"")
    assert (blank.status, blank.raw) == (200, b"")


async def until_in_flight(admin: CloudAdmin, count: int) -> None:
    async with asyncio.timeout(30):
        while (await admin.counters())["in_flight"] != count:  # noqa: ASYNC110 - in the server
            await asyncio.sleep(0.01)


async def test_hang_lasts_until_it_is_cleared(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.set_fault("hang")
    call = asyncio.create_task(kms.get("s"))
    await until_in_flight(admin, 1)
    done, _ = await asyncio.wait([call], timeout=0.1)
    assert not done
    assert (await admin.counters())["in_flight"] == 1
    await admin.clear_faults()
    assert (await call).status == 200


async def test_client_that_leaves_a_hang_is_noticed(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.set_fault("hang", count=1)
    call = asyncio.create_task(kms.get("s"))
    await until_in_flight(admin, 1)
    call.cancel()
    await until_in_flight(admin, 0)
    assert (await admin.calls())[-1]["status"] == 499
    assert (await kms.get("s")).status == 200


async def test_delay(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.set_fault("delay", seconds=0.1)
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert (await kms.get("s")).status == 200
    assert loop.time() - started >= 0.09


async def test_dripping_reply_is_whole_in_the_end(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.set_fault("drip", seconds=0.0005)
    assert (await kms.get("s")).body["SecretData"] == "v"


async def test_dripping_reply_starts_and_does_not_end(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.set_fault("drip", seconds=0.05)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await kms.get("s")


async def test_reused_connection_is_closed(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.set_fault("close", count=1)
    assert (await kms.get("s")).status == 200
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await kms.get("s")
    assert (await admin.calls())[-1]["code"] == "ConnectionClosed"
    assert (await kms.get("s")).status == 200


@pytest.mark.parametrize(
    ("scope", "hit"),
    [
        ({"action": "GetSecretValue"}, True),
        ({"action": "AssumeRole"}, False),
        ({"subject": "s*"}, True),
        ({"subject": "team-a/*"}, False),
        ({"access_key": "LTAIother"}, False),
        ({"action": "GetSecretValue", "subject": "t"}, False),
    ],
)
async def test_fault_has_a_scope(
    admin: CloudAdmin, kms: KmsCaller, scope: dict[str, str], *, hit: bool
) -> None:
    await admin.set_fault("error", **scope)
    assert (await kms.get("s")).status == (500 if hit else 200)


async def test_single_fault_of_several_is_cleared(admin: CloudAdmin, kms: KmsCaller) -> None:
    html = await admin.set_fault("html")
    await admin.set_fault("empty")
    await admin.clear_faults(html)
    assert (await kms.get("s")).status == 503


async def test_counters_and_calls(admin: CloudAdmin, kms: KmsCaller) -> None:
    await kms.get("s")
    await kms.get("s")
    await kms.get("missing")
    assert await admin.counters() == {
        "total": 3,
        "actions": {"GetSecretValue": 3},
        "secrets": {"s": 2, "missing": 1},
        "subjects": {"GetSecretValue": {"s": 2, "missing": 1}},
        "codes": {"OK": 2, "Forbidden.ResourceNotFound": 1},
        "in_flight": 0,
        "max_in_flight": 1,
        "connections": 1,
    }
    [call] = await admin.calls(last=1)
    assert call.pop("time") > 0
    assert call == {
        "action": "GetSecretValue",
        "subject": "missing",
        "access_key": kms.info.access_key_id,
        "status": 404,
        "code": "Forbidden.ResourceNotFound",
        "token_in_url": False,
    }
    await admin.reset_counters()
    assert (await admin.counters())["total"] == 0
    assert await admin.calls() == []


async def test_many_secrets_come_in_one_request(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secrets({f"n-{number}": f"v-{number}" for number in range(2000)})
    assert (await kms.get("n-1999")).body["SecretData"] == "v-1999"
