"""Format a report: as lines for people, or as one JSON document for programs."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.check.findings import Severity
from secret_sync.cli.check.samples import shown
from secret_sync.cli.terminal import Colour, plain
from secret_sync.controller.sync import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.cli.check.examine import Report
    from secret_sync.cli.check.findings import Finding
    from secret_sync.cli.check.samples import SampleResult
    from secret_sync.cli.terminal import Screen

_TITLES: Final = (
    (Severity.PROBLEM, "", Colour.BAD),
    (Severity.WARNING, "Warnings:", Colour.UNSURE),
    (Severity.NOTE, "Notes:", Colour.FAINT),
)
#: Other numbers mean that a field has another meaning.
_VERSION: Final = 1


def text(report: Report, screen: Screen, *, values: bool) -> str:
    """Return the report as text for people.

    Args:
        report: The report.
        screen: Where it is shown.
        values: Whether to show the values of samples.
    """
    blocks = []
    for severity, title, colour in _TITLES:
        lines = [_line(finding, screen, colour) for finding in report.of(severity)]
        if lines:
            blocks.append([title, *lines] if title else lines)
    blocks += [list(_sample_lines(result, values=values)) for result in report.sample_results]
    blocks.append([screen.paint(_summary(report), Colour.GOOD if report.good else Colour.BAD)])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def document(report: Report, *, values: bool) -> str:
    """Return the report as JSON for programs.

    Args:
        report: The report.
        values: Whether to show the values of samples.
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
        "samples": [_sample(result, values=values) for result in report.sample_results],
    }
    return json.dumps(whole, indent=2) + "\n"


def _line(finding: Finding, screen: Screen, colour: Colour) -> str:
    place = str(finding.place)
    if finding.place.line and not finding.ref.kind:
        # For errors of the text itself the column helps.
        place += f":{finding.place.column}"
    # Some messages begin with the field.
    path = "" if finding.message.startswith(finding.path) else finding.path
    parts = [place, str(finding.ref), path, finding.message]
    line = ": ".join(plain(part) for part in parts if part)
    return f"{line} ({screen.paint(finding.reason, colour)})"


def _sample_lines(result: SampleResult, *, values: bool) -> Iterator[str]:
    ref = result.obj.ref
    yield plain(f"Keys of Secret {ref.namespace}/{result.secret}, from samples:")
    for key in sorted(result.data):
        yield f"  {plain(key)}" + (f" = {shown(result.data[key])}" if values else "")
    for field, value in sorted(result.metadata.fields().items()):
        sort, _, name = field.partition("/")
        line = plain(f"{sort.removesuffix('s')} {name}")
        yield f"  {line}" + (f" = {shown(value.encode())}" if values else "")
    if not result.data:
        yield "  none"
    if result.without:
        names = ", ".join(dict.fromkeys(result.without))
        yield plain(f"and the keys of these entries, which have no usable sample: {names}")


def _summary(report: Report) -> str:
    if not report.checked and report.good:
        start = "nothing to check"
    else:
        start = _count(report.checked, "object")
    problems = _count(len(report.of(Severity.PROBLEM)), "problem")
    parts = [f"{start} in {_count(report.files, 'file')}: {problems}"]
    for severity in (Severity.WARNING, Severity.NOTE):
        number = len(report.of(severity))
        parts += [_count(number, severity.value)] if number else []
    skipped = f"; {_count(report.skipped, 'document')} of other kinds" if report.skipped else ""
    return ", ".join(parts) + skipped


def _count(number: int, what: str) -> str:
    return count(number, what) if number else f"no {what}s"


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "file": finding.place.file,
        "line": finding.place.line,
        "column": finding.place.column,
        "kind": finding.ref.kind,
        "namespace": finding.ref.namespace,
        "name": finding.ref.name,
        "path": finding.path,
        "reason": finding.reason,
        "message": finding.message,
    }


def _sample(result: SampleResult, *, values: bool) -> dict[str, Any]:
    ref = result.obj.ref
    sample: dict[str, Any] = {
        "file": result.obj.node.place.file,
        "line": result.obj.node.place.line,
        "namespace": ref.namespace,
        "name": ref.name,
        "secret": result.secret,
        "keys": sorted(result.data),
        "labels": sorted(result.metadata.labels),
        "annotations": sorted(result.metadata.annotations),
        "without": list(result.without),
    }
    if values:
        # As in a Secret, since a value need not be text.
        sample["data"] = {k: base64.b64encode(v).decode() for k, v in sorted(result.data.items())}
    return sample
