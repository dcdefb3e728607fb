"""Publishes Events about transitions."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, Protocol

from secret_sync.kube import About
from secret_sync.resources import ExternalSecret, Reason
from secret_sync.resources.events import EventReason
from secret_sync.resources.external_secret import KIND
from secret_sync.resources.names import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secret_sync.controller.external_secret.desired import Overwritten
    from secret_sync.controller.problem import Problem
    from secret_sync.resources import Condition, SecretStore

#: Events of one transition that name an overwritten key; the condition has their number.
_OVERWRITTEN_REPORTED: Final = 10

_CONFLICTS: Final = frozenset({Reason.SECRET_CONFLICT, Reason.KEY_CONFLICT, Reason.WRITE_CONFLICT})


class Recorder(Protocol):
    """What Events are handed to; it never waits and never fails."""

    def record(
        self, about: About, type_: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Record an Event."""
        ...


class EventPublisher:
    """Publishes the Events of our kinds; only a transition is one.

    Args:
        recorder: Where they go.
    """

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
                    f"key {key!r} is written by entry {loser!r} and by entry {winner!r}; "
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
        conflict = problem.reason in _CONFLICTS
        reason = EventReason.CONFLICT if conflict else EventReason.SYNC_FAILED
        self._record(es, reason, f"{problem.reason.value}: {problem.message}", warning=True)

    def deleted(self, es: ExternalSecret, name: str, why: str) -> None:
        """Report that a Secret of ours was deleted."""
        self._record(es, EventReason.SECRET_DELETED, f"Secret {name} was deleted: {why}")

    def finalizer_removed(self, obj: ExternalSecret | SecretStore) -> None:
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

    def _record(
        self,
        obj: ExternalSecret | SecretStore,
        reason: EventReason,
        message: str,
        *,
        warning: bool = False,
    ) -> None:
        kind = KIND if isinstance(obj, ExternalSecret) else obj.kind
        about = About(API_VERSION, kind, obj.namespace, obj.name, obj.uid)
        self._recorder.record(about, "Warning" if warning else "Normal", reason.value, message)
