"""The part of the admin API that is about identities: roles, providers, sessions, the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003  # the dispatcher reads the annotations
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from secret_sync.local.cloud.dispatch import convert_each
from secret_sync.local.cloud.jwks import read_keys
from secret_sync.local.cloud.metadata import SESSION_SECONDS, Machine, MetadataMode
from secret_sync.local.cloud.ram import (
    LONGEST_SESSION,
    SHORTEST_SESSION,
    OidcProvider,
    Permissions,
    Trust,
    check_name,
    provider_arn,
    role_arn,
)

if TYPE_CHECKING:
    from secret_sync.local.cloud.metadata import Metadata
    from secret_sync.local.cloud.ram import RamRole
    from secret_sync.local.cloud.store import CloudStore

_PERMISSIONS: Final = get_type_hints(Permissions)
_ROLE: Final = {
    "account": str,
    "trust": tuple[Trust, ...],
    "max_session_seconds": int,
    **_PERMISSIONS,
}


class RamAdmin:
    """Operations on roles, OIDC providers, sessions and the metadata service.

    A `role` is an ARN, or the name of a role of `account`; a `provider` likewise.

    Args:
        store: Roles, providers, sessions and access keys.
        metadata: The metadata service.
        account: The account meant where a request names none.
    """

    def __init__(self, store: CloudStore, metadata: Metadata, account: str) -> None:
        self._store = store
        self._metadata = metadata
        self._account = account

    def put_role(
        self, /, name: str, *, trust: Sequence[Mapping[str, str]] = (), **options: Any
    ) -> str:
        """Make a role, or change it if there is one of that name.

        Args:
            name: Of the role.
            trust: Whom it trusts, any one of: `{"account": <id>}`, `{"role": <ARN>}`,
                `{"oidc_provider": <ARN>, "sub": <pattern>, "aud": <audience, optional>}`.
            **options: `account`, and as for `update_role`; a new role reads every secret and
                parameter of its account (`secrets=["*"]`), assumes no other role (`roles=[]`),
                and its sessions last for 3600 seconds at most.

        Returns:
            Its ARN.
        """
        changes = _role_changes({**options, "trust": list(trust)})
        account = changes.pop("account", self._account)
        role = self._store.ram.put_role(account, name)
        _change(role, changes)
        return role.arn

    def update_role(self, /, role: str, **changes: Any) -> None:
        """Change a role at once, for its running sessions too.

        Args:
            role: ARN or name.
            **changes: `account`, to find it by; `trust`; `secrets` and `parameters`, patterns of
                what its sessions may read; `decrypts`, whether they have what of KMS that takes
                for parameters; `roles`, patterns of the ARNs that they may assume;
                `max_session_seconds` (900 to 43200).
        """
        converted = _role_changes(changes)
        arn = self._role(role, converted.pop("account", ""))
        _change(self._store.ram.role(arn), converted)

    def delete_role(self, role: str, *, account: str = "") -> None:
        """Delete a role and end its sessions."""
        self._store.ram.delete_role(self._role(role, account), self._store.now())

    def roles(self) -> list[dict[str, Any]]:
        """List roles: `arn`, `trust`, `max_session_seconds`, and what their sessions may do."""
        return [
            {
                "arn": role.arn,
                "trust": [{k: v for k, v in asdict(rule).items() if v} for rule in role.trust],
                **asdict(role.permissions),
                "max_session_seconds": role.max_session_seconds,
            }
            for role in self._store.ram.roles.values()
        ]

    def put_oidc_provider(
        self,
        name: str,
        *,
        issuer: str,
        jwks: Mapping[str, Any],
        audiences: Sequence[str] = ("sts.aliyuncs.com",),
        account: str = "",
    ) -> str:
        """Make a provider of OIDC tokens, or replace it.

        Args:
            name: Of the provider.
            issuer: What its tokens have as `iss`.
            jwks: The issuer's keys, a JSON Web Key Set.
            audiences: What its tokens may be for.
            account: Of the provider.

        Returns:
            Its ARN.
        """
        account = account or self._account
        check_name(account, name)
        provider = OidcProvider(account, name, issuer, tuple(audiences), read_keys(jwks))
        self._store.ram.providers[provider.arn] = provider
        return provider.arn

    def delete_oidc_provider(self, provider: str, *, account: str = "") -> None:
        """Delete a provider."""
        arn = provider
        if not arn.startswith("acs:"):
            arn = provider_arn(account or self._account, provider)
        if self._store.ram.providers.pop(arn, None) is None:
            raise KeyError(f"no provider {arn}")

    def restrict_access_key(self, /, key_id: str, **permissions: Sequence[str] | bool) -> None:
        """Set what a key may do.

        Args:
            key_id: Of the key.
            **permissions: As for `update_role`: `secrets`, `parameters`, `decrypts`, `roles`;
                omitted ones stay (all of them "*" or true for a new key).
        """
        key = self._store.access_keys.get(key_id)
        if key is None:
            raise KeyError(f"no access key {key_id}")
        plain = {n: v if isinstance(v, bool) else list(v) for n, v in permissions.items()}
        changes = convert_each(plain, _PERMISSIONS)
        self._store.restrict(key_id, replace(key.permissions, **changes))

    def sessions(self) -> list[dict[str, Any]]:
        """List sessions, ended ones too: `id`, `role` (ARN), `name`, `opened_by`, `expires`."""
        return [
            {
                "id": session.id,
                "role": session.role.arn,
                "name": session.name,
                "opened_by": session.opened_by,
                "expires": session.expires,
            }
            for session in self._store.ram.sessions.values()
        ]

    def expire_sessions(self, *, role: str = "", access_key: str = "", account: str = "") -> int:
        """End running sessions: all, or those that everything given fits to.

        Args:
            role: Theirs.
            access_key: Id of their own access key, or of the one that opened them.
            account: To find the role by.

        Returns:
            How many.
        """
        arn = self._role(role, account) if role else ""
        return self._store.ram.expire_sessions(arn, access_key, self._store.now())

    def set_metadata(
        self,
        *,
        role: str = "",
        region_id: str = "",
        mode: MetadataMode | str = MetadataMode.BOTH,
        session_seconds: int = SESSION_SECONDS,
        account: str = "",
    ) -> None:
        """Set everything that the metadata service returns; its next credentials are new.

        Args:
            role: Attached to the machine; "" for none.
            region_id: Of the machine; "" for unknown.
            mode: Which requests are answered.
            session_seconds: How long credentials are valid; with less than 30 minutes left they
                are replaced.
            account: To find the role by.
        """
        if not 1 <= session_seconds <= LONGEST_SESSION:
            raise ValueError(f"session_seconds is from 1 to {LONGEST_SESSION}")
        arn = self._store.ram.role(self._role(role, account)).arn if role else ""
        self._metadata.set(Machine(arn, region_id, MetadataMode(mode), session_seconds))

    def expire_metadata_tokens(self) -> int:
        """Make the tokens of the metadata service invalid; return how many."""
        return self._metadata.expire_tokens()

    def issued(self) -> list[str]:
        """Return the values that must not be in any log.

        That is the secrets of access keys and sessions, security tokens and tokens of the
        metadata service ever given out, and the OIDC tokens ever received.
        """
        return self._store.confidential.entries()

    def _role(self, role: str, account: str) -> str:
        return role if role.startswith("acs:") else role_arn(account or self._account, role)


def _role_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Read what is to change, before anything does."""
    read = convert_each(changes, _ROLE)
    seconds = read.get("max_session_seconds", SHORTEST_SESSION)
    if not SHORTEST_SESSION <= seconds <= LONGEST_SESSION:
        raise ValueError(f"max_session_seconds is from {SHORTEST_SESSION} to {LONGEST_SESSION}")
    return read


def _change(role: RamRole, changes: dict[str, Any]) -> None:
    role.trust = changes.pop("trust", role.trust)
    role.max_session_seconds = changes.pop("max_session_seconds", role.max_session_seconds)
    role.permissions = replace(role.permissions, **changes)
