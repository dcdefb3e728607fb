"""`secret-sync run --dry-run`: everything is fetched and decided, and nothing is written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from structlog.testing import capture_logs

from secret_sync.controller.external_secret.dry_run import Outcome
from tests.integration.shadow.conftest import MUTATING, requests_of
from tests.support.identities import Ram, auth_store, put_account, using
from tests.support.operator import SOON, external_secret, operator, secret, settings_for
from tests.support.watching import post_as

if TYPE_CHECKING:
    from secret_sync import app
    from secret_sync.controller.external_secret.dry_run import DryRunResult
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.shadow.conftest import DryRun, Shadow
    from tests.support.operator import Api

FINALIZER = "finalizer.ack.secrets-manager.alibabacloud.com"
ADOPT = "secret-sync.alibabacloud.com/adopt"
ENTRY = {"key": "shadow/one", "name": "x"}
VALUE = "shadow-value-one"
#: What every object that is named after an outcome comes to, with its keys.
KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "create": (("x",), (), ()),
    "change": ((), ("x",), ()),
    "drifted": ((), (), ("extra",)),
    "adopt": ((), ("x",), ("stale",)),
    "legacy": ((), (), ()),
    "recreate": ((), (), ()),
    "merge": (("x",), (), ()),
    "renamed": (("x",), (), ()),
    "same": ((), (), ()),
}
OUTCOMES = {
    "create": Outcome.CREATE,
    "change": Outcome.CHANGE,
    "drifted": Outcome.CHANGE,
    "adopt": Outcome.ADOPT,
    "legacy": Outcome.ADOPT,
    "recreate": Outcome.RECREATE,
    "merge": Outcome.CHANGE,
    "renamed": Outcome.CREATE,
    "same": Outcome.SAME,
    "foreign": Outcome.CONFLICT,
    "key-owned": Outcome.CONFLICT,
    "missing": Outcome.REFUSED,
}


async def put_all(plane: ControlPlane, cloud: CloudInfo, api: Api, home: str) -> None:
    """One object for each outcome; a real controller has written those that are not new."""
    written = ("change", "drifted", "recreate", "renamed", "same")
    async with operator(settings_for(plane, cloud, home)):
        for name in written:
            await api.put(external_secret(name, ENTRY), home)
        for name in written:
            await api.until_holds(home, name, {"x": VALUE})
            await api.until_ready(home, name, "Synced")
    await api.merge("Secret", home, "change", {"data": {"x": "b3RoZXI="}})
    await api.merge("Secret", home, "drifted", {"data": {"extra": "b3RoZXI="}})
    await api.merge("ExternalSecret", home, "recreate", {"spec": {"type": "example.org/other"}})
    await api.merge("ExternalSecret", home, "renamed", {"spec": {"target": {"name": "new"}}})
    adopting = external_secret("adopt", ENTRY)
    adopting["metadata"]["annotations"] = {ADOPT: "true"}
    legacy = external_secret("legacy", ENTRY)
    legacy["metadata"]["finalizers"] = [FINALIZER]
    await post_as(api, "somebody", secret("adopt", {"x": "old", "stale": "x"}), home)
    await post_as(api, "ack-secret-manager", secret("legacy", {"x": VALUE}), home)
    await post_as(api, "somebody", secret("host", {"theirs": "x"}), home)
    await post_as(api, "somebody", secret("owned", {"x": "theirs"}), home)
    await post_as(api, "somebody", secret("foreign", {"x": VALUE}), home)
    merging = {"creationPolicy": "Merge"}
    for document in (
        *(adopting, legacy, external_secret("create", ENTRY), external_secret("foreign", ENTRY)),
        external_secret("missing", {"key": "shadow/none", "name": "x"}),
        external_secret("merge", ENTRY, target={"name": "host", **merging}),
        external_secret("key-owned", ENTRY, target={"name": "owned", **merging}),
    ):
        await api.put(document, home)


async def results(controller: app.Controller, names: set[str]) -> dict[str, DryRunResult]:
    """What a dry run has found of these objects, once it has found it of all."""
    found: dict[str, DryRunResult] = {}
    async with asyncio.timeout(SOON):
        while found.keys() != names:
            found = {
                es.name: state.dry_run
                for es in controller.watched.external_secrets.store.values()
                if (state := controller.states.find(f"{es.namespace}/{es.name}")) is not None
                and state.dry_run is not None
            }
            await asyncio.sleep(0.05)
    return found


async def everything(api: Api, home: str) -> dict[str, Any]:
    """All that could have been changed in a namespace, by path, and the Leases of the cluster."""
    group = "/apis/alibabacloud.com/v1alpha1"
    paths = (
        *(f"/api/v1/namespaces/{home}/{plural}" for plural in ("secrets", "events")),
        *(f"{group}/namespaces/{home}/{plural}" for plural in ("externalsecrets", "secretstores")),
        f"/apis/coordination.k8s.io/v1/namespaces/{home}/leases",
    )
    replies = await asyncio.gather(*(api.request("GET", path) for path in paths))
    return {path: body["items"] for path, (_, body) in zip(paths, replies, strict=True)}


async def test_dry_run_finds_each_outcome_and_its_keys(
    plane: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    account: Shadow,
    dry_run: DryRun,
) -> None:
    await admin.put_secret("shadow/one", VALUE)
    await put_all(plane, cloud, api, home)
    before = await everything(api, home)
    with capture_logs() as logged:
        async with operator(dry_run(await account("shadow"))) as controller:
            found = await results(controller, set(OUTCOMES))
            counted = controller.metrics.registry.get_sample_value(
                "secret_sync_dry_run_objects", {"outcome": "conflict"}
            )
            leads = controller.metrics.registry.get_sample_value("secret_sync_leader")
    assert {name: result.outcome for name, result in found.items()} == OUTCOMES
    keys = {name: found[name].keys for name in KEYS}
    assert {n: (k.added, k.changed, k.removed) for n, k in keys.items()} == KEYS
    assert (counted, leads) == (2, 0)
    assert await everything(api, home) == before
    assert VALUE not in str(logged)
    assert {"dry run: would create the Secret", "dry run: the Secret is as it should be"} <= {
        line["event"] for line in logged
    }


async def test_200_objects_cause_no_mutating_request(
    plane: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    account: Shadow,
    dry_run: DryRun,
) -> None:
    """The account may do everything, so that whatever is tried is in the audit log."""
    await admin.put_secret("shadow/one", VALUE)
    await put_all(plane, cloud, api, home)
    ram = await Ram.of(plane, admin, cloud)
    await put_account(api, home, "reader", await ram.role_for("shadow-reader", home, "reader"))
    auth = {"serviceAccountRef": {"name": "reader"}, "oidcProviderARN": ram.provider}
    await api.put(auth_store("rrsa", **auth), home)
    old = auth_store("left", **auth)
    old["metadata"]["finalizers"] = [FINALIZER]
    await api.put(old, home)
    more = [f"many-{number}" for number in range(200 - len(OUTCOMES))]
    for name in more:
        await api.put(using("rrsa", name, "shadow/one"), home)
    settings = dry_run(await account("shadow"), leader_elect=True, polling_interval=1.0)
    async with operator(settings) as controller:
        found = await results(controller, {*OUTCOMES, *more})
        assert found[more[0]].outcome is Outcome.CREATE
        # Changes are followed, too.
        await admin.put_secret("shadow/one", "another")
        async with asyncio.timeout(SOON):
            while found["same"].outcome is Outcome.SAME:
                found = await results(controller, {*OUTCOMES, *more})
    requests = requests_of(plane, f"system:serviceaccount:{home}:shadow")
    assert ("watch", "externalsecrets") in requests
    mutating = {request for request in requests if request[0] in MUTATING}
    # A TokenRequest is a create that stores nothing; without it no value could be compared.
    assert mutating == {("create", "serviceaccounts/token")}
