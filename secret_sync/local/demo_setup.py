"""The environment of the demo: a cluster, a cloud, the controller."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from secret_sync.local import playground
from secret_sync.local.controlplane import build_spec
from secret_sync.local.controlplane.binaries import cache_root, find
from secret_sync.local.controlplane.build import Builder
from secret_sync.local.controlplane.endpoint import Endpoint
from secret_sync.local.controlplane.process import Process
from secret_sync.local.errors import LocalError
from secret_sync.local.kubectl import Kubectl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AsyncExitStack

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from secret_sync.local.demo_screen import DemoScreen
    from secret_sync.local.state import RunFolder

_READY_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 15.0
_POLL: Final = 0.05
_TAIL: Final = 15


@dataclass(frozen=True, slots=True)
class DemoTarget:
    """A cluster to show something on.

    Attributes:
        kubectl: For it.
        kubeconfig: What ``KUBECONFIG`` is to be.
        plane: The control plane behind it, if it is the demo's own and gone with it.
    """

    kubectl: Kubectl
    kubeconfig: str
    plane: ControlPlane | None = None


async def own_cluster(folder: RunFolder, stack: AsyncExitStack, screen: DemoScreen) -> DemoTarget:
    """Start a control plane.

    Raises:
        ControlPlaneError: It did not come up.
    """
    plane = await playground.start_control_plane(folder, stack, screen.note)
    kubeconfig = str(plane.kubeconfig)
    kubectl = Kubectl(plane.binaries.kubectl, {**os.environ, "KUBECONFIG": kubeconfig})
    screen.good(f"etcd, kube-apiserver and kube-controller-manager run: {plane.server}")
    return DemoTarget(kubectl, kubeconfig, plane)


async def existing_cluster(kubeconfig: str, screen: DemoScreen) -> DemoTarget:
    """Use an existing cluster; show which one before anything is done to it.

    Raises:
        LocalError: The kubeconfig gives no access to a cluster.
        ControlPlaneError: There is no kubectl, and it cannot be built.
    """
    program = await asyncio.to_thread(shutil.which, "kubectl")
    path = Path(program) if program else await _build_kubectl(screen)
    kubectl = Kubectl(path, {**os.environ, "KUBECONFIG": kubeconfig})
    context, server = await _where(kubectl)
    screen.warn(f"KUBECONFIG is set: this uses the cluster {server} (context {context}).")
    screen.warn("It adds the CRDs if they are missing, and a namespace that it deletes at the end;")
    screen.warn("nothing else is touched. For a control plane of its own: make demo KUBECONFIG=")
    host = urlsplit(server).hostname or ""
    if sys.stdout.isatty() and host not in {"localhost", "127.0.0.1", "::1"}:
        screen.warn("It begins in 5 s; Ctrl-C if that is not the cluster you mean.")
        await asyncio.sleep(5)
    version = json.loads(await kubectl.run("get", "--raw", "/version"))
    screen.good(f"the API server answers: {version['gitVersion']}")
    return DemoTarget(kubectl, kubeconfig)


async def missing_crds(kubectl: Kubectl) -> list[str]:
    """Return the names of our CRDs that the cluster lacks."""
    found = await kubectl.run(
        "get", "crd", *playground.CRD_NAMES, "--ignore-not-found", "--output=name"
    )
    names = {line.rpartition("/")[2] for line in found.split()}
    return [name for name in playground.CRD_NAMES if name not in names]


class DemoController:
    """``secret-sync run`` as a child process; its log is kept for errors.

    Attributes:
        command: What a person would type.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.command = ("secret-sync", "run", *arguments)
        self._port = free_port()
        self._process = Process(
            [
                *(sys.executable, "-m", "secret_sync", *self.command[1:]),
                f"--metrics-bind-address=127.0.0.1:{self._port}",
            ],
            log=log,
            env=environment,
        )

    async def ready(self) -> None:
        """Wait until it is ready.

        Raises:
            LocalError: It ended, or is not.
        """
        endpoint = Endpoint(f"http://127.0.0.1:{self._port}")
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await asyncio.to_thread(endpoint.answers, "/readyz"):
                    self.check()
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise LocalError(f"the controller is not ready after {_READY_SECONDS:.0f} s") from None

    def check(self) -> None:
        """Check that it is running.

        Raises:
            LocalError: It has ended.
        """
        if (status := self._process.returncode) is not None:
            raise LocalError(f"the controller has ended with status {status}")

    def log_tail(self) -> str:
        """Return the end of its log."""
        text = self._process.log.read_text(errors="replace")
        return "\n".join(text.splitlines()[-_TAIL:])

    async def stop(self) -> None:
        """Let it finish, and end it if it does not."""
        await asyncio.to_thread(self._process.stop, _STOP_SECONDS)


def controller_environment(kubeconfig: str, cloud: CloudInfo) -> dict[str, str]:
    """Return the environment of a controller that uses the local cloud as the real one."""
    # Flags that the user has set for another controller do not apply to this one.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("SECRET_SYNC_")}
    return {**inherited, **cloud.environment, "KUBECONFIG": kubeconfig}


async def _where(kubectl: Kubectl) -> tuple[str, str]:
    """Return the current context and the URL of its API server."""
    try:
        view = json.loads(await kubectl.run("config", "view", "--minify", "--output=json"))
        return str(view["current-context"]), str(view["clusters"][0]["cluster"]["server"])
    except (LocalError, KeyError, IndexError, TypeError) as error:
        why = f" ({error})" if isinstance(error, LocalError) else ""
        raise LocalError(
            f"KUBECONFIG is set, but names no cluster as the current one{why}"
        ) from None


async def _build_kubectl(screen: DemoScreen) -> Path:
    """Find or build kubectl alone; a build that is cancelled ends at once."""
    cancelled = threading.Event()

    def build() -> Path:
        pinned = build_spec.load()
        builder = Builder(pinned, cache_root(os.environ), screen.note, cancelled)
        if (found := find("kubectl", pinned, os.environ)) is not None:
            return found
        builder.announce(["kubectl"])
        return builder.ensure("kubectl")

    work = asyncio.create_task(asyncio.to_thread(build))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        cancelled.set()
        await asyncio.wait([work])
        # Retrieved, or asyncio complains; the result of a cancelled task is not needed.
        work.exception()
        raise


def free_port() -> int:
    """Return a port of loopback that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
