"""Workloads that restart, on a played API server: what it was asked is written down."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.external_secret.state import SyncStateStore
from secret_sync.controller.publishing import EventPublisher
from secret_sync.controller.restart.digests import KEY_SECRET, DataDigests
from secret_sync.controller.restart.reconciler import RestartDependencies, WorkloadReconciler
from secret_sync.controller.restart.tracker import RestartTracker
from secret_sync.controller.sync import UNCHANGED, Changed, SyncContext
from secret_sync.kube import ApiConflictError, ApiNotFoundError, ApplyWriter, Store
from secret_sync.metrics import Metrics, QueueMetrics
from secret_sync.queue import Backoff, WorkQueue, run_workers
from secret_sync.resources import ExternalSecret
from secret_sync.resources.external_secret import BY_WORKLOAD, workloads_of
from secret_sync.resources.names import (
    RESTART_ANNOTATION,
    RESTART_MANAGER,
    RESTARTED_FOR_ANNOTATION,
)
from tests.unit.controller.fakes import Events, Statuses

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from secret_sync.errors import SecretSyncError
    from secret_sync.queue import Result
    from secret_sync.resources import Condition

SHOP: Final = "/apis/apps/v1/namespaces/ns/deployments/shop"
DB: Final = "/apis/apps/v1/namespaces/ns/statefulsets/db"
KEY_PATH: Final = f"/api/v1/namespaces/system/secrets/{KEY_SECRET}"


def restarting(
    *workloads: str, name: str = "some", status: Any = None, **spec: Any
) -> ExternalSecret:
    """An ExternalSecret ``ns/NAME`` whose annotation names these workloads."""
    annotations = {RESTART_ANNOTATION: ",".join(workloads)} if workloads else {}
    metadata = {
        "namespace": "ns",
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "annotations": annotations,
    }
    return ExternalSecret.from_dict({"metadata": metadata, "spec": spec, "status": status})


class PlayedCluster:
    """An API server with workloads and the key of the digests.

    Attributes:
        workloads: By path.
        restarts: Path and loop time of each patch.
        faults: What is raised instead of an answer, by method and path.
    """

    def __init__(self, *paths: str) -> None:
        self.workloads: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.restarts: list[tuple[str, float]] = []
        self.faults: dict[str, SecretSyncError] = {}
        self.asked: list[str] = []
        for path in paths:
            self.add(path)

    def add(self, path: str, **spec: Any) -> None:
        metadata = {"uid": f"uid of {path}", "resourceVersion": "1"}
        self.workloads[path] = {"metadata": metadata, "spec": {"template": {}, **spec}}

    async def request(
        self, method: str, path: str, *, body: Any = None, params: Any = None, **_: Any
    ) -> dict[str, Any]:
        await asyncio.sleep(0)
        self.asked.append(f"{method} {path}")
        if fault := self.faults.get(f"{method} {path}"):
            raise fault
        if path.startswith("/api/v1/"):
            return self._secret(method, path, body)
        found = self.workloads.get(path)
        if found is None:
            raise ApiNotFoundError(f"{method} {path}: 404", status=404)
        if method == "PATCH":
            self._restart(path, found, body, params["fieldManager"])
        return found

    def _secret(self, method: str, path: str, body: Any) -> dict[str, Any]:
        if method == "PATCH":
            if path in self.secrets:
                raise ApiConflictError(f"{method} {path}: 409", status=409)
            self.secrets[path] = body
        if path not in self.secrets:
            raise ApiNotFoundError(f"{method} {path}: 404", status=404)
        return self.secrets[path]

    def _restart(self, path: str, found: dict[str, Any], body: Any, manager: str) -> None:
        metadata = body["metadata"]
        assert metadata["uid"] == found["metadata"]["uid"]
        assert metadata["resourceVersion"] == found["metadata"]["resourceVersion"]
        assert manager == RESTART_MANAGER
        annotations = body["spec"]["template"]["metadata"]["annotations"]
        assert annotations.keys() == {RESTARTED_FOR_ANNOTATION}
        found["metadata"]["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        if self.annotation(path) != annotations[RESTARTED_FOR_ANNOTATION]:
            self.restarts.append((path, asyncio.get_running_loop().time()))
        found["spec"]["template"] = {"metadata": {"annotations": annotations}}

    def restarted(self, path: str, seconds_ago: float) -> None:
        """Let it have restarted, by a process that is gone."""
        time = datetime.now(UTC) - timedelta(seconds=seconds_ago)
        entry = {"manager": RESTART_MANAGER, "time": time.isoformat()}
        self.workloads[path]["metadata"]["managedFields"] = [entry]

    def annotation(self, path: str) -> str:
        metadata = self.workloads[path]["spec"]["template"].get("metadata") or {}
        return str((metadata.get("annotations") or {}).get(RESTARTED_FOR_ANNOTATION, ""))


class _Results:
    def finished(self, result: Result) -> None:
        assert result != "error"


class Process:
    """A controller, as far as restarts are concerned; another one is what follows a crash.

    Args:
        cluster: The API server.
        statuses: What it has of the ExternalSecrets.
    """

    def __init__(self, cluster: PlayedCluster, statuses: Statuses) -> None:
        client: Any = cluster
        played: Any = statuses
        self.statuses, self.events, self.states = statuses, Events(), SyncStateStore()
        self.objects: Store[ExternalSecret] = Store({BY_WORKLOAD: workloads_of})
        self.queue, self.object_queue = _queue("workload"), _queue("externalsecret")
        writer, publisher = ApplyWriter(client, "secret-sync"), EventPublisher(self.events)
        self.digests = DataDigests(client, writer, self._namespace)
        self.tracker = RestartTracker(
            self.digests, played, publisher, self.queue, self.object_queue
        )
        self.reconciler = WorkloadReconciler(
            RestartDependencies(client, writer.named(RESTART_MANAGER), played, publisher),
            self.objects,
            self.states,
        )

    @staticmethod
    async def _namespace() -> str:
        return "system"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work on the queue of workloads, until a crash."""
        handle = self.reconciler.reconcile
        work = asyncio.create_task(
            run_workers(self.queue, 2, handle, timeout=60, observer=_Results())
        )
        try:
            yield
        finally:
            work.cancel()
            await asyncio.wait([work])

    async def sync(
        self, es: ExternalSecret, data: Mapping[str, bytes], *, changed: bool = True
    ) -> None:
        """Sync an object to a Secret with this data, as its reconciler does."""
        key = f"{es.namespace}/{es.name}"
        self.objects.put(key, es)
        state = self.states.of(key)
        ctx = SyncContext(key, es, state)
        if es.restart is not None:
            await self.tracker.begin(ctx)
        fingerprint = repr(sorted(data.items())).encode()
        desired = Desired(fingerprint, frozenset(data), dict(data), (), ())
        self.tracker.written(ctx, desired, Changed("secret updated") if changed else UNCHANGED)

    def restarted_long_ago(self, name: str = "some") -> None:
        """Let the last restart be over: the clock of the wall does not go on in a test."""
        status = self.statuses.held[f"ns/{name}"]
        assert status.restart is not None
        restart = replace(status.restart, last_time="2026-01-01T00:00:00Z")
        self.statuses.held[f"ns/{name}"] = replace(status, restart=restart)

    def condition(self, name: str = "some") -> Condition | None:
        return self.statuses.held[f"ns/{name}"].restarted

    def reported(self, name: str = "some") -> tuple[str, str]:
        """Status and reason of the condition ``Restarted``."""
        condition = self.condition(name)
        return (condition.status, condition.reason) if condition is not None else ("", "")


def _queue(name: str) -> WorkQueue[str]:
    observer = QueueMetrics(Metrics("test"), name)
    return WorkQueue(name, backoff=Backoff(base=1.0, cap=15.0), observer=observer)


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


ONE, TWO, THREE = {"a": b"one"}, {"a": b"two"}, {"a": b"three"}
SHOP_ES = restarting("deployment/shop")
BOTH = restarting("deployment/shop", "statefulset/db")


def now() -> float:
    return asyncio.get_running_loop().time()


def played(*paths: str, statuses: Statuses | None = None) -> tuple[PlayedCluster, Process]:
    cluster = PlayedCluster(*(paths or (SHOP,)))
    return cluster, Process(cluster, statuses or Statuses())
