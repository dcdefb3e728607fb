"""ExternalSecret: what to fetch, and which Secret to write it to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from secret_sync.resources.controllers import applied_digest, controller_of
from secret_sync.resources.limits import excess_of
from secret_sync.resources.meta import (
    CustomObject,
    InvalidField,
    intent_revision,
    interned,
    object_key,
    text,
)
from secret_sync.resources.names import (
    ADOPT_ANNOTATION,
    FORCE_SYNC_ANNOTATION,
    LEGACY_FINALIZER,
    REPLACED_BY_ANNOTATION,
    RESTART_ANNOTATION,
)
from secret_sync.resources.restart import RolloutRestart
from secret_sync.resources.status import ExternalSecretStatus
from secret_sync.resources.template import SecretTemplate, invalid_template, template_excess

if TYPE_CHECKING:
    from collections.abc import Hashable

    from secret_sync.resources.controllers import ControllerRef
    from secret_sync.resources.restart import Workload

KIND: Final = "ExternalSecret"
DEFAULT_PROVIDER: Final = "kms"
OOS: Final = "oos"
DEFAULT_SECRET_TYPE: Final = "Opaque"  # noqa: S105 (a Secret type, not a password)

PERIODIC: Final = "Periodic"
ON_CHANGE: Final = "OnChange"
CREATED_ONCE: Final = "CreatedOnce"
#: Characters of the annotation ``force-sync`` that are kept as they are.
_LONGEST_WISH: Final = 64
REFRESH_POLICIES: Final = (PERIODIC, ON_CHANGE, CREATED_ONCE)


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
    """One entry of ``spec.data``, or one ``extract`` of ``spec.dataProcess``.

    Attributes:
        key: The KMS secret's name or ARN, or the OOS parameter's name.
        name: The Secret key it is written to (default: ``key``), if nothing is picked out of it.
        version_stage: As written, or ``""``: KMS then takes ACSCurrent.
        version_id: As written, or ``""``.
        store: The store that authenticates, or ``None``: the controller's own identity.
        endpoint: ``kmsEndpoint`` as written, or ``""``.
        picks: ``jmesPath``: pairs of a path and the Secret key its value gets (default: ``key``,
            as in ack-secret-manager).
        extract: Whether all top-level keys of the document are taken.
        rules: ``replaceRule``: pairs of a regular expression and what replaces it in keys.
    """

    key: str
    name: str
    version_stage: str
    version_id: str
    store: StoreRef | None
    endpoint: str = ""
    picks: tuple[tuple[str, str], ...] = ()
    extract: bool = False
    rules: tuple[tuple[str, str], ...] = ()

    @property
    def plain(self) -> bool:
        """Whether its value becomes one key of the Secret, byte for byte."""
        return not (self.picks or self.extract)


@dataclass(frozen=True, slots=True)
class Target:
    """``spec.target``: how the Secret is made.

    Attributes:
        name: Of the Secret (default: the ExternalSecret's).
        merge: Whether our keys are merged into the Secret of another owner (``creationPolicy``).
        retain: Whether the Secret outlives its ExternalSecret (``deletionPolicy``).
        immutable: Whether the Secret is made immutable.
    """

    name: str
    merge: bool = False
    retain: bool = False
    immutable: bool = False


@dataclass(frozen=True, slots=True)
class ExternalSecret(CustomObject[ExternalSecretStatus]):
    """An ExternalSecret as the informer keeps it.

    Attributes:
        entries: Of ``spec.data``, then of ``spec.dataProcess``: the later one wins.
        rotation_interval: As written (a duration in Go's form), or ``""``.
        refresh_policy: As written, or ``Periodic``.
        force_sync: The annotation of that name, or its digest where it is long; ``""`` without.
        adopt: Whether its author says that a Secret of that name is to be taken over.
        invalid: What is wrong with a field that the schema would not have let through, or
            ``None``.
        excess: Which limit it exceeds, or ``None``; it is kept without its entries then, so that
            nothing that follows costs more than for an empty object.
        template: Renders the Secret, or ``None``.
        merges: The Secret keys that its entries or its template name, if it merges; what documents
            will give is not among them.
        controller: What manages it, such as a ClusterExternalSecret; ``None`` if nothing does.
        applied: Of one that a ClusterExternalSecret manages: a digest of what was applied.
        replaced_by: The child that takes its Secret over, or ``""``.
        restart: Which workloads restart once the data changed; ``None`` if that is not asked for.
    """

    provider: str
    entries: tuple[DataEntry, ...]
    secret_type: str
    target: Target
    rotation_interval: str
    refresh_policy: str
    adopt: bool
    invalid: InvalidField | None
    excess: InvalidField | None
    created: str = ""
    template: SecretTemplate | None = None
    merges: frozenset[str] = frozenset()
    controller: ControllerRef | None = None
    applied: bytes = b""
    replaced_by: str = ""
    restart: RolloutRestart | None = None

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ExternalSecret:
        """Read an ExternalSecret as the API server stores it."""
        metadata = value["metadata"]
        spec = value.get("spec") or {}
        annotations = metadata.get("annotations") or {}
        name = interned(metadata["name"])
        written_target = spec.get("target") or {}
        written = written_target.get("template")
        excess = excess_of(spec) or (template_excess(written) if written else None)
        entries = () if excess else _entries(spec)
        template = SecretTemplate.from_dict(written) if written and not excess else None
        target = _target(name, written_target)
        return cls(
            namespace=interned(metadata.get("namespace")),
            name=name,
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            generation=int(metadata.get("generation") or 0),
            revision=intent_revision(metadata),
            deleting=bool(metadata.get("deletionTimestamp")),
            force_sync=_shortened(text(annotations.get(FORCE_SYNC_ANNOTATION))),
            provider=interned(spec.get("provider")) or DEFAULT_PROVIDER,
            entries=entries,
            secret_type=(
                (interned(written.get("type")) if written else "")
                or interned(spec.get("type"))
                or DEFAULT_SECRET_TYPE
            ),
            target=target,
            rotation_interval=interned(spec.get("rotationInterval")),
            refresh_policy=interned(spec.get("refreshPolicy")) or PERIODIC,
            adopt=text(annotations.get(ADOPT_ANNOTATION)) == "true",
            legacy=LEGACY_FINALIZER in (metadata.get("finalizers") or ()),
            invalid=_invalid(spec) or (invalid_template(written) if written else None),
            excess=excess,
            status=ExternalSecretStatus.from_dict(value.get("status") or {}),
            created=interned(metadata.get("creationTimestamp")),
            template=template,
            merges=_named_keys(entries, template) if target.merge else frozenset(),
            controller=controller_of(metadata),
            applied=applied_digest(value),
            replaced_by=interned(annotations.get(REPLACED_BY_ANNOTATION)),
            restart=(
                RolloutRestart.from_dict(annotations, written_target)
                if RESTART_ANNOTATION in annotations or "rolloutRestart" in written_target
                else None
            ),
        )

    def renewed(self, value: dict[str, Any]) -> ExternalSecret:
        """Read a later version of this object.

        Most are writes of its status, which move nothing else: then only that is read.
        """
        metadata = value["metadata"]
        same = metadata["uid"] == self.uid and intent_revision(metadata) == self.revision
        if not same or not self.generation:
            return ExternalSecret.from_dict(value)
        return replace(
            self,
            resource_version=metadata["resourceVersion"],
            status=ExternalSecretStatus.from_dict(value.get("status") or {}),
            # These change without a new generation.
            controller=controller_of(metadata),
            applied=applied_digest(value),
        )

    @property
    def intent(self) -> Hashable:
        """All that its author has written in ``spec``."""
        return (
            self.provider,
            self.entries,
            self.secret_type,
            self.target,
            self.rotation_interval,
            self.refresh_policy,
            self.template,
            self.invalid,
            self.excess,
            self.restart,
        )

    @property
    def in_step(self) -> bool:
        """Whether its status says that this generation of it is synced."""
        ready = self.status.ready
        return (
            ready is not None
            and ready.status == "True"
            and self.status.observed_generation == self.generation
        )


def _entries(spec: dict[str, Any]) -> tuple[DataEntry, ...]:
    return (
        *map(_entry, spec.get("data") or ()),
        *map(_extract, spec.get("dataProcess") or ()),
    )


def _named_keys(entries: tuple[DataEntry, ...], template: SecretTemplate | None) -> frozenset[str]:
    if template is not None:
        return template.named_fields | (
            frozenset() if template.replaces else _named_keys(entries, None)
        )
    plain = (entry.name for entry in entries if entry.plain)
    return frozenset((*plain, *(key for entry in entries for _, key in entry.picks)))


def _shortened(wish: str) -> str:
    """Return what identifies a forced sync: it is kept in memory and in the status."""
    if len(wish) <= _LONGEST_WISH:
        return wish
    return f"sha256:{hashlib.sha256(wish.encode(errors='surrogatepass')).hexdigest()}"


def _entry(value: dict[str, Any]) -> DataEntry:
    # It comes back in the status.
    key = interned(value.get("key"))
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
        endpoint=interned(value.get("kmsEndpoint")),
        picks=tuple(
            (path, alias or key)
            for path, alias in _pairs(value.get("jmesPath"), "path", "objectAlias")
        ),
    )


def _extract(process: dict[str, Any]) -> DataEntry:
    rules = _pairs(process.get("replaceRule"), "source", "target")
    return replace(_entry(process.get("extract") or {}), extract=True, rules=rules)


def _pairs(
    items: list[dict[str, Any]] | None, first: str, second: str
) -> tuple[tuple[str, str], ...]:
    return tuple((interned(i.get(first)), interned(i.get(second))) for i in items or ())


def _target(name: str, target: dict[str, Any]) -> Target:
    written = text(target.get("name")) or name
    return Target(
        # The same text as the object's own name is kept once.
        name=name if written == name else written,
        merge=target.get("creationPolicy") == "Merge",
        retain=target.get("deletionPolicy") == "Retain",
        immutable=bool(target.get("immutable")),
    )


def _invalid(spec: dict[str, Any]) -> InvalidField | None:
    target = spec.get("target") or {}
    for path, value, known in (
        (("spec", "refreshPolicy"), spec.get("refreshPolicy"), REFRESH_POLICIES),
        (("spec", "target", "creationPolicy"), target.get("creationPolicy"), ("Owner", "Merge")),
        (("spec", "target", "deletionPolicy"), target.get("deletionPolicy"), ("Delete", "Retain")),
    ):
        if value and value not in known:
            words = f"{', '.join(known[:-1])} or {known[-1]}"
            message = f"{'.'.join(path)} is {str(value)[:80]!r}; it can be {words}"
            return InvalidField(path, message)
    return None


#: The index of the children of each ClusterExternalSecret.
BY_CLUSTER_CONTROLLER: Final = "cluster controller"


def cluster_controller_of(es: ExternalSecret) -> tuple[str, ...]:
    """Index an ExternalSecret by the uid of the ClusterExternalSecret it is of, and namespace."""
    if es.controller is None or not es.controller.is_cluster:
        return ()
    return (object_key(es.controller.uid, es.namespace),)


#: The index of those that restart a workload.
BY_WORKLOAD: Final = "workload"


def workloads_of(es: ExternalSecret) -> tuple[str, ...]:
    """Index an ExternalSecret by the workloads that it restarts: ``namespace/kind/name``."""
    if es.restart is None:
        return ()
    return tuple(workload_key(es.namespace, workload) for workload in es.restart.workloads)


def workload_key(namespace: str, workload: Workload) -> str:
    """Return the key of a workload: ``namespace/kind/name``."""
    return f"{namespace}/{workload.kind}/{workload.name}"
