"""`release` and `status` know ClusterExternalSecrets and their children."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import KIND, fleet_of
from tests.support.operator import operator, path_of, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.commands import Cli
    from tests.support.fleet import Fleet
    from tests.support.operator import Api

ONE = {"password": "one"}


@pytest.fixture
async def fleet(
    cluster: ControlPlane, api: Api, namespace: str, cloud: CloudInfo, admin: CloudAdmin
) -> AsyncIterator[Fleet]:
    """Namespaces ``a`` and ``b`` whose children are Ready, of a controller that has stopped."""
    await admin.put_secret("cluster/one", "one")
    async with fleet_of(api, namespace, cloud) as made:
        await made.namespaces("a", "b")
        async with operator(settings_for(cluster, cloud)):
            await api.put(made.document("cluster/one"), "")
            found = await made.until_count("2/2")
            assert found["status"]["provisionedNamespaces"] == [
                f"{made.prefix}-a",
                f"{made.prefix}-b",
            ]
            await made.until_ready("Provisioned")
        yield made


async def test_status_shows_a_line_and_where_a_child_comes_from(fleet: Fleet, cli: Cli) -> None:
    name = fleet.name_of()
    done = await cli("status", "--all-namespaces")
    (line,) = [text for text in done.out.splitlines() if text.startswith(f"{name} ")]
    assert line.split()[:4] == [name, "True", "Provisioned", "2/2"]
    done = await cli("status", "-n", f"{fleet.prefix}-a")
    head, row = done.out.splitlines()[:2]
    assert done.code == 0
    assert "FROM" in head
    assert row.split()[0] == name
    assert row.split()[-1] == name
    done = await cli("status", "-n", f"{fleet.prefix}-a", "-o", "json")
    (found,) = json.loads(done.out)["externalSecrets"]
    assert found["clusterExternalSecret"] == name


async def test_status_of_an_object_with_a_mistake_is_a_failure(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, fleet: Fleet, cli: Cli
) -> None:
    broken = fleet.document("cluster/one", conditions=[{"namespaceRegexes": ["("]}])
    async with operator(settings_for(cluster, cloud)):
        await api.put(broken, "")
        await fleet.until_ready("ConditionsInvalid")
    done = await cli("status", "--all-namespaces", "--exit-code")
    (line,) = [text for text in done.out.splitlines() if text.startswith(f"{fleet.name_of()} ")]
    assert line.split()[1:3] == ["False", "ConditionsInvalid"]
    assert "namespaceRegexes" in line
    assert done.code == 1


async def test_released_children_and_secrets_outlive_the_object(
    api: Api, fleet: Fleet, cli: Cli
) -> None:
    first, second = f"{fleet.prefix}-a", f"{fleet.prefix}-b"
    name = fleet.name_of()
    before = {n: c["metadata"]["uid"] for n, c in (await fleet.children()).items()}
    done = await cli("release", "--keep-secrets", "-n", first, "--yes")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "released 1 ExternalSecret from ClusterExternalSecrets",
        f"released {first}/{name}",
        "1 Secret released",
    ]
    child = await api.get("ExternalSecret", first, name)
    assert "ownerReferences" not in child["metadata"]
    await api.request("DELETE", path_of(KIND, "", name), {"propagationPolicy": "Background"})
    # Once this one is gone the garbage collector has been at work.
    await api.until("ExternalSecret", second, name, lambda found: found is None, within=60)
    await api.until("Secret", second, name, lambda found: found is None, within=60)
    child = await api.get("ExternalSecret", first, name)
    assert child["metadata"]["uid"] == before[first]
    await api.delete("ExternalSecret", first, name)
    await api.until_holds(first, name, ONE)
    assert "ownerReferences" not in (await api.get("Secret", first, name))["metadata"]


async def test_dry_run_of_a_release_frees_no_child(api: Api, fleet: Fleet, cli: Cli) -> None:
    first, name = f"{fleet.prefix}-a", fleet.name_of()
    before = await api.get("ExternalSecret", first, name)
    done = await cli("release", "--keep-secrets", "-n", first, "--dry-run")
    assert "would release 1 ExternalSecret from ClusterExternalSecrets\n" in done.out
    assert await api.get("ExternalSecret", first, name) == before
