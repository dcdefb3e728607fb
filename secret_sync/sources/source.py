"""What is fetched: a source, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from secret_sync.credentials import CredentialKey, CredentialProvider, Credentials
    from secret_sync.errors import SecretSyncError
    from secret_sync.providers.kms import SecretValue


class What(NamedTuple):
    """A source without the identity that reads it."""

    provider: str
    endpoint: str
    name: str
    version_stage: str
    version_id: str


@dataclass(frozen=True, slots=True)
class Source:
    """One secret as one identity sees it: the unit of fetching and polling (S15).

    Attributes:
        provider: Which fetch function reads it (``kms``, ``oos``).
        version_stage: As written, or ``""`` for what the service defaults to.
        version_id: As written, or ``""``.
        region: Where it is, ``""`` if that is not known.
    """

    identity: CredentialKey
    provider: str
    endpoint: str
    name: str
    version_stage: str
    version_id: str
    region: str = ""
    # Computed once: that of an identity with all that was written down for it is long, and a user
    # of hundreds of sources looks each of them up at every reconcile.
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = (self.identity, *self.what, self.region)
        object.__setattr__(self, "_hash", hash(parts))

    def __hash__(self) -> int:
        return self._hash

    @property
    def what(self) -> What:
        """All but the identity."""
        return What(self.provider, self.endpoint, self.name, self.version_stage, self.version_id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source that somebody uses, with what can authenticate for it."""

    source: Source
    credentials: CredentialProvider


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a source at this moment.

    Attributes:
        digest: Keyed digest of the last good value, or ``None`` before the first.
        data: The last good value, or ``None`` where it is not in hand (S15).
        version_id: The version the value came with.
        error: Why the latest fetch failed, or ``None``.
        pending: A fetch is under way that the user of this reading should wait for; it is
            told when that ends.
    """

    digest: bytes | None
    data: bytes | None
    version_id: str
    error: SecretSyncError | None
    pending: bool

    def __repr__(self) -> str:
        """Leaves the value out."""
        return f"Reading(error={self.error!r}, pending={self.pending})"


class Fetch(Protocol):
    """Reads a source once; raises the errors of ``secret_sync.errors``."""

    async def __call__(self, source: Source, credentials: Credentials) -> SecretValue:
        """One call, one try."""
        ...
