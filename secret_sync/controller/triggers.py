"""What wakes the control loops: from a change in the cluster to the objects it concerns.

The handlers are synchronous and tiny (S7); which objects a change concerns is read from the
indexes (S9).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from secret_sync.queue import Priority
from secret_sync.resources.meta import object_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secret_sync.controller.memory import Memories
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.kube import Change
    from secret_sync.queue import WorkQueue
    from secret_sync.resources import ExternalSecret, SecretMeta, SecretStore

#: Names of the indexes.
BY_STORE: Final = "store"
BY_SECRET: Final = "secret"  # noqa: S105 (an index, not a password)
BY_TARGET: Final = "target"


def target_of(es: ExternalSecret) -> tuple[str, ...]:
    """Index function: the key of the Secret an ExternalSecret writes (S9)."""
    return (object_key(es.namespace, es.target_name),)


class Triggers:
    """Handlers for the informers, and the ways sources and credentials wake objects."""

    def __init__(
        self,
        *,
        external_secrets: ReadOnlyStore[ExternalSecret],
        stores: ReadOnlyStore[SecretStore],
        secrets: ReadOnlyStore[SecretMeta],
        object_queue: WorkQueue[str],
        store_queue: WorkQueue[str],
        memories: Memories,
    ) -> None:
        self._external_secrets = external_secrets
        self._stores = stores
        self._secrets = secrets
        self._objects = object_queue
        self._store_queue = store_queue
        self._memories = memories
        self._live = False

    def go_live(self) -> None:
        """The initial lists are in: from now on other kinds wake ExternalSecrets, too.

        Until then each ExternalSecret is woken once, by its own arrival.
        """
        self._live = True

    def external_secret_changed(self, change: Change[ExternalSecret]) -> None:
        """Whatever changed but the status is a reason to look (C5)."""
        old, new = change.old, change.new
        if old is not None and new is not None and old.revision == new.revision:
            return
        self._wake((change.key,), _priority(old, new))

    def store_changed(self, change: Change[SecretStore]) -> None:
        """A store concerns itself and everything that uses it."""
        old, new = change.old, change.new
        if old is not None and new is not None and old.revision == new.revision:
            return
        self._store_queue.add(change.key, Priority.HIGH)
        if self._live:
            self._wake(self._external_secrets.by_index(BY_STORE, change.key), Priority.HIGH)

    def secret_changed(self, change: Change[SecretMeta]) -> None:
        """A Secret concerns who writes it and who reads an AccessKey from it."""
        if not self._live:
            return
        old, new = change.old, change.new
        for key in self._external_secrets.by_index(BY_TARGET, change.key):
            if new is None and old is not None:
                self._memories.deleted(key, old.uid)
            if new is None or not self._memories.wrote(key, new.uid, new.resource_version):
                self._wake((key,), Priority.HIGH)
        for store in self._stores.by_index(BY_SECRET, change.key):
            self._store_queue.add(store, Priority.HIGH)
            self._wake(self._external_secrets.by_index(BY_STORE, store), Priority.HIGH)

    def secrets_relisted(self) -> None:
        """A Secret of ours may have come and gone while nobody was watching."""
        for es in self._external_secrets.values():
            key = object_key(es.namespace, es.name)
            target = object_key(es.namespace, es.target_name)
            if self._memories.wrote_any(key) and self._secrets.get(target) is None:
                self._memories.doubt(key)
                self._wake((key,), Priority.HIGH)

    def sources_finished(self, users: Iterable[str], priority: Priority) -> None:
        """Sources brought news to these objects."""
        self._wake(users, priority)

    def credentials_settled(self, store: str) -> None:
        """The credentials of a store are there, or their failure is."""
        self._store_queue.add(store, Priority.HIGH)

    def _wake(self, keys: Iterable[str], priority: Priority) -> None:
        now = asyncio.get_running_loop().time()
        for key in keys:
            self._memories.cause(key, now)
            self._objects.add(key, priority)


def _priority(old: ExternalSecret | None, new: ExternalSecret | None) -> Priority:
    """Objects that a restart finds in step can wait (Q10, Q12)."""
    return Priority.LOW if old is None and new is not None and new.in_step else Priority.HIGH
