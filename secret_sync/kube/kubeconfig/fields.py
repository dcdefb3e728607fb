"""The fields of a map in a kubeconfig, read by type."""

from __future__ import annotations

import base64
import binascii
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from secret_sync.errors import DefiniteError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

#: Bytes of a kubeconfig or of a file that it names.
MAX_BYTES: Final = 4 * 1024 * 1024
#: Characters of a name that a message shows.
_SHOWN: Final = 80


_PLAIN: Final = re.compile(r"[\w./-]*", re.ASCII)


class Fields:
    """A map, and where it stands; ``null`` is absent, as it is for kubectl.

    All methods raise ``DefiniteError``, which names the field and shows no value.

    Args:
        value: The value in the file.
        place: Its path in messages; ``""`` for the file itself.
        file: The file that holds it; relative paths start there.
    """

    def __init__(self, value: Any, place: str, file: Path) -> None:
        self.place = place
        self.file = file
        if not isinstance(value, dict):
            self.refuse("", f"expected a map, found {_kind(value)}")
        self._value: dict[Any, Any] = value

    def refuse(self, name: str, why: str) -> NoReturn:
        """Say what is wrong with a field; ``""`` for the whole map."""
        shown = name if _PLAIN.fullmatch(name) else quoted(name)
        place = ".".join(part for part in (self.place, shown) if part)
        message = f"{place}: {why}" if place else why
        raise DefiniteError(f"{message} (kubeconfig {quoted(self.file)})")

    def has(self, name: str) -> bool:
        """Return whether the field has a value."""
        return self._value.get(name) not in (None, "", [], {})

    def only(self, known: Collection[str]) -> None:
        """Refuse unknown fields."""
        unknown = [name for name in self._value if name not in known]
        if unknown:
            self.refuse(str(unknown[0]), "not supported; remove the field")

    def text(self, name: str) -> str:
        """Return a string; ``""`` if it is missing."""
        value = self._value.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.refuse(name, f"expected a string, found {_kind(value)}; put it in quotes")
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean; ``False`` if it is missing."""
        value = self._value.get(name)
        if not isinstance(value, bool | None):
            self.refuse(name, f"expected true or false, found {_kind(value)}")
        return bool(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        values = self._list(name)
        if not all(isinstance(value, str) for value in values):
            self.refuse(name, "expected a list of strings; put them in quotes")
        return tuple(values)

    def map(self, name: str) -> Fields | None:
        """Return a map."""
        value = self._value.get(name)
        place = f"{self.place}.{name}" if self.place else name
        return None if value is None else Fields(value, place, self.file)

    def maps(self, name: str) -> Iterator[Fields]:
        """Return a list of maps."""
        place = f"{self.place}.{name}" if self.place else name
        for number, value in enumerate(self._list(name)):
            yield Fields(value, f"{place}[{number}]", self.file)

    def names(self) -> tuple[str, ...]:
        """Return the given fields; each has to be a string."""
        if not all(isinstance(name, str) for name in self._value):
            self.refuse("", "expected strings for names; put them in quotes")
        return tuple(self._value)

    def raw(self, name: str) -> Any:
        """Return the value as it is."""
        return self._value.get(name)

    def path(self, name: str) -> str:
        """Return a path, relative to the file; ``""`` if it is missing."""
        value = self.text(name)
        return os.path.join(self.file.parent, value) if value else ""  # noqa: PTH118 (keeps ..)

    def content(self, name: str) -> bytes:
        """Return the contents of the file that the field names."""
        try:
            return read_file(self.path(name))
        except (OSError, ValueError) as error:
            # Without the path: a token or a key may have been written there by mistake.
            why = error.strerror if isinstance(error, OSError) else "this is not a path"
            self.refuse(name, f"the file cannot be read ({why})")

    def data_or_file(self, name: str) -> bytes:
        """Return the contents of ``NAME-data`` in base64, or else of the file ``NAME``."""
        data = f"{name}-data"
        if self.has(data) and self.has(name):
            self.refuse(data, f"{name} is set, too; remove one of them")
        if not self.has(data):
            return self.content(name) if self.has(name) else b""
        text = "".join(self.text(data).split())
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            self.refuse(data, "expected base64")

    def _list(self, name: str) -> list[Any]:
        value = self._value.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.refuse(name, f"expected a list, found {_kind(value)}")
        return value


def read_file(path: str) -> bytes:
    """Return the contents of a file.

    Raises:
        OSError: It cannot be read, or has more bytes than such a file has.
    """
    with Path(path).open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(0, f"more than {MAX_BYTES // 2**20} MiB")
    return content


def quoted(name: object) -> str:
    """Return a name in one line, whatever characters it has."""
    text = str(name)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def _kind(value: Any) -> str:
    kinds = {
        type(None): "nothing",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "a map",
    }
    return kinds.get(type(value), "something else")
