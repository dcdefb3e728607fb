"""Names that are never answered beside others; under a virtual clock."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from secret_sync import dns
from secret_sync.dns import Resolver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.dns import Address

pytestmark = pytest.mark.looptime

#: What the C library takes to give up, with one name server and no search domains.
GIVES_UP = 10.0
NO_SUCH_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
BROKEN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


class NameServer:
    """Answers after 10 ms, but for the names that it keeps silent about or answers otherwise."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self.failures: dict[str, Exception] = {}
        self.addresses: defaultdict[str, list[Address]] = defaultdict(
            lambda: [(socket.AF_INET, "192.0.2.1")]
        )
        self.asked: Counter[str] = Counter()
        self.running: Counter[str] = Counter()
        self.most = 0

    async def look_up(self, host: str, family: int) -> list[Address]:
        self.asked[host] += 1
        self.running[host] += 1
        self.most = max(self.most, self.running.total())
        try:
            await asyncio.sleep(GIVES_UP if self.is_silent(host) else 0.01)
        finally:
            self.running[host] -= 1
        if self.is_silent(host):
            raise BROKEN
        if host in self.failures:
            raise self.failures[host]
        return self.addresses[host]

    def is_silent(self, host: str) -> bool:
        return host in self.silent or host.startswith("dead")


@asynccontextmanager
async def resolving(server: NameServer) -> AsyncIterator[Resolver]:
    resolver = Resolver(server.look_up)
    try:
        yield resolver
    finally:
        await resolver.close()
    assert server.running.total() == 0


async def outcome(resolver: Resolver, host: str) -> str:
    try:
        found = await resolver.resolve(host, 443)
    except OSError as error:
        return error.strerror or ""
    return " ".join(one["host"] for one in found)


async def seconds(resolver: Resolver, host: str) -> float:
    """How long it takes to resolve a name."""
    begun = asyncio.get_running_loop().time()
    await resolver.resolve(host, 443)
    return asyncio.get_running_loop().time() - begun


def ask_for(resolver: Resolver, *hosts: str) -> list[asyncio.Task[str]]:
    return [asyncio.create_task(outcome(resolver, host)) for host in hosts]


async def test_an_answer_has_what_a_connection_needs() -> None:
    server = NameServer()
    server.addresses["a.example"] = [
        (socket.AF_INET6, "2001:db8::1"),
        (socket.AF_INET, "192.0.2.1"),
    ]
    async with resolving(server) as resolver:
        first = await resolver.resolve("a.example", 443)
        second = await resolver.resolve("A.example", 80)
    assert {(one["host"], one["family"], one["port"]) for one in first} == {
        ("2001:db8::1", socket.AF_INET6, 443),
        ("192.0.2.1", socket.AF_INET, 443),
    }
    # In turns, so that the load is shared.
    assert [one["host"] for one in second] == [one["host"] for one in reversed(first)]
    assert server.asked == {"a.example": 1}


# --- Names that are never answered --------------------------------------------------------


@pytest.mark.parametrize("count", [1, 8, 20])
async def test_new_names_are_resolved_at_once_beside_dead_ones(count: int) -> None:
    async with resolving(NameServer()) as resolver:
        dead = ask_for(resolver, *(f"dead-{number}" for number in range(count)))
        for moment in range(30):
            assert await seconds(resolver, f"live-{moment}") < 0.1
            await asyncio.sleep(1)
        assert {await task for task in dead} == {"the name server does not answer"}


async def test_hundreds_of_dead_names_delay_none_that_was_resolved_before() -> None:
    server = NameServer()
    async with resolving(server) as resolver:
        await resolver.resolve("live")
        for _ in range(10):
            tasks = ask_for(resolver, *(f"dead-{number}" for number in range(500)))
            await asyncio.sleep(dns.FRESH + 1)
            assert await seconds(resolver, "live") < 0.1
            await asyncio.gather(*tasks)
        assert server.asked["live"] == 11


async def test_names_that_hung_once_leave_room_for_new_ones_when_they_are_asked_for_again() -> None:
    async with resolving(NameServer()) as resolver:
        dead = [f"dead-{number}" for number in range(100)]
        for _ in range(20):
            await asyncio.gather(*ask_for(resolver, *dead))
        await asyncio.sleep(300)
        tasks = ask_for(resolver, *dead)
        await asyncio.sleep(0.5)
        for number in range(30):
            assert await seconds(resolver, f"new-{number}") < 0.1
        await asyncio.gather(*tasks)


async def test_no_more_lookups_run_than_there_are_threads_and_one_of_each_name() -> None:
    server = NameServer()
    async with resolving(server) as resolver:
        for _ in range(5):
            for name in [*(f"dead-{n}" for n in range(300)), *(f"live-{n}" for n in range(300))]:
                ask_for(resolver, name, name)
            await asyncio.sleep(3)
            assert max(server.running.values()) == 1
    assert server.most <= dns.LOOKUPS


async def test_request_for_a_hanging_name_fails_at_once() -> None:
    async with resolving(NameServer()) as resolver:
        begun = asyncio.get_running_loop().time()
        (first,) = ask_for(resolver, "dead")
        assert await first == "the name server does not answer"
        assert asyncio.get_running_loop().time() - begun == dns.WAIT
        assert await outcome(resolver, "dead") == "the name server does not answer"
        assert asyncio.get_running_loop().time() - begun == dns.WAIT


async def test_a_name_that_hung_is_resolved_again_when_it_is_answered() -> None:
    server = NameServer()
    async with resolving(server) as resolver:
        for _ in range(10):
            await asyncio.gather(*ask_for(resolver, *(f"dead-{n}" for n in range(8)), "late"))
            server.silent.add("late")
            await asyncio.sleep(dns.FRESH)
        server.silent.clear()
        await asyncio.sleep(GIVES_UP + dns.FAILED)
        await outcome(resolver, "late")
        await asyncio.sleep(2 * GIVES_UP)
        assert await outcome(resolver, "late") == "192.0.2.1"


async def test_an_answer_that_comes_too_late_serves_the_next_caller() -> None:
    server = NameServer()
    server.silent.add("slow")
    async with resolving(server) as resolver:
        assert await outcome(resolver, "slow") == "the name server does not answer"
        server.silent.clear()
        await asyncio.sleep(GIVES_UP)
        assert await outcome(resolver, "slow") == "192.0.2.1"
        assert server.asked["slow"] == 1


async def test_addresses_from_before_stand_in_while_the_name_server_is_silent_or_broken() -> None:
    server = NameServer()
    async with resolving(server) as resolver:
        await resolver.resolve("live")
        server.silent.add("live")
        await asyncio.sleep(dns.FRESH)
        assert await seconds(resolver, "live") == dns.HUNG_AFTER
        for _ in range(100):
            await asyncio.sleep(0.2)
            assert await seconds(resolver, "live") <= dns.HUNG_AFTER
        await asyncio.sleep(dns.USABLE)
        assert await outcome(resolver, "live") == "the name server does not answer"


# --- Failures -----------------------------------------------------------------------------


async def test_a_name_that_does_not_exist_is_asked_for_again_after_a_while() -> None:
    server = NameServer()
    server.failures["none"] = NO_SUCH_NAME
    async with resolving(server) as resolver:
        for _ in range(20):
            assert await outcome(resolver, "none") == "Name or service not known"
        assert server.asked["none"] == 1
        server.failures.clear()
        await asyncio.sleep(dns.FAILED)
        assert await outcome(resolver, "none") == "192.0.2.1"


async def test_a_name_that_is_gone_has_no_addresses_any_more_and_one_that_fails_has() -> None:
    server = NameServer()
    async with resolving(server) as resolver:
        await resolver.resolve("gone")
        await resolver.resolve("failing")
        server.failures = {"gone": NO_SUCH_NAME, "failing": BROKEN}
        await asyncio.sleep(dns.FRESH)
        assert await outcome(resolver, "gone") == "Name or service not known"
        assert await outcome(resolver, "failing") == "192.0.2.1"


@pytest.mark.parametrize(
    "error", [UnicodeError("label empty or too long"), RuntimeError("can't start new thread")]
)
async def test_name_that_cannot_be_looked_up_is_a_failure_like_others(error: Exception) -> None:
    server = NameServer()
    server.failures["odd"] = error
    async with resolving(server) as resolver:
        assert await outcome(resolver, "odd") == type(error).__name__


# --- Bounds -------------------------------------------------------------------------------


async def test_no_more_names_are_remembered_than_the_limit_and_resolved_ones_for_longest() -> None:
    server = NameServer()
    server.failures = {f"none-{number}": NO_SUCH_NAME for number in range(3 * dns.NAMES)}
    async with resolving(server) as resolver:
        await resolver.resolve("live")
        for name in server.failures:
            await outcome(resolver, name)
            assert len(resolver) <= dns.NAMES
        server.silent.add("live")
        assert await outcome(resolver, "live") == "192.0.2.1"


async def test_more_names_at_once_than_can_be_remembered_are_refused() -> None:
    async with resolving(NameServer()) as resolver:
        tasks = ask_for(resolver, *(f"dead-{number}" for number in range(dns.NAMES + 10)))
        outcomes = Counter(await asyncio.gather(*tasks))
        assert outcomes["too many names are being looked up"] == 10
        assert await outcome(resolver, "dead-0") == "the name server does not answer"


@pytest.mark.parametrize("rounds", [1, 3])
async def test_more_hanging_names_than_can_be_remembered_take_no_resolved_one_away(
    rounds: int,
) -> None:
    server = NameServer()
    dead = [f"dead-{number}" for number in range(dns.NAMES + 76)]
    async with resolving(server) as resolver:
        await resolver.resolve("live")
        # Nothing but what is remembered can answer from now on.
        server.silent.add("live")
        for _ in range(rounds):
            tasks = ask_for(resolver, *dead)
            await asyncio.sleep(0.1)
            assert await outcome(resolver, "live") == "192.0.2.1"
            await asyncio.gather(*tasks)
            await asyncio.sleep(GIVES_UP)
            assert await outcome(resolver, "live") == "192.0.2.1"
        assert len(resolver) == dns.NAMES
        begun = asyncio.get_running_loop().time()
        assert await outcome(resolver, "new") == "192.0.2.1"
        assert asyncio.get_running_loop().time() - begun < 0.1


async def test_a_full_table_of_resolved_names_refuses_no_new_one() -> None:
    async with resolving(NameServer()) as resolver:
        for number in range(dns.NAMES + 10):
            assert await outcome(resolver, f"live-{number}") == "192.0.2.1"
            assert len(resolver) <= dns.NAMES


async def test_callers_that_give_up_take_nothing_away_from_others() -> None:
    server = NameServer()
    async with resolving(server) as resolver:
        first, second = ask_for(resolver, "live", "live")
        await asyncio.sleep(0)
        first.cancel()
        assert await second == "192.0.2.1"
        assert server.asked["live"] == 1


@pytest.mark.parametrize("after", [0, 0.1])
async def test_closing_ends_what_waits_and_what_runs(after: float) -> None:
    server = NameServer()
    async with resolving(server) as resolver:
        tasks = ask_for(resolver, *(f"dead-{number}" for number in range(100)))
        await asyncio.sleep(after)
    begun = asyncio.get_running_loop().time()
    await asyncio.gather(*tasks)
    assert asyncio.get_running_loop().time() == begun
