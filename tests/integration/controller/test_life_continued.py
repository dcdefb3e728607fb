"""``CreatedOnce`` and ``adopt``: a Secret is continued as it is, whoever made it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from tests.support.operator import external_secret, operator, settings_for, values_of
from tests.support.watching import force_sync

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from secret_sync.settings.model import Settings
    from tests.support.operator import Api

ADOPT = {"secret-sync.alibabacloud.com/adopt": "true"}
OLD, NEW = "one", "two"

#: Type of the Secret, its key, and what else its target has.
Wanted: TypeAlias = tuple[str, str, dict[str, Any]]


@pytest.fixture
def settings(cluster: ControlPlane, cloud: CloudInfo, home: str) -> Settings:
    return settings_for(cluster, cloud, home)


@pytest.mark.parametrize(
    "wanted",
    [
        ("Opaque", "password", {}),
        ("kubernetes.io/ssh-auth", "ssh-privatekey", {}),
        ("Opaque", "password", {"immutable": True}),
    ],
    ids=["opaque", "typed", "immutable"],
)
async def test_secret_of_a_former_external_secret_keeps_its_values(
    settings: Settings, api: Api, admin: CloudAdmin, home: str, wanted: Wanted
) -> None:
    kind, key, more = wanted
    await admin.put_secret("continued", OLD)
    entry = {"key": "continued", "name": key}
    target = {**more, "name": "shared", "deletionPolicy": "Retain"}
    async with operator(settings):
        await api.put(external_secret("before", entry, target=target, type=kind), home)
        await api.until_ready(home, "before", "Synced")
        await api.delete("ExternalSecret", home, "before")
        await api.until("ExternalSecret", home, "before", lambda found: found is None)
        await admin.put_secret("continued", NEW)

        after = external_secret(
            "after", entry, target=target, type=kind, refreshPolicy="CreatedOnce"
        )
        after["metadata"]["annotations"] = ADOPT
        await api.put(after, home)
        await api.until_ready(home, "after", "Synced")
        found = await api.get("Secret", home, "shared")
        assert values_of(found) == {key: OLD}
        assert found["type"] == kind

        await force_sync(api, home, "after", "now")
        await api.until_holds(home, "shared", {key: NEW})


async def test_secret_made_by_a_person_keeps_its_values(
    settings: Settings, api: Api, admin: CloudAdmin, home: str
) -> None:
    await admin.put_secret("continued", NEW)
    encoded = base64.b64encode(OLD.encode()).decode()
    made = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "by-hand"},
        "data": {"password": encoded, "more": encoded},
    }
    await api.put(made, home)
    entry = {"key": "continued", "name": "password"}
    wanted = external_secret("by-hand", entry, refreshPolicy="CreatedOnce")
    wanted["metadata"]["annotations"] = ADOPT
    async with operator(settings):
        await api.put(wanted, home)
        await api.until_ready(home, "by-hand", "Synced")
        assert values_of(await api.get("Secret", home, "by-hand")) == {"password": OLD, "more": OLD}
