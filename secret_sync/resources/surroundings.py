"""What our objects refer to besides Secrets, such as ServiceAccounts, by metadata alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secret_sync.resources.meta import ObjectMeta, allowance, interned
from secret_sync.resources.names import GROUP, ROLE_ARN_ANNOTATION


@dataclass(frozen=True, slots=True)
class ServiceAccount(ObjectMeta):
    """A ServiceAccount.

    Attributes:
        role_arn: The RAM role that its annotation names, or ``""``.
        allows: Its annotation ``allow-namespaces``, or ``""``.
    """

    role_arn: str
    allows: str

    @classmethod
    def from_metadata(cls, value: dict[str, Any]) -> ServiceAccount:
        """Read a ServiceAccount of a metadata-only list or watch."""
        metadata = value["metadata"]
        return cls(
            namespace=interned(metadata.get("namespace")),
            name=interned(metadata["name"]),
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            role_arn=interned((metadata.get("annotations") or {}).get(ROLE_ARN_ANNOTATION)),
            allows=allowance(metadata),
        )

    def differs(self, other: ServiceAccount | None) -> bool:
        """Whether anything changed that a store could mind."""
        mine = self.uid, self.role_arn, self.allows
        return other is None or mine != (other.uid, other.role_arn, other.allows)


@dataclass(frozen=True, slots=True)
class ConfigMap(ObjectMeta):
    """A ConfigMap with templates: only that it changed."""

    @classmethod
    def from_metadata(cls, value: dict[str, Any]) -> ConfigMap:
        """Read one from its metadata."""
        metadata = value["metadata"]
        return cls(
            namespace=interned(metadata.get("namespace")),
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
        )


@dataclass(frozen=True, slots=True)
class Namespace(ObjectMeta):
    """A namespace.

    Attributes:
        labels: Selectors look at them.
        deleting: Whether nothing can be created in it any more.
    """

    labels: tuple[tuple[str, str], ...]
    deleting: bool = False

    @classmethod
    def from_metadata(cls, value: dict[str, Any]) -> Namespace:
        """Read a namespace of a metadata-only list or watch."""
        metadata = value["metadata"]
        labels = metadata.get("labels") or {}
        return cls(
            namespace="",
            name=interned(metadata["name"]),
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            labels=tuple(sorted((interned(k), interned(v)) for k, v in labels.items())),
            deleting=bool(metadata.get("deletionTimestamp")),
        )


@dataclass(frozen=True, slots=True)
class Definition(ObjectMeta):
    """A CustomResourceDefinition: only that it changed, since whole ones are large."""

    @classmethod
    def from_metadata(cls, value: dict[str, Any]) -> Definition | None:
        """Read one from a metadata-only list or watch; ``None`` for one that is not ours."""
        metadata = value["metadata"]
        if not metadata["name"].endswith(f".{GROUP}"):
            return None
        return cls(
            namespace="",
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
        )
