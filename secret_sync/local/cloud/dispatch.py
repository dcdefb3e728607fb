"""Calls of the admin API: a method of an object over there, with its arguments in JSON.

The methods are defined once, in the `admin` modules. Their annotations are the schema of the
requests: `operations` checks arguments against them, `remote` gives them to the client.
"""

from __future__ import annotations

import base64
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from enum import Enum
from functools import wraps
from types import UnionType
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, get_args
from typing import get_origin as origin_of
from typing import get_type_hints as hints_of

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")

_BINARY: Final = "base64"


class Caller(Protocol):
    """Makes one request of the admin API."""

    async def call(self, operation: str, /, **arguments: Any) -> Any: ...


def remote(
    operation: Callable[Concatenate[Any, P], T],
) -> Callable[Concatenate[Caller, P], Coroutine[Any, Any, T]]:
    """Return a method of a `Caller` that has the server execute an operation."""
    names = [*inspect.signature(operation).parameters][1:]
    result = hints_of(operation)["return"]

    @wraps(operation)
    async def call(caller: Caller, /, *args: P.args, **kwargs: P.kwargs) -> T:
        answer = await caller.call(
            operation.__name__, **dict(zip(names, args, strict=False)), **kwargs
        )
        converted: T = convert(answer, result, "result")
        return converted

    return call


def operations(*parts: object) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
    """Return the public methods of all parts by name; each takes its arguments as read from JSON.

    They raise what the methods raise, and `TypeError` or `ValueError` for wrong arguments.
    """
    return {
        name: _operation(method)
        for part in parts
        for name, method in inspect.getmembers(part, inspect.ismethod)
        if not name.startswith("_")
    }


def encode(content: Any) -> bytes:
    """Return JSON, with `bytes` as an object around their base64."""
    return orjson.dumps(content, default=_encode_bytes)


def convert(value: Any, kind: Any, name: str) -> Any:
    """Return a value from JSON as the type of an annotation.

    Args:
        value: Not quoted in errors: it may be secret.
        kind: A type, union, enumeration, dataclass, or a sequence or mapping of those.
        name: For errors.

    Raises:
        TypeError: It is of another type, or a dataclass lacks a field.
        ValueError: No such member of an enumeration, no base64, or what the dataclass raises.
    """
    origin, inner = origin_of(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is UnionType:
        return _convert_union(value, inner, name)
    if origin in {list, tuple, Sequence} and isinstance(value, list):
        fixed = origin is tuple and inner[-1] is not Ellipsis
        kinds = inner if fixed else inner[:1] * len(value)
        items = [convert(item, k, name) for item, k in zip(value, kinds, strict=True)]
        return items if origin is list else tuple(items)
    if origin in {dict, Mapping} and isinstance(value, dict):
        return {key: convert(item, inner[1], name) for key, item in value.items()}
    if isinstance(kind, type) and origin is None:
        return _convert_plain(value, kind, name)
    raise TypeError(f"{name} is to be a {kind}")


def convert_each(
    values: Mapping[str, Any], kinds: Mapping[str, Any], other: Any = None
) -> dict[str, Any]:
    """Convert values by name; a name without a type in `kinds` is of type `other`, or refused."""
    unknown = [name for name in values if kinds.get(name, other) is None]
    if unknown:
        raise TypeError(f"{unknown[0]} is unknown")
    return {name: convert(value, kinds.get(name, other), name) for name, value in values.items()}


def _operation(method: Callable[..., Any]) -> Callable[[Mapping[str, Any]], Any]:
    kinds = hints_of(method)
    rest = inspect.getfullargspec(method).varkw
    other = kinds.get(rest) if rest else None
    return lambda arguments: method(**convert_each(arguments, kinds, other))


def _convert_union(value: Any, kinds: Sequence[Any], name: str) -> Any:
    problem: Exception | None = None
    for kind in kinds:
        try:
            return convert(value, kind, name)
        except (TypeError, ValueError) as error:
            problem = problem or error
    raise problem or TypeError(name)


def _convert_plain(value: Any, kind: type, name: str) -> Any:
    if isinstance(value, dict) and is_dataclass(kind):
        return kind(**convert_each(value, hints_of(kind)))
    if isinstance(value, dict) and kind is bytes and [*value] == [_BINARY]:
        return base64.b64decode(value[_BINARY], validate=True)
    if issubclass(kind, Enum):
        return kind(value)
    if not isinstance(value, int | float if kind is float else kind):
        raise TypeError(f"{name} is to be a {kind.__name__}")
    return value


def _encode_bytes(value: Any) -> dict[str, str]:
    if not isinstance(value, bytes):
        raise TypeError(f"not JSON: {type(value).__name__}")
    return {_BINARY: base64.b64encode(value).decode()}
