"""docs/backup-and-restore.md, followed: what a backup tool puts back, and how it is continued."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.documentation import section, sections
from tests.support.operator import (
    CORE,
    Api,
    external_secret,
    operator,
    path_of,
    put_store,
    ready_of,
    secret,
    settings_for,
    values_of,
)
from tests.support.watching import force_sync, post_as

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from secret_sync.settings.model import Settings
    from tests.support.operator import Running
    from tests.support.watching import Synced

DOCUMENT: Final = "docs/backup-and-restore.md"
OWNER: Final = "secret-sync.alibabacloud.com/owner"
ADOPT: Final = {"secret-sync.alibabacloud.com/adopt": "true"}
STEPS: Final = section(DOCUMENT, "Restore into the same").fenced("sh restore")
FREE_KEY: Final = section(DOCUMENT, "Merged keys").fenced("sh merged")[0]
MESSAGES: Final = [
    line for s in sections(DOCUMENT) for line in "".join(s.fenced("text")).splitlines()
]
TAKEN: Final = dict.fromkeys(ADOPT)
OLD, NEW = {"password": "old"}, {"password": "new"}
#: The ExternalSecrets of the namespace: the rest of the spec of each.
OBJECTS: Final[dict[str, dict[str, Any]]] = {
    "owned": {},
    "retained": {"target": {"deletionPolicy": "Retain"}},
    "once": {"refreshPolicy": "CreatedOnce"},
    "merged": {"target": {"creationPolicy": "Merge"}},
    "frozen": {"target": {"immutable": True}},
}


async def run(plane: ControlPlane, namespace: str, commands: str, **variables: str) -> str:
    """What a person types, with these variables set; returns what is printed."""
    folder = plane.binaries.kubectl.parent
    environment = {
        **os.environ,
        **variables,
        "NAMESPACE": namespace,
        "KUBECONFIG": str(plane.kubeconfig),
        "PATH": f"{folder}:{os.environ['PATH']}",
    }
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", commands),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed
    return printed.decode()


def backed_up(found: dict[str, Any]) -> dict[str, Any]:
    """What a backup tool puts back of an object."""
    metadata = found["metadata"]
    kept = {k: metadata[k] for k in ("name", "labels", "annotations") if k in metadata}
    rest = {k: v for k, v in found.items() if k not in {"metadata", "status"}}
    return {**rest, "metadata": kept}


async def restore(api: Api, namespace: str, documents: list[dict[str, Any]]) -> None:
    """Puts objects back as a backup tool does, Secrets first."""
    for document in sorted(documents, key=lambda d: d["kind"] not in CORE):
        path = path_of(document["kind"], namespace)
        status, answer = await api.request("POST", f"{path}?fieldManager=velero-server", document)
        assert status == 201, answer


async def back_up(api: Api, namespace: str) -> list[dict[str, Any]]:
    """The ExternalSecrets and their Secrets."""
    kinds = ("Secret", "ExternalSecret")
    return [backed_up(await api.get(kind, namespace, name)) for name in OBJECTS for kind in kinds]


async def filled(api: Api, namespace: str, settings: Settings) -> list[dict[str, Any]]:
    """A namespace in sync, and the backup of it."""
    async with operator(settings):
        await api.put(secret("merged", {"theirs": "x"}), namespace)
        for name, spec in OBJECTS.items():
            entry = {"key": "restored/one", "name": "password"}
            await api.put(external_secret(name, entry, **spec), namespace)
        for name in OBJECTS:
            await api.until_ready(namespace, name, "Synced")
        return await back_up(api, namespace)


async def emptied(api: Api, namespace: str) -> None:
    for name in OBJECTS:
        for kind in ("ExternalSecret", "Secret"):
            if await api.find(kind, namespace, name) is not None:
                await api.request("DELETE", path_of(kind, namespace, name))
            await api.until(kind, namespace, name, lambda found: found is None)


async def until_all(api: Api, namespace: str, reasons: dict[str, str]) -> dict[str, str]:
    """Waits for the reason of each; returns the messages."""
    for name, reason in reasons.items():
        await api.until_ready(namespace, name, reason)
    found = {name: await api.get("ExternalSecret", namespace, name) for name in reasons}
    return {name: ready_of(es)["message"] for name, es in found.items()}


async def check_restore(plane: ControlPlane, api: Api, namespace: str, settings: Settings) -> None:
    """The restored objects are in the namespace, and KMS has a newer value."""
    conflict = dict.fromkeys(["owned", "retained", "once"], "SecretConflict")
    async with operator(settings):
        messages = await until_all(api, namespace, {**conflict, "frozen": "SecretConflict"})
        for name, message in messages.items():
            assert MESSAGES[0].replace(" db ", f" {name} ") in message
            assert 'secret-sync.alibabacloud.com/adopt: "true"' in message
        for name in conflict:
            assert values_of(await api.get("Secret", namespace, name)) == OLD
        # KMS has another value by now.
        await api.until_ready(namespace, "merged", "KeyConflict")
        await run(plane, namespace, FREE_KEY, SECRET="merged", KEY="password")
        await api.merge("ExternalSecret", namespace, "frozen", {"metadata": {"annotations": ADOPT}})
        await api.until(
            "ExternalSecret",
            namespace,
            "frozen",
            lambda e: "was not taken over" in ready_of(e).get("message", ""),
        )
        await api.delete("Secret", namespace, "frozen")
        await api.merge("ExternalSecret", namespace, "frozen", {"metadata": {"annotations": TAKEN}})
        # Somebody made this one by hand; adopting it would take his keys.
        by_hand = await api.put(secret("handmade", {"password": "x", "theirs": "x"}), namespace)
        entry = {"key": "restored/one", "name": "password"}
        await api.put(external_secret("handmade", entry), namespace)
        await api.until_ready(namespace, "handmade", "SecretConflict")

        assert "SecretConflict" in await run(plane, namespace, STEPS[0])
        await run(plane, namespace, STEPS[1])
        for name in ("owned", "retained", "frozen"):
            await api.until_holds(namespace, name, NEW)
        await api.until_holds(namespace, "merged", NEW | {"theirs": "x"})
        assert await api.get("Secret", namespace, "handmade") == by_hand
        # What was made once keeps what the backup had of it, until somebody asks.
        assert values_of(await api.get("Secret", namespace, "once")) == OLD
        for name in OBJECTS:
            es = await api.get("ExternalSecret", namespace, name)
            assert not ADOPT.items() <= es["metadata"].get("annotations", {}).items()
            assert ready_of(es)["reason"] == "Synced"
        wish = {"secret-sync.alibabacloud.com/force-sync": "now"}
        await api.merge("ExternalSecret", namespace, "once", {"metadata": {"annotations": wish}})
        await api.until_holds(namespace, "once", NEW)
        # From now on they are like any other of ours.
        for name in ("owned", "retained", "frozen"):
            await api.delete("Secret", namespace, name)
            await api.until_holds(namespace, name, NEW)


async def test_a_restore_into_the_same_cluster(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str
) -> None:
    settings = settings_for(cluster, cloud, home)
    await admin.put_secret("restored/one", "old")
    documents = await filled(api, home, settings)
    await emptied(api, home)
    await admin.put_secret("restored/one", "new")
    await restore(api, home, documents)
    await check_restore(cluster, api, home, settings)


@pytest.fixture
async def elsewhere(
    breakable_cluster: ControlPlane, breakable_namespace: str, cloud: CloudInfo
) -> AsyncIterator[tuple[ControlPlane, Api, str]]:
    """Another cluster, a client of it, and a namespace with a store."""
    async with Api(breakable_cluster) as client:
        await put_store(client, cloud, breakable_namespace)
        yield breakable_cluster, client, breakable_namespace


async def test_a_restore_into_another_cluster(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    elsewhere: tuple[ControlPlane, Api, str],
) -> None:
    await admin.put_secret("restored/one", "old")
    documents = await filled(api, home, settings_for(cluster, cloud, home))
    await admin.put_secret("restored/one", "new")
    plane, client, namespace = elsewhere
    await restore(client, namespace, documents)
    await check_restore(plane, client, namespace, settings_for(plane, cloud, namespace))


async def restored(api: Api, home: str) -> None:
    """A backup tool puts the merged Secret back, and KMS still has the same value."""
    document = backed_up(await api.get("Secret", home, "merged"))
    await api.delete("Secret", home, "merged")
    await api.until_ready(home, "merged", "TargetMissing")
    await restore(api, home, [document])


async def reset(api: Api, home: str) -> None:
    """A tool resets ``managedFields``."""
    await api.merge("Secret", home, "merged", RESET)


@pytest.mark.parametrize("by", [restored, reset])
async def test_merged_keys_that_were_put_back_rotate_once_they_were_deleted(
    cluster: ControlPlane,
    admin: CloudAdmin,
    api: Api,
    home: str,
    by: Callable[[Api, str], Awaitable[None]],
    running: Running,
) -> None:
    await admin.put_secret("restored/one", "old")
    entry = {"key": "restored/one", "name": "password"}

    async def rotate(value: str) -> None:
        await admin.put_secret("restored/one", value)
        await force_sync(api, home, "merged", value)

    async with running():
        await api.put(secret("merged", {"theirs": "x"}), home)
        await api.put(external_secret("merged", entry, **OBJECTS["merged"]), home)
        await api.until_ready(home, "merged", "Synced")
        await by(api, home)
        # It is in sync, and says what will come of it.
        await api.until(
            "ExternalSecret",
            home,
            "merged",
            lambda es: MESSAGES[1] in ready_of(es)["message"] and ready_of(es)["status"] == "True",
        )
        await rotate("new")
        await api.until_ready(home, "merged", "KeyConflict")
        assert values_of(await api.get("Secret", home, "merged")) == OLD | {"theirs": "x"}
        await run(cluster, home, FREE_KEY, SECRET="merged", KEY="password")
        await api.until_holds(home, "merged", NEW | {"theirs": "x"})
        await api.until_ready(home, "merged", "Synced")
        # For good: the next value arrives by itself.
        await rotate("newer")
        await api.until_holds(home, "merged", {"password": "newer", "theirs": "x"})
        await api.until_ready(home, "merged", "Synced")


RESET: Final[dict[str, Any]] = {"metadata": {"managedFields": [{}]}}


@pytest.mark.parametrize("running", [True, False], ids=["while it runs", "while it is down"])
@pytest.mark.parametrize("name", ["owned", "frozen", "retained"])
async def test_a_tool_that_resets_managed_fields(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    name: str,
    *,
    running: bool,
) -> None:
    settings = settings_for(cluster, cloud, home)
    await admin.put_secret("restored/one", "old")
    document = external_secret(name, {"key": "restored/one", "name": "password"}, **OBJECTS[name])
    extra = {} if name == "frozen" else {"stringData": {"extra": "stray"}}

    def ours(found: dict[str, Any] | None) -> bool:
        entries = (found or {})["metadata"].get("managedFields") or ()
        return values_of(found) == OLD and "secret-sync" in {e["manager"] for e in entries}

    async with operator(settings):
        await api.put(document, home)
        await api.until_ready(home, name, "Synced")
        if running:
            await api.merge("Secret", home, name, {**RESET, **extra})
            await api.until("Secret", home, name, ours)
            await api.until_ready(home, name, "Synced")
    if not running:
        await api.merge("Secret", home, name, {**RESET, **extra})
    async with operator(settings):
        if name == "retained" and not running:
            message = (await api.until_ready(home, name, "SecretConflict"))["message"]
            assert MESSAGES[2] in message
            await run(cluster, home, STEPS[1])
        await api.until("Secret", home, name, ours)
        await api.until_ready(home, name, "Synced")
        # Like any other of ours again: what it is not to hold goes, and it rotates.
        await api.merge("Secret", home, name, {"metadata": {"labels": {"a": "b"}}})
        await admin.put_secret("restored/one", "new")
        wish = {"secret-sync.alibabacloud.com/force-sync": "now"}
        await api.merge("ExternalSecret", home, name, {"metadata": {"annotations": wish}})
        held = await api.until_holds(home, name, NEW)
        managed_by = {"app.kubernetes.io/managed-by": "secret-sync"}
        assert held["metadata"]["labels"] == {"a": "b"} | managed_by


async def test_adopt_continues_it_although_its_own_reference_says_controller(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str
) -> None:
    settings = settings_for(cluster, cloud, home)
    await admin.put_secret("restored/one", "old")
    document = external_secret("owned", {"key": "restored/one", "name": "password"})
    document["metadata"]["annotations"] = ADOPT
    async with operator(settings):
        await api.put(document, home)
        await api.until_ready(home, "owned", "Synced")
    # Neither managedFields nor the mark are left, and somebody wrote it since.
    gone: dict[str, Any] = {"annotations": None, "managedFields": [{}]}
    await api.merge("Secret", home, "owned", {"metadata": gone, "stringData": {"a": "b"}})
    async with operator(settings):
        held = await api.until_holds(home, "owned", OLD)
        assert OWNER in held["metadata"]["annotations"]
        await api.until_ready(home, "owned", "Synced")


async def test_a_mark_of_an_object_that_is_gone_is_named(
    admin: CloudAdmin, api: Api, home: str, synced: Synced
) -> None:
    await admin.put_secret("restored/one", "old")
    entry = {"key": "restored/one", "name": "password"}
    target = {"name": "app-secret", "deletionPolicy": "Retain"}
    async with synced(external_secret("before", entry, target=target)):
        await api.put(external_secret("after", entry, target=target), home)
        condition = await api.until_ready(home, "after", "SecretConflict")
        assert "belongs to ExternalSecret before, so it was not touched" in condition["message"]
        await api.delete("ExternalSecret", home, "before")
        # Its end enqueues those that it kept out.
        await api.until(
            "ExternalSecret", home, "after", lambda es: MESSAGES[3] in ready_of(es)["message"]
        )
        await api.merge("ExternalSecret", home, "after", {"metadata": {"annotations": ADOPT}})
        await api.until(
            "Secret",
            home,
            "app-secret",
            lambda s: (s or {})["metadata"]["annotations"][OWNER].startswith("after/"),
        )
        await api.until_ready(home, "after", "Synced")


async def test_a_copied_mark_alone_proves_nothing(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secret("restored/one", "old")
    entry = {"key": "restored/one", "name": "password"}
    es = await api.put(external_secret("some", entry), home)
    document = secret("some", {"theirs": "x"})
    document["metadata"]["annotations"] = {OWNER: f"some/{es['metadata']['uid']}"}
    left = await post_as(api, "kubectl-create", document, home)
    async with running():
        await api.until_ready(home, "some", "SecretConflict")
        assert await api.get("Secret", home, "some") == left
