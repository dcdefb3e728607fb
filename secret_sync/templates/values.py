"""The values of templates: what stands for which of Go's.

| Go | here |
|---|---|
| string | `bytes`, not necessarily UTF-8 |
| int; int64; uint8 | `int`; `Int64`; `Uint8` |
| float64 | `float`; `DocumentNumber` if a document has it |
| bool, complex128 | `bool`, `complex` |
| slice, map | `list`, `dict` with `bytes` as keys; one kind of each |
| nil | `None`, also JSON's null |
| what is not there | `Missing` |
| time.Time, time.Duration, semver.Version | classes of `dates` and `versions` |

Nobody changes a list that is a value. A map is changed by ``set``, ``unset`` and the
functions that merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeAlias

from secret_sync.templates.suggestions import closest

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Any value; see the table above.
Value: TypeAlias = Any


class Int64(int):
    """An int64, which Go does not accept where a parameter is an int."""

    __slots__ = ()


class Uint8(int):
    """A byte of a string."""

    __slots__ = ()


class DocumentNumber(float):
    """A number of a document: a float64 that is printed as it was written.

    Attributes:
        text: As it was written; a number of a document has digits, ``.``, ``e`` and signs only.
    """

    __slots__ = ("text",)

    text: bytes

    def __new__(cls, text: bytes) -> Self:
        """Keep the text beside the nearest float64."""
        number = super().__new__(cls, text)
        number.text = text
        return number


class Missing:
    """A value that is not there: fine for ``if`` and ``default``, an error as output.

    Args:
        what: A sentence for a person that names the key.
        key: The key, if it was looked for in a map.
        keys: The keys of that map.
    """

    __slots__ = ("_key", "_keys", "_what")

    def __init__(self, what: str, key: bytes = b"", keys: Iterable[bytes] = ()) -> None:
        self._what = what
        self._key = key
        self._keys = keys

    def __bool__(self) -> bool:
        return False

    @property
    def why(self) -> str:
        """The sentence, with the closest existing key: comparing is too costly before."""
        names = (key.decode("utf-8", "replace") for key in self._keys)
        near = closest(self._key.decode("utf-8", "replace"), names)
        return f'{self._what}; the closest is "{near}"' if near else self._what


def is_missing(value: Value) -> bool:
    """Whether there is no value: nil, null, or not found."""
    return value is None or value.__class__ is Missing
