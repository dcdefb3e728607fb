"""docs/push-refresh.md, followed: its commands, its event, its kustomization and its limits."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import TYPE_CHECKING, Final

from secret_sync.refresh import authentication, bodies, server
from secret_sync.sources import pushed
from tests.integration.controller.test_backup_and_restore import run
from tests.integration.controller.test_push_refresh import serving, settings_of, synced
from tests.support.documentation import ROOT, section
from tests.support.program import free_port

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api

DOCUMENT: Final = "docs/push-refresh.md"
KEY: Final = "shop-db-password"
ON: Final = section(DOCUMENT, "Turn it on")
SEND: Final = section(DOCUMENT, "Send a request")
ROTATE: Final = section(DOCUMENT, "Rotate the token")
EVENTS: Final = section(DOCUMENT, "EventBridge")
PLACE: Final = "--namespace secret-sync-system"


async def follow(plane: ControlPlane, namespace: str, url: str, *commands: str) -> str:
    """Run commands in one shell, in the namespace of the test instead of the controller's."""
    text = "\n".join(commands)
    assert PLACE in text
    return await run(plane, namespace, text.replace(PLACE, f"--namespace {namespace}"), URL=url)


async def mount(api: Api, namespace: str, folder: Path) -> None:
    """Do what the kubelet does with the Secret."""
    found = await api.get("Secret", namespace, "secret-sync-refresh")
    for name, value in found["data"].items():
        await asyncio.to_thread((folder / name).write_bytes, base64.b64decode(value))


async def test_commands_of_the_document_do_what_it_says(
    *, cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(authentication, "READ_EVERY", 0.0)
    url = f"http://127.0.0.1:{free_port()}/refresh"
    folder = tmp_path / "refresh"
    settings = settings_of(cluster, cloud, folder, url, home)
    (curl,), (hmac,), (signed,) = map(SEND.fenced, ("sh curl", "sh hmac", "sh signed"))
    (rotate,), (rotated,) = map(ROTATE.fenced, ("sh rotate", "sh rotated"))
    await admin.put_secret(KEY, "one")
    async with serving(settings, url):
        await synced(api, home, "some", KEY)
        await follow(cluster, home, url, *ON.fenced("sh token"))
        await mount(api, home, folder)
        await admin.put_secret(KEY, "two")
        assert await follow(cluster, home, url, curl) == "accepted\n"
        await api.until_holds(home, "some", {KEY: "two"})
        old = tokens(folder)[0]

        await follow(cluster, home, url, hmac)
        await mount(api, home, folder)
        await admin.put_secret(KEY, "three")
        key = hmac.splitlines()[1]
        assert await follow(cluster, home, url, key, signed) == "accepted\n"
        await api.until_holds(home, "some", {KEY: "three"})

        await follow(cluster, home, url, rotate)
        await mount(api, home, folder)
        new, second = tokens(folder)
        assert second == old
        for token in (old, new):
            assert await statuses(url, token) == 202
        await follow(cluster, home, url, f"NEW={new}", rotated)
        await mount(api, home, folder)
        assert [await statuses(url, token) for token in (old, new)] == [401, 202]


def tokens(folder: Path) -> list[str]:
    return (folder / "token").read_text().split()


async def statuses(url: str, token: str) -> int:
    command = (
        f"printf 'Authorization: Bearer {token}' | curl --silent --header @- --output /dev/null"
    )
    command += f" --write-out '%{{http_code}}' --data '{{\"secrets\": []}}' {url}"
    process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    return int(printed)


def test_event_of_the_document_names_the_secret() -> None:
    (event,) = EVENTS.fenced("json event")
    arn = f"acs:kms:cn-hangzhou:1234567890123456:secret/{KEY}"
    assert bodies.read_names(event.encode()) == [arn, KEY]
    (pattern,) = EVENTS.text.split("```json pattern")[1:]
    types = json.loads(pattern.partition("```")[0])["type"]
    assert json.loads(event)["type"] in types


def test_limits_of_the_document_are_those_of_the_program() -> None:
    text = section(DOCUMENT, "Limits").text
    times = {4.0: "four times", 10.0: "ten times"}
    for rate, burst, total in (server.ACCEPTED_LIMITS, server.REFUSED_LIMITS):
        assert f"{rate:.0f} per second, {burst:.0f} at once; {times[total]}" in text
    assert f"one in {pushed.SOURCE_EVERY:.0f} s" in text
    assert f"| {({0.5: 'half'})[pushed.SHARE]} of its rate" in text
    size = f"{server.MAX_BODY // 1024} KiB, {bodies.MAX_NAMES}, {bodies.MAX_LENGTH}"
    assert size in text
    seconds, connections = server.CONNECTION_SECONDS, server.MAX_CONNECTIONS
    assert f"one request, {seconds:.0f} s; {connections} connections" in text
    assert f"| {pushed.MAX_WAITING} |" in text
    whole = (ROOT / DOCUMENT).read_text()
    assert f"fewer than {authentication.MIN_LENGTH} characters" in whole
    assert f"older than {authentication.REPLAY_WINDOW} s" in whole
    assert f"`Retry-After: {server.RETRY_AFTER}`" in whole
    assert f"`{authentication.SIGNATURE_HEADER}`" in whole
    assert f"within {authentication.READ_EVERY:.0f} s of a" in " ".join(whole.split())
    assert set(re.findall(r"secret_sync_\w+", whole)) == {
        "secret_sync_refreshes_total",
        "secret_sync_refresh_requests_total",
    }
