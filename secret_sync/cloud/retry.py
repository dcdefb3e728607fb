"""How soon a failed call is tried again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from secret_sync.cloud.errors import StaleConnectionError

if TYPE_CHECKING:
    from secret_sync.errors import TransientError

MAX_TRIES = 4
_BASE = 0.2
_CAP = 10.0


def next_delay(tries: int, error: TransientError) -> float | None:
    """Return the seconds until the next try, or ``None`` if there shall be none.

    Exponential with full jitter, so that callers who failed together do not come back
    together. A wait that the service asked for is kept and never shortened. A connection that
    had gone stale is no sign of trouble: the first time the call is repeated at once.

    Args:
        tries: How many tries there were, the failed one included.
        error: What the last one ended with.
    """
    if tries >= MAX_TRIES:
        return None
    if tries == 1 and isinstance(error, StaleConnectionError):
        return 0.0
    delay = random.uniform(0.0, min(_CAP, _BASE * 2.0**tries))  # noqa: S311 - spreads load only
    return max(delay, error.retry_after or 0.0)
