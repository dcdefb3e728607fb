"""``target.template``: mostly the same fields; some have other semantics or functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.convert.comments import Effect
from secret_sync.cli.convert.template_functions import lacking_functions

if TYPE_CHECKING:
    from secret_sync.cli.convert.comments import Comments
    from secret_sync.cli.convert.fields import ReadFields
    from secret_sync.resources.meta import FieldPath

_TARGETS: Final = {"": "", "data": "Data", "labels": "Labels", "annotations": "Annotations"}


def convert_template(
    template: ReadFields, path: FieldPath, comments: Comments
) -> tuple[str, dict[str, Any]]:
    """Return the type of the Secret and our template, without the type.

    Args:
        template: The operator's.
        path: The template in our manifest.
        comments: Where to say what differs.
    """
    if (engine := template.text("engineVersion")) not in {"", "v2"}:
        comments.add(
            Effect.INCOMPLETE,
            path,
            f"engineVersion {engine}: write the templates for v2 first",
        )
    type_, policy = template.text("type"), template.text("mergePolicy")
    data, metadata = template.strings("data"), template.section("metadata")
    ours: dict[str, Any] = {}
    if data:
        ours["data"] = data
    froms = [
        _from(item, (*path, "templateFrom", n), comments)
        for n, item in enumerate(template.sections("templateFrom"))
    ]
    if froms:
        ours["templateFrom"] = froms
    if labels := {n: v for n in ("labels", "annotations") if (v := metadata.strings(n))}:
        ours["metadata"] = labels
    if metadata.plain("finalizers"):
        comments.add(Effect.LOST, path, "metadata.finalizers: secret-sync sets none on Secrets")
    if policy and ours:
        ours = {"mergePolicy": policy, **ours}
    _check_order(data, froms, path, comments)
    _check_functions(ours, path, comments)
    return type_, ours


def _from(item: ReadFields, path: FieldPath, comments: Comments) -> dict[str, Any]:
    ours: dict[str, Any] = {}
    for kind in ("configMap", "secret"):
        if not item.has(kind):
            continue
        ref = item.section(kind)
        items = [_item(i, path, comments) for i in ref.sections("items")]
        ours[kind] = {"name": ref.text("name"), "items": items}
    if item.has("literal"):
        ours["literal"] = item.text("literal")
        comments.add(
            Effect.INCOMPLETE,
            path,
            "literal: the operator reads its result as YAML with several keys, secret-sync writes "
            "it under the key literal; write each key in template.data",
        )
    target = item.text("target")
    known = _TARGETS.get(target.lower())
    if known is None:
        comments.add(Effect.INCOMPLETE, path, f"target {target!r}: only Secrets can be written")
    elif known:
        ours["target"] = known
    return ours


def _item(item: ReadFields, path: FieldPath, comments: Comments) -> dict[str, str]:
    found = {"key": item.text("key")}
    if scope := item.text("templateAs"):
        found["templateAs"] = scope
    if scope == "KeysAndValues":
        comments.add(
            Effect.INCOMPLETE,
            path,
            "templateAs KeysAndValues: the operator reads the result as YAML (key: value), "
            "secret-sync as lines key=value; change the template and uncomment this",
        )
    return found


def _check_order(
    data: dict[str, str], froms: list[dict[str, Any]], path: FieldPath, comments: Comments
) -> None:
    """Report keys that both write: the operator prefers ``data``, ours ``templateFrom``."""
    in_data = [one for one in froms if one.get("target", "Data") == "Data"]
    refs = [ref for one in in_data for ref in one.values() if isinstance(ref, dict)]
    keys = {item["key"] for ref in refs for item in ref["items"]}
    if both := sorted(keys & set(data)):
        comments.add(
            Effect.INCOMPLETE,
            (*path, "data"),
            f"{', '.join(both)} is in data and in templateFrom, which wins here; remove it there",
        )
    if froms and not (data or in_data):
        comments.add(
            Effect.DIFFERS,
            (*path, "templateFrom"),
            "without templates for data, fetched keys stay",
        )


def _check_functions(ours: dict[str, Any], path: FieldPath, comments: Comments) -> None:
    texts: dict[FieldPath, str] = {("data", key): t for key, t in ours.get("data", {}).items()}
    for part, values in ours.get("metadata", {}).items():
        texts |= {("metadata", part, key): text for key, text in values.items()}
    for at, text in texts.items():
        for name, instead in lacking_functions(text).items():
            comments.add(
                Effect.INCOMPLETE, (*path, *at), f"the function {name} is missing: {instead}"
            )
    if any("configMap" in one or "secret" in one for one in ours.get("templateFrom", ())):
        comments.add(
            Effect.NOTE,
            (*path, "templateFrom"),
            "These templates are not in this file: they must call no function that is missing.",
        )
