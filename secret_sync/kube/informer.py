"""The shared informer: one store, its reflectors, and everyone who wants to know."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

import structlog

from secret_sync.errors import TransientError
from secret_sync.kube.answers import check_object
from secret_sync.kube.reflector import Reflector
from secret_sync.kube.store import Store, key_of
from secret_sync.resources.meta import ObjectMeta, is_older, order_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from secret_sync.kube.client import KubeClient
    from secret_sync.kube.observe import ReflectorObserver
    from secret_sync.kube.resource import Resource

_log = structlog.get_logger(__name__)

T = TypeVar("T", bound=ObjectMeta)

#: Seconds within which the initial lists have to be in.
SYNC_WITHIN: Final = 120.0


class Change(NamedTuple, Generic[T]):
    """A change of an object; a deletion has its last known state in ``old``."""

    key: str
    old: T | None
    new: T | None


@dataclass(frozen=True, slots=True)
class WatchedNamespaces:
    """Which namespaces an informer watches.

    Attributes:
        only: One reflector for each; empty for one of all.
        excluded: Those whose objects are omitted.
        optional: Those that :meth:`Informer.wait_synced` does not wait for.
    """

    only: Sequence[str] = ()
    excluded: Sequence[str] = ()
    optional: Sequence[str] = ()


#: Also of kinds without a namespace.
ALL_NAMESPACES: Final = WatchedNamespaces()


class Informer(Generic[T]):
    """Objects of one kind, converted once, indexed, and delivered to handlers.

    The store is changed before handlers are called, and they get each object's changes
    in their order.

    Args:
        client: The API server.
        resource: The kind.
        convert: From the API server's dict to what is stored; ``None`` to leave it out.
        observer: Receives events, for metrics.
        renew: The same as ``convert`` where an earlier version of the object is known.
        indexes: As for :class:`Store`.
        namespaces: Where it watches.
        metadata_only: Never let payloads in.
    """

    def __init__(  # noqa: PLR0913 (of a kind: where it is, how it is read and found)
        self,
        client: KubeClient,
        resource: Resource,
        convert: Callable[[dict[str, Any]], T | None],
        observer: ReflectorObserver,
        *,
        renew: Callable[[T, dict[str, Any]], T | None] | None = None,
        indexes: Mapping[str, Callable[[T], tuple[str, ...]]] | None = None,
        namespaces: WatchedNamespaces = ALL_NAMESPACES,
        metadata_only: bool = False,
    ) -> None:
        self.namespaced = resource.namespaced
        self.store: Store[T] = Store(indexes)
        self._resource = resource
        self._observer = observer
        self._handlers: list[Callable[[Change[T]], None]] = []
        self._relist_handlers: list[Callable[[], None]] = []
        self._restore_handlers: list[Callable[[str], None]] = []
        scopes = [
            InformerScope(self, namespace, convert, renew, frozenset(namespaces.excluded))
            # Twice the same one would be two keepers of one part of the store.
            for namespace in dict.fromkeys(namespaces.only or ("",))
        ]
        self._scopes = scopes
        self._optional = frozenset(namespaces.optional)
        self._reflectors = [
            Reflector(
                client,
                resource,
                scope,
                observer,
                namespace=scope.namespace,
                metadata_only=metadata_only,
            )
            for scope in scopes
        ]

    def __repr__(self) -> str:
        return f"<Informer {self._resource.plural} {len(self.store)} objects>"

    def add_handler(self, handler: Callable[[Change[T]], None]) -> None:
        """Add a handler before :meth:`run`; it must be quick and not wait."""
        self._handlers.append(handler)

    def add_relist_handler(self, handler: Callable[[], None]) -> None:
        """Add a handler for lists other than the first.

        Between two lists an object can come and go without any change being delivered.
        """
        self._relist_handlers.append(handler)

    def add_restore_handler(self, handler: Callable[[str], None]) -> None:
        """Add a handler for an API server that went back in time; gets the namespace, or ``""``.

        The store is as the API server is by then, and handlers have got the changes. But
        nothing that was written before counts any more, nor does any version that was seen.
        """
        self._restore_handlers.append(handler)

    async def relist(self) -> None:
        """List everything again, and return when it is stored; see ``Reflector.relist``."""
        for reflector in self._reflectors:
            # One that is refused now lists all as soon as it may.
            if not reflector.refused:
                await reflector.relist()

    def catching_up(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """Return what brings the store up to date with the API server, by what it is about.

        One for each reflector; see ``Reflector.catch_up``.
        """
        plural = self._resource.plural
        return {
            f"{plural} in {scope.namespace}" if scope.namespace else plural: reflector.catch_up
            for scope, reflector in zip(self._scopes, self._reflectors, strict=True)
            if self._counts(scope)
        }

    def _counts(self, scope: InformerScope[T]) -> bool:
        """Whether a scope has to be known: an optional one does once it has been."""
        return scope.namespace not in self._optional or scope.synced.is_set()

    @property
    def refused(self) -> frozenset[str]:
        """The namespaces whose list the API server refuses at present."""
        pairs = zip(self._scopes, self._reflectors, strict=True)
        return frozenset(scope.namespace for scope, reflector in pairs if reflector.refused)

    @property
    def unopened(self) -> list[str]:
        """The namespaces of which no watch has ever been opened; ``""`` stands for all."""
        pairs = zip(self._scopes, self._reflectors, strict=True)
        return [s.namespace for s, r in pairs if self._counts(s) and not r.opened]

    @property
    def synced(self) -> bool:
        """Whether all initial lists have been delivered to the handlers."""
        return all(scope.synced.is_set() for scope in self._scopes if self._counts(scope))

    async def wait_synced(self, within: float = SYNC_WITHIN) -> None:
        """Wait until the initial lists have been delivered.

        Args:
            within: Seconds.

        Raises:
            TransientError: It took longer.
        """
        try:
            async with asyncio.timeout(within):
                for scope in filter(self._counts, self._scopes):
                    await scope.synced.wait()
        except TimeoutError:
            raise TransientError(
                f"no complete list of {self._resource.plural} within {within:.0f} s"
            ) from None

    async def run(self) -> None:
        """Run the reflectors until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for reflector in self._reflectors:
                tasks.create_task(reflector.run())

    def put(self, key: str, obj: T) -> list[Change[T]]:
        """Store an object; return the change for the handlers."""
        known = self.store.get(key)
        if known is None or known.uid == obj.uid:
            same = known is not None and known.resource_version == obj.resource_version
            # Another schema, or a restored API server, reads another object in a known version.
            if same and known == obj:
                return []
            return [Change(key, self.store.put(key, obj), obj)]
        # Deleted and created again between two events.
        return [*self.drop(key), *self.put(key, obj)]

    def drop(self, key: str) -> list[Change[T]]:
        """Remove an object; return the change for the handlers."""
        old = self.store.remove(key)
        return [Change(key, old, None)] if old is not None else []

    def learn(self, obj: T) -> None:
        """Store an object that a read has shown, and of which the watch will tell from now on.

        For kinds of which the converter omits most: it must not omit this one any more.
        """
        for scope in self._scopes:
            if scope.namespace in ("", obj.namespace):
                scope.expect(key_of(obj))
        if self.store.get(key_of(obj)) is None:
            self.store.put(key_of(obj), obj)

    def forget(self, key: str) -> None:
        """Drop an object that the converter omits from now on; no handler is called."""
        for scope in self._scopes:
            scope.dismiss(key)
        self.store.remove(key)

    def deliver(self, changes: Iterable[Change[T]]) -> None:
        """Call every handler for every change."""
        for change in changes:
            for handler in self._handlers:
                try:
                    handler(change)
                except Exception:  # noqa: BLE001 (a handler that fails must not affect the others)
                    self._raised(change.key)

    def unreadable(self, key: str) -> None:
        """Report an object for which the converter raised; called in the exception handler."""
        self._observer.failed("unreadable")
        _log.exception("object not readable", resource=self._resource.plural, key=key)

    def relisted(self) -> None:
        """Report that a list other than the first has been delivered."""
        for handler in self._relist_handlers:
            try:
                handler()
            except Exception:  # noqa: BLE001 (as above)
                self._raised("")

    def restored(self, namespace: str) -> None:
        """Report that the API server went back in time."""
        for handler in self._restore_handlers:
            try:
                handler(namespace)
            except Exception:  # noqa: BLE001 (as above)
                self._raised(namespace)

    def _raised(self, key: str) -> None:
        """Report a handler that raised; called in the exception handler."""
        self._observer.handler_raised()
        _log.exception("handler raised", resource=self._resource.plural, key=key)


class InformerScope(Generic[T]):
    """The part of the store that one reflector is responsible for."""

    def __init__(
        self,
        informer: Informer[T],
        namespace: str,
        convert: Callable[[dict[str, Any]], T | None],
        renew: Callable[[T, dict[str, Any]], T | None] | None,
        excluded: frozenset[str],
    ) -> None:
        self.namespace = namespace
        self.synced = asyncio.Event()
        self._informer = informer
        self._convert = convert
        self._renew = renew
        self._excluded = excluded
        self._keys: set[str] = set()

    def __len__(self) -> int:
        """Return the number of objects that the API server has here."""
        return len(self._keys)

    def read(self, value: dict[str, Any], known: T | None = None) -> T | None:
        """Return the stored form of an object; ``None`` if it is omitted.

        Args:
            value: As the API server sent it.
            known: An earlier version of it, if a later one may share some of that.
        """
        try:
            metadata = check_object(value, "list or watch")["metadata"]
            if metadata.get("namespace") in self._excluded:
                return None
            if known is not None and self._renew is not None:
                return self._renew(known, value)
            return self._convert(value)
        except Exception:  # noqa: BLE001 (see below)
            # An object that cannot be read must not affect the others.
            self._informer.unreadable(_key(value))
            return None

    def replace(self, objects: list[T], *, restored: bool = False) -> None:
        """Store all objects of this scope at once, then call the handlers, deletions first."""
        found = {key_of(obj): obj for obj in objects}
        restored = restored or any(self._is_older(obj) for obj in objects)
        vanished = self._keys - found.keys()
        self._keys = set(found)
        changes = [change for key in vanished for change in self._informer.drop(key)]
        for key, obj in found.items():
            changes += self._informer.put(key, obj)
        self._informer.deliver(changes)
        if self.synced.is_set():
            self._informer.relisted()
        if restored:
            self._informer.restored(self.namespace)
        self.synced.set()

    def expect(self, key: str) -> None:
        """Count an object among those that a list may show to be gone."""
        self._keys.add(key)

    def dismiss(self, key: str) -> None:
        """Count an object no more."""
        self._keys.discard(key)

    def newest(self) -> T | None:
        """Return the object of this scope with the highest version."""
        held = map(self._informer.store.get, self._keys)
        return max(
            (obj for obj in held if obj is not None),
            key=lambda obj: order_of(obj.resource_version) or (0, ""),
            default=None,
        )

    def _is_older(self, obj: T) -> bool:
        """Whether a later version of the very same object has been seen."""
        held = self._informer.store.get(key_of(obj))
        return (
            held is not None
            and held.uid == obj.uid
            and held.resource_version != obj.resource_version
            and is_older(obj.resource_version, held.resource_version)
        )

    def event(self, sort: str, value: dict[str, Any]) -> None:
        """One change of this scope; an object that is omitted now counts as deleted."""
        key = _key(value)
        obj = None
        if sort != "DELETED":
            # Not in a list: with another schema the same generation may read differently.
            obj = self.read(value, self._informer.store.get(key))
        if obj is None:
            self._keys.discard(key)
            self._informer.deliver(self._informer.drop(key))
        else:
            self._keys.add(key)
            self._informer.deliver(self._informer.put(key, obj))


def _key(value: dict[str, Any]) -> str:
    """Return the key of an object that need not be sound, without anything that is no string."""
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        return ""
    parts = metadata.get("namespace"), metadata.get("name")
    return "/".join([part for part in parts if isinstance(part, str) and part])
