"""The queue against a model that is too slow to use and too simple to be wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from secret_sync.queue import Backoff, Priority, WorkQueue
from tests.support.hand_loop import HandLoop

if TYPE_CHECKING:
    from collections.abc import Coroutine

pytestmark = pytest.mark.slow

T = TypeVar("T")

AGING = 10.0
SHARE = 4
#: For whom each key is wanted: a tenant with three, and a key that two tenants want.
TENANTS = {"a": "x", "b": "x", "c": "x", "d": "y", "e": "yz", "f": "z"}
KEYS = st.sampled_from(sorted(TENANTS))
PRIORITIES = st.sampled_from(Priority)


class Quiet:
    """Metrics have tests of their own."""

    def added(self) -> None: ...

    def waited(self, seconds: float) -> None:
        assert seconds >= 0

    def worked(self, seconds: float) -> None:
        assert seconds >= 0

    def retried(self) -> None: ...


@dataclass
class Waiting:
    key: str
    priority: Priority
    joined: float
    #: For whom, and since which moment: a key that is shared comes after those that were there.
    tenants: dict[str, int]


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = HandLoop()
        self.observer = Quiet()
        self.queue: WorkQueue[str] = WorkQueue(
            "model",
            backoff=Backoff(base=3, cap=20, jitter=0),
            aging=AGING,
            observer=self.observer,
            tenants=TENANTS.__getitem__,
        )
        self.ready: list[Waiting] = []
        self.again: dict[str, Priority] = {}
        self.in_flight: set[str] = set()
        # When each is due, and which of them was put first, for those that are due together.
        self.delayed: dict[str, tuple[float, int, Priority]] = {}
        self.puts = 0
        self.failures: dict[str, int] = {}
        self.passed_over = 0
        # When a tenant with something ready at a priority joined the others, or had its turn.
        self.turns: dict[tuple[Priority, str], int] = {}
        self.moments = 0
        # How often each tenant has had a turn since another one began to wait for its own.
        self.overtaken: dict[tuple[Priority, str], Counter[str]] = {}

    def teardown(self) -> None:
        try:
            self.take_all()
        finally:
            self.loop.close()

    def take_all(self) -> None:
        """Take everything that is left, in the order of the model."""
        self.same()
        while self.in_flight or self.delayed or self.ready:
            for key in sorted(self.in_flight):
                self.give_back(key)
            if self.delayed:
                self.pass_time(30)
            while self.ready:
                self.get()
            self.same()

    def run(self, coroutine: Coroutine[None, None, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    # -- The model's own queue --

    def want(self, key: str, priority: Priority) -> None:
        if key in self.in_flight:
            self.again[key] = min(priority, self.again.get(key, priority))
            return
        item = next((item for item in self.ready if item.key == key), None)
        if item is not None:
            if priority >= item.priority:
                return
            self.ready.remove(item)
        self.join(key, priority)

    def join(self, key: str, priority: Priority) -> None:
        self.moments += 1
        tenants = dict.fromkeys(TENANTS[key], self.moments)
        self.ready.append(Waiting(key, priority, self.loop.now, tenants))
        self.keep_turns()

    def keep_turns(self) -> None:
        """Those who wait for a turn: a new one comes last, who has nothing left goes."""
        waiting = {(i.priority, tenant): None for i in self.ready for tenant in i.tenants}
        for gone in self.turns.keys() - waiting.keys():
            del self.turns[gone], self.overtaken[gone]
        for new in waiting:
            if new not in self.turns:
                self.turns[new] = self.moments = self.moments + 1
                self.overtaken[new] = Counter()

    def delay(self, key: str, seconds: float, priority: Priority) -> None:
        when, put, known = self.delayed.get(key, (float("inf"), 0, priority))
        if self.loop.now + seconds < when:
            when, put = self.loop.now + seconds, self.puts + 1
            self.puts = put
        self.delayed[key] = (when, put, min(known, priority))

    def next(self) -> Waiting:
        priority = self.next_priority()
        (_, tenant), _ = min(
            (turn for turn in self.turns.items() if turn[0][0] is priority), key=itemgetter(1)
        )
        item = min(
            (i for i in self.ready if i.priority is priority and tenant in i.tenants),
            key=lambda item: item.tenants[tenant],
        )
        self.turns[priority, tenant] = self.moments = self.moments + 1
        for (level, other), counts in self.overtaken.items():
            if level is priority and other not in item.tenants:
                counts[tenant] += 1
        for served in item.tenants:
            self.overtaken[priority, served].clear()
        return item

    def next_priority(self) -> Priority:
        urgent = min(item.priority for item in self.ready)
        risen = [
            priority
            for priority in Priority
            if priority > urgent
            and any(
                item.priority == priority
                and item.joined + (priority - urgent) * AGING <= self.loop.now
                for item in self.ready
            )
        ]
        if not risen:
            return urgent
        self.passed_over += 1
        if self.passed_over % SHARE:
            return urgent
        return risen[self.passed_over // SHARE % len(risen)]

    # -- What may happen --

    @rule(key=KEYS, priority=PRIORITIES)
    def add(self, key: str, priority: Priority) -> None:
        async def add() -> None:
            self.queue.add(key, priority)

        self.run(add())
        self.want(key, priority)

    @rule(key=KEYS, seconds=st.integers(1, 30), priority=PRIORITIES)
    def add_after(self, key: str, seconds: int, priority: Priority) -> None:
        async def add_after() -> None:
            self.queue.add_after(key, seconds, priority)

        self.run(add_after())
        self.delay(key, seconds, priority)

    @rule(key=KEYS)
    def retry(self, key: str) -> None:
        async def retry() -> float:
            return self.queue.retry(key)

        seconds = min(20, 3 * 2 ** self.failures.get(key, 0))
        assert self.run(retry()) == seconds
        self.failures[key] = self.failures.get(key, 0) + 1
        self.delay(key, seconds, Priority.MIDDLE)

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.queue.forget(key)
        self.failures.pop(key, None)

    @rule(key=KEYS)
    def cancel(self, key: str) -> None:
        self.queue.cancel(key)
        self.delayed.pop(key, None)

    @rule(key=KEYS)
    def discard(self, key: str) -> None:
        self.queue.discard(key)
        self.delayed.pop(key, None)
        self.failures.pop(key, None)
        self.again.pop(key, None)
        self.ready = [item for item in self.ready if item.key != key]
        self.keep_turns()

    @rule(key=KEYS, tenant=st.sampled_from("xyz"))
    def share(self, key: str, tenant: str) -> None:
        self.queue.share(key, tenant)
        for item in self.ready:
            if item.key == key and tenant not in item.tenants:
                self.moments += 1
                item.tenants[tenant] = self.moments
        self.keep_turns()

    @precondition(lambda self: self.ready)
    @rule()
    def get(self) -> None:
        # Otherwise it would wait for ever.
        assert len(self.queue) == len(self.ready)
        expected = self.next()
        assert self.run(self.queue.get()) == expected.key
        self.ready.remove(expected)
        self.keep_turns()
        self.in_flight.add(expected.key)

    @precondition(lambda self: not self.ready)
    @rule()
    def get_nothing(self) -> None:
        async def cancelled() -> bool:
            task = asyncio.create_task(self.queue.get())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            return task.cancelled()

        assert self.run(cancelled())

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        self.give_back(data.draw(st.sampled_from(sorted(self.in_flight))))

    def give_back(self, key: str) -> None:
        async def done() -> None:
            self.queue.done(key)

        self.run(done())
        self.in_flight.remove(key)
        if key in self.again:
            self.join(key, self.again.pop(key))

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.pass_time(seconds)

    def pass_time(self, seconds: int) -> None:
        target = self.loop.now + seconds
        while due := sorted((when, put, key) for key, (when, put, _) in self.delayed.items()):
            when, _, key = due[0]
            if when > target:
                break
            self.loop.now = when
            self.run(self.turn())
            _, _, priority = self.delayed.pop(key)
            self.want(key, priority)
        self.loop.now = target
        self.run(self.turn())

    @staticmethod
    async def turn() -> None:
        """Let the timers that are due run."""
        for _ in range(3):
            await asyncio.sleep(0)

    # -- What always holds --

    @invariant()
    def same(self) -> None:
        assert repr(self.queue) == (
            f"<WorkQueue model ready={len(self.ready)} delayed={len(self.delayed)} "
            f"in_flight={len(self.in_flight)}>"
        )
        assert {key for key in TENANTS if self.queue.is_in_flight(key)} == self.in_flight

    @invariant()
    def no_tenant_waits_more_than_one_round(self) -> None:
        for (_, tenant), counts in self.overtaken.items():
            assert all(count <= 1 for other, count in counts.items() if other != tenant)


TestQueue = Model.TestCase
TestQueue.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
