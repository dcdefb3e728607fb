"""YAML in, objects out: each folder of tests/data/operator is a case.

A case has objects that are given and objects that are expected. Beside what the API server
knows, an expectation can name ``values`` (all that a Secret holds, as text), ``none`` (there is
no such object) and ``Calls`` (how often KMS was asked for a secret).
"""

from __future__ import annotations

import base64
import string
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import yaml

from secret_sync.local.cloud import CloudAdmin
from secret_sync.local.cloud.store import SecretState
from secret_sync.resources.conditions import STALLED_REASONS
from tests.support import matching
from tests.support.controlplane import fresh_namespace
from tests.support.operator import (
    Api,
    external_secret,
    operator,
    put_store,
    ready_of,
    settings_for,
    values_of,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

DATA = Path(__file__).parents[2] / "data" / "operator"

pytestmark = pytest.mark.asyncio(loop_scope="module")


def cases(sort: str) -> list[Any]:
    return [pytest.param(path, id=path.name) for path in sorted((DATA / sort).iterdir())]


def without_stalled(found: dict[str, Any]) -> dict[str, Any]:
    """An object without the condition ``Stalled``, which has to be there for a lasting reason."""
    conditions = found.get("status", {}).get("conditions")
    if not conditions:
        return found
    ready = ready_of(found)
    stalled = [c for c in conditions if c["type"] == "Stalled"]
    lasting = ready["status"] == "False" and ready["reason"] in STALLED_REASONS
    assert [(c["status"], c["reason"]) for c in stalled] == [("True", ready["reason"])] * lasting
    rest = [c for c in conditions if c["type"] != "Stalled"]
    return {**found, "status": {**found["status"], "conditions": rest}}


@dataclass
class Room:
    """One namespace with one controller, for all cases."""

    api: Api
    admin: CloudAdmin
    namespace: str
    names: dict[str, str]

    def read(self, path: Path) -> list[dict[str, Any]]:
        documents: list[dict[str, Any]] = self._filled(matching.load(path))
        return documents

    def _filled(self, value: Any) -> Any:
        match value:
            case str():
                return string.Template(value).safe_substitute(self.names)
            case matching.Contains(text):
                return matching.Contains(string.Template(text).safe_substitute(self.names))
            case dict():
                return {key: self._filled(item) for key, item in value.items()}
            case list():
                return [self._filled(item) for item in value]
        return value

    async def expect(self, expected: dict[str, Any]) -> None:
        wanted = dict(expected)
        kind = wanted.pop("kind")
        if kind == "Calls":
            asked = (await self.admin.counters())["secrets"]
            assert {n: asked.get(n, 0) for n in wanted["secrets"]} == wanted["secrets"]
            return
        name = wanted["metadata"]["name"]
        if wanted.pop("none", False):
            assert await self.api.find(kind, self.namespace, name) is None
            return
        values = wanted.pop("values", None)

        def wrong(found: dict[str, Any] | None) -> list[str]:
            reported = list(matching.differences(wanted, without_stalled(found or {})))
            if values is not None and values_of(found) != values:
                reported.append(f"holds {values_of(found)}, not {values}")
            return reported

        found: dict[str, Any] | None = None
        try:
            await self.api.until(kind, self.namespace, name, lambda found: not wrong(found))
        except AssertionError:
            found = await self.api.find(kind, self.namespace, name)
            raise AssertionError("\n".join(wrong(found)) or "late") from None


@asynccontextmanager
async def filled_cloud(info: CloudInfo) -> AsyncIterator[CloudAdmin]:
    async with CloudAdmin(info.admin_url) as admin:
        await admin.put_secrets({f"bad/{path.name}": "unused" for path in (DATA / "bad").iterdir()})
        for entry in yaml.safe_load((DATA / "cloud.yaml").read_text()):
            name = entry.pop("name")
            if entry.pop("missing", False):
                await admin.delete(name)
                continue
            if "parameter" in entry:
                await admin.put_parameter(name, entry["parameter"])
                continue
            value = entry.pop("text", None)
            if value is None and "binary" in entry:
                value = base64.b64decode(entry.pop("binary"))
            if value is None:
                value = "x" * entry.pop("repeat")
            forbidden, state = entry.pop("forbidden", None), entry.pop("state", None)
            await admin.put_secret(name, value, **entry)
            await admin.update(name, forbidden=forbidden, state=state and SecretState(state))
        yield admin


@pytest.fixture(scope="module")
def shared_namespace(cluster: ControlPlane) -> Iterator[str]:
    yield from fresh_namespace(cluster)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(
    cluster: ControlPlane, cloud: CloudInfo, shared_namespace: str
) -> AsyncIterator[Room]:
    names = {
        "namespace": shared_namespace,
        "account": cloud.account,
        "access_key_id": cloud.access_key_id,
    }
    async with Api(cluster) as api, filled_cloud(cloud) as admin:
        await put_store(api, cloud, shared_namespace)
        async with operator(settings_for(cluster, cloud, shared_namespace)):
            yield Room(api, admin, shared_namespace, names)


@pytest.mark.parametrize("case", cases("good"))
async def test_each_case_is_synced(room: Room, case: Path) -> None:
    for document in room.read(case / "given.yaml"):
        await room.api.put(document, room.namespace)
    for expected in room.read(case / "expected.yaml"):
        await room.expect(expected)


@pytest.mark.parametrize("case", cases("bad"))
async def test_a_mistake_ends_in_a_condition(room: Room, case: Path) -> None:
    for document in room.read(case / "given.yaml"):
        await room.api.put(document, room.namespace)
    for expected in room.read(case / "expected.yaml"):
        await room.expect(expected)


@pytest.mark.parametrize("case", cases("bad"))
async def test_a_mistake_made_later_loses_nothing(room: Room, case: Path) -> None:
    name = f"later-{case.name}"
    good = external_secret(name, {"key": "good/password", "name": "password"})
    await room.api.put(good, room.namespace)
    synced = await room.api.until_holds(room.namespace, name, {"password": "correct horse"})
    await room.api.until_ready(room.namespace, name, "Synced")

    for document in room.read(case / "given.yaml"):
        if document["kind"] == "ExternalSecret":
            document["metadata"]["name"] = name
        await room.api.put(document, room.namespace)

    condition = matching.Contains("")
    for expected in room.read(case / "expected.yaml"):
        if expected["kind"] == "ExternalSecret":
            condition = expected["status"]["conditions"][0]
    await room.api.until(
        "ExternalSecret",
        room.namespace,
        name,
        lambda found: not list(matching.differences(condition, ready_of(found))),
    )
    assert version_of(await room.api.get("Secret", room.namespace, name)) == version_of(synced)
