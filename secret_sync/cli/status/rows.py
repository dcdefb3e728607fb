"""What is told of an object, and the documented JSON of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from secret_sync.resources import ExternalSecretStatus, StoreStatus

if TYPE_CHECKING:
    from collections.abc import Collection

    from secret_sync.resources import Condition

#: Moves when a field of the JSON changes its meaning or goes; new ones may come at any time.
JSON_VERSION: Final = 1
_UNTOLD: Final = "no controller has looked at it yet"
_OUTDATED: Final = "no controller has looked at its last change yet"


@dataclass(frozen=True, slots=True)
class Standing:
    """The condition ``Ready`` of an object.

    Attributes:
        ready: ``True``, ``False`` or ``Unknown``; as in the condition, so as kubectl shows it.
        current: Whether it tells of the object's newest generation.
    """

    ready: str
    reason: str
    message: str
    current: bool

    @classmethod
    def of(cls, condition: Condition | None, metadata: dict[str, Any]) -> Standing:
        """Reads the condition of an object with this metadata."""
        if condition is None:
            return cls("Unknown", "", _UNTOLD, current=False)
        return cls(
            ready=condition.status,
            reason=condition.reason,
            message=condition.message,
            current=condition.observed_generation == int(metadata.get("generation") or 0),
        )

    @property
    def good(self) -> bool:
        """Whether there is nothing to worry about."""
        return self.ready == "True" and self.current

    @property
    def why_not(self) -> str:
        """Why it is not ready; ``""`` if it is."""
        if self.good:
            return ""
        return self.message if self.ready != "True" else _OUTDATED

    def to_json(self) -> dict[str, Any]:
        """The part of the JSON that all kinds share."""
        return {
            "ready": self.ready,
            "upToDate": self.current,
            "reason": self.reason or None,
            "message": self.message or None,
        }


@dataclass(frozen=True, slots=True)
class ExternalSecretRow:
    """An ExternalSecret, for people.

    Attributes:
        last_sync: RFC 3339, UTC: when a change was last written; ``""`` if none ever was.
        interval: As written in the object; ``""``: the controller's.
        refresh_policy: ``Periodic``, ``OnChange`` or ``CreatedOnce``.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    standing: Standing
    target: str
    last_sync: str
    interval: str
    refresh_policy: str

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ExternalSecretRow:
        """Reads an ExternalSecret as the API server stores it."""
        metadata, spec = value["metadata"], value.get("spec") or {}
        status = ExternalSecretStatus.from_dict(value.get("status") or {})
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            standing=Standing.of(status.ready, metadata),
            target=(spec.get("target") or {}).get("name") or metadata["name"],
            last_sync=status.last_sync_time,
            interval=spec.get("rotationInterval") or "",
            refresh_policy=spec.get("refreshPolicy") or "Periodic",
        )

    @property
    def next_sync(self) -> str:
        """What can be known of the next one.

        The API server does not hear of a fetch that changes nothing, so nobody but the
        controller knows when the last one was.
        """
        if self.refresh_policy == "OnChange":
            return "on change"
        if not self.standing.good:
            return "with backoff"
        if self.refresh_policy == "CreatedOnce":
            return "never"
        return f"every {self.interval}" if self.interval else "polling interval"

    def to_json(self) -> dict[str, Any]:
        """The object in the JSON; absent texts are null."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            **self.standing.to_json(),
            "target": self.target,
            "lastSyncTime": self.last_sync or None,
            "refreshPolicy": self.refresh_policy,
            "rotationInterval": self.interval or None,
        }


@dataclass(frozen=True, slots=True)
class StoreRow:
    """A SecretStore or, without a namespace, a ClusterSecretStore."""

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    standing: Standing

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> StoreRow:
        """Reads a store of either kind as the API server stores it."""
        metadata = value["metadata"]
        status = StoreStatus.from_dict(value.get("status") or {})
        return cls(
            kind=value["kind"],
            namespace=metadata.get("namespace") or "",
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            standing=Standing.of(status.ready, metadata),
        )

    def to_json(self) -> dict[str, Any]:
        """The store in the JSON; absent texts are null."""
        return {
            "kind": self.kind,
            "namespace": self.namespace or None,
            "name": self.name,
            **self.standing.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Picture:
    """All objects at one moment.

    Attributes:
        namespace: Where they are; ``""`` for all.
        stores: Those that could be read.
        notes: What could not be read, and why.
    """

    namespace: str
    objects: list[ExternalSecretRow]
    stores: list[StoreRow] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        namespace: str,
        objects: Collection[ExternalSecretRow],
        stores: Collection[StoreRow],
        notes: Collection[str] = (),
    ) -> Picture:
        """In the order in which they are shown."""
        return cls(
            namespace,
            sorted(objects, key=lambda row: (row.namespace, row.name)),
            sorted(stores, key=lambda row: (row.kind, row.namespace, row.name)),
            tuple(notes),
        )

    @property
    def good(self) -> bool:
        """Whether every ExternalSecret and every store is ready."""
        standings = [row.standing for row in self.objects]
        standings += [store.standing for store in self.stores]
        return all(standing.good for standing in standings)

    def to_json(self) -> dict[str, Any]:
        """The whole document; described in the help of the command."""
        return {
            "version": JSON_VERSION,
            "ready": self.good,
            "externalSecrets": [row.to_json() for row in self.objects],
            "stores": [row.to_json() for row in self.stores],
            "notes": list(self.notes),
        }
