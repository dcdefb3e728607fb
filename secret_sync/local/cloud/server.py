"""The whole cloud in one event loop."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from secret_sync.local.cloud.admin import Admin, application
from secret_sync.local.cloud.admin_oos import ParameterAdmin
from secret_sync.local.cloud.admin_ram import RamAdmin
from secret_sync.local.cloud.certificates import Authority
from secret_sync.local.cloud.event_bus import EventAdmin, EventBus
from secret_sync.local.cloud.faults import Faults
from secret_sync.local.cloud.gateway import Gateway
from secret_sync.local.cloud.info import CloudInfo
from secret_sync.local.cloud.journal import Journal
from secret_sync.local.cloud.kms import KMS
from secret_sync.local.cloud.metadata import Metadata
from secret_sync.local.cloud.oos import OOS
from secret_sync.local.cloud.proxy import Proxy
from secret_sync.local.cloud.services import ServiceRegistry
from secret_sync.local.cloud.store import CloudStore
from secret_sync.local.cloud.sts import STS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


SERVICES: Final = (KMS, OOS, STS)
ACCOUNT: Final = "1234567890123456"
"""The account that is there from the start."""

_HOST: Final = "127.0.0.1"
_PARTING: Final = 0.2
"""Seconds that calls in flight have when the cloud stops."""


class LocalCloud:
    """An Alibaba Cloud on loopback.

    Args:
        port: Of the HTTPS listener; 0 for a free one, as for the others.
        proxy_port: Of the forward proxy.
        admin_port: Of the admin API.
        metadata_port: Of the metadata service.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        proxy_port: int = 0,
        admin_port: int = 0,
        metadata_port: int = 0,
    ) -> None:
        self._ports = (port, proxy_port, admin_port, metadata_port)
        self._exit = AsyncExitStack()
        self._faults = Faults()
        self._info: CloudInfo | None = None

    @property
    def info(self) -> CloudInfo:
        """Return its addresses; raise `RuntimeError` before it is started."""
        if self._info is None:
            raise RuntimeError("the local cloud is not started")
        return self._info

    async def start(self, directory: Path) -> CloudInfo:
        """Listen, and leave the CA's certificate in the directory.

        Raises:
            OSError: A port is taken, or the directory cannot be written.
        """
        async with AsyncExitStack() as stack:
            self._info = await self._start(directory, stack)
            self._exit = stack.pop_all()
        return self._info

    async def stop(self) -> None:
        """Stop; calls that do not end by themselves are dropped."""
        await self._exit.aclose()

    async def _start(self, directory: Path, stack: AsyncExitStack) -> CloudInfo:
        authority = await asyncio.to_thread(Authority)
        context = await asyncio.to_thread(authority.default_context)
        ca_file = await asyncio.to_thread(_write_ca, directory, authority.pem)
        store, journal = CloudStore(), Journal()
        key = store.create_access_key(ACCOUNT)
        metadata = Metadata(store)
        gateway = Gateway(store, ServiceRegistry(SERVICES), self._faults, journal, metadata)
        tls, plain = gateway.server(proxy=False), gateway.server(proxy=True)
        machine = gateway.metadata_server()
        for server in (tls, plain, machine):
            stack.push_async_callback(server.stop, _PARTING)
        proxy = Proxy(authority, tls, plain)
        stack.push_async_callback(proxy.close)
        port, proxy_port, admin_port, metadata_port = self._ports
        https = await _listen(stack, tls, port, ssl=context)
        proxied = await _listen(stack, proxy, proxy_port)
        metadata_at = await _listen(stack, machine, metadata_port)
        events = EventBus()
        stack.push_async_callback(events.close)
        admin = application(
            Admin(store, self._faults, journal, ACCOUNT, events),
            RamAdmin(store, metadata, ACCOUNT),
            ParameterAdmin(store, ACCOUNT),
            EventAdmin(events),
        )
        admin_at = await _serve_admin(stack, admin, admin_port)
        return CloudInfo(
            endpoint=f"{_HOST}:{https}",
            proxy_url=f"http://{_HOST}:{proxied}",
            admin_url=f"http://{_HOST}:{admin_at}",
            metadata_endpoint=f"{_HOST}:{metadata_at}",
            ca_file=str(ca_file),
            account=ACCOUNT,
            access_key_id=key.id,
            access_key_secret=key.secret,
        )


def _write_ca(directory: Path, pem: bytes) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory.absolute() / "ca.pem"
    path.write_bytes(pem)
    return path


async def _listen(
    stack: AsyncExitStack, protocol: Callable[[], asyncio.Protocol], port: int, **options: Any
) -> int:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, _HOST, port, backlog=1024, **options)
    # Not `wait_closed`: it waits for connections, and those are ended later.
    stack.callback(server.close)
    return int(server.sockets[0].getsockname()[1])


async def _serve_admin(stack: AsyncExitStack, admin: web.Application, port: int) -> int:
    runner = web.AppRunner(admin, access_log=None, shutdown_timeout=_PARTING)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, _HOST, port).start()
    return int(runner.addresses[0][1])
