"""A step that fails is tried again when its failure says, however often namespaces are surveyed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, Mock

import pytest

from secret_sync.controller.cluster_external_secret.matcher import ServedNamespaces
from secret_sync.controller.cluster_external_secret.reconciler import (
    ClusterExternalSecretReconciler,
)
from secret_sync.controller.cluster_external_secret.reporter import ClusterReporter
from secret_sync.controller.cluster_external_secret.state import ClusterState
from secret_sync.controller.cluster_external_secret.validation import Checked
from secret_sync.controller.confirmation import OwnerChangedError
from secret_sync.controller.object_state import ObjectStates
from secret_sync.kube import ApiRefusedError, ApiUnavailableError, Store
from secret_sync.queue import WorkQueue, run_workers
from secret_sync.resources import ClusterExternalSecretStatus
from secret_sync.resources.external_secret import BY_CLUSTER_CONTROLLER, cluster_controller_of
from tests.unit.controller.cluster_external_secret.conftest import (
    ces_of,
    child_of,
    namespace_named,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.looptime

CES = ces_of(conditions=[{"namespaceSelector": {"matchLabels": {"team": "a"}}}])
NO_RIGHT = 'User "me" cannot delete resource "externalsecrets"'


class FailingLoop:
    """The control loop of an object whose child in namespace ``ns`` cannot be written."""

    def __init__(self, error: Exception, *, selected: bool) -> None:
        labels = {"team": "a"} if selected else {}
        self.objects: Store[Any] = Store()
        self.objects.put("some", CES)
        namespaces: Store[Any] = Store()
        namespaces.put("ns", namespace_named("ns", **labels))
        children: Store[Any] = Store({BY_CLUSTER_CONTROLLER: cluster_controller_of})
        if not selected:
            children.put("ns/some", child_of(CES))
        self.queue: WorkQueue[str] = WorkQueue("test", observer=Mock())
        self.statuses = Mock()
        self.statuses.known.return_value = ClusterExternalSecretStatus()
        self.publisher = Mock()
        self.take = AsyncMock(side_effect=error)
        checker: Any = Mock()
        checker.outdated.return_value = None
        checker.check.return_value = Checked()
        writer: Any = SimpleNamespace(take=self.take)
        self.reconciler = ClusterExternalSecretReconciler(
            objects=self.objects,
            namespaces=namespaces,
            children=children,
            scope=ServedNamespaces(),
            checker=checker,
            writer=writer,
            reporter=ClusterReporter(self.statuses, self.publisher),
            states=ObjectStates(ClusterState),
            finalizers=AsyncMock(remove=AsyncMock(return_value=False)),
            queue=self.queue,
        )

    def edit(self) -> None:
        """Change the object."""
        self.objects.put("some", ces_of({"generation": 2}, conditions=[{"namespaces": ["ns"]}]))
        self.queue.add("/some")

    def ready(self) -> tuple[str, str]:
        """What the last status says."""
        condition = self.statuses.put.call_args.args[2].ready
        return condition.reason, condition.message


@asynccontextmanager
async def failing(error: Exception, *, selected: bool = True) -> AsyncIterator[FailingLoop]:
    """Run a loop, which is surveyed each second."""
    loop = FailingLoop(error, selected=selected)

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
