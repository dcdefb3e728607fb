"""The namespace that is meant where none is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from secret_sync.kube.kubeconfig import HOME_CONFIG, read_context

_DEFAULT: Final = "default"
OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def current_namespace(kubeconfig: str, context: str = "") -> str:
    """Return the pod's namespace, or that of the kubeconfig's context; reads files.

    Args:
        kubeconfig: A path; ``""`` where ``ClusterAccess`` looks for the cluster, in its order.
        context: Its name; ``""`` for the current one.

    Raises:
        DefiniteError: It is missing or cannot be used; the message says why.
    """
    if not kubeconfig and not context and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return _read(OWN_NAMESPACE) or _DEFAULT
    return read_context(kubeconfig or HOME_CONFIG, context).namespace or _DEFAULT


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
