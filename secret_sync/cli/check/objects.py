"""Classify documents: objects of our kinds, with what the API server would keep, and others."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.check.definitions import METADATA, schemas
from secret_sync.cli.check.findings import (
    NO_OBJECT,
    CheckReason,
    Finding,
    ObjectRef,
    Severity,
    written,
)
from secret_sync.cli.check.schema import FieldError, Validator
from secret_sync.resources import controllers, external_secret, secret_store
from secret_sync.resources.names import API_VERSION, GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.cli.check.documents import Node
    from secret_sync.resources.meta import FieldPath

_CLUSTERED: Final = (secret_store.CLUSTER_KIND, controllers.CLUSTER_KIND)
OURS: Final = (external_secret.KIND, secret_store.KIND, *_CLUSTERED)
#: Other kinds that ours refer to.
REFERENCED_KINDS: Final = ("Secret", "ConfigMap", "ServiceAccount", "Namespace")


@dataclass(frozen=True, slots=True, eq=False)
class CheckedObject:
    """An object of one of our kinds.

    Attributes:
        node: The object as written.
        value: The object as the API server would store it.
        assumed: Whether its namespace is assumed.
        invalid_fields: The fields that its schema rejects.
    """

    node: Node
    ref: ObjectRef
    value: dict[str, Any]
    assumed: bool
    invalid_fields: tuple[FieldPath, ...]


@dataclass(slots=True)
class Objects:
    """The objects of the files.

    Attributes:
        referenced: Objects of other kinds that ours refer to, as dicts with complete metadata.
        skipped: Number of documents of other kinds.
    """

    checked: list[CheckedObject] = field(default_factory=list)
    referenced: list[dict[str, Any]] = field(default_factory=list)
    skipped: int = 0
    findings: list[Finding] = field(default_factory=list)


class ManifestClassifier:
    """Classifies documents.

    Args:
        home: The namespace of objects without one.
        given: Whether that namespace was given on the command line.
    """

    def __init__(self, home: str, *, given: bool) -> None:
        self._home = home
        self._given = given
        self.objects = Objects()

    def add(self, node: Node) -> None:
        """Classify one document."""
        value = node.plain()
        if not isinstance(value, dict):
            self._report_not_a_mapping(node)
            return
        for item, whole in _items(node, value):
            if isinstance(whole, dict):
                self._classify(item, whole)
            else:
                self._report_not_a_mapping(item)

    def _report_not_a_mapping(self, node: Node) -> None:
        self._report(node, (), NO_OBJECT, "a manifest must be a mapping", CheckReason.INVALID)

    def _classify(self, node: Node, value: dict[str, Any]) -> None:
        api, kind = _text(value.get("apiVersion")), _text(value.get("kind"))
        if api == API_VERSION and kind in OURS:
            self._add_checked(node, value, kind)
            return
        path, message, reason = _unknown_kind(api, kind)
        if message:
            self._report(node, path, ObjectRef(kind, "", _name_of(value)), message, reason)
            return
        self.objects.skipped += 1
        if api == "v1" and kind in REFERENCED_KINDS:
            self._add_referenced(value, kind)

    def _add_checked(self, node: Node, value: dict[str, Any], kind: str) -> None:
        validator = Validator(schemas()[kind])
        kept = validator.read(schemas()[kind], value, ())
        errors = validator.errors
        metadata = kept.get("metadata") or {}
        name, namespace = metadata.get("name", ""), metadata.get("namespace", "")
        title = _name_of(value)
        if not name and not any(error.path[:1] == ("metadata",) for error in errors):
            errors.append(FieldError(("metadata", "name"), "it is empty"))
        clustered = kind in _CLUSTERED
        place = "" if clustered else namespace or self._home
        ref = ObjectRef(kind, place, title)
        for error in errors:
            self._report(node, error.path, ref, error.message, error.reason)
        if clustered and namespace:
            message = f"a {kind} is cluster-scoped, so this has no effect"
            path = ("metadata", "namespace")
            self._report(node, path, ref, message, CheckReason.IGNORED, Severity.WARNING)
        filled = _filled(metadata, place, name or _UNNAMED)
        self.objects.checked.append(
            CheckedObject(
                node=node,
                ref=ref,
                value={**kept, "metadata": filled, "status": {}},
                assumed=not (clustered or namespace or self._given),
                invalid_fields=tuple(error.path for error in errors),
            )
        )

    def _add_referenced(self, value: dict[str, Any], kind: str) -> None:
        # Its errors are not reported: it is not one of our kinds.
        kept = Validator(METADATA).read(METADATA, value.get("metadata"), ())
        namespace = "" if kind == "Namespace" else kept.get("namespace") or self._home
        if kept.get("name"):
            filled = _filled(kept, namespace, kept["name"])
            self.objects.referenced.append({**value, "metadata": filled})

    def _report(
        self,
        node: Node,
        path: FieldPath,
        ref: ObjectRef,
        message: str,
        reason: str,
        severity: Severity = Severity.PROBLEM,
    ) -> None:
        self.objects.findings.append(
            Finding(severity, node.find(path), ref, written(path), message, reason)
        )


def _items(node: Node, value: dict[str, Any]) -> Iterator[tuple[Node, Any]]:
    """Yield the object, or the items of a list as ``kubectl get -o yaml`` writes it."""
    kind, items = _text(value.get("kind")), value.get("items")
    if not kind.endswith("List") or not isinstance(items, list):
        yield node, value
        return
    shared = {"kind": kind.removesuffix("List"), "apiVersion": value.get("apiVersion")}
    nodes: list[Node] = node.value["items"].value
    for below, item in zip(nodes, items, strict=True):
        if isinstance(item, dict):
            yield from _items(below, (shared if shared["kind"] else {}) | item)
        else:
            yield below, item


def _unknown_kind(api: str, kind: str) -> tuple[FieldPath, str, str]:
    """Return what is wrong with an object that is probably meant to be of one of our kinds."""
    if api.partition("/")[0] == GROUP:
        return _misnamed(kind)
    if kind in OURS and not api:
        return ("apiVersion",), f"it is missing; write {API_VERSION}", CheckReason.INVALID
    # Other projects have kinds of these names, too.
    close = difflib.get_close_matches(api.lower(), [API_VERSION, GROUP], n=1, cutoff=0.8)
    if kind in OURS and close:
        return ("apiVersion",), f"there is no such group; did you mean {API_VERSION}?", _UNKNOWN
    return _NEITHER


def _misnamed(kind: str) -> tuple[FieldPath, str, str]:
    """Return what is wrong with an object of our group."""
    if not kind:
        return ("kind",), "it is missing", CheckReason.INVALID
    if kind in OURS:
        return ("apiVersion",), f"there is no such version; write {API_VERSION}", _UNKNOWN
    by_lower = {ours.lower(): ours for ours in OURS}
    close = difflib.get_close_matches(kind.lower(), by_lower, n=1, cutoff=0.8)
    if close:
        return ("kind",), f"there is no such kind; did you mean {by_lower[close[0]]}?", _UNKNOWN
    return _NEITHER


_UNKNOWN: Final = CheckReason.UNKNOWN_KIND
#: In place of a missing or invalid name.
_UNNAMED: Final = "unnamed"
_NEITHER: Final[tuple[FieldPath, str, str]] = ((), "", "")


def _filled(metadata: dict[str, Any], namespace: str, name: str) -> dict[str, Any]:
    """Return the metadata with the fields that the API server adds."""
    return {
        "namespace": namespace,
        "name": name,
        "uid": f"uid-of-{name}",
        "resourceVersion": "1",
        "generation": 1,
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
        "finalizers": metadata.get("finalizers") or [],
    }


def _name_of(value: dict[str, Any]) -> str:
    metadata = value.get("metadata")
    return _text(metadata.get("name")) if isinstance(metadata, dict) else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
