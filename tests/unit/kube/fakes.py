"""An API server that does to each request what a test wrote, byte by byte."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import orjson
import pytest

from tests.support.streams import StreamServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from yarl import URL

COLLECTION = "/api/v1/configmaps"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") in ("1", "true")


class Exchange:
    """One request and the means to answer it."""

    def __init__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self.writer = writer

    def answer(self, body: Any, status: int = 200, **headers: str) -> None:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(content)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + content)

    def begin(self, status: int = 200) -> None:
        """Starts a stream: no length, so it ends with the connection."""
        self.writer.write(f"HTTP/1.1 {status} OK\r\nConnection: close\r\n\r\n".encode())

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def close(self) -> None:
        raise EOFError

    async def stall(self) -> None:
        await asyncio.Event().wait()


Script: TypeAlias = Callable[[Exchange], Awaitable[None]]


@dataclass
class ScriptedServer:
    """Each request takes the next script of its sort.

    Without one, lists are empty, watches stall, and other requests are answered with an object.

    Attributes:
        lists: For GET without ``watch``.
        watches: For GET with it.
        others: For everything else.
        continues: Whether a body that waits to be asked for is asked for.
    """

    lists: deque[Script] = field(default_factory=deque)
    watches: deque[Script] = field(default_factory=deque)
    others: deque[Script] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    continues: bool = True

    def __post_init__(self) -> None:
        self._server = StreamServer(self._serve)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def watched(self) -> list[Request]:
        return [r for r in self.requests if r.is_watch]

    @property
    def listed(self) -> list[Request]:
        return [r for r in self.requests if r.method == "GET" and not r.is_watch]

    async def start(self) -> None:
        await self._server.start()

    def refuse(self) -> None:
        """Accept no further connection."""
        self._server.refuse()

    async def stop(self) -> None:
        await self._server.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            request = await _read(reader, writer, continues=self.continues)
            self.requests.append(request)
            await self._script(request)(Exchange(request, writer))
            await writer.drain()

    def _script(self, request: Request) -> Script:
        if request.is_watch:
            return self.watches.popleft() if self.watches else stalling()
        if request.method == "GET":
            if self.lists:
                return self.lists.popleft()
            return listing() if "limit" in request.query else storing()
        return self.others.popleft() if self.others else storing()


async def _read(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, continues: bool
) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
    length = int(headers.get("content-length", 0))
    if "expect" in headers:
        if continues:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        else:
            length = 0
    body = await reader.readexactly(length)
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Request(method, parts.path, query, headers, body)


def item(name: str, rv: str = "1", uid: str = "", **more: Any) -> dict[str, Any]:
    """A ConfigMap as an event carries it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "namespace": "ns",
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": rv,
        },
        **more,
    }


def answering(body: Any, status: int = 200, **headers: str) -> Script:
    async def script(exchange: Exchange) -> None:
        exchange.answer(body, status, **headers)

    return script


def storing(*, body: dict[str, Any] | None = None, **metadata: Any) -> Script:
    """An object as it is stored."""
    identity = {"name": "some", "uid": "u1", "resourceVersion": "7"}
    return answering({**(body or {}), "metadata": {**identity, **metadata}})


def listing(*items: dict[str, Any], rv: str = "100", token: str | None = None) -> Script:
    """A page whose items lack ``kind`` and ``apiVersion``, as those of a real one may."""
    metadata = {"resourceVersion": rv} | ({} if token is None else {"continue": token})
    bare = [{k: v for k, v in i.items() if k not in ("kind", "apiVersion")} for i in items]
    return answering(
        {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": bare}
    )


def status_of(code: int, reason: str, message: str = "", **details: Any) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details,
        "code": code,
    }


def refusing(code: int, reason: str, message: str = "", **details: Any) -> Script:
    return answering(status_of(code, reason, message, **details), code)


def event(kind: str, value: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": kind, "object": value}) + b"\n"


def bookmark(rv: str) -> bytes:
    return event(
        "BOOKMARK",
        {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"resourceVersion": rv}},
    )


def streaming(*chunks: bytes, stall: bool = False, wait: float = 0) -> Script:
    """A watch that sends these bytes, then closes or falls silent."""

    async def script(exchange: Exchange) -> None:
        exchange.begin()
        for chunk in chunks:
            await exchange.send(chunk)
        await asyncio.sleep(wait)
        if stall:
            await exchange.stall()
        exchange.close()

    return script


def stalling() -> Script:
    return streaming(stall=True)


def closing() -> Script:
    """Closes without any answer."""

    async def script(exchange: Exchange) -> None:
        exchange.close()

    return script


def kubeconfig_text(url: str, cluster: dict[str, Any] | None = None, **user: Any) -> str:
    return orjson.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "c", "cluster": {"server": url, **(cluster or {})}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
        }
    ).decode()


async def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (any condition, not one event)
            await asyncio.sleep(0.005)


@dataclass
class ReflectorRecorder:
    """An observer that remembers."""

    lists: int = 0
    watches: int = 0
    events: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    raised: int = 0

    def listed(self) -> None:
        self.lists += 1

    def watching(self) -> None:
        self.watches += 1

    def event(self, kind: str) -> None:
        self.events.append(kind)

    def failed(self, kind: str) -> None:
        self.failures.append(kind)

    def handler_raised(self) -> None:
        self.raised += 1


@contextmanager
def played_requests(
    answer: Callable[[str, bytes | None], tuple[int, bytes]],
) -> Iterator[None]:
    """Answer the requests of all clients without a connection; ``answer`` gets method and body."""

    @asynccontextmanager
    async def request(
        _session: aiohttp.ClientSession, method: str, _url: URL, *, data: Any, **_: Any
    ) -> AsyncIterator[SimpleNamespace]:
        status, body = answer(method, data)

        async def read() -> bytes:
            return body

        yield SimpleNamespace(status=status, read=read, headers={})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiohttp.ClientSession, "request", request)
        yield


class Sink:
    """Keeps names, by what was said of them."""

    def __init__(self) -> None:
        self.delivered: list[Any] = []

    def read(self, value: dict[str, Any]) -> str:
        name: str = value["metadata"]["name"]
        return name

    def replace(self, objects: list[Any], *, restored: bool = False) -> None:
        self.delivered.append(objects)

    def newest(self) -> None:
        return None

    def event(self, sort: str, value: dict[str, Any]) -> None:
        self.delivered.append((sort, value["metadata"]["name"]))


@dataclass
class Counts:
    """An observer that adds up."""

    sent_: Counter[str] = field(default_factory=Counter)
    dropped_: Counter[str] = field(default_factory=Counter)

    def sent(self, type_: str, occurrences: int) -> None:
        self.sent_[type_] += occurrences

    def dropped(self, why: str, occurrences: int) -> None:
        self.dropped_[why] += occurrences


class PlayedStream:
    """The response to a watch, its content and connection; what derives from it reads."""

    aborted = False

    @property
    def connection(self) -> Self:
        return self

    @property
    def transport(self) -> Self:
        return self

    def abort(self) -> None:
        self.aborted = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    @property
    def content(self) -> Self:
        return self


class OneChunk(PlayedStream):
    """A client with a watch whose bytes come at once."""

    def __init__(self, body: bytes) -> None:
        self.chunks = [body, b""]

    async def stream(self, _path: str, **_: Any) -> Self:
        return self

    async def readany(self) -> bytes:
        return self.chunks.pop(0)
