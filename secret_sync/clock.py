"""The two clocks: the event loop's, which tests replace, and that of the wall, in UTC."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import lru_cache


def loop_time() -> float:
    """Return the time of the running event loop, in seconds since an arbitrary start."""
    return asyncio.get_running_loop().time()


def utc_text(seconds: int | None = None) -> str:
    """Return a time as Kubernetes and Alibaba Cloud write it: RFC 3339, whole seconds.

    Args:
        seconds: Since the epoch; ``None`` for the present time.
    """
    return _text(int(time.time()) if seconds is None else seconds)


def utc_text_exact() -> str:
    """Return the present time with microseconds, for the log."""
    microseconds = time.time_ns() // 1000
    return f"{_text(microseconds // 1_000_000)[:-1]}.{microseconds % 1_000_000:06}Z"


# A second has hundreds of syncs, and each names it several times.
@lru_cache(maxsize=2)
def _text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
