"""After etcd was restored from a backup: nothing that was written before counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from secret_sync.kube import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secret_sync.app.watched import Watched
    from secret_sync.controller.event_handlers import EventHandlers
    from secret_sync.controller.external_secret.document_processor import DocumentProcessor
    from secret_sync.controller.external_secret.planner import Planner
    from secret_sync.controller.external_secret.state import SyncStateStore
    from secret_sync.controller.object_state import ObjectStates
    from secret_sync.resources.meta import ObjectMeta


@dataclass(frozen=True, slots=True)
class Restored:
    """Forgets what was built on versions and generations that are given out a second time.

    The values of Alibaba Cloud stay cached, so everything is written again without a fetch. What
    compares versions anywhere else either asks the API server, which refuses a stale one, or is
    settled by the list that was read before this is called.
    """

    watched: Watched
    event_handlers: EventHandlers
    states: SyncStateStore
    planner: Planner
    processor: DocumentProcessor
    store_states: tuple[ObjectStates[Any], ObjectStates[Any]]

    def listen(self) -> None:
        """Have this called for each kind that anything is remembered of."""
        watched = self.watched
        for informer in (
            *(watched.external_secrets, watched.secrets),
            *(watched.secret_stores, watched.cluster_stores),
        ):
            informer.add_restore_handler(self.forget)

    def forget(self, namespace: str) -> None:
        """Forget it, and have everything reconciled.

        Args:
            namespace: Where the API server is known to have gone back; ``""`` everywhere.
        """
        watched = self.watched
        for key in _keys(watched.external_secrets.store.values(), namespace):
            self.states.mark_restored(key)
            # One generation may have had another text before.
            self.planner.forget(key)
            self.processor.cancel(key)
        kinds = (watched.secret_stores, watched.cluster_stores)
        for states, informer in zip(self.store_states, kinds, strict=True):
            for key in _keys(informer.store.values(), namespace):
                states.mark_restored(key)
        self.event_handlers.everything_changed(namespace)


def _keys(objects: Iterable[ObjectMeta], namespace: str) -> list[str]:
    return [key_of(obj) for obj in objects if namespace in ("", obj.namespace)]
