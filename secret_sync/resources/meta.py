"""What every kind shares: the metadata of an object, read once."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple, TypeAlias

from secret_sync.resources.names import ALLOW_NAMESPACES_ANNOTATION, LAST_APPLIED_ANNOTATION

#: Steps from an object to one of its fields: names of fields and numbers of items.
FieldPath: TypeAlias = tuple[str | int, ...]


class InvalidField(NamedTuple):
    """A field whose value can never work; the message names it, too."""

    field: FieldPath
    message: str


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
