"""Fields and methods of values."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from secret_sync.templates.arguments import wrong_number
from secret_sync.templates.errors import FunctionError
from secret_sync.templates.kinds import described
from secret_sync.templates.values import Missing, is_missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.templates.frames import Origin
    from secret_sync.templates.functions import Function
    from secret_sync.templates.rendering import Rendering
    from secret_sync.templates.values import Value


class Path(NamedTuple):
    """Fields that are read one after the other.

    Attributes:
        origin: Where they are read.
        base: What is before them: ``""`` for ``.``, ``$x``, or ``(...)``.
        names: The fields.
        keys: The same as keys of a map.
    """

    origin: Origin
    base: str
    names: Sequence[str]
    keys: Sequence[bytes]

    def spelled(self, number: int) -> str:
        """Return the path up to that many fields, as templates write it."""
        return self.base + "".join(f".{name}" for name in self.names[:number]) or "."


def read_path(path: Path, value: Value, rendering: Rendering) -> Value:
    """Return the field of a field and so on; `Missing` if one of them is missing.

    Raises:
        TemplateError: A value on the way can have no fields.
    """
    for index, key in enumerate(path.keys):
        if value.__class__ is dict:
            found = value.get(key)
            value = absent(path, index, value) if found is None else found
        elif is_missing(value):
            return value if value is not None else Missing(f"{path.spelled(index)} is nil")
        else:
            value = call_method(path, index, value, rendering)
    return value


def absent(path: Path, index: int, holder: dict[bytes, Value]) -> Missing:
    """Return the missing value of a key that is not in a map, or is null there."""
    name = path.spelled(index + 1)
    key = path.keys[index]
    if key in holder:
        return Missing(f"{name} is null")
    return Missing(f'{name} is missing: there is no key "{path.names[index]}"', key, holder)


def method_of(path: Path, index: int, value: Value) -> Function:
    """Return the method of a value that is no map.

    Raises:
        TemplateError: It has none of this name.
    """
    methods: dict[str, Function] = getattr(value, "methods", {})
    found = methods.get(path.names[index])
    if found is None:
        raise _no_field(path, index, value)
    return found


def call_method(path: Path, index: int, value: Value, rendering: Rendering) -> Value:
    """Return the result of a method without arguments."""
    method = method_of(path, index, value)
    problem = wrong_number(method, 0)
    if problem:
        raise path.origin.failed(problem)
    try:
        return method.run(rendering, value)
    except FunctionError as error:
        raise path.origin.of_function(method.name, error) from None


def _no_field(path: Path, index: int, value: Value) -> Exception:
    before, field = path.spelled(index), path.names[index]
    problem = f"{before} is {described(value)} and has no field {field}"
    if isinstance(value, bytes):
        advice = f'use (fromJson {before}).{field} or jsonPath {before} "{field}"'
    elif isinstance(value, list):
        advice = f"use index {before} 0, or range"
    elif hasattr(value, "methods"):
        advice = f"it has the methods {', '.join(sorted(value.methods))}"
    else:
        advice = "only maps have fields"
    return path.origin.failed(f"{problem}; {advice}", plain=f"{described(value)} has no fields")
