"""A new leader writes nothing before its caches are confirmed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog.testing

from secret_sync.app.leading import FRESH_WITHIN, make_fresh
from secret_sync.kube import ApiUnavailableError

pytestmark = pytest.mark.looptime


class Watched:
    """Catches up as the outcomes say: an error, or after so many seconds."""

    def __init__(self, *outcomes: float | Exception) -> None:
        self._outcomes = list(outcomes)
        self.tries = 0

    async def catch_up(self) -> None:
        outcome = self._outcomes[self.tries]
        self.tries += 1
        if isinstance(outcome, Exception):
            raise outcome
        await asyncio.sleep(outcome)


async def test_it_waits_for_them() -> None:
    watched: Any = Watched(3.0)
    began = asyncio.get_running_loop().time()
    assert await make_fresh(watched)
    assert asyncio.get_running_loop().time() - began == pytest.approx(3.0)


async def test_a_failure_is_told_and_tried_again() -> None:
    away = ApiUnavailableError("away", status=503)
    watched: Any = Watched(away, FRESH_WITHIN * 2, 1.0)
    with structlog.testing.capture_logs() as logs:
        assert await make_fresh(watched)
    assert watched.tries == 3
    assert [entry["error"] for entry in logs] == ["away", "not within 120 s"]
