"""Functions of Sprig that count: lists of ints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.templates.functions import FunctionTable, Kind

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering

NUMERIC: Final = FunctionTable()


@NUMERIC.function("until", Kind.INT)
def _until(rendering: Rendering, count: int) -> list[int]:
    return _until_step(rendering, 0, count, -1 if count < 0 else 1)


@NUMERIC.function("untilStep", Kind.INT, Kind.INT, Kind.INT)
def _until_step(rendering: Rendering, start: int, stop: int, step: int) -> list[int]:
    if step == 0:
        return []
    numbers = range(start, stop, step)
    # `len` refuses a range as long as an int64 can count.
    rendering.budget.add(max(0, (stop - start + step - (1 if step > 0 else -1)) // step))
    return list(numbers)


@NUMERIC.function("seq", rest=Kind.INT)
def _seq(rendering: Rendering, *bounds: int) -> bytes:
    if len(bounds) == 1:
        start, step, end = 1, 0, bounds[0]
    elif len(bounds) == 2:  # noqa: PLR2004 (first and last)
        start, step, end = bounds[0], 0, bounds[1]
    elif len(bounds) == 3:  # noqa: PLR2004 (first, step, last)
        start, step, end = bounds
        if step == 0 or (end < start and step > 0):
            return b""
    else:
        return b""
    direction = -1 if end < start else 1
    numbers = _until_step(rendering, start, end + direction, step or direction)
    rendering.budget.create(len(numbers) * (max(len(str(start)), len(str(end))) + 1))
    return b" ".join([b"%d" % number for number in numbers])
