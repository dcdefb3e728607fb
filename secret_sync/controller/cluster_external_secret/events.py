"""What enqueues ClusterExternalSecrets: from a change in the cluster to the keys it concerns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.queue import Priority
from secret_sync.resources.external_secret import cluster_controller_of
from secret_sync.resources.meta import namespace_of, object_key

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.kube import Change
    from secret_sync.queue import WorkQueue
    from secret_sync.resources import ExternalSecret, Namespace
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret

#: Indexes of ClusterExternalSecrets.
BY_UID: Final = "uid"
BY_CHILD: Final = "child"


def uid_of(ces: ClusterExternalSecret) -> tuple[str, ...]:
    """Index a ClusterExternalSecret by its uid."""
    return (ces.uid,)


def child_name_of(ces: ClusterExternalSecret) -> tuple[str, ...]:
    """Index it by the name of its children."""
    return (ces.child_name,)


class ClusterEventHandlers:
    """Handlers of the informers; they run only while this replica leads.

    Args:
        objects: All ClusterExternalSecrets, with the two indexes.
        queue: Of their control loop.
        survey_soon: Has an object reported again, within a second.
    """

    def __init__(
        self,
        objects: ReadOnlyStore[ClusterExternalSecret],
        queue: WorkQueue[str],
        survey_soon: Callable[[str], None],
    ) -> None:
        self._objects = objects
        self._queue = queue
        self._survey_soon = survey_soon

    def object_changed(self, change: Change[ClusterExternalSecret]) -> None:
        """Enqueue an object, unless only its status changed."""
        old, new = change.old, change.new
        if old is None or new is None or old.revision != new.revision:
            self._queue.add(object_key("", change.key), Priority.HIGH)
        if old is not None and (new is None or new.child_name != old.child_name):
            # Another one may have the name now.
            others = self._objects.by_index(BY_CHILD, old.child_name)
            self._enqueue(name for name in others if name != change.key)

    def namespace_changed(self, change: Change[Namespace]) -> None:
        """Enqueue a namespace for each object."""
        old, new = change.old, change.new
        same = old is not None and new is not None and _seen(old) == _seen(new)
        if not same:
            for ces in self._objects.values():
                self._queue.add(object_key(change.key, ces.name), Priority.HIGH)
                self._survey_soon(ces.name)

    def external_secret_changed(self, change: Change[ExternalSecret]) -> None:
        """Enqueue the namespace of an ExternalSecret for the objects that may mind."""
        old, new = change.old, change.new
        if old is not None and new is not None and _state(old) == _state(new):
            return
        names: set[str] = set()
        for es in (old, new):
            if es is not None:
                names.update(self._objects.by_index(BY_CHILD, es.name))
                for owner in cluster_controller_of(es):
                    names.update(self._objects.by_index(BY_UID, namespace_of(owner)))
        namespace = namespace_of(change.key)
        urgent = old is not None and (new is None or _form(new) != _form(old))
        for name in names:
            key = object_key(namespace, name)
            self._queue.add(key, Priority.HIGH if urgent else Priority.LOW)
            self._survey_soon(name)

    def everything_changed(self) -> None:
        """Enqueue all objects: a CRD or the API server has changed."""
        self._enqueue(ces.name for ces in self._objects.values())

    def compiled(self, templates: Iterable[str]) -> None:
        """Enqueue the objects whose templates were checked."""
        self._enqueue(map(namespace_of, templates))

    def _enqueue(self, names: Iterable[str]) -> None:
        for name in names:
            self._queue.add(object_key("", name), Priority.HIGH)


def _seen(namespace: Namespace) -> Hashable:
    return namespace.uid, namespace.labels, namespace.deleting


def _form(es: ExternalSecret) -> Hashable:
    """Return what a step may follow from, but for whether it is Ready."""
    return es.uid, es.controller, es.applied, es.replaced_by, es.adopt, es.deleting


def _state(es: ExternalSecret) -> Hashable:
    ready = es.status.ready
    return _form(es), es.in_step, ready.reason if ready is not None else ""
