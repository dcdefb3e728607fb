"""Samples: what a document would give, taken apart as the controller does it.

A value is shown only where somebody asks for it.
"""

from __future__ import annotations

import base64
import difflib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from secret_sync.cli.check.entries import entry_path
from secret_sync.cli.check.external_secrets import tell_overwritten
from secret_sync.cli.check.findings import NOBODY, Finding, Place, Severity, Word
from secret_sync.controller.desired import ExtractionError, ExtractionInput, FetchedEntry
from secret_sync.controller.extraction import extract_all
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from secret_sync.cli.check.external_secrets import Usable
    from secret_sync.cli.check.ledger import Ledger
    from secret_sync.cli.check.objects import Subject
    from secret_sync.controller.desired import ExtractedData
    from secret_sync.resources import ExternalSecret


@dataclass(frozen=True, slots=True)
class Taste:
    """What samples give for one ExternalSecret.

    Attributes:
        secret: The name of the Secret.
        without: Entries of which there is no sample, or whose sample cannot be used, by their
            ``key``; the Secret has more keys than these then.
        data: Keys and values.
    """

    subject: Subject
    secret: str
    without: tuple[str, ...]
    data: dict[str, bytes] = field(repr=False)


class Samples:
    """Values that stand for what KMS or OOS holds.

    Args:
        values: By the ``key`` of an entry.
    """

    def __init__(self, values: Mapping[str, bytes]) -> None:
        self._values = values
        self._used: set[str] = set()
        self._asked: set[str] = set()

    def taste(
        self, subject: Subject, es: ExternalSecret, usable: Sequence[Usable], ledger: Ledger
    ) -> Taste | None:
        """Makes of an ExternalSecret's samples what the controller would make of the values.

        Returns:
            What they give; ``None`` where there are none of it.
        """
        keys = [entry.key for entry in es.entries]
        self._asked.update(keys)
        self._used.update(key for key in keys if key in self._values)
        left = [u for u in usable if u.entry.key in self._values]
        if not any(key in self._values for key in keys):
            return None
        left = [u for u in left if self._is_there(subject, u, ledger)]
        extracted = extract_all(self._input(left))
        while isinstance(extracted, ExtractionError):
            problem = extracted.problem
            if extracted.index is None:
                ledger.problem(subject, ("spec",), problem.message, problem.reason)
                return None
            # The others are looked at, too.
            bad = left.pop(extracted.index)
            path = entry_path(subject, bad.index)
            ledger.problem(subject, path, problem.message, problem.reason)
            extracted = extract_all(self._input(left))
        whole = len(left) == len(es.entries)
        self._judge(subject, extracted, left, ledger, whole=whole)
        tried = {u.index for u in left}
        without = [entry.key for n, entry in enumerate(es.entries) if n not in tried]
        return Taste(subject, es.target.name, tuple(without), extracted.data)

    def unused(self) -> list[Finding]:
        """Samples that nothing asked for: a slip of the pen would have checked nothing."""
        found = []
        for key in sorted(self._values.keys() - self._used):
            close = difflib.get_close_matches(key, self._asked, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            message = f"no entry of the files has the key {key!r}{hint}"
            place = Place("--sample")
            found.append(Finding(Severity.PROBLEM, place, NOBODY, "", message, Word.SAMPLE_UNUSED))
        return found

    def _is_there(self, subject: Subject, usable: Usable, ledger: Ledger) -> bool:
        key = usable.entry.key
        if not self._values[key]:
            message = f"entry {key!r}: the sample is empty, and neither KMS nor OOS has such values"
            path = entry_path(subject, usable.index)
            ledger.problem(subject, path, message, Reason.VALUE_UNUSABLE)
        return bool(self._values[key])

    def _input(self, usable: Sequence[Usable]) -> ExtractionInput:
        values = [(u, self._values[u.entry.key]) for u in usable]
        # The value stands for its digest, which nobody sees.
        made = [FetchedEntry(u.entry, u.spec, value, value) for u, value in values]
        return ExtractionInput(b"", tuple(made), ())

    def _judge(
        self,
        subject: Subject,
        extracted: ExtractedData,
        usable: Sequence[Usable],
        ledger: Ledger,
        *,
        whole: bool,
    ) -> None:
        if whole and not extracted.data:
            message = "the documents have no keys, so there is nothing to write"
            ledger.problem(subject, ("spec",), message, Reason.NO_DATA)
        for key, loser, winner in extracted.overwritten:
            last = next(u for u in reversed(usable) if u.entry.key == winner)
            tell_overwritten(ledger, subject, last.index, (key, loser), last.entry)


def shown(value: bytes) -> str:
    """A value on one line, without anything that a terminal would act on."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return f"base64 {base64.b64encode(value).decode()}"
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escaped(c) for c in quoted)


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) > 0x7F else f"\\u{ord(character):04x}"  # noqa: PLR2004 (ASCII)
