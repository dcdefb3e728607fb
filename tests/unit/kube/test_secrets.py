"""Secrets that are read one at a time, with their payload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from secret_sync.errors import DefiniteError, NotFoundError, ReferenceChangedError
from secret_sync.kube import SingleSecretReader
from tests.unit.kube.fakes import answering, refusing

if TYPE_CHECKING:
    from typing import Any

    from secret_sync.kube import KubeClient
    from tests.unit.kube.fakes import ScriptedServer


METADATA = {"namespace": "ns", "name": "credentials", "uid": "u1", "resourceVersion": "7"}


async def read(client: KubeClient) -> dict[str, bytes]:
    reader = SingleSecretReader(client)
    return await reader.read("ns", "credentials", uid="u1", resource_version="7")


async def test_data_is_decoded(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(
        answering({"metadata": METADATA, "data": {"id": "TFRBSQ==", "binary": "/wA="}})
    )
    data = await read(client)
    assert data == {"id": b"LTAI", "binary": b"\xff\x00"}
    assert server.requests[0].path == "/api/v1/namespaces/ns/secrets/credentials"


@pytest.mark.parametrize("body", [{}, {"data": None}])
async def test_no_data_is_no_keys(
    server: ScriptedServer, client: KubeClient, body: dict[str, None]
) -> None:
    server.lists.append(answering({"metadata": METADATA, **body}))
    assert await read(client) == {}


async def test_invalid_base64_is_not_quoted(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(answering({"metadata": METADATA, "data": {"key": "not-base64!"}}))
    with pytest.raises(DefiniteError, match="ns/credentials") as caught:
        await read(client)
    assert "not-base64" not in str(caught.value)


async def test_a_missing_secret(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(refusing(404, "NotFound", 'secrets "credentials" not found'))
    with pytest.raises(NotFoundError):
        await read(client)


@pytest.mark.parametrize(
    "metadata",
    [{**METADATA, "uid": "u2"}, {**METADATA, "resourceVersion": "8"}],
    ids=str,
)
async def test_another_version_than_the_one_that_was_checked_is_not_read(
    server: ScriptedServer, client: KubeClient, metadata: Any
) -> None:
    server.lists.append(answering({"metadata": metadata, "data": {"id": "aHVzaA=="}}))
    with pytest.raises(ReferenceChangedError, match="ns/credentials changed while") as caught:
        await read(client)
    assert "hush" not in str(caught.value)
