"""ExternalSecrets, as the controller reads them.

The controller stops at the first mistake, since one is enough to write nothing. Here each is told
and then taken out, so that the next one shows: always in the controller's own words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from secret_sync.cli.check.entries import entry_path, extraction_problems, field_of, static_keys
from secret_sync.cli.check.findings import Severity, Word
from secret_sync.cli.check.stores import tell_reference
from secret_sync.controller.admission import selects
from secret_sync.controller.expressions import extraction_spec_of
from secret_sync.controller.references import refusal
from secret_sync.errors import DefiniteError
from secret_sync.parse import check_data, constant_hint
from secret_sync.resources import Reason
from secret_sync.resources.events import EventReason
from secret_sync.resources.external_secret import DEFAULT_PROVIDER, OOS, PERIODIC, Target

if TYPE_CHECKING:
    from secret_sync.cli.check.findings import Path
    from secret_sync.cli.check.ledger import Ledger
    from secret_sync.cli.check.objects import Subject
    from secret_sync.cli.check.surroundings import Surroundings
    from secret_sync.controller.problem import Problem
    from secret_sync.parse import ExtractionSpec
    from secret_sync.resources import DataEntry, ExternalSecret

_PATH: Final = re.compile(r"spec((?:\.[A-Za-z]+)+)")
_STORE_FLAG: Final = "--enable-cross-namespace-secret-store"
#: A name that is right; for what was told of already.
_RIGHT: Final = "right"


@dataclass(frozen=True, slots=True)
class Usable:
    """An entry in which nothing is wrong that a value would stumble over.

    Attributes:
        index: Its number among all entries.
    """

    index: int
    entry: DataEntry
    spec: ExtractionSpec


class Examination:
    """One ExternalSecret, looked at until nothing new is found."""

    def __init__(
        self, subject: Subject, es: ExternalSecret, surroundings: Surroundings, ledger: Ledger
    ) -> None:
        self._subject = subject
        self._written = es
        self._around = surroundings
        self._ledger = ledger
        #: Entries whose spec or key is wrong.
        self._bad: set[int] = set()

    def run(self) -> list[Usable]:
        """Tells what is wrong; returns the entries that samples can be tried on."""
        self._assume_stores()
        es: ExternalSecret | None = self._written
        for _ in range(2 * len(self._written.entries) + 10):
            if es is None:
                break
            plan = self._around.planner.plan(es)
            if plan.problem is not None:
                es = self._whole(es, plan.problem)
            else:
                wrong = [(n, e.problem) for n, e in enumerate(plan.entries) if e.problem]
                es = self._entries(es, wrong)
        self._tell_overwritten()
        self._tell_ignored()
        self._tell_constants()
        return [
            Usable(index, entry, extraction_spec_of(entry))
            for index, entry in enumerate(self._written.entries)
            if index not in self._bad
        ]

    def _assume_stores(self) -> None:
        es, subject = self._written, self._subject
        for index, entry in enumerate(es.entries):
            ref = entry.store
            if ref is None or not self._around.assume_store(es, ref):
                continue
            path = (*entry_path(subject, index), "secretStoreRef")
            namespace = ref.namespace or es.namespace
            named = ref.name if ref.kind != "SecretStore" else f"{namespace}/{ref.name}"
            message = f"{ref.kind} {named} is not among the files, so nothing is known of it"
            self._ledger.tell(Severity.NOTE, subject, path, message, Reason.STORE_NOT_FOUND)
        if self._around.rules.cross_stores:
            return
        for index, entry in enumerate(es.entries):
            ref = entry.store
            away = ref is not None and ref.namespace not in ("", es.namespace)
            if ref is None or not away or not self._around.is_assumed(es, ref):
                continue
            path = (*entry_path(subject, index), "secretStoreRef", "namespace")
            what = f"entry {entry.key!r} refers to SecretStore {ref.namespace}/{ref.name}"
            problem = refusal(what, _STORE_FLAG)
            self._ledger.tell(Severity.WARNING, subject, path, problem.message, problem.reason)

    def _whole(self, es: ExternalSecret, problem: Problem) -> ExternalSecret | None:
        """Tells what is wrong with the object as a whole; returns it without that."""
        if problem.reason is Reason.INVALID_KEY:
            # The controller names all of them at once.
            wrong = {n: _key_problem(e) for n, e in enumerate(es.entries) if e.plain}
            index = next(n for n, message in wrong.items() if message)
            named = "name" if (self._raw(index) or {}).get("name") else "key"
            told = replace(problem, message=wrong[index])
            self._problem((*entry_path(self._subject, index), named), told)
            return self._without(es, index, name=_RIGHT)
        found = _PATH.match(problem.message)
        path: Path = ("spec", *found[1][1:].split(".")) if found else ("spec",)
        if problem.reason is Reason.NO_DATA:
            self._problem(("spec",), problem)
            return None
        empty = next((n for n, e in enumerate(es.entries) if not e.key), None)
        if found is None and empty is not None:
            self._problem((*entry_path(self._subject, empty), "key"), problem)
            return self._without(es, empty, key=_RIGHT, name=_RIGHT)
        self._problem(path, problem)
        return _mended(es, path)

    def _entries(
        self, es: ExternalSecret, wrong: list[tuple[int, Problem]]
    ) -> ExternalSecret | None:
        """Tells what is wrong with entries; returns the object with others in their place."""
        mended = None
        for index, problem in wrong:
            entry, path = es.entries[index], entry_path(self._subject, index)
            found = list(extraction_problems(entry, path))
            for place, told in found:
                self._problem(place, told)
            if found:
                mended = self._without(mended or es, index, picks=(), extract=False, name=_RIGHT)
                continue
            self._reference((*path, field_of(entry, problem)), entry, problem)
        return mended

    def _without(self, es: ExternalSecret, index: int, **right: object) -> ExternalSecret:
        self._bad.add(index)
        entry = replace(es.entries[index], **right)  # type: ignore[arg-type]
        entries = (*es.entries[:index], entry, *es.entries[index + 1 :])
        return replace(es, entries=entries)

    def _reference(self, path: Path, entry: DataEntry, problem: Problem) -> None:
        subject = self._subject
        store = self._around.store_of(self._written, entry.store) if entry.store else None
        namespace = subject.who.namespace
        by_label = store is not None and selects(store)
        unknown = by_label and self._around.namespaces.get(namespace) is None
        if problem.reason is Reason.STORE_REFUSED and (unknown or subject.assumed):
            why = f"(labels of Namespace {namespace} are not among the files)"
            message = f"{problem.message} {why}" if unknown else problem.message
            self._ledger.tell(Severity.WARNING, subject, path, message, problem.reason)
        else:
            tell_reference(subject, path, problem, self._ledger)

    def _problem(self, path: Path, problem: Problem) -> None:
        self._ledger.problem(self._subject, path, problem.message, problem.reason)

    def _tell_overwritten(self) -> None:
        writers: dict[str, str] = {}
        for index, entry in enumerate(self._written.entries):
            if index in self._bad:
                continue
            for key in static_keys(entry):
                if key in writers:
                    tell_overwritten(self._ledger, self._subject, index, (key, writers[key]), entry)
                writers[key] = entry.key

    def _tell_ignored(self) -> None:
        es, subject = self._written, self._subject
        if es.rotation_interval and es.refresh_policy != PERIODIC:
            message = f"with refreshPolicy {es.refresh_policy} nothing is fetched at intervals"
            path: Path = ("spec", "rotationInterval")
            self._ledger.tell(Severity.WARNING, subject, path, message, Word.IGNORED)
        if es.provider != OOS:
            return
        for index, entry in enumerate(es.entries):
            fields = {"kmsEndpoint": entry.endpoint, "versionStage": entry.version_stage}
            for name in (name for name, value in fields.items() if value):
                self._ledger.tell(
                    Severity.WARNING,
                    subject,
                    (*entry_path(subject, index), name),
                    "it has no effect with provider oos",
                    Word.IGNORED,
                )

    def _tell_constants(self) -> None:
        for index, entry in enumerate(self._written.entries):
            for number, (path, _) in enumerate(entry.picks):
                meant = constant_hint(path)
                if meant is None:
                    continue
                message = "this path is a constant: nothing of the document is read" + (
                    f"; a name stands in double quotes: {meant}" if meant else ""
                )
                place = (*entry_path(self._subject, index), "jmesPath", number, "path")
                self._ledger.tell(Severity.WARNING, self._subject, place, message, Word.CONSTANT)

    def _raw(self, index: int) -> dict[str, str] | None:
        value = self._subject.value
        for step in entry_path(self._subject, index):
            value = value[step]  # type: ignore[index]
        return value


def tell_overwritten(
    ledger: Ledger, subject: Subject, index: int, lost: tuple[str, str], winner: DataEntry
) -> None:
    """A key that two entries write.

    Args:
        ledger: Where it is told.
        subject: Whose entries they are.
        index: Of the later entry.
        lost: The key, and the earlier entry.
        winner: The later entry.
    """
    key, loser = lost
    message = (
        f"key {key!r} is written by entry {loser!r} and by entry {winner.key!r}; the later one wins"
    )
    path = entry_path(subject, index)
    ledger.tell(Severity.WARNING, subject, path, message, EventReason.KEY_OVERWRITTEN)


def _key_problem(entry: DataEntry) -> str:
    try:
        check_data({entry.name: b""})
    except DefiniteError as error:
        return error.message
    return ""


def _mended(es: ExternalSecret, path: Path) -> ExternalSecret | None:
    """The object without what was wrong at a path; ``None`` where nobody knows better."""
    match path[1:]:
        case ("provider",):
            return replace(es, provider=DEFAULT_PROVIDER)
        case ("target", "template"):
            return replace(es, unsupported=())
        case ("rotationInterval",):
            return replace(es, rotation_interval="")
        case ("refreshPolicy",) | ("target", "creationPolicy") | ("target", "deletionPolicy"):
            return replace(es, invalid="")
        case ("target", *_):
            return replace(es, target=Target(name=_RIGHT))
    return None
