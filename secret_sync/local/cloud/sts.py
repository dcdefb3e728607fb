"""Security Token Service, API of 2015-04-01: roles are assumed."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from secret_sync.local.cloud import oidc
from secret_sync.local.cloud.errors import CloudApiError
from secret_sync.local.cloud.ram import DEFAULT_SESSION, SHORTEST_SESSION, Session
from secret_sync.local.cloud.services import LocalService

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.local.cloud.ram import RamRole
    from secret_sync.local.cloud.services import ServiceCall
    from secret_sync.local.cloud.store import CloudStore

_ROLE_ARN = re.compile(r"acs:ram::[0-9]{1,32}:role/[A-Za-z0-9._-]{1,64}")
_SESSION_NAME = re.compile(r"[A-Za-z0-9.@_-]{2,64}")
_SECONDS = re.compile(r"[0-9]{1,9}")


def assume_role(store: CloudStore, call: ServiceCall) -> dict[str, Any]:
    """Open a session for the signer of the call, who must have permission and the role's trust.

    `ExternalId` is no condition of any trust here and thus ignored.
    """
    parameters, principal = call.parameters, call.principal
    arn, name = _names(parameters)
    if parameters.get("Policy"):
        raise CloudApiError(
            "UnsupportedOperation", "The local cloud narrows no session by a Policy."
        )
    role = _find(store, arn)
    seconds = _duration(parameters, role)
    if principal is None:
        raise CloudApiError("NoPermission")
    as_role = principal.role.arn if isinstance(principal, Session) else ""
    if not principal.permissions.assumes(arn) or not role.trusts(principal.account, as_role):
        raise CloudApiError("NoPermission")
    return _open(store, role, name, seconds, principal.id)


def assume_role_with_oidc(store: CloudStore, call: ServiceCall) -> dict[str, Any]:
    """Open a session for the holder of a token that the role trusts."""
    parameters = call.parameters
    arn, name = _names(parameters)
    token = _mandatory(parameters, "OIDCToken")
    provider = store.ram.providers.get(_mandatory(parameters, "OIDCProviderArn"))
    if provider is None:
        raise CloudApiError("EntityNotExist.OIDCProvider")
    role = _find(store, arn)
    seconds = _duration(parameters, role)
    claims = oidc.verify(token, provider, store.now())
    if not role.trusts_token(provider.arn, claims.subject, claims.audiences):
        raise CloudApiError("AuthenticationFail.NoPermission")
    return _open(store, role, name, seconds, "")


def timestamp(seconds: float) -> str:
    """Return a time in the form in which STS and the metadata service give it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _names(parameters: Mapping[str, str]) -> tuple[str, str]:
    arn = _mandatory(parameters, "RoleArn")
    name = _mandatory(parameters, "RoleSessionName")
    if not _ROLE_ARN.fullmatch(arn):
        raise CloudApiError("InvalidParameter.RoleArn")
    if not _SESSION_NAME.fullmatch(name):
        raise CloudApiError("InvalidParameter.RoleSessionName")
    return arn, name


def _mandatory(parameters: Mapping[str, str], name: str) -> str:
    value = parameters.get(name, "")
    if not value:
        raise CloudApiError(
            "MissingParameter",
            f'The parameter "{name}" that is mandatory for this request is not supplied.',
        )
    return value


def _find(store: CloudStore, arn: str) -> RamRole:
    role = store.ram.roles.get(arn)
    if role is None:
        raise CloudApiError("EntityNotExist.Role")
    return role


def _duration(parameters: Mapping[str, str], role: RamRole) -> int:
    text = parameters.get("DurationSeconds", "")
    if not text:
        return min(DEFAULT_SESSION, role.max_session_seconds)
    if (
        not _SECONDS.fullmatch(text)
        or not SHORTEST_SESSION <= int(text) <= role.max_session_seconds
    ):
        raise CloudApiError("InvalidParameter.DurationSeconds")
    return int(text)


def _open(
    store: CloudStore, role: RamRole, name: str, seconds: int, opened_by: str
) -> dict[str, Any]:
    session = store.ram.open_session(
        role, name, seconds=seconds, now=store.now(), opened_by=opened_by
    )
    return {
        "AssumedRoleUser": {"AssumedRoleId": f"{role.id}:{name}", "Arn": f"{role.arn}/{name}"},
        "Credentials": {
            "AccessKeyId": session.id,
            "AccessKeySecret": session.secret,
            "SecurityToken": session.token,
            "Expiration": timestamp(session.expires),
        },
    }


STS: Final = LocalService(
    version="2015-04-01",
    host=re.compile(r"sts(?:-vpc)?\.(?P<region>[a-z0-9-]+)\.aliyuncs\.com|sts\.aliyuncs\.com"),
    actions={"AssumeRole": assume_role, "AssumeRoleWithOIDC": assume_role_with_oidc},
    subject="RoleArn",
    anonymous=frozenset(("AssumeRoleWithOIDC",)),
)
