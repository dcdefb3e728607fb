"""kubectl, with the names of our kinds."""

from __future__ import annotations

import subprocess
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from secret_sync.local.controlplane.plane import ControlPlane

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "crds"

GROUP = "alibabacloud.com"
PLURALS = ("externalsecrets", "secretstores", "clustersecretstores", "clusterexternalsecrets")


class CrdKubectl:
    """kubectl as the administrator of the control plane."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._admin = control_plane.admin
        self._prefix = [
            str(control_plane.binaries.kubectl),
            "--kubeconfig",
            str(control_plane.kubeconfig),
        ]

    def run(self, *args: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 (our own binary, our own arguments)
            [*self._prefix, *args],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def __call__(self, *args: str, given: str = "") -> str:
        done = self.run(*args, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stored(self, document: dict[str, Any], namespace: str) -> dict[str, Any]:
        """The object as the API server has it, past kubectl, which takes its time to start."""
        answer = self._admin.request("GET", path_of(document, namespace))
        assert answer.status == HTTPStatus.OK, answer.body
        body: dict[str, Any] = answer.body
        return body

    def delete(self, document: dict[str, Any], namespace: str) -> None:
        self._admin.request("DELETE", path_of(document, namespace))

    def release(self, document: dict[str, Any], namespace: str) -> None:
        """Take the finalizers off, by a write of the whole object."""
        changed = self.stored(document, namespace)
        changed["metadata"].pop("finalizers", None)
        answer = self._admin.request("PUT", path_of(document, namespace), changed)
        assert answer.status == HTTPStatus.OK, answer.body


def path_of(document: dict[str, Any], namespace: str) -> str:
    version, plural = document["apiVersion"], f"{document['kind'].lower()}s"
    prefix = "api" if version == "v1" else "apis"
    place = "" if document["kind"].startswith("Cluster") else f"/namespaces/{namespace}"
    return f"/{prefix}/{version}{place}/{plural}/{document['metadata']['name']}"
