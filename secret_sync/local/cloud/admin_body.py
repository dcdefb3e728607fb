"""What the admin API's operations read their JSON with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def take(body: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """Return a value; raises `TypeError` if it is missing without a default, or of another type."""
    value = body.get(name, default)
    if not isinstance(value, kind):
        raise TypeError(f"{name} is to be a {kind.__name__}")
    return value


def take_strings(
    body: Mapping[str, Any], name: str, default: tuple[str, ...] | None = None
) -> tuple[str, ...]:
    """Return a list of strings; raises `TypeError` as `take` does."""
    if name not in body and default is not None:
        return default
    values = take(body, name, list)
    if not all(isinstance(value, str) for value in values):
        raise TypeError(f"{name} is to be a list of strings")
    return tuple(values)


def check(body: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    """Refuse a name that is unknown and a value of the wrong type; raises `TypeError`."""
    for name, value in body.items():
        if name not in kinds or not isinstance(value, kinds[name]):
            raise TypeError(f"{name} is unknown or of the wrong type")
