"""Constraints on versions: ``^1.2.3``, ``~1.2``, ``>=1.2 <2 || 3.x``, ``1.2 - 1.4``."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secret_sync.templates.versions import NotAVersionError, parse_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.templates.versions import SemanticVersion

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
_ANY: Final = frozenset(("x", "X", "*", None))
_NAMES: Final = ("major", "minor", "patch")


class _Constraint(NamedTuple):
    """One constraint.

    Attributes:
        version: With zeros for numbers that are missing or ``x``.
        given: How many numbers are there before the first one that is missing.
    """

    version: SemanticVersion
    given: int

    @property
    def dirty(self) -> bool:
        """Whether a number is missing."""
        return self.given < len(_NAMES)

    @property
    def minor_dirty(self) -> bool:
        """Whether the minor number is the first one that is missing."""
        return self.given == 1

    @property
    def patch_dirty(self) -> bool:
        """Whether only the patch number is missing."""
        return self.given == len(_NAMES) - 1


def satisfies(version: SemanticVersion, text: str) -> bool | None:
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
    *numbers, prerelease = _regex(_PARTS).fullmatch(text).groups()
    given = next((at for at, number in enumerate(numbers) if number in _ANY), len(numbers))
    if given == len(numbers):
        return _Constraint(parse_version(text), given)
    filled = ".".join([*numbers[:given], *["0"] * (len(numbers) - given)])
    return _Constraint(parse_version(filled + (prerelease or "")), given)


def _unwanted(version: SemanticVersion, constraint: _Constraint) -> bool:
    """Return whether it is a pre-release, and the constraint names none."""
    return bool(version.prerelease) and not constraint.version.prerelease


def _not_equal(version: SemanticVersion, constraint: _Constraint) -> bool:
    other = constraint.version
    if constraint.dirty and _unwanted(version, constraint):
        return False
    if not constraint.given or not constraint.dirty:
        return version != other
    given = (version.major, version.minor)[: constraint.given]
    if given != (other.major, other.minor)[: constraint.given]:
        return True
    return constraint.patch_dirty and version.prerelease != other.prerelease


def _greater(version: SemanticVersion, constraint: _Constraint) -> bool:
    other = constraint.version
    if _unwanted(version, constraint):
        return False
    if version.major == other.major and constraint.minor_dirty:
        return False
    if version.major == other.major and constraint.patch_dirty:
        return version.minor > other.minor
    return version > other


def _less(version: SemanticVersion, constraint: _Constraint) -> bool:
    return not _unwanted(version, constraint) and version < constraint.version


def _greater_or_equal(version: SemanticVersion, constraint: _Constraint) -> bool:
    return not _unwanted(version, constraint) and version >= constraint.version


def _less_or_equal(version: SemanticVersion, constraint: _Constraint) -> bool:
    other = constraint.version
    if _unwanted(version, constraint):
        return False
    if not constraint.dirty:
        return version <= other
    if version.major != other.major:
        return version.major < other.major
    return constraint.minor_dirty or version.minor <= other.minor


def _tilde(version: SemanticVersion, constraint: _Constraint) -> bool:
    other = constraint.version
    if _unwanted(version, constraint) or version < other:
        return False
    if not (other.major or other.minor or other.patch) and not (
        constraint.minor_dirty or constraint.patch_dirty
    ):
        return True
    return version.major == other.major and (constraint.minor_dirty or version.minor == other.minor)


def _equal(version: SemanticVersion, constraint: _Constraint) -> bool:
    if constraint.dirty:
        return _tilde(version, constraint)
    return not _unwanted(version, constraint) and version == constraint.version


def _caret(version: SemanticVersion, constraint: _Constraint) -> bool:
    other = constraint.version
    if _unwanted(version, constraint) or version < other or version.major != other.major:
        return False
    if other.major or constraint.minor_dirty:
        return True
    if other.minor or constraint.patch_dirty or version.minor:
        return version.minor == other.minor
    return version.patch == other.patch


_OPERATORS: Final[dict[str, Callable[[SemanticVersion, _Constraint], bool]]] = {
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
