"""Semantic versions and constraints on them, as the library that Sprig uses defines them."""

from __future__ import annotations

import re
from functools import total_ordering
from typing import TYPE_CHECKING, Any, ClassVar, Final

from secret_sync.templates.errors import FunctionError
from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.kinds import described
from secret_sync.templates.values import Int64

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.templates.functions import Function
    from secret_sync.templates.rendering import Rendering

VERSIONS: Final = FunctionTable()
_METHODS: Final = FunctionTable()

_UINT64: Final = 2**64
_REST: Final = (
    r"(?:-([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?(?:\+([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?"
)
_VERSION: Final = re.compile(rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?{_REST}")
_NUMERIC: Final = re.compile(r"[0-9]+")
#: Characters of a version or constraint.
_MAX_TEXT: Final = 1024


class NotAVersionError(Exception):
    """A text is no version."""


@total_ordering
class SemanticVersion:
    """A semantic version."""

    __slots__ = ("major", "metadata", "minor", "original", "patch", "prerelease")
    names: ClassVar = ("*semver.Version", "ptr", "a version")
    methods: ClassVar[Mapping[str, Function]] = _METHODS.functions

    def __init__(
        self,
        major: int,
        minor: int,
        patch: int,
        prerelease: str = "",
        metadata: str = "",
        original: str = "",
    ) -> None:
        self.major = major
        self.minor = minor
        self.patch = patch
        self.prerelease = prerelease
        self.metadata = metadata
        self.original = original or self.text()

    def text(self) -> str:
        """Return the version with all three numbers."""
        prerelease = f"-{self.prerelease}" if self.prerelease else ""
        metadata = f"+{self.metadata}" if self.metadata else ""
        return f"{self.major}.{self.minor}.{self.patch}{prerelease}{metadata}"

    @property
    def precedence(self) -> tuple[Any, ...]:
        """What versions are ordered by: metadata do not count."""
        parts = self.prerelease.split(".") if self.prerelease else []
        # A version without pre-release comes after the ones with; numbers before words.
        return (
            self.major,
            self.minor,
            self.patch,
            not parts,
            [_part_precedence(part) for part in parts],
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SemanticVersion) and self.precedence == other.precedence

    def __lt__(self, other: SemanticVersion) -> bool:
        return self.precedence < other.precedence

    def __hash__(self) -> int:
        return hash((self.major, self.minor, self.patch, self.prerelease))

    def __bytes__(self) -> bytes:
        return self.text().encode()

    def json_text(self) -> bytes:
        """Return what JSON has for it, without quotes."""
        return bytes(self)


def _part_precedence(part: str) -> tuple[bool, int, str]:
    if _NUMERIC.fullmatch(part) and int(part) < _UINT64:
        return (False, int(part), "")
    return (True, 0, part)


def parse_version(text: str) -> SemanticVersion:
    """Return the version; numbers after the first may be missing.

    Raises:
        NotAVersionError: The text is no version.
    """
    match = _VERSION.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None:
        raise NotAVersionError
    major, minor, patch = (int(part or "0") for part in match.groups()[:3])
    prerelease, metadata = match[4] or "", match[5] or ""
    if max(major, minor, patch) >= _UINT64 or not _is_prerelease(prerelease):
        raise NotAVersionError
    return SemanticVersion(major, minor, patch, prerelease, metadata, text)


def _is_prerelease(text: str) -> bool:
    return not any(
        len(part) > 1 and part.startswith("0") and _NUMERIC.fullmatch(part)
        for part in text.split(".")
    )


@VERSIONS.function("semver", Kind.STRING)
def _semver(_: Rendering, text: bytes) -> SemanticVersion:
    return _required("semver", text)


@VERSIONS.function("semverCompare", Kind.STRING, Kind.STRING)
def _semver_compare(rendering: Rendering, constraint: bytes, version: bytes) -> bool:
    # Few templates need it.
    from secret_sync.templates.version_constraints import satisfies  # noqa: PLC0415

    rendering.budget.step(40 + 2 * len(constraint))
    satisfied = satisfies(
        _required("semverCompare", version), constraint.decode("ascii", "replace")
    )
    if satisfied is None:
        raise FunctionError("semverCompare needs a constraint such as ^1.2.3 or >=1.2, <2")
    return satisfied


def _required(name: str, text: bytes) -> SemanticVersion:
    try:
        return parse_version(text.decode("ascii", "replace"))
    except NotAVersionError:
        raise FunctionError(f"{name} needs a version such as 1.2.3 or v1.2.3-rc.1") from None


def _other(name: str, value: Any) -> SemanticVersion:
    if not isinstance(value, SemanticVersion):
        raise FunctionError(f"{name} needs a version, this is {described(value)}; use semver")
    return value


@_METHODS.function("Major")
def _major(_: Rendering, version: SemanticVersion) -> Int64:
    return Int64(version.major)


@_METHODS.function("Minor")
def _minor(_: Rendering, version: SemanticVersion) -> Int64:
    return Int64(version.minor)


@_METHODS.function("Patch")
def _patch(_: Rendering, version: SemanticVersion) -> Int64:
    return Int64(version.patch)


@_METHODS.function("Prerelease")
def _prerelease(_: Rendering, version: SemanticVersion) -> bytes:
    return version.prerelease.encode()


@_METHODS.function("Metadata")
def _metadata(_: Rendering, version: SemanticVersion) -> bytes:
    return version.metadata.encode()


@_METHODS.function("Original")
def _original(_: Rendering, version: SemanticVersion) -> bytes:
    return version.original.encode()


@_METHODS.function("String")
def _string(_: Rendering, version: SemanticVersion) -> bytes:
    return bytes(version)


@_METHODS.function("Compare", Kind.ANY)
def _compare(_: Rendering, version: SemanticVersion, other: Any) -> int:
    second = _other("Compare", other)
    return (version > second) - (version < second)


@_METHODS.function("Equal", Kind.ANY)
def _equal(_: Rendering, version: SemanticVersion, other: Any) -> bool:
    return version == _other("Equal", other)


@_METHODS.function("LessThan", Kind.ANY)
def _less(_: Rendering, version: SemanticVersion, other: Any) -> bool:
    return version < _other("LessThan", other)


@_METHODS.function("LessThanEqual", Kind.ANY)
def _less_equal(_: Rendering, version: SemanticVersion, other: Any) -> bool:
    return version <= _other("LessThanEqual", other)


@_METHODS.function("GreaterThan", Kind.ANY)
def _greater(_: Rendering, version: SemanticVersion, other: Any) -> bool:
    return version > _other("GreaterThan", other)


@_METHODS.function("GreaterThanEqual", Kind.ANY)
def _greater_equal(_: Rendering, version: SemanticVersion, other: Any) -> bool:
    return version >= _other("GreaterThanEqual", other)


@_METHODS.function("IncMajor")
def _inc_major(_: Rendering, version: SemanticVersion) -> SemanticVersion:
    return SemanticVersion(version.major + 1, 0, 0)


@_METHODS.function("IncMinor")
def _inc_minor(_: Rendering, version: SemanticVersion) -> SemanticVersion:
    return SemanticVersion(version.major, version.minor + 1, 0)


@_METHODS.function("IncPatch")
def _inc_patch(_: Rendering, version: SemanticVersion) -> SemanticVersion:
    # A pre-release comes before its version.
    return SemanticVersion(version.major, version.minor, version.patch + (not version.prerelease))
