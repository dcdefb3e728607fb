"""What every kind shares: the metadata of an object, read once."""

from __future__ import annotations

import sys
from typing import Any

from secret_sync.resources.names import ALLOW_NAMESPACES_ANNOTATION, LAST_APPLIED_ANNOTATION


def object_key(namespace: str, name: str) -> str:
    """The store key of an object: ``namespace/name``."""
    return f"{namespace}/{name}"


def split_key(key: str) -> tuple[str, str]:
    """The namespace and name of a store key."""
    namespace, _, name = key.partition("/")
    return namespace, name


def namespace_of(key: str) -> str:
    """The namespace of a store key; of an object that is in none, its name."""
    return key.partition("/")[0]


def interned(value: Any) -> str:
    """The text of a value that repeats in many objects, kept once in memory."""
    return sys.intern(str(value)) if value else ""


def text(value: Any) -> str:
    """A string field that may be absent or null."""
    return str(value) if value is not None else ""


def allowance(metadata: dict[str, Any]) -> str:
    """The namespaces that an object lets refer to it, as written; ``""`` for none but its own."""
    return interned((metadata.get("annotations") or {}).get(ALLOW_NAMESPACES_ANNOTATION))


def intent_revision(metadata: dict[str, Any]) -> int:
    """A number that moves whenever something other than the status changed.

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
