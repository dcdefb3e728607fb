"""The finalizers that ack-secret-manager left behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from secret_sync.kube import ApiRefusedError, OutdatedError
from secret_sync.resources.names import LEGACY_FINALIZER

if TYPE_CHECKING:
    from secret_sync.controller.object_state import ObjectState
    from secret_sync.kube import ApplyWriter, Resource
    from secret_sync.resources.meta import CustomObject

_log = structlog.get_logger(__name__)

#: Another writer that puts the finalizer back is reverted so often within so many seconds.
_TIMES: Final = 3
_WITHIN: Final = 600.0


class LegacyFinalizers:
    """Removes the finalizer of ack-secret-manager from what this controller has taken over.

    Where that is still running it puts the finalizer back; after three times it is left alone
    for a while.
    """

    def __init__(self, writer: ApplyWriter, resource: Resource) -> None:
        self._writer = writer
        self._resource = resource

    async def remove(self, obj: CustomObject[Any], state: ObjectState[Any]) -> bool:
        """Remove the finalizer, if it is there; return whether it was.

        Raises:
            ApiError: The API server did not answer, or refused for an object being deleted.
        """
        if not obj.legacy:
            return False
        now = asyncio.get_running_loop().time()
        lately = tuple(t for t in state.finalizer_removals if now - t < _WITHIN)
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
            state.finalizer_removals = (*lately, now)
            _log.info("finalizer of ack-secret-manager removed")
        return gone
