"""Which Secrets are ours, and which of others may be taken over; decided on metadata alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from secret_sync.controller.secret_target.siblings import BY_TARGET, target_of
from secret_sync.controller.view import CATCH_UP
from secret_sync.resources import ManagedSecret
from secret_sync.resources.external_secret import KIND
from secret_sync.resources.meta import is_older, object_key, reached
from secret_sync.resources.names import GROUP, LEGACY_LABEL, LEGACY_MANAGERS, OWNER_ANNOTATION

if TYPE_CHECKING:
    from secret_sync.controller.external_secret.desired import Desired
    from secret_sync.controller.external_secret.state import Applied
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.resources import ExternalSecret, SecretMeta


class Action(Enum):
    """What is to be done with the Secret."""

    NOTHING = auto()
    CREATE = auto()
    REPAIR = auto()
    REFUSE = auto()
    WAIT = auto()
    """It is being deleted; its end enqueues the object."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done.

    Attributes:
        apply: For ``REPAIR``: whether our keys or marks have to be applied.
        remove: For ``REPAIR``: keys that others added.
        orphan: For ``REPAIR``: whether what makes the Secret the ExternalSecret's is missing: the
            ownerReference, or any trace of our field manager.
        hidden: For ``REPAIR``: whether there may be keys without an owner.
        carries: For ``REPAIR``: whether an apply would delete metadata of others.
        controlled: For ``REPAIR``: whether the Secret has another controller.
        labelled: For ``REPAIR``: whether another writer has set the label ``managed-by``.
        unverified: For ``REPAIR``: whether all that shows is right, and nothing is known of the
            values, as after a restart.
        uid, resource_version: What was decided on; each write carries them.
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
    labelled: bool = False
    unverified: bool = False


def owner_mark(es: ExternalSecret) -> str:
    """Return the value of the owner annotation on a Secret of this ExternalSecret."""
    return f"{es.name}/{es.uid}"


def is_ours(es: ExternalSecret, secret: ManagedSecret, applied: Applied | None) -> bool:
    """Return whether the Secret is this ExternalSecret's, also one of the same name from before.

    A mark that our field manager did not write does not count: anybody can copy one. Nor does
    a Secret of ours stop being ours when another writer removes the mark: we remember it, or its
    keys and its owner show it. Where ``managedFields`` were reset what we wrote is unknown; it is
    ours if mark and ownerReference both have the uid of this very object: the garbage collector
    deletes it with the object, so it has no other owner.
    """
    if es.replaced_by and secret.owner.partition("/")[0] == es.replaced_by:
        # Handed over, whatever is remembered of it.
        return False
    if secret.owner_is_ours and secret.owner.partition("/")[0] == es.name:
        return True
    if applied is not None and applied.uid == secret.uid and not merged_by(es, secret):
        return True
    return _is_owned(es, secret) or _was_reset(es, secret)


def _is_owned(es: ExternalSecret, secret: ManagedSecret) -> bool:
    return bool(secret.our_keys) and es.uid in secret.owner_uids


def _was_reset(es: ExternalSecret, secret: ManagedSecret) -> bool:
    """Return whether only mark and owner are left of what we wrote."""
    return (
        not (secret.owner_is_ours or secret.our_keys)
        and secret.owner == owner_mark(es)
        and es.uid in secret.owner_uids
    )


def other_controller(es: ExternalSecret, current: SecretMeta | None) -> str:
    """Return kind and name of another controller of the Secret, or ``""``."""
    if not isinstance(current, ManagedSecret):
        return ""
    uid, controller = current.controller
    return "" if uid == es.uid else controller


def is_there(
    es: ExternalSecret, current: SecretMeta | None, applied: Applied | None, now: float
) -> bool:
    """Return whether the Secret was created, whatever has become of its values since.

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
    """Return whether the Secret has our marks and the keys that are known without a fetch.

    Which keys documents give is not known, so that keys are taken for right if they are ours.
    """
    if not isinstance(current, ManagedSecret) or current.deleting:
        return False
    plain = es.template is None and all(entry.plain for entry in es.entries)
    keys = frozenset(e.name for e in es.entries) if plain else None
    if es.target.merge:
        held = merged_by(es, current)
        return bool(held) and keys in (None, held)
    keys = keys or current.our_keys
    if current.string_data:
        # What was written that way shows in no key.
        return False
    return bool(keys) and _intact(es, keys, current) and current.other_keys <= keys


def merged_by(es: ExternalSecret, secret: ManagedSecret) -> frozenset[str]:
    """Return the fields, as in `Desired`, that this ExternalSecret has merged into a Secret."""
    return secret.merged.get(es.uid, frozenset())


def decide(  # noqa: PLR0911 (a list of cases, each with its own end)
    es: ExternalSecret,
    desired: Desired,
    current: SecretMeta | None,
    applied: Applied | None,
    now: float,
) -> Decision:
    """Decide what to do so that the Secret is as desired.

    Args:
        es: Whose Secret it is to be.
        desired: What it should hold.
        current: The Secret as the cache has it.
        applied: What we wrote last; where the cache has not caught up with it, it counts
            instead of the cache: "Read your writes".
        now: The loop's time, in seconds.
    """
    if applied is not None and behind(current, applied, now):
        if applied.fingerprint == desired.fingerprint:
            return Decision(Action.NOTHING)
        return Decision(
            Action.REPAIR,
            apply=True,
            uid=applied.uid,
            resource_version=applied.resource_version,
            controlled=bool(other_controller(es, current)),
            labelled=applied.labelled,
        )
    if current is None:
        return Decision(Action.CREATE)
    if not isinstance(current, ManagedSecret):
        if applied is None or applied.uid != current.uid:
            return Decision(Action.REFUSE, uid=current.uid)
        # Ours, replaced as a whole by another writer; the reply to our write has what it added.
        return _restored(es, current)
    if not is_ours(es, current, applied):
        return Decision(Action.REFUSE, uid=current.uid)
    if current.deleting:
        return Decision(Action.WAIT)
    written = (
        applied is not None
        and applied.uid == current.uid
        and applied.fingerprint == desired.fingerprint
        and not _may_hide(current, applied)
        and not is_lost(current, applied)
    )
    intact = (
        _intact(es, desired.fields, current)
        and current.rendered == desired.named
        and not _half_taken(es, current)
    )
    remove = tuple(sorted(current.other_keys - desired.keys))
    if written and intact and not remove:
        return Decision(Action.NOTHING)
    return Decision(
        Action.REPAIR,
        apply=not (written and intact),
        remove=remove,
        uid=current.uid,
        resource_version=current.resource_version,
        orphan=(not es.target.retain and es.uid not in current.owner_uids)
        or _was_reset(es, current),
        hidden=bool(current.string_data),
        # What ack-secret-manager said of it came to us to be removed.
        carries=current.carries and not es.legacy,
        controlled=bool(other_controller(es, current)),
        labelled=current.labelled,
        unverified=applied is None
        and intact
        and not (remove or current.string_data or current.carries or es.legacy),
    )


def _intact(es: ExternalSecret, fields: frozenset[str], current: ManagedSecret) -> bool:
    return current.our_keys == fields and _marked(es, current)


def _may_hide(current: ManagedSecret, applied: Applied) -> bool:
    """Return whether data may have changed since our last write without a trace in the keys.

    It may in every new version of a Secret that has an entry with ``stringData``: the same
    values applied again within one second change nothing in the entry. An apply shows it; where all
    is right it changes nothing, and what stood at our last write is not looked at again. So an
    entry that outlives a repair is not written again and again.
    """
    return bool(current.string_data) and current.resource_version != applied.resource_version


def _half_taken(es: ExternalSecret, current: ManagedSecret) -> bool:
    """Return whether a takeover was interrupted; ack-secret-manager's finalizer goes last."""
    return es.legacy and not LEGACY_MANAGERS.isdisjoint(current.editors)


def _marked(es: ExternalSecret, current: ManagedSecret) -> bool:
    owned = es.uid in current.owner_uids
    return current.owner == owner_mark(es) and owned is not es.target.retain


def _restored(es: ExternalSecret, current: SecretMeta) -> Decision:
    return Decision(
        Action.REPAIR,
        apply=True,
        uid=current.uid,
        resource_version=current.resource_version,
        orphan=not es.target.retain,
        labelled=current.labelled,
    )


def is_lost(current: SecretMeta, applied: Applied) -> bool:
    """Return whether the API server was restored to before our last write."""
    return is_older(current.resource_version, applied.resource_version)


def behind(current: SecretMeta | None, applied: Applied, now: float) -> bool:
    """Return whether the cache is older than our last write."""
    if current is not None and reached(current.resource_version, applied.resource_version):
        return False
    return now - applied.at < CATCH_UP


def may_adopt(es: ExternalSecret) -> bool:
    """Return whether the ExternalSecret has a claim to a Secret that it did not make."""
    replaces = es.controller is not None and es.controller.is_cluster
    return es.adopt or es.legacy or replaces


def adoptable(
    es: ExternalSecret, metadata: dict[str, Any], others: ReadOnlyStore[ExternalSecret]
) -> bool:
    """Return whether a Secret that is not ours is the ExternalSecret's to take over.

    It is if ack-secret-manager made it for this very object, which its finalizer shows, if the
    author of the object says so, or if the child that had it before hands it over. What has a
    controller is that one's, and what another ExternalSecret made is that one's as long as there
    is one.

    Args:
        es: Who wants it.
        metadata: The Secret's, whole.
        others: All ExternalSecrets.
    """
    if metadata.get("deletionTimestamp") or controller_of(metadata, es, others):
        return False
    mark = (metadata.get("annotations") or {}).get(OWNER_ANNOTATION) or ""
    owner = marked_by(es.namespace, mark, others)
    if owner is not None and hands_over(owner, es):
        return True
    if es.adopt:
        return owner is None or owner.uid == es.uid
    return es.legacy and not mark and made_by_legacy(metadata) and _made_for(es, others)


def _made_for(es: ExternalSecret, others: ReadOnlyStore[ExternalSecret]) -> bool:
    """Return whether what ack-secret-manager made under that name was for this very object.

    Nothing but the name shows it: the object's own, or since 0.6 ``spec.target.name``, which
    counts only if no other object names it.
    """
    (target,) = target_of(es)
    return es.target.name == es.name or len(others.by_index(BY_TARGET, target)) <= 1


def made_by_legacy(metadata: dict[str, Any]) -> bool:
    """Return whether ack-secret-manager made the Secret: 0.5.x labels it, 0.6.x edited it."""
    return LEGACY_LABEL in (metadata.get("labels") or {}) or bool(legacy_editors(metadata))


def legacy_editors(metadata: dict[str, Any]) -> frozenset[str]:
    """Return the field managers of ack-secret-manager that set data of the Secret."""
    return frozenset(
        entry["manager"]
        for entry in metadata.get("managedFields") or ()
        if entry.get("manager") in LEGACY_MANAGERS
        and entry.get("operation") == "Update"
        and "f:data" in (entry.get("fieldsV1") or {})
    )


def data_editors(metadata: dict[str, Any]) -> tuple[str, ...]:
    """Return all field managers that set data of the Secret."""
    return tuple(
        sorted(
            {
                entry.get("manager") or ""
                for entry in metadata.get("managedFields") or ()
                if not {"f:data", "f:stringData"}.isdisjoint(entry.get("fieldsV1") or ())
            }
        )
    )


def marked_by(
    namespace: str, mark: str, others: ReadOnlyStore[ExternalSecret]
) -> ExternalSecret | None:
    """Return the ExternalSecret that the owner annotation of a Secret names, if it exists."""
    name, _, uid = mark.partition("/")
    owner = others.get(object_key(namespace, name)) if name else None
    return owner if owner is not None and owner.uid == uid else None


def controller_of(
    metadata: dict[str, Any], es: ExternalSecret, others: ReadOnlyStore[ExternalSecret]
) -> str:
    """Return kind and name of the Secret's controller, or ``""``.

    Neither the ExternalSecret itself nor one that no longer exists counts.
    """
    for reference in controllers(metadata):
        kind, name = reference.get("kind"), reference.get("name") or ""
        if kind == KIND and (reference.get("apiVersion") or "").startswith(f"{GROUP}/"):
            living = marked_by(es.namespace, f"{name}/{reference.get('uid')}", others)
            if reference.get("uid") == es.uid or living is None or hands_over(living, es):
                continue
        return f"{kind} {name}"
    return ""


def hands_over(former: ExternalSecret, es: ExternalSecret) -> bool:
    """Return whether one child of a ClusterExternalSecret leaves its Secret to another one."""
    return (
        former.replaced_by == es.name
        and es.controller is not None
        and es.controller.is_cluster
        and former.controller == es.controller
    )


def controllers(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the ownerReferences of the Secret's controllers; the API server allows one."""
    return [r for r in metadata.get("ownerReferences") or () if r.get("controller")]
