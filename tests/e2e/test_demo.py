"""``secret-sync local demo``: it comes true, on a control plane of its own and on a given one."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from secret_sync.local.controlplane.plane import ControlPlane

    Start = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("programs")

STORY = (
    "the Secret is there",
    "password ",
    "username ",
    "Ready=True Synced",
    "the Secret followed after",
    "changed",
    "secret-sync local events http://127.0.0.1:",
    "pushed: the Secret followed ",
    "repaired ",
    "the garbage collector took the Secret",
    "secret-sync.alibabacloud.com/restarted-for",
    "restarted ",
    "friendname: lily",
    'mark: [{"name":"mark"}]',
    "mark: - name: mark",
    "JSON and YAML became the keys of four Secrets",
    "url: https://tom@lily:443",
    "label user: TOM",
    "the Secret has what the template renders, and nothing else",
    "A ClusterExternalSecret: namespaces with a label get an ExternalSecret",
    "externalsecret.alibabacloud.com/shared ",
    "with the label the ExternalSecret is gone",
    "role/shop-reader trusts ServiceAccount",
    # With the Secret's name, this is the list in which an AccessKey would show.
    "secretstore.alibabacloud.com/kms-by-role ",
    "True    Ready",
    "externalsecret.alibabacloud.com/database-by-role ",
    "secret/database-by-role ",
    "synced with a token of the API server and 1 call of STS; no AccessKey is left",
    "every process of the demo has ended",
)


def report(output: str) -> None:
    """The story is told, in this order, and nothing failed."""
    position = 0
    for part in STORY:
        position = output.find(part, position)
        assert position >= 0, f"{part!r} is missing in:\n{output}"
    assert "secret/kms-reader " not in output[output.index("kms-by-role") :]
    assert "✗" not in output
    assert "\033" not in output


def namespaces(plane: ControlPlane) -> set[str]:
    """Those of demos, which are gone or on their way."""
    answer = plane.admin.request("GET", "/api/v1/namespaces")
    items = [item["metadata"] for item in answer.body["items"]]
    names = {str(item["name"]) for item in items if "deletionTimestamp" not in item}
    return {name for name in names if name.startswith("secret-sync-demo-")}


def test_own_control_plane(start: Start) -> None:
    demo = start("local", "demo")
    assert demo.process.wait(110) == 0, demo.stdout + demo.stderr
    report(demo.stdout)
    assert demo.running() == []
    assert list(demo.mark.iterdir()) == []


def test_on_the_cluster_of_kubeconfig(start: Start, control_plane: ControlPlane) -> None:
    demo = start("local", "demo", KUBECONFIG=str(control_plane.kubeconfig))
    assert demo.process.wait(110) == 0, demo.stdout + demo.stderr
    report(demo.stdout)
    reported = demo.stdout.index(f"this uses the cluster {control_plane.server}")
    assert reported < demo.stdout.index("$ kubectl")
    namespace = re.search("namespace/(secret-sync-demo-[0-9a-f]+) created", demo.stdout)
    assert namespace
    answer = control_plane.admin.request("GET", f"/api/v1/namespaces/{namespace[1]}")
    assert answer.status == 404
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/secretstores.alibabacloud.com"
    assert control_plane.admin.request("GET", crds).status == 200
    assert demo.running() == []


def test_ctrl_c_takes_everything_back(start: Start, control_plane: ControlPlane) -> None:
    demo = start("local", "demo", KUBECONFIG=str(control_plane.kubeconfig))
    demo.until(lambda command: "5. " in command.stdout)
    assert namespaces(control_plane)
    assert demo.ctrl_c() == 128 + signal.SIGINT
    assert demo.running() == []
    assert namespaces(control_plane) == set()
    assert "Traceback" not in demo.stdout + demo.stderr


def test_a_kubeconfig_that_leads_nowhere_is_one_line(start: Start, tmp_path: Path) -> None:
    demo = start("local", "demo", KUBECONFIG=str(tmp_path / "none"))
    assert demo.process.wait(60) == 1
    failed = [line for line in demo.stdout.splitlines() if "✗" in line]
    assert len(failed) == 1
    assert "names no cluster" in failed[0]
    assert demo.stderr == ""
    assert demo.running() == []
