"""A dry run and `diff` know ClusterExternalSecrets: what becomes of children, and no write."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from secret_sync.controller.cluster_external_secret.dry_run import ChildAction
from tests.integration.shadow.conftest import MUTATING, requests_of
from tests.support.fleet import KIND, fleet_of
from tests.support.operator import SOON, external_secret, operator, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync import app
    from secret_sync.controller.cluster_external_secret.dry_run import ClusterPlan
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.shadow.conftest import Shadow
    from tests.support.commands import Cli
    from tests.support.fleet import Fleet
    from tests.support.operator import Api

ADOPT = {"secret-sync.alibabacloud.com/adopt": "true"}
SUFFIXES = ("adopted", "changed", "left", "new", "same", "taken")
#: What becomes of the child in each of the namespaces.
PLAN = {
    "adopted": ChildAction.ADOPT,
    "changed": ChildAction.CHANGE,
    "left": ChildAction.DELETE,
    "new": ChildAction.CREATE,
    "taken": ChildAction.CONFLICT,
}


@pytest.fixture
async def fleet(
    plane: ControlPlane, api: Api, home: str, cloud: CloudInfo, admin: CloudAdmin
) -> AsyncIterator[Fleet]:
    """One namespace for each action; a real controller has made the children that there are."""
    await admin.put_secret("shadow/one", "one")
    async with fleet_of(api, home, cloud) as made:
        first = ("changed", "left", "same")
        names = {suffix: await made.namespace(suffix) for suffix in first}
        child = made.name_of()
        async with operator(settings_for(plane, cloud)):
            await api.put(made.document("shadow/one"), "")
            await made.until_count("3/3")
        for suffix in set(SUFFIXES) - set(first):
            names[suffix] = await made.namespace(suffix)
        theirs = external_secret(child, {"key": "shadow/none"})
        await api.put(theirs, names["taken"])
        theirs["metadata"]["annotations"] = ADOPT
        await api.put(theirs, names["adopted"])
        edit = {"spec": {"rotationInterval": "9h"}}
        await api.merge("ExternalSecret", names["changed"], child, edit)
        await made.select(names["left"], selected=False)
        yield made


async def plan_of(controller: app.Controller, name: str) -> ClusterPlan:
    """What a dry run would do for an object, once it is known."""
    async with asyncio.timeout(SOON):
        while (  # noqa: ASYNC110 (it has no event)
            plan := controller.cluster_external_secrets.plans().get(name)
        ) is None:
            await asyncio.sleep(0.05)
    return plan


async def everything(api: Api, fleet: Fleet) -> list[Any]:
    """The children, their Secrets, the object and its Events."""
    found: list[Any] = [await fleet.children(), await api.get(KIND, "", fleet.name_of())]
    for path in ("/api/v1/secrets", "/api/v1/events"):
        _, body = await api.request("GET", path)
        found.append([i for i in body["items"] if fleet.prefix in str(i["metadata"])])
    return found


async def test_dry_run_plans_each_action_and_writes_nothing(
    plane: ControlPlane, cloud: CloudInfo, api: Api, home: str, account: Shadow, fleet: Fleet
) -> None:
    """The account may do everything, so that whatever is tried is in the audit log."""
    config = await account("cluster-shadow")
    before = await everything(api, fleet)
    with capture_logs() as logged:
        async with operator(
            settings_for(plane, cloud, kubeconfig=config, dry_run=True)
        ) as controller:
            plan = await plan_of(controller, fleet.name_of())
            found = {child.namespace: child.action for child in plan.children}
            assert found == {f"{fleet.prefix}-{suffix}": action for suffix, action in PLAN.items()}
            assert await everything(api, fleet) == before
            # Changes are followed.
            late = await fleet.namespace("late")
            async with asyncio.timeout(SOON):
                while late not in plan.namespaces(ChildAction.CREATE):
                    plan = await plan_of(controller, fleet.name_of())
                    await asyncio.sleep(0.05)
    event = "dry run: ExternalSecrets would not stay as they are, by namespace"
    first = next(line for line in logged if line["event"] == event)
    assert first["delete"] == f"{fleet.prefix}-left"
    requests = requests_of(plane, f"system:serviceaccount:{home}:cluster-shadow")
    assert ("watch", "clusterexternalsecrets") in requests
    assert {request for request in requests if request[0] in MUTATING} == set()


async def test_diff_shows_the_children_that_would_not_stay(fleet: Fleet, cli: Cli) -> None:
    name = fleet.name_of()
    done = await cli("diff", "-A")
    rows = [line.split() for line in done.out.splitlines() if name in line]
    assert done.code == 1
    for suffix, action in PLAN.items():
        words = [action.value] if action is ChildAction.CONFLICT else ["would", action.value]
        expected = [f"{fleet.prefix}-{suffix}", name, *words, name]
        assert expected in [row[: len(expected)] for row in rows], done.out
    assert "AlreadyExists: ExternalSecret" in done.out
    assert done.err == ""

    done = await cli("diff", "-n", f"{fleet.prefix}-new")
    assert done.code == 1
    assert done.out.splitlines() == [
        f"no ExternalSecrets in namespace {fleet.prefix}-new",
        "",
        *done.out.splitlines()[2:],
    ]
    assert done.out.splitlines()[2].split() == [
        *("EXTERNALSECRET", "RESULT", "CLUSTEREXTERNALSECRET", "WHY", "NOT"),
    ]
    assert done.out.splitlines()[3].split() == [name, "would", "create", name]

    done = await cli("diff", "-n", f"{fleet.prefix}-same")
    assert done.code == 0
    assert "CLUSTEREXTERNALSECRET" not in done.out


async def test_diff_says_that_a_mistake_leaves_all_as_it_is(
    api: Api, fleet: Fleet, cli: Cli
) -> None:
    broken = [{"namespaceRegexes": ["("]}, fleet.selector]
    await api.put(fleet.document("shadow/one", conditions=broken), "")
    done = await cli("diff", "-A")
    (row,) = [line for line in done.out.splitlines() if "ConditionsInvalid" in line]
    assert row.split()[:4] == ["-", "-", "nothing", fleet.name_of()]
    assert f"{fleet.prefix}-left" not in [
        line.split()[0] for line in done.out.splitlines() if "would delete" in line
    ]
