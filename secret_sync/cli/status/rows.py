"""The status of each object, and its documented JSON."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from secret_sync.resources import (
    ClusterExternalSecretStatus,
    ExternalSecretStatus,
    Reason,
    StoreStatus,
)
from secret_sync.resources.controllers import controller_of
from secret_sync.resources.meta import ObjectMeta

if TYPE_CHECKING:
    from collections.abc import Collection

    from secret_sync.resources import Condition

#: Changes when a field of the JSON changes its meaning or is removed; fields may be added.
JSON_VERSION: Final = 1
_NOT_RECONCILED: Final = (
    "no controller has reported on it yet; does one run, and does it watch this namespace?"
)
_OUTDATED: Final = "the last change is not reconciled yet"
#: What only a change of the object, or of what it refers to, can mend: it is not retried.
_LASTING: Final = frozenset(
    {
        *(Reason.UNSUPPORTED, Reason.UNKNOWN_PROVIDER, Reason.INVALID_SPEC),
        *(Reason.INVALID_JMES_PATH, Reason.INVALID_REGEX, Reason.ENDPOINT_NOT_ALLOWED),
        *(Reason.CRD_OUTDATED, Reason.STORE_NOT_FOUND, Reason.STORE_INVALID, Reason.STORE_REFUSED),
        *(Reason.CONDITIONS_INVALID, Reason.REFERENCE_REFUSED, Reason.IDENTITY_REFUSED),
        *(Reason.IDENTITY_INVALID, Reason.ACCESS_KEY_NOT_FOUND, Reason.ACCESS_KEY_KEY_MISSING),
        *(Reason.SERVICE_ACCOUNT_NOT_FOUND, Reason.TOKEN_FILE_REFUSED, Reason.ROLE_MISSING),
        *(Reason.OIDC_PROVIDER_MISSING, Reason.SESSION_NAME_INVALID),
        *(Reason.SESSION_EXPIRATION_INVALID, Reason.WORKER_ROLE_DISABLED),
        *(Reason.TEMPLATE_INVALID, Reason.TEMPLATE_SOURCE_NOT_FOUND),
    }
)
#: What the API server refuses, or another writer holds: tried again each minute.
_EACH_MINUTE: Final = frozenset(
    {
        *(Reason.SECRET_CONFLICT, Reason.WRITE_CONFLICT, Reason.KEY_CONFLICT),
        *(Reason.TARGET_MISSING, Reason.WRITE_FORBIDDEN, Reason.WRITE_FAILED),
        Reason.TEMPLATE_SOURCE_FORBIDDEN,
    }
)
#: What another value may mend: the value is polled as ever.
_OF_THE_VALUE: Final = frozenset(
    {
        *(Reason.NO_DATA, Reason.INVALID_KEY, Reason.TOO_LARGE, Reason.NOT_A_DOCUMENT),
        *(Reason.DUPLICATE_KEY, Reason.PATH_NOT_FOUND, Reason.KEY_COLLISION, Reason.TOO_COSTLY),
        Reason.TEMPLATE_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Readiness:
    """The condition ``Ready`` of an object.

    Attributes:
        ready: ``True``, ``False`` or ``Unknown``, as in the condition and in kubectl.
        current: Whether it is about the object's newest generation.
    """

    ready: str
    reason: str
    message: str
    current: bool

    @classmethod
    def of(cls, condition: Condition | None, metadata: dict[str, Any]) -> Readiness:
        """Return the readiness of an object with this condition and metadata."""
        if condition is None:
            return cls("Unknown", "", _NOT_RECONCILED, current=False)
        return cls(
            ready=condition.status,
            reason=condition.reason,
            message=condition.message,
            current=condition.observed_generation == int(metadata.get("generation") or 0),
        )

    @property
    def good(self) -> bool:
        """Return whether the object is ready in its newest generation."""
        return self.ready == "True" and self.current

    @property
    def why_not(self) -> str:
        """Return why it is not ready; ``""`` if it is."""
        if self.good:
            return ""
        return self.message if self.ready != "True" else _OUTDATED

    def to_json(self) -> dict[str, Any]:
        """Return the part of the JSON that all kinds share."""
        return {
            "ready": self.ready,
            "upToDate": self.current,
            "reason": self.reason or None,
            "message": self.message or None,
        }


@dataclass(frozen=True, slots=True)
class ExternalSecretRow(ObjectMeta):
    """The status of an ExternalSecret.

    Attributes:
        last_sync: When a change was last written, RFC 3339 in UTC; ``""`` if never.
        interval: As written in the object; ``""`` for the controller's.
        refresh_policy: ``Periodic``, ``OnChange`` or ``CreatedOnce``.
        source: The ClusterExternalSecret that created it, or ``""``.
    """

    readiness: Readiness
    target: str
    last_sync: str
    interval: str
    refresh_policy: str
    source: str = ""

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ExternalSecretRow:
        """Return the row of an ExternalSecret as the API server stores it."""
        metadata, spec = value["metadata"], value.get("spec") or {}
        status = ExternalSecretStatus.from_dict(value.get("status") or {})
        controller = controller_of(metadata)
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            readiness=Readiness.of(status.ready, metadata),
            target=(spec.get("target") or {}).get("name") or metadata["name"],
            last_sync=status.last_sync_time,
            interval=spec.get("rotationInterval") or "",
            refresh_policy=spec.get("refreshPolicy") or "Periodic",
            source=controller.name if controller is not None and controller.is_cluster else "",
        )

    @property
    def next_sync(self) -> str:
        """Return what is known about the next sync.

        A fetch that changes nothing is not recorded in the API server, so only the controller
        knows when the last one was.
        """
        readiness = self.readiness
        if not readiness.current:
            # A controller that runs is about to.
            return "-" if not readiness.reason else "now"
        if readiness.reason in _LASTING:
            return "on change"
        if readiness.reason in _EACH_MINUTE:
            return "every 1m"
        if not (readiness.good or readiness.reason in _OF_THE_VALUE):
            return "with backoff"
        if self.refresh_policy != "Periodic":
            return "on change" if self.refresh_policy == "OnChange" else "never"
        return f"every {self.interval}" if self.interval else "polling interval"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of the object; missing strings are null."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            **self.readiness.to_json(),
            "target": self.target,
            "lastSyncTime": self.last_sync or None,
            "refreshPolicy": self.refresh_policy,
            "rotationInterval": self.interval or None,
            "clusterExternalSecret": self.source or None,
        }


@dataclass(frozen=True, slots=True)
class StoreRow(ObjectMeta):
    """The status of a SecretStore or, without a namespace, of a ClusterSecretStore."""

    kind: str
    readiness: Readiness

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> StoreRow:
        """Return the row of a store as the API server stores it."""
        metadata = value["metadata"]
        status = StoreStatus.from_dict(value.get("status") or {})
        return cls(
            kind=value["kind"],
            namespace=metadata.get("namespace") or "",
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            readiness=Readiness.of(status.ready, metadata),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of the store; missing strings are null."""
        return {
            "kind": self.kind,
            "namespace": self.namespace or None,
            "name": self.name,
            **self.readiness.to_json(),
        }


@dataclass(frozen=True, slots=True)
class ClusterExternalSecretRow(ObjectMeta):
    """The status of a ClusterExternalSecret.

    Attributes:
        namespaces: How many of its ExternalSecrets are ready, of how many namespaces.
        children: The condition of its ExternalSecrets.
    """

    readiness: Readiness
    namespaces: str
    children: Readiness

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ClusterExternalSecretRow:
        """Return the row of an object as the API server stores it."""
        metadata = value["metadata"]
        status = ClusterExternalSecretStatus.from_dict(value.get("status") or {})
        return cls(
            namespace="",
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            readiness=Readiness.of(status.ready, metadata),
            namespaces=status.namespaces,
            children=Readiness.of(status.children, metadata),
        )

    @property
    def why_not(self) -> str:
        """Return why it, or else one of its ExternalSecrets, is not ready."""
        return self.readiness.why_not or self.children.why_not

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of the object; missing strings are null."""
        return {
            "name": self.name,
            **self.readiness.to_json(),
            "namespaces": self.namespaces or None,
        }


#: What is shown beside ExternalSecrets.
OtherRow: TypeAlias = StoreRow | ClusterExternalSecretRow


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """The status of all objects at one moment.

    Attributes:
        namespace: Their namespace; ``""`` for all.
        stores: The stores that could be read.
        clusters: The ClusterExternalSecrets that could be read.
        notes: What could not be read, and why.
    """

    namespace: str
    objects: list[ExternalSecretRow]
    stores: list[StoreRow] = field(default_factory=list)
    clusters: list[ClusterExternalSecretRow] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        namespace: str,
        objects: Collection[ExternalSecretRow],
        others: Collection[OtherRow],
        notes: Collection[str] = (),
    ) -> StatusSnapshot:
        """Return the snapshot with its objects sorted as they are shown."""
        return cls(
            namespace,
            sorted(objects, key=lambda row: (row.namespace, row.name)),
            sorted(
                (row for row in others if isinstance(row, StoreRow)),
                key=lambda row: (row.kind, row.namespace, row.name),
            ),
            sorted(
                (row for row in others if isinstance(row, ClusterExternalSecretRow)),
                key=lambda row: row.name,
            ),
            tuple(notes),
        )

    def only(self, name: str) -> StatusSnapshot:
        """Return the part of the snapshot that is about ExternalSecrets of this name."""
        return replace(self, objects=[row for row in self.objects if row.name == name], stores=[])

    @property
    def good(self) -> bool:
        """Return whether every object is ready."""
        states = [row.readiness for row in self.objects]
        states += [store.readiness for store in self.stores]
        states += [row.readiness for row in self.clusters]
        return all(readiness.good for readiness in states)

    def to_json(self) -> dict[str, Any]:
        """Return the whole document, which the help of the command describes."""
        return {
            "version": JSON_VERSION,
            "ready": self.good,
            "externalSecrets": [row.to_json() for row in self.objects],
            "stores": [row.to_json() for row in self.stores],
            "clusterExternalSecrets": [row.to_json() for row in self.clusters],
            "notes": list(self.notes),
        }
