"""Push refresh, where it is turned on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.metrics import RefreshMetrics

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from secret_sync.app.controller import Controller


async def serve_refreshes(controller: Controller, stack: AsyncExitStack) -> None:
    """Listen for requests until the stack is closed, if that is turned on.

    Raises:
        DefiniteError: The address cannot be listened on, or there is no token.
    """
    settings = controller.settings
    if settings.refresh_bind_address is None:
        return
    # Few installations use it.
    from secret_sync.refresh import RefreshServer  # noqa: PLC0415

    metrics = RefreshMetrics(controller.metrics)
    pushed = controller.pushed = controller.sources.pushed_refreshes(
        metrics.refreshed, unpolled=settings.disable_polling
    )
    server = RefreshServer(
        settings.refresh_bind_address,
        settings.refresh_token_dir,
        ask=pushed.ask,
        is_active=lambda: controller.working,
        count=metrics.requested,
    )
    stack.push_async_callback(server.stop)
    await server.start()
