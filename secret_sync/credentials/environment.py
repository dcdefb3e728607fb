"""The controller's own AccessKey, from its environment."""

from __future__ import annotations

from typing import Final

from secret_sync.credentials.access_key import is_clean
from secret_sync.credentials.types import CredentialKey, Credentials
from secret_sync.errors import DefiniteError


class EnvironmentKeyProvider:
    """Provides the permanent credentials of the process's environment."""

    __slots__ = ("_access_key_id", "_access_key_secret", "key")

    #: It is assumed with no other identity.
    base: Final = None

    def __init__(self, access_key_id: str, access_key_secret: str) -> None:
        """Keep the AccessKey, without surrounding white space.

        A process has one environment, so the key has no parts.
        """
        self._access_key_id = access_key_id.strip()
        self._access_key_secret = access_key_secret.strip()
        self.key: Final = CredentialKey("Environment", ())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    async def fetch(self, base: Credentials | None) -> Credentials:  # noqa: ARG002 - it has none
        """Return the AccessKey.

        Raises:
            DefiniteError: ``InvalidAccessKey``: the ID or the secret is invalid.
        """
        for name, value in (
            ("ACCESS_KEY_ID", self._access_key_id),
            ("SECRET_ACCESS_KEY", self._access_key_secret),
        ):
            if not is_clean(value):
                fault = "has characters that an AccessKey cannot have" if value else "is empty"
                raise DefiniteError(
                    f"the controller's environment variable {name} {fault}",
                    code="InvalidAccessKey",
                )
        return Credentials(self._access_key_id, self._access_key_secret)
