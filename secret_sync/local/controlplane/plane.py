"""A control plane for asyncio code: one object, usable from any event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, Self, TypeVar

from secret_sync.local.controlplane.binaries import ensure_binaries
from secret_sync.local.controlplane.cluster import Cluster
from secret_sync.local.controlplane.errors import ControlPlaneError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from secret_sync.local.controlplane.binaries import Binaries
    from secret_sync.local.controlplane.endpoint import Endpoint

T = TypeVar("T")


class ControlPlane:
    """etcd, kube-apiserver and kube-controller-manager, running.

    Made by ``start``; ended by ``stop``, or by leaving it as an async context manager. One that
    is forgotten without either is killed.

    All blocking work happens in one thread that lives until ``stop``. The kernel kills the
    processes when the thread that started them is gone, "kill" and "start" never overlap, and
    the methods may be awaited from any event loop, so that tests with a loop each share one
    control plane.

    Attributes:
        directory: Holds everything of this run: keys, etcd's data, one log per process.
        binaries: The programs in use.
        server: URL of the API server, also the issuer of ServiceAccount tokens.
        ca_file: Whom to trust as the API server.
        kubeconfig: For a user of the group ``system:masters``; needs no other file.
        admin_token: That user's bearer token.
        admin: The API server as that user, for small blocking requests.
        etcd_endpoint: URL of etcd: no TLS, loopback.
        audit_log: Where the API server records each answered request, if asked to.
    """

    def __init__(self, cluster: Cluster, executor: ThreadPoolExecutor) -> None:
        self._cluster = cluster
        self._executor = executor
        self._stopped = False
        layout = cluster.layout
        self.directory: Path = layout.directory
        self.binaries: Binaries = layout.binaries
        self.server: str = layout.server
        self.ca_file: Path = layout.pki.ca
        self.kubeconfig: Path = layout.kubeconfig
        self.admin: Endpoint = cluster.admin
        self.admin_token: str = cluster.admin.token
        self.etcd_endpoint: str = layout.etcd_endpoint
        self.audit_log: Path = layout.audit_log

    @classmethod
    async def start(
        cls,
        directory: Path,
        *,
        audit_log: bool = False,
        progress: Callable[[str], None] = lambda _: None,
    ) -> Self:
        """Start a control plane, building its programs if they are not to be found.

        Args:
            directory: Where it keeps its files, secret ones among them. Made if missing; not
                one that another run has used. Not removed by ``stop``.
            audit_log: Whether the API server records all requests.
            progress: Gets a line for a person now and then, from another thread.

        Raises:
            ControlPlaneError: A program cannot be had, or a process did not come up.
        """
        executor = ThreadPoolExecutor(1, thread_name_prefix="control-plane")

        def start(cancelled: threading.Event) -> Cluster:
            binaries = ensure_binaries(progress, cancelled)
            cluster = Cluster(directory, binaries, audit_log=audit_log)
            try:
                cluster.start(cancelled)
            except BaseException:
                cluster.stop()
                raise
            return cluster

        try:
            cluster = await _run(executor, start)
        except BaseException:
            executor.shutdown(wait=False)
            raise
        return cls(cluster, executor)

    async def stop(self) -> None:
        """Stop all processes, the killing of stubborn ones included. May be called again.

        Takes under a second as a rule, 30 s at worst; a cancellation waits for the end.
        """
        if self._stopped:
            return
        self._stopped = True
        try:
            await _run(self._executor, lambda _: self._cluster.stop())
        finally:
            self._executor.shutdown(wait=False)

    async def kill_api_server(self) -> None:
        """Take the API server away at once, as a crash would; etcd keeps its data."""
        await _run(self._executor, lambda _: self._cluster.kill_api_server())

    async def start_api_server(self) -> None:
        """Start the API server again after ``kill_api_server``: same port, same data.

        Raises:
            ControlPlaneError: It runs already, or did not come up.
        """
        await _run(self._executor, self._cluster.start_api_server)

    async def back_up(self) -> None:
        """Keep all that etcd has at this moment, for ``restore``."""
        await _run(self._executor, self._cluster.back_up)

    async def restore(self) -> None:
        """Stop everything, give etcd what it had at ``back_up``, and start everything again.

        As a cluster is restored from a backup: versions that were given out since are given out
        again. The ports are the same.
        """
        await _run(self._executor, self._cluster.restore)

    async def learn_kinds(self) -> None:
        """Let the garbage collector know the kinds that have come since it was started.

        By itself it looks for new ones every 30 s, and what the first objects of a new kind own
        outlives them by as much.
        """
        await _run(self._executor, lambda _: self._cluster.restart_controller_manager())

    async def compact(self) -> None:
        """Make etcd forget all history up to now.

        The API server goes on serving watches of the past from its memory; what brings a real
        410 is ``expire_history``.

        Raises:
            ControlPlaneError: etcd refused.
        """
        await _run(self._executor, lambda _: self._cluster.compact())

    async def expire_history(self) -> None:
        """Kill the API server, compact etcd and start it again.

        Its memory then begins later than any ``resourceVersion`` it ever handed out. As every
        real one does, it answers a watch from one of those with 200 and an ``ERROR`` event of
        code 410 and reason ``Expired``, the continuation of a list in pages with status 410.

        Raises:
            ControlPlaneError: It did not come up, or etcd refused.
        """
        await self.kill_api_server()
        await self.compact()
        await self.start_api_server()

    async def token_for(
        self,
        namespace: str,
        service_account: str,
        *,
        audiences: Sequence[str] = (),
        seconds: int = 3600,
    ) -> str:
        """Return a token of a ServiceAccount, from the API server's TokenRequest.

        Args:
            namespace: Where the account is.
            service_account: Its name.
            audiences: Whom the token is for; without any, the API server itself.
            seconds: How long it is valid, at least 600.

        Raises:
            ControlPlaneError: The API server refused.
        """
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": list(audiences), "expirationSeconds": seconds},
        }
        answer = await asyncio.to_thread(self.admin.request, "POST", path, body)
        if answer.status != HTTPStatus.CREATED:
            raise ControlPlaneError(f"no token for {namespace}/{service_account}: {answer.body}")
        token: str = answer.body["status"]["token"]
        return token

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()


async def _run(executor: ThreadPoolExecutor, work: Callable[[threading.Event], T]) -> T:
    """Do ``work`` in the control plane's thread; when cancelled, stop it and wait for it."""
    cancelled = threading.Event()
    future = asyncio.get_running_loop().run_in_executor(executor, work, cancelled)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        cancelled.set()
        await asyncio.wait([future])
        # Retrieved, or asyncio complains; the result of a cancelled thread is not needed.
        future.exception()
        raise
