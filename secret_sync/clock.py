"""The two clocks: the event loop's, which tests replace, and that of the wall, in UTC."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime


def loop_time() -> float:
    """Return the time of the running event loop, in seconds since an arbitrary start."""
    return asyncio.get_running_loop().time()


def utc_text() -> str:
    """Return the present time as Kubernetes and Alibaba Cloud write it: RFC 3339, whole seconds."""
    # Half the time of strftime.
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
