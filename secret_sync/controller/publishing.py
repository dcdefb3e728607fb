"""Publishes what a reconcile comes to: statuses, only where they have changed, and Events."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Protocol

import structlog

from secret_sync.controller.object_state import StatusIntent, WrittenStatus
from secret_sync.controller.view import CATCH_UP
from secret_sync.kube import (
    About,
    ApiNotFoundError,
    ApiRefusedError,
    ApiUnavailableError,
    OutdatedError,
)
from secret_sync.queue import Done, Priority, RequeueAfter, Retry
from secret_sync.resources import ExternalSecret, Reason
from secret_sync.resources.events import EventReason
from secret_sync.resources.external_secret import KIND
from secret_sync.resources.meta import StatusT, reached
from secret_sync.resources.names import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from secret_sync.controller.crd_schema import Schemas
    from secret_sync.controller.external_secret.desired import Overwritten
    from secret_sync.controller.object_state import ObjectState, ObjectStates
    from secret_sync.controller.sync import Problem
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.kube import ApplyWriter, Change, Resource
    from secret_sync.queue import Outcome, WorkQueue
    from secret_sync.resources import Condition, SecretStore
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret
    from secret_sync.resources.meta import CustomObject

#: Seconds after which successes have their share beside failures, which go first: one tenant's
#: thousands of failures do not keep back another one's success.
STATUS_AGING: Final = 0.25

_log = structlog.get_logger(__name__)

_CONFLICT: Final = 409
#: A status that the API server refuses for good is tried again this often (seconds).
REFUSED_AGAIN_AFTER: Final = 60.0


class StatusWriter(Generic[StatusT]):
    """Writes the statuses of one kind, beside the work that they report.

    Writing is work of its own, with a queue of its own: a Secret that waits to be written is
    worth more than the status of another one that was, and of several statuses of one object
    only the last is written. Failures go first.

    Args:
        writer: Applies as our field manager.
        resource: The kind.
        queue: Of the keys with something to say; its handler is :meth:`write`, which its control
            loop calls no earlier than the API server asked for.
        schemas: Which fields the installed CRD has.
        objects: Of that kind, as the informer has them now.
        states: Of these objects: what is to be written is kept there, and goes with the object.
    """

    def __init__(
        self,
        writer: ApplyWriter,
        resource: Resource,
        queue: WorkQueue[str],
        schemas: Schemas,
        objects: ReadOnlyStore[CustomObject[StatusT]],
        states: ObjectStates[ObjectState[StatusT]],
    ) -> None:
        self._writer = writer
        self._resource = resource
        self._queue = queue
        self._schemas = schemas
        self._objects = objects
        self._states = states

    def known(self, key: str, obj: CustomObject[StatusT]) -> StatusT:
        """Return the status that a user reads now, or will in a moment."""
        held = self._objects.get(key)
        if held is not None and held.uid == obj.uid:
            # A reconcile has its copy from before its writes; another status may be there by now.
            obj = held
        state = self._states.find(key)
        if state is None:
            return obj.status
        intent, written = state.status_intent, state.status_written
        if intent is not None:
            if intent.uid == obj.uid:
                return intent.status
            # It was about another object of that name.
            state.status_intent = None
        if written is None:
            return obj.status
        if written.intent.uid != obj.uid or not _ahead(written, obj.resource_version):
            state.status_written = None
            return obj.status
        return written.intent.status

    def put(self, key: str, obj: CustomObject[StatusT], status: StatusT) -> bool:
        """Set the object's status, unless it is set already; return whether it has changed."""
        known = self.known(key, obj)
        changed = status != known and (
            # As far as the installed CRD can hold them.
            not self._schemas.missing or self._storable(status) != self._storable(known)
        )
        state = self._states.of(key)
        if changed:
            state.status_intent = StatusIntent(obj.namespace, obj.name, obj.uid, status)
        if state.status_intent is not None:
            # Also one that waits for its next try: there is work for its object.
            bad = status.ready is not None and status.ready.status == "False"
            self._queue.add(key, Priority.HIGH if bad else Priority.MIDDLE)
        return changed

    async def keep(self, key: str) -> Outcome:
        """Write nothing: the handler of the queue in a dry run, in which statuses stay here."""
        del key
        return Done()

    async def write(self, key: str) -> Outcome:
        """Write the status of an object, unless that is forgotten; the handler of the queue."""
        state = self._states.find(key)
        intent = state.status_intent if state is not None else None
        if state is None or intent is None:
            return Done()
        try:
            reply = await self._writer.status(
                self._resource,
                intent.namespace,
                intent.name,
                intent.uid,
                self._storable(intent.status),
            )
        except ApiUnavailableError as error:
            _log.warning("status not written, will retry", error=error.message)
            return Retry(after=error.retry_after)
        except (ApiNotFoundError, OutdatedError) as error:
            if error.status == _CONFLICT:
                # Others write to the object all the time; or it is a new one of that name, and
                # that event drops what was to be reported of the old one.
                return Retry()
            # Deleted meanwhile; that event is on the way.
        except ApiRefusedError as error:
            _log.warning("status refused", error=error.message)
            return RequeueAfter(REFUSED_AGAIN_AFTER)
        else:
            version = reply["metadata"]["resourceVersion"]
            now = asyncio.get_running_loop().time()
            state.status_written = WrittenStatus(intent, version, now)
        # Another one may have been put meanwhile; its key is queued again.
        if state.status_intent is intent:
            state.status_intent = None
        return Done()

    def seen(self, change: Change[Any]) -> None:
        """Forget a status that the watch has delivered; an informer's handler."""
        if change.new is not None:
            self.known(change.key, change.new)

    def _storable(self, status: StatusT) -> dict[str, Any]:
        return self._schemas.storable(self._resource, status.to_dict())


def _ahead(written: WrittenStatus[Any], cached: str) -> bool:
    """Return whether the informer's copy is older than what was written."""
    behind = not reached(cached, written.resource_version)
    return behind and asyncio.get_running_loop().time() - written.at < CATCH_UP


#: Events of one transition that name an overwritten key; the condition has their number.
_OVERWRITTEN_REPORTED: Final = 10

CONFLICTS: Final = frozenset({Reason.SECRET_CONFLICT, Reason.KEY_CONFLICT, Reason.WRITE_CONFLICT})


def _writer(name: str) -> str:
    """Return how an Event calls what writes a key: a template, or the ``key`` of an entry."""
    return name if name.startswith("target.template.") else f"entry {name!r}"


class Recorder(Protocol):
    """What Events are handed to; it never waits and never fails."""

    def record(
        self, about: About, type_: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Record an Event."""
        ...


#: What a new object may lack only because it was applied before it, and for how many seconds.
_ARRIVING: Final = frozenset(
    {
        *(Reason.STORE_NOT_FOUND, Reason.ACCESS_KEY_NOT_FOUND),
        *(Reason.SERVICE_ACCOUNT_NOT_FOUND, Reason.TARGET_MISSING),
    }
)
ARRIVES_WITHIN: Final = 2.0


def publish_problem(
    state: ObjectState[Any],
    before: Condition | None,
    problem: Problem,
    publish: Callable[[], None],
    stands: Callable[[], bool],
) -> None:
    """Publish a problem, or once it has stood for two seconds if what is missing may arrive.

    An apply sends its objects one by one: what the next one brings is nothing to warn of.

    Args:
        state: Of the object.
        before: The condition before.
        problem: What is wrong.
        publish: Publishes it.
        stands: Whether it is still what is wrong.
    """
    loop = asyncio.get_running_loop()
    if before is None:
        state.arriving_until = loop.time() + ARRIVES_WITHIN
    left = state.arriving_until - loop.time()
    if problem.reason not in _ARRIVING or left <= 0:
        publish()
        return
    loop.call_later(left, lambda: publish() if stands() else None)


class NoEvents:
    """A recorder that records nothing: a dry run reports in its log."""

    def record(
        self, about: About, type_: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Record nothing."""


class EventPublisher:
    """Publishes the Events of our kinds; only a transition is one."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def synced(
        self,
        es: ExternalSecret,
        before: Condition | None,
        now: Condition,
        *,
        changed: bool,
        overwritten: Iterable[Overwritten] = (),
    ) -> None:
        """Report that an ExternalSecret is in sync.

        Args:
            es: The object.
            before: What its condition was.
            now: What it is.
            changed: Whether the Secret was changed for that.
            overwritten: Keys that two entries write.
        """
        new = before is None or before.status != "True" or now.message != before.message
        if new:
            self._record(es, EventReason.SYNCED, now.message)
            for key, loser, winner in islice(overwritten, _OVERWRITTEN_REPORTED):
                self._record(
                    es,
                    EventReason.KEY_OVERWRITTEN,
                    f"key {key!r} is written by {_writer(loser)} and by {_writer(winner)}; "
                    "the later one wins",
                    warning=True,
                )
        elif changed:
            self._record(es, EventReason.UPDATED, f"Secret {es.target.name} was updated")

    def failed(
        self, es: ExternalSecret, before: Condition | None, now: Condition, problem: Problem
    ) -> None:
        """Report that an ExternalSecret is not in sync."""
        if now is before:
            return
        conflict = problem.reason in CONFLICTS
        reason = EventReason.CONFLICT if conflict else EventReason.SYNC_FAILED
        self._record(es, reason, f"{problem.reason.value}: {problem.message}", warning=True)

    def restarted(self, es: ExternalSecret, workload: str) -> None:
        """Report that a workload restarts for new data of an ExternalSecret."""
        message = f"{workload} restarts for new data of Secret {es.target.name}"
        self._record(es, EventReason.RESTARTED, message)

    def not_restarted(self, es: ExternalSecret, problem: Problem) -> None:
        """Report that a workload does not restart."""
        message = f"{problem.reason.value}: {problem.message}"
        self._record(es, EventReason.RESTART_FAILED, message, warning=True)

    def deleted(self, es: ExternalSecret, name: str, why: str) -> None:
        """Report that a Secret of ours was deleted."""
        self._record(es, EventReason.SECRET_DELETED, f"Secret {name} was deleted: {why}")

    def finalizer_removed(self, obj: ExternalSecret | SecretStore | ClusterExternalSecret) -> None:
        """Report that the finalizer of ack-secret-manager was removed."""
        self._record(
            obj, EventReason.FINALIZER_REMOVED, "the finalizer of ack-secret-manager was removed"
        )

    def store_reported(
        self, store: SecretStore, before: Condition | None, now: Condition, problem: Problem | None
    ) -> None:
        """Report a transition of a store's condition."""
        if problem is None:
            if before is None or before.status != "True":
                self._record(store, EventReason.STORE_READY, now.message)
        elif now is not before:
            self._record(
                store,
                EventReason.STORE_NOT_READY,
                f"{problem.reason.value}: {problem.message}",
                warning=True,
            )

    def cluster_reported(
        self,
        ces: ClusterExternalSecret,
        before: Condition | None,
        now: Condition,
        problem: Problem | None,
    ) -> None:
        """Report a transition of a ClusterExternalSecret's condition; progress is none."""
        if before is not None and (before.status, before.reason) == (now.status, now.reason):
            return
        if problem is None:
            self._record(ces, EventReason.PROVISIONED, now.message)
        elif problem.reason is not Reason.PENDING:
            message = f"{problem.reason.value}: {problem.message}"
            self._record(ces, EventReason.NOT_PROVISIONED, message, warning=True)

    def deletion_waits(self, ces: ClusterExternalSecret, why: str) -> None:
        """Report that a ClusterExternalSecret cannot be deleted yet."""
        message = (
            f"{Reason.WRITE_FAILED.value}: its deletion waits for the finalizer of "
            f"ack-secret-manager, which could not be removed: {why}"
        )
        self._record(ces, EventReason.NOT_PROVISIONED, message, warning=True)

    def _record(
        self,
        obj: ExternalSecret | SecretStore | ClusterExternalSecret,
        reason: EventReason,
        message: str,
        *,
        warning: bool = False,
    ) -> None:
        kind = KIND if isinstance(obj, ExternalSecret) else obj.kind
        about = About(API_VERSION, kind, obj.namespace, obj.name, obj.uid)
        self._recorder.record(about, "Warning" if warning else "Normal", reason.value, message)
