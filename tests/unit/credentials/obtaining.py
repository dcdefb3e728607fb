"""Waiting for the credentials of an identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.credentials import Failure

if TYPE_CHECKING:
    from secret_sync.credentials import CredentialCache, CredentialKey, Credentials


async def obtain(cache: CredentialCache, key: CredentialKey) -> Credentials:
    """Wait for credentials as an identity waits for those of its base; raise a failure."""
    outcome = await cache._outcome(cache._entries[key])
    if isinstance(outcome, Failure):
        raise outcome.error
    return outcome
