"""Renewing credentials is nobody's path: what plugins do, on a clock that costs nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest

from secret_sync.clock import loop_time as now
from secret_sync.errors import DefiniteError
from secret_sync.kube import ClusterAccess, Election, KubeClient, access, kubeconfig
from secret_sync.kube.kubeconfig import Connection, Issued, Login, Plugin, Server
from tests.unit.kube.fakes import played_requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


pytestmark = [pytest.mark.looptime, pytest.mark.slow]

HOUR: Final = 3600.0
NEVER: Final = float("inf")
PLUGIN: Final = Plugin("issue", (), (), "client.authentication.k8s.io/v1", "{}")


class FakePlugin:
    """Takes some time for credentials of some time.

    Attributes:
        takes: Seconds; infinite for one that hangs.
        lasts: Seconds that its credentials are valid.
        says: Whether it says so.
        fails: Whether it fails.
        runs: When it was run.
    """

    def __init__(self, takes: float = 0.0, lasts: float = HOUR, *, says: bool = True) -> None:
        self.takes = takes
        self.lasts = lasts
        self.says = says
        self.fails = False
        self.runs: list[float] = []
        self.ends: dict[str, float] = {}

    async def __call__(self, _: Plugin) -> Issued:
        self.runs.append(now())
        token = f"Bearer {len(self.runs)}"
        try:
            async with asyncio.timeout(30):
                await asyncio.sleep(min(self.takes, 1e6))
        except TimeoutError:
            raise DefiniteError("it hangs") from None
        if self.fails:
            raise DefiniteError("it fails")
        self.ends[token] = now() + self.lasts
        return Issued(token, b"", b"", self.lasts if self.says else NEVER)

    def accepts(self, found: ClusterAccess) -> bool:
        """Whether the API server would."""
        token = dict(found.credentials.headers)["Authorization"]
        return now() < self.ends[token]


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> FakePlugin:
    async def at_once(function: Any, *arguments: Any) -> Any:
        return function(*arguments)

    plugin = FakePlugin()
    monkeypatch.setattr(kubeconfig, "run_plugin", plugin)
    # A thread takes real time, in which the clock would run on.
    monkeypatch.setattr(asyncio, "to_thread", at_once)
    return plugin


@asynccontextmanager
async def opened(connection: Connection | None = None) -> AsyncIterator[ClusterAccess]:
    connection = connection or Connection(Server("http://api.test"), Login(plugin=PLUGIN))
    found = ClusterAccess(lambda _: connection, "a test")
    await found.open()
    try:
        yield found
    finally:
        await found.close()


async def test_a_plugin_is_run_as_its_credentials_end(plugin: FakePlugin) -> None:
    """It was run every minute."""
    async with opened():
        await asyncio.sleep(10 * HOUR)
    assert len(plugin.runs) == 11
    assert plugin.runs[1] == pytest.approx(HOUR - 30)


async def test_a_plugin_that_names_no_end_is_run_once(plugin: FakePlugin) -> None:
    plugin.says = False
    async with opened():
        await asyncio.sleep(100 * HOUR)
    assert len(plugin.runs) == 1


@pytest.mark.parametrize("lasts", [4, 15, 75, HOUR])
async def test_current_token_is_used_while_a_slow_plugin_works(
    plugin: FakePlugin, lasts: float
) -> None:
    plugin.takes, plugin.lasts = min(2.5, lasts / 5), lasts
    async with opened() as found:
        for _ in range(1000):
            assert plugin.accepts(found)
            await asyncio.sleep(lasts / 100)
    # Four times as often as it would have to be, at most.
    assert len(plugin.runs) < 20


async def test_a_plugin_that_repeats_itself_until_the_end_is_asked_a_few_times(
    plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many keep what they got, and get more when it is over."""
    ends = {0: 0.0}

    async def cached(_: Plugin) -> Issued:
        plugin.runs.append(now())
        number = int(now() // 900)
        ends[number] = (number + 1) * 900.0
        return Issued(f"Bearer {number}", b"", b"", ends[number] - now())

    monkeypatch.setattr(kubeconfig, "run_plugin", cached)
    async with opened():
        await asyncio.sleep(9000)
    assert len(plugin.runs) < 100


async def test_a_plugin_that_hangs_keeps_nobody_waiting(plugin: FakePlugin) -> None:
    """All requests waited 30 s every 100 s."""
    async with opened() as found:
        await asyncio.sleep(HOUR - 60)
        plugin.takes = NEVER
        begun = now()
        for _ in range(59):
            await asyncio.sleep(1)
            assert plugin.accepts(found)
        assert now() - begun == pytest.approx(59)
        # Later it is tried again and again, and not all the time.
        runs = len(plugin.runs)
        await asyncio.sleep(HOUR)
        assert 30 < len(plugin.runs) - runs < 60
        plugin.takes = 0
        await asyncio.sleep(90)
        assert plugin.accepts(found)


async def test_after_a_401_it_is_run_once_for_all(plugin: FakePlugin) -> None:
    plugin.takes = 2.5
    async with opened() as found:
        await asyncio.sleep(100)
        refused, begun = found.credentials, now()
        await asyncio.gather(*(found.renew(refused) for _ in range(50)))
        assert now() - begun == pytest.approx(2.5)
        assert len(plugin.runs) == 2
        assert found.credentials is not refused
        # Whoever comes with those that are replaced already waits for nothing.
        await found.renew(refused)
        assert len(plugin.runs) == 2


async def test_an_api_server_that_refuses_everything_has_it_run_now_and_then(
    plugin: FakePlugin,
) -> None:
    async with opened() as found:
        begun = now()
        while now() < begun + 60:
            await found.renew(found.credentials)
            await asyncio.sleep(0.1)
    assert len(plugin.runs) <= 13


async def test_a_401_waits_for_a_plugin_that_hangs_for_a_while_only(plugin: FakePlugin) -> None:
    async with opened() as found:
        await asyncio.sleep(100)
        plugin.takes = NEVER
        begun = now()
        await found.renew(found.credentials)
        assert now() - begun == pytest.approx(access.RENEW_WITHIN)


async def test_a_plugin_that_fails_is_tried_again_after_longer_and_longer(
    plugin: FakePlugin,
) -> None:
    async with opened() as found:
        plugin.fails = True
        await asyncio.sleep(2 * HOUR)
        between = [b - a for a, b in zip(plugin.runs[1:], plugin.runs[2:], strict=False)]
        assert between == sorted(between)
        assert max(between) == pytest.approx(60)
        plugin.fails = False
        await asyncio.sleep(61)
        assert plugin.accepts(found)


async def test_the_first_time_it_has_to_work(plugin: FakePlugin) -> None:
    plugin.fails = True
    with pytest.raises(DefiniteError, match="it fails"):
        async with opened():
            pass


async def test_another_plugin_in_the_file_is_run_at_once(plugin: FakePlugin) -> None:
    connections = [
        Connection(Server("http://api.test"), Login(plugin=PLUGIN)),
        Connection(Server("http://api.test"), Login(plugin=Plugin("other", (), (), "v1", "{}"))),
    ]
    found = ClusterAccess(lambda _: connections[min(1, int(now() // 600))], "a test")
    await found.open()
    await asyncio.sleep(HOUR / 2)
    await found.close()
    assert len(plugin.runs) == 2


class Refusing:
    """A server that accepts what a plugin's credentials are good for, and has one Lease."""

    def __init__(self, found: ClusterAccess, plugin: FakePlugin) -> None:
        self.found = found
        self.plugin = plugin
        self.lease: dict[str, Any] = {
            "metadata": {"name": "lease", "uid": "u", "resourceVersion": "1"}
        }
        self.refused = 0

    def __call__(self, _method: str, data: bytes | None) -> tuple[int, bytes]:
        if not self.plugin.accepts(self.found):
            self.refused += 1
            return 401, b"{}"
        if data is not None:
            self.lease = orjson.loads(data)
            self.lease["metadata"] |= {"uid": "u", "resourceVersion": str(now())}
        return 200, orjson.dumps(self.lease)


class Nobody:
    """Hears nothing."""

    def failed(self) -> None: ...

    def changed(self) -> None: ...


@pytest.mark.parametrize("says", [True, False], ids=["says when", "by 401"])
async def test_a_plugin_that_takes_2500_ms_does_not_lose_the_lease(
    plugin: FakePlugin,
    *,
    says: bool,
) -> None:
    """It was lost after 75 s each time."""
    plugin.takes, plugin.lasts, plugin.says = 2.5, 75, says
    async with opened() as found, KubeClient(found) as client:
        server = Refusing(found, plugin)
        election = Election(client, "ns", "lease", "us", Nobody())
        with played_requests(server):
            await election.acquire()
            holding = asyncio.create_task(election.hold())
            for _ in range(1200):
                await asyncio.sleep(1)
                assert election.leading
            assert not holding.done()
            holding.cancel()
            with suppress(asyncio.CancelledError):
                await holding
    assert bool(server.refused) is not says


async def test_a_refusal_counts_once(plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the plugin has nothing else to offer, too."""

    async def stubborn(_: Plugin) -> Issued:
        plugin.runs.append(now())
        return Issued("Bearer same", b"", b"", NEVER)

    monkeypatch.setattr(kubeconfig, "run_plugin", stubborn)
    async with opened() as found:
        await asyncio.sleep(100)
        await found.renew(found.credentials)
        await asyncio.sleep(10 * HOUR)
    assert len(plugin.runs) == 2


@pytest.mark.parametrize("later", ["no plugin", "an error"])
async def test_files_are_read_once_a_minute_whatever_becomes_of_the_plugin(
    plugin: FakePlugin, later: str
) -> None:
    reads: list[float] = []
    plugin.lasts = 100

    def read(_: str) -> Connection:
        reads.append(now())
        if now() < 90:
            return Connection(Server("http://api.test"), Login(plugin=PLUGIN))
        if later == "an error":
            raise KeyError(later)
        return Connection(Server("http://api.test"), Login("Bearer t"))

    found = ClusterAccess(read, "a test")
    await found.open()
    await asyncio.sleep(HOUR)
    await found.close()
    assert len(reads) < 110


async def test_caller_refused_at_the_end_does_not_wait(plugin: FakePlugin) -> None:
    async with opened() as found:
        await asyncio.sleep(100)
        plugin.takes = NEVER
        waiting = [asyncio.create_task(found.renew(found.credentials)) for _ in range(2)]
        await asyncio.sleep(1)
        waiting.append(asyncio.create_task(found.renew(found.credentials)))
        await asyncio.sleep(0)
        begun = now()
    await asyncio.gather(*waiting)
    await found.renew(found.credentials)
    assert now() - begun < 1
