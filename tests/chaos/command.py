"""The command line of a chaos that runs on a control plane of its own."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.controlplane import own_control_plane
from tests.support.operator import install_crds, running_cloud

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane


def run(torment: Callable[[ControlPlane, CloudInfo, float, int], Coroutine[Any, Any, str]]) -> None:
    """Read ``--seconds`` and ``--seed``, start what is needed, and print the report.

    Args:
        torment: Takes the control plane, the cloud, the seconds and the seed; returns the report.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    arguments = parser.parse_args()
    sys.stdout.write(f"seed {arguments.seed}\n")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "cloud").mkdir()
        with own_control_plane(directory) as plane, running_cloud(directory / "cloud") as info:
            install_crds(plane)
            report = asyncio.run(torment(plane, info, arguments.seconds, arguments.seed))
    sys.stdout.write(report + "\n")
