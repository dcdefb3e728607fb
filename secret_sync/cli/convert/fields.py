"""Read an object field by field, so that what nobody has read can be reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from secret_sync.errors import SecretSyncError

if TYPE_CHECKING:
    from collections.abc import Iterator


class InputError(SecretSyncError):
    """A field has a type that the API server would refuse."""


class ReadFields:
    """A mapping; null is the same as an omitted field.

    Args:
        value: The mapping.
        path: Where it is in its object, for messages.
    """

    def __init__(self, value: Any, path: str = "") -> None:
        if not isinstance(value, dict):
            raise InputError(f"{path or 'the object'} must be a mapping")
        self._left: dict[str, Any] = {k: v for k, v in value.items() if v is not None}
        self._below: list[ReadFields] = []
        self.path = path

    def text(self, name: str) -> str:
        """Return a string; ``""`` if it is missing."""
        value = self._take(name, "")
        if isinstance(value, bool | dict | list):
            raise InputError(f"{self._at(name)} must be a string")
        return str(value)

    def flag(self, name: str) -> bool:
        """Return a boolean; false if it is missing."""
        value = self._take(name, default=False)
        if not isinstance(value, bool):
            raise InputError(f"{self._at(name)} must be true or false")
        return value

    def section(self, name: str) -> ReadFields:
        """Return a mapping; an empty one if it is missing."""
        return self._child(self._take(name, {}), self._at(name))

    def sections(self, name: str) -> list[ReadFields]:
        """Return a list of mappings."""
        items = self._list(name)
        return [self._child(v, f"{self._at(name)}[{n}]") for n, v in enumerate(items)]

    def texts(self, name: str) -> list[str]:
        """Return a list of strings."""
        items = self._list(name)
        if not all(isinstance(item, str) for item in items):
            raise InputError(f"{self._at(name)} must be a list of strings")
        return items

    def strings(self, name: str) -> dict[str, str]:
        """Return a mapping of strings."""
        value = self._take(name, {})
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise InputError(f"{self._at(name)} must be a mapping of strings")
        return dict(value)

    def plain(self, name: str) -> Any:
        """Return a value as it is, read as a whole; ``None`` if it is missing."""
        return self._take(name, None)

    def has(self, name: str) -> bool:
        """Return whether a field is set and was not read yet."""
        return name in self._left

    def unread(self) -> Iterator[str]:
        """Yield the paths of the fields that nobody has read."""
        yield from (self._at(name) for name in self._left)
        for child in self._below:
            yield from child.unread()

    def _take(self, name: str, default: Any) -> Any:
        return self._left.pop(name, default)

    def _list(self, name: str) -> list[Any]:
        value = self._take(name, [])
        if not isinstance(value, list):
            raise InputError(f"{self._at(name)} must be a list")
        return value

    def _child(self, value: Any, path: str) -> ReadFields:
        child = ReadFields(value, path)
        self._below.append(child)
        return child

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name
