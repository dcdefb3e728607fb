"""ExternalSecret: what to fetch, and which Secret to write it to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from secret_sync.resources.meta import intent_revision, interned, text
from secret_sync.resources.names import FORCE_SYNC_ANNOTATION
from secret_sync.resources.status import ExternalSecretStatus

KIND: Final = "ExternalSecret"
DEFAULT_PROVIDER: Final = "kms"
DEFAULT_SECRET_TYPE: Final = "Opaque"  # noqa: S105 (a Secret type, not a password)

#: Values of ``spec.target`` that ask for what is done anyway.
_TARGET_AS_BUILT: Final[dict[str, tuple[Any, ...]]] = {
    "creationPolicy": (None, "", "Owner"),
    "deletionPolicy": (None, "", "Delete"),
    "immutable": (None, False),
    "template": (None, {}),
}


@dataclass(frozen=True, slots=True)
class StoreRef:
    """A reference to a store, as written; ``namespace`` may be ``""``: the referrer's own.

    An empty ``name`` is kept: it is a mistake, and must not read as "no store at all".

    Attributes:
        kind: ``SecretStore`` or ``ClusterSecretStore``; anything else is a mistake.
    """

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class DataEntry:
    """One entry of ``spec.data``.

    Attributes:
        key: The KMS secret's name or ARN.
        name: The Secret key it is written to (default: ``key``).
        version_stage: As written, or ``""``: KMS then takes ACSCurrent.
        version_id: As written, or ``""``.
        store: The store that authenticates, or ``None``: the controller's own identity.
    """

    key: str
    name: str
    version_stage: str
    version_id: str
    store: StoreRef | None


@dataclass(frozen=True, slots=True)
class ExternalSecret:
    """An ExternalSecret as the informer keeps it.

    Attributes:
        revision: Moves when something other than the status changed (C5).
        rotation_interval: As written (a duration in Go's form), or ``""``.
        unsupported: Paths of fields that are set and that this version does not act on.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    revision: int
    deleting: bool
    force_sync: str
    provider: str
    data: tuple[DataEntry, ...]
    secret_type: str
    target_name: str
    rotation_interval: str
    unsupported: tuple[str, ...]
    status: ExternalSecretStatus

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ExternalSecret:
        """Reads an ExternalSecret as the API server stores it."""
        metadata = value["metadata"]
        spec = value.get("spec") or {}
        target = spec.get("target") or {}
        name = metadata["name"]
        return cls(
            namespace=interned(metadata.get("namespace")),
            name=name,
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            generation=int(metadata.get("generation") or 0),
            revision=intent_revision(metadata),
            deleting=bool(metadata.get("deletionTimestamp")),
            force_sync=text((metadata.get("annotations") or {}).get(FORCE_SYNC_ANNOTATION)),
            provider=interned(spec.get("provider")) or DEFAULT_PROVIDER,
            data=tuple(_entry(entry) for entry in spec.get("data") or ()),
            secret_type=interned(spec.get("type")) or DEFAULT_SECRET_TYPE,
            target_name=text(target.get("name")) or name,
            rotation_interval=interned(spec.get("rotationInterval")),
            unsupported=_unsupported(name, spec, target),
            status=ExternalSecretStatus.from_dict(value.get("status") or {}),
        )

    @property
    def in_step(self) -> bool:
        """Whether its status says that this generation of it is synced (Q12)."""
        ready = self.status.ready
        return (
            ready is not None
            and ready.status == "True"
            and self.status.observed_generation == self.generation
        )


def _entry(value: dict[str, Any]) -> DataEntry:
    key = text(value.get("key"))
    ref = value.get("secretStoreRef")
    store = None
    if ref is not None:
        store = StoreRef(
            kind=interned(ref.get("kind")) or "SecretStore",
            namespace=interned(ref.get("namespace")),
            name=interned(ref.get("name")),
        )
    return DataEntry(
        key=key,
        name=interned(value.get("name")) or key,
        version_stage=interned(value.get("versionStage")),
        version_id=text(value.get("versionId")),
        store=store,
    )


def _unsupported(name: str, spec: dict[str, Any], target: dict[str, Any]) -> tuple[str, ...]:
    """Fields whose silent neglect would write another Secret than the one asked for."""
    paths = []
    if spec.get("provider") == "oos":
        paths.append("spec.provider: oos")
    if spec.get("dataProcess"):
        paths.append("spec.dataProcess")
    if spec.get("refreshPolicy") not in (None, "", "Periodic"):
        paths.append("spec.refreshPolicy")
    if target.get("name") not in (None, "", name):
        paths.append("spec.target.name")
    paths += [
        f"spec.target.{field}"
        for field, as_built in _TARGET_AS_BUILT.items()
        if target.get(field) not in as_built
    ]
    for index, entry in enumerate(spec.get("data") or ()):
        where = f"spec.data[{index}]"
        paths += [f"{where}.{field}" for field in ("jmesPath", "kmsEndpoint") if entry.get(field)]
    return tuple(paths)
