"""A cloud whose secrets rotate, and objects that use them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from secret_sync.errors import TransientError
from secret_sync.providers.kms import SecretValue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from secret_sync.credentials import Credentials
    from secret_sync.sources import Source, SourceSnapshot

    MakeHarness = Callable[..., Any]


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

    harness: Any
    user: str
    names: Sequence[str]
    interval: float | None = 60.0
    written: list[tuple[int, ...]] = field(default_factory=list)
    status: tuple[str, ...] | None = None
    spec: dict[str, Any] = field(default_factory=dict)

    def reconcile(self, **edit: Any) -> list[SourceSnapshot]:
        self.spec |= edit
        wanted = [self.harness.want(name) for name in self.names]
        readings: list[SourceSnapshot] = self.harness.registry.register(
            self.user, wanted, interval=self.interval, written=self.status, **self.spec
        )
        if not any(r.pending or r.error or r.data is None for r in readings):
            generations = tuple(int(r.data.split()[-1]) for r in readings if r.data)
            if not self.written or self.written[-1] != generations:
                self.written.append(generations)
            self.status = tuple(r.version_id for r in readings)
        return readings


async def run_objects(harness: Any, objects: Sequence[Object], seconds: float) -> None:
    """Reconcile each object when the registry says so."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    by_user = {each.user: each for each in objects}
    while (left := end - loop.time()) > 0:
        harness.changed.clear()
        users, harness.notified[:] = {user for _, user in harness.notified}, []
        for user in users & by_user.keys():
            by_user[user].reconcile()
        try:
            async with asyncio.timeout(left):
                await harness.changed.wait()
        except TimeoutError:
            return


def play(harness: Any, **options: Any) -> RotatingCloud:
    cloud = RotatingCloud(**options)
    harness.fetchers["kms"] = cloud
    return cloud


def names_of(count: int) -> list[str]:
    return [f"s{number}" for number in range(count)]
