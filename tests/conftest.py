"""What holds for every test."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.support.blocking import blocking_fails

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from blockbuster import BlockBuster

pytest_plugins = [
    "tests.support.controlplane",
    "tests.support.distribution",
    "tests.support.fake_time",
    "tests.support.fixtures",
]

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_configure() -> None:
    # CPython 3.11 makes a loop, and leaks it, when a plugin asks for the current one of a
    # session whose first test is a synchronous one.
    asyncio.set_event_loop(None)
    # The loggers of our modules would keep the stream of the test that configured them.
    pytest.MonkeyPatch().setattr(structlog, "configure", _configure_without_cache)


def _configure_without_cache(*, _configure: Any = structlog.configure, **settings: Any) -> None:
    _configure(**{**settings, "cache_logger_on_first_use": False})


def pytest_collection_finish() -> None:
    # Of thousands of tests and their parameters: to visit them again takes a tenth of the time.
    gc.collect()
    gc.freeze()


# Once for each file: it replaces sixty functions.
@pytest.fixture(scope="module", autouse=True)
def _nothing_blocks_the_loop() -> Iterator[BlockBuster]:
    """A blocking call of our package inside a running loop fails the test."""
    with blocking_fails("secret_sync.local") as blockbuster:
        yield blockbuster


@pytest.fixture(autouse=True)
def _log_is_configured_by_no_test_before() -> Iterator[None]:
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
