"""A control loop of ClusterExternalSecrets, without an API server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

from secret_sync.controller.cluster_external_secret.matcher import ServedNamespaces
from secret_sync.controller.cluster_external_secret.reconciler import (
    ClusterExternalSecretReconciler,
)
from secret_sync.controller.cluster_external_secret.reporter import ClusterReporter
from secret_sync.controller.cluster_external_secret.state import ClusterState
from secret_sync.controller.cluster_external_secret.validation import Checked
from secret_sync.controller.object_state import ObjectStates
from secret_sync.kube import Store
from secret_sync.queue import WorkQueue
from secret_sync.resources import ClusterExternalSecretStatus
from secret_sync.resources.external_secret import BY_CLUSTER_CONTROLLER, cluster_controller_of
from tests.unit.controller.cluster_external_secret.conftest import (
    ces_of,
    child_of,
    namespace_named,
)

CES = ces_of(conditions=[{"namespaceSelector": {"matchLabels": {"team": "a"}}}])


class ClusterLoop:
    """The control loop of an object that selects namespaces with a label.

    Args:
        take: Does the step in a namespace.
        selected: Whether there is such a namespace, ``ns``; otherwise it still has a child.
    """

    def __init__(self, take: AsyncMock, *, selected: bool = True) -> None:
        labels = {"team": "a"} if selected else {}
        self.objects: Store[Any] = Store()
        self.objects.put("some", CES)
        self.namespaces: Store[Any] = Store()
        self.namespaces.put("ns", namespace_named("ns", **labels))
        self.children: Store[Any] = Store({BY_CLUSTER_CONTROLLER: cluster_controller_of})
        if not selected:
            self.children.put("ns/some", child_of(CES))
        self.queue: WorkQueue[str] = WorkQueue("test", observer=Mock())
        self.statuses = Mock()
        self.statuses.known.return_value = ClusterExternalSecretStatus()
        self.publisher = Mock()
        self.finalizers = AsyncMock(remove=AsyncMock(return_value=False))
        self.take = take
        self.states = ObjectStates(ClusterState)
        checker: Any = Mock()
        checker.outdated.return_value = None
        checker.check.return_value = Checked()
        writer: Any = SimpleNamespace(take=self.take)
        self.reconciler = ClusterExternalSecretReconciler(
            objects=self.objects,
            namespaces=self.namespaces,
            children=self.children,
            scope=ServedNamespaces(),
            checker=checker,
            writer=writer,
            reporter=ClusterReporter(self.statuses, self.publisher),
            states=self.states,
            finalizers=self.finalizers,
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
