"""Check ExternalSecrets with the controller's own planner.

The controller stops at the first error, since it writes nothing then. The check reports each error,
replaces it with a valid value, and plans again to find the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from secret_sync.cli.check.entries import entry_path, extraction_problems, static_keys
from secret_sync.cli.check.findings import CheckReason, Severity
from secret_sync.cli.check.stores import report_reference
from secret_sync.controller.external_secret.expressions import extraction_spec_of
from secret_sync.controller.store.references import refusal, selects
from secret_sync.errors import DefiniteError
from secret_sync.parse import check_data, constant_hint
from secret_sync.resources import Reason
from secret_sync.resources.events import EventReason
from secret_sync.resources.external_secret import (
    DEFAULT_PROVIDER,
    DEFAULT_SECRET_TYPE,
    KIND,
    OOS,
    PERIODIC,
    Target,
)
from secret_sync.resources.template import SecretTemplate

if TYPE_CHECKING:
    from secret_sync.cli.check.findings import Findings
    from secret_sync.cli.check.objects import CheckedObject
    from secret_sync.cli.check.simulated_cluster import SimulatedCluster
    from secret_sync.controller.sync import Problem
    from secret_sync.parse import ExtractionSpec
    from secret_sync.resources import DataEntry, ExternalSecret
    from secret_sync.resources.meta import FieldPath

_STORE_FLAG: Final = "--enable-cross-namespace-secret-store"
#: A valid name, in place of one that was reported already.
_RIGHT: Final = "right"


@dataclass(frozen=True, slots=True)
class Usable:
    """An entry without errors, which samples can be tried on.

    Attributes:
        index: Its index among all entries.
    """

    index: int
    entry: DataEntry
    spec: ExtractionSpec


class ExternalSecretCheck:
    """Checks one ExternalSecret until no new error is found."""

    def __init__(
        self, obj: CheckedObject, es: ExternalSecret, cluster: SimulatedCluster, findings: Findings
    ) -> None:
        self._obj = obj
        self._written = es
        self._cluster = cluster
        self._findings = findings
        #: Entries whose spec or key is wrong.
        self._bad: set[int] = set()
        self._rendered = es.template is not None

    def run(self) -> list[Usable]:
        """Report all errors; return the entries that samples can be tried on."""
        self._assume_stores()
        es: ExternalSecret | None = self._written
        for _ in range(2 * len(self._written.entries) + 10):
            if es is None:
                break
            plan = self._cluster.planner.plan(es)
            if plan.problem is not None:
                es = self._whole(es, plan.problem)
            else:
                wrong = [(n, e.problem) for n, e in enumerate(plan.entries) if e.problem]
                es = self._entries(es, wrong)
        if not self._rendered:
            self._report_overwritten()
        self._report_ignored()
        self._report_constants()
        self._report_restart()
        return [
            Usable(index, entry, extraction_spec_of(entry, rendered=self._rendered))
            for index, entry in enumerate(self._written.entries)
            if index not in self._bad
        ]

    def _assume_stores(self) -> None:
        es, obj = self._written, self._obj
        for index, entry in enumerate(es.entries):
            ref = entry.store
            if ref is None or not self._cluster.assume_store(es, ref):
                continue
            path = (*entry_path(obj, index), "secretStoreRef")
            namespace = ref.namespace or es.namespace
            named = ref.name if ref.kind != "SecretStore" else f"{namespace}/{ref.name}"
            message = f"{ref.kind} {named} is not in the files and was not checked"
            self._findings.add(Severity.NOTE, obj, path, message, Reason.STORE_NOT_FOUND)
        if self._cluster.rules.cross_stores:
            return
        for index, entry in enumerate(es.entries):
            ref = entry.store
            away = ref is not None and ref.namespace not in ("", es.namespace)
            if ref is None or not away or not self._cluster.is_assumed(es, ref):
                continue
            path = (*entry_path(obj, index), "secretStoreRef", "namespace")
            what = f"entry {entry.key!r} refers to SecretStore {ref.namespace}/{ref.name}"
            problem = refusal(what, _STORE_FLAG)
            self._findings.add(Severity.WARNING, obj, path, problem.message, problem.reason)

    def _whole(self, es: ExternalSecret, problem: Problem) -> ExternalSecret | None:
        """Report an error of the object as a whole; return the object without it."""
        if problem.reason is Reason.INVALID_KEY and not problem.field:
            # The controller names all of them at once.
            wrong = {n: _key_problem(e) for n, e in enumerate(es.entries) if e.plain}
            index = next(n for n, message in wrong.items() if message)
            named = "name" if (self._raw(index) or {}).get("name") else "key"
            single = replace(problem, message=wrong[index])
            self._add_problem((*entry_path(self._obj, index), named), single)
            return self._without(es, index, name=_RIGHT)
        path = problem.field or ("spec",)
        empty = next((n for n, e in enumerate(es.entries) if not e.key), None)
        if not problem.field and empty is not None:
            self._add_problem((*entry_path(self._obj, empty), "key"), problem)
            return self._without(es, empty, key=_RIGHT, name=_RIGHT)
        self._add_problem(path, problem)
        return _corrected(es, path)

    def _entries(
        self, es: ExternalSecret, wrong: list[tuple[int, Problem]]
    ) -> ExternalSecret | None:
        """Report errors of entries; return the object with valid entries in their place."""
        corrected = None
        for index, problem in wrong:
            entry, path = es.entries[index], entry_path(self._obj, index)
            found = list(extraction_problems(entry, path, rendered=self._rendered))
            for place, single in found:
                self._add_problem(place, single)
            if found:
                corrected = self._without(
                    corrected or es, index, picks=(), extract=False, name=_RIGHT
                )
                continue
            self._reference((*path, *(problem.field or ("key",))), entry, problem)
        return corrected

    def _without(self, es: ExternalSecret, index: int, **right: object) -> ExternalSecret:
        self._bad.add(index)
        entry = replace(es.entries[index], **right)  # type: ignore[arg-type]
        entries = (*es.entries[:index], entry, *es.entries[index + 1 :])
        return replace(es, entries=entries)

    def _reference(self, path: FieldPath, entry: DataEntry, problem: Problem) -> None:
        obj = self._obj
        store = self._cluster.store_of(self._written, entry.store) if entry.store else None
        namespace = obj.ref.namespace
        by_label = store is not None and selects(store)
        unknown = by_label and self._cluster.namespaces.get(namespace) is None
        if problem.reason is Reason.STORE_REFUSED and (unknown or obj.assumed):
            why = f"(the labels of Namespace {namespace} are not in the files)"
            message = f"{problem.message} {why}" if unknown else problem.message
            self._findings.add(Severity.WARNING, obj, path, message, problem.reason)
        else:
            report_reference(obj, path, problem, self._findings)

    def _add_problem(self, path: FieldPath, problem: Problem) -> None:
        self._findings.add_problem(self._obj, path, problem.message, problem.reason)

    def _report_overwritten(self) -> None:
        writers: dict[str, str] = {}
        for index, entry in enumerate(self._written.entries):
            if index in self._bad:
                continue
            for key in static_keys(entry):
                if key in writers:
                    report_overwritten(self._findings, self._obj, index, (key, writers[key]), entry)
                writers[key] = entry.key

    def _report_ignored(self) -> None:
        es, obj = self._written, self._obj
        if es.rotation_interval and es.refresh_policy != PERIODIC:
            message = f"with refreshPolicy {es.refresh_policy} nothing is fetched at intervals"
            path: FieldPath = ("spec", "rotationInterval")
            self._findings.add(Severity.WARNING, obj, path, message, CheckReason.IGNORED)
        if es.provider != OOS:
            return
        for index, entry in enumerate(es.entries):
            fields = {"kmsEndpoint": entry.endpoint, "versionStage": entry.version_stage}
            for name in (name for name, value in fields.items() if value):
                self._findings.add(
                    Severity.WARNING,
                    obj,
                    (*entry_path(obj, index), name),
                    "it has no effect with provider oos",
                    CheckReason.IGNORED,
                )

    def _report_restart(self) -> None:
        """Report an annotation of which nothing restarts; the schema has reported the field."""
        restart = self._written.restart
        if restart is None or restart.invalid is None or restart.invalid.field[0] == "spec":
            return
        if self._obj.ref.kind == KIND:
            invalid = restart.invalid
            self._findings.add_problem(
                self._obj, invalid.field, invalid.message, Reason.RESTART_INVALID
            )

    def _report_constants(self) -> None:
        for index, entry in enumerate(self._written.entries):
            for number, (path, _) in enumerate(entry.picks):
                meant = constant_hint(path)
                if meant is None:
                    continue
                message = "the path is a constant and does not read the document" + (
                    f"; a name needs double quotes: {meant}" if meant else ""
                )
                place = (*entry_path(self._obj, index), "jmesPath", number, "path")
                self._findings.add(
                    Severity.WARNING, self._obj, place, message, CheckReason.CONSTANT
                )

    def _raw(self, index: int) -> dict[str, str] | None:
        value = self._obj.value
        for step in entry_path(self._obj, index):
            value = value[step]  # type: ignore[index]
        return value


def report_overwritten(
    findings: Findings, obj: CheckedObject, index: int, lost: tuple[str, str], winner: DataEntry
) -> None:
    """Report a key that two entries write.

    Args:
        findings: Where to report it.
        obj: The ExternalSecret.
        index: The index of the later entry.
        lost: The key, and the earlier entry.
        winner: The later entry.
    """
    key, loser = lost
    message = (
        f"key {key!r} is written by entry {loser!r} and by entry {winner.key!r}; the later one wins"
    )
    path = entry_path(obj, index)
    findings.add(Severity.WARNING, obj, path, message, EventReason.KEY_OVERWRITTEN)


def _key_problem(entry: DataEntry) -> str:
    try:
        check_data({entry.name: b""})
    except DefiniteError as error:
        return error.message
    return ""


def _right_template(template: SecretTemplate | None) -> SecretTemplate | None:
    """Return a valid template that keeps as many of the fetched keys as the given one."""
    if template is None or not template.renders_keys:
        return None
    return SecretTemplate(data=((_RIGHT, ""),), merge=template.merge)


def _corrected(es: ExternalSecret, path: FieldPath) -> ExternalSecret | None:
    """Return the object with a valid value at the path; ``None`` if there is none."""
    match path[1:]:
        case ("provider",):
            return replace(es, provider=DEFAULT_PROVIDER)
        case ("target", "template", *_):
            return replace(es, template=_right_template(es.template), invalid=None)
        case ("rotationInterval",):
            return replace(es, rotation_interval="")
        case ("refreshPolicy",) | ("target", "creationPolicy") | ("target", "deletionPolicy"):
            return replace(es, invalid=None)
        case ("target" | "type", *_):
            return replace(es, target=Target(name=_RIGHT), secret_type=DEFAULT_SECRET_TYPE)
    return None
