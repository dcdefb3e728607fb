"""The pod of each install: the controller's configuration, and what a strict cluster says of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from secret_sync.settings import BindAddress, Settings, parse_run_arguments
from secret_sync.settings.flags import GROUPS, variable
from secret_sync.settings.model import TOKEN_FILE
from tests.integration.deploy.installs import INSTALLS, folder_of
from tests.support.kustomize import (
    BASE,
    COMPONENTS,
    container,
    deployment,
    environment,
    of_kind,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kustomize import Kubectl
    from tests.support.operator import Api

NOBODY: dict[str, Any] = {
    "template_secrets": "granted",
    "controller_identity_namespaces": ("SET-ME",),
    "allow_role_arn": ("acs:ram::SET-ME:role/SET-ME",),
}
ACROSS: dict[str, Any] = {
    "enable_cross_namespace_secret_store": True,
    "enable_cross_namespace_auth_ref": True,
}
#: What the controller is to understand of each, beyond the defaults.
TOLD: dict[str, dict[str, Any]] = {
    "base": {"enable_worker_role": False},
    "rrsa": {"enable_worker_role": False},
    "worker-role": {},
    "ack-compat": ACROSS,
    "multi-tenant": {"enable_worker_role": False, **NOBODY},
    "namespaced": {"enable_worker_role": False, "watch_namespaces": ("shop",)},
    "rrsa+all": {"enable_worker_role": False, "leader_elect": True},
    "ack-compat+all": {**ACROSS, "leader_elect": True},
    # The role of the node, but for those alone that are named.
    "multi-tenant+all": {**NOBODY, "leader_elect": True},
    "namespaced+all": {
        "enable_worker_role": False,
        "watch_namespaces": ("shop",),
        "leader_elect": True,
        **NOBODY,
    },
    "ack-compat+namespaced": {**ACROSS, "watch_namespaces": ("shop",), "leader_elect": True},
}


def test_every_install_is_looked_at() -> None:
    assert set(INSTALLS) == set(TOLD)


@pytest.mark.parametrize("install", INSTALLS)
def test_command_and_environment_of_the_pod_are_understood(
    kubectl: Kubectl, tmp_path: Path, install: str
) -> None:
    objects = kubectl.render(folder_of(install, tmp_path, "shop"))
    command = container(objects)["command"]
    assert command[:2] == ["secret-sync", "run"]
    variables = environment(objects)
    assert variables.keys() <= {variable(f.name) for flags in GROUPS.values() for f in flags}
    told = Settings(**TOLD[install])
    if install.endswith("+all"):
        told = replace(told, refresh_bind_address=BindAddress("", 8081))
    assert parse_run_arguments(command[2:], variables) == told


def test_replicas_are_configured_to_elect(kubectl: Kubectl, tmp_path: Path) -> None:
    folder = write(tmp_path / "ha", resources=[BASE], components=[COMPONENTS / "ha"])
    objects = kubectl.render(folder)
    assert deployment(objects)["spec"]["replicas"] == 2
    variables = environment(objects)
    settings = parse_run_arguments([], variables)
    assert settings.leader_elect
    # The Lease that they ask for is the one that they may have.
    (role,) = of_kind("Role", objects)
    names = [rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule]
    assert names == [[settings.leader_elect_name]]
    # Its own namespace, which is that of the Role.
    assert settings.leader_elect_namespace == ""
    assert role["metadata"]["namespace"] == "secret-sync-system"


@pytest.mark.parametrize("install", ["rrsa", "ack-compat", "multi-tenant+all", "namespaced+all"])
def test_the_token_is_where_it_is_looked_for(
    kubectl: Kubectl, tmp_path: Path, install: str
) -> None:
    objects = kubectl.render(folder_of(install, tmp_path, "shop"))
    mounts = container(objects)["volumeMounts"]
    (volume,) = [v for v in volumes_of(objects) if "projected" in v]
    (mount,) = [m for m in mounts if m["name"] == volume["name"]]
    (source,) = volume["projected"]["sources"]
    token = source["serviceAccountToken"]
    assert f"{mount['mountPath']}/{token['path']}" == TOKEN_FILE
    assert token["audience"] == "sts.aliyuncs.com"


def volumes_of(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = deployment(objects)["spec"]["template"]["spec"]["volumes"]
    return volumes


def test_push_refresh_is_configured_and_reached_where_it_listens(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    name = "push-refresh"
    folder = write(tmp_path / name, resources=[BASE], components=[COMPONENTS / name])
    objects = kubectl.render(folder)
    settings = parse_run_arguments([], environment(objects))
    bind = settings.refresh_bind_address
    assert bind is not None
    (mount,) = container(objects)["volumeMounts"]
    (volume,) = volumes_of(objects)
    assert mount["mountPath"] == settings.refresh_token_dir
    assert "subPath" not in mount
    assert mount["name"] == volume["name"]
    # Only the group of the pod may read it.
    assert volume["secret"] == {"secretName": "secret-sync-refresh", "defaultMode": 0o440}
    ports = {port["name"]: port["containerPort"] for port in container(objects)["ports"]}
    assert ports["refresh"] == bind.port
    (service,) = [s for s in of_kind("Service", objects) if "refresh" in s["metadata"]["name"]]
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["refresh"]
    (policy,) = of_kind("NetworkPolicy", objects)
    admitted = {p["port"] for rule in policy["spec"]["ingress"] for p in rule["ports"]}
    assert admitted == set(ports.values())


@pytest.fixture
async def strict(api: Api, namespace: str) -> str:
    """A namespace that takes restricted pods only."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    await api.merge("Namespace", "", namespace, {"metadata": {"labels": labels}})
    for name in ("secret-sync", "ack-secret-manager"):
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        await api.put(account, namespace)
    return namespace


@pytest.mark.parametrize("install", INSTALLS)
async def test_a_strict_namespace_takes_its_pod(
    kubectl: Kubectl, api: Api, strict: str, tmp_path: Path, install: str
) -> None:
    folder = folder_of(install, tmp_path, "shop")
    template = deployment(await asyncio.to_thread(kubectl.render, folder))["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**template["metadata"], "name": "some"}
    path = f"/api/v1/namespaces/{strict}/pods?dryRun=All"
    status, body = await api.request("POST", path, pod)
    assert status == 201, body

    # The strictness is real.
    pod["spec"] = {**pod["spec"], "hostNetwork": True}
    status, body = await api.request("POST", path, pod)
    assert status == 403
    assert "hostNetwork=true" in body["message"]


def test_pod_has_a_read_only_file_system_and_no_service_variables(
    kubectl: Kubectl,
) -> None:
    """What the standard does not ask for."""
    objects = kubectl.render(BASE)
    assert container(objects)["securityContext"]["readOnlyRootFilesystem"] is True
    pod = deployment(objects)["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False
    assert set(container(objects)["resources"]["requests"]) == {"cpu", "memory"}


def test_service_probes_and_policies_mean_the_port_it_serves(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    policies = [COMPONENTS / "network-policy", COMPONENTS / "network-policy-metadata"]
    objects = kubectl.render(write(tmp_path / "all", resources=[BASE], components=policies))
    bind = parse_run_arguments([], environment(objects)).metrics_bind_address
    assert bind is not None
    (port,) = container(objects)["ports"]
    assert port["containerPort"] == bind.port
    probes = [container(objects)[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe")]
    assert [(p["path"], p["port"]) for p in probes] == [
        ("/healthz", port["name"]),
        ("/readyz", port["name"]),
    ]
    (service,) = of_kind("Service", objects)
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    labels = deployment(objects)["spec"]["template"]["metadata"]["labels"]
    found = {p["metadata"]["name"]: p["spec"] for p in of_kind("NetworkPolicy", objects)}
    assert service["spec"]["selector"].items() <= labels.items()
    for policy in found.values():
        assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    (ingress,) = found["secret-sync"]["ingress"]
    assert [p["port"] for p in ingress["ports"]] == [bind.port]
    # The metadata service is reached by way of the policy that is named after it, and by no other.
    away, away_by_ipv6 = found["secret-sync"]["egress"][1]["to"]
    metadata = parse_run_arguments([], {}).metadata_endpoint
    assert away["ipBlock"] == {"cidr": "0.0.0.0/0", "except": [f"{metadata}/32"]}
    assert away_by_ipv6["ipBlock"] == {"cidr": "::/0"}
    (to,) = found["secret-sync-metadata"]["egress"]
    assert to["to"] == [{"ipBlock": {"cidr": f"{metadata}/32"}}]


def test_a_role_in_one_namespace_is_the_cluster_role_without_what_is_in_none() -> None:
    whole = yaml.safe_load((BASE / "clusterrole.yaml").read_text())["rules"]
    role = BASE.parent / "watched-namespace" / "role.yaml"
    part = yaml.safe_load(role.read_text())["rules"]
    without = {"clustersecretstores", "clustersecretstores/status", "namespaces"}
    without |= {"clusterexternalsecrets", "clusterexternalsecrets/status"}
    without |= {"customresourcedefinitions"}

    def rights(rules: list[dict[str, Any]]) -> set[tuple[str, str]]:
        return {(r, v) for rule in rules for r in rule["resources"] for v in rule["verbs"]}

    assert rights(part) == {(r, v) for r, v in rights(whole) if r not in without}
