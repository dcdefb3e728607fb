"""Samples: documents from which keys are extracted as the controller does it.

Values are shown only on request.
"""

from __future__ import annotations

import base64
import difflib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from secret_sync.cli.check.entries import entry_path
from secret_sync.cli.check.external_secrets import report_overwritten
from secret_sync.cli.check.findings import NO_OBJECT, CheckReason, Finding, Place, Severity
from secret_sync.cli.check.templates import render, without_path
from secret_sync.controller.external_secret.desired import NO_METADATA
from secret_sync.controller.external_secret.extraction import (
    ExtractionError,
    ExtractionInput,
    FetchedEntry,
    extract_all,
)
from secret_sync.controller.external_secret.rendering import TemplateInput
from secret_sync.resources import Reason
from secret_sync.resources.events import EventReason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from secret_sync.cli.check.external_secrets import Usable
    from secret_sync.cli.check.findings import Findings
    from secret_sync.cli.check.objects import CheckedObject
    from secret_sync.controller.external_secret.desired import RenderedMetadata
    from secret_sync.controller.external_secret.extraction import ExtractedData
    from secret_sync.controller.external_secret.rendering import TextKey
    from secret_sync.resources import ExternalSecret
    from secret_sync.resources.template import SecretTemplate


_TEMPLATE: Final = ("spec", "target", "template")


@dataclass(frozen=True, slots=True)
class SampleResult:
    """The data of one ExternalSecret, extracted from samples.

    Attributes:
        secret: The name of the Secret.
        without: The ``key`` of each entry without a usable sample; the Secret has further keys.
        data: Keys and values.
        metadata: Rendered labels and annotations.
    """

    obj: CheckedObject
    secret: str
    without: tuple[str, ...]
    data: dict[str, bytes] = field(repr=False)
    metadata: RenderedMetadata = NO_METADATA


class Samples:
    """Sample values of KMS or OOS.

    Args:
        values: The values by the ``key`` of an entry.
    """

    def __init__(self, values: Mapping[str, bytes]) -> None:
        self._values = values
        self._used: set[str] = set()
        self._asked: set[str] = set()

    def check_sample(
        self,
        obj: CheckedObject,
        es: ExternalSecret,
        usable: Sequence[Usable],
        findings: Findings,
        texts: Mapping[TextKey, bytes] | None = None,
    ) -> SampleResult | None:
        """Extract and render the samples of an ExternalSecret as the controller does with values.

        Args:
            obj: The ExternalSecret.
            es: The same, parsed.
            usable: Its entries without errors.
            findings: Where to report.
            texts: Its templates that other objects have, if they are known.

        Returns:
            The extracted data; ``None`` if there are no samples, or they exceed a limit together.
        """
        keys = [entry.key for entry in es.entries]
        self._asked.update(keys)
        self._used.update(key for key in keys if key in self._values)
        left = [u for u in usable if u.entry.key in self._values]
        if es.entries and not any(key in self._values for key in keys):
            return None
        if not es.entries and es.template is None:
            return None
        left = [u for u in left if self._is_there(obj, u, findings)]
        rendered = es.template
        extracted = extract_all(self._input(left, rendered))
        while isinstance(extracted, ExtractionError):
            problem = extracted.problem
            if extracted.index is None:
                findings.add_problem(obj, ("spec",), problem.message, problem.reason)
                return None
            # The others are checked, too.
            bad = left.pop(extracted.index)
            path = entry_path(obj, bad.index)
            findings.add_problem(obj, path, problem.message, problem.reason)
            extracted = extract_all(self._input(left, rendered))
        whole = len(left) == len(es.entries)
        if rendered is not None:
            return self._render(obj, es, left, extracted, texts, findings)
        self._report_result(obj, extracted, left, findings, whole=whole)
        tried = {u.index for u in left}
        without = [entry.key for n, entry in enumerate(es.entries) if n not in tried]
        return SampleResult(obj, es.target.name, tuple(without), extracted.data)

    def _render(
        self,
        obj: CheckedObject,
        es: ExternalSecret,
        usable: Sequence[Usable],
        extracted: ExtractedData,
        texts: Mapping[TextKey, bytes] | None,
        findings: Findings,
    ) -> SampleResult | None:
        without = {e.key for e in es.entries} - {u.entry.key for u in usable}
        if without or texts is None:
            missing = [f"samples of {', '.join(sorted(without))}"] if without else []
            missing += ["templates of other objects"] if texts is None else []
            message = f"not rendered, because {' and '.join(missing)} are missing"
            findings.add(Severity.NOTE, obj, _TEMPLATE, message, CheckReason.IGNORED)
            return None
        made = render(self._input(usable, es.template), extracted, es, texts)
        if isinstance(made, ExtractionError):
            problem = made.problem
            path = problem.field or _TEMPLATE
            message = without_path(problem.message, path)
            findings.add_problem(obj, path, message, problem.reason)
            return None
        for key, loser, winner in made.overwritten:
            message = f"{key!r} is written by {loser} and by {winner}; the later one wins"
            reason = EventReason.KEY_OVERWRITTEN
            findings.add(Severity.WARNING, obj, _TEMPLATE, message, reason)
        return SampleResult(obj, es.target.name, (), made.data or {}, made.metadata)

    def unused(self) -> list[Finding]:
        """Return a problem for each sample that no entry uses, which is probably a typing error."""
        found = []
        for key in sorted(self._values.keys() - self._used):
            close = difflib.get_close_matches(key, self._asked, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            message = f"no entry in the files has the key {key!r}{hint}"
            place = Place("--sample")
            found.append(
                Finding(Severity.PROBLEM, place, NO_OBJECT, "", message, CheckReason.SAMPLE_UNUSED)
            )
        return found

    def _is_there(self, obj: CheckedObject, usable: Usable, findings: Findings) -> bool:
        key = usable.entry.key
        if not self._values[key]:
            message = f"entry {key!r}: the sample is empty, but KMS and OOS have no empty values"
            path = entry_path(obj, usable.index)
            findings.add_problem(obj, path, message, Reason.VALUE_UNUSABLE)
        return bool(self._values[key])

    def _input(self, usable: Sequence[Usable], template: SecretTemplate | None) -> ExtractionInput:
        values = [(u, self._values[u.entry.key]) for u in usable]
        # The value serves as its digest, which is not shown.
        made = [FetchedEntry(u.entry, u.spec, value, value) for u, value in values]
        rendered = TemplateInput(template, "") if template is not None else None
        return ExtractionInput(b"", tuple(made), (), template=rendered)

    def _report_result(
        self,
        obj: CheckedObject,
        extracted: ExtractedData,
        usable: Sequence[Usable],
        findings: Findings,
        *,
        whole: bool,
    ) -> None:
        if whole and not extracted.data:
            message = "the documents have no keys; there is nothing to write"
            findings.add_problem(obj, ("spec",), message, Reason.NO_DATA)
        for key, loser, winner in extracted.overwritten:
            last = next(u for u in reversed(usable) if u.entry.key == winner)
            report_overwritten(findings, obj, last.index, (key, loser), last.entry)


def shown(value: bytes) -> str:
    """Return a value on one line, without control characters."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return f"base64 {base64.b64encode(value).decode()}"
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escaped(c) for c in quoted)


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) > 0x7F else f"\\u{ord(character):04x}"  # noqa: PLR2004 (ASCII)
