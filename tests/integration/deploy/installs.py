"""What people install: the overlays as they are, and combinations of what there is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.support.kustomize import BASE, COMPONENTS, DEPLOY, OVERLAYS, write

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

#: With named namespaces only, another component takes its place.
RESTART: Final = "restart"
#: What can be added to any overlay.
ADDED: Final = (
    "ha",
    "monitoring",
    "network-policy",
    "network-policy-metadata",
    "priority",
    "push-refresh",
    "service-account-ref",
    RESTART,
)
#: Part of ``ack-compat``.
TEMPLATES: Final = "template-config-maps"
#: The components beside an overlay, by what a test calls the combination. Between them all of
#: ours are there, and those that people combine meet each other.
COMBINED: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "rrsa+all": ("rrsa", (*ADDED, TEMPLATES)),
    "ack-compat+all": ("ack-compat", ADDED),
    "multi-tenant+all": ("multi-tenant", ("rrsa", "worker-role", *ADDED, TEMPLATES)),
    "namespaced+all": ("namespaced", ("rrsa", "multi-tenant", *ADDED)),
    "ack-compat+namespaced": ("ack-compat", ("namespaced", "ha")),
}
#: Where each of them is, if not where ``deploy/base`` says.
ELSEWHERE: Final = {
    "ack-compat+all": "kube-system",
    "namespaced+all": "secrets",
    "ack-compat+namespaced": "kube-system",
}
INSTALLS: Final = ("base", *(folder.name for folder in sorted(OVERLAYS.iterdir())), *COMBINED)

_MONITORING: Final = "/apis/monitoring.coreos.com/v1/namespaces/{namespace}"
#: Where all kinds are that may be in them. Ours are not among them, nor are their definitions.
PATHS: Final = {
    "Namespace": "/api/v1/namespaces/{name}",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts/{name}",
    "Service": "/api/v1/namespaces/{namespace}/services/{name}",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{name}",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{name}",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/{name}",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/{name}",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps/{name}",
    "ServiceMonitor": f"{_MONITORING}/servicemonitors/{{name}}",
    "PrometheusRule": f"{_MONITORING}/prometheusrules/{{name}}",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/{name}",
}


def path_of(item: dict[str, Any]) -> str:
    """Where the API server has an object of an install."""
    metadata = item["metadata"]
    place = {"namespace": metadata.get("namespace", ""), "name": metadata["name"]}
    return PATHS[item["kind"]].format(**place)


def folder_of(install: str, tmp_path: Path, *watched: str) -> Path:
    """The kustomization of one of them.

    Args:
        install: Its name.
        tmp_path: Where it may be written.
        watched: The namespaces that it is for, where it is for some only.
    """
    if install == "base":
        return BASE
    overlay, components = COMBINED.get(install, (install, ()))
    where = {"namespace": ELSEWHERE[install]} if install in ELSEWHERE else {}
    if "namespaced" in (overlay, *components):
        return namespaced(tmp_path / "install", *watched, overlay=overlay, more=components, **where)
    if not components:
        return OVERLAYS / overlay
    return write(
        tmp_path / "install",
        resources=[OVERLAYS / overlay],
        components=[COMPONENTS / name for name in components],
        **where,
    )


def namespaced(
    folder: Path,
    *watched: str,
    overlay: str = "namespaced",
    more: Collection[str] = (),
    **controller: Any,
) -> Path:
    """What docs/install.md has a user write to get along without a ClusterRole.

    Args:
        folder: Where to write it.
        watched: The namespaces that it is for.
        overlay: The one of the controller.
        more: Components of the controller.
        controller: What else its kustomization says.
    """
    variable = {"name": "SECRET_SYNC_WATCH_NAMESPACES", "value": ",".join(watched)}
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "secret-sync"},
        "spec": {
            "template": {"spec": {"containers": [{"name": "secret-sync", "env": [variable]}]}}
        },
    }
    write(
        folder / "controller",
        resources=[OVERLAYS / overlay],
        components=[COMPONENTS / name for name in more if name != RESTART],
        patches=[{"patch": json.dumps(patch)}],
        **controller,
    )
    restarts = [COMPONENTS / "restart-namespaced"] if RESTART in more else []
    for name in watched:
        write(folder / name, resources=[DEPLOY / "watched-namespace"], namespace=name)
    return write(
        folder,
        resources=[folder / name for name in ("controller", *watched)],
        components=[COMPONENTS / "namespaced-roles", *restarts],
    )
