"""The region, if it is not configured."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.errors import SecretSyncError

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.cloud.metadata import MetadataService

_log = structlog.get_logger(__name__)

#: Seconds between two questions to a metadata service that does not answer.
AGAIN_AFTER: Final = 60.0


async def find_region(written: str, metadata: MetadataService, *, needed: bool) -> str:
    """Return the configured region, else that of the node.

    Args:
        written: By flag or environment; ``""`` if it is not.
        metadata: The metadata service, which is given a few seconds.
        needed: Whether anything depends on it.

    Returns:
        The region; ``""`` where none can be found now.
    """
    if written or not needed:
        return written
    try:
        return await metadata.region_id()
    except SecretSyncError as error:
        _log.warning(
            "no region is known, so only keys that are ARNs can be fetched; see --region",
            error=error.message,
        )
        return ""


async def keep_asking(metadata: MetadataService, found: Callable[[str], None]) -> None:
    """Ask the metadata service for the region until it answers."""
    while True:
        await asyncio.sleep(AGAIN_AFTER)
        try:
            region = await metadata.region_id()
        except SecretSyncError:
            continue
        found(region)
        break
    await asyncio.Event().wait()
