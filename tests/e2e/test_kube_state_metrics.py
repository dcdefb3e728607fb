"""The real kube-state-metrics with our configuration, and no rights but those that we give it."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.monitoring.rules import KUBE_STATE_METRICS
from tests.support.kustomize import Kubectl
from tests.support.operator import Api, external_secret, install_crds
from tests.support.program import free_port, kubeconfig

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.controlplane.plane import ControlPlane

WITHIN = 60.0
SINCE = "2026-11-30T10:00:00Z"
EPOCH = 1796032800.0


@pytest.fixture
def program() -> str:
    found = shutil.which("kube-state-metrics")
    if found is None:
        pytest.skip(
            "NOT RUN: kube-state-metrics is not installed, so nothing proves that it understands "
            "deploy/kube-state-metrics; build its repository with `go build` and put it on PATH"
        )
    return found


def condition(status: str, reason: str) -> dict[str, Any]:
    about = {"type": "Ready", "status": status, "reason": reason, "message": "said"}
    return {**about, "lastTransitionTime": SINCE, "observedGeneration": 1}


async def report(api: Api, namespace: str, name: str, *conditions: dict[str, Any]) -> None:
    entry = {"key": "k", "name": "x"}
    await api.put(external_secret(name, entry), namespace)
    path = f"/apis/alibabacloud.com/v1alpha1/namespaces/{namespace}/externalsecrets/{name}/status"
    body = {"status": {"conditions": conditions}}
    status, answer = await api.request(
        "PATCH", path, body, content_type="application/merge-patch+json"
    )
    assert status == 200, answer


def account(kubectl: Kubectl, plane: ControlPlane, namespace: str, folder: Path) -> str:
    """The kubeconfig of a ServiceAccount that has our ClusterRole."""
    kubectl("apply", "--server-side", "-f", str(KUBE_STATE_METRICS / "clusterrole.yaml"))
    kubectl("create", "serviceaccount", "ksm", "-n", namespace)
    role = "--clusterrole=secret-sync-kube-state-metrics"
    kubectl("create", "clusterrolebinding", namespace, role, f"--serviceaccount={namespace}:ksm")
    token = kubectl("create", "token", "ksm", "-n", namespace).strip()
    return kubeconfig(folder / "kubeconfig", plane.server, token, str(plane.ca_file))


async def scraped(port: int, process: subprocess.Popen[bytes], series: str) -> str:
    """What it shows once that series is there."""
    text = ""
    async with aiohttp.ClientSession() as session, asyncio.timeout(WITHIN):
        while series not in text:
            assert process.poll() is None
            await asyncio.sleep(0.2)
            try:
                async with session.get(f"http://127.0.0.1:{port}/metrics") as reply:
                    text = await reply.text()
            except aiohttp.ClientError:
                continue
    return text


async def test_kube_state_metrics_shows_the_condition_of_each_object(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, program: str
) -> None:
    install_crds(control_plane)
    kubectl = Kubectl(control_plane)
    port, config = free_port(), KUBE_STATE_METRICS / "custom-resource-state.yaml"
    command = [
        *(program, "--host=127.0.0.1", f"--port={port}"),
        *("--telemetry-host=127.0.0.1", f"--telemetry-port={free_port()}"),
        f"--kubeconfig={account(kubectl, control_plane, namespace, tmp_path)}",
        f"--custom-resource-state-config-file={config}",
        "--custom-resource-state-only",
    ]
    async with Api(control_plane) as api:
        await report(api, namespace, "good", condition("True", "Synced"))
        await report(api, namespace, "bad", condition("False", "SecretNotFound"))
        await report(api, namespace, "new")
        with (
            (tmp_path / "log").open("wb") as log,
            subprocess.Popen(command, stdout=log, stderr=log) as process,  # noqa: ASYNC220, S603 (starts at once)
        ):
            try:
                text = await scraped(port, process, 'name="bad"')
            finally:
                process.terminate()
                await asyncio.to_thread(process.wait, 20)
                kubectl("delete", "clusterrolebinding", namespace)
    name = "kube_externalsecret_condition_since_timestamp_seconds"
    found = {}
    for labels, value in re.findall(rf"^{name}{{(.*)}} (\S+)$", text, re.MULTILINE):
        of = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if of["namespace"] == namespace:
            found[of["name"]] = of["condition"], of["status"], of["reason"], float(value)
    assert found == {
        "good": ("Ready", "True", "Synced", EPOCH),
        "bad": ("Ready", "False", "SecretNotFound", EPOCH),
    }
    assert "forbidden" not in (tmp_path / "log").read_text()
