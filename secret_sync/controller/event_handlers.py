"""What enqueues objects: from a change in the cluster to the objects that it concerns.

The handlers are synchronous and tiny; which objects a change concerns is read from the indexes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secret_sync.clock import loop_time
from secret_sync.controller.secret_event_handler import GATHERED_FOR, TOGETHER, SecretEventHandler
from secret_sync.controller.store.references import selects
from secret_sync.kube import key_of
from secret_sync.queue import Gathering, Priority
from secret_sync.resources.secret_store import CLUSTER_KIND
from secret_sync.resources.template import CONFIG_MAP, SECRET, template_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

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
        self._config_maps = config_maps
        self._objects = object_queue
        self._states = states
        self._live = False
        # A tenant may repeat a change that concerns thousands all the time.
        self._gathered = Gathering(
            self._enqueue_one, merge=min, seconds=GATHERED_FOR, at_once=TOGETHER
        )
        self._secret_events = SecretEventHandler(
            external_secrets, secrets, object_queue, states, self._enqueue
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
            self._enqueue((key_of(es),), priority_of(None, es))
            if number % TOGETHER == 0:
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
        self._enqueue((change.key,), priority_of(old, new))
        if old is not None:
            self._secret_events.writer_changed(change.key, old, new)

    def _forget_config_maps(self, old: ExternalSecret) -> None:
        """Keep no ConfigMap to which nothing refers any more."""
        for key in templates_of(old):
            kind, _, name = key.partition("/")
            if kind == CONFIG_MAP and not self._external_secrets.by_index(BY_TEMPLATE, key):
                self._config_maps.forget(name)

    def config_map_changed(self, change: Change[ConfigMap]) -> None:
        """Enqueue the objects whose templates are in a ConfigMap."""
        if change.new is None:
            # It may be there: a list that began before something referred to it omits it.
            for user in self._external_secrets.by_index(BY_TEMPLATE, f"{CONFIG_MAP}/{change.key}"):
                self._states.look_up_again(user)
        if self._live:
            self._enqueue_rendered(CONFIG_MAP, change.key)

    def _enqueue_rendered(self, kind: str, key: str) -> None:
        now = loop_time()
        at_once = []
        for user in self._external_secrets.by_index(BY_TEMPLATE, f"{kind}/{key}"):
            state = self._states.find(user)
            delay = 0.0 if state is None else state.delay_of_template_change(now)
            if delay:
                self._objects.add_after(user, delay, Priority.LOW)
            else:
                at_once.append(user)
        if at_once:
            self._enqueue(at_once, Priority.HIGH)

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
        if self._live:
            self._secret_events.changed(change)
            self._enqueue_stores(BY_SECRET, change.key)
            self._enqueue_rendered(SECRET, change.key)

    def secrets_relisted(self) -> None:
        """Enqueue what wrote a Secret that is missing in the new list."""
        self._secret_events.relisted()

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

    def sources_finished(self, users: Iterable[str], priority: Priority) -> None:
        """Enqueue objects whose sources have changed.

        A reconcile takes its time for each entry. Where there are many of them, what the sources
        of one object bring within ten times that is one reason to reconcile.
        """
        for key in users:
            es = self._external_secrets.get(key)
            entries = len(es.entries) if es is not None else 0
            # Thousands of children may share a source; an ordinary object goes first.
            urgency = Priority.LOW if es is not None and _is_child(es) else priority
            # A reconcile that is under way drops what is delayed when it ends well, and it may have
            # read the sources already.
            if entries <= _BATCHED_FROM or self._objects.is_in_flight(key):
                self._enqueue((key,), urgency)
                continue
            self._states.mark_triggered(key, asyncio.get_running_loop().time())
            self._objects.add_after(key, entries * _BATCHED_FOR, urgency)

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
        enqueue = self._gathered.add if len(keys) > TOGETHER else self._enqueue_one
        for key in keys:
            enqueue(key, priority)

    def _enqueue_one(self, key: str, priority: Priority) -> None:
        self._states.mark_triggered(key, asyncio.get_running_loop().time())
        self._objects.add(key, priority)


def priority_of(old: ExternalSecret | None, new: ExternalSecret | None) -> Priority:
    """Return the priority of a change.

    Objects that a restart finds in sync can wait, and so can the children of a
    ClusterExternalSecret: all of them come and change at once.
    """
    waits = new is not None and (_is_child(new) or (old is None and new.in_step))
    return Priority.LOW if waits else Priority.HIGH


def _is_child(es: ExternalSecret) -> bool:
    return es.controller is not None and es.controller.is_cluster
