"""A transport that only records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from multidict import CIMultiDict

from secret_sync.cloud.transport import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL


@dataclass(frozen=True)
class PlainRequest:
    """What a source says of a value to fetch."""

    endpoint: str
    name: str
    version_id: str = ""
    version_stage: str = ""
    region: str = ""


class FakeTransport:
    """Gives one answer to whatever is sent, and keeps what that was."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.reply = Reply(status, CIMultiDict(), body, complete=True)
        self.urls: list[URL] = []
        self.headers: list[dict[str, str]] = []

    async def send(
        self, method: str, url: URL, headers: Mapping[str, str], *, what: str, body: bytes
    ) -> Reply:
        self.urls.append(url)
        self.headers.append(dict(headers))
        return self.reply
