"""Why an ExternalSecret does not merge its keys, in words for users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.controller.sync import Problem
from secret_sync.resources import Reason
from secret_sync.resources.names import FIELD_MANAGER, MERGE_MANAGER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from secret_sync.resources import ExternalSecret

#: Keys that a message names.
_NAMED: Final = 10
#: What the API server calls whoever wrote before it kept a record, or before that was reset.
_UNRECORDED: Final = "before-first-apply"


def missing(es: ExternalSecret) -> Problem:
    """Report that the target does not exist."""
    return Problem(
        Reason.TARGET_MISSING,
        f"Secret {es.namespace}/{es.target.name} does not exist, and creationPolicy Merge writes "
        "only into one that does; create it, or omit creationPolicy",
    )


def owned(es: ExternalSecret, owner: str) -> Problem:
    """Report that the target is another ExternalSecret's own."""
    return Problem(
        Reason.SECRET_CONFLICT,
        f"Secret {es.namespace}/{es.target.name} belongs to ExternalSecret {owner}, which would "
        "remove keys of others from it; merge into another one",
    )


def conflict(es: ExternalSecret, owners: Mapping[str, Iterable[str]]) -> Problem:
    """Report that others own keys of ours, with other values.

    Args:
        es: Whose keys.
        owners: The field managers of each key, without our own.
    """
    managers = {manager for held in owners.values() for manager in held}
    return Problem(
        Reason.KEY_CONFLICT,
        f"Secret {es.namespace}/{es.target.name}: {_managers(managers)} set another value for "
        f"{_listed(owners)}, so nothing was written; delete the key there, or give it another "
        "name here",
    )


def second(es: ExternalSecret, firsts: Mapping[str, Iterable[str]]) -> Problem:
    """Report that ExternalSecrets that come first merge keys of ours.

    Args:
        es: Whose keys.
        firsts: The keys of each of them, by its name.
    """
    held = "; ".join(
        f"ExternalSecret {name}, created before this one, merges {_listed(firsts[name])}"
        for name in firsts
    )
    return Problem(
        Reason.KEY_CONFLICT,
        f"Secret {es.namespace}/{es.target.name}: {held}, so nothing was written; "
        "remove the key there, or give it another name here",
    )


def shared(owners: Mapping[str, Iterable[str]]) -> str:
    """Return what is reported, beside success, of keys that others own as well."""
    managers = {manager for held in owners.values() for manager in held}
    verb = "sets" if len(managers) == 1 else "set"
    return (
        f"{_managers(managers)} {verb} {_listed(owners)} as well, to the same value: a new value "
        "will not be written (KeyConflict) until the key is deleted there"
    )


def _managers(managers: Iterable[str]) -> str:
    return _listed(map(_named_manager, managers)) or "another writer"


def _named_manager(manager: str) -> str:
    if manager == _UNRECORDED:
        return f"a writer that managedFields do not name ({manager})"
    if manager == FIELD_MANAGER or manager.startswith(MERGE_MANAGER):
        # What secret-sync itself has set gives way, or is named by its ExternalSecret's name.
        return f"a writer in the name of {manager}"
    return manager


def _in_words(field: str) -> str:
    """Return a key as it is, and ``labels/<name>`` as a label."""
    sort, slash, name = field.partition("/")
    if not slash or sort not in ("labels", "annotations"):
        return field
    return f"{sort.removesuffix('s')} {name}"


def _listed(names: Iterable[str]) -> str:
    every = [_in_words(name) for name in sorted(names)]
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more
