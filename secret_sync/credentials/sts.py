"""The Security Token Service: assume roles with credentials, or with a token."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from yarl import URL

from secret_sync.cloud.endpoints import sts_hosts
from secret_sync.cloud.errors import UnreachableError, error_of
from secret_sync.cloud.rate_limiter import RateLimiter
from secret_sync.cloud.retry import repeated, settled
from secret_sync.cloud.sdk import OpenApiRequest, Params
from secret_sync.cloud.sdk_transport import (
    FORM,
    USER_AGENT,
    CallContext,
    SdkTransportAdapter,
    document_of,
    stamp,
)
from secret_sync.cloud.services import STS
from secret_sync.cloud.temporary import read_keys
from secret_sync.credentials.fair_limiter import FairRateLimiter
from secret_sync.credentials.types import Credentials
from secret_sync.errors import SecretSyncError, TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from secret_sync.cloud.sdk_transport import Keys
    from secret_sync.cloud.transport import Transport
    from secret_sync.credentials.roles import Role
    from secret_sync.credentials.tokens import TokenSource

_T = TypeVar("_T")

# Calls per second: half of the service's quota, since the account has other callers.
_RATE = 50.0
# Calls and backoff; waiting for the rate does not count.
_SECONDS = 25.0
# The duration of a session if none is requested.
_SESSION = 3600.0
_VERSION = "2015-04-01"
_WITH_TOKEN = "AssumeRoleWithOIDC"  # noqa: S105 - the name of a call
_OK = 200
_MAX_SHOWN = 200

_ASSUME_ROLE = Params(
    action="AssumeRole",
    version=_VERSION,
    protocol="HTTPS",
    pathname="/",
    method="POST",
    auth_type="AK",
    style="RPC",
    req_body_type="formData",
    body_type="json",
)


class Sts:
    """Calls STS over the shared session; one for the whole process, since its rate is."""

    def __init__(self, transport: Transport, *, endpoint: str, region: str) -> None:
        """Set up; calls nothing.

        Args:
            transport: The shared session.
            endpoint: The operator's host[:port], or ``""`` for the VPC endpoint of the region and,
                if that cannot be reached, the public one.
            region: ``""`` for the global endpoint, while no region is known.

        Raises:
            DefiniteError: The endpoint or the region is malformed.
        """
        self._transport = transport
        self._adapter = _Signed(transport)
        self._endpoint = endpoint
        self._region = region
        self._hosts = sts_hosts(region=region, endpoint=endpoint)
        # The host that responded last is tried first.
        self._known = self._hosts[0]

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return each ``host`` or ``host:port``, in the order to try; part of credential keys."""
        return self._hosts

    @property
    def region(self) -> str:
        return self._region

    @region.setter
    def region(self, region: str) -> None:
        """Set the region; providers that were built before keep their keys.

        Raises:
            DefiniteError: It is malformed.
        """
        self._hosts = sts_hosts(region=region, endpoint=self._endpoint)
        self._region = region
        self._known = self._hosts[0]

    async def assume_role(self, keys: Keys, role: Role, *, tenant: str = "") -> Credentials:
        """Assume a role with credentials: AssumeRole, signed with them.

        Args:
            keys: The credentials that sign the call.
            role: The role.
            tenant: The tenant of the call; tenants share the rate fairly.

        Raises:
            CredentialsError: The credentials were not accepted; newer ones may be.
            DefiniteError: The role does not exist, or they may not assume it.
            TransientError: No usable response in four tries and 25 seconds.
        """
        what = _what(role)
        request = OpenApiRequest(query=_session(role))

        async def call(host: str) -> Credentials:
            answer = await self._adapter.call_api_async(
                _ASSUME_ROLE, request, CallContext(host, keys, what, STS)
            )
            return _credentials(answer["body"], answer["headers"], f"{what} at {host}", role)

        return await self._repeat(call, what, tenant)

    async def assume_role_with_oidc(
        self, token: str, provider_arn: str, role: Role, *, tenant: str = ""
    ) -> Credentials:
        """Assume a role with the token of a ServiceAccount: AssumeRoleWithOIDC, unsigned.

        The token is sent in the body only: URLs are logged on the way, bodies are not.

        Args:
            token: The token.
            provider_arn: The OIDC provider of its cluster.
            role: The role.
            tenant: The tenant of the call; tenants share the rate fairly.

        Raises:
            CredentialsError: The token has expired.
            DefiniteError: The role or the provider does not exist, or does not accept the token.
            TransientError: No usable response in four tries and 25 seconds.
        """
        what = _what(role)
        fields = {"OIDCProviderArn": provider_arn, "OIDCToken": token, **_session(role)}
        body = urlencode(fields, quote_via=quote, safe="~").encode()

        async def call(host: str) -> Credentials:
            place = f"{what} at {host}"
            reply = await self._transport.send(
                "POST",
                URL(f"https://{host}/", encoded=True),
                {
                    "host": host,
                    "accept": "application/json",
                    "user-agent": USER_AGENT,
                    "content-type": FORM,
                    "x-acs-action": _WITH_TOKEN,
                    "x-acs-version": _VERSION,
                    **stamp(),
                },
                what=place,
                body=body,
            )
            if reply.status != _OK:
                raise error_of(reply, what=place, temporary=True, hide=(token,), service=STS)
            return _credentials(document_of(reply, place, STS), reply.headers, place, role)

        return await self._repeat(call, what, tenant)

    async def token_of(self, tokens: TokenSource, *, tenant: str = "") -> str:
        """Obtain a token to assume a role with, at the rate of the calls that use them.

        Thousands of concurrent requests would block the connections to the API server, and the
        tokens would expire while waiting for their calls.

        Raises:
            SecretSyncError: As of the token source.
        """
        await self._tokens.acquire(tenant)
        return await tokens.token()

    async def _repeat(self, call: Callable[[str], Awaitable[_T]], what: str, tenant: str) -> _T:
        # Not slowed down by throttling: a quota is that of one account, this rate is for all.
        admit = partial(self._calls.acquire, tenant)
        return await repeated(lambda: self._reach(call), what=what, seconds=_SECONDS, admit=admit)

    # Created by the first call: a client can be built without a running loop.
    @cached_property
    def _calls(self) -> FairRateLimiter:
        return FairRateLimiter(RateLimiter(_RATE, on_wait=lambda _: None))

    @cached_property
    def _tokens(self) -> FairRateLimiter:
        return FairRateLimiter(RateLimiter(_RATE, on_wait=lambda _: None))

    async def _reach(self, call: Callable[[str], Awaitable[_T]]) -> _T:
        """Make one try at the first host that can be reached."""
        first = self._known
        unreached: UnreachableError | None = None
        for host in (first, *(host for host in self._hosts if host != first)):
            outcome = await settled(call(host))
            if isinstance(outcome, UnreachableError):
                unreached = unreached or outcome
                continue
            if isinstance(outcome, SecretSyncError):
                # Without a code the error is not from STS: an untrusted certificate, for example.
                if outcome.code:
                    self._remember(host)
                raise outcome
            self._remember(host)
            return outcome
        raise unreached or TransientError("STS has no host")

    def _remember(self, host: str) -> None:
        if host in self._hosts:  # the region may have been set meanwhile
            self._known = host


class _Signed(SdkTransportAdapter):
    """Signed calls; holds no credentials."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport


def _what(role: Role) -> str:
    arn = role.arn[:_MAX_SHOWN]
    return f'role "{"".join(c if c.isprintable() else "?" for c in arn)}"'


def _session(role: Role) -> dict[str, str]:
    fields = {"RoleArn": role.arn, "RoleSessionName": role.session_name}
    if role.duration is not None:
        fields["DurationSeconds"] = str(role.duration)
    return fields


def _credentials(
    document: Mapping[str, Any], headers: Mapping[str, str], what: str, role: Role
) -> Credentials:
    session = _SESSION if role.duration is None else float(role.duration)
    keys = read_keys(document.get("Credentials"), headers, what=what, session=session)
    if keys is None:
        raise TransientError(f"{what}: the answer holds no credentials")
    return Credentials(
        keys.access_key_id, keys.access_key_secret, keys.security_token, keys.expires_at
    )
