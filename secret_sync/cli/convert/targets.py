"""``target``: the Secret, and what happens to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.convert.comments import Effect
from secret_sync.cli.convert.templates import convert_template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.cli.convert.comments import Comments
    from secret_sync.cli.convert.fields import ReadFields
    from secret_sync.resources.meta import FieldPath

#: What tools write on the objects that they apply.
_TOOLS: Final = (
    "argocd.argoproj.io/",
    "config.kubernetes.io/",
    "fluxcd.io/",
    "helm.sh/",
    "kubectl.kubernetes.io/",
    "secret-sync.alibabacloud.com/",
)


def convert_target(
    target: ReadFields,
    metadata: Mapping[str, Any],
    decoded: Mapping[str, str],
    prefix: FieldPath,
    comments: Comments,
) -> tuple[str, dict[str, Any]]:
    """Return the type of the Secret (``""`` for the default), and our target.

    Args:
        target: The operator's.
        metadata: Labels and annotations of the ExternalSecret, which the operator copies.
        decoded: Templates for values that have to be decoded.
        prefix: The path of the spec in our manifest.
        comments: Where to say what differs.
    """
    path = (*prefix, "target")
    ours: dict[str, Any] = {}
    if name := target.text("name"):
        ours["name"] = name
    ours |= _creation(target.text("creationPolicy"), path, comments)
    _deletion(target.text("deletionPolicy"), path, comments)
    if target.flag("immutable"):
        ours["immutable"] = True
        comments.add(
            Effect.DIFFERS,
            (*path, "immutable"),
            "a new value recreates the Secret; the operator keeps the first one",
        )
    if target.has("manifest"):
        target.plain("manifest")
        comments.add(Effect.INCOMPLETE, path, "manifest: secret-sync writes Secrets only")
    at = (*path, "template")
    if target.has("template"):
        type_, template = convert_template(target.section("template"), at, comments)
        if decoded:
            comments.add(
                Effect.INCOMPLETE,
                at,
                f"decodingStrategy of {', '.join(decoded)}: call b64dec here",
            )
    else:
        type_, template = "", _copied(metadata, at, comments)
        if decoded:
            template = {"mergePolicy": "Merge", "data": dict(decoded), **template}
    if template:
        ours["template"] = template
    return type_, ours


def _creation(policy: str, path: FieldPath, comments: Comments) -> dict[str, str]:
    if policy == "Merge":
        comments.add(
            Effect.DIFFERS,
            (*path, "creationPolicy"),
            "secret-sync never overwrites a key of another writer (KeyConflict); the operator does",
        )
        return {"creationPolicy": "Merge"}
    if policy == "Orphan":
        comments.add(
            Effect.DIFFERS,
            (*path, "deletionPolicy"),
            "creationPolicy Orphan: an edited Secret is repaired at once, not at the next refresh",
        )
        return {"deletionPolicy": "Retain"}
    if policy == "None":
        comments.add(Effect.INCOMPLETE, path, "creationPolicy None: the operator writes no Secret")
    return {}


def _deletion(policy: str, path: FieldPath, comments: Comments) -> None:
    if policy in {"Delete", "Merge"}:
        comments.add(
            Effect.DIFFERS,
            path,
            f"deletionPolicy {policy} is about a secret that is deleted in KMS: here the Secret "
            "stays as it is, or is deleted with the flag --cleanup-secret-on-failure",
        )
    elif policy == "Retain":
        comments.add(
            Effect.NOTE,
            path,
            "deletionPolicy Retain is about a secret that is deleted in KMS: always so here",
        )


def _copied(metadata: Mapping[str, Any], path: FieldPath, comments: Comments) -> dict[str, Any]:
    """Return a template that gives the Secret the labels and annotations of its ExternalSecret."""
    found: dict[str, dict[str, str]] = {}
    for part in ("labels", "annotations"):
        values = metadata.get(part, {})
        own = {name: text for name, text in values.items() if not _of_a_tool(name)}
        if braces := [name for name, text in own.items() if "{{" in text]:
            comments.add(
                Effect.LOST,
                path,
                f"{', '.join(braces)}: the operator copies it; it would be a template",
            )
        if plain := {name: text for name, text in own.items() if name not in braces}:
            found[part] = plain
    if not found:
        return {}
    comments.add(Effect.NOTE, path, "The operator copies these to the Secret, too.")
    return {"metadata": found}


def _of_a_tool(name: str) -> bool:
    domain = f"{name.partition('/')[0]}/"
    return any(domain == tool or domain.endswith(f".{tool}") for tool in _TOOLS)
