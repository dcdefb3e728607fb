"""An API server that asks for time gets it, whatever caused the reconcile."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.resources.names import LEGACY_FINALIZER
from tests.chaos.gateway import Gateway, Trouble
from tests.support.identities import put_account
from tests.support.operator import (
    GROUP,
    external_secret,
    operator,
    secret,
    settings_for,
    store,
)
from tests.support.program import kubeconfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from secret_sync.settings.model import Settings
    from tests.support.operator import Api

pytestmark = pytest.mark.timeout(120)

OBJECTS = 50
#: Seconds that each refusal asks for, and that all of it lasts: three tries at most.
ASKED = 5
LASTS = 14.0
TRIES = 3
NAMESPACE = "/api/v1/namespaces/[^/]+"
OURS = f"/apis/{GROUP}/namespaces/[^/]+"
#: The ways of a reconcile to the API server: what is refused, and how many of it there are.
WAYS = {
    "apply": (f"PATCH {NAMESPACE}/secrets/value-\\d+", OBJECTS),
    "status": (f"PATCH {OURS}/externalsecrets/told/status", 1),
    "confirmation": (f"GET {OURS}/externalsecrets/renamed", 1),
    "finalizer": (f"GET {OURS}/externalsecrets/legacy", 1),
    "finalizer of a store": (f"GET {OURS}/secretstores/legacy", 1),
    "access key": (f"GET {NAMESPACE}/secrets/late-key", 1),
    "token": (f"POST {NAMESPACE}/serviceaccounts/reader/token", 1),
    "status of a store": (f"PATCH {OURS}/secretstores/told/status", 1),
}
EVENTS = f"(POST|PATCH) {NAMESPACE}/events.*"


@pytest.fixture
async def gateway(cluster: ControlPlane, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with Gateway(cluster, tmp_path, Random(1)) as gateway:
        yield gateway


@pytest.fixture
def settings(
    cluster: ControlPlane, cloud: CloudInfo, home: str, gateway: Gateway, tmp_path: Path
) -> Settings:
    config = kubeconfig(
        tmp_path / "kubeconfig", gateway.url, cluster.admin_token, str(gateway.ca_file)
    )
    return settings_for(cluster, cloud, home, kubeconfig=config, polling_interval=1.0)


def entry(**more: Any) -> dict[str, Any]:
    return {"key": "retry/one", "name": "x", **more}


def legacy(document: dict[str, Any]) -> dict[str, Any]:
    metadata = {**document["metadata"], "finalizers": [LEGACY_FINALIZER]}
    return {**document, "metadata": metadata}


async def occupy(api: Api, cloud: CloudInfo, home: str) -> None:
    """Give a reconcile reason for each of the ways."""
    values = {"id": cloud.access_key_id, "secret": cloud.access_key_secret}
    await api.put(secret("late-key", values), home)
    await api.put(store("late", access_key="late-key"), home)
    await api.put(store("told"), home)
    await api.put(legacy(store("legacy")), home)
    await put_account(api, home, "reader", "acs:ram::1234567890123456:role/reader")
    auth = {
        "serviceAccountRef": {"name": "reader"},
        "oidcProviderARN": "acs:ram::1234567890123456:oidc-provider/some",
    }
    by_account = {**store("by-account"), "spec": {"KMS": {"KMSAuth": auth}}}
    await api.put(by_account, home)
    for name in ("late", "by-account"):
        ref = {"name": name}
        await api.put(external_secret(f"of-{name}", entry(secretStoreRef=ref)), home)
    await api.put(external_secret("told", entry()), home)
    await api.put(legacy(external_secret("legacy", entry())), home)
    await api.put(external_secret("renamed", entry(), target={"name": "latter"}), home)
    for number in range(OBJECTS):
        await api.put(external_secret(f"value-{number}", entry()), home)


async def test_no_way_of_a_reconcile_is_taken_before_it_is_time(
    gateway: Gateway,
    settings: Settings,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
) -> None:
    await admin.put_secret("retry/one", "0")
    async with operator(settings):
        await api.put(external_secret("renamed", entry(), target={"name": "former"}), home)
        await api.until_holds(home, "former", {"x": "0"})
        patterns = tuple(pattern for pattern, _ in WAYS.values())
        gateway.trouble = Trouble(refused=429, retry_after=ASKED, only=(*patterns, EVENTS))
        end = asyncio.get_running_loop().time() + LASTS
        await occupy(api, cloud, home)
        # Reasons to look at all of them, all the time.
        value = 0
        while asyncio.get_running_loop().time() < end:
            value += 1
            await admin.put_secret("retry/one", str(value))
            await asyncio.sleep(0.5)
        gateway.trouble = Trouble()
        refused = Counter(gateway.refusals)
        for name in ("value-0", f"value-{OBJECTS - 1}", "latter", "legacy"):
            await api.until_holds(home, name, {"x": str(value)}, 20)
        await api.until_ready(home, "told", "Synced", 20)

    for way, (pattern, number) in WAYS.items():
        concerned = Trouble(only=(pattern,))
        lines = {line: n for line, n in refused.items() if concerned.has(line)}
        assert len(lines) == number, f"{way}: {lines}"
        assert max(lines.values()) <= TRIES, f"{way}: {lines}"
    events = sum(n for line, n in refused.items() if "/events" in line)
    assert 0 < events <= TRIES * (OBJECTS + 20)
