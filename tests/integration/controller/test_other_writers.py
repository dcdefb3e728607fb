"""Whatever others do to a Secret, it becomes what its policy says, without endless writes."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.integration.controller.other_writers import JSON_PATCH, MARK, ROWS, After, Place
from tests.support.operator import (
    external_secret,
    ready_of,
    secret,
    values_of,
    version_of,
)
from tests.support.watching import force_sync

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.local.cloud import CloudAdmin
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.controller.other_writers import WriterRow
    from tests.support.operator import Api, Running

RIGHT: Final = {"password": "right"}
BASE: Final = {"base": "theirs"}
ADOPT: Final = {"secret-sync.alibabacloud.com/adopt": "true"}
APPLY: Final = "application/apply-patch+yaml"
#: Seconds in which a write that should not come would come.
A_WHILE: Final = 1.5
#: Seconds for what takes its time because many others are under way.
LONG: Final = 30.0
#: Writes of ours that one write of theirs causes, at least and at most: an apply, and where there
#: may be keys of others a patch that removes them. A create that lost the race comes on top.
TRIED: Final = {
    After.LEFT: (0, 0),
    After.REFUSED: (0, 0),
    After.NO_CHANGE: (0, 0),
    After.MISSING: (0, 0),
    # A read shows ``stringData``.
    After.KEY_CONFLICT: (0, 1),
    # The deletion and the creation are an event each, and after either it may be there.
    After.KEY_CONFLICT_IN_NEW: (0, 2),
    After.CHECKED: (1, 2),
    After.RESTORED: (1, 2),
    # A first one may be refused.
    After.TAKEN_BACK: (1, 3),
    After.OURS_RESTORED: (1, 1),
    After.REPLACED: (1, 1),
    After.RESTORED_EITHER_WAY: (1, 3),
}
#: What is not followed by a write that changes anything.
QUIET: Final = frozenset(
    {
        After.LEFT,
        After.REFUSED,
        After.NO_CHANGE,
        After.CHECKED,
        After.KEY_CONFLICT,
        After.KEY_CONFLICT_IN_NEW,
    }
)
CONFLICTS: Final = frozenset({After.KEY_CONFLICT, After.KEY_CONFLICT_IN_NEW})
NONE: Final[dict[str, Any]] = {"metadata": {"resourceVersion": ""}}

#: Each policy: the target of the ExternalSecret, and the column of the table.
POLICIES: Final[dict[str, tuple[dict[str, Any], Callable[[WriterRow], After]]]] = {
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
    likely = {After.REPLACED: After.RESTORED_EITHER_WAY, After.LEFT: After.CHECKED}
    return ROWS[row].adopted or likely.get(after, after)


def name_of(row: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", row.lower()).strip("-")


ROW_OF: Final = {name_of(row): row for row in ROWS}


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
    if "deletionTimestamp" in metadata:
        # It still is, and the next one is what counts.
        return False
    marks = [(m.get("annotations") or {}).get(MARK) for m in (metadata, wanted)]
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
        case After.KEY_CONFLICT | After.KEY_CONFLICT_IN_NEW:
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
        case After.RESTORED | After.TAKEN_BACK | After.OURS_RESTORED | After.RESTORED_EITHER_WAY:
            await api.until("Secret", namespace, name, restored, within=LONG)
            await reason("Synced")
        case _:
            # That nothing is written shows at the end.
            return


def writes(requests: list[str], place: Place) -> int:
    """How often the controller has tried to write the Secret."""
    return sum(line.endswith(place.path) and not line.startswith("GET") for line in requests)


def unlike(after: After, before: str, written: str, *, accepted: bool) -> str:
    """How what the API server made of the write differs from the table; ``""`` if it does not.

    Args:
        after: What is to become of the Secret.
        before, written: Its version before and after the foreign write.
        accepted: Whether that was accepted.
    """
    if after in {After.REPLACED, After.RESTORED_EITHER_WAY}:
        # Ours may come between the delete and the create that it consists of.
        return ""
    if accepted is (after is After.REFUSED):
        return "it was accepted" if accepted else "it was refused"
    unmoved = after in {After.REFUSED, After.NO_CHANGE}
    if (before == written) is not unmoved:
        return "it changed the Secret" if unmoved else "it changed nothing"
    return ""


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
    least, most = TRIED[after]
    if not least <= tried <= most:
        return f"{tried} writes instead of {least} to {most}"
    if (after in QUIET and later != written) or (after is After.MISSING and later):
        return "it was written"
    return ""


async def quiet_version(place: Place) -> str:
    """Return the version of the Secret once it has stood for a second, or after ten.

    A repair may change nothing that is waited for, and so come after that.
    """
    version: str | None = None
    for _ in range(10):
        before = version
        version = version_of(await place.api.find("Secret", place.namespace, place.name) or NONE)
        if version == before:
            break
        await asyncio.sleep(1)
    return version or ""


async def rotate(admin: CloudAdmin, api: Api, namespace: str) -> None:
    """Change the value in KMS, and wait until the controller has it.

    Who has a conflict already, and whose key is removed before, is given the previous value: the
    next one is a conflict then.
    """
    await api.put(external_secret("probe", {"key": "writers/one", "name": "password"}), namespace)
    await api.until_holds(namespace, "probe", RIGHT)
    await admin.put_secret("writers/one", "rotated")
    await force_sync(api, namespace, "probe", "rotated")
    await api.until_holds(namespace, "probe", {"password": "rotated"})


async def rotated(place: Place, policy: str) -> str:
    """What is wrong once KMS has a new value; ``""`` if nothing is."""
    api, namespace, name = place.api, place.namespace, place.name
    after, row = expected(policy, ROW_OF[name]), ROWS[ROW_OF[name]]
    reason = row.merge_rotates if policy == "Merge" else "Synced"
    if after in CONFLICTS:
        reason = "KeyConflict"
    if after is After.MISSING:
        return ""
    es = await api.get("ExternalSecret", namespace, name)
    if after is After.REPLACED and ready_of(es)["reason"] == "SecretConflict":
        return ""
    await force_sync(api, namespace, name, "rotated")

    def written(found: dict[str, Any] | None) -> bool:
        return values_of(found).get("password") == "rotated"

    try:
        if reason != "Synced":
            await api.until_ready(namespace, name, reason, within=LONG)
        if reason == "WriteFailed":
            return ""
        if reason == "KeyConflict":
            # As the message advises.
            remove = [{"op": "remove", "path": "/data/password"}]
            await api.request("PATCH", place.path, remove, JSON_PATCH)
        await api.until("Secret", namespace, name, written, within=LONG)
        await api.until_ready(namespace, name, "Synced", within=LONG)
    except AssertionError as error:
        return f"not rotated: {error}"
    return ""


@pytest.mark.parametrize("policy", POLICIES)
async def test_the_table_of_verbs_and_client_forms(
    cluster: ControlPlane,
    admin: CloudAdmin,
    api: Api,
    home: str,
    requests: list[str],
    policy: str,
    running: Running,
) -> None:
    await admin.put_secret("writers/one", "right")
    wrong: dict[str, str] = {}
    held: dict[str, tuple[str, str, int]] = {}
    few = asyncio.Semaphore(6)
    places = {row: Place(api, cluster, home, name_of(row)) for row in ROWS}

    async def cell(row: str) -> None:
        place, after = places[row], expected(policy, row)
        async with few:
            try:
                before = await set_up(api, home, policy, place.name)
                tried = writes(requests, place)
                accepted = await ROWS[row].write(place)
                written = version_of(await api.find("Secret", home, place.name) or NONE)
                if said := unlike(after, version_of(before), written, accepted=accepted):
                    wrong[row] = said
                    return
                await settle(place, after, before)
            except (AssertionError, TimeoutError) as error:
                wrong[row] = str(error)
                return
        held[row] = (written, await quiet_version(place), tried)

    async with running():
        await asyncio.gather(*(cell(row) for row in ROWS))
        await asyncio.sleep(A_WHILE)
        for row, (written, settled, tried) in held.items():
            place = places[row]
            found = await api.find("Secret", home, place.name) or NONE
            versions = (written, settled, version_of(found))
            said = deviation(expected(policy, row), versions, writes(requests, place) - tried)
            if said:
                wrong[row] = said
        await rotate(admin, api, home)
        rest = [row for row in held if row not in wrong]
        said_of = await asyncio.gather(*(rotated(places[row], policy) for row in rest))
        wrong |= {row: said for row, said in zip(rest, said_of, strict=True) if said}
    assert not wrong, "\n".join(f"{row}: {said}" for row, said in sorted(wrong.items()))
