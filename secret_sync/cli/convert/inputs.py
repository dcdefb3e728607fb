"""Find the objects of the External Secrets Operator in documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.convert.fields import ReadFields
from secret_sync.resources.names import LAST_APPLIED_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP: Final = "external-secrets.io"
VERSIONS: Final = ("v1", "v1beta1")


@dataclass(frozen=True, slots=True, eq=False)
class EsoDocument:
    """An object of the operator's group.

    Attributes:
        value: The object as written.
    """

    version: str
    kind: str
    namespace: str
    name: str
    value: dict[str, Any]

    @property
    def title(self) -> str:
        """Return kind, namespace and name."""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {name}"

    @property
    def owner(self) -> str:
        """Return the ClusterExternalSecret that creates the object; ``""`` if there is none."""
        references = self._metadata().get("ownerReferences")
        for reference in references if isinstance(references, list) else ():
            if isinstance(reference, dict) and reference.get("kind") == "ClusterExternalSecret":
                return str(reference.get("name") or "")
        return ""

    def metadata(self) -> dict[str, Any]:
        """Return what a manifest says in its metadata, not what the API server adds.

        Raises:
            InputError: A field has a wrong type.
        """
        fields = ReadFields(self._metadata(), "metadata")
        found: dict[str, Any] = {"name": self.name}
        if self.namespace:
            found["namespace"] = self.namespace
        for name in ("labels", "annotations"):
            values = fields.strings(name)
            values.pop(LAST_APPLIED_ANNOTATION, None)
            if values:
                found[name] = values
        return found

    def _metadata(self) -> dict[str, Any]:
        metadata = self.value.get("metadata")
        return metadata if isinstance(metadata, dict) else {}


def sources(document: Any) -> Iterator[EsoDocument]:
    """Yield the objects of the operator's group in a document, which may be a List."""
    if not isinstance(document, dict):
        return
    items = document.get("items")
    if isinstance(items, list) and str(document.get("kind") or "").endswith("List"):
        for item in items:
            yield from sources(item)
        return
    group, _, version = str(document.get("apiVersion") or "").partition("/")
    if group != GROUP:
        return
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    yield EsoDocument(
        version=version,
        kind=str(document.get("kind") or ""),
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata.get("name") or ""),
        value=document,
    )
