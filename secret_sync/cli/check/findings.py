"""What is found in the files, and how a place in them is written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

#: Steps into a document: names of fields and numbers of items.
Path: TypeAlias = tuple[str | int, ...]


class Severity(StrEnum):
    """How much a finding matters."""

    PROBLEM = "problem"
    """The API server or the controller would refuse it."""
    WARNING = "warning"
    """It works, or may work, and yet is hardly what was meant."""
    NOTE = "note"
    """What the files alone do not tell."""


class Word(StrEnum):
    """Reasons of this command, beside those of the controller's conditions."""

    UNREADABLE = "Unreadable"
    """The file cannot be read, or is too large."""
    BAD_YAML = "BadYAML"
    """It is no YAML, or YAML that cannot be used."""
    INVALID = "Invalid"
    """The API server would refuse the object: its own word for that."""
    UNKNOWN_FIELD = "UnknownField"
    """kubectl would refuse the object; others would lose the field without a word."""
    UNKNOWN_KIND = "UnknownKind"
    """There is no such kind, or no such version of it."""
    DEFINED_TWICE = "DefinedTwice"
    """The same object is in the files twice."""
    IGNORED = "Ignored"
    """It is written, but has no effect."""
    CONSTANT = "Constant"
    """A path takes nothing of the document: its value is what stands in the file."""
    SAMPLE_UNUSED = "SampleUnused"
    """A sample is for a secret that nothing asks for."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a file; lines and columns count from 1, and 0 is the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """As editors and terminals take it for a link."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Who:
    """The object that a finding is about; empty where it is about the file.

    Attributes:
        namespace: As written, or as it was assumed; ``""`` for one that is in none.
    """

    kind: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        """What a report calls it."""
        return f"{self.kind}/{self.name or '?'}" if self.kind else ""


NOBODY: Final = Who()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to tell.

    Attributes:
        path: The field, as `written` writes it; ``""`` for the object or the file.
        reason: Of a condition, or a `Word`.
    """

    severity: Severity
    place: Place
    who: Who
    path: str
    message: str
    reason: str


def written(path: Path) -> str:
    """A path as people write it: ``spec.data[0].key``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.replace("_", "").isalnum():
            text += f".{step}" if text else step
        else:
            text += f"[{step!r}]"
    return text


def order(finding: Finding) -> tuple[Place, str, str]:
    """The sort key of findings: as they stand in the files."""
    return finding.place, finding.path, finding.message
