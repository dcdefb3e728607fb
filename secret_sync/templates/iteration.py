"""What ``range`` goes through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.templates.errors import BadValueError
from secret_sync.templates.kinds import described
from secret_sync.templates.values import is_missing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secret_sync.templates.limits import TemplateBudget
    from secret_sync.templates.values import Value


def pairs_of(
    value: Value, budget: TemplateBudget, *, wants_index: bool
) -> Iterable[tuple[Value, Value]] | None:
    """Return the indexes or keys with the elements; of an int, the numbers below it.

    If there are none, return ``None``.

    Raises:
        BadValueError: It cannot be gone through, such as a string.
    """
    if isinstance(value, list):
        return enumerate(value) if value else None
    if isinstance(value, dict):
        budget.step(len(value) // 2)
        return sorted(value.items()) if value else None
    if is_missing(value):
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        if wants_index:
            raise BadValueError("an int has no index; use one variable, or until")
        if value <= 0:
            return None
        # The elements are of the same kind.
        kind = value.__class__
        return ((None, kind(number)) for number in range(value))
    advice = "split it with splitList, or read it with fromJson" if isinstance(value, bytes) else ""
    raise BadValueError(
        f"{described(value)} has no elements; " + (advice or "use a list, a map or an int")
    )
