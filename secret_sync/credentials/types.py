"""Credentials, their identities, and the protocol of their providers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable


#: The ``mode`` of every provider.
METHODS: Final = ("AccessKey", "AssumedRole", "Environment", "RRSA", "WorkerRole")


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What requests are signed with. Nothing of it is ever shown.

    Attributes:
        access_key_id: The AccessKey ID.
        access_key_secret: The AccessKey secret.
        security_token: The token of temporary credentials, ``""`` for permanent ones.
        expires_at: When they expire, on the running loop's clock; ``None`` for never. A timestamp
            of the service is converted once, when it arrives, so that setting the wall clock later
            does not move a refresh.
    """

    access_key_id: str
    access_key_secret: str
    security_token: str = ""
    expires_at: float | None = None

    def __repr__(self) -> str:
        return f"<{'temporary' if self.security_token else 'permanent'} credentials>"


@dataclass(frozen=True, slots=True)
class CredentialKey:
    """An identity, and everything that was configured about how to assume it.

    Equal keys share one provider, so everything that makes a difference is a part, down to the
    resource version of a Secret that was read; no part is secret.

    Attributes:
        mode: The method, one of ``METHODS``; it becomes a label.
        parts: The arguments of the method.
        lineage: The parts that do not change with the versions of Secrets; ``None`` for all. For an
            identity with a base it contains the base's ``stable`` form.
        account: The Alibaba Cloud account, if it is known from the ARN of a role; else ``""``.
    """

    mode: str
    parts: tuple[Hashable, ...]
    lineage: tuple[Hashable, ...] | None = field(default=None, compare=False)
    account: str = field(default="", compare=False)
    #: Equal for all versions of this identity; rates are limited by it.
    stable: Hashable = field(init=False, repr=False, compare=False)
    # Computed once: an identity is looked up ten times for each sync.
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        stable = self.mode, self.parts if self.lineage is None else self.lineage
        object.__setattr__(self, "stable", stable)
        object.__setattr__(self, "_hash", hash((self.mode, self.parts)))

    def __hash__(self) -> int:
        return self._hash


class CredentialProvider(Protocol):
    """Obtains the credentials of one identity; a fetch changes none of its state.

    ``base`` is the identity that this one is assumed with, if any.
    """

    @property
    def key(self) -> CredentialKey: ...

    @property
    def base(self) -> CredentialProvider | None: ...

    async def fetch(self, base: Credentials | None) -> Credentials:
        """Obtain new credentials.

        Args:
            base: Credentials of ``self.base``; ``None`` without a base.

        Raises:
            CredentialsError: The credentials of the base were not accepted.
            SecretSyncError: Its class says whether a retry may succeed.
        """
