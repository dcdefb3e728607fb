"""A short run of the faults around restarts of workloads; ``make chaos`` has longer ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.restarts import torment
from tests.support.operator import install_crds, running_cloud

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.controlplane.plane import ControlPlane


@pytest.mark.slow
async def test_no_restart_is_lost_or_comes_without_a_change(
    breakable_control_plane: ControlPlane, tmp_path: Path
) -> None:
    install_crds(breakable_control_plane)
    with running_cloud(tmp_path) as info:
        report = await torment(breakable_control_plane, info, seconds=30, seed=7)
    assert "value_is_rotated" in report
