"""What objects that harm others are made of: ``hostile_objects`` and ``hostile_shapes``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from benchmarks.world import API_VERSION, STORE

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What KMS holds at most, in bytes.
KMS_BYTES: Final = 30_720
#: What fits into one object with some room for what the API server adds, in bytes.
OBJECT_BYTES: Final = 1_400_000

REF: Final = {"name": STORE}


@dataclass(frozen=True, slots=True)
class HostileObject:
    """One of the list.

    Attributes:
        name: For a person, and of the object.
        spec: Of the ExternalSecret.
        secrets: The KMS secrets that it reads, and their values.
        metadata: Labels and annotations.
    """

    name: str
    spec: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        """Return the object as it is sent.

        It asks for its values every second, since nothing forbids that.
        """
        return {
            "apiVersion": API_VERSION,
            "kind": "ExternalSecret",
            "metadata": {"name": self.name, **self.metadata},
            "spec": {"rotationInterval": "1s", **self.spec},
        }


def entry(secret: str, **more: Any) -> dict[str, Any]:
    """Return an entry, or an `extract`, on a KMS secret."""
    return {"key": secret, **more, "secretStoreRef": REF}


def pick(path: str, alias: str) -> dict[str, str]:
    """Return an item of `jmesPath`."""
    return {"path": path, "objectAlias": alias}


def yaml_list(size: int = KMS_BYTES) -> str:
    """Return YAML that its parser is slow with: many short items."""
    return "k: [" + "a," * ((size - 6) // 2) + "b]"


def yaml_mapping(size: int = KMS_BYTES) -> str:
    """Return YAML as people write it, close to a size."""
    lines, length, n = [], 0, 0
    while length < size - 32:
        lines.append(f"key-{n}: 'value {n}'")
        length += len(lines[-1]) + 1
        n += 1
    return "\n".join(lines)
