"""ExternalSecrets that merge into one Secret, and which owns a key that two of them want.

The first one, by ``creationTimestamp`` and then by uid, has it. That follows from the objects
alone, so that it does not matter who came to write first, or whether the values are equal.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from secret_sync.resources import ManagedSecret
from secret_sync.resources.conditions import Reason
from secret_sync.resources.meta import object_key
from secret_sync.resources.names import MERGE_MANAGER

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.resources import ExternalSecret, SecretMeta

#: Index of the ExternalSecrets by the Secret that they write.
BY_TARGET: Final = "target"
#: Index of those that merge, by their uid: a Secret names those who hold its keys by it.
BY_MERGER: Final = "merger"
#: Index of those that own a Secret of another name than theirs, by the Secret.
BY_OWNER: Final = "owner"
#: Index of those that may wait for keys of others, by the Secret into which they merge.
BY_WAITING: Final = "waiting"

#: So many are asked what they want before others have their turn.
_AT_ONCE: Final = 100


def target_of(es: ExternalSecret) -> tuple[str, ...]:
    """Index an ExternalSecret by the key of the Secret that it writes."""
    return (object_key(es.namespace, es.target.name),)


def merger_of(es: ExternalSecret) -> tuple[str, ...]:
    """Index an ExternalSecret that merges by its uid."""
    return (es.uid,) if es.target.merge else ()


def owner_of_another_name(es: ExternalSecret) -> tuple[str, ...]:
    """Index an ExternalSecret by the key of the Secret it owns, unless it is its own key."""
    return () if es.target.merge or es.target.name == es.name else target_of(es)


def waiting_for(es: ExternalSecret) -> tuple[str, ...]:
    """Index an ExternalSecret by the key of a Secret of which it may wait for keys.

    As far as its status shows: it may not have one of this generation yet.
    """
    status = es.status
    reported = status.ready is not None and status.observed_generation == es.generation
    return target_of(es) if es.target.merge and (_in_conflict(es) or not reported) else ()


#: The indexes that the functions here ask for.
INDEXES: Final[Mapping[str, Callable[[ExternalSecret], tuple[str, ...]]]] = {
    BY_TARGET: target_of,
    BY_MERGER: merger_of,
    BY_OWNER: owner_of_another_name,
    BY_WAITING: waiting_for,
}


def _writers_to(
    objects: ReadOnlyStore[ExternalSecret], es: ExternalSecret, name: str
) -> Iterator[ExternalSecret]:
    """Return the other ExternalSecrets that write to a Secret: there may be thousands.

    One that is being deleted writes no more.
    """
    found = objects.by_index(BY_TARGET, object_key(es.namespace, name))
    others = (objects.get(key) for key in found)
    return (o for o in others if o is not None and o.uid != es.uid and not o.deleting)


def owner_beside(objects: ReadOnlyStore[ExternalSecret], es: ExternalSecret) -> str:
    """Return the name of another ExternalSecret that owns the target, or ``""``."""
    target = target_of(es)
    for other in map(objects.get, (*target, *objects.by_index(BY_OWNER, *target))):
        if other is None or other.uid == es.uid or other.deleting or other.target.merge:
            continue
        if target_of(other) == target:
            return other.name
    return ""


def waiting(
    objects: ReadOnlyStore[ExternalSecret], target: str, keys: AbstractSet[str]
) -> list[str]:
    """Return the keys of the ExternalSecrets that may wait for some of these keys of a Secret."""
    if not keys:
        return []
    found = [(key, objects.get(key)) for key in objects.by_index(BY_WAITING, target)]
    return [key for key, es in found if es is not None and _may_want(es, keys)]


def touched_shares(old: SecretMeta | None, new: SecretMeta | None) -> AbstractSet[str] | None:
    """Return whose keys, merged into a Secret, a change of it may concern, by uid.

    Nobody changes a key that an ExternalSecret owns without becoming its owner, alone or
    beside it; except by way of ``stringData``, which may show in no change at all.

    Returns:
        ``None`` if it may concern any of them.
    """
    if not isinstance(old, ManagedSecret) or not isinstance(new, ManagedSecret):
        return None
    if _beside_merged(old) != _beside_merged(new):
        return None
    uids = {uid for uid, keys in new.merged.items() if old.merged.get(uid) != keys}
    uids |= old.merged.keys() - new.merged.keys()
    doubtful = (old.shared_keys ^ new.shared_keys).union(*(e.keys for e in new.string_data))
    if doubtful:
        uids |= {uid for uid, keys in new.merged.items() if not keys.isdisjoint(doubtful)}
    return uids


def _beside_merged(secret: ManagedSecret) -> Hashable:
    """Return all that may concern those that merge into a Secret, but for the keys they own."""
    return (
        secret.uid,
        secret.owner,
        secret.owner_is_ours,
        secret.our_keys,
        secret.string_data,
        secret.deleting,
    )


def mergers_of(
    objects: ReadOnlyStore[ExternalSecret], target: str, uids: AbstractSet[str]
) -> list[str]:
    """Return the keys of the ExternalSecrets of these uids that merge into a Secret.

    Anybody can write the name of a field manager, and so that of an object of another namespace.
    """
    found = [(key, objects.get(key)) for uid in uids for key in objects.by_index(BY_MERGER, uid)]
    return [key for key, es in found if es is not None and target in target_of(es)]


def is_merged(es: ExternalSecret, secret: SecretMeta | None) -> bool:
    """Return whether a Secret holds all keys of an ExternalSecret, as far as its status shows."""
    ready = es.status.ready
    return (
        es.target.merge
        and isinstance(secret, ManagedSecret)
        and es.uid in secret.merged
        and ready is not None
        and ready.status == "True"
        and es.status.observed_generation == es.generation
    )


class Mergers:
    """The other ExternalSecrets that merge into a Secret, with what they hold of it.

    Args:
        objects: All ExternalSecrets, with the indexes ``INDEXES``.
        es: Whose view it is.
        secret: The Secret.
    """

    def __init__(
        self, objects: ReadOnlyStore[ExternalSecret], es: ExternalSecret, secret: ManagedSecret
    ) -> None:
        self._objects = objects
        self._es = es
        self._secret = secret

    def before(self, keys: AbstractSet[str]) -> dict[str, tuple[str, ...]]:
        """Return which of these keys are those of ExternalSecrets that come first, by name."""
        firsts = {o.name: held for uid, held in self._held(keys) if (o := self._first(uid))}
        return {name: tuple(sorted(firsts[name])) for name in sorted(firsts)}

    def giving_way(self, keys: AbstractSet[str]) -> frozenset[str]:
        """Return the field managers whose keys, of these, are ours now.

        They are of ExternalSecrets that come after ours, are gone, or merge into another Secret.
        """
        uids = (uid for uid, _ in self._held(keys))
        return frozenset(MERGE_MANAGER + uid for uid in uids if not self._first(uid))

    async def wanted(self, keys: AbstractSet[str]) -> frozenset[str]:
        """Return which of these keys they want, or may want: they wait for some, and extract.

        Otherwise what their documents have is not known here. Everybody else has their turn while
        many are asked.
        """
        left = frozenset(keys)
        for number, other in enumerate(_writers_to(self._objects, self._es, self._secret.name)):
            unknown = other.target.merge and _in_conflict(other) and _extracts(other)
            left -= keys if unknown else other.merges
            if not left:
                break
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
        return frozenset(keys) - left

    def _held(self, keys: AbstractSet[str]) -> Iterator[tuple[str, AbstractSet[str]]]:
        """Return who else holds some of these keys, by uid, and which."""
        for uid, held in self._secret.merged.items():
            if uid != self._es.uid and not held.isdisjoint(keys):
                yield uid, held & keys

    def _first(self, uid: str) -> ExternalSecret | None:
        """Return the one of this uid, if it merges into the Secret and comes before ours."""
        target = (object_key(self._secret.namespace, self._secret.name),)
        # Not all who write to the Secret are looked at, who may be thousands.
        for other in map(self._objects.get, self._objects.by_index(BY_MERGER, uid)):
            if (
                other is not None
                and not other.deleting
                and target_of(other) == target
                and _order(other) < _order(self._es)
            ):
                return other
        return None


def _order(es: ExternalSecret) -> tuple[str, str]:
    return es.created, es.uid


def _may_want(es: ExternalSecret, keys: AbstractSet[str]) -> bool:
    return _extracts(es) or not es.merges.isdisjoint(keys)


def _in_conflict(es: ExternalSecret) -> bool:
    ready = es.status.ready
    return ready is not None and ready.reason == Reason.KEY_CONFLICT


def _extracts(es: ExternalSecret) -> bool:
    """Return whether only a document or a template has its keys.

    Entries that extract are the last ones.
    """
    if es.template is not None and (es.template.has_lines or es.template.replaces):
        return es.template.has_lines
    return bool(es.entries) and es.entries[-1].extract
