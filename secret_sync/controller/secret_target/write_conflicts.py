"""Writers that keep reverting each other, and when to stop.

A change of another writer is reverted at once, three times in a minute. From then on there is one
write in a minute, and the conflict is over when a write has stood for one.

Where a change may hide, only a write shows it; one that changes nothing is not a conflict. But
a Secret that is edited all the time must not be rechecked each time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from secret_sync.controller.problem import Problem
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from secret_sync.controller.external_secret.state import SyncState
    from secret_sync.resources import ExternalSecret

#: A change is reverted so often within so many seconds.
REPAIRS: Final = 3
CONFLICT_SECONDS: Final = 60.0
#: A Secret that was found right so often (``REPAIRS``) in a minute is left for so many seconds.
RECHECK_SECONDS: Final = 5.0


async def repair_within_limit(
    state: SyncState,
    write: Coroutine[Any, Any, bool | Problem],
    conflict: Callable[[], Awaitable[Problem]],
) -> bool | Problem:
    """Write again what was written before, unless that has become a write conflict.

    Args:
        state: Of the object.
        write: The write; what it returns is returned.
        conflict: Builds the problem to report.
    """
    now = asyncio.get_running_loop().time()
    lately = tuple(t for t in state.repairs if now - t < CONFLICT_SECONDS)
    if state.conflicted_at is None and len(lately) < REPAIRS:
        changed = await write
        state.repairs = (*lately, now) if changed is True else lately
        if changed is False:
            state.rechecks = (*state.rechecks, now)[-REPAIRS:]
        return changed
    if state.conflicted_at is not None and now - state.conflicted_at >= CONFLICT_SECONDS:
        state.conflicted_at = now
        changed = await write
        if changed is False:
            # What was written last has stood, whatever else became of the Secret.
            state.conflicted_at = None
            state.repairs = ()
            return False
        return changed if isinstance(changed, Problem) else await conflict()
    if state.conflicted_at is None:
        state.conflicted_at = now
    write.close()
    return await conflict()


def recheck_delay(state: SyncState) -> float:
    """Return for how many seconds a Secret that was rechecked often is not rechecked."""
    now = asyncio.get_running_loop().time()
    often = len(state.rechecks) == REPAIRS and now - state.rechecks[0] < CONFLICT_SECONDS
    if not often or state.conflicted_at is not None:
        return 0.0
    return max(0.0, state.rechecks[-1] + RECHECK_SECONDS - now)


def is_settled(state: SyncState) -> bool:
    """Return whether there is no conflict, or the last write has stood for long enough."""
    if state.conflicted_at is None:
        return True
    if asyncio.get_running_loop().time() - state.conflicted_at < CONFLICT_SECONDS:
        return False
    state.conflicted_at = None
    state.repairs = ()
    return True


def write_conflict(es: ExternalSecret, editors: tuple[str, ...]) -> Problem:
    """Return the problem to report for a write conflict.

    Args:
        es: Whose Secret it is about.
        editors: The field managers that set data of it, as far as they are known.
    """
    return Problem(
        Reason.WRITE_CONFLICT,
        f"Secret {es.namespace}/{es.target.name} was changed back or deleted {REPAIRS} times "
        f"within {CONFLICT_SECONDS:.0f} s by {', '.join(editors) or 'another writer'}; it is now "
        "written once a minute: stop the other writer",
    )
