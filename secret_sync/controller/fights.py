"""Writers that keep undoing each other, and when to stop.

A change of somebody else is undone at once, three times in a minute. Then it takes two to
stop: one write in a minute from then on, and the fight is over when a write has stood for one.

Where a change may hide, a write is what tells; one that finds nothing to change is no fight. But
whoever edits a Secret all the time must not have it looked at each time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from secret_sync.controller.problem import Problem
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from secret_sync.controller.memory import Memory
    from secret_sync.resources import ExternalSecret

#: A change is undone so often within so many seconds.
REPAIRS: Final = 3
FIGHT_SECONDS: Final = 60.0
#: A Secret that was found right so often (``REPAIRS``) in a minute rests for so many seconds.
RECHECK_SECONDS: Final = 5.0


async def undo(
    memory: Memory,
    write: Coroutine[Any, Any, bool | Problem],
    conflict: Callable[[], Awaitable[Problem]],
) -> bool | Problem:
    """Writes again what was written before, unless that has become a fight.

    Args:
        memory: Of the object.
        write: The write; what it returns is returned.
        conflict: Words the fight.
    """
    now = asyncio.get_running_loop().time()
    lately = tuple(t for t in memory.repairs if now - t < FIGHT_SECONDS)
    if memory.fought_at is None and len(lately) < REPAIRS:
        changed = await write
        memory.repairs = (*lately, now) if changed is True else lately
        if changed is False:
            memory.rechecks = (*memory.rechecks, now)[-REPAIRS:]
        return changed
    if memory.fought_at is not None and now - memory.fought_at >= FIGHT_SECONDS:
        memory.fought_at = now
        changed = await write
        if changed is False:
            # What was written last has stood, whatever else became of the Secret.
            memory.fought_at = None
            memory.repairs = ()
            return False
        return changed if isinstance(changed, Problem) else await conflict()
    if memory.fought_at is None:
        memory.fought_at = now
    write.close()
    return await conflict()


def rest(memory: Memory) -> float:
    """Return for how many seconds what may have changed without a trace is left alone."""
    now = asyncio.get_running_loop().time()
    often = len(memory.rechecks) == REPAIRS and now - memory.rechecks[0] < FIGHT_SECONDS
    if not often or memory.fought_at is not None:
        return 0.0
    return max(0.0, memory.rechecks[-1] + RECHECK_SECONDS - now)


def is_over(memory: Memory) -> bool:
    """Whether there is no fight, or what was written last has stood for long enough."""
    if memory.fought_at is None:
        return True
    if asyncio.get_running_loop().time() - memory.fought_at < FIGHT_SECONDS:
        return False
    memory.fought_at = None
    memory.repairs = ()
    return True


def fight(es: ExternalSecret, editors: tuple[str, ...]) -> Problem:
    """What a user is told of a fight.

    Args:
        es: Whose Secret it is about.
        editors: The field managers that set data of it, as far as they are known.
    """
    return Problem(
        Reason.WRITE_CONFLICT,
        f"Secret {es.namespace}/{es.target.name} was changed back or deleted {REPAIRS} times "
        f"within {FIGHT_SECONDS:.0f} s by {', '.join(editors) or 'somebody'}; it is written once a "
        "minute now: stop the other writer",
    )
