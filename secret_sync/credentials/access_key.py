"""The AccessKey of a RAM user, from the Secrets that hold its ID and its secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from secret_sync.credentials.types import CredentialKey, Credentials
from secret_sync.errors import DefiniteError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping


class SecretReader(Protocol):
    """Reads one Kubernetes Secret from the API server."""

    async def read(
        self, namespace: str, name: str, *, uid: str, resource_version: str
    ) -> Mapping[str, bytes]:
        """Return the decoded data of a Secret in exactly this version.

        Raises:
            NotFoundError: It does not exist.
            ReferenceChangedError: It is in another version.
            SecretSyncError: It could not be read.
        """


@dataclass(frozen=True, slots=True)
class SecretKeyRef:
    """One key of one Secret, as it was when the reference was resolved.

    Attributes:
        namespace: The Secret's namespace.
        name: Its name.
        key: The key within its data.
        uid: Its uid.
        resource_version: Its version, whose grant was checked; no other version is read. Each
            change makes it another identity.
    """

    namespace: str
    name: str
    key: str
    uid: str
    resource_version: str

    @property
    def location(self) -> tuple[str, str, str, str]:
        """Return the reference without the version."""
        return self.namespace, self.name, self.key, self.uid


class AccessKeyProvider:
    """Provides permanent credentials from one or two Secrets; one Secret is read once."""

    __slots__ = ("_id_ref", "_reader", "_secret_ref", "key")

    #: It is assumed with no other identity.
    base: Final = None

    def __init__(
        self, reader: SecretReader, access_key_id: SecretKeyRef, access_key_secret: SecretKeyRef
    ) -> None:
        self._reader = reader
        self._id_ref = access_key_id
        self._secret_ref = access_key_secret
        refs = (access_key_id, access_key_secret)
        self.key: Final = CredentialKey("AccessKey", refs, tuple(ref.location for ref in refs))

    async def fetch(self, base: Credentials | None) -> Credentials:  # noqa: ARG002 - it has none
        """Read the Secrets.

        Surrounding white space is removed: it is pasted, and editors add line ends.

        Raises:
            DefiniteError: ``AccessKeySecretNotFound``, ``AccessKeySecretKeyMissing`` or
                ``InvalidAccessKey``: a Secret or its key does not exist, or is not an AccessKey.
            SecretSyncError: A Secret could not be read.
        """
        id_ref, secret_ref = self._id_ref, self._secret_ref
        data = await self._read(id_ref)
        access_key_id = _text(data, id_ref)
        if (secret_ref.namespace, secret_ref.name) != (id_ref.namespace, id_ref.name):
            data = await self._read(secret_ref)
        return Credentials(access_key_id, _text(data, secret_ref))

    async def _read(self, ref: SecretKeyRef) -> Mapping[str, bytes]:
        try:
            return await self._reader.read(
                ref.namespace, ref.name, uid=ref.uid, resource_version=ref.resource_version
            )
        except NotFoundError:
            # Not a NotFoundError: to the caller it would mean the secret that is synced.
            raise DefiniteError(
                f"{_where(ref)} does not exist, but the AccessKey is read from it",
                code="AccessKeySecretNotFound",
            ) from None


def _text(data: Mapping[str, bytes], ref: SecretKeyRef) -> str:
    value = data.get(ref.key)
    if value is None:
        raise DefiniteError(
            f'{_where(ref)} has no key "{ref.key}", but the AccessKey is read from it',
            code="AccessKeySecretKeyMissing",
        )
    # The exception of a decoder would contain the value and become the context of the error.
    text = value.decode(errors="replace").strip()
    if not text:
        raise DefiniteError(f'{_where(ref)}: key "{ref.key}" is empty', code="InvalidAccessKey")
    if not is_clean(text):
        raise DefiniteError(
            f'{_where(ref)}: key "{ref.key}" is not part of an AccessKey:'
            " it has characters that an AccessKey cannot have",
            code="InvalidAccessKey",
        )
    return text


def is_clean(text: str) -> bool:
    """Return whether a string can be an AccessKey ID or secret.

    Both are plain ASCII; anything else, such as a line end in the middle, would break the headers.
    """
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _where(ref: SecretKeyRef) -> str:
    return f"Secret {ref.namespace}/{ref.name}"
