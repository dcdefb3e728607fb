"""Whose Secret is it, and what has become of it? Judged on metadata alone (S10)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from secret_sync.kube import is_older, reached
from secret_sync.resources import ManagedSecret
from secret_sync.resources.names import LEGACY_MANAGERS

if TYPE_CHECKING:
    from secret_sync.controller.desired import Desired
    from secret_sync.controller.memory import Applied
    from secret_sync.resources import ExternalSecret, SecretMeta


#: Seconds within which the cache sees what we wrote (W15). A cache that takes longer is judged
#: as it is: a write by an outdated version is refused, so the worst is a request too many. And
#: versions that an API server restored from a backup gives out are lower for good.
CATCH_UP: Final = 5.0


class Action(Enum):
    """What is to be done with the Secret."""

    NOTHING = auto()
    CREATE = auto()
    REPAIR = auto()
    REFUSE = auto()
    WAIT = auto()
    """It is being deleted; its end wakes us."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done.

    Attributes:
        apply: For ``REPAIR``: whether our keys or marks have to be applied.
        remove: For ``REPAIR``: keys that somebody added (A7a).
        orphan: For ``REPAIR``: whether what makes the Secret the ExternalSecret's is missing: the
            ownerReference, or any trace of our field manager.
        hidden: For ``REPAIR``: whether there may be keys that are nobody's (A14).
        carries: For ``REPAIR``: whether an apply would delete what others say of it (A13).
        controlled: For ``REPAIR``: whether another controller made the Secret its own (A17).
        uid, resource_version: What the verdict is about; each write carries them (A4a).
    """

    action: Action
    apply: bool = False
    remove: tuple[str, ...] = ()
    uid: str = ""
    resource_version: str = ""
    orphan: bool = False
    hidden: bool = False
    carries: bool = False
    controlled: bool = False


def owner_mark(es: ExternalSecret) -> str:
    """The value of the owner annotation on a Secret of this ExternalSecret."""
    return f"{es.name}/{es.uid}"


def is_ours(es: ExternalSecret, secret: ManagedSecret, applied: Applied | None) -> bool:
    """Whether the Secret is this ExternalSecret's, also one of the same name from before.

    A mark that our field manager did not write does not count: anybody can copy one. Nor does
    a Secret of ours stop being ours when somebody takes the mark away: we remember it, or its
    keys and its owner tell. Where ``managedFields`` were reset nothing tells what we wrote; it is
    ours if mark and ownerReference both have the uid of this very object: the garbage collector
    deletes it with the object, so it is nobody else's.
    """
    if secret.owner_is_ours and secret.owner.partition("/")[0] == es.name:
        return True
    if applied is not None and applied.uid == secret.uid and not merged_by(es, secret):
        return True
    return _is_owned(es, secret) or _was_reset(es, secret)


def _is_owned(es: ExternalSecret, secret: ManagedSecret) -> bool:
    return bool(secret.our_keys) and es.uid in secret.owner_uids


def _was_reset(es: ExternalSecret, secret: ManagedSecret) -> bool:
    """Whether only mark and owner are left of what we wrote."""
    return (
        not (secret.owner_is_ours or secret.our_keys)
        and secret.owner == owner_mark(es)
        and es.uid in secret.owner_uids
    )


def other_controller(es: ExternalSecret, current: SecretMeta | None) -> str:
    """Kind and name of a controller of the Secret that is not the ExternalSecret, or ``""``."""
    if not isinstance(current, ManagedSecret):
        return ""
    uid, controller = current.controller
    return "" if uid == es.uid else controller


def is_there(
    es: ExternalSecret, current: SecretMeta | None, applied: Applied | None, now: float
) -> bool:
    """Whether the Secret has been made, whatever has become of its values since (S16).

    Its marks have to be right: they decide whether it goes with the object.
    """
    if applied is not None and behind(current, applied, now):
        return True
    if not isinstance(current, ManagedSecret) or current.deleting:
        return False
    if es.target.merge:
        return bool(merged_by(es, current))
    return is_ours(es, current, applied) and _marked(es, current)


def looks_right(es: ExternalSecret, current: SecretMeta | None) -> bool:
    """Whether the Secret has our marks and the keys that are known without a fetch.

    Which keys documents give is not known, so that keys are taken for right if they are ours.
    """
    if not isinstance(current, ManagedSecret) or current.deleting:
        return False
    plain = all(entry.plain for entry in es.entries)
    keys = frozenset(e.name for e in es.entries) if plain else None
    if es.target.merge:
        held = merged_by(es, current)
        return bool(held) and keys in (None, held)
    keys = keys or current.our_keys
    if current.string_data:
        # What was written that way shows in no key (A14).
        return False
    return bool(keys) and _intact(es, keys, current) and current.other_keys <= keys


def merged_by(es: ExternalSecret, secret: ManagedSecret) -> frozenset[str]:
    """The keys that this ExternalSecret has merged into a Secret."""
    return dict(secret.merged).get(es.uid, frozenset())


def judge(  # noqa: PLR0911 (a list of cases, each with its own end)
    es: ExternalSecret,
    desired: Desired,
    current: SecretMeta | None,
    applied: Applied | None,
    now: float,
) -> Verdict:
    """What to do so that the Secret is as desired.

    Args:
        es: Whose Secret it is to be.
        desired: What it should hold.
        current: The Secret as the cache has it.
        applied: What we wrote last; where the cache has not caught up with it, it counts
            instead of the cache (S16).
        now: The loop's time, in seconds.
    """
    if applied is not None and behind(current, applied, now):
        if applied.fingerprint == desired.fingerprint:
            return Verdict(Action.NOTHING)
        return Verdict(
            Action.REPAIR,
            apply=True,
            uid=applied.uid,
            resource_version=applied.resource_version,
            controlled=bool(other_controller(es, current)),
        )
    if current is None:
        return Verdict(Action.CREATE)
    if not isinstance(current, ManagedSecret):
        if applied is None or applied.uid != current.uid:
            return Verdict(Action.REFUSE, uid=current.uid)
        # Ours, replaced as a whole by somebody; the reply to our write tells what they added.
        return _restored(es, current)
    if not is_ours(es, current, applied):
        return Verdict(Action.REFUSE, uid=current.uid)
    if current.deleting:
        return Verdict(Action.WAIT)
    written = (
        applied is not None
        and applied.uid == current.uid
        and applied.fingerprint == desired.fingerprint
        and not _may_hide(current, applied)
        and not is_lost(current, applied)
    )
    intact = _intact(es, desired.keys, current) and not _half_taken(es, current)
    remove = tuple(sorted(current.other_keys - desired.keys))
    if written and intact and not remove:
        return Verdict(Action.NOTHING)
    return Verdict(
        Action.REPAIR,
        apply=not (written and intact),
        remove=remove,
        uid=current.uid,
        resource_version=current.resource_version,
        orphan=(not es.target.retain and es.uid not in current.owner_uids)
        or _was_reset(es, current),
        hidden=bool(current.string_data),
        # What ack-secret-manager said of it came to us to go (A11).
        carries=current.carries and not es.legacy,
        controlled=bool(other_controller(es, current)),
    )


def _intact(es: ExternalSecret, keys: frozenset[str], current: ManagedSecret) -> bool:
    return current.our_keys == keys and _marked(es, current)


def _may_hide(current: ManagedSecret, applied: Applied) -> bool:
    """Whether data may have changed since our last write without a trace in the keys (A14).

    It may in every new version of a Secret that has an entry with ``stringData``: the same
    values applied again within one second change nothing in the entry. An apply tells; where all
    is right it changes nothing, and what stood at our last write is not looked at again. So an
    entry that outlives a repair is not fought.
    """
    return bool(current.string_data) and current.resource_version != applied.resource_version


def _half_taken(es: ExternalSecret, current: ManagedSecret) -> bool:
    """Whether a takeover from ack-secret-manager was interrupted; its finalizer goes last (A11)."""
    return es.legacy and not LEGACY_MANAGERS.isdisjoint(current.editors)


def _marked(es: ExternalSecret, current: ManagedSecret) -> bool:
    owned = es.uid in current.owner_uids
    return current.owner == owner_mark(es) and owned is not es.target.retain


def _restored(es: ExternalSecret, current: SecretMeta) -> Verdict:
    return Verdict(
        Action.REPAIR,
        apply=True,
        uid=current.uid,
        resource_version=current.resource_version,
        orphan=not es.target.retain,
    )


def is_lost(current: SecretMeta, applied: Applied) -> bool:
    """Whether the API server went back to before our last write; asked once it had time for it."""
    return is_older(current.resource_version, applied.resource_version)


def behind(current: SecretMeta | None, applied: Applied, now: float) -> bool:
    """Whether the cache is older than our last write (W15)."""
    if current is not None and reached(current.resource_version, applied.resource_version):
        return False
    return now - applied.at < CATCH_UP
