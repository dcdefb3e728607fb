"""A source, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from secret_sync.credentials import CredentialKey, CredentialProvider, Credentials
    from secret_sync.errors import SecretSyncError
    from secret_sync.providers.kms import SecretValue


class SourceLocation(NamedTuple):
    """A source without the identity that reads it."""

    provider: str
    endpoint: str
    name: str
    version_stage: str
    version_id: str


@dataclass(frozen=True, slots=True)
class Source:
    """One secret as one identity sees it: the unit of fetching and polling.

    Attributes:
        provider: Which fetch function reads it (``kms``, ``oos``).
        version_stage: As written, or ``""`` for the default of the service.
        version_id: As written, or ``""``.
        region: Of the secret, ``""`` if unknown.
    """

    identity: CredentialKey
    provider: str
    endpoint: str
    name: str
    version_stage: str
    version_id: str
    region: str = ""
    # Computed once: hashing an identity is slow, and a user of hundreds of sources looks each of
    # them up at every reconcile.
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = (self.identity, *self.location, self.region)
        object.__setattr__(self, "_hash", hash(parts))

    def __hash__(self) -> int:
        return self._hash

    @property
    def location(self) -> SourceLocation:
        """All but the identity."""
        return SourceLocation(
            self.provider, self.endpoint, self.name, self.version_stage, self.version_id
        )


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """A source that a user needs, with a provider of credentials for it."""

    source: Source
    credentials: CredentialProvider


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """What is known about a source at this moment.

    Attributes:
        digest: Keyed digest of the last good value, or ``None`` before the first.
        data: The last good value, or ``None`` if it is not cached.
        version_id: The version the value came with.
        error: Why the latest fetch failed, or ``None``.
        pending: The user should wait for a fetch; it is notified when that ends.
    """

    digest: bytes | None
    data: bytes | None
    version_id: str
    error: SecretSyncError | None
    pending: bool

    def __repr__(self) -> str:
        return f"SourceSnapshot(error={self.error!r}, pending={self.pending})"


class Fetch(Protocol):
    """Reads a source once; raises the errors of ``secret_sync.errors``."""

    async def __call__(self, source: Source, credentials: Credentials) -> SecretValue: ...
