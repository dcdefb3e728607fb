"""A short run of the faults around ClusterExternalSecrets; ``make chaos`` has longer ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.children import torment
from tests.support.operator import install_crds, running_cloud

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.controlplane.plane import ControlPlane


@pytest.mark.slow
async def test_no_child_goes_that_should_stay(
    breakable_control_plane: ControlPlane, tmp_path: Path
) -> None:
    install_crds(breakable_control_plane)
    with running_cloud(tmp_path) as info:
        report = await torment(breakable_control_plane, info, seconds=20, seed=7)
    assert "controller_is_killed" in report
