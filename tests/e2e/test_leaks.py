"""No value, AccessKey secret or token in anything that the controller says."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from secret_sync.local.cloud import CloudAdmin
from tests.support.leaks import spellings
from tests.support.operator import (
    Api,
    external_secret,
    install_crds,
    put_store,
    ready_of,
    secret,
    store,
)
from tests.support.program import free_port, running

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

#: What must not be seen anywhere.
VALUES = {
    "leak/text": "value-text-8d1f",
    "leak/document": '{"user": "value-in-json-52aa", "broken": ',
    "leak/rotated": "value-rotated-a91c",
    "leak/large": "value-large-c2d8" * 80_000,
    "leak/forbidden": "value-forbidden-77b0",
    "leak/throttled": "value-throttled-0f3e",
    "leak/hanging": "value-hung-1be2",
    "leak/html": "value-html-e8c1",
}
BINARY = b"\xff\xfevalue-binary-63f9"
WRONG_SECRET = "wrong-access-key-secret-b7d4"
NOT_A_KEY = "not an access key 4fe0"
THEIRS = "value-of-a-foreign-secret-91d2"


async def put_trouble(api: Api, info: CloudInfo, admin: CloudAdmin, namespace: str) -> set[str]:
    """Objects that succeed and fail in many ways; returns their names."""
    await admin.put_secrets(VALUES)
    await admin.put_secret("leak/binary", BINARY)
    await admin.update("leak/forbidden", forbidden=True)
    for kind in ("throttle", "hang", "html"):
        await admin.set_fault(kind, subject=f"leak/{kind.removesuffix('e')}*")
    await put_store(api, info, namespace)
    await api.put(secret("wrong", {"id": info.access_key_id, "secret": WRONG_SECRET}), namespace)
    await api.put(store("wrong", access_key="wrong"), namespace)
    await api.put(secret("garbled", {"id": NOT_A_KEY, "secret": NOT_A_KEY}), namespace)
    await api.put(store("garbled", access_key="garbled"), namespace)
    await api.put(secret("conflict", {"theirs": THEIRS}), namespace)
    documents = [
        external_secret(name.removeprefix("leak/"), {"key": name, "name": "x"})
        for name in (*VALUES, "leak/binary", "leak/missing")
    ]
    documents += [
        external_secret("conflict", {"key": "leak/text", "name": "x"}),
        external_secret("illegal", {"key": "leak/text"}),
        external_secret("refused", {"key": "leak/text", "name": "x"}, type="kubernetes.io/tls"),
        *(
            external_secret(name, {"key": "leak/text", "name": "x", **ref})
            for name in ("wrong", "garbled")
            for ref in [{"secretStoreRef": {"name": name}}]
        ),
    ]
    for document in documents:
        await api.put(document, namespace)
    return {document["metadata"]["name"] for document in documents}


def is_reported(status: str, found: dict[str, Any] | None) -> bool:
    return ready_of(found).get("status") == status


async def test_nothing_secret_is_said(
    control_plane: ControlPlane, cloud: CloudInfo, namespace: str
) -> None:
    install_crds(control_plane)
    port = free_port()
    flags = (
        f"--metrics-bind-address=127.0.0.1:{port}",
        "--region=cn-hangzhou",
        f"--watch-namespaces={namespace}",
        "--max-concurrent-kms-secret-pulls=1000",
        "--polling-interval=1s",
        "--log-level=debug",
    )
    variables = {"KUBECONFIG": str(control_plane.kubeconfig), **cloud.environment}
    async with (
        CloudAdmin(cloud.admin_url) as admin,
        Api(control_plane) as api,
        running(*flags, **variables) as child,
        aiohttp.ClientSession() as http,
    ):
        names = await put_trouble(api, cloud, admin, namespace)
        for name in names - {"hanging", "throttled", "html"}:
            synced = name in {"text", "document", "rotated", "binary"}
            settled = partial(is_reported, "True" if synced else "False")
            await api.until("ExternalSecret", namespace, name, settled)
        await admin.put_secret("leak/rotated", VALUES["leak/rotated"] + "-again")
        await api.until_holds(namespace, "rotated", {"x": VALUES["leak/rotated"] + "-again"})
        said = {}
        for plural in ("externalsecrets", "secretstores"):
            _, listed = await api.request(
                "GET", f"/apis/alibabacloud.com/v1alpha1/namespaces/{namespace}/{plural}"
            )
            said[plural] = orjson.dumps(listed).decode()
        _, events = await api.request("GET", f"/api/v1/namespaces/{namespace}/events")
        said["events"] = orjson.dumps(events).decode()
        async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
            said["metrics"] = await answer.text()
        child.process.terminate()
        assert await child.ends() == 0
    said["log"] = "".join(child.lines)
    assert "not synced" in said["log"]

    hidden = [*VALUES.values(), WRONG_SECRET, NOT_A_KEY, THEIRS, cloud.access_key_secret]
    hidden += [value[:16] for value in VALUES.values()]
    hidden.append(control_plane.admin_token)
    raw = [*(value.encode() for value in hidden), BINARY, BINARY[2:]]
    spelt = [text for value in raw for text in spellings(value)]
    for place, text in said.items():
        assert [value for value in spelt if value in text] == [], place
