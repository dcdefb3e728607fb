"""The HTTP server of ``/metrics``, ``/healthz`` and ``/readyz``.

Liveness is the loop's heartbeat and nothing else: were it KMS's reachability, an outage
there would restart the controller and lose the cached values.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Final

from aiohttp import web

from secret_sync.errors import DefiniteError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from prometheus_client import CollectorRegistry

#: Seconds between two beats, and how late one may be before the loop counts as stuck.
BEAT: Final = 1.0
STUCK_AFTER: Final = 15.0
#: Seconds that the shutdown waits for clients that are still reading answers, or do not.
FINISH_WITHIN: Final = 1.0


class HealthServer:
    """Serves one address; unready until set ready.

    Args:
        registry: What ``/metrics`` shows.
        unready: Why the controller is not ready, ``""`` where it is; a standby is ready, too.
    """

    def __init__(self, registry: CollectorRegistry, *, unready: Callable[[], str]) -> None:
        self._registry = registry
        self._unready = unready
        # While the process starts, nothing beats yet and nothing is stuck.
        self._beat_at = float("inf")
        self._runner: web.AppRunner | None = None
        self._exposition: ModuleType | None = None

    async def start(self, host: str, port: int) -> None:
        """Start to listen.

        Args:
            host: ``""`` for every interface.
            port: 0 lets the system choose.

        Raises:
            DefiniteError: The address cannot be listened on.
        """
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=FINISH_WITHIN)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host or None, port).start()
        except OSError as error:
            await self.stop()
            raise DefiniteError(
                f"cannot listen on {host}:{port} for metrics and probes ({error.strerror}); "
                "see --metrics-bind-address (0 turns it off)"
            ) from None

    @property
    def port(self) -> int | None:
        """The port listened on, or ``None``."""
        if self._runner is None or not self._runner.addresses:
            return None
        return int(self._runner.addresses[0][1])

    @property
    def late(self) -> float:
        """The seconds since the last beat; less than 0 before the first."""
        return asyncio.get_running_loop().time() - self._beat_at

    async def beat(self) -> None:
        """Proves for as long as it runs that the loop gets around."""
        loop = asyncio.get_running_loop()
        while True:
            self._beat_at = loop.time()
            await asyncio.sleep(BEAT)

    async def stop(self) -> None:
        """Stop to listen."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _metrics(self, request: web.Request) -> web.Response:
        if self._exposition is None:
            # Two HTTP servers come with it: at the start it would delay that, and here the loop.
            name = "prometheus_client.exposition"
            self._exposition = await asyncio.to_thread(import_module, name)
        choose_encoder = self._exposition.choose_encoder
        # Only OpenMetrics has exemplars; Prometheus asks for it by itself.
        try:
            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        except TypeError:
            # A version that is no number.
            encode, content_type = choose_encoder("")
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _healthz(self, _request: web.Request) -> web.Response:
        if self.late > STUCK_AFTER:
            return web.Response(status=503, text=f"no heartbeat for {self.late:.0f} s\n")
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        if why := self._unready():
            return web.Response(status=503, text=f"{why}\n")
        return web.Response(text="ok\n")
