"""A restart that finds everything in sync writes nothing, and repairs what differs."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from secret_sync.kube import KubeClient
from tests.support.operator import external_secret, path_of, syncs_of

if TYPE_CHECKING:
    import pytest

    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api, Running

NAMES = [f"some-{number}" for number in range(12)]
DRIFTED = NAMES[3]


async def edit_in_our_name(api: Api, home: str, name: str) -> None:
    """Apply another value as our field manager, so that nothing but the value tells."""
    stored = (await api.get("Secret", home, name))["metadata"]
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "annotations": stored["annotations"],
            "ownerReferences": stored["ownerReferences"],
        },
        "type": "Opaque",
        "data": {"x": b64encode(b"edited").decode()},
    }
    path = f"{path_of('Secret', home, name)}?fieldManager=secret-sync&force=true"
    status, answer = await api.request("PATCH", path, body, "application/apply-patch+yaml")
    assert status == 200, answer


async def test_restart_writes_only_what_differs(
    admin: CloudAdmin, api: Api, home: str, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await admin.put_secret("restart/shared", "one")
    async with running():
        for name in NAMES:
            await api.put(external_secret(name, {"key": "restart/shared", "name": "x"}), home)
        for name in NAMES:
            await api.until_ready(home, name, "Synced")
    await edit_in_our_name(api, home, DRIFTED)
    written: list[str] = []
    request = KubeClient.request

    async def noted(self: KubeClient, method: str, path: str, **more: Any) -> Any:
        if method != "GET":
            written.append(path)
        return await request(self, method, path, **more)

    monkeypatch.setattr(KubeClient, "request", noted)
    async with running() as controller:
        await api.until_holds(home, DRIFTED, {"x": "one"})
        await api.until(
            *("Secret", home, DRIFTED),
            lambda _: syncs_of(controller, "unchanged") >= len(NAMES) - 1,
        )
    assert written.count(path_of("Secret", home, DRIFTED)) == 1
    others = [name for name in NAMES if name != DRIFTED]
    assert not [path for path in written if any(f"/{name}" in f"{path}/" for name in others)]
