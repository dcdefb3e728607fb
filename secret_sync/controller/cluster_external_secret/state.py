"""What is kept of a ClusterExternalSecret between two reconciles."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from secret_sync.controller.object_state import ObjectState
from secret_sync.resources import ClusterExternalSecretStatus

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from secret_sync.controller.cluster_external_secret.dry_run import ClusterPlan

#: Applies of one template to one child within so many seconds, after which they become slow.
REPAIRS: Final = 4
REPAIRS_WITHIN: Final = 60.0


@dataclass(slots=True)
class ClusterState(ObjectState[ClusterExternalSecretStatus]):
    """One object's.

    Attributes:
        failures: Why the last write failed, by namespace.
        waiting: Namespaces whose step is being done, or failed and waits in the queue for its time.
        surveyed: Uid and revision that the last survey was of.
        surveyed_at: When that began, as loop time.
        reported_at: When its result was reported.
        plan: In a dry run: what a run that writes would do.
    """

    failures: dict[str, str] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    surveyed: tuple[str, int] | None = None
    surveyed_at: float = float("-inf")
    reported_at: float = float("-inf")
    plan: ClusterPlan | None = None
    _repairs: dict[str, tuple[bytes, deque[float]]] = field(default_factory=dict)

    def sweep(self, failed: AbstractSet[str], now: float) -> None:
        """Forget the failures of all other namespaces, and repairs that are long ago."""
        for gone in self.failures.keys() - failed:
            del self.failures[gone]
        quiet = [n for n, (_, times) in self._repairs.items() if now - times[-1] > REPAIRS_WITHIN]
        for namespace in quiet:
            del self._repairs[namespace]

    def repaired(self, namespace: str, digest: bytes, now: float) -> float:
        """Count an apply to a child; return after how many seconds it may be made.

        It has to wait if others have reverted the same one again and again.
        """
        known, times = self._repairs.get(namespace, (b"", deque()))
        if known != digest:
            times = deque(maxlen=REPAIRS)
            self._repairs[namespace] = digest, times
        if len(times) == REPAIRS and now - times[0] < REPAIRS_WITHIN:
            return times[0] + REPAIRS_WITHIN - now
        times.append(now)
        return 0.0
