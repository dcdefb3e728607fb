"""The RAM role of the ECS node that the controller runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.credentials.types import CredentialKey, Credentials

if TYPE_CHECKING:
    from secret_sync.cloud.metadata import MetadataService


class WorkerRoleProvider:
    """Provides the node's credentials, which its metadata service renews by itself."""

    __slots__ = ("_metadata", "key")

    #: It is assumed with no other identity.
    base: Final = None

    def __init__(self, metadata: MetadataService) -> None:
        self._metadata = metadata
        self.key: Final = CredentialKey("WorkerRole", (metadata.endpoint,))

    async def fetch(self, base: Credentials | None) -> Credentials:  # noqa: ARG002 - it has none
        """Read the credentials from the metadata service.

        Raises:
            DefiniteError: ``WorkerRole.NotAttached``: the node has no role.
            TransientError: ``WorkerRole.Unavailable``: there was no usable response.
        """
        keys = await self._metadata.role_credentials()
        return Credentials(
            keys.access_key_id, keys.access_key_secret, keys.security_token, keys.expires_at
        )
