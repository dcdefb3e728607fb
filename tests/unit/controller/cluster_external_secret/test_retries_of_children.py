"""A step that fails is tried again when its failure says, however often namespaces are surveyed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from unittest.mock import AsyncMock, Mock

import pytest

from secret_sync.controller.confirmation import OwnerChangedError
from secret_sync.kube import ApiRefusedError, ApiUnavailableError
from secret_sync.queue import run_workers
from tests.unit.controller.cluster_external_secret.surveying import ClusterLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.looptime

NO_RIGHT = 'User "me" cannot delete resource "externalsecrets"'


@asynccontextmanager
async def failing(error: Exception, *, selected: bool = True) -> AsyncIterator[ClusterLoop]:
    """Run a loop, which is surveyed each second."""
    loop = ClusterLoop(AsyncMock(side_effect=error), selected=selected)

    async def survey() -> None:
        while True:
            loop.queue.add("/some")
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(survey()),
            tasks.create_task(
                run_workers(loop.queue, 2, loop.reconciler.reconcile, timeout=60, observer=Mock())
            ),
        ]
        yield loop
        for task in running:
            task.cancel()


@pytest.mark.parametrize("selected", [True, False])
@pytest.mark.parametrize(
    "error",
    [OwnerChangedError("changed meanwhile"), ApiRefusedError("denied by a webhook", status=403)],
)
async def test_refused_step_is_tried_again_each_minute(
    error: Exception,
    selected: bool,  # noqa: FBT001 - a parameter
) -> None:
    async with failing(error, selected=selected) as loop:
        await asyncio.sleep(50)
        assert loop.take.await_count == 1
        await asyncio.sleep(50)
        assert loop.take.await_count == 2


async def test_unavailable_api_server_is_asked_again_by_backoff() -> None:
    async with failing(ApiUnavailableError("no answer")) as loop:
        await asyncio.sleep(50)
        # After 1, 2, 4, 8, 16 and 32 seconds, more or less.
        assert 4 <= loop.take.await_count <= 7


async def test_edit_of_the_object_tries_what_failed_at_once() -> None:
    async with failing(OwnerChangedError("changed meanwhile")) as loop:
        await asyncio.sleep(10)
        assert loop.take.await_count == 1
        loop.edit()
        await asyncio.sleep(10)
        assert loop.take.await_count == 2


async def test_child_that_cannot_be_deleted_is_reported() -> None:
    error = ApiRefusedError("denied by a webhook", status=403)
    async with failing(error, selected=False) as loop:
        await asyncio.sleep(10)
        reason, message = loop.ready()
        assert reason == "NamespacesFailed"
        assert message.startswith("1 of 1: ns: WriteFailed")


async def test_missing_right_to_delete_children_is_reported() -> None:
    async with failing(ApiRefusedError(NO_RIGHT, status=403), selected=False) as loop:
        await asyncio.sleep(10)
        assert loop.ready()[0] == "WriteForbidden"
        assert loop.take.await_count == 1
