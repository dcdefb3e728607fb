"""Findings of a check, and their positions in the files."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from secret_sync.cli.check.objects import CheckedObject
    from secret_sync.resources.meta import FieldPath


class Severity(StrEnum):
    """How much a finding matters."""

    PROBLEM = "problem"
    """The API server or the controller would refuse it."""
    WARNING = "warning"
    """It works, or may work, but is hardly what was meant."""
    NOTE = "note"
    """What the files alone do not show."""


class CheckReason(StrEnum):
    """Reasons of this command, beside those of the controller's conditions."""

    UNREADABLE = "Unreadable"
    """The file cannot be read, or is too large."""
    BAD_YAML = "BadYAML"
    """It is not YAML, or YAML that cannot be used."""
    INVALID = "Invalid"
    """The API server would refuse the object: its own reason."""
    UNKNOWN_FIELD = "UnknownField"
    """kubectl would refuse the object; other clients would lose the field silently."""
    UNKNOWN_KIND = "UnknownKind"
    """There is no such kind, or no such version of it."""
    DEFINED_TWICE = "DefinedTwice"
    """The same object is in the files twice."""
    IGNORED = "Ignored"
    """It is set, but has no effect."""
    CONSTANT = "Constant"
    """A path does not read the document: its value is a constant."""
    UNKNOWN_KEY = "UnknownKey"
    """A template reads a key that no entry produces."""
    SAMPLE_UNUSED = "SampleUnused"
    """A sample is for a secret that no entry uses."""
    REQUIRES = "Requires"
    """What a controller needs in order to process the object."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a file; lines and columns count from 1, and 0 is the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return the form that editors and terminals recognise as a link."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """The object that a finding is about; empty if it is about the file.

    Attributes:
        namespace: As written or assumed; ``""`` for a cluster-scoped object.
    """

    kind: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def title(self) -> str:
        """What a message of the controller calls it."""
        return f"{self.kind} {self.namespace}/{self.name}".replace(" /", " ")

    def __str__(self) -> str:
        """Return the name for a report."""
        return f"{self.kind}/{self.name or '?'}" if self.kind else ""


NO_OBJECT: Final = ObjectRef()


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        path: The field, as `written` formats it; ``""`` for the object or the file.
        reason: The reason of a condition, or a `CheckReason`.
    """

    severity: Severity
    place: Place
    ref: ObjectRef
    path: str
    message: str
    reason: str


def written(path: FieldPath) -> str:
    """Format a path as people write it: ``spec.data[0].key``."""
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
    """Return the sort key of findings: their position in the files."""
    return finding.place, finding.path, finding.message


class Findings:
    """Findings in the order in which they were made, each once."""

    def __init__(self, findings: list[Finding]) -> None:
        self._findings = dict.fromkeys(findings)

    @property
    def all(self) -> list[Finding]:
        """Return all findings."""
        return list(self._findings)

    def add_problem(self, obj: CheckedObject, path: FieldPath, message: str, reason: str) -> None:
        """Add what the controller would report about an object.

        Nothing is added if the schema already rejects the same field, or one above or below it:
        the API server would not accept the object.
        """
        if not any(_related(path, invalid) for invalid in obj.invalid_fields):
            self.add(Severity.PROBLEM, obj, path, message, reason)

    def add(
        self, severity: Severity, obj: CheckedObject, path: FieldPath, message: str, reason: str
    ) -> None:
        """Add any other finding."""
        place = obj.node.find(path)
        # The line names object and field; a message that begins with them would do so again.
        field = written(path)
        message = message.removeprefix(f"{obj.ref.title}: ").removeprefix(f"{field}: ")
        finding = Finding(severity, place, obj.ref, field, message, str(reason))
        self._findings.setdefault(finding)


def _related(one: FieldPath, other: FieldPath) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]
