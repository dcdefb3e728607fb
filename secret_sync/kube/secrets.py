"""Reading one Secret, payload and all: for the few that hold credentials."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from secret_sync.errors import DefiniteError, ReferenceChangedError
from secret_sync.kube.resource import SECRETS

if TYPE_CHECKING:
    from secret_sync.kube.client import KubeClient


class SingleSecretReader:
    """Reads Secrets one at a time; nothing is kept."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def read(
        self, namespace: str, name: str, *, uid: str, resource_version: str
    ) -> dict[str, bytes]:
        """Return the decoded data of a Secret in exactly this version.

        Raises:
            NotFoundError: It does not exist.
            ReferenceChangedError: It is in another version, or another Secret has its name.
            ApiError: The server refused.
            DefiniteError: Its data is not base64.
        """
        reply = await self._client.request("GET", SECRETS.path(namespace, name))
        found = reply.get("metadata") or {}
        if (found.get("uid"), found.get("resourceVersion")) != (uid, resource_version):
            raise ReferenceChangedError(
                f"Secret {namespace}/{name} changed while it was read; not used; its grant is "
                "checked again"
            )
        try:
            return {
                key: base64.b64decode(value, validate=True)
                for key, value in (reply.get("data") or {}).items()
            }
        except (binascii.Error, ValueError, TypeError):
            raise DefiniteError(f"Secret {namespace}/{name} has data that is not base64") from None
