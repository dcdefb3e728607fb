"""Budgets of requests under a virtual clock."""

from __future__ import annotations

import asyncio

import pytest

from secret_sync.refresh.limits import MAX_CLIENTS, ClientLimits

pytestmark = pytest.mark.looptime


def allowed(limits: ClientLimits, client: str, attempts: int) -> int:
    return sum(limits.take(client) for _ in range(attempts))


async def test_client_has_a_burst_and_then_its_rate() -> None:
    limits = ClientLimits(2.0, 10.0, 100.0)
    assert allowed(limits, "a", 50) == 10
    await asyncio.sleep(3)
    assert allowed(limits, "a", 50) == 6
    await asyncio.sleep(1000)
    assert allowed(limits, "a", 50) == 10


async def test_client_beyond_its_limit_costs_the_others_nothing() -> None:
    limits = ClientLimits(1.0, 10.0, 2.0)
    assert allowed(limits, "a", 1000) == 10
    assert allowed(limits, "b", 10) == 10
    # Both together have used what all may.
    assert allowed(limits, "c", 10) == 0
    await asyncio.sleep(5)
    assert allowed(limits, "c", 100) == 10


async def test_clients_are_forgotten_beyond_a_number() -> None:
    limits = ClientLimits(1.0, 1.0, 10.0 * MAX_CLIENTS)
    for number in range(3 * MAX_CLIENTS):
        limits.take(str(number))
    assert len(limits) == MAX_CLIENTS
