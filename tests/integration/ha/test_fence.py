"""What the fence for writes stands on: how the API server takes the limit it is given."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson
import pytest

if TYPE_CHECKING:
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api


@pytest.mark.parametrize(("late", "applied"), [(0.0, True), (2.0, False)])
async def test_a_body_that_comes_after_the_limit_is_not_applied(
    audited: ControlPlane, api: Api, namespace: str, late: float, *, applied: bool
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/some"
    body = orjson.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "some"}, "data": {"a": "b"}}
    )
    address = urlsplit(audited.server)
    context = ssl.create_default_context(cafile=audited.ca_file)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, ssl=context)
    head = (
        f"PATCH {path}?fieldManager=x&timeout=1s HTTP/1.1\r\n"
        f"Host: {address.netloc}\r\n"
        f"Authorization: Bearer {audited.admin_token}\r\n"
        "Content-Type: application/apply-patch+yaml\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Expect: 100-continue\r\n\r\n"
    )
    writer.write(head.encode())
    assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(late)
    writer.write(body)
    answer = await reader.readline()
    assert (b" 201 " in answer) == applied, answer
    writer.close()
    # Time for what nobody waits for any more.
    await asyncio.sleep(1)
    status, _ = await api.request("GET", path)
    assert status == (200 if applied else 404)
