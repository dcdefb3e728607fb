"""A user is given values of one generation only, whatever is rotated, fails or is slow when.

The cloud writes a whole generation in one step, as people do who rotate a user name together with
its password. ``Object`` does what a reconcile does with the readings: it writes if nothing is
pending and nothing failed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secret_sync.errors import DefiniteError, TransientError
from secret_sync.providers.kms import SecretValue
from tests.support.fake_time import run_in_fake_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from secret_sync.credentials import Credentials
    from secret_sync.sources import Source, SourceSnapshot

    MakeWorld = Callable[..., Any]

#: Longer than any failure waits.
SETTLED = 700.0


@dataclass
class RotatingCloud:
    """Each value says of which generation it is; a call reads it at a moment of its own."""

    random: Random = field(default_factory=lambda: Random(1))
    latencies: Sequence[float] = (0.05,)
    failing: set[str] = field(default_factory=set)
    slow: dict[str, float] = field(default_factory=dict)
    error: Exception = field(default_factory=lambda: TransientError("down"))
    generations: Counter[str] = field(default_factory=Counter)
    calls: list[tuple[float, str]] = field(default_factory=list)

    def rotate(self, *names: str) -> None:
        for name in names:
            self.generations[name] += 1

    async def __call__(self, source: Source, credentials: Credentials) -> SecretValue:
        name = source.name
        self.calls.append((asyncio.get_running_loop().time(), name))
        before, after = self.random.choice(self.latencies), self.random.choice(self.latencies)
        await asyncio.sleep(before)
        generation = self.generations[name]
        await asyncio.sleep(self.slow.get(name, after))
        if name in self.failing:
            raise self.error
        return SecretValue(f"{name} of generation {generation}".encode(), f"v{generation}")

    def called_since(self, moment: float) -> Counter[str]:
        return Counter(name for at, name in self.calls if at >= moment)


@dataclass
class Object:
    """What a reconcile does: register, and write what may be written."""

    world: Any
    user: str
    names: Sequence[str]
    interval: float | None = 60.0
    written: list[tuple[int, ...]] = field(default_factory=list)
    status: tuple[str, ...] | None = None
    spec: dict[str, Any] = field(default_factory=dict)

    def reconcile(self, **edit: Any) -> list[SourceSnapshot]:
        self.spec |= edit
        wanted = [self.world.want(name) for name in self.names]
        readings: list[SourceSnapshot] = self.world.registry.register(
            self.user, wanted, interval=self.interval, written=self.status, **self.spec
        )
        if not any(r.pending or r.error or r.data is None for r in readings):
            generations = tuple(int(r.data.split()[-1]) for r in readings if r.data)
            if not self.written or self.written[-1] != generations:
                self.written.append(generations)
            self.status = tuple(r.version_id for r in readings)
        return readings


async def run_objects(world: Any, objects: Sequence[Object], seconds: float) -> None:
    """Reconcile each object when the registry says so."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    by_user = {each.user: each for each in objects}
    while (left := end - loop.time()) > 0:
        world.changed.clear()
        users, world.notified[:] = {user for _, user in world.notified}, []
        for user in users & by_user.keys():
            by_user[user].reconcile()
        try:
            async with asyncio.timeout(left):
                await world.changed.wait()
        except TimeoutError:
            return


def play(world: Any, **options: Any) -> RotatingCloud:
    cloud = RotatingCloud(**options)
    world.fetchers["kms"] = cloud
    return cloud


def names_of(count: int) -> list[str]:
    return [f"s{number}" for number in range(count)]


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.looptime
@pytest.mark.parametrize("count", [2, 5, 20])
async def test_sources_rotated_together_are_never_mixed(make_world: MakeWorld, count: int) -> None:
    async with make_world() as world:
        cloud, names = play(world, latencies=(0.0, 0.1, 1.5)), names_of(count)
        one = Object(world, "ns/a", names, interval=10.0)
        one.reconcile()
        await run_objects(world, [one], 30)
        for generation in range(1, 11):
            cloud.rotate(*names)
            await run_objects(world, [one], 7.3)
            assert len(set(cloud.generations.values())) == 1, generation
        await run_objects(world, [one], 60)
        assert one.written[-1] == (10,) * count
        assert all(len(set(written)) == 1 for written in one.written)
        assert len(one.written) > 2


@pytest.mark.looptime
@pytest.mark.parametrize("count", [2, 5, 20])
async def test_a_change_asks_the_others_at_once_after_5_s_and_after_30_s(
    make_world: MakeWorld, count: int
) -> None:
    async with make_world() as world:
        cloud, names = play(world), names_of(count)
        one = Object(world, "ns/a", names, interval=None)
        one.reconcile()
        await run_objects(world, [one], 100)
        assert set(cloud.called_since(0).values()) == {1}
        # Somebody else finds the change of the first one.
        other = Object(world, "ns/b", names[:1], interval=None)
        cloud.rotate(names[0])
        began = now()
        other.reconcile(forced="")
        other.reconcile(forced="now")
        others = Counter(dict.fromkeys(names[1:], 1))
        await run_objects(world, [one, other], 1)
        assert cloud.called_since(began) == others + Counter(names[:1])
        assert one.written[-1] == (1,) + (0,) * (count - 1)
        for pause in (5, 25):
            began = now()
            await run_objects(world, [one, other], pause)
            assert cloud.called_since(began) == others
        began = now()
        await run_objects(world, [one, other], 1000)
        assert not cloud.called_since(began)


@pytest.mark.looptime
async def test_an_answer_under_way_while_another_source_changes_confirms_nothing(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        cloud = play(world)
        one = Object(world, "ns/a", ["user", "password"], interval=None)
        one.reconcile()
        await run_objects(world, [one], 5)
        # Reads at once, and answers late.
        cloud.slow["user"] = 2.0
        slow = Object(world, "ns/b", ["user"], interval=None)
        quick = Object(world, "ns/c", ["password"], interval=None)
        for each in (slow, quick):
            each.reconcile()
        slow.reconcile(forced="now")
        await run_objects(world, [one, slow, quick], 0.5)
        cloud.rotate("user", "password")
        quick.reconcile(forced="now")
        await run_objects(world, [one, slow, quick], 10)
        assert one.written == [(0, 0), (1, 1)]


@pytest.mark.looptime
async def test_the_newest_change_counts_only_if_it_was_asked_after_the_others(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        cloud = play(world)
        one = Object(world, "ns/a", ["user", "password"], interval=None)
        one.reconcile()
        await run_objects(world, [one], 5)
        # The password is read in the second generation, and that is known after the user of the
        # third one.
        cloud.rotate("user", "password")
        cloud.slow["password"] = 2.0
        one.reconcile(forced="now")
        slow = Object(world, "ns/b", ["user"], interval=None)
        await run_objects(world, [one, slow], 1)
        cloud.rotate("user", "password")
        slow.reconcile()
        slow.reconcile(forced="now")
        await run_objects(world, [one, slow], 30)
        assert one.written[0] == (0, 0)
        assert one.written[-1] == (2, 2)
        assert all(len(set(written)) == 1 for written in one.written)


@pytest.mark.looptime
async def test_an_unchanged_round_asks_each_source_once(make_world: MakeWorld) -> None:
    async with make_world() as world:
        cloud, names = play(world), names_of(5)
        one = Object(world, "ns/a", names, interval=60.0)
        one.reconcile()
        await run_objects(world, [one], 30)
        began = now()
        await run_objects(world, [one], 60)
        assert cloud.called_since(began) == Counter(names)
        assert one.written == [(0,) * 5]


@pytest.mark.looptime
async def test_a_source_used_by_two_objects_is_asked_once_for_both(make_world: MakeWorld) -> None:
    async with make_world() as world:
        cloud = play(world)
        first = Object(world, "ns/a", ["shared", "mine"], interval=None)
        second = Object(world, "ns/b", ["shared", "yours"], interval=None)
        first.reconcile()
        second.reconcile()
        await run_objects(world, [first, second], 200)
        cloud.rotate("shared", "mine", "yours")
        began = now()
        first.reconcile(forced="now")
        await run_objects(world, [first, second], 3)
        assert cloud.called_since(began)["yours"] == 1
        assert (first.written[-1], second.written[-1]) == ((1, 1), (1, 1))


@pytest.mark.looptime
@pytest.mark.parametrize(
    "error", [TransientError("down"), DefiniteError("no", code="Forbidden.NoPermission")]
)
async def test_failure_right_after_a_change_keeps_the_whole_former_pair(
    make_world: MakeWorld, error: Exception
) -> None:
    async with make_world() as world:
        cloud = play(world, error=error)
        one = Object(world, "ns/a", ["user", "password"], interval=10.0)
        one.reconcile()
        await run_objects(world, [one], 5)
        cloud.rotate("user", "password")
        cloud.failing.add("password")
        await run_objects(world, [one], 300)
        user, password = one.reconcile()
        # For repairs, and the condition says what is missing.
        assert (user.data, user.version_id) == (b"user of generation 0", "v0")
        assert (password.data, password.version_id) == (b"password of generation 0", "v0")
        assert user.error is None
        assert password.error is error
        assert one.written == [(0, 0)]
        cloud.failing.clear()
        await run_objects(world, [one], 400)
        assert one.written == [(0, 0), (1, 1)]
        assert world.registry.cached_bytes == len(b"user of generation 1password of generation 1")


@pytest.mark.looptime
async def test_a_source_that_is_asked_ahead_of_its_schedule_waits_no_longer_for_that(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        cloud = play(world, error=DefiniteError("no", code="Forbidden.NoPermission"))
        one = Object(world, "ns/a", ["user", "password"], interval=5.0)
        one.reconcile()
        await run_objects(world, [one], 3)
        cloud.failing.add("password")
        for _ in range(3):
            cloud.rotate("user", "password")
            await run_objects(world, [one], 6)
        assert cloud.called_since(0)["password"] > 3
        cloud.failing.clear()
        # The rest of the wait after the first refusal, and what it is spread by.
        await run_objects(world, [one], 30)
        assert one.written == [(0, 0), (3, 3)]


@pytest.mark.looptime
async def test_adjacent_failures_are_reported_once(make_world: MakeWorld) -> None:
    async with make_world() as world:
        cloud = play(world, error=DefiniteError("no", code="Forbidden.NoPermission"))
        cloud.failing |= {"user", "password", "slow"}
        cloud.slow |= {"password": 0.1, "slow": 5.0}
        world.registry.register(
            "ns/a", [world.want(name) for name in ("user", "password", "slow")], interval=None
        )
        await asyncio.sleep(1)
        # Without what is slow: a failure is reported within a second.
        assert world.notified_of("ns/a") == 1
        await asyncio.sleep(10)
        assert world.notified_of("ns/a") == 2


@pytest.mark.looptime
async def test_a_restart_that_finds_the_versions_of_the_status_asks_each_source_once(
    make_world: MakeWorld,
) -> None:
    async with make_world(rate=8) as world:
        cloud, names = play(world), names_of(60)
        cloud.rotate(*names)
        one = Object(world, "ns/a", names, interval=None, status=("v1",) * 60)
        began = now()
        one.reconcile()
        # Far more than two seconds pass between the first and the last answer.
        await run_objects(world, [one], 200)
        assert cloud.called_since(began) == Counter(names)
        assert one.written == [(1,) * 60]


@pytest.mark.looptime
async def test_a_restart_that_finds_a_change_asks_the_others_again(make_world: MakeWorld) -> None:
    async with make_world() as world:
        cloud = play(world)
        cloud.rotate("user", "password")
        one = Object(world, "ns/a", ["user", "password"], interval=None, status=("v0", "v0"))
        one.reconcile()
        await asyncio.sleep(0.02)
        # Between the moments at which the two calls read.
        cloud.rotate("user", "password")
        await run_objects(world, [one], 4)
        # Both are a change, and neither was asked after the other's answer: once more each.
        assert cloud.called_since(0) == {"user": 2, "password": 2}
        await run_objects(world, [one], 100)
        assert one.written[-1] == (2, 2)
        assert all(len(set(written)) == 1 for written in one.written)


@pytest.mark.looptime
async def test_first_values_that_lie_apart_are_asked_again(make_world: MakeWorld) -> None:
    async with make_world() as world:
        cloud = play(world)
        cloud.failing.add("late")
        one = Object(world, "ns/a", ["early", "late"], interval=None)
        one.reconcile()
        await run_objects(world, [one], 10)
        cloud.failing.clear()
        await run_objects(world, [one], 60)
        assert cloud.called_since(0)["early"] == 2
        assert one.written == [(0, 0)]


@pytest.mark.looptime
async def test_first_values_next_to_each_other_cost_no_further_call(make_world: MakeWorld) -> None:
    async with make_world() as world:
        cloud = play(world, latencies=(0.1, 0.9))
        objects = [Object(world, f"ns/{n}", [f"u{n}", f"p{n}"], interval=None) for n in range(200)]
        for each in objects:
            each.reconcile()
        await run_objects(world, objects, 100)
        assert set(cloud.called_since(0).values()) == {1}
        assert all(each.written == [(0, 0)] for each in objects)


@pytest.mark.looptime
async def test_source_change_with_many_users_is_handled_in_slices(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        cloud = play(world)
        names = names_of(50)
        objects = [Object(world, f"ns/{n}", names, interval=None) for n in range(100)]
        for each in objects:
            each.reconcile()
        await run_objects(world, objects, 10)
        checked: list[int] = []
        missing = world.registry._snapshots.missing

        def counting(user: str, registration: Any) -> Any:
            checked[-1] += len(registration.sources)
            return missing(user, registration)

        async def each_turn_of_the_loop() -> None:
            while True:
                checked.append(0)
                await asyncio.sleep(0)

        world.registry._snapshots = Counted(world.registry._snapshots, counting)
        cloud.rotate(names[0])
        state = world.registry._states[world.want(names[0]).source]
        counter = asyncio.create_task(each_turn_of_the_loop())
        await asyncio.sleep(0)
        world.registry._finished(state, SecretValue(b"s0 of generation 1", "v1"))
        for _ in range(50):
            await asyncio.sleep(0)
        counter.cancel()
        assert sum(checked) == 100 * 50
        assert max(checked) <= 2050


class Counted:
    """Snapshots whose judgements are counted."""

    def __init__(self, real: Any, missing: Callable[..., Any]) -> None:
        self._real = real
        self.missing = missing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.mark.looptime
async def test_a_first_answer_that_is_late_is_not_next_to_another(make_world: MakeWorld) -> None:
    async with make_world() as world:
        cloud = play(world)
        # Read at once, answered late; the other one is read after a rotation.
        cloud.slow["user"] = 4.5
        cloud.failing.add("password")
        one = Object(world, "ns/a", ["user", "password"], interval=None)
        one.reconcile()
        await run_objects(world, [one], 3)
        cloud.rotate("user", "password")
        cloud.failing.clear()
        await run_objects(world, [one], 60)
        assert one.written == [(1, 1)]


@pytest.mark.looptime
async def test_sources_that_change_all_the_time_are_not_asked_all_the_time(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        cloud = play(world)
        one = Object(world, "ns/a", ["user", "password"], interval=120.0)
        one.reconcile()
        await run_objects(world, [one], 5)
        ask = cloud.__call__

        async def changing(source: Source, credentials: Credentials) -> SecretValue:
            cloud.rotate(source.name)
            return await ask(source, credentials)

        world.fetchers["kms"] = changing
        await run_objects(world, [one], 600)
        began = now()
        await run_objects(world, [one], 600)
        # Once a minute each, and what is polled anyway.
        assert sum(cloud.called_since(began).values()) < 60
        world.fetchers["kms"] = cloud
        cloud.rotate("user", "password")
        await run_objects(world, [one], 200)
        assert one.written[-1] == (cloud.generations["user"], cloud.generations["password"])


@pytest.mark.looptime
async def test_a_new_object_takes_confirmed_values_without_a_call(make_world: MakeWorld) -> None:
    async with make_world() as world:
        cloud = play(world)
        first = Object(world, "ns/a", ["user", "password"], interval=3600.0)
        first.reconcile()
        await run_objects(world, [first], 30)
        second = Object(world, "ns/b", ["user", "password"], interval=3600.0)
        second.reconcile()
        assert second.written == [(0, 0)]
        assert len(cloud.calls) == 2


@pytest.mark.looptime
async def test_rotation_seconds_later_is_found_by_the_recheck(make_world: MakeWorld) -> None:
    async with make_world() as world:
        cloud = play(world)
        one = Object(world, "ns/a", ["user", "password"], interval=600.0)
        one.reconcile()
        await run_objects(world, [one], 5)
        finder = Object(world, "ns/b", ["user"], interval=None)
        cloud.rotate("user")
        finder.reconcile(forced="")
        finder.reconcile(forced="now")
        await run_objects(world, [one, finder], 3)
        cloud.rotate("password")
        await run_objects(world, [one, finder], 3)
        assert one.written == [(0, 0), (1, 0), (1, 1)]


@pytest.mark.looptime
async def test_an_object_that_never_had_a_pair_gets_none_while_one_half_fails(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        cloud = play(world)
        one = Object(world, "ns/a", ["user", "password"], interval=10.0)
        one.reconcile()
        await run_objects(world, [one], 5)
        cloud.failing.add("password")
        cloud.rotate("user", "password")
        await run_objects(world, [one], 60)
        other = Object(world, "ns/b", ["user", "password"], interval=10.0)
        user, password = other.reconcile()
        assert user.data == b"user of generation 1"
        assert password.pending or password.error
        await run_objects(world, [one, other], 60)
        assert not other.written


@pytest.mark.looptime
async def test_sources_of_one_secret_are_refreshed_together_at_the_shortest_interval(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        cloud = play(world)
        arn = "acs:kms:cn-test:1:secret/db"
        slow = Object(world, "ns/slow", [arn], interval=10_000.0)
        fast = Object(world, "ns/fast", ["db"], interval=30.0)
        slow.reconcile()
        fast.reconcile()
        await run_objects(world, [slow, fast], 5)
        for _ in range(10):
            began = now()
            await run_objects(world, [slow, fast], 30)
            calls = cloud.called_since(began)
            assert calls[arn] == calls["db"]
        assert 9 <= cloud.called_since(0)[arn] <= 14
        world.registry.release("ns/fast")
        assert len(world.registry._groups) == 1
        began = now()
        await run_objects(world, [slow], 1000)
        assert not cloud.called_since(began)
        world.registry.release("ns/slow")
        assert not len(world.registry._groups)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("rotate", "fail", "mend", "force", "restart", "edit", "wait", "rotate")),
        st.integers(0, 3),
        st.sampled_from((0.0, 0.03, 0.2, 1.0, 6.0, 40.0)),
    ),
    min_size=1,
    max_size=30,
)


async def live(make_world: MakeWorld, steps: Any, seed: int, count: int) -> None:
    random = Random(seed)
    async with make_world() as world:
        cloud = play(world, random=random, latencies=(0.0, 0.01, 0.3, 2.0))
        names = names_of(count)
        objects = [
            Object(world, "ns/all", names, interval=9.0),
            Object(world, "ns/some", names[: max(2, count - 1)], interval=31.0),
            Object(world, "ns/one", names[:1], interval=5.0),
        ]
        for each in objects:
            each.reconcile()
        # A first pair may be a mix, within two seconds; what follows never is.
        await run_objects(world, objects, 60)
        for turn, (step, index, pause) in enumerate(steps):
            match step:
                case "rotate":
                    cloud.rotate(*names)
                case "fail":
                    cloud.failing.add(names[index % count])
                case "mend":
                    cloud.failing.clear()
                case "force":
                    objects[index % 3].reconcile(forced=str(turn))
                case "restart":
                    world.registry.release(objects[index % 3].user)
                    objects[index % 3].reconcile()
                case "edit":
                    objects[index % 3].reconcile(revision=turn)
            await run_objects(world, objects, pause)
        cloud.failing.clear()
        await run_objects(world, objects, SETTLED)
        for each in objects:
            assert all(len(set(written)) == 1 for written in each.written), each.written
            assert each.written[-1][0] == cloud.generations[names[0]], "all arrives in the end"
            world.registry.release(each.user)
        assert world.registry.cached_bytes == 0
        assert not len(world.registry._snapshots)
        assert not len(world.registry._groups)


@settings(deadline=None, max_examples=30)
@given(steps=STEPS, seed=st.integers(0, 2**32), count=st.integers(2, 5))
def test_no_interleaving_mixes_generations(
    steps: Any, seed: int, count: int, make_world: MakeWorld
) -> None:
    run_in_fake_time(live(make_world, steps, seed, count))
