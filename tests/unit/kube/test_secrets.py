"""Secrets that are read one at a time, with their payload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from secret_sync.errors import DefiniteError, NotFoundError
from secret_sync.kube import SingleSecretReader
from tests.unit.kube.scripted import refusing, storing

if TYPE_CHECKING:
    from secret_sync.kube import KubeClient
    from tests.unit.kube.scripted import ScriptedServer


async def test_data_is_decoded(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(storing(body={"data": {"id": "TFRBSQ==", "binary": "/wA="}}))
    data = await SingleSecretReader(client).read("ns", "credentials")
    assert data == {"id": b"LTAI", "binary": b"\xff\x00"}
    assert server.requests[0].path == "/api/v1/namespaces/ns/secrets/credentials"


@pytest.mark.parametrize("body", [{}, {"data": None}])
async def test_no_data_is_no_keys(
    server: ScriptedServer, client: KubeClient, body: dict[str, None]
) -> None:
    server.lists.append(storing(body=body))
    assert await SingleSecretReader(client).read("ns", "credentials") == {}


async def test_what_is_no_base64_is_not_quoted(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(storing(body={"data": {"key": "not-base64!"}}))
    with pytest.raises(DefiniteError, match="ns/credentials") as caught:
        await SingleSecretReader(client).read("ns", "credentials")
    assert "not-base64" not in str(caught.value)


async def test_a_missing_secret(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(refusing(404, "NotFound", 'secrets "credentials" not found'))
    with pytest.raises(NotFoundError):
        await SingleSecretReader(client).read("ns", "credentials")
