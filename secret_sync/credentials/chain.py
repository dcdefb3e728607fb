"""Chains of identities, from the last role down to the base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.credentials.assumed import AssumedRoleProvider, OidcRoleProvider

if TYPE_CHECKING:
    from secret_sync.credentials.types import CredentialProvider


def base_of(provider: CredentialProvider) -> CredentialProvider:
    """Return the identity that a chain begins with."""
    while provider.base is not None:
        provider = provider.base
    return provider


def roles_of(provider: CredentialProvider) -> tuple[str, ...]:
    """Return the ARNs of the roles that a chain assumes, the first one first."""
    below = roles_of(provider.base) if provider.base is not None else ()
    if isinstance(provider, AssumedRoleProvider | OidcRoleProvider):
        return (*below, provider.role.arn)
    return below
