"""Refreshes by name: which sources, how soon, and what they leave to others."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secret_sync.errors import NotFoundError, TransientError
from secret_sync.sources.pushed import (
    BURST_SECONDS,
    MAX_WAITING,
    SHARE,
    SOURCE_EVERY,
    PushedName,
)
from tests.support.fake_time import run_in_fake_time
from tests.unit.sources.conftest import PlayedProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.credentials import Credentials
    from secret_sync.providers.kms import SecretValue
    from secret_sync.sources import Source
    from secret_sync.sources.pushed import PushedRefreshes
    from tests.unit.sources.conftest import PlayedCloud, RegistryHarness

pytestmark = pytest.mark.looptime

ARN = "acs:kms:{}:{}:secret/db"
FAR = 100_000.0


@asynccontextmanager
async def pushing(
    harness: RegistryHarness, *, unpolled: bool = False
) -> AsyncIterator[tuple[PushedRefreshes, list[int]]]:
    counted: list[int] = []
    pushed = harness.registry.pushed_refreshes(counted.append, unpolled=unpolled)
    task = asyncio.create_task(pushed.run())
    try:
        yield pushed, counted
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def register(
    harness: RegistryHarness, user: str, *names: str, interval: float | None = FAR, **more: Any
) -> None:
    """Has a user with values of these secrets."""
    for name in names:
        harness.cloud.values.setdefault(name, b"one")
    harness.registry.register(
        user, [harness.want(name, **more) for name in names], interval=interval
    )
    await asyncio.sleep(2 + len(names))


async def answer_as_of_the_begin(
    cloud: PlayedCloud, source: Source, credentials: Credentials
) -> SecretValue:
    """Answer with the value that there was when the call began, as the slowest of answers does."""
    before = cloud.values[source.name]
    answer = await cloud(source, credentials)
    return replace(answer, data=before)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("db", ("db", "", "")),
        ("a/b:c", ("a/b:c", "", "")),
        (ARN.format("cn-a", "7"), ("db", "cn-a", "7")),
        ("acs:kms:cn-a:7:secret/a/b", ("a/b", "cn-a", "7")),
        ("acs:kms:cn-a:7:key/db", ("", "cn-a", "7")),
        ("acs:oos:cn-a:7:secret/db", ("", "", "")),
        ("acs:", ("", "", "")),
        ("acs:kms:secret/db", ("db", "", "")),
    ],
)
async def test_names_and_arns_are_read(text: str, name: tuple[str, str, str]) -> None:
    assert PushedName.parse(text) == name


async def test_named_source_is_refreshed_at_once_and_no_other(make_harness: Any) -> None:
    async with make_harness() as harness, pushing(harness) as (pushed, counted):
        await register(harness, "ns/a", "db", "other")
        harness.cloud.values["db"] = b"two"
        harness.notified.clear()
        assert pushed.ask(["db", "unknown"])
        await asyncio.sleep(0.1)
        assert harness.cloud.count("db") == 2
        assert sum(counted) == 1
        # The other secret of the object is confirmed before anything is written.
        await asyncio.sleep(0.5)
        assert harness.notified_of("ns/a") == 1


@pytest.mark.parametrize(
    ("pushed_as", "source", "hit"),
    [
        ("db", "db", True),
        ("db", ARN.format("cn-a", "7"), True),
        (ARN.format("cn-a", "7"), "db", True),
        (ARN.format("cn-a", "7"), ARN.format("cn-a", "7"), True),
        (ARN.format("cn-b", "7"), ARN.format("cn-a", "7"), False),
        (ARN.format("cn-a", "8"), ARN.format("cn-a", "7"), False),
        ("acs:kms:cn-a:7:key/db", "db", False),
        ("", "db", False),
        # Neither names anything; KMS refuses such a key.
        ("acs:kms:cn-a:7:key/db", "acs:kms:cn-a:7:key/db", False),
    ],
)
async def test_source_is_found_however_either_is_spelt(
    make_harness: Any, pushed_as: str, source: str, *, hit: bool
) -> None:
    async with make_harness() as harness, pushing(harness) as (pushed, _):
        await register(harness, "ns/a", source)
        pushed.ask([pushed_as])
        await asyncio.sleep(1)
        assert harness.cloud.count(source) == 1 + hit


async def test_name_in_thousands_of_places_is_looked_up_as_quickly(make_harness: Any) -> None:
    async with make_harness() as harness:
        await register(harness, "ns/a", ARN.format("cn-a", "7"))
        wanted = harness.want("db")
        ways = [
            replace(wanted, source=replace(wanted.source, version_stage=str(n)))
            for n in range(2000)
        ]
        harness.registry.register("hostile/a", ways, interval=FAR)
        await asyncio.sleep(30)
        async with pushing(harness) as (pushed, _):
            began = time.process_time()
            pushed.ask([ARN.format(f"cn-{n}", str(n)) for n in range(MAX_WAITING)])
            await asyncio.sleep(1)
            # 8 million comparisons would take several seconds.
            assert time.process_time() - began < 2
            assert harness.cloud.count(ARN.format("cn-a", "7")) == 2


async def test_arn_of_another_region_leaves_a_source_whose_region_is_known(
    make_harness: Any,
) -> None:
    async with make_harness() as harness, pushing(harness) as (pushed, _):
        harness.cloud.values["db"] = b"one"
        wanted = harness.want("db")
        wanted = replace(wanted, source=replace(wanted.source, region="cn-a"))
        harness.registry.register("ns/a", [wanted], interval=FAR)
        await asyncio.sleep(1)
        pushed.ask([ARN.format("cn-b", "7")])
        await asyncio.sleep(1)
        assert harness.cloud.count("db") == 1
        pushed.ask([ARN.format("cn-a", "7")])
        await asyncio.sleep(1)
        assert harness.cloud.count("db") == 2


async def test_pushes_of_one_source_are_done_once_in_some_seconds_and_none_is_lost(
    make_harness: Any,
) -> None:
    async with make_harness() as harness, pushing(harness) as (pushed, _):
        await register(harness, "ns/a", "db")
        began = asyncio.get_running_loop().time()
        for _ in range(200):
            pushed.ask(["db"])
            await asyncio.sleep(0.1)
        seconds = asyncio.get_running_loop().time() - began
        calls = harness.cloud.count("db") - 1
        assert seconds / SOURCE_EVERY <= calls <= seconds / SOURCE_EVERY + 1
        # What changes after the last call is seen by the one that its push has asked for.
        await asyncio.sleep(SOURCE_EVERY)
        pushed.ask(["db"])
        await asyncio.sleep(0.5)
        harness.cloud.values["db"] = b"two"
        pushed.ask(["db"])
        harness.notified.clear()
        await asyncio.sleep(SOURCE_EVERY)
        assert harness.notified_of("ns/a") == 1


async def test_push_during_a_call_causes_another_whose_answer_is_new(make_harness: Any) -> None:
    async with make_harness() as harness, pushing(harness) as (pushed, _):
        await register(harness, "ns/a", "db")
        harness.cloud.seconds = 1.0
        pushed.ask(["db"])
        await asyncio.sleep(SOURCE_EVERY + 0.5)
        pushed.ask(["db"])
        await asyncio.sleep(0.5)
        before = harness.cloud.count("db")
        assert before == 3
        # The call has begun; what it brings is older than this.
        pushed.ask(["db"])
        await asyncio.sleep(2 * SOURCE_EVERY)
        assert harness.cloud.count("db") == before + 1


async def test_push_right_after_a_call_has_begun_causes_another(make_harness: Any) -> None:
    async with make_harness() as harness, pushing(harness) as (pushed, _):
        harness.fetchers["kms"] = partial(answer_as_of_the_begin, harness.cloud)
        await register(harness, "ns/a", "db")
        harness.registry.register("ns/a", [harness.want("db")], interval=FAR, forced="now")
        await asyncio.sleep(0.01)
        assert harness.cloud.count("db") == 2
        harness.cloud.values["db"] = b"two"
        pushed.ask(["db"])
        await asyncio.sleep(1)
        (state,) = harness.registry.register("ns/a", [harness.want("db")], interval=FAR)
        assert state.data == b"two"


async def test_pushes_take_half_of_the_rate_and_new_objects_go_first(make_harness: Any) -> None:
    rate = 10.0
    names = [f"db-{n}" for n in range(100)]
    async with make_harness(rate=rate) as harness, pushing(harness) as (pushed, _):
        await register(harness, "ns/a", *names)
        began = asyncio.get_running_loop().time()
        first = len(harness.cloud.calls)
        for _ in range(40):
            pushed.ask(names)
            await asyncio.sleep(0.1)
        harness.cloud.values["new"] = b"one"
        harness.registry.register("other/b", [harness.want("new")], interval=FAR)
        await asyncio.sleep(2 / rate)
        assert harness.cloud.count("new") == 1
        pushes = len(harness.cloud.calls) - first - 1
        seconds = asyncio.get_running_loop().time() - began
        assert pushes <= (seconds + BURST_SECONDS) * rate * SHARE + 1
        # None is lost: each is refreshed in the end.
        await asyncio.sleep(100 / (rate * SHARE))
        assert all(harness.cloud.count(name) >= 2 for name in names)


async def test_tenant_that_names_a_secret_in_many_ways_does_not_delay_another(
    make_harness: Any,
) -> None:
    async with make_harness(rate=10.0) as harness, pushing(harness) as (pushed, _):
        harness.cloud.values["db"] = b"one"
        wanted = harness.want("db")
        ways = [
            replace(wanted, source=replace(wanted.source, version_stage=str(n))) for n in range(200)
        ]
        harness.registry.register("hostile/a", ways, interval=FAR)
        harness.registry.register("victim/a", [wanted], interval=FAR)
        await register(harness, "victim/b", "other")
        await asyncio.sleep(30)
        before = len(harness.cloud.calls)
        pushed.ask(["db"])
        await asyncio.sleep(1)
        pushed.ask(["other"])
        await asyncio.sleep(0.5)
        assert harness.cloud.count("other") == 2
        state = harness.registry.register("victim/a", [wanted], interval=FAR)
        assert not state[0].pending
        assert len(harness.cloud.calls) - before < 20
        # All of them are refreshed in the end.
        await asyncio.sleep(60)
        assert len(harness.cloud.calls) - before == 202


def register_in_many_ways(harness: RegistryHarness, *users: str) -> None:
    """Have users name a secret under hundreds of stages, and as everybody names it."""
    harness.cloud.values["db"] = b"one"
    wanted = harness.want("db")
    ways = [
        replace(wanted, source=replace(wanted.source, version_stage=str(n))) for n in range(400)
    ]
    for number, user in enumerate(users):
        harness.registry.register(user, [wanted] if number else [*ways, wanted], interval=FAR)


@pytest.mark.parametrize("hostile_first", [True, False])
@pytest.mark.parametrize("objects", [1, 100])
async def test_tenant_in_debt_does_not_delay_a_source_that_it_shares(
    make_harness: Any, *, hostile_first: bool, objects: int
) -> None:
    hostile = [f"hostile/{number}" for number in range(objects)]
    async with make_harness(rate=10.0) as harness, pushing(harness) as (pushed, _):
        if not hostile_first:
            await register(harness, "victim/a", "db")
        register_in_many_ways(harness, *hostile)
        await asyncio.sleep(100)
        if hostile_first:
            await register(harness, "victim/a", "db")
        harness.cloud.values["db"] = b"two"
        for _ in range(3):
            # Whether the tenant has debts already or incurs them with the same push.
            harness.notified.clear()
            pushed.ask(["db"])
            await asyncio.sleep(1.5)
            assert harness.notified_of("victim/a") == 1
            harness.cloud.values["db"] += b"."
            await asyncio.sleep(SOURCE_EVERY)


@pytest.mark.parametrize("waited_for", [False, True])
async def test_new_user_without_debt_moves_a_pushed_refresh_forward(
    make_harness: Any, *, waited_for: bool
) -> None:
    async with make_harness(rate=10.0) as harness, pushing(harness) as (pushed, counted):
        register_in_many_ways(harness, "hostile/a")
        await asyncio.sleep(100)
        if waited_for:
            # The first change has the tenant wait for all of its sources, in its own turn.
            harness.cloud.values["db"] = b"two"
        pushed.ask(["db"])
        await asyncio.sleep(1)
        before = sum(counted)
        await register(harness, "victim/a", "db")
        harness.cloud.values["db"] = b"three"
        harness.notified.clear()
        pushed.ask(["db"])
        await asyncio.sleep(1)
        assert harness.notified_of("victim/a") == 1
        # Once in some seconds, even so; and what waits for its place takes no other.
        for _ in range(30):
            pushed.ask(["db"])
            await asyncio.sleep(0.1)
        assert harness.notified_of("victim/a") == 1
        assert sum(counted) - before < 100


async def test_pushes_of_one_identity_leave_the_budget_of_another(make_harness: Any) -> None:
    other = PlayedProvider(account="other", role_in="2")
    async with make_harness(rate=10.0) as harness, pushing(harness) as (pushed, _):
        harness.provider.role_in = "1"
        names = [f"db-{n}" for n in range(60)]
        await register(harness, "ns/a", *names)
        await register(harness, "ns/b", "mine", provider=other)
        pushed.ask(names)
        await asyncio.sleep(0.5)
        pushed.ask(["mine"])
        await asyncio.sleep(0.3)
        assert harness.cloud.count("mine") == 2


async def test_failed_source_is_tried_again_before_its_backoff_ends(make_harness: Any) -> None:
    async with make_harness() as harness, pushing(harness) as (pushed, _):
        harness.registry.register("ns/a", [harness.want("late")], interval=FAR)
        await asyncio.sleep(3)
        assert harness.cloud.count("late") == 1
        harness.cloud.values["late"] = b"one"
        pushed.ask(["late"])
        await asyncio.sleep(0.5)
        assert harness.cloud.count("late") == 2
        assert harness.notified_of("ns/a") == 2


async def test_flood_of_pushes_leaves_the_backoff_of_a_failed_source_as_it_was(
    make_harness: Any,
) -> None:
    async with make_harness() as harness, pushing(harness) as (pushed, _):
        harness.registry.register("ns/a", [harness.want("never")], interval=FAR)
        await asyncio.sleep(3)
        for _ in range(200):
            pushed.ask(["never"])
            await asyncio.sleep(0.1)
        assert harness.cloud.count("never") <= 1 + 20 / SOURCE_EVERY + 1


async def test_source_that_is_fetched_on_edits_only_is_left_alone(make_harness: Any) -> None:
    async with make_harness() as harness:
        await register(harness, "ns/a", "db", interval=None)
        async with pushing(harness) as (pushed, _):
            pushed.ask(["db"])
            await asyncio.sleep(1)
            assert harness.cloud.count("db") == 1
        # Without any polling a push is the only news there is.
        async with pushing(harness, unpolled=True) as (pushed, _):
            pushed.ask(["db"])
            await asyncio.sleep(1)
            assert harness.cloud.count("db") == 2


async def test_pinned_version_is_not_fetched_again(make_harness: Any) -> None:
    async with make_harness() as harness, pushing(harness) as (pushed, _):
        harness.cloud.values["db"] = b"one"
        wanted = harness.want("db")
        wanted = replace(wanted, source=replace(wanted.source, version_id="v1"))
        harness.registry.register("ns/a", [wanted], interval=FAR)
        await asyncio.sleep(1)
        pushed.ask(["db"])
        await asyncio.sleep(1)
        assert harness.cloud.count("db") == 1


async def test_names_that_wait_are_bounded_and_released_sources_are_forgotten(
    make_harness: Any,
) -> None:
    async with make_harness() as harness:
        pushed = harness.registry.pushed_refreshes(lambda _: None, unpolled=False)
        assert pushed.ask([str(n) for n in range(MAX_WAITING)])
        assert not pushed.ask(["one more"])
        await register(harness, "ns/a", "db")
        async with pushing(harness) as (pushed, _):
            pushed.ask(["db"])
            await asyncio.sleep(0.2)
            assert repr(pushed) == "<PushedRefreshes 0 names wait, 1 sources, 0 shares>"
            harness.registry.release("ns/a")
            pushed.ask(["db"])
            await asyncio.sleep(0.2)
            assert repr(pushed) == "<PushedRefreshes 0 names wait, 0 sources, 0 shares>"


STEPS = st.tuples(
    st.sampled_from([0.0, 0.01, 0.03, 0.05, 0.3, 1.0, 4.9, 5.0, 7.0]),
    st.sampled_from(["push", "push", "slow", "fast", "fail", "gone", "heal", "edit", "force"]),
)


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=15))
def test_no_order_of_pushes_calls_and_faults_loses_the_last_push(
    make_harness: Any, steps: list[tuple[float, str]]
) -> None:
    async def play() -> None:
        async with make_harness(rate=10.0) as harness, pushing(harness) as (pushed, _):
            harness.fetchers["kms"] = partial(answer_as_of_the_begin, harness.cloud)
            await register(harness, "ns/a", "db", "other")
            forced = 0
            for number, (pause, what) in enumerate(steps):
                await asyncio.sleep(pause)
                match what:
                    case "push":
                        harness.cloud.values["db"] = f"value {number}".encode()
                        pushed.ask(["db"])
                    case "slow" | "fast":
                        harness.cloud.seconds = 2.0 if what == "slow" else 0.01
                    case "fail":
                        harness.cloud.faults["db"] = TransientError("no answer")
                    case "gone":
                        harness.cloud.faults["db"] = NotFoundError("gone")
                    case "heal":
                        harness.cloud.faults.clear()
                    case "edit":
                        harness.cloud.values["other"] = f"value {number}".encode()
                        pushed.ask(["other"])
                    case "force":
                        forced += 1
                        requests = [harness.want(name) for name in ("db", "other")]
                        harness.registry.register(
                            "ns/a", requests, interval=FAR, forced=str(forced)
                        )
            harness.cloud.faults.clear()
            harness.cloud.values["db"] = b"the last"
            pushed.ask(["db"])
            # The pause of a source, that of a round's next try, and slow calls.
            await asyncio.sleep(SOURCE_EVERY + 20)
            (state,) = harness.registry.register(
                "ns/b", [harness.want("db")], interval=FAR, urgent=False
            )
            assert state.data == b"the last"
            assert state.error is None

    run_in_fake_time(play())
