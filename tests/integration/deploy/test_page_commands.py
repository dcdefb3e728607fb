"""Each command of the runbook, of troubleshooting and of the reference is one that can be typed.

The cluster has no nodes, so its pod has no log, and no port.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from secret_sync.settings.model import BindAddress
from tests.integration.deploy.person import fenced
from tests.integration.migration.shell import Shell
from tests.support.documentation import blocks
from tests.support.operator import external_secret, operator, settings_for
from tests.support.program import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api

HOME: Final = "secret-sync-system"
PAGES: Final = (
    "docs/runbook.md",
    "docs/troubleshooting.md",
    "docs/reference.md",
    "docs/restart-on-change.md",
)
#: What cannot be run here, by its beginning, and why.
ELSEWHERE: Final = {
    "aliyun ": "the program of Alibaba Cloud, and an account there",
    "curl -s -m 2 http://100.100.100.200/": "answers on a node of Alibaba Cloud only",
    "curl -sv https://kms-vpc.": "answers within a VPC only",
    "cat /etc/ssl/certs/": "writes into /etc of the machine",
    "SSL_CERT_FILE=/etc/": "reads what the line before has written",
}
#: What a command says that was understood, and for which a node would be needed.
NO_NODE: Final = {
    "kubectl port-forward": "pod is not running",
}
#: Finding nothing, and saying no, is an answer.
MAY_FAIL: Final = ("grep", "auth can-i", "--exit-code")
COMPLAINT: Final = re.compile(
    r"^(error|Error from server|Warning|usage|secret-sync[a-z ]*): ", re.MULTILINE
)
OBJECT: Final = external_secret("some", {"key": "commands/one", "name": "x"})


def lines_of(page: str) -> list[str]:
    """Its commands, without comments and what it continues on the next line."""
    text = "".join(found.body for found in blocks(page, "sh"))
    lines = (re.sub(r"\s+#.*$", "", line) for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith(tuple(ELSEWHERE))]


@pytest.fixture
async def shell(
    plane: ControlPlane, admin: CloudAdmin, api: Api, tmp_path: Path
) -> AsyncIterator[Shell]:
    """Of somebody whose controller runs, with its pod as far as there are any."""
    made = Shell.in_folder(plane, tmp_path)
    (tmp_path / "my-cluster").mkdir()
    (tmp_path / "my-cluster" / "kustomization.yaml").write_text(fenced("yaml kustomization"))
    (tmp_path / "manifests").mkdir()
    for name in ("es.yaml", "manifests/es.yaml"):
        (tmp_path / name).write_text(yaml.safe_dump(OBJECT))
    (tmp_path / "document.json").write_text("{}")
    code, out = await made.run("kubectl apply --server-side -k my-cluster")
    assert code == 0, out
    path = f"/apis/apps/v1/namespaces/{HOME}/deployments/secret-sync"
    status, found = await api.request("GET", path)
    assert status == 200, found
    template = found["spec"]["template"]
    template["metadata"] |= {"name": "pod"}
    pods = f"/api/v1/namespaces/{HOME}/pods"
    status, body = await api.request("POST", pods, {"apiVersion": "v1", "kind": "Pod", **template})
    assert status == 201, body
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases"
    status, body = await api.request("POST", leases, {"metadata": {"name": "secret-sync"}})
    assert status == 201, body
    await admin.put_secret("commands/one", "one")
    yield made
    await api.request("DELETE", f"{pods}/pod?gracePeriodSeconds=0")
    await made.run("kubectl delete --ignore-not-found -k my-cluster")


def typed(line: str, home: str, port: int) -> str:
    """A line with the names of this cluster; one in the background is waited for."""
    names = {
        "name": "some",
        "key": "x",
        "store": "store",
        "resource": "secrets",
        "pod": "pod",
        "kms-secret": "commands/one",
        "file": "document.json",
        "reconcile_id": "id",
        "namespace": home,
        "its-namespace": home,
        "your-namespace": "default",
    }
    line = line.replace("<controller>:8080", "127.0.0.1:8080").replace(":8080/", f":{port}/")
    line = line.replace("aes shop-db", f"aes some -n {home}")
    for name, value in names.items():
        line = line.replace(f"<{name}>", value)
    assert not re.search(r"<[a-z][a-z_-]*>", line), f"nothing is known of {line}"
    return line.removesuffix("&")


@pytest.mark.parametrize("page", PAGES)
async def test_commands_of_the_page_can_be_typed(
    page: str, shell: Shell, plane: ControlPlane, cloud: CloudInfo, api: Api, home: str
) -> None:
    port = free_port()
    address = BindAddress("127.0.0.1", port)
    async with operator(settings_for(plane, cloud, home, metrics_bind_address=address)):
        await api.put(OBJECT, home)
        await api.until_ready(home, "some", "Synced")
        lines = lines_of(page)
        assert lines
        for line in lines:
            command = typed(line, home, port)
            code, out = await shell.run(command)
            refused = next((NO_NODE[begin] for begin in NO_NODE if command.startswith(begin)), "")
            assert refused in out, f"{command}\n{out}"
            allowed = bool(refused) or any(word in command for word in MAY_FAIL)
            assert code == 0 or (code == 1 and allowed), f"{command}: {code}\n{out}"
            assert refused or not COMPLAINT.search(out), f"{command}\n{out}"


def test_commands_that_are_not_run_are_on_a_page() -> None:
    text = "".join(found.body for page in PAGES for found in blocks(page))
    lines = [line.strip() for line in text.splitlines()]
    assert [begin for begin in ELSEWHERE if not any(li.startswith(begin) for li in lines)] == []
