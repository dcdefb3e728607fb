"""A registry on the real queue, limiter and credential cache; only the cloud is played."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.cloud.rate_limiter import RateLimiter
from secret_sync.credentials import CredentialCache, CredentialKey, Credentials
from secret_sync.errors import NotFoundError
from secret_sync.metrics import CallMetrics, CredentialMetrics, Metrics, QueueMetrics
from secret_sync.providers.kms import SecretValue
from secret_sync.sources import FetchObservers, Source, SourceRegistry, SourceRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from secret_sync.errors import SecretSyncError
    from secret_sync.queue import Priority


@dataclass
class PlayedProvider:
    """Credentials of one made-up identity; its account is known where it is a role."""

    account: str = "acct"
    role_in: str = ""
    error: SecretSyncError | None = None
    fetches: int = 0
    seconds: float = 0.0
    version: str = ""
    base: None = None

    @property
    def key(self) -> CredentialKey:
        parts = (self.account, self.version)
        return CredentialKey("played", parts, (self.account,), account=self.role_in)

    async def fetch(self, base: Credentials | None) -> Credentials:
        self.fetches += 1
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return Credentials(f"id-{self.account}", f"key-{self.account}")


@dataclass
class PlayedCloud:
    """Answers fetches; ``values`` by secret name, ``faults`` instead of them.

    What ``refuse`` returns goes before either.
    """

    values: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, SecretSyncError] = field(default_factory=dict)
    rotated: dict[str, str] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    seconds: float = 0.05
    calls: list[tuple[float, str]] = field(default_factory=list)
    refuse: Callable[[Source, Credentials], SecretSyncError | None] = lambda *_: None

    async def __call__(self, source: Source, credentials: Credentials) -> SecretValue:
        self.calls.append((asyncio.get_running_loop().time(), source.name))
        await asyncio.sleep(10 if source.name in self.hanging else self.seconds)
        if (refusal := self.refuse(source, credentials)) is not None:
            raise refusal
        if source.name in self.faults:
            raise self.faults[source.name]
        if source.name not in self.values:
            raise NotFoundError(f"{source.name} does not exist", code="Forbidden.ResourceNotFound")
        return SecretValue(self.values[source.name], "v1", self.rotated.get(source.name, ""))

    def within(self, seconds: float, prefix: str = "") -> int:
        """Calls of the last seconds, for secrets whose names begin so."""
        since = asyncio.get_running_loop().time() - seconds
        return sum(1 for at, name in self.calls if at >= since and name.startswith(prefix))

    def count(self, name: str) -> int:
        return Counter(n for _, n in self.calls)[name]


@dataclass
class RegistryHarness:
    registry: SourceRegistry
    cloud: PlayedCloud
    provider: PlayedProvider
    notified: list[tuple[float, str]]
    changed: asyncio.Event
    credentials: CredentialCache
    #: Every rate limiter that was made, in order.
    limiters: list[RateLimiter]
    #: The fetch function of each provider; a test may replace it.
    fetchers: dict[str, Any]
    metrics: Metrics

    def want(
        self, name: str, provider: PlayedProvider | None = None, endpoint: str = "kms.example"
    ) -> SourceRequest:
        provider = provider or self.provider
        return SourceRequest(
            Source(
                identity=provider.key,
                provider="kms",
                endpoint=endpoint,
                name=name,
                version_stage="",
                version_id="",
            ),
            provider,
        )

    def notified_of(self, user: str) -> int:
        return sum(1 for _, u in self.notified if u == user)


@pytest.fixture(scope="session")  # it holds nothing, so hypothesis may call it again and again
def make_harness() -> Callable[..., object]:
    @asynccontextmanager
    async def make(*, rate: float | None = None) -> AsyncIterator[RegistryHarness]:
        cloud = PlayedCloud()
        fetchers: dict[str, Any] = {"kms": cloud}
        notified: list[tuple[float, str]] = []
        changed = asyncio.Event()
        limiters: list[RateLimiter] = []
        metrics = Metrics("test")
        calls = CallMetrics(metrics, "kms")

        def notify(users: Iterable[str], priority: Priority) -> None:
            now = asyncio.get_running_loop().time()
            notified.extend((now, u) for u in users)
            changed.set()

        def new_limiter(_provider: str) -> RateLimiter:
            limiters.append(RateLimiter(rate, on_wait=calls.waited))
            return limiters[-1]

        cache = CredentialCache(CredentialMetrics(metrics, ()))
        registry = SourceRegistry(
            fetchers=fetchers,
            credentials=cache,
            new_limiter=new_limiter,
            observers={"kms": FetchObservers(QueueMetrics(metrics, "source-kms"), calls)},
            notify=notify,
            tenant_of=lambda user: user.partition("/")[0],
        )
        task = asyncio.create_task(registry.run())
        await asyncio.sleep(0)
        try:
            yield RegistryHarness(
                *(registry, cloud, PlayedProvider(), notified, changed, cache, limiters),
                *(fetchers, metrics),
            )
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await cache.close()

    return make
