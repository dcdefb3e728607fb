"""Resource Access Management: roles, their trust and permissions, and their sessions."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    import jwt

    from secret_sync.local.cloud.confidential import ConfidentialValues

SHORTEST_SESSION: Final = 900
LONGEST_SESSION: Final = 43_200
DEFAULT_SESSION: Final = 3600
"""Seconds, as the two above: the default duration of a session."""

MAX_SESSIONS: Final = 50_000
"""Beyond it the oldest are forgotten, so that their keys are unknown and not expired."""

_ACCOUNT = re.compile(r"[0-9]{1,32}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a key or a session may do.

    Attributes:
        secrets: Patterns of the names of KMS secrets that it may read, in its own account.
        roles: Patterns of the ARNs of roles that it may assume, of any account that trusts it.
        parameters: Patterns of the names of OOS parameters that it may read, in its own account.
        decrypts: Whether it has what of KMS it takes to read any parameter's value.
    """

    secrets: tuple[str, ...]
    roles: tuple[str, ...]
    parameters: tuple[str, ...] = ("*",)
    decrypts: bool = True

    def reads(self, name: str) -> bool:
        """Tell whether a secret may be read."""
        return _any(self.secrets, name)

    def reads_parameter(self, name: str) -> bool:
        """Tell whether a parameter may be read."""
        return _any(self.parameters, name)

    def assumes(self, arn: str) -> bool:
        """Tell whether a role may be assumed, if that role agrees."""
        return _any(self.roles, arn)


KEY_PERMISSIONS: Final = Permissions(("*",), ("*",))
"""Of a key of which nothing else is said."""
ROLE_PERMISSIONS: Final = Permissions(("*",), ())
"""Of such a role: to assume another one is a right that is to be given."""


@dataclass(frozen=True, slots=True)
class Trust:
    """One statement of a role's trust policy; exactly one of the first three is set.

    Attributes:
        account: Every key and session of an account.
        role: ARN of a role: its sessions.
        oidc_provider: ARN of a provider: holders of tokens of its issuer.
        sub: Pattern (`*`, `?`) that such a token's subject has to match.
        aud: Audience that it has to have; "": any that its provider accepts.
    """

    account: str = ""
    role: str = ""
    oidc_provider: str = ""
    sub: str = ""
    aud: str = ""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.account, self.role, self.oidc_provider))) != 1:
            raise ValueError("a trust names one of account, role and oidc_provider")
        if bool(self.oidc_provider) != bool(self.sub) or (self.aud and not self.sub):
            raise ValueError("an oidc_provider takes a sub and maybe an aud; nothing else does")


@dataclass(slots=True)
class RamRole:
    """A role.

    Attributes:
        id: What the service makes up for it.
        trust: Whom it trusts; one statement is enough.
        max_session_seconds: The longest that one of its sessions lasts.
    """

    account: str
    name: str
    id: str
    trust: tuple[Trust, ...] = ()
    permissions: Permissions = ROLE_PERMISSIONS
    max_session_seconds: int = DEFAULT_SESSION

    @property
    def arn(self) -> str:
        """Return the ARN."""
        return role_arn(self.account, self.name)

    def trusts(self, account: str, role: str) -> bool:
        """Tell whether the role trusts a signed caller.

        Args:
            account: The caller's.
            role: ARN of the role that the caller is a session of; "" for none.
        """
        return any(
            (rule.account != "" and rule.account == account)
            or (rule.role != "" and rule.role == role)
            for rule in self.trust
        )

    def trusts_token(self, provider: str, subject: str, audiences: Iterable[str]) -> bool:
        """Tell whether the role trusts the holder of a provider's token."""
        return any(
            rule.oidc_provider == provider
            and fnmatchcase(subject, rule.sub)
            and (not rule.aud or rule.aud in audiences)
            for rule in self.trust
        )


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """An issuer of tokens that an account believes.

    Attributes:
        audiences: A token has to have one of them ("client ids").
        keys: The issuer's public keys, each with the name that tokens use for it.
    """

    account: str
    name: str
    issuer: str
    audiences: tuple[str, ...]
    keys: tuple[tuple[str, jwt.PyJWK], ...] = field(repr=False)

    @property
    def arn(self) -> str:
        """Return the ARN."""
        return provider_arn(self.account, self.name)


@dataclass(slots=True)
class Session:
    """Temporary credentials; they have the account of their role, and what it allows right now.

    Attributes:
        id: Of the access key.
        name: That its opener gave it.
        opened_by: Id of the access key that opened it; "" if none did.
        expires: When it ends, in seconds since the epoch.
    """

    id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    role: RamRole
    name: str
    opened_by: str
    expires: float

    @property
    def account(self) -> str:
        return self.role.account

    @property
    def permissions(self) -> Permissions:
        return self.role.permissions


class Ram:
    """All roles, providers and sessions; accounts come into being by being named.

    Args:
        confidential: Records what sessions are given.
    """

    def __init__(self, confidential: ConfidentialValues) -> None:
        self._confidential = confidential
        self.roles: dict[str, RamRole] = {}
        self.providers: dict[str, OidcProvider] = {}
        self.sessions: dict[str, Session] = {}

    def put_role(self, account: str, name: str) -> RamRole:
        """Return the role of that name; created without trust if there was none.

        Raises:
            ValueError: No account or role is called so.
        """
        check_name(account, name)
        arn = role_arn(account, name)
        if arn not in self.roles:
            number = 300_000_000_000_000_000 + secrets.randbelow(10**17)
            self.roles[arn] = RamRole(account, name, str(number))
        return self.roles[arn]

    def role(self, arn: str) -> RamRole:
        """Return a role; raises `KeyError` if there is none."""
        role = self.roles.get(arn)
        if role is None:
            raise KeyError(f"no role {arn}")
        return role

    def delete_role(self, arn: str, now: float) -> None:
        """Delete a role and end its sessions; raises `KeyError` if there is none."""
        self.expire_sessions(self.role(arn).arn, "", now)
        del self.roles[arn]

    def open_session(
        self, role: RamRole, name: str, *, seconds: float, now: float, opened_by: str = ""
    ) -> Session:
        """Give out new temporary credentials of a role."""
        session = Session(
            id=f"STS.{secrets.token_hex(12)}",
            secret=secrets.token_hex(22),
            # With characters that a client has to encode, as the service's.
            token=f"CAIS{base64.b64encode(secrets.token_bytes(192)).decode()}",
            role=role,
            name=name,
            opened_by=opened_by,
            # The response has whole seconds.
            expires=float(int(now + seconds)),
        )
        self._confidential.note(session.secret, session.token)
        self.sessions[session.id] = session
        while len(self.sessions) > MAX_SESSIONS:
            del self.sessions[next(iter(self.sessions))]
        return session

    def expire_sessions(self, role: str, access_key: str, now: float) -> int:
        """End the sessions that have not ended yet; return how many.

        Args:
            role: ARN of their role; "" for all.
            access_key: Id of theirs or of the one that opened them; "" for all.
            now: Seconds since the epoch.
        """
        ended = 0
        for session in self.sessions.values():
            if (
                session.expires > now
                and role in {"", session.role.arn}
                and access_key in {"", session.id, session.opened_by}
            ):
                session.expires = now
                ended += 1
        return ended


def role_arn(account: str, name: str) -> str:
    """Return the ARN of a role."""
    return f"acs:ram::{account}:role/{name}"


def provider_arn(account: str, name: str) -> str:
    """Return the ARN of an OIDC provider."""
    return f"acs:ram::{account}:oidc-provider/{name}"


def check_name(account: str, name: str) -> None:
    """Check what an ARN is made of; raises `ValueError`."""
    if not _ACCOUNT.fullmatch(account):
        raise ValueError(f"an account is a number, not {account!r}")
    if not _NAME.fullmatch(name):
        raise ValueError(f"a name is 1 to 64 of A-Z a-z 0-9 . _ -, not {name!r}")


def _any(patterns: tuple[str, ...], text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
