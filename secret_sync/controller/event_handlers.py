"""What enqueues objects: from a change in the cluster to the objects that it concerns.

The handlers are synchronous and tiny; which objects a change concerns is read from the indexes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
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
from secret_sync.controller.store.references import selects
from secret_sync.kube import key_of
from secret_sync.queue import Gathering, Priority
from secret_sync.resources import ForeignSecret, ManagedSecret, Reason
from secret_sync.resources.meta import object_key
from secret_sync.resources.secret import owner_of
from secret_sync.resources.secret_store import CLUSTER_KIND
from secret_sync.resources.template import CONFIG_MAP, SECRET, template_key

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable

    from secret_sync.controller.external_secret.state import SyncStateStore
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.kube import Change, Informer
    from secret_sync.queue import WorkQueue
    from secret_sync.resources import (
        ConfigMap,
        ExternalSecret,
        Namespace,
        SecretMeta,
        SecretStore,
        ServiceAccount,
    )

#: Entries from which on the changes of an object's sources are collected, and for how many seconds
#: for each entry.
_BATCHED_FROM: Final = 16
_BATCHED_FOR: Final = 0.0005

#: Names of the indexes.
BY_STORE: Final = "store"
BY_SECRET: Final = "secret"  # noqa: S105 (an index, not a password)
BY_SERVICE_ACCOUNT: Final = "service account"
BY_CLUSTER_SCOPE: Final = "cluster scope"
BY_TEMPLATE: Final = "template"


#: So many objects are enqueued at once; more of them in slices.
_TOGETHER: Final = 500
#: Seconds in which changes that concern more objects than that are one reason to enqueue them.
_GATHERED_FOR: Final = 0.05


def templates_of(es: ExternalSecret) -> tuple[str, ...]:
    """Index an ExternalSecret by the ConfigMaps and Secrets that hold its templates."""
    if es.template is None:
        return ()
    return tuple(template_key(kind, es.namespace, name) for kind, name in es.template.references)


@dataclass(frozen=True, slots=True)
class Stores:
    """One kind of store: what is known of it, and the queue of its control loop."""

    known: ReadOnlyStore[SecretStore]
    queue: WorkQueue[str]


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


class EventHandlers:
    """Handlers of the informers, of sources and of credentials."""

    def __init__(
        self,
        *,
        external_secrets: ReadOnlyStore[ExternalSecret],
        stores: Stores,
        cluster_stores: Stores,
        secrets: ReadOnlyStore[SecretMeta],
        config_maps: Informer[ConfigMap],
        object_queue: WorkQueue[str],
        states: SyncStateStore,
    ) -> None:
        self._external_secrets = external_secrets
        self._stores = stores
        self._cluster_stores = cluster_stores
        self._secrets = secrets
        self._config_maps = config_maps
        self._objects = object_queue
        self._states = states
        self._live = False
        # A tenant may repeat a change that concerns thousands all the time: what is to be enqueued,
        # and Secrets with many users, of whom finding those takes its time.
        self._gathered = Gathering(
            self._enqueue_one, merge=min, seconds=_GATHERED_FOR, at_once=_TOGETHER
        )
        self._crowded = Gathering(
            self._enqueue_crowded, merge=or_, seconds=_GATHERED_FOR, at_once=1
        )

    def enable(self) -> None:
        """Enqueue what changes from now on: this replica leads.

        Until then nothing is enqueued: a standby that did would keep the key of every object
        that it ever saw.
        """
        self._live = True

    async def enqueue_all(self) -> None:
        """Enqueue all that there is, once this replica leads."""
        for number, es in enumerate(list(self._external_secrets.values())):
            self._enqueue((key_of(es),), _priority(None, es))
            if number % _TOGETHER == 0:
                await asyncio.sleep(0)
        for kind in (self._stores, self._cluster_stores):
            for store in kind.known.values():
                kind.queue.add(key_of(store), Priority.HIGH)

    def external_secret_changed(self, change: Change[ExternalSecret]) -> None:
        """Enqueue an ExternalSecret, unless only its status changed."""
        old, new = change.old, change.new
        if old is not None and old.template is not None:
            self._forget_config_maps(old)
        if not self._live or (old is not None and new is not None and old.revision == new.revision):
            return
        self._enqueue((change.key,), _priority(old, new))
        self._enqueue_refused(old, new)
        if old is not None and old.target.merge and not _merges_into(old, new):
            self._enqueue_waiting(change.key, old)

    def _forget_config_maps(self, old: ExternalSecret) -> None:
        """Keep no ConfigMap to which nothing refers any more."""
        for key in templates_of(old):
            kind, _, name = key.partition("/")
            if kind == CONFIG_MAP and not self._external_secrets.by_index(BY_TEMPLATE, key):
                self._config_maps.forget(name)

    def config_map_changed(self, change: Change[ConfigMap]) -> None:
        """Enqueue the objects whose templates are in a ConfigMap."""
        if self._live:
            self._enqueue_rendered(CONFIG_MAP, change.key)

    def _enqueue_rendered(self, kind: str, key: str) -> None:
        users = self._external_secrets.by_index(BY_TEMPLATE, f"{kind}/{key}")
        if users:
            self._enqueue(users, Priority.HIGH)

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

    def store_changed(self, change: Change[SecretStore]) -> None:
        """Enqueue a store and everything that uses it."""
        old, new = change.old, change.new
        if not self._live or (old is not None and new is not None and old.revision == new.revision):
            return
        store = new or old
        if store is not None:
            self._stores_of(store.kind).queue.add(change.key, Priority.HIGH)
        self._enqueue(self._external_secrets.by_index(BY_STORE, change.key), Priority.HIGH)

    def secret_changed(self, change: Change[SecretMeta]) -> None:
        """Enqueue the writers of a Secret, and the stores that read an AccessKey from it."""
        if not self._live:
            return
        old, new = change.old, change.new
        users = self._external_secrets.by_index(BY_TARGET, change.key)
        if new is None and old is not None:
            for key in users:
                self._states.deleted(key, old.uid)
        concerned = _Users.UNSETTLED if _is_settled(old, new) else _Users.WRITERS | _Users.REFUSED
        touched = touched_shares(old, new)
        if touched is None or len(touched) > _TOGETHER:
            concerned |= _Users.WRITERS
        else:
            mergers = mergers_of(self._external_secrets, change.key, touched)
            self._enqueue_users(new, mergers, _Users.WRITERS)
        if len(users) <= _TOGETHER:
            self._enqueue_users(new, users, concerned)
        else:
            self._crowded.add(change.key, concerned)
        if owner_of(new) != owner_of(old):
            self._enqueue_previous_owner(new)
        self._enqueue_stores(BY_SECRET, change.key)
        self._enqueue_rendered(SECRET, change.key)

    def _is_crowded(self, index: str, secret: str, users: _Users) -> bool:
        """Return whether a Secret has so many users that those concerned are enqueued later."""
        known = self._crowded.get(secret)
        if known is not None and users in known:
            return True
        if len(self._external_secrets.by_index(index, secret)) <= _TOGETHER:
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
            elif secret is None or not self._wrote(user, secret):
                enqueued.append(user)
        self._enqueue(enqueued, Priority.HIGH)

    def _is_merged(self, key: str, es: ExternalSecret | None, secret: SecretMeta | None) -> bool:
        """Return whether a Secret holds all keys of an ExternalSecret.

        One whose latest status is still on its way may wait for another key by now.
        """
        return es is not None and is_merged(es, secret) and self._states.is_reported(key)

    def _look_again(self, user: str, secret: SecretMeta) -> None:
        """Enqueue a writer that is at work once it is done, unless it turns out to have caused it.

        The watch is often quicker than the reply to a write.
        """
        heard = asyncio.get_running_loop().time()

        def done() -> None:
            if not self._wrote(user, secret):
                self._states.mark_triggered(user, heard)
                self._objects.add(user, Priority.HIGH)

        self._objects.when_done(user, done)

    def _wrote(self, user: str, secret: SecretMeta) -> bool:
        return self._states.wrote(user, secret.uid, secret.resource_version)

    def _enqueue_refused(self, old: ExternalSecret | None, new: ExternalSecret | None) -> None:
        """Enqueue those that were refused a Secret that its owner no longer writes.

        It may stay as it is (``Retain``), so that nothing else would enqueue them.
        """
        if old is None or old.target.merge:
            return
        if new is not None and new.uid == old.uid and new.target == old.target:
            return
        (target,) = target_of(old)
        if self._is_kept_out(object_key(old.namespace, old.name), old):
            return
        if not self._is_crowded(BY_TARGET, target, _Users.REFUSED):
            self._enqueue_released(target)

    def _enqueue_released(self, secret: str) -> None:
        others = self._external_secrets.by_index(BY_TARGET, secret)
        refused_keys = (key for key in others if _is_refused(self._external_secrets.get(key)))
        self._enqueue(list(refused_keys), Priority.HIGH)

    def _is_kept_out(self, key: str, es: ExternalSecret | None) -> bool:
        """Return whether a Secret is not an ExternalSecret's own.

        One that has taken it over meanwhile may not have that in its status yet.
        """
        return _is_refused(es) and not self._states.wrote_any(key)

    def _enqueue_previous_owner(self, secret: SecretMeta | None) -> None:
        """Enqueue the owner of a Secret that is no longer its target."""
        name, uid = owner_of(secret)
        if secret is None or not name:
            return
        key = object_key(secret.namespace, name)
        es = self._external_secrets.get(key)
        if es is not None and es.uid == uid and es.target.name != secret.name:
            self._enqueue((key,), Priority.LOW)

    def service_account_changed(self, change: Change[ServiceAccount]) -> None:
        """Enqueue the stores that act as a ServiceAccount, if its role or grants changed."""
        old, new = change.old, change.new
        if self._live and (new is None or new.differs(old)):
            self._enqueue_stores(BY_SERVICE_ACCOUNT, change.key)

    def namespace_changed(self, change: Change[Namespace]) -> None:
        """Enqueue the users of stores that select namespaces by label."""
        old, new = change.old, change.new
        if not self._live or (old is not None and new is not None and old.labels == new.labels):
            return
        concerned = [
            key
            for key in self._external_secrets.by_index(BY_CLUSTER_SCOPE, change.key)
            if self._selected_by_label(key)
        ]
        self._enqueue(concerned, Priority.HIGH)

    def everything_changed(self, namespace: str = "") -> None:
        """Enqueue everything: the region is known now, or the CRDs have changed.

        Args:
            namespace: Where that is so; ``""`` everywhere.
        """
        if not self._live:
            return
        for kind in (self._stores, self._cluster_stores):
            for store in kind.known.values():
                if namespace in ("", store.namespace):
                    kind.queue.add(key_of(store), Priority.HIGH)
        objects = self._external_secrets.values()
        self._enqueue([key_of(o) for o in objects if namespace in ("", o.namespace)], Priority.HIGH)

    def secrets_relisted(self) -> None:
        """Enqueue what wrote a Secret that is missing in the new list."""
        for es in self._external_secrets.values():
            key = object_key(es.namespace, es.name)
            target = object_key(es.namespace, es.target.name)
            if self._states.wrote_any(key) and self._secrets.get(target) is None:
                self._states.invalidate(key)
                self._enqueue((key,), Priority.HIGH)

    def sources_finished(self, users: Iterable[str], priority: Priority) -> None:
        """Enqueue objects whose sources have changed.

        A reconcile takes its time for each entry. Where there are many of them, what the sources
        of one object bring within ten times that is one reason to reconcile.
        """
        for key in users:
            es = self._external_secrets.get(key)
            entries = len(es.entries) if es is not None else 0
            # A reconcile that is under way drops what is delayed when it ends well, and it may have
            # read the sources already.
            if entries <= _BATCHED_FROM or self._objects.is_in_flight(key):
                self._enqueue((key,), priority)
                continue
            self._states.mark_triggered(key, asyncio.get_running_loop().time())
            self._objects.add_after(key, entries * _BATCHED_FOR, priority)

    def parsed(self, users: Iterable[str], priority: Priority) -> None:
        """Enqueue objects whose documents were parsed or whose expressions were compiled."""
        self._enqueue(tuple(users), priority)

    def credentials_settled(self, kind: str, key: str) -> None:
        """Enqueue a store whose credentials were obtained, or could not be.

        Args:
            kind: ``SecretStore`` or ``ClusterSecretStore``.
            key: Its key in the informer of that kind.
        """
        self._stores_of(kind).queue.add(key, Priority.HIGH)

    def _stores_of(self, kind: str) -> Stores:
        return self._cluster_stores if kind == CLUSTER_KIND else self._stores

    def _enqueue_stores(self, index: str, value: str) -> None:
        for kind in (self._stores, self._cluster_stores):
            for store in kind.known.by_index(index, value):
                kind.queue.add(store, Priority.HIGH)
                self._enqueue(self._external_secrets.by_index(BY_STORE, store), Priority.HIGH)

    def _selected_by_label(self, key: str) -> bool:
        es = self._external_secrets.get(key)
        refs = {entry.store for entry in es.entries} if es is not None else ()
        names = (ref.name for ref in refs if ref is not None and ref.kind == CLUSTER_KIND)
        known = map(self._cluster_stores.known.get, names)
        return any(store is not None and selects(store) for store in known)

    def _enqueue(self, keys: Collection[str], priority: Priority) -> None:
        enqueue = self._gathered.add if len(keys) > _TOGETHER else self._enqueue_one
        for key in keys:
            enqueue(key, priority)

    def _enqueue_one(self, key: str, priority: Priority) -> None:
        self._states.mark_triggered(key, asyncio.get_running_loop().time())
        self._objects.add(key, priority)


def _is_settled(old: SecretMeta | None, new: SecretMeta | None) -> bool:
    """Return whether a Secret is as much another's as it was before."""
    return old is not None and new is not None and _ownership(old) == _ownership(new)


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


def _priority(old: ExternalSecret | None, new: ExternalSecret | None) -> Priority:
    """Return the priority of a change: objects that a restart finds in sync can wait."""
    return Priority.LOW if old is None and new is not None and new.in_step else Priority.HIGH
