"""What everything that writes Secrets works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from secret_sync.kube import METADATA, SECRETS, ApiNotFoundError, OutdatedError, Ref
from secret_sync.resources import secret_from_metadata
from secret_sync.resources.meta import object_key

if TYPE_CHECKING:
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.kube import ApplyWriter, KubeClient
    from secret_sync.resources import ExternalSecret, SecretMeta


@dataclass(frozen=True, slots=True)
class SecretClient:
    """Reads target Secrets, from the cache and from the API server.

    Attributes:
        kube: The API server, for what the cache does not have yet.
        writer: Applies and deletes as our field manager.
        objects: The ExternalSecrets, with the indexes of ``siblings``.
        secrets: Metadata of all Secrets in scope, with the index of ``cleanup``.
    """

    kube: KubeClient
    writer: ApplyWriter
    objects: ReadOnlyStore[ExternalSecret]
    secrets: ReadOnlyStore[SecretMeta]

    def cached(self, es: ExternalSecret) -> SecretMeta | None:
        """Return the target of an ExternalSecret as the cache has it."""
        return self.secrets.get(object_key(es.namespace, es.target.name))

    async def read(self, es: ExternalSecret) -> SecretMeta | None:
        """Return the target of an ExternalSecret as the API server has it.

        Raises:
            ApiError: The API server refused, or did not answer.
        """
        try:
            return secret_from_metadata({"metadata": await self.metadata(any_version(es))})
        except OutdatedError:
            return None

    async def metadata(self, ref: Ref) -> dict[str, Any]:
        """Read the metadata of a Secret, whole.

        Args:
            ref: The Secret; an empty uid or version stands for any.

        Raises:
            OutdatedError: There is none (404), or it is another one (409).
            ApiError: The API server refused, or did not answer.
        """
        metadata: dict[str, Any] = (await self._get(ref, accept=METADATA))["metadata"]
        return metadata

    async def content(self, ref: Ref) -> dict[str, Any]:
        """Read a Secret with its values, which are not to be kept; as of :meth:`metadata`."""
        return await self._get(ref)

    async def _get(self, ref: Ref, **more: Any) -> dict[str, Any]:
        path = SECRETS.path(ref.namespace, ref.name)
        try:
            found = await self.kube.request("GET", path, **more)
        except ApiNotFoundError as error:
            raise OutdatedError(error.message, status=404, reason=error.code) from None
        metadata = found["metadata"]
        same = ref.uid in {"", metadata["uid"]}
        if not same or ref.resource_version not in {"", metadata["resourceVersion"]}:
            raise OutdatedError(f"Secret {ref.namespace}/{ref.name} has changed since", status=409)
        return found


def any_version(es: ExternalSecret) -> Ref:
    """Refer to the target of an ExternalSecret, whichever Secret that is."""
    return Ref(es.namespace, es.target.name, "", "")
