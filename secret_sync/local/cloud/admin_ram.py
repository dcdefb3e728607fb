"""The part of the admin API that is about identities: roles, providers, sessions, the machine."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from secret_sync.local.cloud.admin_body import check, take, take_strings
from secret_sync.local.cloud.jwks import read_keys
from secret_sync.local.cloud.metadata import SESSION_SECONDS, Machine, MetadataMode
from secret_sync.local.cloud.ram import (
    LONGEST_SESSION,
    SHORTEST_SESSION,
    OidcProvider,
    Trust,
    check_name,
    provider_arn,
    role_arn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from secret_sync.local.cloud.metadata import Metadata
    from secret_sync.local.cloud.ram import RamRole
    from secret_sync.local.cloud.store import CloudStore

_TRUST: Final = {"account": str, "role": str, "oidc_provider": str, "sub": str, "aud": str}


class RamAdmin:
    """The operations; every one takes and returns JSON.

    Args:
        store: Roles, providers, sessions and access keys.
        metadata: The metadata service.
        account: The account meant where a request names none.
    """

    def __init__(self, store: CloudStore, metadata: Metadata, account: str) -> None:
        self._store = store
        self._metadata = metadata
        self._account = account

    def operations(self) -> dict[str, Callable[[dict[str, Any]], Any]]:
        """Return them by name."""
        return {
            "put-role": self.put_role,
            "update-role": self.update_role,
            "delete-role": self.delete_role,
            "list-roles": self.list_roles,
            "put-oidc-provider": self.put_oidc_provider,
            "delete-oidc-provider": self.delete_oidc_provider,
            "restrict-access-key": self.restrict_access_key,
            "list-sessions": self.list_sessions,
            "expire-sessions": self.expire_sessions,
            "set-metadata": self.set_metadata,
            "expire-metadata-tokens": self.expire_metadata_tokens,
            "issued": self.issued,
        }

    def put_role(self, body: dict[str, Any]) -> dict[str, Any]:
        """Make a role, or say what is new about it: `name`, `account` and as for `update_role`."""
        changes = _role_changes(body)
        role = self._store.ram.put_role(
            take(body, "account", str, self._account), take(body, "name", str)
        )
        _change(role, changes)
        return {"arn": role.arn}

    def update_role(self, body: dict[str, Any]) -> dict[str, Any]:
        """Change the role `role`: its `trust`, `max_session_seconds` and `Permissions`.

        It holds at once, for the sessions that there are as well.
        """
        changes = _role_changes(body)
        _change(self._role(body), changes)
        return {}

    def delete_role(self, body: dict[str, Any]) -> dict[str, Any]:
        """Delete the role `role` and end its sessions."""
        self._store.ram.delete_role(self._role(body).arn, self._store.now())
        return {}

    def list_roles(self, _body: dict[str, Any]) -> dict[str, Any]:
        """List roles."""
        return {
            "roles": [
                {
                    "arn": role.arn,
                    "trust": [_plain(rule) for rule in role.trust],
                    **asdict(role.permissions),
                    "max_session_seconds": role.max_session_seconds,
                }
                for role in self._store.ram.roles.values()
            ]
        }

    def put_oidc_provider(self, body: dict[str, Any]) -> dict[str, Any]:
        """Make a provider, or replace it: `name`, `issuer`, `audiences`, `jwks`, `account`."""
        account, name = take(body, "account", str, self._account), take(body, "name", str)
        check_name(account, name)
        provider = OidcProvider(
            account,
            name,
            issuer=take(body, "issuer", str),
            audiences=take_strings(body, "audiences"),
            keys=read_keys(take(body, "jwks", dict)),
        )
        self._store.ram.providers[provider.arn] = provider
        return {"arn": provider.arn}

    def delete_oidc_provider(self, body: dict[str, Any]) -> dict[str, Any]:
        """Delete the provider `provider` (an ARN, or a name in `account`)."""
        arn = self._arn(body, "provider", provider_arn)
        if self._store.ram.providers.pop(arn, None) is None:
            raise KeyError(f"no provider {arn}")
        return {}

    def restrict_access_key(self, body: dict[str, Any]) -> dict[str, Any]:
        """Set the `Permissions` of the key `id`; omitted ones stay."""
        key_id = take(body, "id", str)
        key = self._store.access_keys.get(key_id)
        if key is None:
            raise KeyError(f"no access key {key_id}")
        self._store.restrict(key_id, replace(key.permissions, **_permissions(body)))
        return {}

    def list_sessions(self, _body: dict[str, Any]) -> dict[str, Any]:
        """List sessions, ended ones too, oldest first and without their secrets."""
        return {
            "sessions": [
                {
                    "id": session.id,
                    "role": session.role.arn,
                    "name": session.name,
                    "opened_by": session.opened_by,
                    "expires": session.expires,
                }
                for session in self._store.ram.sessions.values()
            ]
        }

    def expire_sessions(self, body: dict[str, Any]) -> dict[str, Any]:
        """End the sessions of `role`, of `access_key`, or all."""
        role = self._arn(body, "role", role_arn) if body.get("role") else ""
        access_key = take(body, "access_key", str, "")
        now = self._store.now()
        return {"expired": self._store.ram.expire_sessions(role, access_key, now)}

    def set_metadata(self, body: dict[str, Any]) -> dict[str, Any]:
        """Set what the metadata service returns: `role`, `region_id`, `mode`, `session_seconds`.

        Omitted values are reset.
        """
        seconds = take(body, "session_seconds", int, SESSION_SECONDS)
        if not 1 <= seconds <= LONGEST_SESSION:
            raise ValueError(f"session_seconds is from 1 to {LONGEST_SESSION}")
        self._metadata.set(
            Machine(
                self._role(body).arn if body.get("role") else "",
                take(body, "region_id", str, ""),
                MetadataMode(body.get("mode", MetadataMode.BOTH.value)),
                seconds,
            )
        )
        return {}

    def expire_metadata_tokens(self, _body: dict[str, Any]) -> dict[str, Any]:
        """Make the tokens of the metadata service invalid."""
        return {"expired": self._metadata.expire_tokens()}

    def issued(self, _body: dict[str, Any]) -> dict[str, Any]:
        """List what is confidential: see `ConfidentialValues`."""
        return {"issued": self._store.confidential.entries()}

    def _role(self, body: Mapping[str, Any]) -> RamRole:
        return self._store.ram.role(self._arn(body, "role", role_arn))

    def _arn(self, body: Mapping[str, Any], name: str, make: Callable[[str, str], str]) -> str:
        """Read what may be written as an ARN or as a name within an account."""
        text: str = take(body, name, str)
        if text.startswith("acs:"):
            return text
        return make(take(body, "account", str, self._account), text)


def _role_changes(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read what is to change, before anything does."""
    changes: dict[str, Any] = {}
    if "trust" in body:
        changes["trust"] = tuple(_trust(rule) for rule in take(body, "trust", list))
    if "max_session_seconds" in body:
        seconds = take(body, "max_session_seconds", int)
        if not SHORTEST_SESSION <= seconds <= LONGEST_SESSION:
            raise ValueError(f"max_session_seconds is from {SHORTEST_SESSION} to {LONGEST_SESSION}")
        changes["max_session_seconds"] = seconds
    changes["permissions"] = _permissions(body)
    return changes


def _change(role: RamRole, changes: Mapping[str, Any]) -> None:
    role.trust = changes.get("trust", role.trust)
    role.max_session_seconds = changes.get("max_session_seconds", role.max_session_seconds)
    role.permissions = replace(role.permissions, **changes["permissions"])


def _permissions(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read those that are to change."""
    names = ("secrets", "roles", "parameters")
    given: dict[str, Any] = {name: take_strings(body, name) for name in names if name in body}
    if "decrypts" in body:
        given["decrypts"] = take(body, "decrypts", bool)
    return given


def _trust(rule: Any) -> Trust:
    if not isinstance(rule, dict):
        raise TypeError("a trust is to be an object")
    check(rule, _TRUST)
    return Trust(**rule)


def _plain(rule: Trust) -> dict[str, str]:
    return {name: value for name in _TRUST if (value := getattr(rule, name))}
