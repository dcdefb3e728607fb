"""ExternalSecrets that merge into one Secret, and whose key it is where two want the same (A16).

The first one, by ``creationTimestamp`` and then by uid, has it. That follows from the objects
alone, so that it does not matter who came to write first, or whether the values are equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.resources.meta import object_key
from secret_sync.resources.names import MERGE_MANAGER

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.resources import ExternalSecret, ManagedSecret

#: Index of the ExternalSecrets by the Secret that they write.
BY_TARGET: Final = "target"


def target_of(es: ExternalSecret) -> tuple[str, ...]:
    """Index function: the key of the Secret an ExternalSecret writes (S9)."""
    return (object_key(es.namespace, es.target.name),)


def writers_to(
    objects: ReadOnlyStore[ExternalSecret], es: ExternalSecret, name: str = ""
) -> list[ExternalSecret]:
    """Return the other ExternalSecrets that write to a Secret (default: this one's target).

    One that is being deleted writes no more.
    """
    found = objects.by_index(BY_TARGET, object_key(es.namespace, name or es.target.name))
    others = (objects.get(key) for key in found)
    return [o for o in others if o is not None and o.uid != es.uid and not o.deleting]


class Mergers:
    """The other ExternalSecrets that merge into a Secret, with what they hold of it.

    Args:
        objects: All ExternalSecrets, with the index ``BY_TARGET``.
        es: Whose view it is.
        secret: The Secret.
    """

    def __init__(
        self, objects: ReadOnlyStore[ExternalSecret], es: ExternalSecret, secret: ManagedSecret
    ) -> None:
        self._es = es
        self._held = {uid: keys for uid, keys in secret.merged if uid != es.uid}
        self._living = {o.uid: o for o in writers_to(objects, es, secret.name) if o.target.merge}

    def before(self, keys: AbstractSet[str]) -> dict[str, tuple[str, ...]]:
        """Return which of these keys are those of ExternalSecrets that come first, by name."""
        firsts = (o for o in self._living.values() if _order(o) < _order(self._es))
        held = {o.name: self._held.get(o.uid, frozenset()) & keys for o in firsts}
        return {name: tuple(sorted(held[name])) for name in sorted(held) if held[name]}

    def giving_way(self, keys: AbstractSet[str]) -> frozenset[str]:
        """Return the field managers whose keys, of these, are ours now.

        They are of ExternalSecrets that come after ours, are gone, or merge into another Secret.
        """
        return frozenset(
            MERGE_MANAGER + uid
            for uid, held in self._held.items()
            if held & keys and not self._comes_first(uid)
        )

    def wanted(self) -> frozenset[str]:
        """Return the keys that they want, as far as that is known without their documents."""
        entries = [e for o in self._living.values() for e in o.entries if not e.extract]
        names = (tuple(key for _, key in e.picks) if e.picks else (e.name,) for e in entries)
        return frozenset(key for keys in names for key in keys)

    def _comes_first(self, uid: str) -> bool:
        other = self._living.get(uid)
        return other is not None and _order(other) < _order(self._es)


def _order(es: ExternalSecret) -> tuple[str, str]:
    return es.created, es.uid
