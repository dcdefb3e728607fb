"""The control loop of workloads that restart.

A workload is no object that is watched: it is read when the data of an ExternalSecret that names it
has changed, and patched once for all of them that wait.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import structlog

from secret_sync import clock
from secret_sync.clock import loop_time
from secret_sync.controller.restart import pacing
from secret_sync.controller.restart.pacing import (
    FREE,
    Waiting,
    allowed,
    counted,
    due,
    gap_after,
    last_restart,
    seconds_since,
)
from secret_sync.controller.restart.reporting import report, report_progress
from secret_sync.controller.restart.tracker import kept_restart
from secret_sync.controller.restart.workload import MAX_NAMED, read_workload, restart_workload
from secret_sync.controller.sync import Problem
from secret_sync.kube import ApiNotFoundError, ApiRefusedError, ApiUnavailableError, OutdatedError
from secret_sync.queue import Done, RequeueAfter, Retry
from secret_sync.resources import Reason
from secret_sync.resources.external_secret import BY_WORKLOAD, workload_key
from secret_sync.resources.restart import Workload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from secret_sync.controller.external_secret.state import SyncStateStore
    from secret_sync.controller.publishing import EventPublisher, StatusWriter
    from secret_sync.controller.restart.pacing import RestartState
    from secret_sync.controller.restart.workload import FoundWorkload
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.kube import ApplyWriter, KubeClient
    from secret_sync.queue import Outcome
    from secret_sync.resources import ExternalSecret, ExternalSecretStatus
    from secret_sync.resources.restart import RestartStatus

_log = structlog.get_logger(__name__)

#: What was refused is tried again this often (seconds).
REFUSED_AGAIN_AFTER: Final = 60.0
#: Whether a group is complete is looked at this often (seconds).
_LOOK_AGAIN_AFTER: Final = 1.0
#: So many objects are looked at before others have the loop: thousands may name one workload.
_AT_ONCE: Final = 100

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RestartDependencies:
    """What workloads are restarted with.

    Attributes:
        client: Reads them.
        writer: Patches them, as a field manager of its own.
        statuses: Of ExternalSecrets.
        publisher: Publishes Events.
    """

    client: KubeClient
    writer: ApplyWriter
    statuses: StatusWriter[ExternalSecretStatus]
    publisher: EventPublisher


class _Waiter(NamedTuple):
    """An ExternalSecret whose data have changed, as it was when that was looked at."""

    key: str
    es: ExternalSecret
    restart: RestartStatus
    kept: RestartState
    allowed: float

    @property
    def times(self) -> Waiting:
        return Waiting(self.kept.since, self.kept.latest, self.allowed)


class WorkloadReconciler:
    """Restarts a workload once for all ExternalSecrets that wait for it."""

    def __init__(
        self,
        dependencies: RestartDependencies,
        objects: ReadOnlyStore[ExternalSecret],
        states: SyncStateStore,
    ) -> None:
        self._client = dependencies.client
        self._writer = dependencies.writer
        self._statuses = dependencies.statuses
        self._publisher = dependencies.publisher
        self._objects = objects
        self._states = states
        #: Loop times of the latest restarts, by workload, in their order.
        self._restarted: dict[str, float] = {}

    def __len__(self) -> int:
        """Return the number of workloads of which the last restart is kept."""
        return len(self._restarted)

    async def reconcile(self, key: str) -> Outcome:
        """Reconcile one workload: ``namespace/kind/name``."""
        namespace, kind, name = key.split("/")
        workload = Workload(kind, name)
        waiters = await self._waiters(key)
        if not waiters:
            return await self._check(key, workload)
        delay = await self._delay(key, waiters)
        if delay > 0:
            await self._report_delays(waiters)
            return RequeueAfter(delay)
        sent = False
        try:
            found = await read_workload(self._client, kind, namespace, name)
            if not found.deleting and not self._is_restarted(found, waiters):
                delay = self._limit_of_others(key, found)
                if delay > 0:
                    return RequeueAfter(delay)
                named = self._named(key, found, waiters)
                await restart_workload(self._writer, kind, found, named)
                sent = True
                self._remember(key, loop_time())
                _log.info("workload restarted", workload=str(workload), namespace=namespace)
                async for waiter in _in_turns(waiters):
                    self._publisher.restarted(waiter.es, str(workload))
        except ApiNotFoundError:
            problem = Problem(
                Reason.WORKLOAD_NOT_FOUND,
                f"{workload} does not exist in this namespace, so nothing restarted; correct the "
                "name, or remove it",
            )
            await self._finish(key, workload, waiters, problem=problem)
        except (ApiUnavailableError, OutdatedError) as error:
            _log.info("workload not restarted, will retry", error=error.message)
            return Retry(after=error.retry_after)
        except ApiRefusedError as error:
            await self._refused(key, workload, waiters, error)
            return RequeueAfter(REFUSED_AGAIN_AFTER)
        else:
            await self._finish(
                key, workload, waiters, note=found.note, restarted=not found.deleting, sent=sent
            )
        # Others may have come meanwhile, or other data.
        waiters = await self._waiters(key)
        return RequeueAfter(await self._delay(key, waiters)) if waiters else Done()

    async def _waiters(self, key: str) -> list[_Waiter]:
        """Return the ExternalSecrets that wait for the restart of a workload."""
        found = []
        async for user in _in_turns(self._objects.by_index(BY_WORKLOAD, key)):
            es = self._objects.get(user)
            if es is None or es.deleting:
                continue
            state = self._states.of(user)
            restart = self._statuses.known(user, es).restart
            kept = kept_restart(state)
            # What a reconcile has not seen yet is not waited for: it enqueues the workload.
            if restart is None or not restart.pending or kept.pending != restart.data:
                continue
            if key not in kept.done:
                found.append(_Waiter(user, es, restart, kept, allowed(restart, kept)))
        return found

    async def _delay(self, key: str, waiters: Sequence[_Waiter]) -> float:
        """Return the seconds until a workload may restart."""
        now = loop_time()
        times = [waiter.times async for waiter in _in_turns(waiters)]
        at = due(times)
        if key in self._restarted:
            at = max(at, self._restarted[key] + pacing.GAP)
        if at > now:
            return at - now
        since = min(each.due for each in times)
        return (
            _LOOK_AGAIN_AFTER
            if now - since < pacing.AT_MOST and await self._is_incomplete(key)
            else 0.0
        )

    async def _is_incomplete(self, key: str) -> bool:
        """Return whether an ExternalSecret of the group has new values that are not written."""
        async for user in _in_turns(self._objects.by_index(BY_WORKLOAD, key)):
            state = self._states.find(user)
            if state is not None and state.waiting_since is not None:
                return True
        return False

    def _limit_of_others(self, key: str, found: FoundWorkload) -> float:
        """Return the seconds to wait after a restart of which this process knows nothing."""
        elapsed = seconds_since(found.restarted_at, time.time()) if found.restarted_at else None
        now = loop_time()
        if elapsed is None or elapsed >= pacing.GAP or key in self._restarted:
            return 0.0
        self._remember(key, now - elapsed)
        return pacing.GAP - elapsed

    def _remember(self, key: str, at: float) -> None:
        """Keep the loop time of a restart, and drop those that limit nothing any more."""
        self._restarted.pop(key, None)
        self._restarted[key] = at
        for old, then in list(islice(self._restarted.items(), 2)):
            if at - then >= pacing.GAP:
                del self._restarted[old]

    @staticmethod
    def _is_restarted(found: FoundWorkload, waiters: Sequence[_Waiter]) -> bool:
        """Return whether it has restarted for all of them, just before a crash."""
        return all(found.restarted_for.get(w.es.name) == w.restart.mark for w in waiters)

    def _named(self, key: str, found: FoundWorkload, waiters: Sequence[_Waiter]) -> dict[str, str]:
        """Return what the annotation is to say: of those that wait, and of the others as it was."""
        named = {w.es.name: w.restart.mark for w in waiters[:MAX_NAMED]}
        namespace = key.partition("/")[0]
        users = frozenset(self._objects.by_index(BY_WORKLOAD, key))
        for name, digest in found.restarted_for.items():
            if len(named) < MAX_NAMED and f"{namespace}/{name}" in users:
                named.setdefault(name, digest)
        return named

    async def _finish(
        self,
        key: str,
        workload: Workload,
        waiters: Sequence[_Waiter],
        *,
        problem: Problem | None = None,
        note: str = "",
        restarted: bool = False,
        sent: bool = False,
    ) -> None:
        """Keep that a workload need not restart for these digests any more."""
        async for waiter in _in_turns(waiters):
            kept = waiter.kept
            if kept.pending == waiter.restart.data:
                kept.done.add(key)
                kept.unchecked.discard(key)
                _keep(kept, key, problem)
                if note:
                    kept.notes[key] = f"{workload} {note}"
            self._count(key, waiter, restarted=restarted, sent=sent)

    def _count(self, key: str, waiter: _Waiter, *, restarted: bool, sent: bool) -> None:
        """Count a restart of an object, and report it once all of its workloads have restarted.

        Args:
            key: Of the workload.
            waiter: The object, as it was.
            restarted: Whether the workload has restarted for it.
            sent: Whether that was now, and not before the controller started again.
        """
        es = self._objects.get(waiter.key)
        if es is None or es.uid != waiter.es.uid or es.restart is None:
            return
        known, kept = self._statuses.known(waiter.key, es), waiter.kept
        status = known.restart
        if status is None:
            return
        now = loop_time()
        if sent and not kept.begun:
            status = replace(
                status,
                last_time=clock.utc_text(),
                recent=counted(status.recent, now - last_restart(status, kept)),
            )
            kept.last = now
        was_due = status.pending
        if restarted:
            # Until all have, the workloads run with different data: whatever it is then, it is due.
            status = replace(status, restarted="")
        known = replace(known, restart=status)
        if status.data == waiter.restart.data == kept.pending:
            kept.begun = kept.begun or restarted
            report_progress(self._statuses, self._publisher, waiter.key, es, known, kept)
            return
        # Other data came meanwhile; they restart it again.
        if restarted and not was_due:
            # They are those of before. Only this workload has others.
            kept.expect(status.data, now)
            others = (workload_key(es.namespace, workload) for workload in es.restart.workloads)
            kept.done.update(other for other in others if other != key)
        self._statuses.put(waiter.key, es, known)

    async def _check(self, key: str, workload: Workload) -> Outcome:
        """Report that a workload may not be read, before the first restart needs it.

        Whoever may read it but not patch it learns that at the first restart.
        """
        users = [
            user
            async for user in _in_turns(self._objects.by_index(BY_WORKLOAD, key))
            if self._unchecked(user, key) is not None
        ]
        if not users:
            return Done()
        problem: Problem | None = None
        try:
            await read_workload(self._client, workload.kind, key.partition("/")[0], workload.name)
        except ApiNotFoundError:
            # It may be applied later.
            pass
        except ApiUnavailableError as error:
            return Retry(after=error.retry_after)
        except ApiRefusedError as error:
            problem = _refusal(workload, error)
        async for user in _in_turns(users):
            self._checked(user, key, problem)
        return RequeueAfter(REFUSED_AGAIN_AFTER) if problem is not None else Done()

    def _unchecked(self, user: str, key: str) -> RestartState | None:
        """Return what is kept of an object that wants to know whether a workload may restart."""
        state = self._states.find(user)
        kept = state.restart if state is not None else None
        return kept if kept is not None and key in kept.unchecked else None

    def _checked(self, user: str, key: str, problem: Problem | None) -> None:
        es, kept = self._objects.get(user), self._unchecked(user, key)
        if es is None or es.restart is None or kept is None:
            return
        known = self._statuses.known(user, es)
        _keep(kept, key, problem)
        if problem is None:
            kept.unchecked.discard(key)
        # The same one each time, whichever workload was asked about.
        first = kept.first_problem()
        if first is not None:
            report(self._statuses, self._publisher, user, es, known, first)
            return
        forbidden = known.restarted is not None and (
            known.restarted.reason == Reason.RESTART_FORBIDDEN
        )
        if forbidden and not kept.unchecked and not kept.pending:
            self._statuses.put(user, es, replace(known, restarted=None))

    async def _refused(
        self,
        key: str,
        workload: Workload,
        waiters: Sequence[_Waiter],
        error: ApiRefusedError,
    ) -> None:
        problem = _refusal(workload, error)
        async for waiter in _in_turns(waiters):
            if waiter.kept.pending == waiter.restart.data:
                _keep(waiter.kept, key, problem)
                self._count(key, waiter, restarted=False, sent=False)

    async def _report_delays(self, waiters: Sequence[_Waiter]) -> None:
        """Report objects whose data change so often that they wait for more than a minute."""
        now = loop_time()
        async for waiter in _in_turns(waiters):
            if waiter.restart.recent <= FREE or waiter.allowed <= now or waiter.kept.problems:
                continue
            problem = Problem(
                Reason.RESTART_DELAYED,
                f"the data changed {waiter.restart.recent} times in a short time, so the next "
                f"restart waits for {gap_after(waiter.restart.recent) // 60:.0f} minutes after "
                f"{waiter.restart.last_time}; if nobody rotates that often, look for a value that "
                "is another one at each refresh, such as a generated password",
            )
            es = self._objects.get(waiter.key)
            if es is not None and es.uid == waiter.es.uid and es.restart is not None:
                known = self._statuses.known(waiter.key, es)
                report(self._statuses, self._publisher, waiter.key, es, known, problem)


async def _in_turns(items: Collection[_T]) -> AsyncIterator[_T]:
    """Iterate over many, and let others have the loop meanwhile."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)


def _refusal(workload: Workload, error: ApiRefusedError) -> Problem:
    message = f"{workload} cannot be restarted: {error.message}"
    if not error.lacks_right:
        return Problem(Reason.RESTART_FAILED, message)
    return Problem(
        Reason.RESTART_FORBIDDEN,
        f"{message}; let the controller get and patch it, for example with the kustomize "
        "component restart",
    )


def _keep(kept: RestartState, key: str, problem: Problem | None) -> None:
    if problem is None:
        kept.problems.pop(key, None)
    else:
        kept.problems[key] = problem
