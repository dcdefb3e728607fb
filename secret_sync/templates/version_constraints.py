"""Constraints on versions: ``^1.2.3``, ``~1.2``, ``>=1.2 <2 || 3.x``, ``1.2 - 1.4``."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secret_sync.templates.versions import NotAVersionError, Version, parse_version

if TYPE_CHECKING:
    from collections.abc import Callable

#: Characters of all constraints together.
_MAX_TEXT: Final = 1024

_NUMBER: Final = r"[0-9|xX*]+"
_IDENTIFIERS: Final = r"[0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*"
_VERSION: Final = (
    rf"v?(?:{_NUMBER})(?:\.{_NUMBER})?(?:\.{_NUMBER})?(?:-{_IDENTIFIERS})?(?:\+{_IDENTIFIERS})?"
)
# In this order, as the library tries them.
_OPERATOR: Final = r"(?:=||!=|>|<|>=|=>|<=|=<|~|~>|\^)"
_RANGE: Final = rf"\s*({_VERSION})\s+-\s+({_VERSION})\s*"
_ALL: Final = rf"\s*{_OPERATOR}\s*{_VERSION}\s*(?:(?:\s+|,\s*){_OPERATOR}\s*{_VERSION}\s*)*"
_EACH: Final = rf"({_OPERATOR})\s*({_VERSION})"
_PARTS: Final = (
    rf"v?({_NUMBER})(?:\.({_NUMBER}))?(?:\.({_NUMBER}))?(-{_IDENTIFIERS})?(?:\+{_IDENTIFIERS})?"
)
_ANY: Final = frozenset(("x", "X", "*", ""))


class _Constraint(NamedTuple):
    """One constraint.

    Attributes:
        version: With zeros for numbers that are missing or ``x``.
        dirty: Whether a number is missing.
        minor_dirty: Whether the minor number is the first one that is missing.
        patch_dirty: Whether the patch number is.
    """

    version: Version
    dirty: bool
    minor_dirty: bool
    patch_dirty: bool


def satisfies(version: Version, text: str) -> bool | None:
    """Return whether the version satisfies the constraints; ``None`` if they cannot be parsed."""
    if len(text) > _MAX_TEXT:
        return None
    for found in _regex(_RANGE).finditer(text):
        text = text.replace(found.group(), f">= {found.group(1)}, <= {found.group(2)} ", 1)
    alternatives = []
    try:
        for alternative in text.split("||"):
            if _regex(_ALL).fullmatch(alternative) is None:
                return None
            alternatives.append(
                [
                    (found.group(1), _parsed(found.group(2)))
                    for found in _regex(_EACH).finditer(alternative)
                ]
            )
    except NotAVersionError:
        return None
    return any(
        all(_OPERATORS[operator](version, constraint) for operator, constraint in constraints)
        for constraints in alternatives
    )


@lru_cache(maxsize=4)
def _regex(pattern: str) -> Any:
    # With RE2, because Python's own module takes exponential time for some texts.
    import re2  # noqa: PLC0415

    return re2.compile(pattern)


def _parsed(text: str) -> _Constraint:
    match = _regex(_PARTS).fullmatch(text)
    major, minor, patch, prerelease = (part or "" for part in match.groups())
    if major in _ANY:
        return _Constraint(parse_version(f"0.0.0{prerelease}"), True, False, False)
    if minor in _ANY:
        return _Constraint(parse_version(f"{major}.0.0{prerelease}"), True, True, False)
    if patch in _ANY:
        return _Constraint(parse_version(f"{major}.{minor}.0{prerelease}"), True, False, True)
    return _Constraint(parse_version(text), False, False, False)


def _unwanted(version: Version, constraint: _Constraint) -> bool:
    """Return whether it is a pre-release, and the constraint names none."""
    return bool(version.prerelease) and not constraint.version.prerelease


def _not_equal(version: Version, constraint: _Constraint) -> bool:
    other = constraint.version
    if not constraint.dirty:
        return version != other
    if _unwanted(version, constraint):
        return False
    if version.major != other.major:
        return True
    if constraint.minor_dirty:
        return False
    if version.minor != other.minor:
        return True
    if constraint.patch_dirty:
        return version.prerelease != other.prerelease
    return version != other


def _greater(version: Version, constraint: _Constraint) -> bool:
    other = constraint.version
    if _unwanted(version, constraint):
        return False
    if version.major == other.major and constraint.minor_dirty:
        return False
    if version.major == other.major and constraint.patch_dirty:
        return version.minor > other.minor
    return version > other


def _less(version: Version, constraint: _Constraint) -> bool:
    return not _unwanted(version, constraint) and version < constraint.version


def _greater_or_equal(version: Version, constraint: _Constraint) -> bool:
    return not _unwanted(version, constraint) and version >= constraint.version


def _less_or_equal(version: Version, constraint: _Constraint) -> bool:
    other = constraint.version
    if _unwanted(version, constraint):
        return False
    if not constraint.dirty:
        return version <= other
    if version.major != other.major:
        return version.major < other.major
    return constraint.minor_dirty or version.minor <= other.minor


def _tilde(version: Version, constraint: _Constraint) -> bool:
    other = constraint.version
    if _unwanted(version, constraint) or version < other:
        return False
    if not (other.major or other.minor or other.patch) and not (
        constraint.minor_dirty or constraint.patch_dirty
    ):
        return True
    return version.major == other.major and (constraint.minor_dirty or version.minor == other.minor)


def _equal(version: Version, constraint: _Constraint) -> bool:
    if constraint.dirty:
        return _tilde(version, constraint)
    return not _unwanted(version, constraint) and version == constraint.version


def _caret(version: Version, constraint: _Constraint) -> bool:
    other = constraint.version
    if _unwanted(version, constraint) or version < other or version.major != other.major:
        return False
    if other.major or constraint.minor_dirty:
        return True
    if other.minor or constraint.patch_dirty or version.minor:
        return version.minor == other.minor
    return version.patch == other.patch


_OPERATORS: Final[dict[str, Callable[[Version, _Constraint], bool]]] = {
    "": _equal,
    "=": _equal,
    "!=": _not_equal,
    ">": _greater,
    "<": _less,
    ">=": _greater_or_equal,
    "=>": _greater_or_equal,
    "<=": _less_or_equal,
    "=<": _less_or_equal,
    "~": _tilde,
    "~>": _tilde,
    "^": _caret,
}
