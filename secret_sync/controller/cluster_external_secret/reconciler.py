"""The control loop of ClusterExternalSecrets, to be read from top to bottom.

There are two kinds of keys. ``/name`` surveys all namespaces of an object, enqueues those where
something is to be done, and reports. ``namespace/name`` does the next step in one namespace.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.controller.cluster_external_secret.children import ChildStep, decide, where_of
from secret_sync.controller.cluster_external_secret.matcher import partial_match, selects
from secret_sync.controller.cluster_external_secret.state import ClusterState
from secret_sync.controller.cluster_external_secret.status import Survey
from secret_sync.controller.cluster_external_secret.writer import ChangedByOthersError
from secret_sync.controller.confirmation import OwnerChangedError
from secret_sync.controller.sync import Problem
from secret_sync.errors import TransientError
from secret_sync.kube import AlreadyExistsError, ApiRefusedError, OutdatedError
from secret_sync.queue import Done, Priority, RequeueAfter, Retry
from secret_sync.resources import Reason
from secret_sync.resources.external_secret import BY_CLUSTER_CONTROLLER
from secret_sync.resources.meta import namespace_of, object_key

if TYPE_CHECKING:
    from secret_sync.controller.cluster_external_secret.children import ChildDecision
    from secret_sync.controller.cluster_external_secret.matcher import ServedNamespaces
    from secret_sync.controller.cluster_external_secret.reporter import ClusterReporter
    from secret_sync.controller.cluster_external_secret.validation import SpecChecker
    from secret_sync.controller.cluster_external_secret.writer import ChildWriter
    from secret_sync.controller.legacy_finalizers import LegacyFinalizers
    from secret_sync.controller.object_state import ObjectStates
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.queue import Outcome, WorkQueue
    from secret_sync.resources import ExternalSecret, Namespace
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret

_log = structlog.get_logger(__name__)

#: Seconds between two surveys of an object, unless it is edited, and between two of its statuses.
SURVEY_EVERY: Final = 1.0
#: What the API server refuses for good is tried again this often (seconds).
REFUSED_AGAIN_AFTER: Final = 60.0
#: Namespaces that are looked at before the event loop has its turn.
_TOGETHER: Final = 250


class ClusterExternalSecretReconciler:
    """Creates, repairs and deletes the children of ClusterExternalSecrets.

    Args:
        objects: All ClusterExternalSecrets.
        namespaces: All namespaces.
        children: All ExternalSecrets, with the index ``BY_CLUSTER_CONTROLLER``.
        scope: Where the controller works.
        checker: Finds mistakes in the spec of the children.
        writer: Writes children.
        reporter: Of what is found.
        states: What is kept of each object.
        finalizers: Removes those of ack-secret-manager.
        queue: Of the two kinds of keys.
    """

    def __init__(  # noqa: PLR0913 (what it looks at, decides with and writes with)
        self,
        *,
        objects: ReadOnlyStore[ClusterExternalSecret],
        namespaces: ReadOnlyStore[Namespace],
        children: ReadOnlyStore[ExternalSecret],
        scope: ServedNamespaces,
        checker: SpecChecker,
        writer: ChildWriter,
        reporter: ClusterReporter,
        states: ObjectStates[ClusterState],
        finalizers: LegacyFinalizers,
        queue: WorkQueue[str],
    ) -> None:
        self._objects = objects
        self._namespaces = namespaces
        self._children = children
        self._scope = scope
        self._checker = checker
        self._writer = writer
        self._reporter = reporter
        self._states = states
        self._finalizers = finalizers
        self._queue = queue
        # That RBAC refuses writes to ExternalSecrets, and until when none is tried again.
        self._forbidden: Problem | None = None
        self._forbidden_until = 0.0

    async def reconcile(self, key: str) -> Outcome:
        """Reconcile one object, or its child in one namespace."""
        namespace = namespace_of(key)
        name = key.removeprefix(f"{namespace}/")
        ces = self._objects.get(name)
        if ces is None or ces.deleting:
            # The garbage collector deletes the children, or leaves them (--cascade=orphan).
            return Done() if namespace else await self._finalize(name, ces)
        return await (self._child(ces, namespace) if namespace else self._whole(ces))

    async def _finalize(self, name: str, ces: ClusterExternalSecret | None) -> Outcome:
        self._states.forget(name)
        self._checker.forget(name)
        return Done() if ces is None else await self._let_go(ces, ClusterState())

    async def _let_go(self, ces: ClusterExternalSecret, state: ClusterState) -> Outcome:
        """Remove the finalizer of ack-secret-manager, also of an object being deleted."""
        try:
            if await self._finalizers.remove(ces, state):
                self._reporter.finalizer_removed(ces)
        except (TransientError, ApiRefusedError) as error:
            self._reporter.finalizer_left(ces, error.message)
            return Retry(after=error.retry_after)
        return Done()

    # -- All namespaces -------------------------------------------------------------------

    async def _whole(self, ces: ClusterExternalSecret) -> Outcome:
        state = self._states.of(ces.name)
        outdated = self._checker.outdated(ces)
        if outdated is not None:
            return self._refuse(ces, state, outdated)
        outcome = await self._let_go(ces, state)
        if isinstance(outcome, Retry):
            return outcome
        checked = self._checker.check(ces)
        if checked.problem is not None:
            return self._refuse(ces, state, checked.problem)
        left = 0.0 if checked.pending else self._until_survey(ces, state)
        if checked.pending or left > 0:
            return RequeueAfter(left, Priority.LOW) if left > 0 else Done()
        return await self._survey_and_report(ces, state)

    def _until_survey(self, ces: ClusterExternalSecret, state: ClusterState) -> float:
        """Return the seconds until the next survey; an edit is not waited with."""
        if state.surveyed == (ces.uid, ces.revision):
            return state.surveyed_at + SURVEY_EVERY - _time()
        # It may be what was wrong before that was edited.
        state.surveyed = (ces.uid, ces.revision)
        state.failures.clear()
        state.waiting.clear()
        return 0.0

    async def _survey_and_report(self, ces: ClusterExternalSecret, state: ClusterState) -> Outcome:
        state.surveyed_at = _time()
        survey = await self._survey(ces, state)
        if self._objects.get(ces.name) is not ces:
            # What follows is about the object as it is now, and that event enqueues it.
            return RequeueAfter(SURVEY_EVERY, Priority.LOW)
        left = state.reported_at + SURVEY_EVERY - _time()
        if left > 0:
            return RequeueAfter(left, Priority.LOW)
        self._reporter.surveyed(ces, state, survey, self._forbidden)
        return self._forbidden_again() if self._forbidden is not None else Done()

    async def _survey(self, ces: ClusterExternalSecret, state: ClusterState) -> Survey:
        """Look at all namespaces, and enqueue those where something is to be done."""
        survey = Survey()
        for number, namespace in enumerate(list(self._namespaces.values()), start=1):
            if number % _TOGETHER == 0:
                await asyncio.sleep(0)
            if not self._is_served(namespace):
                continue
            selected = selects(ces, namespace)
            decision = self._decide(ces, namespace.name, selected=selected)
            if not selected and survey.partial is None:
                regex = partial_match(ces, namespace)
                survey.partial = (regex, namespace.name) if regex else None
            self._count(survey, state, namespace.name, decision, selected=selected)
            if decision.step in (ChildStep.NOTHING, ChildStep.WAIT, ChildStep.CONFLICT):
                continue
            survey.due.append((namespace.name, decision))
            if namespace.name not in state.waiting:
                # Ordinary objects go first.
                self._queue.add(object_key(namespace.name, ces.name), Priority.LOW)
        state.sweep(frozenset(name for name, _ in survey.failed), _time())
        return survey

    def _count(
        self,
        survey: Survey,
        state: ClusterState,
        namespace: str,
        decision: ChildDecision,
        *,
        selected: bool,
    ) -> None:
        if not selected and decision.step is not ChildStep.DELETE:
            return
        survey.selected += selected
        survey.leaving += not selected
        if decision.child is not None:
            survey.add_child(decision.child)
        failure = decision.conflict or state.failures.get(namespace, "")
        if failure:
            survey.failed.append((namespace, failure))
        elif selected and (decision.child is None or decision.step is ChildStep.APPLY):
            survey.pending += 1

    def _refuse(self, ces: ClusterExternalSecret, state: ClusterState, problem: Problem) -> Outcome:
        self._reporter.refused(ces, state, problem)
        return Done()

    # -- One namespace --------------------------------------------------------------------

    async def _child(self, ces: ClusterExternalSecret, name: str) -> Outcome:
        namespace, state = self._namespaces.get(name), self._states.of(ces.name)
        state.waiting.discard(name)
        if namespace is None or not self._is_served(namespace):
            return Done()
        checked = self._checker.check(ces)
        if self._checker.outdated(ces) is not None or checked.pending or checked.problem:
            return Done()
        decision = self._decide(ces, name, selected=selects(ces, namespace))
        if decision.step in (ChildStep.NOTHING, ChildStep.WAIT, ChildStep.CONFLICT):
            state.failures.pop(name, None)
            return Done()
        # Surveys leave it alone until it is done: only the queue knows when it is tried again.
        state.waiting.add(name)
        if self._forbidden is not None and self._forbidden_until > _time():
            return self._forbidden_again()
        try:
            outcome = await self._take(ces, namespace, decision, state)
        except ApiRefusedError as error:
            outcome = self._refused(ces, name, error, state)
        if isinstance(outcome, Done):
            state.waiting.discard(name)
        self.survey_soon(ces.name)
        return outcome

    async def _take(
        self,
        ces: ClusterExternalSecret,
        namespace: Namespace,
        decision: ChildDecision,
        state: ClusterState,
    ) -> Outcome:
        """Do the next step; the watch delivers it, which enqueues the one after that."""
        try:
            await self._writer.take(ces, namespace, decision, state)
        except ChangedByOthersError as error:
            state.failures[namespace.name] = f"{Reason.WRITE_CONFLICT.value}: {error.message}"
            return RequeueAfter(error.again_after)
        except OwnerChangedError as error:
            _log.info("changed at the API server, nothing was done", error=error.message)
            return RequeueAfter(REFUSED_AGAIN_AFTER)
        except (AlreadyExistsError, OutdatedError):
            # The cache is about to have what was found.
            return Retry()
        except TransientError as error:
            _log.warning("child not written, will retry", error=error.message)
            return Retry(after=error.retry_after)
        self._forbidden = None
        state.failures.pop(namespace.name, None)
        return Done()

    def _refused(
        self,
        ces: ClusterExternalSecret,
        namespace: str,
        error: ApiRefusedError,
        state: ClusterState,
    ) -> Outcome:
        where = where_of(ces, namespace)
        if error.lacks_right:
            self._forbidden = Problem(
                Reason.WRITE_FORBIDDEN,
                f"RBAC does not allow this controller to write ExternalSecrets: {error.message}; "
                "install the component cluster-external-secrets",
            )
            self._forbidden_until = _time() + REFUSED_AGAIN_AFTER
            _log.warning("children may not be written", error=error.message)
            return self._forbidden_again()
        _log.warning("child refused", child=where, error=error.message)
        state.failures[namespace] = f"{Reason.WRITE_FAILED.value}: {error.message}"
        return RequeueAfter(REFUSED_AGAIN_AFTER)

    def _forbidden_again(self) -> Outcome:
        return RequeueAfter(max(self._forbidden_until - _time(), SURVEY_EVERY), Priority.LOW)

    # -- Both -----------------------------------------------------------------------------

    def survey_soon(self, name: str) -> None:
        """Have the state of an object reported again, within a second."""
        key = object_key("", name)
        if self._queue.is_in_flight(key):
            # What is delayed would be dropped when that one ends.
            self._queue.add(key, Priority.LOW)
        else:
            self._queue.add_after(key, SURVEY_EVERY, Priority.LOW)

    def _is_served(self, namespace: Namespace) -> bool:
        return namespace.name in self._scope and not namespace.deleting

    def _decide(
        self, ces: ClusterExternalSecret, namespace: str, *, selected: bool
    ) -> ChildDecision:
        keys = self._children.by_index(BY_CLUSTER_CONTROLLER, object_key(ces.uid, namespace))
        ours = [child for child in map(self._children.get, keys) if child is not None]
        return decide(
            ces,
            selected=selected,
            ours=ours,
            occupant=self._children.get(where_of(ces, namespace)),
        )


def _time() -> float:
    return asyncio.get_running_loop().time()
