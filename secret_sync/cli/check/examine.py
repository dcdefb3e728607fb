"""Check all files together: from their bytes to a report."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from secret_sync.cli.check.cluster_external_secrets import check_cluster_external_secret
from secret_sync.cli.check.documents import read_documents
from secret_sync.cli.check.external_secrets import ExternalSecretCheck
from secret_sync.cli.check.findings import (
    NO_OBJECT,
    CheckReason,
    Finding,
    Findings,
    Place,
    Severity,
    order,
)
from secret_sync.cli.check.objects import ManifestClassifier
from secret_sync.cli.check.samples import Samples
from secret_sync.cli.check.simulated_cluster import Rules, SimulatedCluster, some_store
from secret_sync.cli.check.stores import check_store
from secret_sync.cli.check.templates import TemplateFiles, check_template
from secret_sync.cli.check.types import check_type
from secret_sync.resources import ExternalSecret, Reason, SecretStore, controllers, external_secret
from secret_sync.resources.cluster_external_secret import ClusterExternalSecret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from secret_sync.cli.check.objects import CheckedObject, Objects
    from secret_sync.cli.check.samples import SampleResult


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a check.

    Attributes:
        rules: Settings of the controller.
        namespace: Namespace of objects without one.
        namespace_given: Whether the namespace was given on the command line.
        samples: Values by the ``key`` of an entry.
    """

    rules: Rules = field(default_factory=Rules)
    namespace: str = "default"
    namespace_given: bool = False
    samples: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check.

    Attributes:
        findings: In the order of the files.
        checked: Number of objects of our kinds.
        skipped: Number of objects of other kinds.
    """

    findings: tuple[Finding, ...]
    sample_results: tuple[SampleResult, ...]
    files: int
    checked: int
    skipped: int

    @property
    def good(self) -> bool:
        """Return whether there is no problem."""
        return not self.of(Severity.PROBLEM)

    def of(self, severity: Severity) -> list[Finding]:
        """Return the findings of one severity."""
        return [finding for finding in self.findings if finding.severity is severity]


def examine(files: Mapping[str, bytes | str], options: Options) -> Report:
    """Check all files.

    Args:
        files: The content of each file by name, or why it cannot be read.
        options: Options of the check.
    """
    classifier = ManifestClassifier(options.namespace, given=options.namespace_given)
    file_findings: list[Finding] = []
    for name, data in files.items():
        if isinstance(data, str):
            file_findings.append(
                Finding(Severity.PROBLEM, Place(name), NO_OBJECT, "", data, CheckReason.UNREADABLE)
            )
            continue
        nodes, problems = read_documents(name, data)
        for problem in problems:
            message, reason = problem.message, CheckReason.BAD_YAML
            file_findings.append(
                Finding(Severity.PROBLEM, problem.place, NO_OBJECT, "", message, reason)
            )
        for node in nodes:
            classifier.add(node)
    objects = classifier.objects
    findings = Findings([*file_findings, *objects.findings])
    samples = Samples(options.samples)
    sample_results = _check_objects(objects, options.rules, samples, findings)
    # A file that cannot be read may use it.
    unused = [] if file_findings else samples.unused()
    return Report(
        findings=tuple(sorted([*findings.all, *unused], key=order)),
        sample_results=tuple(sample_results),
        files=len(files),
        checked=len(objects.checked),
        skipped=objects.skipped,
    )


def _check_objects(
    objects: Objects, rules: Rules, samples: Samples, findings: Findings
) -> list[SampleResult]:
    cluster = SimulatedCluster(rules)
    for value in objects.referenced:
        cluster.add_referenced(value)
    clusters = [s for s in objects.checked if s.ref.kind == controllers.CLUSTER_KIND]
    kinds = (external_secret.KIND, controllers.CLUSTER_KIND)
    stores = [s for s in objects.checked if s.ref.kind not in kinds]
    others = [s for s in objects.checked if s.ref.kind == external_secret.KIND]
    for obj in stores:
        # Consequences of its own errors are not reported again.
        unknown = some_store(obj.ref.namespace, obj.ref.name)
        cluster.add_store(unknown if obj.invalid_fields else SecretStore.from_dict(obj.value))
    for obj in stores:
        check_store(obj, SecretStore.from_dict(obj.value), cluster, findings)
    for obj in clusters:
        if not obj.invalid_fields:
            found = ClusterExternalSecret.from_dict(obj.value)
            check_cluster_external_secret(obj, found, cluster, findings)
    files = TemplateFiles(objects.referenced)
    sample_results = []
    wanted: list[tuple[CheckedObject, ExternalSecret]] = []
    for obj in others:
        es = ExternalSecret.from_dict(obj.value)
        usable = ExternalSecretCheck(obj, es, cluster, findings).run()
        texts = check_template(obj, es, usable, files, findings)
        result = samples.check_sample(obj, es, usable, findings, texts)
        check_type(obj, es, usable, result, findings)
        if result is not None:
            sample_results.append(result)
        wanted.append((obj, es))
    _report_duplicates(objects.checked, findings)
    _report_conflicts(wanted, findings)
    return sample_results


def _report_duplicates(checked: Sequence[CheckedObject], findings: Findings) -> None:
    first: dict[object, CheckedObject] = {}
    for obj in checked:
        if not obj.ref.name:
            continue
        before = first.setdefault(obj.ref, obj)
        if before is not obj:
            message = f"already defined at {before.node.place}; the later definition is applied"
            findings.add(
                Severity.WARNING, obj, ("metadata", "name"), message, CheckReason.DEFINED_TWICE
            )


def _report_conflicts(
    wanted: Sequence[tuple[CheckedObject, ExternalSecret]], findings: Findings
) -> None:
    """Report ExternalSecrets with the same target Secret; the second of them is refused."""
    by_target: dict[tuple[str, str], list[tuple[CheckedObject, ExternalSecret]]] = defaultdict(list)
    for obj, es in wanted:
        if not es.target.merge and obj.ref.name:
            by_target[es.namespace, es.target.name].append((obj, es))
    for (namespace, target), users in by_target.items():
        first, owner = users[0]
        for obj, es in users[1:]:
            if es.name == owner.name:
                continue
            message = (
                f"Secret {namespace}/{target} is also the target of ExternalSecret {owner.name} "
                f"({first.node.place}); give one of the two another name"
            )
            path = ("spec", "target", "name")
            findings.add_problem(obj, path, message, Reason.SECRET_CONFLICT)
