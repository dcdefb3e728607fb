"""A14: whatever others do to a Secret, it becomes what its policy says, and nobody is fought."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.integration.controller.other_writers import ROWS, After, Place
from tests.support.operator import (
    external_secret,
    operator,
    ready_of,
    secret,
    settings_for,
    values_of,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.controller.other_writers import Row
    from tests.support.operator import Api

RIGHT: Final = {"password": "right"}
BASE: Final = {"base": "theirs"}
ADOPT: Final = {"secret-sync.alibabacloud.com/adopt": "true"}
APPLY: Final = "application/apply-patch+yaml"
#: Writes of ours that one write of theirs may cause.
FEW: Final = 6
#: Seconds in which a write that should not come would come.
A_WHILE: Final = 1.5
#: Seconds for what takes its time because many others are under way.
LONG: Final = 30.0
NONE: Final[dict[str, Any]] = {"metadata": {"resourceVersion": ""}}
OWNER: Final = "secret-sync.alibabacloud.com/owner"

#: Each policy: the target of the ExternalSecret, and the column of the table.
POLICIES: Final[dict[str, tuple[dict[str, Any], Callable[[Row], After]]]] = {
    "Owner": ({}, lambda row: row.owner),
    "Retain": ({"deletionPolicy": "Retain"}, lambda row: row.owner),
    "adopt": ({}, lambda row: row.owner),
    "immutable": ({"immutable": True}, lambda row: row.immutable),
    "Merge": ({"creationPolicy": "Merge"}, lambda row: row.merge),
}


def expected(policy: str, row: str) -> After:
    """The cell of the table."""
    after = POLICIES[policy][1](ROWS[row])
    if policy != "adopt":
        return after
    # What replaces an adopted Secret is adopted as well. And the entry of whoever made it with
    # ``stringData`` stays, so that it takes an apply to tell whether anything has changed.
    return {After.REPLACED: After.RESTORED, After.LEFT: After.CHECKED}.get(after, after)


def name_of(row: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", row.lower()).strip("-")


async def applied(api: Api, namespace: str, name: str, **fields: Any) -> None:
    """A server-side apply as kubectl sends it."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **fields}
    path = f"/api/v1/namespaces/{namespace}/secrets/{name}?fieldManager=kubectl"
    status, answer = await api.request("PATCH", path, body, APPLY)
    assert status in {200, 201}, answer


async def set_up(api: Api, namespace: str, policy: str, name: str) -> dict[str, Any]:
    """An ExternalSecret under this policy, in sync; returns its Secret."""
    target, _ = POLICIES[policy]
    document = external_secret(name, {"key": "writers/one", "name": "password"}, target=target)
    if policy == "adopt":
        document["metadata"]["annotations"] = ADOPT
        await applied(api, namespace, name, stringData={"password": "old", "old": "x"})
    if policy == "Merge":
        await api.put(secret(name, BASE), namespace)
    await api.put(document, namespace)
    await api.until_ready(namespace, name, "Synced", within=LONG)
    found = await api.get("Secret", namespace, name)
    assert values_of(found) == (BASE | RIGHT if policy == "Merge" else RIGHT), policy
    return found


def as_before(found: dict[str, Any] | None, before: dict[str, Any]) -> bool:
    """Whether a Secret is what it was: values, mark and owner."""
    if found is None or values_of(found) != values_of(before):
        return False
    metadata, wanted = found["metadata"], before["metadata"]
    marks = [(m.get("annotations") or {}).get(OWNER) for m in (metadata, wanted)]
    return marks[0] == marks[1] and metadata.get("ownerReferences") == wanted.get("ownerReferences")


async def settle(place: Place, after: After, before: dict[str, Any]) -> None:
    """Waits for what is to become of the Secret."""
    api, namespace, name = place.api, place.namespace, place.name

    def restored(found: dict[str, Any] | None) -> bool:
        if after is After.OURS_RESTORED:
            return values_of(found).items() >= RIGHT.items()
        return as_before(found, before)

    async def reason(*wanted: str) -> str:
        es = await api.until(
            "ExternalSecret",
            namespace,
            name,
            lambda e: ready_of(e).get("reason") in wanted,
            within=LONG,
        )
        return str(ready_of(es)["reason"])

    match after:
        case After.KEY_CONFLICT:
            await reason("KeyConflict")
        case After.MISSING:
            await reason("TargetMissing")
        case After.REPLACED:
            async with asyncio.timeout(LONG):
                while not restored(await api.find("Secret", namespace, name)):
                    es = await api.get("ExternalSecret", namespace, name)
                    if ready_of(es)["reason"] == "SecretConflict":
                        return
                    await asyncio.sleep(0.05)
        case After.RESTORED | After.OURS_RESTORED:
            await api.until("Secret", namespace, name, restored, within=LONG)
            await reason("Synced")
        case _:
            # That nothing is written shows at the end.
            return


def writes(requests: list[str], place: Place) -> int:
    """How often the controller has tried to write the Secret."""
    return sum(line.endswith(place.path) and not line.startswith("GET") for line in requests)


def deviation(after: After, held: tuple[str, str, str], tried: int) -> str:
    """What is wrong after a while without any foreign write; ``""`` if nothing is.

    Args:
        after: What was to become of the Secret.
        held: Its version after the foreign write, once it had settled, and a while later.
        tried: Writes that the controller tried because of it.
    """
    written, settled, later = held
    if settled != later:
        return "it is written again and again"
    if tried > FEW:
        return f"{tried} writes"
    quiet = {After.LEFT, After.CHECKED, After.KEY_CONFLICT}
    if (after in quiet and later != written) or (after is After.MISSING and later):
        return "it was written"
    if after is After.LEFT and tried:
        return f"{tried} writes that changed nothing"
    return ""


@pytest.mark.parametrize("policy", POLICIES)
async def test_the_table_of_verbs_and_client_forms(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    requests: list[str],
    policy: str,
) -> None:
    await admin.put_secret("writers/one", "right")
    wrong: dict[str, str] = {}
    held: dict[str, tuple[str, str, int]] = {}
    few = asyncio.Semaphore(6)
    places = {row: Place(api, cluster, home, name_of(row)) for row in ROWS}

    async def cell(row: str) -> None:
        place, after = places[row], expected(policy, row)
        async with few:
            before = await set_up(api, home, policy, place.name)
            tried = writes(requests, place)
            await ROWS[row].write(place)
            written = version_of(await api.find("Secret", home, place.name) or NONE)
            try:
                await settle(place, after, before)
            except (AssertionError, TimeoutError) as error:
                wrong[row] = str(error)
                return
        found = await api.find("Secret", home, place.name) or NONE
        held[row] = (written, version_of(found), tried)

    async with operator(settings_for(cluster, cloud, home)):
        await asyncio.gather(*(cell(row) for row in ROWS))
        await asyncio.sleep(A_WHILE)
        for row, (written, settled, tried) in held.items():
            place = places[row]
            found = await api.find("Secret", home, place.name) or NONE
            versions = (written, settled, version_of(found))
            said = deviation(expected(policy, row), versions, writes(requests, place) - tried)
            if said:
                wrong[row] = said
    assert not wrong, "\n".join(f"{row}: {said}" for row, said in sorted(wrong.items()))
