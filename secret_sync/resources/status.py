"""The status of our kinds: what a user reads back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from secret_sync.resources.conditions import CHILDREN_READY, READY, RESTARTED, STALLED
from secret_sync.resources.limits import MAX_ENTRIES
from secret_sync.resources.meta import interned, text
from secret_sync.resources.restart import RestartStatus

#: What a store can be used for: nothing is ever written to it.
CAPABILITIES: Final = "ReadOnly"


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of ``status.conditions``.

    Attributes:
        status: ``True``, ``False`` or ``Unknown``.
        last_transition_time: RFC 3339, UTC, whole seconds; moves only when ``status`` flips.
    """

    type: str
    status: str
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Condition:
        """Read a condition from its stored form."""
        return cls(
            type=interned(value.get("type")),
            status=interned(value.get("status")),
            reason=interned(value.get("reason")),
            message=text(value.get("message")),
            last_transition_time=interned(value.get("lastTransitionTime")),
            observed_generation=int(value.get("observedGeneration") or 0),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the condition in its applied form."""
        return {
            "type": self.type,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": self.last_transition_time,
            "observedGeneration": self.observed_generation,
        }


@dataclass(frozen=True, slots=True)
class DataSyncResult:
    """The outcome of one entry, in the form ack-secret-manager gave it.

    Attributes:
        key: The entry's ``key``; entries may share one.
        status: ``Succeeded`` or ``Failed``: the result of the entry's fetch.
        time: RFC 3339, UTC: when this outcome came about.
        version_id: The KMS version that was fetched, or ``""``.
    """

    key: str
    status: str
    reason: str
    time: str
    version_id: str

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> DataSyncResult:
        """Read one entry of ``status.dataSyncResults``."""
        return cls(
            key=interned(value.get("ExternalSecretKey")),
            status=interned(value.get("status")),
            reason=interned(value.get("reason")),
            time=interned(value.get("synchronizationTime")),
            version_id=text(value.get("versionId")),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the entry in its applied form; empty fields are omitted."""
        result = {
            "ExternalSecretKey": self.key,
            "status": self.status,
            "synchronizationTime": self.time,
        }
        if self.reason:
            result["reason"] = self.reason
        if self.version_id:
            result["versionId"] = self.version_id
        return result


@dataclass(frozen=True, slots=True)
class ExternalSecretStatus:
    """``status`` of an ExternalSecret.

    Attributes:
        ready: The condition ``Ready``, or ``None`` on an object never looked at.
        last_sync_time: RFC 3339, UTC: the last change written to the Secret.
        target: Name of the Secret written last.
        forced: The annotation ``force-sync`` that was answered last, of an object that is fetched
            once; ``None`` if unknown: under other policies, or written by an older version.
        stalled: The condition ``Stalled``, if it stands.
        restart: Of one that restarts workloads: what they restarted for.
        restarted: The condition ``Restarted``, once there was something to report.
    """

    ready: Condition | None = None
    observed_generation: int = 0
    results: tuple[DataSyncResult, ...] = ()
    last_sync_time: str = ""
    target: str = ""
    forced: str | None = None
    stalled: Condition | None = None
    restart: RestartStatus | None = None
    restarted: Condition | None = None

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ExternalSecretStatus:
        """Read a status as the API server stores it."""
        forced, restart = value.get("observedForceSync"), value.get("restart")
        ready = _condition(value, READY)
        return cls(
            ready=ready,
            observed_generation=int(value.get("observedGeneration") or 0),
            # No object has more of ours; whatever else stands there is replaced as a whole.
            results=tuple(
                map(
                    DataSyncResult.from_dict,
                    (value.get("dataSyncResults") or ())[: MAX_ENTRIES + 1],
                )
            ),
            last_sync_time=interned(value.get("lastSyncTime")),
            target=interned(value.get("target")),
            forced=None if forced is None else interned(forced),
            stalled=_stalled(value, ready),
            restart=RestartStatus.from_dict(restart) if restart else None,
            # A problem of what is to restart is reported before there is a digest.
            restarted=_condition(value, RESTARTED),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the whole ``/status`` to apply; empty fields are omitted."""
        result: dict[str, Any] = {"observedGeneration": self.observed_generation}
        if conditions := _applied(self.ready, self.stalled, self.restarted):
            result["conditions"] = conditions
        if self.results:
            result["dataSyncResults"] = [r.to_dict() for r in self.results]
        if self.last_sync_time:
            result["lastSyncTime"] = self.last_sync_time
        if self.target:
            result["target"] = self.target
        if self.forced is not None:
            # Also if empty, which means that there was no annotation.
            result["observedForceSync"] = self.forced
        if self.restart is not None:
            result["restart"] = self.restart.to_dict()
        return result


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """``status`` of a SecretStore.

    Attributes:
        ready: The condition ``Ready``, or ``None`` on a store never looked at.
        observed_generation: Of the store to which ``ready`` refers, for other tools.
        stalled: The condition ``Stalled``, if it stands.
    """

    ready: Condition | None = None
    observed_generation: int = 0
    stalled: Condition | None = None

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> StoreStatus:
        """Read a status as the API server stores it."""
        ready = _condition(value, READY)
        return cls(
            ready=ready,
            observed_generation=int(value.get("observedGeneration") or 0),
            stalled=_stalled(value, ready),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the whole ``/status`` to apply."""
        if self.ready is None:
            return {}
        return {
            "observedGeneration": self.observed_generation,
            "conditions": _applied(self.ready, self.stalled),
            "capabilities": CAPABILITIES,
        }


@dataclass(frozen=True, slots=True)
class ClusterExternalSecretStatus:
    """``status`` of a ClusterExternalSecret.

    Attributes:
        ready: The condition ``Ready``: whether each namespace has its ExternalSecret.
        children: The condition ``ExternalSecretsReady``.
        namespaces: How many ExternalSecrets are ready, of how many namespaces: ``2/3``.
        child_name: Of the ExternalSecrets.
        provisioned: The namespaces that have theirs.
        failed: Pairs of a namespace and why it has none.
        stalled: The condition ``Stalled``, if it stands.
    """

    ready: Condition | None = None
    children: Condition | None = None
    observed_generation: int = 0
    namespaces: str = ""
    child_name: str = ""
    provisioned: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    stalled: Condition | None = None

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ClusterExternalSecretStatus:
        """Read a status as the API server stores it."""
        ready = _condition(value, READY)
        return cls(
            ready=ready,
            children=_condition(value, CHILDREN_READY),
            observed_generation=int(value.get("observedGeneration") or 0),
            namespaces=interned(value.get("namespaces")),
            child_name=interned(value.get("externalSecretName")),
            provisioned=tuple(map(interned, value.get("provisionedNamespaces") or ())),
            failed=tuple(
                (interned(item.get("namespace")), text(item.get("reason")))
                for item in value.get("failedNamespaces") or ()
            ),
            stalled=_stalled(value, ready),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the whole ``/status`` to apply; empty fields are omitted."""
        result: dict[str, Any] = {"observedGeneration": self.observed_generation}
        if conditions := _applied(self.ready, self.children, self.stalled):
            result["conditions"] = conditions
        if self.namespaces:
            result["namespaces"] = self.namespaces
        if self.child_name:
            result["externalSecretName"] = self.child_name
        if self.provisioned:
            result["provisionedNamespaces"] = list(self.provisioned)
        if self.failed:
            result["failedNamespaces"] = [
                {"namespace": namespace, "reason": reason} for namespace, reason in self.failed
            ]
        return result


def _applied(*conditions: Condition | None) -> list[dict[str, Any]]:
    return [c.to_dict() for c in conditions if c is not None]


def _stalled(status: dict[str, Any], ready: Condition | None) -> Condition | None:
    found = _condition(status, STALLED)
    if found is None or ready is None or found.message != ready.message:
        return found
    # The same message, kept once.
    return replace(found, message=ready.message)


def _condition(status: dict[str, Any], type_: str) -> Condition | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == type_:
            return Condition.from_dict(condition)
    return None
