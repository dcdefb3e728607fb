"""A scripted transport, and responses of STS."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from multidict import CIMultiDict

from secret_sync.cloud.transport import Reply
from secret_sync.credentials import CredentialCache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from yarl import URL

    from secret_sync.errors import SecretSyncError

    Answer = Reply | SecretSyncError | Callable[["Sent"], Any]


@dataclass
class Sent:
    at: float
    method: str
    url: URL
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        """Parameters, of the body if there is one, else of the query."""
        return dict(parse_qsl(self.body.decode())) if self.body else dict(self.url.query)


@dataclass
class PlayedWire:
    """Answers from a list, whose last item repeats; each takes so many seconds."""

    answers: list[Answer]
    takes: float = 0.0
    sent: list[Sent] = field(default_factory=list)

    async def send(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        *,
        what: str,
        body: bytes = b"",
        timeout: Any = None,  # noqa: ASYNC109 - the interface of Transport
    ) -> Reply:
        now = asyncio.get_running_loop().time()
        sent = Sent(now, method, url, dict(headers), body)
        self.sent.append(sent)
        await asyncio.sleep(self.takes)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not isinstance(answer, Reply | Exception):
            answer = answer(sent)
            if asyncio.iscoroutine(answer):
                answer = await answer
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Reply)
        return answer


def reply(status: int, body: bytes, **headers: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, CIMultiDict(names), body, complete=True)


def granted(name: str = "1", *, seconds: float = 3600.0, skew: float = 0.0, **change: Any) -> Reply:
    """A session, by a service whose clock differs from ours by ``skew`` seconds."""
    there = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=skew)
    credentials: dict[str, Any] = {
        "AccessKeyId": f"STS.id-{name}",
        "AccessKeySecret": f"hush-secret-{name}",
        "SecurityToken": f"hush-token-{name}",
        "Expiration": (there + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    credentials.update(change)
    body = {
        "RequestId": "REQ-1",
        "AssumedRoleUser": {"AssumedRoleId": "3:x", "Arn": "acs:ram::1:role/x/x"},
        "Credentials": {key: value for key, value in credentials.items() if value is not None},
    }
    return reply(200, json.dumps(body).encode(), Date=format_datetime(there, usegmt=True))


def refused(status: int, code: str, message: str = "", **headers: str) -> Reply:
    body = {"Code": code, "Message": message, "RequestId": "REQ-1"}
    return reply(status, json.dumps(body).encode(), **headers)


class Sts:
    """What the tests need of this module, which they cannot import."""

    reply = staticmethod(reply)
    granted = staticmethod(granted)
    refused = staticmethod(refused)
    wire = PlayedWire


class Heard(list[tuple[str, str]]):
    """The attempts that the cache reported: their methods and results."""

    def fetched(self, method: str, result: str) -> None:
        self.append((method, result))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def played() -> type[Sts]:
    return Sts


@pytest.fixture
async def cache(heard: Any) -> AsyncIterator[CredentialCache]:
    cache = CredentialCache(heard)
    yield cache
    await cache.close()
