"""A control plane that has our definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.crd_kubectl import CRDS, GROUP, PLURALS, CrdKubectl

if TYPE_CHECKING:
    from secret_sync.local.controlplane.plane import ControlPlane


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> CrdKubectl:
    """With our definitions installed; they stay, since other tests need them too."""
    client = CrdKubectl(control_plane)
    client("apply", "--server-side", "-k", str(CRDS))
    definitions = [f"crd/{plural}.{GROUP}" for plural in PLURALS]
    client("wait", "--for=condition=Established", "--timeout=20s", *definitions)
    return client
