"""What wakes the control loops: from a change in the cluster to the objects it concerns.

The handlers are synchronous and tiny (S7); which objects a change concerns is read from the
indexes (S9).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from secret_sync.controller.admission import selects
from secret_sync.controller.ownership import merged_by
from secret_sync.controller.plan import stores_of
from secret_sync.controller.siblings import BY_TARGET, target_of, waiting
from secret_sync.kube import key_of
from secret_sync.queue import Priority
from secret_sync.resources import ForeignSecret, ManagedSecret, Reason
from secret_sync.resources.meta import object_key
from secret_sync.resources.secret import owner_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from secret_sync.controller.memory import Memories
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.kube import Change
    from secret_sync.queue import WorkQueue
    from secret_sync.resources import (
        ExternalSecret,
        Namespace,
        SecretMeta,
        SecretStore,
        ServiceAccount,
    )

#: Entries from which on the news of an object's sources are collected, and for how many seconds
#: for each entry.
_BATCHED_FROM: Final = 16
_BATCHED_FOR: Final = 0.0005

#: Names of the indexes.
BY_STORE: Final = "store"
BY_SECRET: Final = "secret"  # noqa: S105 (an index, not a password)
BY_SERVICE_ACCOUNT: Final = "service account"
BY_CLUSTER_SCOPE: Final = "cluster scope"


#: So many objects are enqueued at once; more of them in slices.
_TOGETHER: Final = 500
#: Seconds in which changes that concern more objects than that are one reason to enqueue them.
_GATHERED_FOR: Final = 0.05


@dataclass(frozen=True, slots=True)
class Stores:
    """One kind of store: what is known of it, and the queue of its control loop."""

    known: ReadOnlyStore[SecretStore]
    queue: WorkQueue[str]


class Triggers:
    """Handlers for the informers, and the ways sources and credentials wake objects."""

    def __init__(
        self,
        *,
        external_secrets: ReadOnlyStore[ExternalSecret],
        stores: Stores,
        cluster_stores: Stores,
        secrets: ReadOnlyStore[SecretMeta],
        object_queue: WorkQueue[str],
        memories: Memories,
    ) -> None:
        self._external_secrets = external_secrets
        self._stores = stores
        self._cluster_stores = cluster_stores
        self._secrets = secrets
        self._objects = object_queue
        self._memories = memories
        self._live = False
        # What changes with many users bring: a tenant may repeat such a change all the time.
        self._crowded: dict[str, bool] = {}
        self._gathered: dict[str, Priority] = {}

    def go_live(self) -> None:
        """Enqueue what changes from now on: this replica leads.

        Until then nothing is enqueued: a standby that did would keep the key of every object
        that it ever saw.
        """
        self._live = True

    async def enqueue_all(self) -> None:
        """Enqueue all that there is, once this replica leads."""
        for number, es in enumerate(list(self._external_secrets.values())):
            self._wake((key_of(es),), _priority(None, es))
            if number % _TOGETHER == 0:
                await asyncio.sleep(0)
        for kind in (self._stores, self._cluster_stores):
            for store in kind.known.values():
                kind.queue.add(key_of(store), Priority.HIGH)

    def external_secret_changed(self, change: Change[ExternalSecret]) -> None:
        """Whatever changed but the status is a reason to look (C5)."""
        old, new = change.old, change.new
        if not self._live or (old is not None and new is not None and old.revision == new.revision):
            return
        self._wake((change.key,), _priority(old, new))
        self._wake_kept_out(old, new)
        if old is not None and old.target.merge and not _merges_into(old, new):
            self._wake_waiting(change.key, old)

    def _wake_waiting(self, leaver: str, old: ExternalSecret) -> None:
        """Those that come after it may have the keys now that it has merged.

        The Secret does not change. Where it is not known to hold any, its next version wakes all.
        """
        (target,) = target_of(old)
        secret = self._secrets.get(target)
        held = merged_by(old, secret) if isinstance(secret, ManagedSecret) else frozenset()
        others = waiting(self._external_secrets, target, held)
        self._wake([key for key in others if key != leaver], Priority.HIGH)

    def store_changed(self, change: Change[SecretStore]) -> None:
        """A store concerns itself and everything that uses it."""
        old, new = change.old, change.new
        if not self._live or (old is not None and new is not None and old.revision == new.revision):
            return
        self._kind_of(change.key).queue.add(change.key, Priority.HIGH)
        self._wake(self._external_secrets.by_index(BY_STORE, change.key), Priority.HIGH)

    def secret_changed(self, change: Change[SecretMeta]) -> None:
        """A Secret concerns who writes it and who reads an AccessKey from it."""
        if not self._live:
            return
        old, new = change.old, change.new
        users = self._external_secrets.by_index(BY_TARGET, change.key)
        if new is None and old is not None:
            for key in users:
                self._memories.deleted(key, old.uid)
        settled = _is_settled(old, new)
        if len(users) <= _TOGETHER:
            self._enqueue_users(change.key, new, settled=settled)
        else:
            if not self._crowded:
                asyncio.get_running_loop().call_later(_GATHERED_FOR, self._enqueue_crowded)
            self._crowded[change.key] = settled and self._crowded.get(change.key, True)
        if owner_of(new) != owner_of(old):
            self._wake_former(new)
        self._wake_stores(BY_SECRET, change.key)

    def _enqueue_crowded(self) -> None:
        crowded, self._crowded = self._crowded, {}
        for secret, settled in crowded.items():
            self._enqueue_users(secret, self._secrets.get(secret), settled=settled)

    def _enqueue_users(self, key: str, secret: SecretMeta | None, *, settled: bool) -> None:
        """Enqueue those that write to a Secret, but for who wrote what is there now.

        Args:
            key: Of the Secret.
            secret: As it is now.
            settled: Whether those that were kept out of it still are.
        """
        concerned = []
        for user in self._external_secrets.by_index(BY_TARGET, key):
            if settled and _is_kept_out(self._external_secrets.get(user)):
                continue
            if secret is None or not self._memories.wrote(
                user, secret.uid, secret.resource_version
            ):
                concerned.append(user)
        self._wake(concerned, Priority.HIGH)

    def _wake_kept_out(self, old: ExternalSecret | None, new: ExternalSecret | None) -> None:
        """Those that were refused a Secret may have it now that its owner writes it no more.

        It may stay as it is (``Retain``), so that nothing else would tell.
        """
        if old is None or old.target.merge or _is_kept_out(old):
            return
        if new is not None and new.uid == old.uid and new.target == old.target:
            return
        others = self._external_secrets.by_index(BY_TARGET, target_of(old)[0])
        kept_out = (key for key in others if _is_kept_out(self._external_secrets.get(key)))
        self._wake(list(kept_out), Priority.HIGH)

    def _wake_former(self, secret: SecretMeta | None) -> None:
        """A Secret that its writer has left for another target concerns that one, too."""
        name, uid = owner_of(secret)
        if secret is None or not name:
            return
        key = object_key(secret.namespace, name)
        es = self._external_secrets.get(key)
        if es is not None and es.uid == uid and es.target.name != secret.name:
            self._wake((key,), Priority.LOW)

    def service_account_changed(self, change: Change[ServiceAccount]) -> None:
        """A ServiceAccount concerns the stores that act as it, if its role or grants changed."""
        old, new = change.old, change.new
        if self._live and (new is None or new.differs(old)):
            self._wake_stores(BY_SERVICE_ACCOUNT, change.key)

    def namespace_changed(self, change: Change[Namespace]) -> None:
        """The labels of a namespace concern its users of stores that select by label."""
        old, new = change.old, change.new
        if not self._live or (old is not None and new is not None and old.labels == new.labels):
            return
        concerned = [
            key
            for key in self._external_secrets.by_index(BY_CLUSTER_SCOPE, change.key)
            if self._selected_by_label(key)
        ]
        self._wake(concerned, Priority.HIGH)

    def everything_changed(self, namespace: str = "") -> None:
        """The region is known now, or the CRDs are others: everything may depend on it.

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
        self._wake([key_of(o) for o in objects if namespace in ("", o.namespace)], Priority.HIGH)

    def secrets_relisted(self) -> None:
        """A Secret of ours may have come and gone while nobody was watching."""
        for es in self._external_secrets.values():
            key = object_key(es.namespace, es.name)
            target = object_key(es.namespace, es.target.name)
            if self._memories.wrote_any(key) and self._secrets.get(target) is None:
                self._memories.doubt(key)
                self._wake((key,), Priority.HIGH)

    def sources_finished(self, users: Iterable[str], priority: Priority) -> None:
        """Sources brought news to these objects.

        A reconcile takes its time for each entry. Where there are many of them, what the sources
        of one object bring within ten times that is one reason to look.
        """
        for key in users:
            es = self._external_secrets.get(key)
            entries = len(es.entries) if es is not None else 0
            # A reconcile that is under way drops what is delayed when it ends well, and it may have
            # looked at the sources already.
            if entries <= _BATCHED_FROM or self._objects.is_in_flight(key):
                self._wake((key,), priority)
                continue
            self._memories.cause(key, asyncio.get_running_loop().time())
            self._objects.add_after(key, entries * _BATCHED_FOR, priority)

    def parsed(self, users: Iterable[str], priority: Priority) -> None:
        """The documents or expressions of these objects have been worked on."""
        self._wake(tuple(users), priority)

    def credentials_settled(self, store: str) -> None:
        """The credentials of a store are there, or their failure is."""
        self._kind_of(store).queue.add(store, Priority.HIGH)

    def _kind_of(self, store: str) -> Stores:
        """Only a SecretStore's key has a namespace before a slash."""
        return self._stores if "/" in store else self._cluster_stores

    def _wake_stores(self, index: str, value: str) -> None:
        for kind in (self._stores, self._cluster_stores):
            for store in kind.known.by_index(index, value):
                kind.queue.add(store, Priority.HIGH)
                self._wake(self._external_secrets.by_index(BY_STORE, store), Priority.HIGH)

    def _selected_by_label(self, key: str) -> bool:
        es = self._external_secrets.get(key)
        stores = stores_of(es) if es is not None else ()
        known = (self._cluster_stores.known.get(store) for store in stores if "/" not in store)
        return any(store is not None and selects(store) for store in known)

    def _wake(self, keys: Collection[str], priority: Priority) -> None:
        loop = asyncio.get_running_loop()
        if len(keys) > _TOGETHER:
            if not self._gathered:
                loop.call_later(_GATHERED_FOR, self._enqueue_gathered)
            for key in keys:
                self._gathered[key] = min(priority, self._gathered.get(key, priority))
            return
        now = loop.time()
        for key in keys:
            self._memories.cause(key, now)
            self._objects.add(key, priority)

    def _enqueue_gathered(self) -> None:
        """Enqueue a slice of what was gathered; the rest at the next turns of the event loop."""
        for key in list(islice(self._gathered, _TOGETHER)):
            self._wake((key,), self._gathered.pop(key))
        if self._gathered:
            asyncio.get_running_loop().call_soon(self._enqueue_gathered)


def _is_settled(old: SecretMeta | None, new: SecretMeta | None) -> bool:
    """Whether a Secret is as much another's as it was before."""
    return (
        isinstance(old, ManagedSecret)
        and isinstance(new, ManagedSecret)
        and (old.uid, old.owner, old.owner_is_ours, old.owner_uids, old.controller, old.deleting)
        == (new.uid, new.owner, new.owner_is_ours, new.owner_uids, new.controller, new.deleting)
    ) or (isinstance(old, ForeignSecret) and isinstance(new, ForeignSecret) and old.uid == new.uid)


def _merges_into(old: ExternalSecret, new: ExternalSecret | None) -> bool:
    """Whether an ExternalSecret still merges into the Secret into which it did."""
    return (
        new is not None
        and new.uid == old.uid
        and not new.deleting
        and new.target.merge
        and new.target.name == old.target.name
    )


def _is_kept_out(es: ExternalSecret | None) -> bool:
    """Whether an ExternalSecret says that its Secret is somebody else's."""
    ready = es.status.ready if es is not None else None
    return ready is not None and ready.reason == Reason.SECRET_CONFLICT


def _priority(old: ExternalSecret | None, new: ExternalSecret | None) -> Priority:
    """Objects that a restart finds in step can wait (Q10, Q12)."""
    return Priority.LOW if old is None and new is not None and new.in_step else Priority.HIGH
