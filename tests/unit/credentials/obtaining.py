"""Waiting for the credentials of an identity."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from secret_sync.credentials import Failure

if TYPE_CHECKING:
    from secret_sync.credentials import CredentialCache, CredentialKey, Credentials


async def obtain(cache: CredentialCache, key: CredentialKey) -> Credentials:
    """Wait for credentials, for as many fetches as it takes; raise a failure."""
    fetched = asyncio.Event()
    while (outcome := cache.request(key, fetched.set)) is None:
        await fetched.wait()
        fetched.clear()
    if isinstance(outcome, Failure):
        raise outcome.error
    return outcome
