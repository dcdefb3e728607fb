"""AccessKey Secrets that are read singly on a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from secret_sync.errors import ReferenceChangedError
from secret_sync.kube import METADATA, SECRETS, SingleSecretReader

if TYPE_CHECKING:
    from secret_sync.kube import KubeClient
    from tests.integration.kube.conftest import Secrets

ALLOW = "secret-sync.alibabacloud.com/allow-namespaces"


async def decisions(client: KubeClient, secrets: Secrets) -> dict[str, str]:
    """The version that a grant is checked on: it is seen by its metadata only."""
    path = SECRETS.path(secrets.namespace, "target")
    metadata = (await client.request("GET", path, accept=METADATA))["metadata"]
    return {"uid": metadata["uid"], "resource_version": metadata["resourceVersion"]}


async def test_a_secret_is_read_in_the_version_whose_grant_was_checked(
    client: KubeClient, secrets: Secrets
) -> None:
    reader = SingleSecretReader(client)
    intent = secrets.intent(id="LTAI1")
    intent["metadata"]["annotations"] = {ALLOW: "tenant"}
    await secrets.create(intent)
    before = await decisions(client, secrets)
    assert await reader.read(secrets.namespace, "target", **before) == {"id": b"LTAI1"}

    # Another key is put in, for which nobody has checked the grant yet.
    await secrets.edit(id="LTAI2")
    with pytest.raises(ReferenceChangedError):
        await reader.read(secrets.namespace, "target", **before)
    now = await decisions(client, secrets)
    assert await reader.read(secrets.namespace, "target", **now) == {"id": b"LTAI2"}

    await secrets.delete()
    await secrets.create(secrets.intent(id="LTAI3"))
    with pytest.raises(ReferenceChangedError):
        await reader.read(secrets.namespace, "target", **now)
