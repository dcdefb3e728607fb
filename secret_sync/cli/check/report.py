"""What is told: for people line by line, for programs as one document of JSON."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.check.findings import Severity
from secret_sync.cli.check.samples import shown
from secret_sync.cli.terminal import Colour, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.cli.check.examine import Report
    from secret_sync.cli.check.findings import Finding
    from secret_sync.cli.check.samples import Taste
    from secret_sync.cli.terminal import Screen

_TITLES: Final = (
    (Severity.PROBLEM, "", Colour.BAD),
    (Severity.WARNING, "Warnings:", Colour.UNSURE),
    (Severity.NOTE, "Notes:", Colour.FAINT),
)
#: Other numbers mean that a field has another meaning.
_VERSION: Final = 1


def text(report: Report, screen: Screen, *, values: bool) -> str:
    """For people.

    Args:
        report: What to tell.
        screen: Where it is shown.
        values: Whether the values of samples are shown.
    """
    blocks = []
    for severity, title, colour in _TITLES:
        lines = [_line(finding, screen, colour) for finding in report.of(severity)]
        if lines:
            blocks.append([title, *lines] if title else lines)
    blocks += [list(_tasted(taste, values=values)) for taste in report.tastes]
    blocks.append([screen.paint(_summary(report), Colour.GOOD if report.good else Colour.BAD)])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def document(report: Report, *, values: bool) -> str:
    """For programs.

    Args:
        report: What to tell.
        values: Whether the values of samples are shown.
    """
    whole = {
        "version": _VERSION,
        "good": report.good,
        "files": report.files,
        "objects": report.checked,
        "skipped": report.skipped,
        "problems": [_finding(finding) for finding in report.of(Severity.PROBLEM)],
        "warnings": [_finding(finding) for finding in report.of(Severity.WARNING)],
        "notes": [_finding(finding) for finding in report.of(Severity.NOTE)],
        "samples": [_sample(taste, values=values) for taste in report.tastes],
    }
    return json.dumps(whole, indent=2) + "\n"


def _line(finding: Finding, screen: Screen, colour: Colour) -> str:
    place = str(finding.place)
    if finding.place.line and not finding.who.kind:
        # Of what is wrong with the text itself the column helps.
        place += f":{finding.place.column}"
    # Some messages begin with the field themselves.
    path = "" if finding.message.startswith(finding.path) else finding.path
    parts = [place, str(finding.who), path, finding.message]
    line = ": ".join(plain(part) for part in parts if part)
    return f"{line} ({screen.paint(finding.reason, colour)})"


def _tasted(taste: Taste, *, values: bool) -> Iterator[str]:
    who = taste.subject.who
    yield plain(f"Keys of Secret {who.namespace}/{taste.secret}, made of samples:")
    for key in sorted(taste.data):
        yield f"  {plain(key)}" + (f" = {shown(taste.data[key])}" if values else "")
    if not taste.data:
        yield "  none"
    if taste.without:
        names = ", ".join(dict.fromkeys(taste.without))
        yield plain(f"and what these entries give, for lack of a usable sample: {names}")


def _summary(report: Report) -> str:
    if not report.checked and report.good:
        start = "nothing to check"
    else:
        start = _count(report.checked, "object")
    problems = _count(len(report.of(Severity.PROBLEM)), "problem")
    told = [f"{start} in {_count(report.files, 'file')}: {problems}"]
    for severity in (Severity.WARNING, Severity.NOTE):
        number = len(report.of(severity))
        told += [_count(number, severity.value)] if number else []
    skipped = f"; {_count(report.skipped, 'document')} of other kinds" if report.skipped else ""
    return ", ".join(told) + skipped


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}" + ("" if number == 1 else "s")


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "file": finding.place.file,
        "line": finding.place.line,
        "column": finding.place.column,
        "kind": finding.who.kind,
        "namespace": finding.who.namespace,
        "name": finding.who.name,
        "path": finding.path,
        "reason": finding.reason,
        "message": finding.message,
    }


def _sample(taste: Taste, *, values: bool) -> dict[str, Any]:
    who = taste.subject.who
    told: dict[str, Any] = {
        "file": taste.subject.node.place.file,
        "line": taste.subject.node.place.line,
        "namespace": who.namespace,
        "name": who.name,
        "secret": taste.secret,
        "keys": sorted(taste.data),
        "without": list(taste.without),
    }
    if values:
        # As in a Secret, since a value need not be text.
        told["data"] = {k: base64.b64encode(v).decode() for k, v in sorted(taste.data.items())}
    return told
