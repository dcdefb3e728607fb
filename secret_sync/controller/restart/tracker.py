"""Tells from the data that a sync wrote whether workloads have to restart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from secret_sync.clock import loop_time
from secret_sync.controller.restart import pacing
from secret_sync.controller.restart.digests import same_key
from secret_sync.controller.restart.pacing import RestartState
from secret_sync.controller.restart.reporting import new_nonce, report, report_progress
from secret_sync.controller.sync import Changed, Problem
from secret_sync.resources import Reason
from secret_sync.resources.external_secret import workload_key, workloads_of
from secret_sync.resources.restart import RestartStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secret_sync.controller.external_secret.desired import Desired
    from secret_sync.controller.external_secret.state import SyncState
    from secret_sync.controller.publishing import EventPublisher, StatusWriter
    from secret_sync.controller.restart.digests import DataDigests
    from secret_sync.controller.sync import SyncContext, Unchanged
    from secret_sync.queue import WorkQueue
    from secret_sync.resources import Condition, ExternalSecretStatus
    from secret_sync.resources.restart import RolloutRestart


class RestartTracker:
    """Keeps the digests of the status, and enqueues the workloads that have to restart.

    Args:
        digests: Makes the digests.
        statuses: Where they are kept.
        publisher: Publishes why nothing restarts.
        workloads: The queue of workloads.
        objects: The queue of ExternalSecrets.
    """

    def __init__(
        self,
        digests: DataDigests,
        statuses: StatusWriter[ExternalSecretStatus],
        publisher: EventPublisher,
        workloads: WorkQueue[str],
        objects: WorkQueue[str],
    ) -> None:
        self._digests = digests
        self._statuses = statuses
        self._publisher = publisher
        self._workloads = workloads
        self._objects = objects

    async def begin(self, ctx: SyncContext) -> None:
        """Go on with restarts that are due, and see that digests can be made."""
        known = self._statuses.known(ctx.key, ctx.es)
        self._expect(ctx, known)
        if ctx.es.restart is not None and ctx.es.restart.invalid is None:
            await self._digests.load()

    def lacks_digest(self, ctx: SyncContext, desired: Desired) -> bool:
        """Return whether the values are needed although the Secret needs no write."""
        restart = ctx.es.restart
        if restart is None or restart.invalid is not None or self._digests.problem is not None:
            return False
        kept = ctx.state.restart
        return kept is None or kept.fingerprint != desired.fingerprint

    def unread(self, ctx: SyncContext) -> None:
        """Note that the data is what workloads started with, without knowing it.

        Of a Secret that is created once. The next change is told from the write: an update is one,
        and a Secret that is created again has, as far as is known, the data that it had.
        """
        known, restart = self._statuses.known(ctx.key, ctx.es), ctx.es.restart
        if restart is None:
            return
        kept = known.restart or RestartStatus("", "", new_nonce())
        status = replace(known, restart=kept)
        if not self._reports_problem(ctx, status, restart):
            self._statuses.put(ctx.key, ctx.es, _without_passed(status, restart))

    def written(self, ctx: SyncContext, desired: Desired, result: Changed | Unchanged) -> None:
        """Keep the digest of the data that the Secret has now; before the sync is reported.

        Args:
            ctx: Of which object.
            desired: What the Secret holds.
            result: What its write came to.
        """
        es, restart = ctx.es, ctx.es.restart
        known = self._statuses.known(ctx.key, es)
        if restart is None:
            self._forget(ctx, known)
            return
        if self._reports_problem(ctx, known, restart):
            return
        digest = self._digest(ctx, desired)
        if not digest:
            return
        before = known.restart
        if known.target not in ("", es.target.name):
            # Another Secret: nothing that runs uses it yet.
            before = None
        changed = isinstance(result, Changed) and not result.created
        now = _advanced(before, digest, changed=changed)
        status = _without_passed(replace(known, restart=now), restart)
        self._statuses.put(ctx.key, es, status)
        if known.restart is None:
            # A missing permission is to be known before the first restart.
            kept_restart(ctx.state).unchecked.update(_one_of_each_kind(workloads_of(es)))
        self._expect(ctx, status)

    def _reports_problem(
        self, ctx: SyncContext, status: ExternalSecretStatus, restart: RolloutRestart
    ) -> bool:
        """Report why nothing restarts for this object, if so, and come again for the key."""
        problem = self._digests.problem
        if restart.invalid is not None:
            problem = Problem(
                Reason.RESTART_INVALID, restart.invalid.message, restart.invalid.field
            )
        if problem is None:
            return False
        report(self._statuses, self._publisher, ctx.key, ctx.es, status, problem)
        if restart.invalid is None:
            self._objects.add_after(ctx.key, self._digests.retry_delay())
        return True

    def _digest(self, ctx: SyncContext, desired: Desired) -> str:
        """Return the digest of the data; ``""`` if the values are not known."""
        kept = kept_restart(ctx.state)
        if kept.fingerprint != desired.fingerprint:
            if desired.data is None:
                return ""
            kept.digest = self._digests.digest(ctx.es, desired.data)
            kept.fingerprint = desired.fingerprint
        return kept.digest

    def _forget(self, ctx: SyncContext, known: ExternalSecretStatus) -> None:
        ctx.state.restart = None
        if known.restart is not None or known.restarted is not None:
            status = replace(known, restart=None, restarted=None)
            self._statuses.put(ctx.key, ctx.es, status)

    def _expect(self, ctx: SyncContext, status: ExternalSecretStatus) -> None:
        """Enqueue the workloads that have to restart, or of which it is not known if they may."""
        restart = ctx.es.restart
        if restart is None or status.restart is None:
            return
        kept = kept_restart(ctx.state)
        keys = [workload_key(ctx.es.namespace, workload) for workload in restart.workloads]
        kept.keep_only(keys)
        if status.restart.pending:
            kept.expect(status.restart.data, loop_time())
            if keys and kept.done.issuperset(keys):
                # What it still waited for is not named any more.
                report_progress(self._statuses, self._publisher, ctx.key, ctx.es, status, kept)
                return
        else:
            kept.settle()
            if status.restarted is not None and status.restarted.reason in _CHECKED:
                kept.unchecked.update(_one_of_each_kind(keys))
        for key in keys:
            if key in kept.unchecked or (status.restart.pending and key not in kept.done):
                self._workloads.add_after(key, pacing.SETTLE)


#: Conditions that stand until another check.
_CHECKED: Final = frozenset({Reason.RESTART_FORBIDDEN})
#: Conditions that say why a restart is still to come.
_PASSED: Final = frozenset({Reason.RESTART_INVALID, Reason.RESTART_DELAYED, Reason.RESTART_FAILED})


def _is_over(condition: Condition, restart: RolloutRestart) -> bool:
    """Return whether a condition says nothing any more once no restart is due."""
    if condition.reason == Reason.WORKLOAD_NOT_FOUND:
        # Its message begins with the workload.
        return condition.message.split(" ", 1)[0] not in map(str, restart.workloads)
    return condition.reason in _PASSED


def _without_passed(status: ExternalSecretStatus, restart: RolloutRestart) -> ExternalSecretStatus:
    """Return a status without a condition that says nothing any more."""
    due = status.restart is not None and status.restart.pending
    if due or status.restarted is None or not _is_over(status.restarted, restart):
        return status
    return replace(status, restarted=None)


def _one_of_each_kind(keys: Iterable[str]) -> Iterable[str]:
    """Return the first workload of each kind: RBAC seldom tells those of one kind apart."""
    first: dict[str, str] = {}
    for key in keys:
        first.setdefault(key.rpartition("/")[0], key)
    return first.values()


def kept_restart(state: SyncState) -> RestartState:
    """Return what is kept of the restarts of an object, empty at first."""
    if state.restart is None:
        state.restart = RestartState()
    return state.restart


def _advanced(before: RestartStatus | None, digest: str, *, changed: bool) -> RestartStatus:
    """Return the status with a new digest of the data.

    Nothing has to restart for the first data, and where only the key of the digests is another one.
    """
    if before is None:
        return RestartStatus(digest, digest, new_nonce())
    known = same_key(before.data, digest) or (not before.data and changed)
    if before.pending or known:
        return replace(before, data=digest)
    return replace(before, data=digest, restarted=digest)
