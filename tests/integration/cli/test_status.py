"""`secret-sync status` shows what kubectl shows, and keeps showing it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import yaml

from secret_sync.local.cloud import CloudAdmin
from tests.support.controlplane import fresh_namespace
from tests.support.operator import (
    Api,
    external_secret,
    operator,
    put_store,
    settings_for,
    store,
)
from tests.support.program import PROGRAM, environment, kubeconfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.commands import Cli


@asynccontextmanager
async def mixed_namespace(cluster: ControlPlane, cloud: CloudInfo) -> AsyncIterator[str]:
    """One with an ExternalSecret that is ready, two that are not, and a broken store."""
    async with Api(cluster) as api, CloudAdmin(cloud.admin_url) as admin:
        with contextmanager(fresh_namespace)(cluster) as home:
            await admin.put_secret("status/one", "one")
            await put_store(api, cloud, home)
            await fill(cluster, cloud, api, home)
            yield home


async def fill(cluster: ControlPlane, cloud: CloudInfo, api: Api, home: str) -> None:
    async with operator(settings_for(cluster, cloud, home)):
        await api.put(external_secret("good", {"key": "status/one", "name": "a"}), home)
        missing = {"key": "status/none", "name": "a"}
        await api.put(external_secret("no-such-secret", missing, rotationInterval="1h"), home)
        stray = {"key": "status/one", "name": "a", "secretStoreRef": {"name": "nowhere"}}
        await api.put(external_secret("no-such-store", stray), home)
        await api.put(store("broken", access_key="nothing"), home)
        await api.until_ready(home, "good", "Synced")
        await api.until_ready(home, "no-such-secret", "SecretNotFound")
        await api.until_ready(home, "no-such-store", "StoreNotFound")
        await api.until_ready(home, "broken", "AccessKeyNotFound", kind="SecretStore")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def mixed(cluster: ControlPlane, cloud: CloudInfo) -> AsyncIterator[str]:
    """For all tests that only look."""
    async with mixed_namespace(cluster, cloud) as home:
        yield home


@pytest.fixture
async def own_mixed(cluster: ControlPlane, cloud: CloudInfo) -> AsyncIterator[str]:
    async with mixed_namespace(cluster, cloud) as home:
        yield home


async def kubectl(plane: ControlPlane, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        str(plane.binaries.kubectl),
        *("--kubeconfig", str(plane.kubeconfig)),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return out.decode()


async def test_status_shows_what_kubectl_shows(cluster: ControlPlane, mixed: str, cli: Cli) -> None:
    reported = await kubectl(cluster, "get", "externalsecrets", "-n", mixed, "-o", "json")
    expected = []
    for found in json.loads(reported)["items"]:
        ready = found["status"]["conditions"][0]
        expected.append(
            {
                "namespace": mixed,
                "name": found["metadata"]["name"],
                "ready": ready["status"],
                "upToDate": True,
                "reason": ready["reason"],
                "message": ready["message"],
                "target": found["metadata"]["name"],
                "lastSyncTime": found["status"].get("lastSyncTime"),
                "refreshPolicy": "Periodic",
                "rotationInterval": found["spec"].get("rotationInterval"),
                "clusterExternalSecret": None,
            }
        )
    done = await cli("status", "-n", mixed, "-o", "json")
    assert (done.code, done.err) == (0, "")
    shown = json.loads(done.out)
    assert shown["externalSecrets"] == expected
    assert (shown["version"], shown["ready"], shown["notes"]) == (1, False, [])
    stores = {one["name"]: (one["kind"], one["ready"]) for one in shown["stores"]}
    assert stores["broken"] == ("SecretStore", "False")
    assert stores["store"] == ("SecretStore", "True")


async def test_table_shows_only_stores_that_are_not_ready(mixed: str, cli: Cli) -> None:
    done = await cli("status", "-n", mixed)
    assert done.code == 0
    head, good, no_secret, no_store, *_ = done.out.splitlines()
    assert " ".join(head.split()) == "NAME READY REASON LAST SYNC NEXT SYNC WHY NOT"
    assert good.split()[:3] == ["good", "True", "Synced"]
    assert good.endswith("polling interval")
    assert no_secret.split()[:3] == ["no-such-secret", "False", "SecretNotFound"]
    assert "status/none" in no_secret
    assert "nowhere" in no_store
    assert "3 ExternalSecrets, 2 not ready" in done.out
    assert f"SecretStore {mixed}/broken" in done.out
    assert f"SecretStore {mixed}/store" not in done.out
    assert "\x1b" not in done.out


async def test_all_namespaces_have_a_column(mixed: str, cli: Cli) -> None:
    done = await cli("status", "-A")
    assert done.out.startswith("NAMESPACE ")
    assert [mixed, "good", "True"] in [line.split()[:3] for line in done.out.splitlines()]


async def test_exit_code_reports_readiness_on_request(mixed: str, cli: Cli) -> None:
    assert (await cli("status", "-n", mixed, "--exit-code")).code == 1


async def test_namespace_is_that_of_the_context(
    cluster: ControlPlane, mixed: str, cli: Cli, tmp_path: Path
) -> None:
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    document["contexts"][0]["context"]["namespace"] = mixed
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    done = await cli("status", "--kubeconfig", str(path))
    assert "\ngood " in done.out


async def test_user_without_access_to_stores_sees_the_rest(
    cluster: ControlPlane, api: Api, mixed: str, cli: Cli, tmp_path: Path
) -> None:
    account = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "viewer"}}
    await api.put(account, mixed)
    group = "/apis/rbac.authorization.k8s.io/v1"
    role: dict[str, Any] = {
        "metadata": {"name": "viewer"},
        "rules": [
            {
                "apiGroups": ["alibabacloud.com"],
                "resources": ["externalsecrets", "secretstores"],
                "verbs": ["list"],
            }
        ],
    }
    binding = {
        "metadata": {"name": "viewer"},
        "roleRef": {"apiGroup": group.split("/")[2], "kind": "Role", "name": "viewer"},
        "subjects": [{"kind": "ServiceAccount", "name": "viewer", "namespace": mixed}],
    }
    for plural, body in (("roles", role), ("rolebindings", binding)):
        status, reply = await api.request("POST", f"{group}/namespaces/{mixed}/{plural}", body)
        assert status == 201, reply
    token = await cluster.token_for(mixed, "viewer")
    path = kubeconfig(tmp_path / "viewer", cluster.server, token, str(cluster.ca_file))

    done = await cli("status", "-n", mixed, "--kubeconfig", path)
    assert (done.code, done.err) == (0, "")
    assert "good" in done.out
    assert f"SecretStore {mixed}/broken" in done.out
    assert "ClusterSecretStores are not shown" in done.out

    done = await cli("status", "-A", "--kubeconfig", path)
    assert done.code == 1
    assert done.err.startswith("secret-sync status: ")
    assert 'cannot list resource "externalsecrets"' in done.err


@asynccontextmanager
async def watching(
    plane: ControlPlane, namespace: str, output: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(str(PROGRAM), "status", "--watch", "-n", namespace),
        env=environment({"KUBECONFIG": str(plane.kubeconfig), "TERM": "xterm"}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_watch_shows_changes_and_ends_cleanly(
    cluster: ControlPlane, api: Api, own_mixed: str
) -> None:
    async with watching(cluster, own_mixed, asyncio.subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(60):
            while not (await process.stdout.readline()).startswith(b"good "):
                pass
            await api.put(external_secret("late", {"key": "status/one"}), own_mixed)
            while not (await process.stdout.readline()).startswith(b"late "):
                pass
            await api.delete("ExternalSecret", own_mixed, "good")
            while b"3 ExternalSecrets" not in await process.stdout.readline():
                pass
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
        assert (process.returncode, err) == (0, b"")


async def test_watch_on_a_terminal_gives_the_screen_back(cluster: ControlPlane, mixed: str) -> None:
    ours, theirs = os.openpty()
    seen = b""

    def read() -> bytes:
        return os.read(ours, 65536)

    async with watching(cluster, mixed, theirs) as process:
        async with asyncio.timeout(60):
            while b"ready\x1b[K" not in seen:
                seen += await asyncio.to_thread(read)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
            # What is left of the terminal's: the last snapshot, on the screen that came back.
            while b"WHY NOT" not in seen.partition(b"\x1b[?1049l")[2]:
                seen += await asyncio.to_thread(read)
    os.close(theirs)
    os.close(ours)
    assert seen.startswith(b"\x1b[?1049h")
    assert b"\x1b[32mTrue\x1b[0m" in seen
    assert b"\x1b[31mFalse\x1b[0m" in seen


async def test_missing_kubeconfig_is_one_line(cluster: ControlPlane, cli: Cli) -> None:
    done = await cli("status", "--kubeconfig", "/nonexistent/config")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("secret-sync status: kubeconfig '/nonexistent/config': no such file")
    assert done.err.count("\n") == 1


async def test_kubectl_runs_the_program_as_its_plugin(cluster: ControlPlane, mixed: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(str(cluster.binaries.kubectl), "secret-sync", "status", "-n", mixed, "good"),
        *("--kubeconfig", str(cluster.kubeconfig), "-o", "wide"),
        env=environment({"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    head, good, _, summary = out.decode().splitlines()
    assert head.split()[-4:] == ["SECRET", "REFRESH", "WHY", "NOT"]
    assert good.split()[:3] == ["good", "True", "Synced"]
    assert summary == "1 ExternalSecret, all ready"


async def test_name_that_does_not_exist_is_one_line(mixed: str, cli: Cli) -> None:
    done = await cli("status", "-n", mixed, "nobody")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"secret-sync status: ExternalSecret {mixed}/nobody does not exist\n"


async def test_message_is_a_column_of_kubectl_on_request(cluster: ControlPlane, mixed: str) -> None:
    shown = await kubectl(cluster, "get", "aes,ass", "-n", mixed, "-o", "wide")
    assert "MESSAGE" in shown
    assert "refers to SecretStore" in shown
    assert "MESSAGE" not in await kubectl(cluster, "get", "aes,ass", "-n", mixed)
