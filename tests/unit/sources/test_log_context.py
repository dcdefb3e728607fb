"""What queues and credentials log is about themselves, not about the object that came first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.contextvars import bound_contextvars, get_contextvars

from secret_sync.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.credentials import Credentials
    from secret_sync.providers.kms import SecretValue
    from secret_sync.sources import Source

    MakeHarness = Callable[..., Any]

pytestmark = pytest.mark.looptime


async def test_calls_do_not_log_as_the_object_that_opened_the_queue(
    make_harness: MakeHarness,
) -> None:
    seen = []

    async def cloud(source: Source, _credentials: Credentials) -> SecretValue:
        seen.append(get_contextvars())
        raise NotFoundError(f"{source.name} does not exist")

    async with make_harness() as harness:
        harness.fetchers["kms"] = cloud
        for name in ("one", "two"):
            with bound_contextvars(key=f"ns/{name}"):
                harness.registry.register(f"ns/{name}", [harness.want(name)], interval=None)
        await asyncio.sleep(1)
        assert sorted(context["source"] for context in seen) == ["one", "two"]
        assert all(set(context) == {"source"} for context in seen)


async def test_credentials_do_not_log_as_the_object_that_needed_them_first(
    make_harness: MakeHarness,
) -> None:
    seen = []
    async with make_harness() as harness:

        class CredentialProvider(type(harness.provider)):  # type: ignore[misc] # a base known at run time
            async def fetch(self, base: Credentials | None) -> Credentials:
                seen.append(get_contextvars())
                fetched: Credentials = await super().fetch(base)
                return fetched

        with bound_contextvars(key="ns/one"):
            harness.registry.register(
                "ns/one", [harness.want("one", CredentialProvider())], interval=None
            )
        await asyncio.sleep(1)
        assert seen == [{}]
