"""What is kept of each ExternalSecret between two reconciles."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from secret_sync.controller.object_state import ObjectState, ObjectStates
from secret_sync.controller.secret_target.ownership import controllers
from secret_sync.controller.sync import Changed
from secret_sync.resources import ExternalSecretStatus
from secret_sync.resources.secret import is_labelled_by_another

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.controller.external_secret.desired import (
        Clock,
        Overwritten,
    )
    from secret_sync.controller.external_secret.dry_run import DryRunResult
    from secret_sync.controller.external_secret.extraction import ExtractionError
    from secret_sync.controller.restart.pacing import RestartState
    from secret_sync.controller.secret_target.recreation import Carried
    from secret_sync.controller.secret_target.write_conflicts import RepairBudget
    from secret_sync.controller.sync import WriteResult
    from secret_sync.resources import SecretMeta

#: Changes of its templates that an object follows at once within so many seconds, and the seconds
#: that it waits with more: two objects may render each other.
TEMPLATE_CHANGES: Final = 10
_TEMPLATE_SECONDS: Final = 60.0
TEMPLATE_CHANGE_WAITS: Final = 30.0
#: A resource version that everything has reached, and nothing has.
_LOWEST: Final = "0"


@dataclass(frozen=True, slots=True)
class Applied:
    """What we wrote last.

    Attributes:
        fingerprint: Keyed digest of type, keys and values.
        resource_version: Of the Secret after the write; until the cache reaches it no drift
            is inferred.
        at: Loop time of the write.
        controller: Kind and name of another controller that the Secret had then, or ``""``.
        labelled: Whether another writer had set its label ``managed-by``.
    """

    fingerprint: bytes
    uid: str
    resource_version: str
    at: float
    controller: str = ""
    labelled: bool = False

    def invalidated(self) -> Applied:
        """Return what is still known of a Secret that may hold anything: that it is ours."""
        return replace(self, fingerprint=b"", resource_version=_LOWEST, at=float("-inf"))


@dataclass(frozen=True, slots=True)
class Extracted:
    """What became of the latest values of an object, without them.

    Attributes:
        digest: Of the values and what was to be made of them.
        fingerprint, keys, overwritten: As of the desired Secret.
        named, clock: As of the desired Secret, if it is rendered.
        error: Why they make none.
    """

    digest: bytes
    fingerprint: bytes = b""
    keys: frozenset[str] = frozenset()
    overwritten: tuple[Overwritten, ...] = ()
    named: frozenset[str] = frozenset()
    clock: Clock | None = None
    error: ExtractionError | None = None


@dataclass(slots=True)
class SyncState(ObjectState[ExternalSecretStatus]):
    """One ExternalSecret's.

    Attributes:
        uid: Of the ExternalSecret; another one under the same name starts again.
        target: The Secret that all this is about; another one starts again.
        merge: Whether keys are merged into it; a change of that starts again, too.
        written: Fingerprint of what we wrote last; outlives the Secret, since it is created
            again from the same values.
        forced: The value of the annotation force-sync that was answered last, or ``None``
            before the first check; kept for objects that are fetched once. The status has it
            for the next leader.
        repairs: Limits the writes that revert changes of another writer; made with the first one.
        shared: Keys that we merged and others own as well, each with their field managers.
        gone: Uid of the Secret of ours that was deleted last. That event may overtake
            the reply to the write that made it.
        carried: Metadata of others of a Secret of ours that is being recreated, until that is done.
        hidden: Whether the Secret may hold keys that nothing shows any more, until they are
            removed: anyone who applies as our field manager loses its entry to our next apply.
        triggered_at: Loop time of the oldest event that no reconcile has answered yet.
        extracted: What the latest values make, if they are extracted from documents.
        restored: Whether the API server went back in time since the last write: what that finds is
            not a change of another writer.
        waiting_since: Loop time at which sources were found pending, or ``None``.
        rendered_at: The time that a template was told when what it rendered was written last; 0: it
            is to be told the current one; ``None``: that of the last sync.
        template_changes: Loop times of the latest changes of its templates, those followed at once.
        asked_at: The time that a template was told that waits for hashes, and the digest of its
            inputs: with another time it may ask for others.
        looked_up: The generation whose ConfigMaps with templates were looked up; the watch tells of
            changes since.
        dry_run: In a dry run: what a run that writes would do.
        restart: Of an object that restarts workloads: what is kept of that.
    """

    uid: str = ""
    target: str = ""
    merge: bool = False
    applied: Applied | None = None
    written: bytes | None = None
    forced: str | None = None
    repairs: RepairBudget | None = None
    shared: tuple[tuple[str, tuple[str, ...]], ...] = ()
    gone: str = ""
    carried: Carried | None = None
    hidden: bool = False
    triggered_at: float | None = None
    waiting_since: float | None = None
    extracted: Extracted | None = None
    restored: bool = False
    rendered_at: int | None = None
    template_changes: tuple[float, ...] = ()
    asked_at: tuple[bytes, int] | None = None
    looked_up: int | None = None
    dry_run: DryRunResult | None = None
    restart: RestartState | None = None

    def delay_of_template_change(self, now: float) -> float:
        """Return the seconds that the object waits with a change of its templates.

        Args:
            now: Loop time of the change.
        """
        recent = tuple(at for at in self.template_changes if now - at < _TEMPLATE_SECONDS)
        if len(recent) >= TEMPLATE_CHANGES:
            return TEMPLATE_CHANGE_WAITS
        self.template_changes = (*recent, now)
        return 0.0

    def remember(self, fingerprint: bytes, reply: dict[str, Any]) -> None:
        """Remember a write that the API server has answered.

        Args:
            fingerprint: Of what was written.
            reply: The Secret's metadata after it, as ``{"metadata": {...}}``.
        """
        metadata = reply["metadata"]
        self.written = fingerprint
        self.restored = False
        if metadata["uid"] == self.gone:
            # Deleted before our own reply was read: nothing of it stands.
            return
        self.applied = Applied(
            fingerprint=fingerprint,
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            at=asyncio.get_running_loop().time(),
            controller=next(
                (f"{r['kind']} {r['name']}" for r in controllers(metadata) if r["uid"] != self.uid),
                "",
            ),
            labelled=is_labelled_by_another(metadata),
        )

    def set_clock(self, clock: Clock, result: WriteResult) -> bool:
        """Keep the time that a template was told; return whether it has to be told the current one.

        Args:
            clock: What it was told.
            result: What the write of what it rendered came to.
        """
        again = clock.provisional and isinstance(result, Changed)
        self.rendered_at = 0 if again else clock.now
        if again:
            self.drop_extracted()
        return again

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Group writes that make one change: unless all succeed, none of them counts."""
        try:
            yield
        except BaseException:
            if self.applied is not None:
                self.applied = self.applied.invalidated()
            raise

    def recheck_delay(self) -> float:
        """Return for how many seconds a Secret that was rechecked often is not rechecked."""
        if self.repairs is None:
            return 0.0
        return self.repairs.recheck_delay(asyncio.get_running_loop().time())

    def retarget(self, uid: str, target: str, *, merge: bool = False) -> bool:
        """Set the object and the target; return whether it is another object than before."""
        if self.uid != uid:
            self.renew(uid)
            self.target, self.merge = target, merge
            return True
        if (self.target, self.merge) != (target, merge):
            self.target, self.merge = target, merge
            self.applied = None
            self.written = None
            self.shared = ()
            self.repairs = None
            self.carried = None
            self.hidden = False
            self.rendered_at = 0
        return False

    def renew(self, uid: str) -> None:
        """Start again with an object that was deleted and created again."""
        self.uid = uid
        self.applied = None
        self.written = None
        self.forced = None
        self.shared = ()
        self.repairs = None
        self.gone = ""
        self.carried = None
        self.hidden = False
        self.waiting_since = None
        self.rendered_at = None
        self.asked_at = None
        self.looked_up = None
        self.finalizer_removals = ()
        self.extracted = None
        self.dry_run = None
        self.restart = None

    def drop_extracted(self) -> None:
        """Drop what the latest values make: nothing is fetched for now."""
        self.extracted = None
        self.asked_at = None


class SyncStateStore(ObjectStates[SyncState]):
    """The states of all ExternalSecrets, by key."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(SyncState)

    def mark_triggered(self, key: str, now: float) -> None:
        """Mark the time of an event; the oldest that no reconcile has answered counts."""
        state = self.of(key)
        if state.triggered_at is None:
            state.triggered_at = now

    def wrote(self, key: str, secret: SecretMeta) -> bool:
        """Return whether this version of a Secret is what we wrote last."""
        state = self._states.get(key)
        return (
            state is not None
            and state.applied is not None
            and state.applied.uid == secret.uid
            and state.applied.resource_version == secret.resource_version
        )

    def wrote_any(self, key: str) -> bool:
        """Return whether there should be a Secret that we wrote."""
        state = self._states.get(key)
        return state is not None and state.applied is not None

    def look_up_again(self, key: str) -> None:
        """Have the ConfigMaps with templates of an object looked up again."""
        state = self._states.get(key)
        if state is not None:
            state.looked_up = None

    def invalidate(self, key: str) -> None:
        """Invalidate what was applied: the Secret is missing in a list, gone or newer than it."""
        self.of(key).applied = None

    def mark_restored(self, key: str) -> None:
        """Distrust all that was written, answered or deleted: the API server went back in time."""
        super().mark_restored(key)
        state = self._states.get(key)
        if state is None:
            return
        if state.applied is not None:
            state.applied = state.applied.invalidated()
        state.forced = None
        state.gone = ""
        state.looked_up = None
        state.restored = True
        state.drop_extracted()

    def deleted(self, key: str, uid: str) -> None:
        """Note that a Secret is gone; if it was ours, there is nothing left to compare with."""
        state = self._states.get(key)
        if state is None:
            return
        state.gone = uid
        if state.applied is not None and state.applied.uid == uid:
            state.applied = None
