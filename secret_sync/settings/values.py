"""Readers: each turns a flag's text into a value, or raises ValueError with what would be right."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from secret_sync.settings.model import BindAddress

if TYPE_CHECKING:
    from collections.abc import Callable

_UNITS: Final = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),  # micro sign
    "μs": Decimal("1e-6"),  # Greek mu; Go reads both
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", re.ASCII)
_REGION = re.compile(r"[a-z0-9-]+", re.ASCII)
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?", re.ASCII)
_COUNT = re.compile(r"0*[1-9]\d{0,8}", re.ASCII)
_PORT = re.compile(r"\d{1,5}", re.ASCII)
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_MAX_NAME: Final = 253
_MAX_PORT: Final = 65535
_MAX_DURATION: Final = 2**63 / 1e9  # Go's, in nanoseconds
_MAX_BACKOFF_BASE: Final = 300.0
_MAX_CALL: Final = 25.0
_MAX_LEASE: Final = 3600.0


def parse_duration(text: str) -> float:
    """Read a duration in Go's form (``120s``, ``2m30s``, ``1.5h``) as seconds.

    Raises:
        ValueError: It is invalid; the message says what is expected.
    """
    unsigned = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if unsigned == "0":
        return 0.0
    parts = list(_PART.finditer(unsigned))
    if not parts or "".join(part[0] for part in parts) != unsigned:
        raise ValueError("a duration needs a number and a unit, like 120s, 2m30s or 1.5h")
    seconds = float(sum(Decimal(part[1]) * _UNITS[part[2]] for part in parts))
    if seconds > _MAX_DURATION:
        raise ValueError("that is more than 290 years")
    return -seconds if text.startswith("-") else seconds


def positive_duration(text: str) -> float:
    """Read a duration that is more than nothing, as seconds."""
    seconds = parse_duration(text)
    if seconds <= 0:
        raise ValueError("it must be more than 0s")
    return seconds


def lease_duration(text: str) -> float:
    """Read how long a lease holds, as seconds; the API server keeps whole ones."""
    seconds = positive_duration(text)
    if not 1 <= seconds <= _MAX_LEASE:
        raise ValueError("it must be from 1s to 1h")
    return seconds


def backoff_base(text: str) -> float:
    """Read the first delay of a backoff, as seconds."""
    seconds = positive_duration(text)
    if seconds > _MAX_BACKOFF_BASE:
        raise ValueError("it must be at most 5m, where the backoff ends")
    return seconds


def call_limit(text: str) -> float:
    """Read a limit for a call to Alibaba Cloud, or for a part of one, as seconds."""
    seconds = positive_duration(text)
    if seconds > _MAX_CALL:
        raise ValueError("it must be at most 25s, which is all the time for a session of STS")
    return seconds


def boolean(text: str) -> bool:
    """Read a switch, in any of Go's spellings."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("it must be true or false")


def count(text: str) -> int:
    """Read a whole number, 1 or more."""
    if not _COUNT.fullmatch(text):
        raise ValueError("it must be a whole number, 1 or more")
    return int(text)


def items(text: str) -> tuple[str, ...]:
    """Read a comma list; empty items and repetitions drop out."""
    return tuple(dict.fromkeys(item.strip() for item in text.split(",") if item.strip()))


def namespaces(text: str) -> tuple[str, ...]:
    """Read a comma list of namespace names."""
    names = items(text)
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"{name!r} is not a namespace name")
    return names


def namespace(text: str) -> str:
    """Read the name of one namespace; charts pass an empty one for none."""
    if text and not _NAMESPACE.fullmatch(text):
        raise ValueError("it must be the name of a namespace")
    return text


def dns_name(text: str) -> str:
    """Read the name of an object."""
    if len(text) > _MAX_NAME or not _NAME.fullmatch(text):
        raise ValueError("it must be the name of an object: small letters, digits, '-' and '.'")
    return text


def region(text: str) -> str:
    """Read a region id, which becomes a part of host names; charts pass an empty one for none."""
    if text and not _REGION.fullmatch(text):
        raise ValueError("it must be a region id, like cn-hangzhou")
    return text


def endpoint(text: str) -> str:
    """Read a host with an optional port; charts pass an empty one for none."""
    if text and not _HOST.fullmatch(text):
        raise ValueError("it must be a host or host:port, without https:// and without a path")
    return text


def bind_address(text: str) -> BindAddress | None:
    """Read where to listen; ``0`` is ``None``, nowhere, as in other controllers."""
    if text == "0":
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > _MAX_PORT:
        raise ValueError("it must be host:port, :port for every interface, or 0 for none")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("an IPv6 address needs brackets, like [::1]:8080")
    return BindAddress(host.strip("[]"), int(port))


def one_of(*words: str) -> Callable[[str], str]:
    """Return a reader of one of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"it must be one of {', '.join(words)}")
        return text

    return read
