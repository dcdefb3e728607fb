"""Objects of our kinds in each state that they can be in, and where kstatus' verdicts are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from secret_sync.controller.sync import stalled_condition
from secret_sync.resources import (
    ClusterExternalSecretStatus,
    Condition,
    ExternalSecretStatus,
    Reason,
    StoreStatus,
)
from secret_sync.resources.conditions import CHILDREN_READY

HERE: Final = Path(__file__).parent
VERDICTS: Final = HERE / "verdicts.json"
TIME: Final = "2026-01-02T03:04:05Z"

STATUSES: Final[dict[str, Any]] = {
    "ExternalSecret": ExternalSecretStatus,
    "SecretStore": StoreStatus,
    "ClusterSecretStore": StoreStatus,
    "ClusterExternalSecret": ClusterExternalSecretStatus,
}
#: The condition ``Ready`` of each state that a status of generation 1 reports.
READY: Final = {
    "ready": ("True", Reason.READY),
    "failing": ("False", Reason.PROVIDER_UNAVAILABLE),
    "missing": ("False", Reason.STORE_NOT_FOUND),
    "stalled": ("False", Reason.INVALID_SPEC),
    "waiting": ("Unknown", Reason.PENDING),
    "outdated": ("Unknown", Reason.CRD_OUTDATED),
}


def children(status: str) -> Condition:
    """Return the condition of a ClusterExternalSecret about its ExternalSecrets."""
    reason = Reason.CHILDREN_READY if status == "True" else Reason.CHILDREN_NOT_READY
    return Condition(CHILDREN_READY, status, reason.value, "why", TIME, 1)


def read_objects() -> dict[str, dict[str, Any]]:
    """Return the objects by ``<kind>/<state>``."""
    found = {}
    for kind, make in STATUSES.items():
        bare = {
            "apiVersion": "alibabacloud.com/v1alpha1",
            "kind": kind,
            "metadata": {"name": "some", "generation": 1},
        }
        found[f"{kind}/created"] = {**bare, "status": {"observedGeneration": -1}}
        # As a CRD without our default leaves it: the reason for the default.
        found[f"{kind}/without status"] = bare
        for state, (status, reason) in READY.items():
            ready = Condition("Ready", status, reason.value, "why", TIME, 1)
            reported = make(ready=ready, observed_generation=1)
            if isinstance(reported, ClusterExternalSecretStatus):
                reported = replace(reported, children=children("True"))
            if (stalled := stalled_condition(None, ready)) is not None:
                reported = replace(reported, stalled=replace(stalled, last_transition_time=TIME))
            found[f"{kind}/{state}"] = {**bare, "status": reported.to_dict()}
        for state in ("ready", "stalled"):
            edited = {"name": "some", "generation": 2}
            found[f"{kind}/{state}, edited"] = {**found[f"{kind}/{state}"], "metadata": edited}
        gone = {"name": "some", "generation": 1, "deletionTimestamp": TIME}
        found[f"{kind}/deleting"] = {**found[f"{kind}/ready"], "metadata": gone}
    ready = Condition("Ready", "True", "Provisioned", "why", TIME, 1)
    provisioned = ClusterExternalSecretStatus(ready, children("False"), observed_generation=1)
    found["ClusterExternalSecret/children not ready"] = {
        **found["ClusterExternalSecret/ready"],
        "status": provisioned.to_dict(),
    }
    return found
