"""Secrets, represented by their metadata alone.

Of a foreign Secret three short strings are kept. Of a managed one we keep what drift shows
in: which data keys our field manager owns, and which ones others own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from secret_sync.resources.meta import ObjectMeta, allowance, interned
from secret_sync.resources.names import (
    FIELD_MANAGER,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    MERGE_MANAGER,
    OWNER_ANNOTATION,
    RENDERED_ANNOTATION,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OWNER_FIELD = f"f:{OWNER_ANNOTATION}"
_MANAGED_BY_FIELD: Final = f"labels/{MANAGED_BY_LABEL}"
_MARKS: Final = frozenset({f"annotations/{a}" for a in (OWNER_ANNOTATION, RENDERED_ANNOTATION)})
_LABEL: Final = frozenset({_MANAGED_BY_FIELD})
_NO_LABEL: Final[frozenset[str]] = frozenset()
_MARKS_AND_LABEL: Final = _MARKS | _LABEL
_NONE_MERGED: Final[Mapping[str, frozenset[str]]] = {}
#: Characters that are kept of what others may write at any length. Names have 253, uids 36.
_LONGEST: Final = 512


@dataclass(frozen=True, slots=True)
class ForeignSecret(ObjectMeta):
    """A Secret that carries no mark of ours.

    Attributes:
        allows: Its annotation ``allow-namespaces``, or ``""``.
        controlled: Whether it has a controller, which keeps it from being adopted.
        labelled: As of ``ManagedSecret``.
    """

    allows: str
    controlled: bool = False
    labelled: bool = False


class StringDataEntry(NamedTuple):
    """An entry of ``managedFields`` that set data by way of ``stringData``.

    The API server turns ``stringData`` into ``data``, but after a server-side apply it records
    only ``f:stringData``: such a writer owns none of the data that it set, and those who do own
    them keep them. Its keys stay when it no longer has them.

    Attributes:
        manager: The field manager.
        keys: The keys of its latest apply.
        time: When that was, by the API server's clock, in whole seconds (RFC 3339); of an apply
            that changed nothing it is not kept.
    """

    manager: str
    keys: frozenset[str]
    time: str


@dataclass(frozen=True, slots=True)
class ManagedSecret(ObjectMeta):
    """A Secret with a mark of ours.

    Attributes:
        owner: The owner annotation (``<ExternalSecret name>/<uid>``), or ``""``.
        owner_is_ours: Whether our field manager owns that annotation; a copied one does not
            make a Secret ours.
        owner_uids: The uids its ownerReferences name.
        controller: Uid, and kind and name, of its controller; of the ExternalSecret that the
            owner annotation names it is not kept.
        our_keys: Data keys that our field manager owns; also labels and annotations that are not
            marks, as ``labels/<name>`` and ``annotations/<name>``.
        other_keys: Data keys that another manager owns, alone or with us.
        merged: Data keys that ExternalSecrets merged into it, by the uid of each; with labels and
            annotations as in ``our_keys``.
        shared_keys: Those of the other keys that more than one entry owns; with labels and
            annotations, as in ``our_keys``, that were merged and that another manager owns, too.
        editors: The field managers of the other keys, and of rendered labels and annotations.
        carries: Whether our field manager owns labels, annotations or ownerReferences that are
            neither marks nor rendered: a recreation did not get to give them back.
        rendered: Labels and annotations that it says are rendered, as in ``our_keys``.
        string_data: Managers that set data not covered by the keys above, sorted.
        allows: Its annotation ``allow-namespaces``, or ``""``.
        labelled: Whether another writer has set the label ``managed-by``.
    """

    deleting: bool
    owner: str
    owner_is_ours: bool
    owner_uids: tuple[str, ...]
    our_keys: frozenset[str]
    other_keys: frozenset[str]
    merged: Mapping[str, frozenset[str]]
    editors: tuple[str, ...]
    allows: str
    string_data: tuple[StringDataEntry, ...] = ()
    shared_keys: frozenset[str] = frozenset()
    carries: bool = False
    controller: tuple[str, str] = ("", "")
    rendered: frozenset[str] = frozenset()
    labelled: bool = False


SecretMeta: TypeAlias = ManagedSecret | ForeignSecret


def secret_from_metadata(value: dict[str, Any]) -> SecretMeta:
    """Read a Secret of a metadata-only list, watch or apply reply."""
    metadata = value["metadata"]
    entries = metadata.get("managedFields") or ()
    owner = ((metadata.get("annotations") or {}).get(OWNER_ANNOTATION) or "")[:_LONGEST]
    if not owner and not any(_is_ours(e.get("manager") or "") for e in entries):
        return ForeignSecret(
            namespace=interned(metadata.get("namespace")),
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            allows=allowance(metadata),
            controlled=any(r.get("controller") for r in metadata.get("ownerReferences") or ()),
            labelled=is_labelled_by_another(metadata),
        )
    owner_is_ours = False
    carries = False
    rendered = rendered_metadata(metadata)
    our_keys: frozenset[str] = frozenset()
    other_keys: set[str] = set()
    shared_keys: set[str] = set()
    editors: set[str] = set()
    merged: dict[str, frozenset[str]] = {}
    string_data: list[StringDataEntry] = []
    for entry in entries:
        manager = interned(entry.get("manager"))
        fields = entry.get("fieldsV1") or {}
        keys = _keys(fields, "f:data")
        if "f:stringData" in fields:
            keys_set = _keys(fields, "f:stringData")
            string_data.append(StringDataEntry(manager, keys_set, entry.get("time") or ""))
        if manager == FIELD_MANAGER and entry.get("operation") == "Apply":
            about = fields.get("f:metadata") or {}
            keys = _with_metadata(keys, about, _unrendered(rendered))
            our_keys = _shared(our_keys | keys) if our_keys else keys
            owner_is_ours = owner_is_ours or _OWNER_FIELD in (about.get("f:annotations") or ())
            carries = carries or _carries(about, owner, rendered | own_label(metadata))
            continue
        if keys:
            shared_keys |= other_keys & keys
            other_keys |= keys
            editors.add(manager)
        if manager.startswith(MERGE_MANAGER) and entry.get("operation") == "Apply":
            if keys := _with_metadata(keys, fields.get("f:metadata") or {}):
                merged[manager.removeprefix(MERGE_MANAGER)] = keys
        elif rendered and not rendered.isdisjoint(metadata_fields(fields.get("f:metadata") or {})):
            editors.add(manager)
    shared_keys |= _shared_metadata(entries, merged)
    return ManagedSecret(
        namespace=interned(metadata.get("namespace")),
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        deleting=bool(metadata.get("deletionTimestamp")),
        owner=owner,
        owner_is_ours=owner_is_ours,
        owner_uids=tuple(r["uid"][:_LONGEST] for r in metadata.get("ownerReferences") or ()),
        our_keys=our_keys,
        other_keys=_shared(frozenset(other_keys)),
        merged=merged or _NONE_MERGED,
        editors=tuple(sorted(editors)),
        allows=allowance(metadata),
        shared_keys=_shared(frozenset(shared_keys)),
        carries=carries,
        controller=_controller(metadata, owner),
        rendered=rendered,
        labelled=is_labelled_by_another(metadata),
        string_data=tuple(sorted(string_data, key=lambda e: (e.manager, e.time))),
    )


def owner_field(uid: str) -> str:
    """Return how ``managedFields`` call the ownerReference with a uid."""
    return f'k:{{"uid":"{uid}"}}'


def owner_of(secret: SecretMeta | None) -> tuple[str, str]:
    """Name and uid of the ExternalSecret whose mark our field manager wrote, or two ``""``."""
    if not isinstance(secret, ManagedSecret) or not secret.owner_is_ours:
        return "", ""
    name, _, uid = secret.owner.partition("/")
    return name, uid


def _controller(metadata: dict[str, Any], owner: str) -> tuple[str, str]:
    for reference in metadata.get("ownerReferences") or ():
        name, uid = reference.get("name"), reference["uid"]
        if reference.get("controller") and f"{name}/{uid}" != owner:
            return uid[:_LONGEST], f"{reference.get('kind')} {name}"[:_LONGEST]
    return "", ""


def rendered_metadata(metadata: dict[str, Any]) -> frozenset[str]:
    """Return the labels and annotations that our field manager says are rendered.

    They are written as in ``our_keys``; what another one says does not count.
    """
    named = (metadata.get("annotations") or {}).get(RENDERED_ANNOTATION)
    if not named:
        return frozenset()
    for entry in metadata.get("managedFields") or ():
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply":
            about = (entry.get("fieldsV1") or {}).get("f:metadata") or {}
            if f"f:{RENDERED_ANNOTATION}" in (about.get("f:annotations") or ()):
                return _shared(frozenset(map(interned, named.split())))
    return frozenset()


def metadata_fields(about: dict[str, Any]) -> list[str]:
    """Return the labels and annotations below ``f:metadata``, as ``our_keys`` has them."""
    return [
        f"{field}/{name[2:]}"
        for field in ("labels", "annotations")
        for name in about.get(f"f:{field}") or ()
        if name[:2] == "f:"
    ]


def own_label(metadata: dict[str, Any]) -> frozenset[str]:
    """Return the label ``managed-by``, as ``our_keys`` has it, if its value is that of our mark."""
    value = (metadata.get("labels") or {}).get(MANAGED_BY_LABEL)
    return _LABEL if value == MANAGED_BY else _NO_LABEL


def is_labelled_by_another(metadata: dict[str, Any]) -> bool:
    """Return whether another writer has set the label ``managed-by``, which then stays theirs."""
    value = (metadata.get("labels") or {}).get(MANAGED_BY_LABEL)
    if value is None:
        return False
    for entry in metadata.get("managedFields") or ():
        if entry.get("manager") != FIELD_MANAGER or entry.get("operation") != "Apply":
            about = (entry.get("fieldsV1") or {}).get("f:metadata") or {}
            if f"f:{MANAGED_BY_LABEL}" in (about.get("f:labels") or ()):
                return True
    return value != MANAGED_BY and _MANAGED_BY_FIELD not in rendered_metadata(metadata)


def _unrendered(rendered: frozenset[str]) -> frozenset[str]:
    """Return our marks: the label is none where a template renders it."""
    return _MARKS if _MANAGED_BY_FIELD in rendered else _MARKS_AND_LABEL


def _with_metadata(
    keys: frozenset[str], about: dict[str, Any], marks: frozenset[str] = _MARKS
) -> frozenset[str]:
    found = set(metadata_fields(about)) - marks
    return _shared(keys.union(map(interned, found))) if found else keys


def _shared_metadata(
    entries: Iterable[dict[str, Any]], merged: Mapping[str, frozenset[str]]
) -> set[str]:
    """Return the merged labels and annotations that more than one entry owns."""
    held = {field for fields in merged.values() for field in fields if "/" in field}
    if not held:
        return held
    owners = Counter(
        field
        for entry in entries
        for field in metadata_fields((entry.get("fieldsV1") or {}).get("f:metadata") or {})
    )
    return {field for field in held if owners[field] > 1}


def _carries(about: dict[str, Any], owner: str, rendered: frozenset[str]) -> bool:
    """Whether an apply of ours, of which these are the metadata, has more than is ours."""
    references = (about.get("f:ownerReferences") or {}).keys() - {"."}
    _, _, uid = owner.partition("/")
    # Without the mark one of them is taken for ours.
    beside = references - {owner_field(uid)} if uid else len(references) > 1
    return bool(beside) or not set(metadata_fields(about)) <= rendered | _MARKS


def _keys(fields: dict[str, Any], of: str) -> frozenset[str]:
    return _shared(frozenset(interned(f[2:]) for f in fields.get(of) or () if f[:2] == "f:"))


@lru_cache(maxsize=1024)
def _shared(keys: frozenset[str]) -> frozenset[str]:
    """Return one shared set for equal keys, which many Secrets have."""
    return keys


def _is_ours(manager: str) -> bool:
    return manager == FIELD_MANAGER or manager.startswith(MERGE_MANAGER)
