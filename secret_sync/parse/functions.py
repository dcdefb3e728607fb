"""The functions of JMESPath on our values: numbers keep their text, and each call has a cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeVar

from secret_sync.parse.jmespath_parts import TypedFunctions, sort_key
from secret_sync.parse.json_document import write_json
from secret_sync.parse.values import JSON_NUMBER, Number, number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.parse.budget import Budget

#: What a step of the budget covers: items of a list or mapping that is read or built, and
#: characters of a string. So both time and memory are bounded.
ITEMS_PER_STEP: Final = 4
CHARACTERS_PER_STEP: Final = 64


_Function = TypeVar("_Function", bound="Callable[..., Any]")


class CalculationError(Exception):
    """A number that cannot be calculated or written; the message does not show it."""


def _takes(*arguments: dict[str, Any]) -> Callable[[_Function], _Function]:
    """Declare a function's arguments for the base class, whose own decorator is untyped."""

    def recorded(function: _Function) -> _Function:
        function.signature = arguments  # type: ignore[attr-defined]
        return function

    return recorded


class CountedFunctions(TypedFunctions):
    """The functions of the specification.

    Args:
        budget: Charged for the calls, in steps of about a microsecond.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def call_function(self, function_name: str, resolved_args: list[Any]) -> Any:
        """Call a function, charging for the size of its arguments."""
        for argument in resolved_args:
            self._budget.take(price(argument))
        return super().call_function(function_name, resolved_args)

    def same(self, left: Any, right: Any) -> bool:
        """Return whether two values are equal as JSON; expressions can build exponential ones."""
        take = self._budget.take
        pending = [(left, right)]
        while pending:
            left, right = pending.pop()
            take(1)
            if isinstance(left, list) and isinstance(right, list):
                if len(left) != len(right):
                    return False
                pending += zip(left, right, strict=True)
            elif isinstance(left, dict) and isinstance(right, dict):
                if left.keys() != right.keys():
                    return False
                pending += [(value, right[key]) for key, value in left.items()]
            elif isinstance(left, str):
                take(len(left) // CHARACTERS_PER_STEP)
                if left != right:
                    return False
            elif type(left) is not type(right) or left != right:
                return False
        return True

    @_takes({"types": ["number"]})
    def _func_abs(self, number: Number) -> Number:
        return number if number.value >= 0 else _calculated(abs(number.value))

    @_takes({"types": ["array-number"]})
    def _func_avg(self, numbers: list[Number]) -> Number | None:
        return _calculated(_total(numbers) / len(numbers)) if numbers else None

    @_takes({"types": ["number"]})
    def _func_ceil(self, number: Number) -> Number:
        return _rounded(number, math.ceil)

    @_takes({"types": ["number"]})
    def _func_floor(self, number: Number) -> Number:
        return _rounded(number, math.floor)

    @_takes({"types": ["array-number"]})
    def _func_sum(self, numbers: list[Number]) -> Number:
        return _calculated(_total(numbers))

    @_takes({"types": ["string", "array", "object"]})
    def _func_length(self, sized: Any) -> Number:
        return Number(str(len(sized)))

    @_takes({"types": []})
    def _func_to_number(self, value: Any) -> Number | None:
        if isinstance(value, str):
            return Number(value) if JSON_NUMBER.fullmatch(value) else None
        return value if isinstance(value, Number) else None

    @_takes({"types": []})
    def _func_to_string(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        return write_json(value, lambda size: self._budget.take(1 + size // CHARACTERS_PER_STEP))

    @_takes({"types": ["array", "string"]}, {"types": []})
    def _func_contains(self, subject: Any, search: Any) -> bool:
        if isinstance(subject, str):
            return isinstance(search, str) and search in subject
        return any(self.same(item, search) for item in subject)

    @_takes({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, texts: list[str]) -> str:
        size = sum(map(len, texts)) + len(separator) * len(texts)
        self._budget.take(size // CHARACTERS_PER_STEP)
        return separator.join(texts)

    @_takes({"types": ["array-number", "array-string"]})
    def _func_max(self, values: list[Any]) -> Any:
        return max(values, key=sort_key, default=None)

    @_takes({"types": ["array-number", "array-string"]})
    def _func_min(self, values: list[Any]) -> Any:
        return min(values, key=sort_key, default=None)

    @_takes({"types": ["array-string", "array-number"]})
    def _func_sort(self, values: list[Any]) -> list[Any]:
        self._budget.take(len(values))
        return sorted(values, key=sort_key)

    @_takes({"types": ["object"]})
    def _func_keys(self, mapping: dict[str, Any]) -> list[str]:
        # As plain strings: a YAML key `1` is written as its text.
        return [str(key) for key in mapping]

    @_takes({"types": []})
    def _func_type(self, value: Any) -> str:
        return self.type_of(value)


def price(value: Any) -> int:
    """Return the steps for reading a value once, without its children."""
    if isinstance(value, str):
        return len(value) // CHARACTERS_PER_STEP
    return len(value) // ITEMS_PER_STEP if isinstance(value, (list, dict)) else 0


def _total(numbers: list[Number]) -> int | float:
    try:
        return sum(number.value for number in numbers)
    except OverflowError:
        raise CalculationError("the sum is too large") from None


def _rounded(number: Number, rounding: Callable[[float], int]) -> Number:
    value = number.value
    if isinstance(value, int):
        return number
    try:
        return _calculated(rounding(value))
    except (OverflowError, ValueError):
        raise CalculationError("the number is too large to be rounded") from None


def _calculated(value: float) -> Number:
    number = number_of(value)
    if number is None:
        raise CalculationError("the result is not a finite number that can be written")
    return number
