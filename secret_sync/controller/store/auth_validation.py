"""What one identity is written as: the fields of a store, or variables of the environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secret_sync.controller.sync import Problem
from secret_sync.credentials import (
    SESSION_NAME,
    Role,
    check_session_name,
    is_provider_arn,
    is_role_arn,
    read_duration,
)
from secret_sync.resources import AccessKeyRef, Auth, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.resources import SecretStore
    from secret_sync.resources.meta import FieldPath
    from secret_sync.settings import OwnIdentity

#: What messages call the fields of `Auth`.
STORE_WORDS: Final[Mapping[str, str]] = {
    "access_key": "accessKey",
    "access_key_secret": "accessKeySecret",
    "service_account": "serviceAccountRef",
    "role_arn": "ramRoleARN",
    "session_name": "ramRoleSessionName",
    "session_expiration": "roleSessionExpiration",
    "oidc_provider_arn": "oidcProviderARN",
    "oidc_token_file": "oidcTokenFilePath",
    "remote_role_arn": "remoteRamRoleARN",
    "remote_session_name": "remoteRamRoleSessionName",
}
ENVIRONMENT_WORDS: Final[Mapping[str, str]] = {
    "access_key": "ACCESS_KEY_ID",
    "access_key_secret": "SECRET_ACCESS_KEY",
    "role_arn": "ALICLOUD_ROLE_ARN",
    "session_name": "ALICLOUD_ROLE_SESSION_NAME",
    "session_expiration": "ALICLOUD_ROLE_SESSION_EXPIRATION",
    "oidc_provider_arn": "ALICLOUD_OIDC_PROVIDER_ARN",
    "oidc_token_file": "ALICLOUD_OIDC_TOKEN_FILE",
    "remote_role_arn": "ALICLOUD_REMOTE_ROLE_ARN",
    "remote_session_name": "ALICLOUD_REMOTE_ROLE_SESSION_NAME",
}


def own_auth(own: OwnIdentity) -> Auth:
    """Return the controller's own identity in the fields of a store."""
    return Auth(
        access_key=AccessKeyRef("", "ACCESS_KEY_ID", "") if own.access_key_id else None,
        access_key_secret=AccessKeyRef("", "SECRET_ACCESS_KEY", "")
        if own.access_key_secret
        else None,
        role_arn=own.role_arn,
        session_name=own.session_name,
        session_expiration=own.session_expiration,
        oidc_provider_arn=own.oidc_provider_arn,
        remote_role_arn=own.remote_role_arn,
        remote_session_name=own.remote_session_name,
    )


@dataclass(frozen=True, slots=True)
class Writing:
    """One identity as it is configured.

    Attributes:
        where: Begins every message.
        words: What the fields are called there.
        auth: The fields.
        store: The store they stand in; ``None`` for the controller's environment.
        path: Where they stand in the store; empty for the environment.
        invalid: The reason of what contradicts itself.
    """

    where: str
    words: Mapping[str, str]
    auth: Auth
    store: SecretStore | None
    path: FieldPath
    invalid: Reason

    @property
    def tenant(self) -> str:
        """Return whose turn its sessions go with: the namespace, if only that one writes it."""
        return "" if self.store is None else self.store.namespace

    def word(self, field: str) -> str:
        """Return what a field is called."""
        return self.words[field]

    def written(self, *fields: str) -> tuple[str, ...]:
        """Return those of the fields that are set, by what they are called."""
        return tuple(self.words[f] for f in fields if getattr(self.auth, f))

    def field_of(self, field: str) -> FieldPath:
        """Return the path of a field; empty in the environment."""
        return (*self.path, self.words[field]) if self.path else ()

    def wrong(self, message: str, reason: Reason | None = None, *, field: str = "") -> Problem:
        """Return a problem of this configuration, or of one of its fields."""
        path = self.field_of(field) if field else self.path
        return Problem(reason or self.invalid, f"{self.where}: {message}", path)

    def mistake(self) -> Problem | None:
        """Return a problem that needs no lookup; an incomplete method refuses the whole."""
        return self._half() or self._malformed()

    def role(self) -> Role | Problem:
        """Return the role to assume, if one is set."""
        return self.role_of(self.auth.role_arn)

    def role_of(self, arn: str) -> Role | Problem:
        """Return a role as a session of the name and duration that are set."""
        auth = self.auth
        named = self._session_name("session_name")
        if isinstance(named, Problem):
            return named
        duration = None
        if auth.session_expiration:
            try:
                duration = read_duration(auth.session_expiration)
            except ValueError as error:
                word = self.word("session_expiration")
                return self.wrong(
                    f"{word} is {auth.session_expiration[:64]!r}; {error}",
                    Reason.SESSION_EXPIRATION_INVALID,
                    field="session_expiration",
                )
        return Role(arn, named, duration)

    def remote_role(self) -> Role | Problem:
        """Return the second role, if one is set."""
        named = self._session_name("remote_session_name")
        return named if isinstance(named, Problem) else Role(self.auth.remote_role_arn, named)

    def _session_name(self, field: str) -> str | Problem:
        name: str = getattr(self.auth, field)
        try:
            check_session_name(name or SESSION_NAME)
        except ValueError as error:
            message = f"{self.word(field)} is {name[:80]!r}; {error}"
            return self.wrong(message, Reason.SESSION_NAME_INVALID, field=field)
        return name or SESSION_NAME

    def _half(self) -> Problem | None:
        auth, word = self.auth, self.words.get
        if auth.service_account is not None and not auth.service_account.name:
            return self.wrong(f"{word('service_account')}.name is empty", field="service_account")
        return self._half_a_key() or (self._half_a_role() if not auth.service_account else None)

    def _half_a_key(self) -> Problem | None:
        auth, word = self.auth, self.words.get
        pair = (auth.access_key, auth.access_key_secret)
        if any(pair) and not all(pair):
            missing = "access_key_secret" if auth.access_key else "access_key"
            return self.wrong(f"incomplete AccessKey: {word(missing)} is missing")
        for field, ref in zip(("access_key", "access_key_secret"), pair, strict=True):
            if self.store is not None and ref is not None and not (ref.name and ref.key):
                unwritten = "key" if ref.name else "name"
                return self.wrong(f"{word(field)}.{unwritten} is empty", field=field)
        return None

    def _half_a_role(self) -> Problem | None:
        auth, word = self.auth, self.words.get
        if auth.oidc_provider_arn and not auth.role_arn:
            return self.wrong(
                f"{word('oidc_provider_arn')} needs the role to assume: "
                f"{word('role_arn')} is missing",
                field="oidc_provider_arn",
            )
        if auth.role_arn and not (auth.oidc_provider_arn or auth.access_key):
            return self.wrong(
                f"{word('role_arn')} is set without credentials to assume it: "
                f"set {word('oidc_provider_arn')}, or {word('access_key')} and "
                f"{word('access_key_secret')}",
                field="role_arn",
            )
        if auth.oidc_token_file and not (auth.oidc_provider_arn or auth.access_key):
            # It asks for RRSA; without this it would mean the worker role.
            return self.wrong(
                f"{word('oidc_token_file')} is set without credentials to assume a role: "
                f"set {word('oidc_provider_arn')} and {word('role_arn')}",
                field="oidc_token_file",
            )
        return None

    def _malformed(self) -> Problem | None:
        auth = self.auth
        for field in ("role_arn", "remote_role_arn"):
            arn: str = getattr(auth, field)
            if arn and not is_role_arn(arn):
                return self.wrong(
                    f"{self.word(field)} is {arn[:128]!r}, not acs:ram::<account>:role/<name>",
                    field=field,
                )
        arn = auth.oidc_provider_arn
        if arn and not is_provider_arn(arn):
            return self.wrong(
                f"{self.word('oidc_provider_arn')} is {arn[:128]!r}, "
                "not acs:ram::<account>:oidc-provider/<name>",
                field="oidc_provider_arn",
            )
        return None
