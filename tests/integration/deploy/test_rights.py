"""The ClusterRole as it is shipped: nothing is denied by it, and nothing in it is for nothing."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from secret_sync import app
from secret_sync.errors import DefiniteError
from tests.integration.deploy.scenario import live, provoke, unchecked
from tests.support.kustomize import BASE
from tests.support.operator import operator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.local.cloud import CloudAdmin
    from secret_sync.local.controlplane.plane import ControlPlane
    from secret_sync.settings import Settings
    from tests.integration.deploy.conftest import AsAccount
    from tests.integration.deploy.scenario import Provoked
    from tests.support.kustomize import Kubectl
    from tests.support.operator import Api

RBAC = "rbac.authorization.k8s.io"
OURS = "system:serviceaccount:secret-sync-system:secret-sync"


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource.

    Attributes:
        resource: With its subresource.
        name: The only object that it is about, or ``""``.
    """

    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.name}".rstrip()

    @property
    def rule(self) -> dict[str, Any]:
        names = {"resourceNames": [self.name]} if self.name else {}
        group, resource, verb = [self.group], [self.resource], [self.verb]
        return {"apiGroups": group, "resources": resource, "verbs": verb, **names}


def shipped() -> list[Right]:
    """All rights of ``deploy/base``, one by one."""
    role = yaml.safe_load((BASE / "clusterrole.yaml").read_text())
    return sorted(
        Right(group, resource, verb, name)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    )


class AuditLog:
    """What the API server has written down since this was made.

    Of namespaces it takes one alone: in those of other tests, which are going, nobody may create
    anything.
    """

    def __init__(self, plane: ControlPlane, home: str) -> None:
        self._places = {"", home, "default"}
        self._path = plane.audit_log
        self._begin = self._path.stat().st_size

    def _of(self, user: str) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as file:
            file.seek(self._begin)
            for line in file:
                # The last one may be half written.
                if line.endswith(b"\n") and user.encode() in line:
                    entry = json.loads(line)
                    place = entry.get("objectRef", {}).get("namespace", "")
                    if entry["user"]["username"] == user and place in self._places:
                        yield entry

    def used(self, user: str) -> set[Right]:
        """The rights that were made use of with success, by what the API server calls a request."""
        granted = (e for e in self._of(user) if e.get("responseStatus", {}).get("code", 0) < 400)
        return {right for entry in granted for right in _rights(entry)}

    def denied(self, user: str) -> set[Right]:
        """Those that were asked for in vain."""
        refused = (e for e in self._of(user) if e.get("responseStatus", {}).get("code") == 403)
        return {right for entry in refused for right in _rights(entry)}


def _rights(entry: dict[str, Any]) -> Iterator[Right]:
    ref = entry.get("objectRef")
    if ref is None:
        return
    resource = "/".join(filter(None, (ref["resource"], ref.get("subresource"))))
    name = ref.get("name", "") if resource == "customresourcedefinitions" else ""
    right = Right(ref.get("apiGroup", ""), resource, entry["verb"], name)
    yield right
    # Server-side apply of what does not exist takes both rights, and is told as one request.
    if entry["verb"] == "patch" and entry.get("responseStatus", {}).get("code") == 201:
        yield Right(right.group, right.resource, "create", right.name)


async def test_with_the_rules_as_shipped_nothing_is_denied_and_all_are_used(
    plane: ControlPlane,
    kubectl: Kubectl,
    admin: CloudAdmin,
    api: Api,
    home: str,
    as_account: AsAccount,
) -> None:
    await asyncio.to_thread(kubectl.apply, BASE)
    settings = await as_account("secret-sync-system", "secret-sync")
    log = AuditLog(plane, home)
    async with operator(settings) as controller:
        await live(api, admin, home)
        assert len(controller.watched.running) == 7
    assert log.denied(OURS) == set()
    # What everybody may, which says who one is and what one may.
    reviews = {r for r in log.used(OURS) if r.resource.startswith("selfsubject")}
    assert sorted(log.used(OURS) - reviews) == shipped()


@pytest.fixture
async def accounts(plane: ControlPlane, api: Api, home: str) -> dict[Right, str]:
    """For each right a ServiceAccount that has all of them but this one."""
    rights = shipped()

    async def put(index: int, right: Right) -> str:
        name = f"without-{index}-{home}"
        named = {"metadata": {"name": name}}
        subject = {"kind": "ServiceAccount", "name": name, "namespace": home}
        role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
        rules = [other.rule for other in rights if other != right]
        for path, document in (
            (f"/api/v1/namespaces/{home}/serviceaccounts", named),
            (f"/apis/{RBAC}/v1/clusterroles", {**named, "rules": rules}),
            (
                f"/apis/{RBAC}/v1/clusterrolebindings",
                {**named, "roleRef": role, "subjects": [subject]},
            ),
        ):
            status, body = await api.request("POST", path, document)
            assert status == 201, body
        return name

    made = await asyncio.gather(*(put(i, right) for i, right in enumerate(rights)))
    # Until the last of them is in force; the authorizer reads them in their order.
    last = {"verb": rights[0].verb, "group": rights[0].group, "resource": rights[0].resource}
    user = f"system:serviceaccount:{home}:{made[-1]}"
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    body: dict[str, Any] = {"status": {}}
    async with asyncio.timeout(10):
        while not body["status"].get("allowed"):
            await asyncio.sleep(0.05)
            asked = {"spec": {"user": user, "resourceAttributes": last}}
            _, body = await api.request("POST", path, asked)
    return dict(zip(rights, made, strict=True))


async def test_without_any_one_of_them_something_breaks_and_says_so(
    plane: ControlPlane,
    admin: CloudAdmin,
    api: Api,
    home: str,
    accounts: dict[Right, str],
    as_account: AsAccount,
) -> None:
    """Either it does not start, or it goes without something and says so, or it is denied."""
    met: set[Right] = set()
    for right, name in accounts.items():
        settings = await as_account(home, name, home)
        case = unchecked(right.verb, right.resource)
        if case is None:
            assert f"{right.verb} {right.resource}" in await told_at_start(settings), right
        else:
            log, user = AuditLog(plane, home), f"system:serviceaccount:{home}:{name}"
            await denied_at_work(settings, case, Provoking(api, admin, home, log, user, right))
        met.add(right)
    assert sorted(met) == shipped()


async def told_at_start(settings: Settings) -> str:
    """What a controller says is lacking when it starts, or why it does not."""
    async with AsyncExitStack() as stack:
        try:
            controller = await app.build(settings, stack)
        except DefiniteError as error:
            return str(error)
        limits = controller._limits
        return f"{limits.cluster_stores} {limits.namespaces} {limits.definitions}"


@dataclass(frozen=True)
class Provoking:
    """Who does what where, and where it is written down."""

    api: Api
    admin: CloudAdmin
    home: str
    log: AuditLog
    user: str
    right: Right


async def denied_at_work(settings: Settings, case: Provoked, at: Provoking) -> None:
    """Without it a controller starts, but is denied what it does next."""
    async with operator(settings):
        await provoke(case, at.api, at.admin, at.home)
        if not case.at_the_end:
            async with asyncio.timeout(5):
                while at.right not in at.log.denied(at.user):  # noqa: ASYNC110 (a file)
                    await asyncio.sleep(0.05)
    assert at.log.denied(at.user) == {at.right}
