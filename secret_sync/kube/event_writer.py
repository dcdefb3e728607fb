"""Events on the wire."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from secret_sync.kube.answers import Answer
from secret_sync.kube.apply import MERGE_PATCH
from secret_sync.kube.errors import ApiConflictError, ApiNotFoundError
from secret_sync.kube.resource import EVENTS, METADATA

if TYPE_CHECKING:
    from secret_sync.kube.client import KubeClient
    from secret_sync.kube.event_queue import Series

#: Seconds for one request.
TIMEOUT: Final = 5.0


class EventWriter:
    """Writes Events.

    Args:
        client: The API server.
        component: Who reports, as ``kubectl describe`` shows it.
        instance: Which of its processes.
    """

    def __init__(self, client: KubeClient, component: str, instance: str) -> None:
        self._client = client
        self._component = component
        self._instance = instance

    async def write(self, series: Series) -> None:
        """Make the Event, or let it grow; the same again does no harm.

        Raises:
            SecretSyncError: The API server did not take it.
        """
        if not series.sent:
            # A conflict: an earlier try got through, and only its answer did not.
            with suppress(ApiConflictError):
                return await self._create(series)
        # Events expire, and anybody may delete them.
        with suppress(ApiNotFoundError):
            return await self._grow(series)
        return await self._create(series)

    async def _create(self, series: Series) -> None:
        about = series.about
        body: dict[str, Any] = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"namespace": series.namespace, "name": series.name},
            "involvedObject": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "name": about.name,
                "uid": about.uid,
            },
            "type": series.type_,
            "reason": series.reason,
            "message": series.message,
            "firstTimestamp": series.first,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
            **_extent(series),
        }
        if about.namespace:
            body["involvedObject"]["namespace"] = about.namespace
        await self._client.request(
            "POST",
            EVENTS.path(series.namespace),
            body=body,
            accept=METADATA,
            expected=Answer.ANY,
            timeout=TIMEOUT,
        )

    async def _grow(self, series: Series) -> None:
        await self._client.request(
            "PATCH",
            EVENTS.path(series.namespace, series.name),
            body=_extent(series),
            content_type=MERGE_PATCH,
            accept=METADATA,
            expected=Answer.ANY,
            timeout=TIMEOUT,
        )


def _extent(series: Series) -> dict[str, Any]:
    return {"count": series.sent + series.pending, "lastTimestamp": series.last}
