"""What kstatus makes of an object, as a function; `make kstatus` asks the library itself."""

from __future__ import annotations

from typing import Any


def kstatus(found: dict[str, Any] | None) -> str:
    """As sigs.k8s.io/cli-utils computes the status of a kind that it does not know."""
    assert found is not None
    if "deletionTimestamp" in found["metadata"]:
        return "Terminating"
    status = found.get("status", {})
    observed = status.get("observedGeneration")
    if observed is not None and observed != found["metadata"]["generation"]:
        return "InProgress"
    conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"
