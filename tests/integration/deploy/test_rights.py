"""The Roles as they are shipped: nothing is denied by them, and nothing in them is for nothing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from secret_sync import app
from secret_sync.errors import DefiniteError
from tests.integration.deploy.rights import AuditLog, may, rights_in
from tests.integration.deploy.scenario import live, provoke, unchecked
from tests.support.kustomize import BASE, COMPONENTS, DEPLOY, write
from tests.support.operator import operator

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.controlplane.plane import ControlPlane
    from secret_sync.settings import Settings
    from tests.integration.deploy.conftest import AsAccount
    from tests.integration.deploy.rights import Right
    from tests.integration.deploy.scenario import Provoked
    from tests.support.identities import Ram
    from tests.support.kustomize import Kubectl
    from tests.support.operator import Api

RBAC = "rbac.authorization.k8s.io"
OURS = "system:serviceaccount:secret-sync-system:secret-sync"


@dataclass(frozen=True)
class Shipped:
    """Rules that are shipped, and where they are in force.

    Attributes:
        files: The Roles that have them.
        scope: ``Cluster``, or nothing for one namespace.
    """

    files: tuple[Path, ...]
    scope: str = "Cluster"

    @property
    def rights(self) -> list[Right]:
        return rights_in(*self.files)


TOKENS = COMPONENTS / "service-account-ref"
CONFIG_MAPS = COMPONENTS / "template-config-maps"
CHILDREN = COMPONENTS / "cluster-external-secrets"
WHOLE = Shipped(
    tuple(folder / "clusterrole.yaml" for folder in (BASE, TOKENS, CHILDREN, CONFIG_MAPS))
)
NAMED = Shipped((DEPLOY / "watched-namespace" / "role.yaml",), scope="")


async def test_with_the_rules_as_shipped_nothing_is_denied_and_all_are_used(
    plane: ControlPlane,
    kubectl: Kubectl,
    ram: Ram,
    api: Api,
    home: str,
    as_account: AsAccount,
    tmp_path: Path,
) -> None:
    components = [TOKENS, CHILDREN, CONFIG_MAPS]
    folder = write(tmp_path / "install", resources=[BASE], components=components)
    await asyncio.to_thread(kubectl.apply, folder)
    settings = await as_account("secret-sync-system", "secret-sync")
    log = AuditLog(plane, home)
    async with operator(settings) as controller:
        await live(api, ram, home)
        assert len(controller.watched.running) == 7
    assert log.denied(OURS) == set()
    # What everybody may, which says who one is and what one may.
    reviews = {r for r in log.used(OURS) if r.resource.startswith("selfsubject")}
    assert sorted(log.used(OURS) - reviews) == WHOLE.rights


async def accounts(api: Api, home: str, shipped: Shipped) -> dict[Right, str]:
    """For each right a ServiceAccount that has all of them but this one."""
    rights = shipped.rights
    kind = f"{shipped.scope}Role"
    place = "" if shipped.scope else f"/namespaces/{home}"
    plural = f"/apis/{RBAC}/v1{place}/{kind.lower()}"

    async def put(index: int, right: Right) -> str:
        name = f"without-{index}-{home}"
        named = {"metadata": {"name": name}}
        subject = {"kind": "ServiceAccount", "name": name, "namespace": home}
        role = {"apiGroup": RBAC, "kind": kind, "name": name}
        rules = [other.rule for other in rights if other != right]
        for path, document in (
            (f"/api/v1/namespaces/{home}/serviceaccounts", named),
            (f"{plural}s", {**named, "rules": rules}),
            (f"{plural}bindings", {**named, "roleRef": role, "subjects": [subject]}),
        ):
            status, body = await api.request("POST", path, document)
            assert status == 201, body
        return name

    made = await asyncio.gather(*(put(i, right) for i, right in enumerate(rights)))
    # Until the last of them is in force; the authorizer reads them in their order.
    async with asyncio.timeout(10):
        last = f"system:serviceaccount:{home}:{made[-1]}"
        while not await may(api, last, rights[0], home):  # noqa: ASYNC110 (it says nothing of it)
            await asyncio.sleep(0.05)
    return dict(zip(rights, made, strict=True))


@pytest.mark.parametrize("shipped", [WHOLE, NAMED], ids=["cluster", "namespace"])
async def test_without_any_one_of_them_something_breaks_and_says_so(
    plane: ControlPlane,
    ram: Ram,
    api: Api,
    home: str,
    as_account: AsAccount,
    shipped: Shipped,
) -> None:
    """Either it does not start, or it goes without something and says so, or it is denied."""
    met: set[Right] = set()
    for right, name in (await accounts(api, home, shipped)).items():
        settings = await as_account(home, name, home)
        case = unchecked(right.verb, right.resource)
        if case is None:
            assert f"{right.verb} {right.resource}" in await reported_at_start(settings), right
        else:
            log, user = AuditLog(plane, home), f"system:serviceaccount:{home}:{name}"
            await denied_at_work(settings, case, Provoking(api, ram, home, log, user, right))
        met.add(right)
    assert sorted(met) == shipped.rights


async def reported_at_start(settings: Settings) -> str:
    """What a controller reports as missing when it starts, or why it does not."""
    async with AsyncExitStack() as stack:
        with capture_logs() as logs:
            try:
                await app.build(settings, stack)
            except DefiniteError as error:
                return str(error)
        return " ".join(line["why"] for line in logs if "why" in line)


@dataclass(frozen=True)
class Provoking:
    """Who does what where, and where it is written down."""

    api: Api
    ram: Ram
    home: str
    log: AuditLog
    user: str
    right: Right


async def denied_at_work(settings: Settings, case: Provoked, at: Provoking) -> None:
    """Without it a controller starts, but is denied what it does next."""
    async with operator(settings):
        await provoke(case, at.api, at.ram, at.home)
        if not case.at_the_end:
            async with asyncio.timeout(5):
                while at.right not in at.log.denied(at.user):  # noqa: ASYNC110 (a file)
                    await asyncio.sleep(0.05)
    assert at.log.denied(at.user) == {at.right}
