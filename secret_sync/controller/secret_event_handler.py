"""Which ExternalSecrets a change of a Secret, or of who writes it, concerns.

A Secret may have thousands of users, and a tenant may change it all the time.
"""

from __future__ import annotations

import asyncio
from enum import Flag, auto
from operator import or_
from typing import TYPE_CHECKING, Final

from secret_sync.controller.secret_target.ownership import merged_by
from secret_sync.controller.secret_target.siblings import (
    BY_TARGET,
    BY_WAITING,
    is_merged,
    mergers_of,
    target_of,
    touched_shares,
    waiting,
)
from secret_sync.queue import Gathering, Priority
from secret_sync.resources import ForeignSecret, ManagedSecret, Reason
from secret_sync.resources.meta import object_key
from secret_sync.resources.secret import owner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable

    from secret_sync.controller.external_secret.state import SyncStateStore
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.kube import Change
    from secret_sync.queue import WorkQueue
    from secret_sync.resources import ExternalSecret, SecretMeta

#: So many objects are enqueued at once; more of them in slices.
TOGETHER: Final = 500
#: Seconds in which changes that concern more objects than that are one reason to enqueue them.
GATHERED_FOR: Final = 0.05


class _Users(Flag):
    """Whom a change of a Secret with many users concerns."""

    WRITERS = auto()
    """Those that write to it, but for who wrote what is there now, and for those refused."""
    UNSETTLED = auto()
    """Those of them who have not merged all their keys into it."""
    REFUSED = auto()
    """Those that were kept out of it."""
    WAITING = auto()
    """Those that may wait for keys of others that are merged into it."""


class SecretEventHandler:
    """Enqueues the ExternalSecrets that write to a Secret, or wait for it or for some of its keys.

    Args:
        external_secrets: The cache, with the indexes of `siblings`.
        secrets: The cache.
        queue: The work queue of ExternalSecrets.
        states: Knows who wrote which version of a Secret.
        enqueue: Adds keys to the queue, in slices if there are many.
    """

    def __init__(
        self,
        external_secrets: ReadOnlyStore[ExternalSecret],
        secrets: ReadOnlyStore[SecretMeta],
        queue: WorkQueue[str],
        states: SyncStateStore,
        enqueue: Callable[[Collection[str], Priority], None],
    ) -> None:
        self._external_secrets = external_secrets
        self._secrets = secrets
        self._objects = queue
        self._states = states
        self._enqueue = enqueue
        # Secrets with many users, of whom finding those concerned takes its time.
        self._crowded = Gathering(self._enqueue_crowded, merge=or_, seconds=GATHERED_FOR, at_once=1)

    def changed(self, change: Change[SecretMeta]) -> None:
        """Enqueue those of the users of a Secret that a change of it concerns."""
        old, new = change.old, change.new
        users = self._external_secrets.by_index(BY_TARGET, change.key)
        if new is None and old is not None:
            for key in users:
                self._states.deleted(key, old.uid)
        # As much another's as it was before.
        settled = old is not None and new is not None and _ownership(old) == _ownership(new)
        concerned = _Users.UNSETTLED if settled else _Users.WRITERS | _Users.REFUSED
        touched = touched_shares(old, new)
        if touched is None or len(touched) > TOGETHER:
            concerned |= _Users.WRITERS
        else:
            mergers = mergers_of(self._external_secrets, change.key, touched)
            self._enqueue_users(new, mergers, _Users.WRITERS)
        if len(users) <= TOGETHER:
            self._enqueue_users(new, users, concerned)
        else:
            self._crowded.add(change.key, concerned)
        if owner_of(new) != owner_of(old):
            self._enqueue_previous_owner(new)

    def relisted(self) -> None:
        """Enqueue what wrote a Secret that is missing in the new list."""
        for es in self._external_secrets.values():
            key = object_key(es.namespace, es.name)
            target = object_key(es.namespace, es.target.name)
            if self._states.wrote_any(key) and self._secrets.get(target) is None:
                self._states.invalidate(key)
                self._enqueue((key,), Priority.HIGH)

    def writer_changed(self, key: str, old: ExternalSecret, new: ExternalSecret | None) -> None:
        """Enqueue those who may have what an ExternalSecret no longer writes."""
        if not old.target.merge:
            self._enqueue_refused(key, old, new)
        elif not _merges_into(old, new):
            self._enqueue_waiting(key, old)

    def _enqueue_refused(self, key: str, old: ExternalSecret, new: ExternalSecret | None) -> None:
        """Enqueue those that were refused a Secret that its owner no longer writes.

        It may stay as it is (``Retain``), so that nothing else would enqueue them.
        """
        same = new is not None and new.uid == old.uid and new.target == old.target
        if same and new is not None and new.replaced_by == old.replaced_by:
            return
        if self._is_kept_out(key, old):
            return
        (target,) = target_of(old)
        if not self._is_crowded(BY_TARGET, target, _Users.REFUSED):
            self._enqueue_released(target)

    def _enqueue_waiting(self, leaver: str, old: ExternalSecret) -> None:
        """Enqueue those that come after it: they may have the keys that it merged.

        The Secret does not change. Where it is not known to hold any, its next version enqueues
        all.
        """
        (target,) = target_of(old)
        secret = self._secrets.get(target)
        held = merged_by(old, secret) if isinstance(secret, ManagedSecret) else frozenset()
        if not held or self._is_crowded(BY_WAITING, target, _Users.WAITING):
            return
        others = waiting(self._external_secrets, target, held)
        self._enqueue([key for key in others if key != leaver], Priority.HIGH)

    def _enqueue_users(
        self, secret: SecretMeta | None, users: Iterable[str], concerned: _Users
    ) -> None:
        """Enqueue those of the users of a Secret that a change of it concerns.

        Args:
            secret: As it is now.
            users: Their keys.
            concerned: Who is to be enqueued; never who wrote what is there now.
        """
        enqueued = []
        for user in users:
            es = self._external_secrets.get(user)
            if _Users.REFUSED not in concerned and self._is_kept_out(user, es):
                continue
            if _Users.WRITERS not in concerned and self._is_merged(user, es, secret):
                continue
            if secret is not None and self._objects.is_in_flight(user):
                self._look_again(user, secret)
            elif secret is None or not self._states.wrote(user, secret):
                enqueued.append(user)
        self._enqueue(enqueued, Priority.HIGH)

    def _is_crowded(self, index: str, secret: str, users: _Users) -> bool:
        """Return whether a Secret has so many users that those concerned are enqueued later."""
        known = self._crowded.get(secret)
        if known is not None and users in known:
            return True
        if len(self._external_secrets.by_index(index, secret)) <= TOGETHER:
            return False
        self._crowded.add(secret, users)
        return True

    def _enqueue_crowded(self, secret: str, users: _Users) -> None:
        if users & (_Users.WRITERS | _Users.UNSETTLED):
            writers = self._external_secrets.by_index(BY_TARGET, secret)
            self._enqueue_users(self._secrets.get(secret), writers, users)
        elif _Users.REFUSED in users:
            self._enqueue_released(secret)
        if _Users.WAITING in users:
            self._enqueue(self._external_secrets.by_index(BY_WAITING, secret), Priority.HIGH)

    def _enqueue_released(self, secret: str) -> None:
        others = self._external_secrets.by_index(BY_TARGET, secret)
        refused_keys = (key for key in others if _is_refused(self._external_secrets.get(key)))
        self._enqueue(list(refused_keys), Priority.HIGH)

    def _enqueue_previous_owner(self, secret: SecretMeta | None) -> None:
        """Enqueue the owner of a Secret that is no longer its target."""
        name, uid = owner_of(secret)
        if secret is None or not name:
            return
        key = object_key(secret.namespace, name)
        es = self._external_secrets.get(key)
        if es is not None and es.uid == uid and es.target.name != secret.name:
            self._enqueue((key,), Priority.LOW)

    def _look_again(self, user: str, secret: SecretMeta) -> None:
        """Enqueue a writer that is at work once it is done, unless it turns out to have caused it.

        The watch is often quicker than the reply to a write.
        """
        heard = asyncio.get_running_loop().time()

        def done() -> None:
            if not self._states.wrote(user, secret):
                self._states.mark_triggered(user, heard)
                self._objects.add(user, Priority.HIGH)

        self._objects.when_done(user, done)

    def _is_merged(self, key: str, es: ExternalSecret | None, secret: SecretMeta | None) -> bool:
        """Return whether a Secret holds all keys of an ExternalSecret.

        One whose latest status is still on its way may wait for another key by now.
        """
        return es is not None and is_merged(es, secret) and self._states.is_reported(key)

    def _is_kept_out(self, key: str, es: ExternalSecret | None) -> bool:
        """Return whether a Secret is not an ExternalSecret's own.

        One that has taken it over meanwhile may not have that in its status yet.
        """
        return _is_refused(es) and not self._states.wrote_any(key)


def _ownership(secret: SecretMeta) -> Hashable:
    """Return what decides whose Secret it is, and who may take it over."""
    if isinstance(secret, ForeignSecret):
        return secret.uid, secret.controlled
    return (
        secret.uid,
        secret.owner,
        secret.owner_is_ours,
        secret.owner_uids,
        secret.controller,
        secret.deleting,
        bool(secret.our_keys),
    )


def _merges_into(old: ExternalSecret, new: ExternalSecret | None) -> bool:
    """Return whether an ExternalSecret still merges into the Secret into which it did."""
    return (
        new is not None
        and new.uid == old.uid
        and not new.deleting
        and new.target.merge
        and new.target.name == old.target.name
    )


def _is_refused(es: ExternalSecret | None) -> bool:
    """Return whether an ExternalSecret reports that its Secret is not its own."""
    ready = es.status.ready if es is not None else None
    return ready is not None and ready.reason == Reason.SECRET_CONFLICT
