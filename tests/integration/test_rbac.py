"""The rights of deploy/base: what the controller's ServiceAccount may do."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

import yaml

from tests.integration.crd_kubectl import GROUP, PLURALS, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.crd_kubectl import CrdKubectl

BASE = ROOT / "deploy" / "base"
COMPONENTS = BASE.parent / "components"
SERVICE_ACCOUNT = "system:serviceaccount:secret-sync-system:secret-sync"


def test_the_base_builds_and_holds_no_definition(kubectl: CrdKubectl) -> None:
    built = list(yaml.safe_load_all(kubectl("kustomize", str(BASE))))
    kinds = {document["kind"] for document in built}
    rights = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding"}
    assert kinds == {"Namespace", "Service", "Deployment", *rights}


def test_the_controllers_account_may_do_its_work_and_no_more(
    kubectl: CrdKubectl, control_plane: ControlPlane
) -> None:
    kubectl("apply", "--server-side", "-k", str(BASE))
    may = partial(is_allowed, control_plane)
    for verb in ("get", "list", "watch", "create", "patch", "delete"):
        assert may(verb, "secrets")
    for verb in ("update", "deletecollection"):
        assert not may(verb, "secrets")
    for plural in PLURALS:
        assert may("watch", plural, group=GROUP)
        assert may("patch", plural, group=GROUP, subresource="status")
        # For the finalizer of ack-secret-manager.
        assert may("patch", plural, group=GROUP)
        assert not may("update", plural, group=GROUP)
        assert not may("delete", plural, group=GROUP)
    for resource in ("namespaces", "serviceaccounts"):
        assert may("list", resource)
        assert may("watch", resource)
        assert not may("get", resource)
        assert not may("create", resource)
    assert not may("create", "serviceaccounts", subresource="token")
    assert may("create", "events")
    assert not may("list", "events")
    for resource in ("configmaps", "pods"):
        assert not may("list", resource)
        assert not may("create", resource)


def test_tokens_of_service_accounts_are_a_right_of_their_own(
    kubectl: CrdKubectl, control_plane: ControlPlane, tmp_path: Path
) -> None:
    with_component(kubectl, tmp_path, COMPONENTS / "service-account-ref")
    assert is_allowed(control_plane, "create", "serviceaccounts", subresource="token")
    assert not is_allowed(control_plane, "create", "serviceaccounts")
    for kind in ("clusterrole", "clusterrolebinding"):
        kubectl("delete", kind, "secret-sync-service-account-ref")


def test_children_are_a_right_of_their_own(
    kubectl: CrdKubectl, control_plane: ControlPlane, tmp_path: Path
) -> None:
    with_component(kubectl, tmp_path, COMPONENTS / "cluster-external-secrets")
    may = partial(is_allowed, control_plane)
    for verb in ("create", "patch", "delete"):
        assert may(verb, "externalsecrets", group=GROUP)
        # For the finalizer of ack-secret-manager.
        assert verb == "patch" or not may(verb, "clusterexternalsecrets", group=GROUP)
    assert may("get", "namespaces")
    for kind in ("clusterrole", "clusterrolebinding"):
        kubectl("delete", kind, "secret-sync-cluster-external-secrets")


def test_restarts_are_a_right_of_their_own(
    kubectl: CrdKubectl, control_plane: ControlPlane, tmp_path: Path
) -> None:
    may = partial(is_allowed, control_plane, group="apps")
    kubectl("apply", "--server-side", "-k", str(BASE))
    assert not may("get", "deployments")
    assert not may("patch", "deployments")
    with_component(kubectl, tmp_path, COMPONENTS / "restart")
    for resource in ("deployments", "statefulsets", "daemonsets"):
        for verb in ("get", "patch"):
            assert may(verb, resource)
        for verb in ("list", "watch", "create", "update", "delete"):
            assert not may(verb, resource)
    assert not may("patch", "replicasets")
    for kind in ("clusterrole", "clusterrolebinding"):
        kubectl("delete", kind, "secret-sync-restart")


def test_users_of_a_namespace_may_have_what_their_role_says(
    kubectl: CrdKubectl, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """Bound to ``view`` and ``edit`` of Kubernetes, as it aggregates them."""
    with_component(kubectl, tmp_path, COMPONENTS / "user-roles")
    for role in ("view", "edit"):
        kubectl(
            "create",
            "rolebinding",
            role,
            f"--clusterrole={role}",
            f"--user={role}er",
            "-n",
            namespace,
        )
        aggregate(control_plane, role)
    may = partial(is_allowed, control_plane, group=GROUP, namespace=namespace)
    until(lambda: may("create", "externalsecrets", user="editer"))
    for plural in ("externalsecrets", "secretstores"):
        for verb in ("get", "list", "watch"):
            assert may(verb, plural, user="viewer")
            assert may(verb, plural, user="editer")
        for verb in ("create", "update", "patch", "delete"):
            assert not may(verb, plural, user="viewer")
            assert may(verb, plural, user="editer")
        assert not is_allowed(control_plane, "get", plural, group=GROUP, user="editer")
    for plural in ("clustersecretstores", "clusterexternalsecrets"):
        for user in ("viewer", "editer"):
            assert not may("get", plural, user=user)
            assert not may("create", plural, user=user)
    kubectl("delete", "clusterrole", "secret-sync-view", "secret-sync-edit")


def aggregate(plane: ControlPlane, name: str) -> None:
    """What a controller of Kubernetes does that this control plane does not run."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    role = plane.admin.request("GET", f"{path}/{name}").body
    rules = []
    for selector in role["aggregationRule"]["clusterRoleSelectors"]:
        labels = ",".join(f"{k}={v}" for k, v in selector["matchLabels"].items())
        found = plane.admin.request("GET", f"{path}?labelSelector={quote(labels)}").body
        rules += [rule for item in found["items"] for rule in item["rules"] or ()]
    plane.admin.request("PUT", f"{path}/{name}", {**role, "rules": rules})


def until(true: Callable[[], bool]) -> None:
    """A rule takes a moment to be in force."""
    by = time.monotonic() + 30
    while not true():
        assert time.monotonic() < by
        time.sleep(0.1)


def with_component(kubectl: CrdKubectl, directory: Path, component: Path) -> None:
    """Install the base with one component."""
    written = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(BASE, directory)],
        "components": [os.path.relpath(component, directory)],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(written))
    kubectl("apply", "--server-side", "-k", str(directory))


def is_allowed(
    plane: ControlPlane,
    verb: str,
    resource: str,
    *,
    group: str = "",
    subresource: str = "",
    namespace: str = "",
    user: str = SERVICE_ACCOUNT,
) -> bool:
    """Whether RBAC lets a user, by default the controller's ServiceAccount, do it."""
    attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
    answer = plane.admin.request(
        "POST",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        {"spec": {"user": user, "resourceAttributes": {**attributes, "namespace": namespace}}},
    )
    allowed: bool = answer.body["status"]["allowed"]
    return allowed
