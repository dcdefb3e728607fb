"""The two clocks: the event loop's, which tests replace, and that of the wall, in UTC."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime


def loop_time() -> float:
    """Return the time of the running event loop, in seconds since an arbitrary start."""
    return asyncio.get_running_loop().time()


def utc_text(seconds: int | None = None) -> str:
    """Return a time as Kubernetes and Alibaba Cloud write it: RFC 3339, whole seconds.

    Args:
        seconds: Since the epoch; ``None`` for the present time.
    """
    time = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    # Half the time of strftime.
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
