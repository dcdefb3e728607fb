"""Where findings about objects are kept: each once, and none that follows from another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.cli.check.findings import Finding, Severity, written

if TYPE_CHECKING:
    from secret_sync.cli.check.findings import Path
    from secret_sync.cli.check.objects import Subject


class Ledger:
    """Findings in the order in which they were made."""

    def __init__(self, findings: list[Finding]) -> None:
        self._findings = dict.fromkeys(findings)

    @property
    def findings(self) -> list[Finding]:
        """All of them."""
        return list(self._findings)

    def problem(self, subject: Subject, path: Path, message: str, reason: str) -> None:
        """What the controller would say of an object.

        Where the schema has something against the same field, or one around or below it, that
        comes first: the API server would not let the object through.
        """
        if not any(_related(path, faulty) for faulty in subject.faulty):
            self.tell(Severity.PROBLEM, subject, path, message, reason)

    def tell(
        self, severity: Severity, subject: Subject, path: Path, message: str, reason: str
    ) -> None:
        """Something else."""
        place = subject.node.find(path)
        finding = Finding(severity, place, subject.who, written(path), message, str(reason))
        self._findings.setdefault(finding)


def _related(one: Path, other: Path) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]
