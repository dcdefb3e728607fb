"""A server of refresh requests on loopback."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from secret_sync.refresh import RefreshServer
from secret_sync.settings import BindAddress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TOKEN = "token-" + "t" * 40
KEY = b"key-" + b"k" * 40


@dataclass
class ServedRefreshes:
    """The server, and what it did."""

    folder: str
    submitted: list[list[str]] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    active: bool = True
    full: bool = False
    url: str = ""
    port: int = 0

    def submit(self, names: list[str]) -> bool:
        self.submitted.append(names)
        return not self.full

    def server(self) -> RefreshServer:
        return RefreshServer(
            BindAddress("127.0.0.1", 0),
            self.folder,
            ask=self.submit,
            is_active=lambda: self.active,
            count=self.results.append,
        )

    async def send(
        self, body: bytes = b'{"secrets": ["a"]}', method: str = "POST", path: str = "", **more: Any
    ) -> tuple[int, str, Any]:
        """Send a request with the token; return status, text and headers of its answer."""
        more.setdefault("headers", {"Authorization": f"Bearer {TOKEN}"})
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, path or self.url, data=body, **more) as answer,
        ):
            return answer.status, await answer.text(), answer.headers


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[ServedRefreshes]:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "hmac").write_bytes(KEY)
    found = ServedRefreshes(str(tmp_path))
    server = found.server()
    await server.start()
    found.port = server.port
    found.url = f"http://127.0.0.1:{server.port}/refresh"
    yield found
    await server.stop()
