"""What of a Secret is ours, and the patch that takes it off. Judged on metadata alone (S11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from secret_sync.resources.external_secret import KIND
from secret_sync.resources.names import FIELD_MANAGER, GROUP, OWNER_ANNOTATION

#: Who stands in ``managedFields`` of a released Secret. It must not be our field manager: an
#: apply of that one, after a new install, would delete the keys that it leaves out.
RELEASED_MANAGER: Final = "secret-sync-released"
#: All that it owns. Keys that nobody owns can be taken over by whoever comes next, be it by
#: ``kubectl apply --server-side``, without a conflict and without us as a second owner. But a
#: list without any entry would make the API server invent an owner of everything
#: (``before-first-apply``), which is that conflict again.
_RELEASED_FIELDS: Final[dict[str, Any]] = {"f:type": {}}


@dataclass(frozen=True, slots=True)
class Held:
    """A Secret that is ours.

    Attributes:
        deleting: It is on its way out already, which nothing can stop.
        patch: A merge patch that takes our marks off this very Secret in this very version.
    """

    namespace: str
    name: str
    uid: str
    deleting: bool
    patch: dict[str, Any]

    @property
    def title(self) -> str:
        """What a report calls it."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Stray:
    """A Secret that is not ours, and yet would be deleted with an ExternalSecret."""

    namespace: str
    name: str
    owner: str

    @property
    def title(self) -> str:
        """What a report calls it."""
        return f"{self.namespace}/{self.name}"


def judge(value: dict[str, Any]) -> Held | Stray | None:
    """Whose a Secret is.

    Ours is what carries the owner annotation from our field manager; a copied one does not
    count. Ours is also what our field manager wrote and what an ExternalSecret owns: somebody
    may have taken the annotation away, but the garbage collector would still delete it.

    Args:
        value: The Secret's metadata, as ``{"metadata": {...}}``.
    """
    metadata = value["metadata"]
    references = metadata.get("ownerReferences") or []
    owners = [reference for reference in references if _names_ours(reference)]
    entries = metadata.get("managedFields") or []
    written = [entry for entry in entries if _is_apply_of_ours(entry)]
    if not (written and owners) and not any(map(_owns_mark, written)):
        if owners:
            return Stray(metadata["namespace"], metadata["name"], owners[0]["name"])
        return None
    return Held(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        deleting=bool(metadata.get("deletionTimestamp")),
        patch={
            "metadata": {
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
                "annotations": {OWNER_ANNOTATION: None},
                "ownerReferences": [r for r in references if r not in owners] or None,
                "managedFields": _handed_back(entries, written[-1]),
            }
        },
    )


def _names_ours(reference: dict[str, Any]) -> bool:
    group = str(reference.get("apiVersion")).partition("/")[0]
    return group == GROUP and reference.get("kind") == KIND


def _is_ours(entry: dict[str, Any]) -> bool:
    return entry.get("manager") == FIELD_MANAGER and not entry.get("subresource")


def _is_apply_of_ours(entry: dict[str, Any]) -> bool:
    return _is_ours(entry) and entry.get("operation") == "Apply"


def _owns_mark(entry: dict[str, Any]) -> bool:
    metadata = (entry.get("fieldsV1") or {}).get("f:metadata") or {}
    return f"f:{OWNER_ANNOTATION}" in (metadata.get("f:annotations") or {})


def _handed_back(entries: list[dict[str, Any]], last: dict[str, Any]) -> list[dict[str, Any]]:
    """``managedFields`` in which nothing is ours any more; those of others stay as they are."""
    others = [
        entry
        for entry in entries
        if not _is_ours(entry) and entry.get("manager") != RELEASED_MANAGER
    ]
    released = {
        **last,
        "manager": RELEASED_MANAGER,
        "operation": "Update",
        "fieldsV1": _RELEASED_FIELDS,
    }
    return [*others, released]
