"""What the local Alibaba Cloud knows: accounts by their access keys, secrets, parameters, roles."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from secret_sync.local.cloud.confidential import ConfidentialValues
from secret_sync.local.cloud.ram import KEY_PERMISSIONS, Ram, Session
from secret_sync.local.cloud.regional import RegionalStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.local.cloud.parameters import Parameter
    from secret_sync.local.cloud.ram import Permissions

CURRENT: Final = "ACSCurrent"
PREVIOUS: Final = "ACSPrevious"


class SecretState(Enum):
    """Whether the service gives a secret out."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"
    PENDING_DELETION = "PendingDeletion"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key pair and whose it is."""

    id: str
    secret: str = field(repr=False)
    account: str
    active: bool = True
    permissions: Permissions = KEY_PERMISSIONS


Principal = AccessKey | Session
"""Who may sign a call."""


@dataclass(frozen=True, slots=True)
class Version:
    """One value of a secret; `bytes` are served as binary."""

    id: str
    value: str | bytes = field(repr=False)
    created: float


@dataclass(slots=True)
class Secret:
    """A secret with all its versions.

    Attributes:
        stages: Stage label -> version id; a label is on one version at a time.
        type: "Generic", or one of the types that the service manages itself.
        forbidden: Nobody has the permission to read it.
        extended_config: JSON text of a managed type.
    """

    name: str
    account: str
    region: str
    created: float
    type: str = "Generic"
    versions: dict[str, Version] = field(default_factory=dict)
    stages: dict[str, str] = field(default_factory=dict)
    state: SecretState = SecretState.ENABLED
    forbidden: bool = False
    extended_config: str = ""
    serial: int = 0

    @property
    def managed(self) -> bool:
        """Return whether the service writes the value itself."""
        return self.type != "Generic"

    def stages_of(self, version_id: str) -> list[str]:
        """Return the labels on a version."""
        return [stage for stage, holder in self.stages.items() if holder == version_id]

    def add(self, value: str | bytes, version_id: str, stages: tuple[str, ...], now: float) -> str:
        """Add a version and move the labels to it; the old current one becomes the previous.

        Returns:
            The id of the new version.

        Raises:
            ValueError: There is a version with that id.
        """
        self.serial += 1
        version_id = version_id or f"v{self.serial}"
        if version_id in self.versions:
            raise ValueError(f"secret {self.name} has a version {version_id} already")
        if CURRENT in stages and CURRENT in self.stages:
            self.stages[PREVIOUS] = self.stages[CURRENT]
        for stage in stages:
            self.stages[stage] = version_id
        self.versions[version_id] = Version(version_id, value, now)
        self._drop_unlabelled(keep=version_id)
        return version_id

    def _drop_unlabelled(self, keep: str) -> None:
        # The service keeps ten at least; a bound matters here because playgrounds rotate in loops.
        labelled = {*self.stages.values(), keep}
        spare = [version_id for version_id in self.versions if version_id not in labelled]
        for version_id in spare[:-10]:
            del self.versions[version_id]


@dataclass(slots=True)
class CloudSettings:
    """How the service answers, where clients have to cope with more than one way.

    Attributes:
        version_stages_as_list: `VersionStages` as a plain list, not as an object around one.
        xml_errors: Errors in XML.
        clock_offset: Seconds by which the service's clock is ahead of this machine's.
    """

    version_stages_as_list: bool = False
    xml_errors: bool = False
    clock_offset: float = 0.0


class CloudStore:
    """The state that the services share, used on one event loop; nothing is on disk."""

    def __init__(self) -> None:
        self.access_keys: dict[str, AccessKey] = {}
        self.settings = CloudSettings()
        self.confidential = ConfidentialValues()
        self.ram = Ram(self.confidential)
        self.parameters: RegionalStore[Parameter] = RegionalStore()
        self._secrets: RegionalStore[Secret] = RegionalStore()

    def now(self) -> float:
        """Return the service's idea of the time, in seconds since the epoch."""
        return time.time() + self.settings.clock_offset

    def create_access_key(self, account: str, key_id: str = "", key_secret: str = "") -> AccessKey:
        """Add an AccessKey, or replace the one with that id; omitted parts are generated."""
        key = AccessKey(
            id=key_id or f"LTAI5t{secrets.token_hex(9)}",
            secret=key_secret or secrets.token_hex(15),
            account=account,
        )
        self.access_keys[key.id] = key
        self.confidential.note(key.secret)
        return key

    def principal(self, key_id: str) -> Principal | None:
        """Return whose the id of an access key is, be it permanent or a session's."""
        return self.access_keys.get(key_id) or self.ram.sessions.get(key_id)

    def restrict(self, key_id: str, permissions: Permissions) -> None:
        """Set the permissions of a key; raises `KeyError` if it does not exist."""
        self.access_keys[key_id] = replace(self.access_keys[key_id], permissions=permissions)

    def set_active(self, key_id: str, *, active: bool) -> None:
        """Disable or enable a key; raises `KeyError` if there is none."""
        self.access_keys[key_id] = replace(self.access_keys[key_id], active=active)

    def find(self, account: str, region: str, name: str) -> Secret | None:
        """Return the secret that a call to a region's endpoint means: see `RegionalStore`."""
        return self._secrets.find(account, region, name)

    def put(self, account: str, region: str, name: str, *, type_: str) -> Secret:
        """Return the secret of exactly that place, made if there was none."""
        return self._secrets.put(
            account,
            region,
            name,
            lambda: Secret(name, account, region, created=self.now(), type=type_),
        )

    def delete(self, secret: Secret) -> None:
        """Forget a secret at once."""
        self._secrets.delete(secret)

    def __iter__(self) -> Iterator[Secret]:
        return iter(self._secrets)
