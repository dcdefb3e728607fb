"""The rights of deploy/base: what the controller's ServiceAccount may do."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import yaml

from tests.integration.crd_kubectl import GROUP, PLURALS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.crd_kubectl import CrdKubectl

BASE = ROOT / "deploy" / "base"
TOKENS = BASE.parent / "components" / "service-account-ref"
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
    written = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(BASE, tmp_path)],
        "components": [os.path.relpath(TOKENS, tmp_path)],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(written))
    kubectl("apply", "--server-side", "-k", str(tmp_path))
    assert is_allowed(control_plane, "create", "serviceaccounts", subresource="token")
    assert not is_allowed(control_plane, "create", "serviceaccounts")
    for kind in ("clusterrole", "clusterrolebinding"):
        kubectl("delete", kind, "secret-sync-service-account-ref")


def is_allowed(
    plane: ControlPlane, verb: str, resource: str, *, group: str = "", subresource: str = ""
) -> bool:
    """Whether RBAC lets the controller's ServiceAccount do it."""
    attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
    answer = plane.admin.request(
        "POST",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        {"spec": {"user": SERVICE_ACCOUNT, "resourceAttributes": attributes}},
    )
    allowed: bool = answer.body["status"]["allowed"]
    return allowed
