"""One workload: what its pod template says of its restarts, and the patch that restarts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secret_sync.kube import Ref, Resource
from secret_sync.resources.names import RESTART_MANAGER, RESTARTED_FOR_ANNOTATION
from secret_sync.resources.restart import WORKLOAD_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.kube import ApplyWriter, KubeClient

WORKLOADS: Final = {
    kind: Resource("apps", "v1", f"{kind.lower()}s", kind) for kind in WORKLOAD_KINDS
}
#: ExternalSecrets that the annotation names; of more, only those that restart it now.
MAX_NAMED: Final = 64


@dataclass(frozen=True, slots=True)
class FoundWorkload:
    """A workload as the API server has it.

    Attributes:
        restarted_for: Digests by ExternalSecret, as its pod template has them.
        restarted_at: RFC 3339: the last restart of ours, or ``""``.
        deleting: Whether it is being deleted.
        note: Why its pods do not restart by themselves, or ``""``.
    """

    ref: Ref
    restarted_for: Mapping[str, str]
    restarted_at: str
    deleting: bool
    note: str


async def read_workload(client: KubeClient, kind: str, namespace: str, name: str) -> FoundWorkload:
    """Read a workload.

    Raises:
        ApiError: It does not exist, or the API server refused or did not answer.
    """
    found = await client.request("GET", WORKLOADS[kind].path(namespace, name))
    metadata, spec = found["metadata"], found.get("spec") or {}
    deleting = bool(metadata.get("deletionTimestamp"))
    template = (spec.get("template") or {}).get("metadata") or {}
    written = (template.get("annotations") or {}).get(RESTARTED_FOR_ANNOTATION) or ""
    return FoundWorkload(
        Ref(namespace, name, metadata["uid"], metadata["resourceVersion"]),
        dict(pair.split("=", 1) for pair in written.split() if "=" in pair),
        _restarted_at(metadata),
        deleting,
        _note(spec, deleting=deleting),
    )


async def restart_workload(
    writer: ApplyWriter, kind: str, found: FoundWorkload, digests: Mapping[str, str]
) -> None:
    """Restart a workload: its pod template gets the digests of the data that it restarts for.

    A merge patch of exactly this version. An apply could create a workload of nothing but an
    annotation, or be refused with a message about fields that nobody wrote.

    Args:
        writer: Writes as the manager of restarts.
        kind: Of the workload.
        found: As it was read.
        digests: By ExternalSecret, of all that the annotation is to name.

    Raises:
        OutdatedError: It has changed since.
        ApiError: The server refused.
    """
    value = " ".join(f"{name}={digest}" for name, digest in sorted(digests.items()))
    annotations = {RESTARTED_FOR_ANNOTATION: value}
    patch: dict[str, Any] = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    await writer.merge(WORKLOADS[kind], found.ref, patch)


def _restarted_at(metadata: dict[str, Any]) -> str:
    """Return when the annotation was set last: no other field has that manager."""
    for entry in metadata.get("managedFields") or ():
        if entry.get("manager") == RESTART_MANAGER:
            return entry.get("time") or ""
    return ""


def _note(spec: dict[str, Any], *, deleting: bool) -> str:
    if deleting:
        return "is being deleted"
    if spec.get("paused"):
        return "is paused: its pods restart once it is resumed"
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return "has the updateStrategy OnDelete: its pods restart when they are deleted"
    return ""
