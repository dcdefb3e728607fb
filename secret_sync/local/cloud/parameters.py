"""The encrypted parameters of OOS."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_NAME = re.compile(r"[A-Za-z0-9_/-]{1,180}")
_RESERVED: Final = ("ALIYUN", "ACS", "ALIBABA", "ALICLOUD", "OOS")
_MAX_BYTES: Final = 4096
_MAX_VERSIONS: Final = 100


@dataclass(frozen=True, slots=True)
class Value:
    """One version of a parameter."""

    text: str = field(repr=False)
    created: float


@dataclass(slots=True)
class Parameter:
    """A parameter with its versions, of which the last is the current one.

    Attributes:
        id: What the service makes up for it.
        forbidden: Nobody has the permission to read it.
        versions: By number, from 1 on; the oldest of more than a hundred are gone.
    """

    name: str
    account: str
    region: str
    id: str
    created: float
    forbidden: bool = False
    versions: dict[int, Value] = field(default_factory=dict)

    @property
    def current(self) -> int:
        """Return the number of the current version."""
        return max(self.versions)

    def add(self, text: str, now: float) -> int:
        """Give it a new version; return its number.

        Raises:
            ValueError: No parameter has such a value.
        """
        check_value(text)
        number = max(self.versions, default=0) + 1
        self.versions[number] = Value(text, now)
        self.versions.pop(number - _MAX_VERSIONS, None)
        return number


def check_name(name: str) -> None:
    """Check the name of a parameter; raises `ValueError`."""
    if not _NAME.fullmatch(name) or name.startswith(_RESERVED):
        raise ValueError(
            "a parameter's name is 1 to 180 of A-Z a-z 0-9 _ - /, and does not begin with"
            f" {', '.join(_RESERVED)}: not {name!r}"
        )


def check_value(text: str) -> None:
    """Check the value of a parameter; raises `ValueError`, without the value."""
    if not 1 <= len(text.encode()) <= _MAX_BYTES:
        raise ValueError(f"a parameter's value has 1 to {_MAX_BYTES} bytes")
