"""Functions of Sprig that calculate: with int64, and with decimals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from secret_sync.templates.conversions import float_of, int64_of, wrapped
from secret_sync.templates.errors import FunctionError
from secret_sync.templates.functions import FunctionTable, Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from secret_sync.templates.rendering import Rendering
    from secret_sync.templates.values import Int64

MATHS: Final = FunctionTable()

#: Steps of an operation with decimals.
_STEPS: Final = 8
#: Decimal places of a quotient.
_PLACES: Final = 10**16


@MATHS.function("add1", Kind.ANY)
def _add1(_: Rendering, value: Any) -> Int64:
    return wrapped(int64_of(value) + 1)


@MATHS.function("add", rest=Kind.ANY)
def _add(_: Rendering, *values: Any) -> Int64:
    return wrapped(sum(map(int64_of, values)))


@MATHS.function("sub", Kind.ANY, Kind.ANY)
def _sub(_: Rendering, first: Any, second: Any) -> Int64:
    return wrapped(int64_of(first) - int64_of(second))


@MATHS.function("mul", Kind.ANY, rest=Kind.ANY)
def _mul(_: Rendering, first: Any, *others: Any) -> Int64:
    product = int64_of(first)
    for other in others:
        product = wrapped(product * int64_of(other))
    return product


@MATHS.function("div", Kind.ANY, Kind.ANY)
def _div(_: Rendering, first: Any, second: Any) -> Int64:
    return wrapped(_divided("div", int64_of(first), int64_of(second))[0])


@MATHS.function("mod", Kind.ANY, Kind.ANY)
def _mod(_: Rendering, first: Any, second: Any) -> Int64:
    return wrapped(_divided("mod", int64_of(first), int64_of(second))[1])


def _divided(name: str, first: int, second: int) -> tuple[int, int]:
    """Return quotient and remainder, rounded towards zero as in Go."""
    if second == 0:
        raise FunctionError(
            f"{name} divides by zero; a value that is no number counts as zero, too"
        )
    quotient, remainder = divmod(abs(first), abs(second))
    if (first < 0) != (second < 0):
        quotient = -quotient
    return quotient, -remainder if first < 0 else remainder


@MATHS.function("max biggest", Kind.ANY, rest=Kind.ANY)
def _max(_: Rendering, *values: Any) -> Int64:
    return max(map(int64_of, values))


@MATHS.function("min", Kind.ANY, rest=Kind.ANY)
def _min(_: Rendering, *values: Any) -> Int64:
    return min(map(int64_of, values))


@MATHS.function("maxf", Kind.ANY, rest=Kind.ANY)
def _maxf(_: Rendering, *values: Any) -> float:
    return _extreme(max, values)


@MATHS.function("minf", Kind.ANY, rest=Kind.ANY)
def _minf(_: Rendering, *values: Any) -> float:
    return _extreme(min, values)


def _extreme(choose: Callable[..., float], values: tuple[Any, ...]) -> float:
    numbers = [float_of(value) for value in values]
    # More than NaN, as in Go.
    infinite = choose(math.inf, -math.inf)
    if infinite in numbers:
        return infinite
    if any(map(math.isnan, numbers)):
        return math.nan
    # Of two zeros the negative one is less.
    return choose(numbers, key=lambda number: (number, math.copysign(1, number)))


@MATHS.function("floor", Kind.ANY)
def _floor(_: Rendering, value: Any) -> float:
    number = float_of(value)
    return number if _is_whole(number) else float(math.floor(number))


@MATHS.function("ceil", Kind.ANY)
def _ceil(_: Rendering, value: Any) -> float:
    number = float_of(value)
    return number if _is_whole(number) else math.copysign(math.ceil(number), number)


def _is_whole(number: float) -> bool:
    return not math.isfinite(number) or number.is_integer()


@MATHS.function("round", Kind.ANY, Kind.INT, rest=Kind.FLOAT)
def _round(_: Rendering, value: Any, places: int, *at: float) -> float:
    number = float_of(value)
    try:
        power = math.pow(10, places)
    except OverflowError:
        power = math.inf
    digits = power * number
    if not math.isfinite(digits):
        return digits / power if power else math.nan
    fraction = math.fmod(digits, 1)
    rounded = math.ceil(digits) if fraction >= (at[0] if at else 0.5) else math.floor(digits)
    if power == 0:
        return math.copysign(math.inf, rounded) if rounded else math.nan
    return math.copysign(rounded, digits) / power if rounded == 0 else rounded / power


@MATHS.function("addf", rest=Kind.ANY)
def _addf(rendering: Rendering, *values: Any) -> float:
    return _calculated(rendering, "addf", (0.0, *values), lambda a, b: a + b)


@MATHS.function("add1f", Kind.ANY)
def _add1f(rendering: Rendering, value: Any) -> float:
    return _calculated(rendering, "add1f", (value, 1), lambda a, b: a + b)


@MATHS.function("subf", Kind.ANY, rest=Kind.ANY)
def _subf(rendering: Rendering, *values: Any) -> float:
    return _calculated(rendering, "subf", values, lambda a, b: a - b)


@MATHS.function("mulf", Kind.ANY, rest=Kind.ANY)
def _mulf(rendering: Rendering, *values: Any) -> float:
    return _calculated(rendering, "mulf", values, lambda a, b: a * b)


@MATHS.function("divf", Kind.ANY, rest=Kind.ANY)
def _divf(rendering: Rendering, *values: Any) -> float:
    return _calculated(rendering, "divf", values, _quotient)


def _calculated(
    rendering: Rendering,
    name: str,
    values: tuple[Any, ...],
    operate: Callable[[Fraction, Fraction], Fraction],
) -> float:
    """Calculate with the decimals that the floats are written as: 0.1 + 0.2 is 0.3."""
    result = _decimal(name, values[0])
    for value in values[1:]:
        result = operate(result, _decimal(name, value))
        size = result.numerator.bit_length() + result.denominator.bit_length()
        rendering.budget.step(_STEPS + (size // 1024) ** 2)
    try:
        return float(result)
    except OverflowError:
        return math.inf if result > 0 else -math.inf


def _decimal(name: str, value: Any) -> Fraction:
    from fractions import Fraction  # noqa: PLC0415 (with `decimal`, for what few templates need)

    number = float_of(value)
    if not math.isfinite(number):
        raise FunctionError(f"{name} cannot calculate with infinity or NaN")
    return Fraction(repr(number))


def _quotient(first: Fraction, second: Fraction) -> Fraction:
    if second == 0:
        raise FunctionError("divf divides by zero; a value that is no number counts as zero, too")
    quotient = first / second
    digits = math.floor(abs(quotient) * _PLACES + type(quotient)(1, 2))
    return type(quotient)(digits if quotient >= 0 else -digits, _PLACES)
