"""``secret-sync run`` as a process, told what to do by its arguments and its environment."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from secret_sync.local.cloud import CloudAdmin
from secret_sync.settings.flags import GROUPS
from tests.support.operator import (
    Api,
    external_secret,
    put_store,
)
from tests.support.program import free_port, kubeconfig, run_to_the_end, running
from tests.unit.test_imports import KUBECONFIG, UNUSED, belongs

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

BASE = Path(__file__).parents[2] / "deploy" / "base"
MIB = 1024 * 1024


def the_only_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


# --- What it says before it does anything -------------------------------------------------


def test_help_is_for_a_person() -> None:
    done = run_to_the_end("--help")
    assert done.returncode == 0
    assert done.stderr == ""
    for flag in (flag for group in GROUPS.values() for flag in group):
        assert f"--{flag.name}" in done.stdout
    assert "SECRET_SYNC_" in done.stdout


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--polling-intervall=5s", "--polling-intervall"),
        ("--polling-interval=soon", "--polling-interval"),
        ("--max-concurrent-kms-secret-pulls=many", "--max-concurrent-kms-secret-pulls"),
        ("now", "now"),
    ],
)
def test_a_bad_flag_is_named_in_one_line(argument: str, said: str) -> None:
    done = run_to_the_end(argument)
    assert done.returncode == 2
    assert said in the_only_line(done)


def test_a_bad_variable_is_named_in_one_line() -> None:
    done = run_to_the_end(SECRET_SYNC_POLLING_INTERVAL="soon")
    assert done.returncode == 2
    assert "SECRET_SYNC_POLLING_INTERVAL" in the_only_line(done)


# --- What it says when it cannot start ----------------------------------------------------


def test_a_kubeconfig_that_does_not_exist_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere")
    done = run_to_the_end("--metrics-bind-address=0", "--region=cn-hangzhou", KUBECONFIG=missing)
    assert done.returncode == 1
    line = the_only_line(done)
    assert missing in line
    assert "--kubeconfig" in line


def test_a_ca_bundle_that_does_not_exist_is_named(cluster: ControlPlane, tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere.pem")
    done = run_to_the_end(
        "--metrics-bind-address=0",
        "--region=cn-hangzhou",
        KUBECONFIG=str(cluster.kubeconfig),
        SSL_CERT_FILE=missing,
    )
    assert done.returncode == 1
    assert missing in the_only_line(done)


async def test_an_api_server_that_does_not_answer_is_waited_for(tmp_path: Path) -> None:
    nobody = kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{free_port()}")
    flags = ("--metrics-bind-address=0", "--region=cn-hangzhou")
    async with running(*flags, KUBECONFIG=nobody) as child:
        await child.until_says("API server does not answer, will retry")
        child.process.send_signal(signal.SIGTERM)
        assert await child.ends(within=5) == 0


def test_missing_kinds_are_named(breakable_control_plane: ControlPlane) -> None:
    request = breakable_control_plane.admin.request
    for plural in ("externalsecrets", "secretstores"):
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        while request("DELETE", f"{path}/{plural}.alibabacloud.com").status != 404:
            time.sleep(0.05)
    done = run_to_the_end(
        "--metrics-bind-address=0",
        "--region=cn-hangzhou",
        KUBECONFIG=str(breakable_control_plane.kubeconfig),
    )
    assert done.returncode == 1
    assert "secret-sync crds | kubectl apply --server-side -f -" in the_only_line(done)


async def test_missing_rights_are_named(
    cluster: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    cluster.admin.request(
        "POST",
        f"/api/v1/namespaces/{namespace}/serviceaccounts",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "poor"}},
    )
    token = await cluster.token_for(namespace, "poor")
    poor = kubeconfig(tmp_path / "kubeconfig", cluster.server, token, str(cluster.ca_file))
    flags = ("--metrics-bind-address=0", "--region=cn-hangzhou")
    done = await asyncio.to_thread(run_to_the_end, *flags, KUBECONFIG=poor)
    assert done.returncode == 1
    line = the_only_line(done)
    assert "list externalsecrets.alibabacloud.com" in line
    assert "patch secretstores/status.alibabacloud.com" in line
    assert line.endswith("add that to its ClusterRole")
    assert token not in done.stderr


def test_an_address_in_use_is_named(cluster: ControlPlane) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_to_the_end(
            f"--metrics-bind-address=127.0.0.1:{taken.getsockname()[1]}",
            "--region=cn-hangzhou",
            KUBECONFIG=str(cluster.kubeconfig),
        )
    assert done.returncode == 1
    assert "--metrics-bind-address" in the_only_line(done)


# --- What it does -------------------------------------------------------------------------


@pytest.fixture
async def own_rights(cluster: ControlPlane, tmp_path: Path) -> str:
    """A kubeconfig of the ServiceAccount of ``deploy/base``."""
    kubectl = [str(cluster.binaries.kubectl), "--kubeconfig", str(cluster.kubeconfig)]
    apply = await asyncio.create_subprocess_exec(
        *kubectl, "apply", "--server-side", "-k", str(BASE), stdout=asyncio.subprocess.DEVNULL
    )
    assert await apply.wait() == 0
    token = await cluster.token_for("secret-sync-system", "secret-sync")
    return kubeconfig(tmp_path / "kubeconfig", cluster.server, token, str(cluster.ca_file))


async def text_of(http: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with http.get(path) as answer:
        return answer.status, await answer.text()


async def test_program_syncs_as_its_own_account_through_the_proxy_of_its_environment(
    cluster: ControlPlane, cloud: CloudInfo, namespace: str, own_rights: str
) -> None:
    port = free_port()
    flags = (
        f"--metrics-bind-address=127.0.0.1:{port}",
        "--region=cn-hangzhou",
        f"--watch-namespaces={namespace}",
        "--log-format=json",
    )
    async with (
        CloudAdmin(cloud.admin_url) as admin,
        Api(cluster) as api,
        # KMS at its default address: only the proxy knows a way to it.
        running(*flags, KUBECONFIG=own_rights, **cloud.environment) as child,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
    ):
        await admin.put_secret("run/one", "one")
        await put_store(api, cloud, namespace)
        await child.until_says('"in sync"')
        await api.put(external_secret("some", {"key": "run/one", "name": "x"}), namespace)
        await api.until_holds(namespace, "some", {"x": "one"})
        await api.until_ready(namespace, "some", "Synced")
        # Every verb of its rules: re-create (delete), remove a foreign key (patch).
        await api.merge("Secret", namespace, "some", {"stringData": {"extra": "x"}})
        await api.until_holds(namespace, "some", {"x": "one"})
        await api.merge("ExternalSecret", namespace, "some", {"spec": {"type": "example.org/a"}})
        await api.until(
            "Secret", namespace, "some", lambda s: s is not None and s["type"] == "example.org/a"
        )

        for path in ("/healthz", "/readyz"):
            # YAML is checked two seconds after the start.
            async with asyncio.timeout(10):
                while (answered := await text_of(http, path)) != (200, "ok\n"):
                    assert path == "/readyz", answered
                    await asyncio.sleep(0.1)
        async with http.get("/metrics") as answer:
            shown = await answer.text()
        openmetrics = {"Accept": "application/openmetrics-text"}
        async with http.get("/metrics", headers=openmetrics) as answer:
            exemplars = re.findall(r'# \{reconcile_id="(\w+)"\}', await answer.text())
        for sample in (
            'secret_sync_syncs_total{result="written"}',
            "secret_sync_sync_latency_seconds_count",
            'secret_sync_provider_calls_total{provider="kms",result="ok"} 1.0',
            'secret_sync_provider_throttled_total{provider="kms"} 0.0',
            'secret_sync_rate_limiter_wait_seconds_count{provider="kms"} 1.0',
            'workqueue_depth{name="externalsecret"} 0.0',
            'workqueue_adds_total{name="externalsecret"}',
            'secret_sync_reflector_watches_total{resource="secrets"}',
            'secret_sync_build_info{python="',
            'secret_sync_objects{kind="ExternalSecret",ready="True",reason="Synced"} 1.0',
            'secret_sync_credential_fetches_total{method="AccessKey",result="ok"} 1.0',
            "secret_sync_sources_stale 0.0",
            "secret_sync_oldest_overdue_seconds 0.0",
            'secret_sync_reconciles_total{controller="definition",result="error"} 0.0',
            "process_resident_memory_bytes",
        ):
            assert sample in shown
        assert "some" not in shown

        child.process.send_signal(signal.SIGTERM)
        assert await child.ends() == 0
    assert '"stopped"' in child.lines[-1]
    assert not [line for line in child.lines if '"error"' in line]
    (created,) = [json.loads(line) for line in child.lines if '"secret created"' in line]
    assert created["key"] == f"{namespace}/some"
    assert created["reconcile_id"]
    # From the metric to the line: each exemplar is found in the log.
    assert exemplars
    log = "\n".join(child.lines)
    assert all(f'"reconcile_id":"{one}"' in log for one in exemplars)


async def test_program_stops_in_the_middle_of_its_work(
    cluster: ControlPlane, cloud: CloudInfo, namespace: str
) -> None:
    names = [f"some-{number}" for number in range(60)]
    flags = (
        "--metrics-bind-address=0",
        "--region=cn-hangzhou",
        f"--kms-endpoint={cloud.endpoint}",
        f"--watch-namespaces={namespace}",
        "--max-concurrent-kms-secret-pulls=1000",
        "--log-format=json",
    )
    variables = {"KUBECONFIG": str(cluster.kubeconfig), "SSL_CERT_FILE": cloud.ca_file}
    async with CloudAdmin(cloud.admin_url) as admin, Api(cluster) as api:
        await admin.put_secrets({f"run/{name}": "one" for name in names})
        await put_store(api, cloud, namespace)
        for name in names:
            document = external_secret(name, {"key": f"run/{name}", "name": "x"})
            await api.put(document, namespace)
        async with running(*flags, **variables) as child:
            await child.until_says("secret created")
            child.process.send_signal(signal.SIGTERM)
            assert await child.ends() == 0
        assert '"stopped"' in child.lines[-1]
        assert not [line for line in child.lines if '"error"' in line]
        found = [await api.find("Secret", namespace, name) for name in names]
        written = [secret["data"] for secret in found if secret is not None]
        assert written
        assert written == [{"x": "b25l"}] * len(written), "whatever was written is whole"


async def test_first_secret_is_written_without_modules_that_are_imported_late(
    cluster: ControlPlane, cloud: CloudInfo, namespace: str
) -> None:
    flags = (
        "--metrics-bind-address=127.0.0.1:0",
        "--region=cn-hangzhou",
        f"--kms-endpoint={cloud.endpoint}",
        f"--watch-namespaces={namespace}",
        "--log-format=json",
    )
    variables = {
        "KUBECONFIG": str(cluster.kubeconfig),
        "SSL_CERT_FILE": cloud.ca_file,
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    async with CloudAdmin(cloud.admin_url) as admin, Api(cluster) as api:
        await admin.put_secrets({"run/first": "one"})
        await put_store(api, cloud, namespace)
        await api.put(external_secret("first", {"key": "run/first", "name": "x"}), namespace)
        async with running(*flags, **variables) as child:
            await child.until_says("secret created")
    end = next(n for n, line in enumerate(child.lines) if "secret created" in line)
    timed = [line for line in child.lines[:end] if line.startswith("import time:")]
    names = [line.rpartition("|")[2].strip() for line in timed]
    assert "secret_sync.app.start" in names
    # The kubeconfig is YAML; a pod has none.
    unused = [package for package in UNUSED if package not in {"ruamel", KUBECONFIG}]
    found = [name for name in names if any(belongs(name, package) for package in unused)]
    # Tried for, and not found.
    assert [name for name in found if name != "rich"] == []


def test_memory_after_import_is_small() -> None:
    # Above all the models of the Kubernetes library must not come with it.
    program = (
        "import secret_sync.app, sys\n"
        "print(*(m for m in sys.modules if m.startswith('kubernetes_asyncio.client.')))\n"
        "print(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')))"
    )
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    models, resident = done.stdout.split("\n", 1)
    assert not [name for name in models.split() if ".models" in name or ".api" in name]
    assert int(resident.split()[1]) * 1024 < 55 * MIB
