"""An API server that holds one Lease, and wires to it that can fail."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from secret_sync.clock import loop_time as now
from secret_sync.kube import ApiConflictError, ApiNotFoundError, ApiUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = "/apis/coordination.k8s.io/v1/namespaces/home/leases"


@dataclass
class LeaseServer:
    """Holds one Lease, whose every version it remembers.

    Attributes:
        hangs: Who gets no answer, ever; ``None`` is everybody.
        lost: How many answers to writes do not arrive, though they took effect.
        slow: Seconds that a write takes.
    """

    lease: dict[str, Any] | None = None
    history: list[tuple[float, str]] = field(default_factory=list)
    hangs: set[str] = field(default_factory=set)
    lost: int = 0
    slow: float = 0.0
    down: bool = False
    version: int = 0

    @property
    def holder(self) -> str:
        assert self.lease is not None
        return str(self.lease["spec"].get("holderIdentity", ""))

    def put(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.version), "managedFields": []}
        self.lease = {**copy.deepcopy(body), "metadata": metadata}
        self.history.append((now(), self.holder))
        return copy.deepcopy(self.lease)


@dataclass
class LeaseWire:
    """How one candidate reaches it."""

    server: LeaseServer
    name: str

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float = 0,  # noqa: ASYNC109 (of the protocol)
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(timeout):
                assert body is None or params == {"timeout": f"{timeout:g}s"}
                return await self._request(method, path, body)
        except TimeoutError:
            raise ApiUnavailableError("no answer in time") from None

    async def _request(self, method: str, path: str, body: Any) -> dict[str, Any]:
        server = self.server
        await asyncio.sleep(0.01 if method == "GET" else server.slow or 0.01)
        if self.name in server.hangs:
            await asyncio.Event().wait()
        if server.down:
            raise ApiUnavailableError("down")
        if method == "POST":
            assert path == PATH
            if server.lease is not None:
                raise ApiConflictError("it exists")
        else:
            assert path == f"{PATH}/some"
            if server.lease is None:
                raise ApiNotFoundError("gone")
        if method == "GET":
            assert server.lease is not None
            return copy.deepcopy(server.lease)
        if server.lease is not None:
            assert "managedFields" not in body["metadata"]
            seen = body["metadata"]["resourceVersion"]
            if seen != server.lease["metadata"]["resourceVersion"]:
                raise ApiConflictError("another version")
        reply = server.put(body)
        if server.lost:
            server.lost -= 1
            await asyncio.Event().wait()
        return reply


@dataclass
class HeardLease:
    failures: int = 0
    changes: int = 0

    def failed(self) -> None:
        self.failures += 1

    def changed(self) -> None:
        self.changes += 1
