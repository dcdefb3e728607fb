"""Immutable fields need a recreation: absent for one round trip, and never in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import ApplyWriter
from tests.support.operator import external_secret
from tests.support.watching import Watching, force_sync

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api
    from tests.support.watching import Synced

ENTRIES = (
    {"key": "recreation/user", "name": "user"},
    {"key": "recreation/password", "name": "password"},
)
ONE = {"user": "one", "password": "one"}
TWO = {"user": "two", "password": "two"}


async def pair(admin: CloudAdmin, value: str) -> None:
    await admin.put_secrets({entry["key"]: value for entry in ENTRIES})


@pytest.fixture
async def frozen(admin: CloudAdmin) -> dict[str, Any]:
    """An ExternalSecret ``some`` whose Secret is immutable and holds a pair."""
    await pair(admin, "one")
    return external_secret("some", *ENTRIES, target={"immutable": True})


def immutable(found: dict[str, Any] | None) -> bool:
    return (found or {}).get("immutable") is True


async def test_a_new_value_of_an_immutable_secret(
    admin: CloudAdmin, api: Api, home: str, frozen: dict[str, Any], synced: Synced
) -> None:
    async with synced(frozen):
        first = await api.until("Secret", home, "some", immutable)
        async with Watching(api, home, "some") as watching:
            await pair(admin, "two")
            await force_sync(api, home, "some", "now")
            second = await api.until_holds(home, "some", TWO)
            assert immutable(second)
            assert second["metadata"]["uid"] != first["metadata"]["uid"]
            await api.until_ready(home, "some", "Synced")
            await watching.check(ONE, TWO, absences=1)
            assert watching.states == [ONE, None, TWO]


async def test_immutable_secret_stays_if_one_value_fails(
    admin: CloudAdmin, api: Api, home: str, frozen: dict[str, Any], synced: Synced
) -> None:
    async with synced(frozen) as watching:
        await pair(admin, "two")
        fault = await admin.set_fault("error", subject=ENTRIES[1]["key"], status=503)
        await force_sync(api, home, "some", "now")
        await api.until_ready(home, "some", "ProviderUnavailable", within=20)
        await watching.check(ONE)
        await admin.clear_faults(fault)
        await force_sync(api, home, "some", "again")
        await api.until_holds(home, "some", TWO)
        await watching.check(ONE, TWO, absences=1)


async def test_immutable_comes_without_and_goes_with_a_new_secret(
    api: Api, home: str, frozen: dict[str, Any], synced: Synced
) -> None:
    del frozen["spec"]["target"]
    async with synced(frozen) as watching:
        await api.merge("ExternalSecret", home, "some", {"spec": {"target": {"immutable": True}}})
        await api.until("Secret", home, "some", immutable)
        await watching.check(ONE)

        await api.merge("ExternalSecret", home, "some", {"spec": {"target": {"immutable": False}}})
        await api.until("Secret", home, "some", lambda s: s is not None and not immutable(s))
        await api.until_ready(home, "some", "Synced")
        await watching.check(ONE, absences=1)


async def test_deleted_immutable_secret_comes_back(
    api: Api, home: str, frozen: dict[str, Any], synced: Synced
) -> None:
    async with synced(frozen) as watching:
        await api.delete("Secret", home, "some")
        await api.until("Secret", home, "some", immutable)
        await watching.check(ONE, absences=1)


async def test_another_type_and_another_value_at_once(
    admin: CloudAdmin, api: Api, home: str, synced: Synced
) -> None:
    await pair(admin, "one")
    async with synced(external_secret("some", *ENTRIES)) as watching:
        await pair(admin, "two")
        patch = {
            "metadata": {"annotations": {"secret-sync.alibabacloud.com/force-sync": "now"}},
            "spec": {"type": "example.org/pair"},
        }
        await api.merge("ExternalSecret", home, "some", patch)
        made = await api.until_holds(home, "some", TWO)
        assert made["type"] == "example.org/pair"
        await api.until_ready(home, "some", "Synced")
        await watching.check(ONE, TWO, absences=1)
        kinds = {(f or {}).get("type") for f in watching.history} - {None}
        assert kinds == {"Opaque", "example.org/pair"}


async def test_a_type_that_the_values_do_not_fit_leaves_the_secret_until_it_is_written_otherwise(
    admin: CloudAdmin, api: Api, home: str, synced: Synced
) -> None:
    await pair(admin, "one")
    async with synced(external_secret("some", *ENTRIES)) as watching:
        await api.merge("ExternalSecret", home, "some", {"spec": {"type": "kubernetes.io/tls"}})
        condition = await api.until_ready(home, "some", "WriteFailed")
        assert "tls.crt" in condition["message"]
        await watching.check(ONE)
        await api.merge("ExternalSecret", home, "some", {"spec": {"type": None}})
        await api.until_ready(home, "some", "Synced")
        await watching.check(ONE)


async def test_secret_of_another_writer_created_during_recreation_stays(
    admin: CloudAdmin,
    api: Api,
    home: str,
    frozen: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    synced: Synced,
) -> None:
    remove = ApplyWriter.delete
    theirs: list[dict[str, Any]] = []

    async def delete(writer: ApplyWriter, *arguments: Any) -> None:
        await remove(writer, *arguments)
        body = {"metadata": {"name": "some"}, "kind": "Secret", "apiVersion": "v1"}
        theirs.append(await api.put({**body, "stringData": {"theirs": "precious"}}, home))

    async with synced(frozen):
        monkeypatch.setattr(ApplyWriter, "delete", delete)
        await pair(admin, "two")
        await force_sync(api, home, "some", "now")
        await api.until_ready(home, "some", "SecretConflict")
        assert [await api.get("Secret", home, "some")] == theirs
        monkeypatch.undo()
        await api.delete("Secret", home, "some")
        await api.until_holds(home, "some", TWO)
