"""A real Prometheus that scrapes a controller."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from tests.monitoring.rules import JOB, groups, program
from tests.support.program import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

WITHIN = 30.0


class Prometheus:
    """Its HTTP API."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def get(self, path: str, **parameters: str) -> Any:
        async with self._session.get(f"{self._url}{path}", params=parameters) as reply:
            body = await reply.json()
        assert body["status"] == "success", body
        return body["data"]

    async def values(self, query: str) -> list[float]:
        """What it answers to a query of now."""
        data = await self.get("/api/v1/query", query=query)
        assert data["resultType"] == "vector"
        return [float(one["value"][1]) for one in data["result"]]

    async def until(self, query: str, settled: Callable[[list[float]], bool]) -> list[float]:
        found: list[float] = []
        try:
            async with asyncio.timeout(WITHIN):
                while not settled(  # noqa: ASYNC110 (as a person with a browser)
                    found := await self.values(query)
                ):
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"{query} after {WITHIN} s: {found}") from None
        return found

    async def states(self) -> dict[str, str]:
        """Of all alerts: ``inactive``, ``pending`` or ``firing``."""
        data = await self.get("/api/v1/rules")
        rules = [rule for group in data["groups"] for rule in group["rules"]]
        assert {rule["health"] for rule in rules} <= {"ok", "unknown"}, rules
        return {rule["name"]: rule["state"] for rule in rules if rule["type"] == "alerting"}

    async def until_pending(self, *names: str) -> None:
        states: dict[str, str] = {}
        try:
            async with asyncio.timeout(WITHIN):
                while not all(states.get(name) in {"pending", "firing"} for name in names):
                    states = await self.states()
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"{names} after {WITHIN} s: {states}") from None


@asynccontextmanager
async def prometheus(
    folder: Path, target: str, *, interval: str = "1s", labels: Mapping[str, str] | None = None
) -> AsyncIterator[Prometheus]:
    """One that scrapes the target and has our rules.

    Args:
        folder: For its files.
        target: Host and port of the controller.
        interval: Between two scrapes, and between two looks at the rules.
        labels: That the target bears, as a service discovery gives them.
    """
    scraped = {"targets": [target], "labels": dict(labels or {})}
    found = groups()
    for group in found["groups"]:
        # Those of the objectives have one of their own.
        group["interval"] = interval
    (folder / "rules.yaml").write_text(yaml.safe_dump(found))
    config = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": JOB, "static_configs": [scraped]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
    ]
    with (
        (folder / "prometheus.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,  # noqa: ASYNC220, S603 (starts at once; Debian's)
    ):
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
                await _answers(session, f"http://{address}/-/ready", process)
                yield Prometheus(session, f"http://{address}")
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 20)


async def _answers(
    session: aiohttp.ClientSession, url: str, process: subprocess.Popen[bytes]
) -> None:
    async with asyncio.timeout(WITHIN):
        while process.poll() is None:
            try:
                async with session.get(url) as reply:
                    if reply.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
    pytest.fail(f"prometheus ended with {process.returncode}")
