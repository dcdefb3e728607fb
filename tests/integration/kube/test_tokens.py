"""Tokens of ServiceAccounts on a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import ReferenceChangedError
from secret_sync.kube import SERVICE_ACCOUNTS, ServiceAccountTokenMinter, read_token_user

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.kube import KubeClient

AUDIENCE = ("sts.aliyuncs.com",)


async def create(client: KubeClient, namespace: str) -> str:
    body: dict[str, Any] = {"metadata": {"name": "reader"}}
    made = await client.request("POST", SERVICE_ACCOUNTS.path(namespace), body=body)
    uid: str = made["metadata"]["uid"]
    return uid


async def test_a_token_is_of_the_account_that_was_checked_and_not_of_its_successor(
    client: KubeClient, namespace: str, tmp_path: Path
) -> None:
    first = await create(client, namespace)
    minter = ServiceAccountTokenMinter(client)
    token = await minter.mint(namespace, "reader", first, AUDIENCE)
    path = tmp_path / "token"
    path.write_text(token)
    assert await read_token_user(str(path)) == f"system:serviceaccount:{namespace}:reader"

    await client.request("DELETE", SERVICE_ACCOUNTS.path(namespace, "reader"))
    second = await create(client, namespace)
    with pytest.raises(ReferenceChangedError):
        await minter.mint(namespace, "reader", first, AUDIENCE)
    assert await minter.mint(namespace, "reader", second, AUDIENCE)
