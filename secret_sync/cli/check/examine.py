"""All files together: from their bytes to what there is to tell."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from secret_sync.cli.check.documents import read_documents
from secret_sync.cli.check.external_secrets import Examination
from secret_sync.cli.check.findings import NOBODY, Finding, Place, Severity, Word, order
from secret_sync.cli.check.ledger import Ledger
from secret_sync.cli.check.objects import Sorter
from secret_sync.cli.check.samples import Samples
from secret_sync.cli.check.stores import check_store
from secret_sync.cli.check.surroundings import Rules, Surroundings, some_store
from secret_sync.cli.check.types import check_type
from secret_sync.resources import ExternalSecret, Reason, SecretStore, external_secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from secret_sync.cli.check.objects import Objects, Subject
    from secret_sync.cli.check.samples import Taste


@dataclass(frozen=True, slots=True)
class Options:
    """How to look at the files.

    Attributes:
        rules: What the operator of the controller decides.
        namespace: Of objects that name none.
        namespace_given: Whether somebody said so.
        samples: Values by the ``key`` of an entry.
    """

    rules: Rules = field(default_factory=Rules)
    namespace: str = "default"
    namespace_given: bool = False
    samples: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        findings: As they stand in the files.
        checked: How many objects of ours there are.
        skipped: How many of other kinds.
    """

    findings: tuple[Finding, ...]
    tastes: tuple[Taste, ...]
    files: int
    checked: int
    skipped: int

    @property
    def good(self) -> bool:
        """Whether there is no problem."""
        return not self.of(Severity.PROBLEM)

    def of(self, severity: Severity) -> list[Finding]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.severity is severity]


def examine(files: Mapping[str, bytes | str], options: Options) -> Report:
    """Looks at all files.

    Args:
        files: By name, what each holds, or why that is not known.
        options: How.
    """
    sorter = Sorter(options.namespace, given=options.namespace_given)
    findings: list[Finding] = []
    for name, data in files.items():
        if isinstance(data, str):
            findings.append(
                Finding(Severity.PROBLEM, Place(name), NOBODY, "", data, Word.UNREADABLE)
            )
            continue
        nodes, problems = read_documents(name, data)
        for problem in problems:
            told = problem.message
            findings.append(
                Finding(Severity.PROBLEM, problem.place, NOBODY, "", told, Word.BAD_YAML)
            )
        for node in nodes:
            sorter.take(node)
    objects = sorter.objects
    ledger = Ledger([*findings, *objects.findings])
    samples = Samples(options.samples)
    tastes = _look(objects, options.rules, samples, ledger)
    # What cannot be read may have asked for it.
    unused = [] if findings else samples.unused()
    return Report(
        findings=tuple(sorted([*ledger.findings, *unused], key=order)),
        tastes=tuple(tastes),
        files=len(files),
        checked=len(objects.subjects),
        skipped=objects.skipped,
    )


def _look(objects: Objects, rules: Rules, samples: Samples, ledger: Ledger) -> list[Taste]:
    around = Surroundings(rules)
    for neighbour in objects.neighbours:
        around.add_neighbour(neighbour)
    stores = [s for s in objects.subjects if s.who.kind != external_secret.KIND]
    others = [s for s in objects.subjects if s.who.kind == external_secret.KIND]
    for subject in stores:
        # What would follow from its faults is no news.
        faulty = some_store(subject.who.namespace, subject.who.name)
        around.add_store(faulty if subject.faulty else SecretStore.from_dict(subject.value))
    for subject in stores:
        check_store(subject, SecretStore.from_dict(subject.value), around, ledger)
    tastes = []
    wanted: list[tuple[Subject, ExternalSecret]] = []
    for subject in others:
        es = ExternalSecret.from_dict(subject.value)
        usable = Examination(subject, es, around, ledger).run()
        taste = samples.taste(subject, es, usable, ledger)
        check_type(subject, es, usable, taste, ledger)
        if taste is not None:
            tastes.append(taste)
        wanted.append((subject, es))
    _tell_twice(objects.subjects, ledger)
    _tell_conflicts(wanted, ledger)
    return tastes


def _tell_twice(subjects: Sequence[Subject], ledger: Ledger) -> None:
    first: dict[object, Subject] = {}
    for subject in subjects:
        if not subject.who.name:
            continue
        before = first.setdefault(subject.who, subject)
        if before is not subject:
            message = f"it is there already, at {before.node.place}; applied, the later one counts"
            ledger.tell(
                Severity.WARNING, subject, ("metadata", "name"), message, Word.DEFINED_TWICE
            )


def _tell_conflicts(wanted: Sequence[tuple[Subject, ExternalSecret]], ledger: Ledger) -> None:
    """Tells of ExternalSecrets that ask for one Secret; the second of them is refused."""
    by_target: dict[tuple[str, str], list[tuple[Subject, ExternalSecret]]] = defaultdict(list)
    for subject, es in wanted:
        if not es.target.merge and subject.who.name:
            by_target[es.namespace, es.target.name].append((subject, es))
    for (namespace, target), users in by_target.items():
        first, owner = users[0]
        for subject, es in users[1:]:
            if es.name == owner.name:
                continue
            message = (
                f"Secret {namespace}/{target} is to belong to ExternalSecret {owner.name} "
                f"({first.node.place}), too; write another name in spec.target.name of one of "
                "the two"
            )
            path = ("spec", "target", "name")
            ledger.problem(subject, path, message, Reason.SECRET_CONFLICT)
