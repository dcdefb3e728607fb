"""What a replica may do: the rules as shipped, and no more."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.integration.ha.conftest import records
from tests.support.program import kubeconfig, run_to_the_end, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api

DEPLOY = Path(__file__).parents[3] / "deploy"
GROUP = "rbac.authorization.k8s.io"
RBAC = f"/apis/{GROUP}/v1"
FLAGS = ("--leader-elect", "--metrics-bind-address=0", "--region=cn-hangzhou")


def rules(path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((DEPLOY / path).read_text())["rules"]
    return found


@pytest.fixture
async def base_only(
    audited: ControlPlane, api: Api, home: str, tmp_path: Path
) -> AsyncIterator[str]:
    """A kubeconfig of a ServiceAccount that has the rules of ``deploy/base``."""
    name = f"ha-base-{home}"
    subject = {"kind": "ServiceAccount", "name": "replica", "namespace": home}
    role = {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}
    named = {"metadata": {"name": name}}
    for path, document in (
        (f"/api/v1/namespaces/{home}/serviceaccounts", {"metadata": {"name": "replica"}}),
        (f"{RBAC}/clusterroles", {**named, "rules": rules("base/clusterrole.yaml")}),
        (f"{RBAC}/clusterrolebindings", {**named, "roleRef": role, "subjects": [subject]}),
    ):
        status, body = await api.request("POST", path, document)
        assert status == 201, body
    token = await audited.token_for(home, "replica")
    yield kubeconfig(tmp_path / "kubeconfig", audited.server, token, str(audited.ca_file))
    for kind in ("clusterrolebindings", "clusterroles"):
        await api.request("DELETE", f"{RBAC}/{kind}/{name}")


async def grant(api: Api, home: str, granted: list[dict[str, Any]]) -> None:
    subject = {"kind": "ServiceAccount", "name": "replica", "namespace": home}
    role = {"apiGroup": GROUP, "kind": "Role", "name": "leader"}
    named = {"metadata": {"name": "leader"}}
    place = f"{RBAC}/namespaces/{home}"
    for path, document in (
        (f"{place}/roles", {**named, "rules": granted}),
        (f"{place}/rolebindings", {**named, "roleRef": role, "subjects": [subject]}),
    ):
        status, body = await api.request("POST", path, document)
        assert status == 201, body


def without(verb: str) -> list[dict[str, Any]]:
    """The rules for the Lease as shipped, but for one verb."""
    return [
        {**rule, "verbs": left}
        for rule in rules("components/ha/role.yaml")
        if (left := [allowed for allowed in rule["verbs"] if allowed != verb])
    ]


async def test_without_the_rules_for_the_lease_one_line_says_so(base_only: str, home: str) -> None:
    assert "get leases.coordination.k8s.io secret-sync" in await refusal(base_only, home)


@pytest.mark.parametrize(
    ("verb", "right"),
    [
        ("get", "get leases.coordination.k8s.io secret-sync"),
        ("update", "update leases.coordination.k8s.io secret-sync"),
        ("create", "create leases.coordination.k8s.io"),
    ],
)
async def test_without_one_of_them_one_line_says_which(
    api: Api, base_only: str, home: str, verb: str, right: str
) -> None:
    await grant(api, home, without(verb))
    await asyncio.sleep(0.5)
    assert right in await refusal(base_only, home)


async def refusal(config: str, home: str) -> str:
    """The one line of a replica that does not start."""
    flags = (*FLAGS, f"--leader-elect-namespace={home}")
    done = await asyncio.to_thread(run_to_the_end, *flags, KUBECONFIG=config)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "--leader-elect: " in line
    assert line.endswith("add that to its Role")
    return line


async def test_with_them_it_leads_and_gives_the_lease_back(
    audited: ControlPlane, api: Api, base_only: str, home: str
) -> None:
    await grant(api, home, rules("components/ha/role.yaml"))
    await asyncio.sleep(0.5)
    flags = (*FLAGS, f"--leader-elect-namespace={home}")
    async with running(*flags, KUBECONFIG=base_only) as child:
        await child.until_says("leading", 40)
        await asyncio.sleep(3)
        child.process.send_signal(signal.SIGTERM)
        assert await child.ends() == 0
    assert any("lease released" in line for line in child.lines)
    assert not [line for line in child.lines if "lease not reached" in line]
    done = await records(audited, home)
    assert [record for record in done if record.denied] == []
    # Each of them is used.
    granted = {verb for rule in rules("components/ha/role.yaml") for verb in rule["verbs"]}
    assert {record.verb for record in done if record.resource == "leases"} == granted
