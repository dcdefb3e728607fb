"""From documents to objects: which are ours, and what of them the API server would keep."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.check.definitions import METADATA, schemas
from secret_sync.cli.check.findings import NOBODY, Finding, Severity, Who, Word, written
from secret_sync.cli.check.schema import Fault, Validator
from secret_sync.resources import Reason, external_secret, secret_store
from secret_sync.resources.names import API_VERSION, GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.cli.check.documents import Node
    from secret_sync.cli.check.findings import Path

OURS: Final = (external_secret.KIND, secret_store.KIND, secret_store.CLUSTER_KIND)
#: A kind of ack-secret-manager that a later version brings.
LATER: Final = "ClusterExternalSecret"
#: Of other kinds, those that ours refer to.
NEIGHBOURS: Final = ("Secret", "ServiceAccount", "Namespace")


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """An object of ours.

    Attributes:
        node: What is written.
        value: What the API server would keep of it, and what it would add.
        assumed: Whether it says nothing of its namespace.
        faulty: The fields that are not as its schema wants them.
    """

    node: Node
    who: Who
    value: dict[str, Any]
    assumed: bool
    faulty: tuple[Path, ...]


@dataclass(slots=True)
class Objects:
    """What the files hold.

    Attributes:
        neighbours: Objects of other kinds that ours refer to; as dicts, with their metadata whole.
        skipped: How many documents are of other kinds.
    """

    subjects: list[Subject] = field(default_factory=list)
    neighbours: list[dict[str, Any]] = field(default_factory=list)
    skipped: int = 0
    findings: list[Finding] = field(default_factory=list)


class Sorter:
    """Takes documents in.

    Args:
        home: The namespace of what names none.
        given: Whether somebody said that this is so.
    """

    def __init__(self, home: str, *, given: bool) -> None:
        self._home = home
        self._given = given
        self.objects = Objects()

    def take(self, node: Node) -> None:
        """One document."""
        value = node.plain()
        if not isinstance(value, dict):
            self._tell(node, (), NOBODY, "a manifest has to be a mapping", Word.INVALID)
            return
        for item, whole in _items(node, value):
            if isinstance(whole, dict):
                self._take(item, whole)
            else:
                self._tell(item, (), NOBODY, "a manifest has to be a mapping", Word.INVALID)

    def _take(self, node: Node, value: dict[str, Any]) -> None:
        api, kind = _text(value.get("apiVersion")), _text(value.get("kind"))
        if api == API_VERSION and kind in OURS:
            self._subject(node, value, kind)
            return
        path, message, reason = _stranger(api, kind)
        if message:
            self._tell(node, path, Who(kind, "", _name_of(value)), message, reason)
            return
        self.objects.skipped += 1
        if api == "v1" and kind in NEIGHBOURS:
            self._neighbour(value, kind)

    def _subject(self, node: Node, value: dict[str, Any], kind: str) -> None:
        validator = Validator(schemas()[kind])
        kept = validator.read(schemas()[kind], value, ())
        faults = validator.faults
        metadata = kept.get("metadata") or {}
        name, namespace = metadata.get("name", ""), metadata.get("namespace", "")
        title = _name_of(value)
        if not name and not any(fault.path[:1] == ("metadata",) for fault in faults):
            faults.append(Fault(("metadata", "name"), "it is empty"))
        clustered = kind == secret_store.CLUSTER_KIND
        place = "" if clustered else namespace or self._home
        who = Who(kind, place, title)
        for fault in faults:
            self._tell(node, fault.path, who, fault.message, fault.word)
        if clustered and namespace:
            message = f"a {kind} is in no namespace, so this has no effect"
            path = ("metadata", "namespace")
            self._tell(node, path, who, message, Word.IGNORED, Severity.WARNING)
        filled = _filled(metadata, place, name or _UNNAMED)
        self.objects.subjects.append(
            Subject(
                node=node,
                who=who,
                value={**kept, "metadata": filled, "status": {}},
                assumed=not (clustered or namespace or self._given),
                faulty=tuple(fault.path for fault in faults),
            )
        )

    def _neighbour(self, value: dict[str, Any], kind: str) -> None:
        # What is wrong with it is nobody's business here.
        kept = Validator(METADATA).read(METADATA, value.get("metadata"), ())
        namespace = "" if kind == "Namespace" else kept.get("namespace") or self._home
        if kept.get("name"):
            filled = _filled(kept, namespace, kept["name"])
            self.objects.neighbours.append({**value, "metadata": filled})

    def _tell(
        self,
        node: Node,
        path: Path,
        who: Who,
        message: str,
        reason: str,
        severity: Severity = Severity.PROBLEM,
    ) -> None:
        self.objects.findings.append(
            Finding(severity, node.find(path), who, written(path), message, reason)
        )


def _items(node: Node, value: dict[str, Any]) -> Iterator[tuple[Node, Any]]:
    """The object, or the objects of a list as ``kubectl get -o yaml`` writes it."""
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


def _stranger(api: str, kind: str) -> tuple[Path, str, str]:
    """Whether something of another kind is meant to be of one of ours, and what is wrong then."""
    if api.partition("/")[0] == GROUP:
        return _misnamed(api, kind)
    if kind in (*OURS, LATER) and not api:
        return ("apiVersion",), f"it is missing; write {API_VERSION}", Word.INVALID
    # Others have kinds of these names as well.
    close = difflib.get_close_matches(api.lower(), [API_VERSION, GROUP], n=1, cutoff=0.8)
    if kind in (*OURS, LATER) and close:
        return ("apiVersion",), f"there is no such group; did you mean {API_VERSION}?", _UNKNOWN
    return _NEITHER


def _misnamed(api: str, kind: str) -> tuple[Path, str, str]:
    """The same for what is of our group."""
    if not kind:
        return ("kind",), "it is missing", Word.INVALID
    if kind == LATER and api == API_VERSION:
        message = f"{LATER} is not built yet; write an ExternalSecret for each namespace"
        return ("kind",), message, Reason.UNSUPPORTED
    if kind in (*OURS, LATER):
        return ("apiVersion",), f"there is no such version; write {API_VERSION}", _UNKNOWN
    by_lower = {ours.lower(): ours for ours in (*OURS, LATER)}
    close = difflib.get_close_matches(kind.lower(), by_lower, n=1, cutoff=0.8)
    if close:
        return ("kind",), f"there is no such kind; did you mean {by_lower[close[0]]}?", _UNKNOWN
    return _NEITHER


_UNKNOWN: Final = Word.UNKNOWN_KIND
#: Stands for a name that is missing or wrong.
_UNNAMED: Final = "unnamed"
_NEITHER: Final[tuple[Path, str, str]] = ((), "", "")


def _filled(metadata: dict[str, Any], namespace: str, name: str) -> dict[str, Any]:
    """The metadata with what the API server adds."""
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
