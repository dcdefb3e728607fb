"""The ready keys of one priority; tenants take turns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from secret_sync.queue.priority import Priority

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True, eq=False)
class Item:
    """A wanted key. `joined` counts for the order, `added` for the metrics."""

    added: float
    joined: float
    priority: Priority
    tenants: tuple[Hashable, ...] = ()


class Level(Generic[K]):
    """Hands out the keys of one tenant after the other, each tenant's first come, first served.

    A round robin: deficit round robin would be the same, since every key costs one. A tenant that
    had nothing joins behind the others, so it waits for one key of each. A key may belong to
    several tenants; it is taken in the first turn of any of them. Every operation is
    O(1), but for the number of tenants of one key.
    """

    __slots__ = ("_turns", "items")

    def __init__(self) -> None:
        #: In the order of joining, `joined` ascending: items join only at the end, at "now".
        self.items: OrderedDict[K, Item] = OrderedDict()
        # The tenants in the order of their turns, each with its keys; a tenant has at least one.
        self._turns: OrderedDict[Hashable, OrderedDict[K, None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[K]:
        """Return the keys in the order of joining, regardless of turns."""
        return iter(self.items)

    @property
    def oldest(self) -> Item:
        """The item that joined first; the level must not be empty."""
        return self.items[next(iter(self.items))]

    def join(self, key: K, item: Item, tenants: Iterable[Hashable]) -> None:
        """Add a key that is not in this level, for these tenants."""
        item.tenants = tuple(dict.fromkeys(tenants)) or (None,)
        self.items[key] = item
        for tenant in item.tenants:
            self._turns.setdefault(tenant, OrderedDict())[key] = None

    def share(self, key: K, tenant: Hashable) -> None:
        """Let a key also be taken in the turns of another tenant."""
        item = self.items[key]
        if tenant not in item.tenants:
            item.tenants = (*item.tenants, tenant)
            self._turns.setdefault(tenant, OrderedDict())[key] = None

    def leave(self, key: K) -> Item:
        """Remove a key, regardless of turns."""
        item = self.items.pop(key)
        for tenant in item.tenants:
            keys = self._turns[tenant]
            del keys[key]
            if not keys:
                del self._turns[tenant]
        return item

    def take(self) -> tuple[K, Item]:
        """Remove the next key; the level must not be empty."""
        tenant, keys = next(iter(self._turns.items()))
        key = next(iter(keys))
        item = self.leave(key)
        if tenant in self._turns:
            self._turns.move_to_end(tenant)
        return key, item

    def clear(self) -> None:
        """Remove all keys."""
        self.items.clear()
        self._turns.clear()
