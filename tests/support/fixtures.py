"""What tests against a cluster have in common.

Which cluster and which cloud is for the folder to say: it has fixtures ``api``, ``namespace`` (the
shared control plane's by default) and ``cloud``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from secret_sync.local.cloud import CloudAdmin
from tests.support.operator import put_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.local.cloud import CloudInfo
    from tests.support.operator import Api


@pytest.fixture
async def admin(cloud: CloudInfo) -> AsyncIterator[CloudAdmin]:
    async with CloudAdmin(cloud.admin_url) as client:
        yield client


@pytest.fixture
async def home(api: Api, cloud: CloudInfo, namespace: str) -> str:
    """A namespace with the SecretStore ``store``, which may read everything."""
    await put_store(api, cloud, namespace)
    return namespace
