"""A new leader writes nothing before its caches are confirmed."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing

from secret_sync.app.leading import FRESH_WITHIN, make_fresh
from secret_sync.clock import loop_time as now
from secret_sync.errors import TransientError
from secret_sync.kube import ApiNotFoundError, ApiRefusedError, ApiUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.kube import ApiError

pytestmark = pytest.mark.looptime

AWAY = ApiUnavailableError("away", status=503)


class Watched:
    """Each kind catches up as its outcomes say: an error, or after so many seconds.

    The last outcome is that of all further tries.
    """

    def __init__(self, **outcomes: list[float | Exception]) -> None:
        self._outcomes = outcomes
        self.tries: dict[str, list[float]] = {kind: [] for kind in outcomes}

    def catching_up(self) -> dict[str, Callable[[], Any]]:
        return {kind: partial(self._catch_up, kind) for kind in self._outcomes}

    async def _catch_up(self, kind: str) -> None:
        outcomes, tries = self._outcomes[kind], self.tries[kind]
        outcome = outcomes[min(len(tries), len(outcomes) - 1)]
        tries.append(now())
        if isinstance(outcome, Exception):
            raise outcome
        await asyncio.sleep(outcome)


async def test_leader_waits_for_all_caches() -> None:
    watched: Any = Watched(secrets=[3.0], namespaces=[1.0])
    began = now()
    assert await make_fresh(watched)
    assert now() - began == pytest.approx(3.0)


async def test_only_failed_parts_are_retried_and_logged_once() -> None:
    watched: Any = Watched(secrets=[0.1], namespaces=[AWAY, AWAY, AWAY, 1.0])
    with structlog.testing.capture_logs() as logs:
        assert await make_fresh(watched)
    assert len(watched.tries["secrets"]) == 1
    assert len(watched.tries["namespaces"]) == 4
    assert [(entry["resource"], entry["error"]) for entry in logs] == [("namespaces", "away")]


async def test_the_pauses_grow() -> None:
    watched: Any = Watched(secrets=[*[AWAY] * 6, 0.0])
    assert await make_fresh(watched)
    tries = watched.tries["secrets"]
    assert tries[1] - tries[0] < 2
    assert tries[6] - tries[5] > 10


async def test_leader_waits_as_long_as_the_api_server_asks() -> None:
    busy = ApiUnavailableError("busy", status=429, retry_after=20.0)
    watched: Any = Watched(secrets=[busy, 0.0])
    assert await make_fresh(watched)
    first, second = watched.tries["secrets"]
    assert second - first >= 20


@pytest.mark.parametrize(
    "refusal", [ApiRefusedError("no", status=403), ApiNotFoundError("gone", status=404)]
)
async def test_a_kind_that_may_not_be_listed_any_more_ends_the_process(refusal: ApiError) -> None:
    watched: Any = Watched(secrets=[0.1], namespaces=[refusal])
    with pytest.raises(ExceptionGroup) as caught:
        await make_fresh(watched)
    (error,) = caught.value.exceptions
    assert "namespaces" in str(error)
    assert refusal.message in str(error)
    assert len(watched.tries["namespaces"]) == 3
    assert now() < 10


async def test_refusals_of_an_api_server_that_starts_do_not() -> None:
    refusal = ApiRefusedError("no", status=403)
    watched: Any = Watched(secrets=[refusal, refusal, AWAY, refusal, refusal, 0.0])
    assert await make_fresh(watched)


@pytest.mark.parametrize("outcome", [FRESH_WITHIN * 2, AWAY])
async def test_unconfirmed_cache_gives_up_the_lease(outcome: float | Exception) -> None:
    watched: Any = Watched(secrets=[0.1], namespaces=[outcome])
    with pytest.raises(TransientError, match="cache of namespaces was not confirmed"):
        await make_fresh(watched)
    assert now() == pytest.approx(FRESH_WITHIN)
