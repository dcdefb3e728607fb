"""What every kind shares: the metadata of an object, read once."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

from secret_sync.resources.names import ALLOW_NAMESPACES_ANNOTATION, LAST_APPLIED_ANNOTATION

if TYPE_CHECKING:
    from secret_sync.resources.status import (
        ClusterExternalSecretStatus,
        ExternalSecretStatus,
        StoreStatus,
    )

StatusT = TypeVar(
    "StatusT", bound="ExternalSecretStatus | StoreStatus | ClusterExternalSecretStatus"
)

#: Steps from an object to one of its fields: names of fields and numbers of items.
FieldPath: TypeAlias = tuple[str | int, ...]


class InvalidField(NamedTuple):
    """A field whose value can never work; the message names it, too."""

    field: FieldPath
    message: str


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """What is kept of the metadata of any object: frozen and slotted, never a dict.

    Attributes:
        namespace: ``""`` for a cluster-scoped object.
        name: Unique within the namespace.
        uid: Unique in time.
        resource_version: Moves with every change.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class CustomObject(ObjectMeta, Generic[StatusT]):
    """An object of one of our kinds, as far as they are alike.

    Attributes:
        revision: Moves when something other than the status changed.
        legacy: Whether it carries the finalizer of ack-secret-manager.
        force_sync: Its annotation of that name, ``""`` without.
        status: As the API server has it.
    """

    generation: int
    revision: int
    deleting: bool
    legacy: bool
    force_sync: str
    status: StatusT


def object_key(namespace: str, name: str) -> str:
    """Return the store key of an object: ``namespace/name``."""
    return f"{namespace}/{name}"


def namespace_of(key: str) -> str:
    """Return the namespace of a store key; for a cluster-scoped object, its name."""
    return key.partition("/")[0]


def interned(value: Any) -> str:
    """Return a string that repeats in many objects, stored once in memory."""
    return sys.intern(str(value)) if value else ""


def text(value: Any) -> str:
    """Return a string field that may be absent or null."""
    return str(value) if value is not None else ""


def allowance(metadata: dict[str, Any]) -> str:
    """Return the namespaces that may refer to an object, as written; ``""``: only its own."""
    return interned((metadata.get("annotations") or {}).get(ALLOW_NAMESPACES_ANNOTATION))


def intent_revision(metadata: dict[str, Any]) -> int:
    """Return a number that changes whenever something other than the status changes.

    Generation, labels, annotations, finalizers and the deletion timestamp decide; the
    resource version and managed fields, which every status write moves, do not.
    """
    annotations = metadata.get("annotations") or {}
    return hash(
        (
            metadata.get("generation"),
            frozenset((metadata.get("labels") or {}).items()),
            frozenset(i for i in annotations.items() if i[0] != LAST_APPLIED_ANNOTATION),
            tuple(metadata.get("finalizers") or ()),
            metadata.get("deletionTimestamp"),
        )
    )


def order_of(version: str) -> tuple[int, str] | None:
    """Return a key that sorts as the number does, or ``None`` for what is not a number.

    Python refuses to read more than some thousand digits, so numbers are compared as text.
    """
    if not (version.isascii() and version.isdecimal()):
        return None
    digits = version.lstrip("0")
    return len(digits), digits


def is_older(version: str, than: str) -> bool:
    """Whether a version is known to be lower; never where one of the two is not a number."""
    ours, theirs = order_of(version), order_of(than)
    return ours is not None and theirs is not None and ours < theirs


def reached(held: str, wanted: str) -> bool:
    """Whether what is held is known to be no older than what is wanted."""
    if held == wanted:
        return True
    ours, theirs = order_of(held), order_of(wanted)
    return ours is not None and theirs is not None and ours >= theirs
