"""Identities of assumed roles, with a token or with another identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.credentials.roles import account_of
from secret_sync.credentials.types import CredentialKey
from secret_sync.errors import CredentialsError, SecretSyncError

if TYPE_CHECKING:
    from secret_sync.credentials.roles import Role
    from secret_sync.credentials.sts import Sts
    from secret_sync.credentials.tokens import TokenSource
    from secret_sync.credentials.types import CredentialProvider, Credentials

_TOKEN_EXPIRED = "AuthenticationFail.OIDCToken.Expired"  # noqa: S105 - a code of STS


class OidcRoleProvider:
    """RRSA: a role that trusts a ServiceAccount, assumed with its token."""

    __slots__ = ("_provider_arn", "_sts", "key", "role", "tenant", "tokens")

    #: It is assumed with no other identity.
    base: Final = None

    def __init__(
        self, sts: Sts, tokens: TokenSource, provider_arn: str, role: Role, *, tenant: str = ""
    ) -> None:
        """Build on the hosts that STS has now: they are a part of the key.

        Args:
            sts: The client, which may be shared.
            tokens: Source of the token.
            provider_arn: The OIDC provider of the token's cluster.
            role: The role that is assumed.
            tenant: Whose turn at STS it goes with; no part of the key, so of equal ones that of
                the first counts.
        """
        self._sts = sts
        self.tenant = tenant
        self.tokens: Final = tokens
        self._provider_arn = provider_arn
        self.role: Final = role
        self.key: Final = CredentialKey(
            "RRSA",
            (tokens.key, provider_arn, role, sts.hosts),
            account=account_of(role.arn),
        )

    async def fetch(self, base: Credentials | None) -> Credentials:  # noqa: ARG002 - it has none
        """Obtain a token and assume the role; a token that expired meanwhile is replaced once.

        Raises:
            SecretSyncError: As of the token source and of ``Sts``.
        """
        outcome = await self._assume()
        if isinstance(outcome, CredentialsError):
            outcome = await self._assume()
        if isinstance(outcome, SecretSyncError):
            raise outcome
        return outcome

    async def _assume(self) -> Credentials | CredentialsError:
        token = await self._sts.token_of(self.tokens, tenant=self.tenant)
        try:
            return await self._sts.assume_role_with_oidc(
                token, self._provider_arn, self.role, tenant=self.tenant
            )
        except CredentialsError as error:
            if error.code != _TOKEN_EXPIRED:
                raise
            # Returned, so that it is not the context of an error of the second attempt.
            return error


class AssumedRoleProvider:
    """A role assumed with another identity: an AccessKey, or another role."""

    __slots__ = ("_sts", "base", "key", "role", "tenant")

    def __init__(self, sts: Sts, base: CredentialProvider, role: Role, *, tenant: str = "") -> None:
        """Build on the hosts that STS has now: they are a part of the key.

        Args:
            sts: The client, which may be shared.
            base: The identity that assumes the role.
            role: The role that is assumed.
            tenant: Whose turn at STS it goes with; no part of the key, so of equal ones that of
                the first counts.
        """
        self._sts = sts
        self.tenant = tenant
        self.base: Final = base
        self.role: Final = role
        self.key: Final = CredentialKey(
            "AssumedRole",
            (base.key, role, sts.hosts),
            (base.key.stable, role, sts.hosts),
            account=account_of(role.arn),
        )

    async def fetch(self, base: Credentials | None) -> Credentials:
        """Assume the role.

        Raises:
            CredentialsError: The credentials of the base were not accepted.
            SecretSyncError: As of ``Sts``.
        """
        if base is None:
            raise TypeError("a role is assumed with the credentials of its base")
        return await self._sts.assume_role(base, self.role, tenant=self.tenant)
