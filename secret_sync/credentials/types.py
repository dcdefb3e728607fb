"""What credentials are, how they are told apart and who obtains them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable


#: The ``mode`` of every provider there is.
METHODS: Final = ("AccessKey", "AssumedRole", "Environment", "RRSA", "WorkerRole")


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What requests are signed with. Nothing of it is ever shown.

    Attributes:
        access_key_id: The public half of the pair.
        access_key_secret: The private half.
        security_token: The token of temporary credentials, ``""`` for permanent ones.
        expires_at: When they cease to be valid, on the running loop's clock; ``None`` for
            never. A timestamp of the service is converted once, when it arrives: a wall clock
            that is set later then moves no refresh.
    """

    access_key_id: str
    access_key_secret: str
    security_token: str = ""
    expires_at: float | None = None

    def __repr__(self) -> str:
        return f"<{'temporary' if self.security_token else 'permanent'} credentials>"


@dataclass(frozen=True, slots=True)
class CredentialKey:
    """An identity, and all that was written down about how to assume it.

    Equal keys share one provider, so everything that makes a difference is a part, down to the
    resource version of a Secret that was read; no part is secret.

    Attributes:
        mode: The method, one of ``METHODS``; it becomes a label.
        parts: What the method was given.
        lineage: What of the parts stays when the Secrets that were read get other versions;
            ``None`` where all does. Of an identity that is built on another, that one's
            ``stable`` form is a part of it.
        account: The Alibaba Cloud account it belongs to, where that is known (from the ARN of
            a role); else ``""``.
    """

    mode: str
    parts: tuple[Hashable, ...]
    lineage: tuple[Hashable, ...] | None = field(default=None, compare=False)
    account: str = field(default="", compare=False)

    @property
    def stable(self) -> Hashable:
        """Equal for all versions of this identity; stands for its account (rates)."""
        return self.mode, self.parts if self.lineage is None else self.lineage


class Provider(Protocol):
    """Obtains the credentials of one identity; holds no state that a fetch changes."""

    @property
    def key(self) -> CredentialKey:
        """The identity."""

    @property
    def base(self) -> Provider | None:
        """The identity that this one is built on, if there is one."""

    async def fetch(self, base: Credentials | None) -> Credentials:
        """Obtain credentials anew.

        Args:
            base: Credentials of ``self.base``; ``None`` where there is none.

        Raises:
            CredentialsError: Those of the base were not accepted.
            SecretSyncError: Of the class that says whether it may succeed later.
        """
