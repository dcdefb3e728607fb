"""Identities of assumed roles, with a token or with another identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

    __slots__ = ("_key", "_provider_arn", "_role", "_sts", "_tokens", "tenant")

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
        self._tokens = tokens
        self._provider_arn = provider_arn
        self._role = role
        self._key = CredentialKey(
            "RRSA",
            (tokens.key, provider_arn, role, sts.hosts),
            account=account_of(role.arn),
        )

    @property
    def key(self) -> CredentialKey:
        return self._key

    @property
    def tokens(self) -> TokenSource:
        """Return the source of the token."""
        return self._tokens

    @property
    def role(self) -> Role:
        return self._role

    @property
    def base(self) -> None:
        """Return ``None``: the role is assumed with a token."""
        return

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
        token = await self._sts.token_of(self._tokens, tenant=self.tenant)
        try:
            return await self._sts.assume_role_with_oidc(
                token, self._provider_arn, self._role, tenant=self.tenant
            )
        except CredentialsError as error:
            if error.code != _TOKEN_EXPIRED:
                raise
            # Returned, so that it is not the context of an error of the second attempt.
            return error


class AssumedRoleProvider:
    """A role assumed with another identity: an AccessKey, or another role."""

    __slots__ = ("_base", "_key", "_role", "_sts", "tenant")

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
        self._base = base
        self._role = role
        self._key = CredentialKey(
            "AssumedRole",
            (base.key, role, sts.hosts),
            (base.key.stable, role, sts.hosts),
            account=account_of(role.arn),
        )

    @property
    def key(self) -> CredentialKey:
        return self._key

    @property
    def role(self) -> Role:
        return self._role

    @property
    def base(self) -> CredentialProvider:
        """Return the identity that assumes the role."""
        return self._base

    async def fetch(self, base: Credentials | None) -> Credentials:
        """Assume the role.

        Raises:
            CredentialsError: The credentials of the base were not accepted.
            SecretSyncError: As of ``Sts``.
        """
        if base is None:
            raise TypeError("a role is assumed with the credentials of its base")
        return await self._sts.assume_role(base, self._role, tenant=self.tenant)
