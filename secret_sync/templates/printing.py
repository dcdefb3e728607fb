"""What a value is as text, and whether it counts as true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.templates.errors import BadValueError
from secret_sync.templates.numbers import shortest
from secret_sync.templates.values import DocumentNumber, Missing, is_missing

if TYPE_CHECKING:
    from secret_sync.templates.limits import TemplateBudget
    from secret_sync.templates.values import Value

#: Levels of a list or map that is printed; a map that contains itself has more.
MAX_LEVELS: Final = 200


def truth(value: Value) -> bool:
    """Return whether the value is true for ``if``: not missing, zero, or empty."""
    return bool(value)


def printed(value: Value, budget: TemplateBudget) -> bytes:
    """Return the value as text, as Go's ``%v`` does.

    Raises:
        BadValueError: It is or contains a missing value, or it contains itself.
        TemplateError: The text exceeds the budget.
    """
    if value.__class__ is bytes:
        text: bytes = value
        return text
    if isinstance(value, (list, dict)):
        pieces: list[bytes] = []
        _collect(value, 0, pieces, budget)
        return b"".join(pieces)
    text = _scalar(value)
    budget.create(len(text))
    return text


def missing(value: Value) -> BadValueError:
    """Return the error of a missing value that would become output."""
    return BadValueError(value.why if value.__class__ is Missing else "the value is nil")


def check_inner(value: Value, level: int) -> None:
    """Refuse to print a value that contains itself, or that is missing within another.

    Raises:
        BadValueError: It is or does.
    """
    if level > MAX_LEVELS:
        raise BadValueError(
            f"a value is nested more than {MAX_LEVELS} levels deep; does a map contain itself?"
        )
    if level and is_missing(value):
        raise BadValueError(
            "a list or map that is printed contains a missing value; "
            "use toJson, or print its elements one by one"
        )


def _collect(value: Value, level: int, pieces: list[bytes], budget: TemplateBudget) -> None:
    budget.step()
    check_inner(value, level)
    if isinstance(value, list):
        separator = b"["
        for item in value:
            pieces.append(separator)
            _collect(item, level + 1, pieces, budget)
            separator = b" "
        end = b"]" if value else b"[]"
    elif isinstance(value, dict):
        separator = b"map["
        for key in sorted(value):
            pieces += (separator, key, b":")
            budget.create(len(key) + 1)
            _collect(value[key], level + 1, pieces, budget)
            separator = b" "
        end = b"]" if value else b"map[]"
    else:
        end = value if value.__class__ is bytes else _scalar(value)
    budget.create(len(end) + 1)
    pieces.append(end)


def _scalar(value: Value) -> bytes:
    kind = value.__class__
    if kind is DocumentNumber:
        text: bytes = value.text
        return text
    if kind is float:
        return shortest(value)
    if kind is bool:
        return b"true" if value else b"false"
    if isinstance(value, int) and not hasattr(value, "__bytes__"):
        return str(int(value)).encode()
    if kind is complex:
        return complex_text(value)
    if value is None or kind is Missing:
        raise missing(value)
    return bytes(value)


def complex_text(value: complex) -> bytes:
    """Return ``(1+2i)``."""
    real, imaginary = shortest(value.real), shortest(value.imag)
    sign = b"" if imaginary[:1] in b"+-" else b"+"
    return b"(" + real + sign + imaginary + b"i)"
