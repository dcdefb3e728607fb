"""Both halves of the playground, started together: an API server with our CRDs, and a cloud."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secret_sync.local.cloud import spawn
from secret_sync.local.controlplane.plane import ControlPlane
from secret_sync.local.errors import LocalError
from secret_sync.local.kubectl import Kubectl

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.state import RunFolder

REGION: Final = "cn-hangzhou"
EXAMPLES: Final = Path(__file__).with_name("examples")
CRD_NAMES: Final = (
    "externalsecrets.alibabacloud.com",
    "secretstores.alibabacloud.com",
    "clustersecretstores.alibabacloud.com",
    "clusterexternalsecrets.alibabacloud.com",
)
#: Seconds until the API server serves our CRDs, and between two looks.
_ESTABLISHED_WITHIN: Final = 30.0
_POLL: Final = 0.1
# The name that the examples use.
ACCESS_KEY_SECRET: Final = "kms-reader"  # noqa: S105 - the name of an object


@dataclass(frozen=True, slots=True)
class Playground:
    """A control plane with our CRDs and a local cloud, both running."""

    plane: ControlPlane
    cloud: CloudInfo
    kubectl: Kubectl


async def start(
    folder: RunFolder, stack: AsyncExitStack, progress: Callable[[str], None]
) -> Playground:
    """Start everything; the stack stops it.

    Args:
        folder: For the files of the run.
        stack: Stops what has been started, also after a failure on the way.
        progress: Gets a line for a person now and then, from another thread.

    Raises:
        LocalError: The cloud or the CRDs are not to be had.
        ControlPlaneError: A part of the control plane is not.
    """
    plane = await start_control_plane(folder, stack, progress)
    cloud = await start_cloud(folder, stack)
    kubectl = Kubectl(plane.binaries.kubectl, {**os.environ, "KUBECONFIG": str(plane.kubeconfig)})
    await apply_crds(kubectl)
    await plane.learn_kinds()
    return Playground(plane, cloud, kubectl)


async def start_control_plane(
    folder: RunFolder, stack: AsyncExitStack, progress: Callable[[str], None]
) -> ControlPlane:
    """Start the control plane, building its programs if need be; errors as in `start`."""
    plane = await ControlPlane.start(folder.plane, progress=progress)
    stack.push_async_callback(plane.stop)
    return plane


async def start_cloud(folder: RunFolder, stack: AsyncExitStack) -> CloudInfo:
    """Start the local cloud in a process of its own; errors as in `start`."""
    try:
        cloud = await spawn(folder.cloud)
    except (RuntimeError, TimeoutError) as error:
        words = await asyncio.to_thread(_tail, folder.cloud / "cloud.log")
        raise LocalError(f"the local cloud did not start: {words or error}") from error
    stack.push_async_callback(cloud.stop)
    return cloud.info


async def apply_crds(kubectl: Kubectl) -> str:
    """Apply our CRDs and wait until the API server serves them; what kubectl says.

    Raises:
        LocalError: They are not to be found, or were refused.
    """
    output = await kubectl.run("apply", "--server-side", "-k", str(find_crds()))
    by = time.monotonic() + _ESTABLISHED_WITHIN
    for name in CRD_NAMES:
        await _wait_established(kubectl, name, by)
    return output


async def _wait_established(kubectl: Kubectl, name: str, by: float) -> None:
    # `kubectl wait` fails at once if there are no conditions yet.
    status = 'jsonpath={.status.conditions[?(@.type=="Established")].status}'
    while await kubectl.run("get", f"crd/{name}", "-o", status) != "True":
        if time.monotonic() > by:
            raise LocalError(f"the CRD {name} is not served by the API server yet")
        await asyncio.sleep(_POLL)


async def create_access_key(
    kubectl: Kubectl, cloud: CloudInfo, namespace: str, scratch: Path
) -> tuple[tuple[str, ...], str]:
    """Put the cloud's AccessKey into a Secret of the cluster.

    Args:
        kubectl: For the cluster.
        cloud: Whose key.
        namespace: Of the Secret.
        scratch: A folder for a moment's file: arguments can be read by everybody.

    Returns:
        The arguments of kubectl, and what it said.

    Raises:
        LocalError: It was refused.
    """
    file = scratch / "access-key.env"
    content = f"id={cloud.access_key_id}\nsecret={cloud.access_key_secret}\n"
    file.touch(mode=0o600)
    try:
        await asyncio.to_thread(file.write_text, content)
        command = ("create", "secret", "generic", ACCESS_KEY_SECRET, "-n", namespace)
        return command, await kubectl.run(*command, f"--from-env-file={file}")
    finally:
        file.unlink()


def find_crds() -> Path:
    """Return the folder of our CRDs: in the package, or beside it in a checkout.

    Raises:
        LocalError: It is in neither.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "crds", package.parent / "crds"):
        if (folder / "kustomization.yaml").is_file() and (folder / "secretstores.yaml").is_file():
            return folder
    raise LocalError("the CRDs are missing: this installation is incomplete")


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else ""
