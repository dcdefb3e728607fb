"""Where nobody says which region this is, the node's metadata service does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.local.cloud import CloudAdmin
from tests.support.operator import (
    Api,
    external_secret,
    install_crds,
    put_store,
    running_cloud,
)
from tests.support.program import running

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.controlplane.plane import ControlPlane


async def test_the_region_comes_from_the_node(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    install_crds(control_plane)
    flags = (f"--watch-namespaces={namespace}", "--metrics-bind-address=0")
    with running_cloud(tmp_path) as info:
        variables = {"KUBECONFIG": str(control_plane.kubeconfig), **info.environment}
        async with CloudAdmin(info.admin_url) as admin, Api(control_plane) as api:
            await admin.put_secret("region/one", "near", region="cn-beijing")
            await put_store(api, info, namespace)
            entry = {"key": "region/one", "name": "x"}
            await api.put(external_secret("some", entry), namespace)
            async with running(*flags, **variables) as child:
                reported = await api.until_ready(namespace, "some", "RegionMissing", within=15)
                assert "--region" in reported["message"]
                child.process.terminate()
                assert await child.ends() == 0
            await admin.set_metadata(region_id="cn-beijing")
            async with running(*flags, **variables) as child:
                await api.until_holds(namespace, "some", {"x": "near"}, within=15)
                child.process.terminate()
                assert await child.ends() == 0
