"""The values of templates: what stands for which of Go's.

| Go | here |
|---|---|
| string | `bytes`, not necessarily UTF-8 |
| int; int64; uint8 | `int`; `Int64`; `Uint8` |
| float64 | `float`; `Number` if a document has it |
| bool, complex128 | `bool`, `complex` |
| slice, map | `list`, `dict` with `bytes` as keys; one kind of each |
| nil | `None`, also JSON's null |
| what is not there | `Missing` |
| time.Time, time.Duration, semver.Version | classes of `dates` and `versions` |

Nobody changes a list that is a value. A map is changed by ``set`` and ``unset`` only.
"""

from __future__ import annotations

from typing import Any, TypeAlias

#: Any value; see the table above.
Value: TypeAlias = Any


class Int64(int):
    """An int64, which Go does not accept where a parameter is an int."""

    __slots__ = ()


class Uint8(int):
    """A byte of a string."""

    __slots__ = ()


class Number(float):
    """A number of a document: a float64 that is printed as it was written.

    Attributes:
        text: As it was written; a number of a document has digits, ``.``, ``e`` and signs only.
    """

    __slots__ = ("text",)

    text: bytes

    def __new__(cls, text: bytes) -> Number:
        """Keep the text beside the nearest float64."""
        number = super().__new__(cls, text)
        number.text = text
        return number


class Missing:
    """A value that is not there: fine for ``if`` and ``default``, an error as output.

    Attributes:
        why: A sentence for a person that names the key and the closest existing one.
    """

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why

    def __bool__(self) -> bool:
        return False


def is_missing(value: Value) -> bool:
    """Whether there is no value: nil, null, or not found."""
    return value is None or value.__class__ is Missing
