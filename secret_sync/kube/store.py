"""The store: what is known of one kind, by key and by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from secret_sync.resources.meta import ObjectMeta

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping


T = TypeVar("T", bound=ObjectMeta)


def key_of(obj: ObjectMeta) -> str:
    """Return ``namespace/name``, or ``name`` for a cluster-scoped object."""
    return f"{obj.namespace}/{obj.name}" if obj.namespace else obj.name


class Store(Generic[T]):
    """Objects by key, with indexes that are never behind them.

    Args:
        indexes: For each index a function from an object to the values it is listed under.
    """

    __slots__ = ("_buckets", "_functions", "_objects")

    def __init__(self, indexes: Mapping[str, Callable[[T], tuple[str, ...]]] | None = None) -> None:
        self._objects: dict[str, T] = {}
        self._functions = dict(indexes or {})
        # Empty buckets are deleted: values come and go for as long as the process lives. Most
        # list one key, and then that is the bucket: a set would take four times its memory.
        self._buckets: dict[str, dict[str, str | set[str]]] = {n: {} for n in self._functions}

    def __len__(self) -> int:
        """Objects held."""
        return len(self._objects)

    def __iter__(self) -> Iterator[str]:
        """All keys."""
        return iter(self._objects)

    def get(self, key: str) -> T | None:
        """Return the object of a key."""
        return self._objects.get(key)

    def values(self) -> Collection[T]:
        """All objects."""
        return self._objects.values()

    def by_index(self, index: str, value: str) -> tuple[str, ...]:
        """Keys of the objects that an index lists under a value."""
        bucket = self._buckets[index].get(value, ())
        return (bucket,) if isinstance(bucket, str) else tuple(bucket)

    def put(self, key: str, obj: T) -> T | None:
        """Store an object; return the one it replaces."""
        old = self._objects.get(key)
        self._objects[key] = obj
        for name, function in self._functions.items():
            before = function(old) if old is not None else ()
            after = function(obj)
            if before != after:
                self._move(name, key, set(before).difference(after), set(after).difference(before))
        return old

    def remove(self, key: str) -> T | None:
        """Remove an object and return it."""
        old = self._objects.pop(key, None)
        if old is not None:
            for name, function in self._functions.items():
                self._move(name, key, set(function(old)), set())
        return old

    def _move(self, index: str, key: str, leave: set[str], enter: set[str]) -> None:
        buckets = self._buckets[index]
        for value in leave:
            bucket = buckets[value]
            if isinstance(bucket, str):
                del buckets[value]
                continue
            bucket.discard(key)
            if not bucket:
                del buckets[value]
        for value in enter:
            held = buckets.setdefault(value, key)
            if isinstance(held, set):
                held.add(key)
            elif held != key:
                buckets[value] = {held, key}
