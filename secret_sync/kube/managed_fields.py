"""``metadata.managedFields``: who owns what of an object (A3, A11)."""

from __future__ import annotations

from typing import Any


def handed_over(
    entries: list[dict[str, Any]], givers: frozenset[str], taker: str
) -> list[dict[str, Any]]:
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


def data_keys(entry: dict[str, Any]) -> frozenset[str]:
    """The data keys that an entry of ``managedFields`` owns."""
    fields = (entry.get("fieldsV1") or {}).get("f:data") or ()
    return frozenset(field[2:] for field in fields if field.startswith("f:"))


def _union(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    return {key: _union(_below(left, key), _below(right, key)) for key in {**left, **right}}


def _below(fields: dict[str, Any], key: str) -> dict[str, Any]:
    found = fields.get(key)
    return found if isinstance(found, dict) else {}
