"""The finalizers that ack-secret-manager left behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.kube import ApiRefusedError, OutdatedError, key_of
from secret_sync.resources.names import LEGACY_FINALIZER

if TYPE_CHECKING:
    from secret_sync.kube import ApplyWriter, Resource
    from secret_sync.resources import ExternalSecret, SecretStore

_log = structlog.get_logger(__name__)

#: Another writer that puts the finalizer back is reverted so often within so many seconds.
_TIMES: Final = 3
_WITHIN: Final = 600.0


class LegacyFinalizers:
    """Removes the finalizer of ack-secret-manager from what this controller has taken over.

    Where that is still running it puts the finalizer back; after three times it is left alone
    for a while.

    Args:
        writer: Patches as our field manager.
        resource: The kind.
    """

    def __init__(self, writer: ApplyWriter, resource: Resource) -> None:
        self._writer = writer
        self._resource = resource
        self._lately: dict[str, tuple[float, ...]] = {}

    async def remove(self, obj: ExternalSecret | SecretStore) -> bool:
        """Remove the finalizer, if it is there; return whether it was.

        Raises:
            ApiError: The API server did not answer, or refused for an object being deleted.
        """
        if not obj.legacy:
            return False
        key = key_of(obj)
        now = asyncio.get_running_loop().time()
        lately = tuple(t for t in self._lately.get(key, ()) if now - t < _WITHIN)
        if len(lately) >= _TIMES and not obj.deleting:
            return False
        try:
            gone = await self._writer.remove_finalizer(
                self._resource, obj.namespace, obj.name, obj.uid, LEGACY_FINALIZER
            )
        except OutdatedError:
            return False
        except ApiRefusedError as error:
            if obj.deleting:
                raise
            _log.warning("finalizer of ack-secret-manager not removed", error=error.message)
            return False
        if gone:
            self._lately[key] = (*lately, now)
            _log.info("finalizer of ack-secret-manager removed")
        return gone

    def forget(self, key: str) -> None:
        """Forget an object that is gone."""
        self._lately.pop(key, None)
