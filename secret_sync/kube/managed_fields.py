"""``metadata.managedFields``: who owns what of an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secret_sync.resources.secret import metadata_fields

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

#: The metadata of others that a recreated Secret keeps.
_CARRIED: Final = ("f:labels", "f:annotations", "f:ownerReferences")

Entry = dict[str, Any]


def transferred(entries: list[Entry], givers: frozenset[str], taker: str) -> list[Entry]:
    """``managedFields`` in which the taker has applied what the givers had set."""
    merged = [
        entry
        for entry in entries
        if not entry.get("subresource")
        and (
            # One may have a name as common as "manager": who never wrote data is not meant.
            (entry.get("manager") in givers and data_keys(entry))
            or (entry.get("manager") == taker and entry.get("operation") == "Apply")
        )
    ]
    if not merged:
        return entries
    fields: dict[str, Any] = {}
    for entry in merged:
        fields = _union(fields, entry.get("fieldsV1") or {})
    ours = {**merged[-1], "manager": taker, "operation": "Apply", "fieldsV1": fields}
    return [*(entry for entry in entries if entry not in merged), ours]


def without_keys(
    entries: list[Entry], givers: AbstractSet[str], keys: AbstractSet[str]
) -> list[Entry]:
    """Return ``managedFields`` in which the givers have not applied these `owned_fields`.

    No data changes with them: a field without another owner stays in the object.
    All that the givers own besides stays theirs, and so does what they have set by an ``Update``.
    """
    left = []
    for entry in entries:
        if entry.get("manager") not in givers or entry.get("operation") != "Apply":
            left.append(entry)
            continue
        fields = dict(entry.get("fieldsV1") or {})
        about = dict(fields.pop("f:metadata", None) or {})
        for field in ("labels", "annotations"):
            _drop(about, f"f:{field}", {k.removeprefix(f"{field}/") for k in keys if "/" in k})
        if about:
            fields["f:metadata"] = about
        _drop(fields, "f:data", keys)
        if fields:
            left.append({**entry, "fieldsV1": fields})
    return left


def _drop(fields: dict[str, Any], of: str, names: AbstractSet[str]) -> None:
    """Drop the fields of these names below one, and that if none is left."""
    below = {f: v for f, v in (fields.pop(of, None) or {}).items() if f[2:] not in names}
    if any(field.startswith("f:") for field in below):
        fields[of] = below


def owned_fields(entry: Entry) -> frozenset[str]:
    """Return the data keys, ``labels/<name>`` and ``annotations/<name>`` that an entry owns."""
    about = (entry.get("fieldsV1") or {}).get("f:metadata") or {}
    return data_keys(entry).union(metadata_fields(about))


def data_keys(entry: Entry) -> frozenset[str]:
    """Return the data keys that an entry of ``managedFields`` owns."""
    return _keys(entry, "f:data")


def string_data_keys(entry: Entry) -> frozenset[str]:
    """Return the data keys that an entry set by way of ``stringData`` and does not own."""
    return _keys(entry, "f:stringData")


def _keys(entry: Entry, of: str) -> frozenset[str]:
    fields = (entry.get("fieldsV1") or {}).get(of) or ()
    return frozenset(field[2:] for field in fields if field.startswith("f:"))


def metadata_of_others(
    entries: list[dict[str, Any]], ours: str, dropped: frozenset[str]
) -> list[dict[str, Any]]:
    """Return the labels, annotations and ownerReferences of all but one field manager.

    Args:
        entries: ``metadata.managedFields``.
        ours: The manager whose applies are omitted.
        dropped: Annotations to omit.
    """
    kept = []
    for entry in entries:
        if entry.get("subresource") or _is_apply_of(entry, ours):
            continue
        owned = (entry.get("fieldsV1") or {}).get("f:metadata") or {}
        fields = {field: dict(owned[field]) for field in _CARRIED if owned.get(field)}
        for annotation in dropped:
            fields.get("f:annotations", {}).pop(f"f:{annotation}", None)
        fields = {field: below for field, below in fields.items() if below.keys() - {"."}}
        if fields:
            kept.append({**entry, "fieldsV1": {"f:metadata": fields}})
    return kept


def given_back(
    entries: list[dict[str, Any]],
    ours: str,
    kept: frozenset[tuple[str, str]],
    theirs: Iterable[Any],
) -> list[dict[str, Any]]:
    """``managedFields`` in which what was written for others is theirs.

    Each writer has one entry: of several the API server keeps one.

    Args:
        entries: ``metadata.managedFields`` after our apply, which owns all.
        ours: Who applied.
        kept: Fields below ``f:metadata`` that stay its own, each with the field above it.
        theirs: Entries of the others.
    """
    result = list(theirs)
    for entry in entries:
        if not _is_apply_of(entry, ours):
            result.append(entry)
            continue
        fields = entry.get("fieldsV1") or {}
        owned = fields.get("f:metadata") or {}
        left = {
            above: {field: owned[above][field] for field in owned[above] if (above, field) in kept}
            for above in _CARRIED
            if above in owned
        }
        metadata = {**owned, **left}
        metadata = {above: below for above, below in metadata.items() if below}
        result.append({**entry, "fieldsV1": {**fields, "f:metadata": metadata}})
    return _joined(result)


def _joined(entries: list[Entry]) -> list[Entry]:
    """Merge the entries of each writer into one."""
    joined: dict[tuple[Any, ...], Entry] = {}
    for entry in entries:
        writer = tuple(entry.get(f) for f in ("manager", "operation", "apiVersion", "subresource"))
        before = joined.get(writer)
        if before is None:
            joined[writer] = entry
        else:
            fields = _union(before.get("fieldsV1") or {}, entry.get("fieldsV1") or {})
            joined[writer] = {**entry, "fieldsV1": fields}
    return list(joined.values())


def _is_apply_of(entry: dict[str, Any], manager: str) -> bool:
    return entry.get("manager") == manager and entry.get("operation") == "Apply"


def _union(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    return {key: _union(_below(left, key), _below(right, key)) for key in {**left, **right}}


def _below(fields: dict[str, Any], key: str) -> dict[str, Any]:
    found = fields.get(key)
    return found if isinstance(found, dict) else {}
