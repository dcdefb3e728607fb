"""Reports what becomes of a ClusterExternalSecret: in its status, its log and its Events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from secret_sync.controller.cluster_external_secret.status import refused_status, surveyed_status
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from secret_sync.controller.cluster_external_secret.state import ClusterState
    from secret_sync.controller.cluster_external_secret.status import Survey
    from secret_sync.controller.publishing import EventPublisher, StatusWriter
    from secret_sync.controller.sync import Problem
    from secret_sync.resources import ClusterExternalSecretStatus
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret

_log = structlog.get_logger(__name__)


class ClusterReporter:
    """Reports what is found.

    Args:
        statuses: Writes them.
        publisher: Of Events.
    """

    def __init__(
        self, statuses: StatusWriter[ClusterExternalSecretStatus], publisher: EventPublisher
    ) -> None:
        self._statuses = statuses
        self._publisher = publisher

    def surveyed(
        self,
        ces: ClusterExternalSecret,
        state: ClusterState,
        survey: Survey,
        forbidden: Problem | None,
    ) -> None:
        """Report what was found in the namespaces.

        Args:
            ces: The object.
            state: What is kept of it.
            survey: What was found.
            forbidden: That RBAC does not let us write, if it does not.
        """
        before = self._statuses.known(ces.name, ces)
        status, problem = surveyed_status(ces, before, survey, forbidden)
        self._publish(ces, before, status, problem)
        state.reported_at = asyncio.get_running_loop().time()

    def refused(self, ces: ClusterExternalSecret, state: ClusterState, problem: Problem) -> None:
        """Report a problem; the children stay as they are."""
        del state
        before = self._statuses.known(ces.name, ces)
        self._publish(ces, before, refused_status(ces, before, problem), problem)

    def _publish(
        self,
        ces: ClusterExternalSecret,
        before: ClusterExternalSecretStatus,
        status: ClusterExternalSecretStatus,
        problem: Problem | None,
    ) -> None:
        changed = self._statuses.put(ces.name, ces, status)
        if changed and problem is not None and problem.reason is not Reason.PENDING:
            _log.warning("ClusterExternalSecret not ready", **problem.log_fields())
        if status.ready is not None:
            self._publisher.cluster_reported(ces, before.ready, status.ready, problem)

    def finalizer_removed(self, ces: ClusterExternalSecret) -> None:
        """Report that the finalizer of ack-secret-manager was removed."""
        self._publisher.finalizer_removed(ces)

    def finalizer_left(self, ces: ClusterExternalSecret, why: str) -> None:
        """Report that it could not be removed, and that the deletion waits for it if there is one.

        An object that is being deleted has no condition that anyone looks at.
        """
        _log.warning("finalizer not removed, will retry", error=why)
        if ces.deleting:
            self._publisher.deletion_waits(ces, why)
