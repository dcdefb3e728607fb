"""What is wrong with docs/reference.md: each check returns its complaints, none if all is well."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from secret_sync import documents
from secret_sync.app import control_loop
from secret_sync.app import controller as running
from secret_sync.cloud import retry, transport
from secret_sync.cloud.endpoints import EndpointRules, resolve_kms
from secret_sync.controller.external_secret import (
    planner,
    reconciler,
    rendered_metadata,
    reporter,
)
from secret_sync.controller.restart import pacing
from secret_sync.controller.secret_target import write_conflicts
from secret_sync.errors import SecretSyncError
from secret_sync.health import STUCK_AFTER
from secret_sync.kube import LeaseTimes, reflector
from secret_sync.kube import errors as api_errors
from secret_sync.kube.preflight import PATIENCE
from secret_sync.parse import budget, extraction, keys, paths, rules, yaml_document
from secret_sync.parse import codes as limits
from secret_sync.resources import Reason, names, restart, template
from secret_sync.resources import limits as per_object
from secret_sync.resources.events import EventReason
from secret_sync.resources.external_secret import REFRESH_POLICIES
from secret_sync.settings.flags import GROUPS, variable
from secret_sync.sources import retries, snapshots
from secret_sync.sources import source as source_module
from secret_sync.templates import limits as template_limits
from tests.unit import reference_facts as facts
from tests.unit.reference_limits import check_schema_limits
from tests.unit.reference_tables import codes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from secret_sync.settings.flags import Flag
    from tests.unit.reference_tables import Page

STORES = "SecretStore and ClusterSecretStore"
COMMANDS = "Commands and exit codes"
#: Flags of other commands than `run`, and of other programs.
THEIRS = {
    *("--help", "--exit-code", "--sample", "--show-values", "--watch"),
    *("--name", "--switch", "--enable-feature", "--legacy"),
}
#: Reasons that nobody waits for.
GOOD = {
    *(Reason.SYNCED.value, Reason.READY.value),
    *(Reason.PROVISIONED.value, Reason.CHILDREN_READY.value, Reason.RESTARTED.value),
}
MIB = 1024 * 1024


def both_ways(what: str, written: Iterable[str], real: Iterable[str]) -> list[str]:
    """What is not documented, documented twice, or does not exist."""
    times, real = Counter(list(written)), set(real)
    found = [f"{what} {one} is not documented" for one in sorted(real - times.keys())]
    found += [f"{what} {one} does not exist" for one in sorted(times.keys() - real)]
    return found + [f"{what} {one} is there twice" for one, n in times.items() if n > 1]


def check_kinds(page: Page) -> list[str]:
    (table,) = page.tables(first="kind")
    written = {codes(row["kind"])[0]: row for row in table.rows}
    found = both_ways("kind", written, facts.PLURALS)
    for kind in written.keys() & facts.PLURALS.keys():
        spec = facts.definition(kind)["spec"]
        if codes(written[kind]["short names"]) != spec["names"]["shortNames"]:
            found.append(f"{kind} has other short names")
        if (
            written[kind]["scope"]
            != {"Namespaced": "namespace", "Cluster": "cluster"}[spec["scope"]]
        ):
            found.append(f"{kind} has another scope")
        for category in spec["names"]["categories"]:
            if f"`kubectl get {category} -A`" not in page.text:
                found.append(f"the category {category} is not named")
    return found


def _documented(page: Page, kind: str) -> list[tuple[str, dict[str, str]]]:
    """The paths of a kind's fields with their rows, in the order of the page."""
    own = ("ExternalSecret", "ClusterExternalSecret")
    spec = kind if kind in own else STORES
    *of_own, of_stores, of_all = page.tables("Status", "field")
    status = [of_own[own.index(kind)] if kind in own else of_stores, of_all]
    return [
        (path, row)
        for table in (*page.tables(spec, "field"), *status)
        for row in table.rows
        for written in codes(row["field"])
        for path in page.expanded(written)
        if kind != "SecretStore" or not path.startswith("spec.conditions")
    ]


def check_fields(page: Page) -> list[str]:
    found = []
    for kind in facts.PLURALS:
        real = facts.fields(kind)
        # They are those of an ExternalSecret, which are documented there; test_crds.py.
        real = {k: v for k, v in real.items() if not k.startswith("spec.externalSecretSpec.")}
        written = _documented(page, kind)
        found += both_ways(f"{kind}'s field", [path for path, _ in written], real)
        for path, row in written:
            field = real.get(path)
            if field is None:
                continue
            type_ = row["type"] if isinstance(field.type, str) else frozenset(codes(row["type"]))
            if type_ != field.type:
                found.append(f"{kind}: {path} is of type {field.type}")
            if "default" in row and (row["default"] == "required") is not field.required:
                found.append(f"{kind}: whether {path} is required")
            if not row["meaning"]:
                found.append(f"{kind}: {path} has no meaning")
    return found


def check_values_of_fields(page: Page) -> list[str]:
    """The default of an enum is one of its values, and each refreshPolicy is explained."""
    found = [
        f"{row['field']} cannot be {row['default']}"
        for table in page.tables(first="field")
        for row in table.rows
        if "default" in table.head and len(codes(row["type"])) > 1
        if row["default"] != "required"
        and not set(codes(row["default"])) <= set(codes(row["type"]))
    ]
    policies = page.column("When values are fetched", "`refreshPolicy`")
    return found + both_ways("refreshPolicy", policies, REFRESH_POLICIES)


def check_reasons(page: Page) -> list[str]:
    rows = page.rows("Reasons", "reason")
    reasons = [codes(row["reason"])[0] for row in rows]
    legend = [row["waiting"] for row in page.rows("Reasons", "waiting")]
    found = both_ways("reason", reasons, (reason.value for reason in Reason))
    for reason, row in zip(reasons, rows, strict=True):
        if (row["waiting"] not in legend) is not (reason in GOOD):
            found.append(f"{reason}: waiting is {row['waiting']!r}")
        if not (row["what it means"] and row["what to do"]):
            found.append(f"{reason} has an empty cell")
    unused = set(legend) - {row["waiting"] for row in rows}
    return found + [f"no reason has {word}" for word in unused]


def check_events(page: Page) -> list[str]:
    written = page.column("Events", "event")
    found = both_ways("event", written, (reason.value for reason in EventReason))
    for row in page.rows("Events", "event"):
        if row["type"] not in {"Normal", "Warning"}:
            found.append(f"{row['event']} is of no type")
        found += [
            f"{kind} is no kind" for kind in row["on"].split(", ") if kind not in facts.PLURALS
        ]
    return found


def check_marks(page: Page) -> list[str]:
    section = "Annotations, labels, finalizers, field managers"
    found = both_ways("mark", page.column(section, "name"), facts.marks())
    for row in page.rows(section, "name"):
        for mark in codes(row["name"]):
            if (row["kind"] == "annotation") is not _is_annotation(mark):
                found.append(f"{mark} is another kind of mark")
    return found


def _is_annotation(mark: str) -> bool:
    return any(n.endswith("_ANNOTATION") and getattr(names, n) == mark for n in dir(names))


def _flags() -> dict[str, Flag]:
    known = [flag for group in GROUPS.values() for flag in group]
    return {f"--{name}": flag for flag in known for name in (flag.name, *flag.former)}


def check_flags(page: Page) -> list[str]:
    real = _flags()
    rows = page.rows("Flags", "flag")
    found = both_ways("flag", page.column("Flags", "flag"), real)
    for row in rows:
        (name,) = codes(row["flag"])
        flag = real.get(name)
        if flag is None:
            continue
        default = flag.default or ("false" if flag.is_switch and flag.help else "")
        if row["default"] != default:
            found.append(f"{name} has the default {default!r}")
        if row["value"] != flag.value:
            found.append(f"{name} takes {flag.value!r}")
        if codes(row["variable"]) != [variable(name.removeprefix("--"))]:
            found.append(f"{name} has another variable")
        if (row["meaning"] == "accepted, no effect") is not (flag.status == "compatibility"):
            found.append(f"{name}: whether it has an effect")
    return found


def check_variables(page: Page) -> list[str]:
    written = page.column("Environment variables", "variable")
    return both_ways("variable", written, facts.variables())


def check_metrics(page: Page) -> list[str]:
    real = facts.metrics()
    found = both_ways("metric", page.column("Metrics", "metric"), real)
    for row in page.rows("Metrics", "metric"):
        (name,) = codes(row["metric"])
        if name in real and row["type"] != real[name].type:
            found.append(f"{name} is a {real[name].type}")
        if name in real and set(codes(row["labels"])) != set(real[name].labels):
            found.append(f"{name} has the labels {real[name].labels}")
    return found


def check_labels(page: Page) -> list[str]:
    """Those with more than one possible value; one row stands for all metrics with it."""
    real = facts.label_values()
    found = []
    rows = page.rows("Metrics", "label")
    for row in rows:
        (label,), (metric,) = codes(row["label"]), codes(row["of"])
        written = frozenset(codes(row["values"])) - {"controller"}
        if written != real.get((metric, label)):
            found.append(f"{label} of {metric} is {sorted(real.get((metric, label), ()))}")
    explained = {(codes(row["label"])[0], codes(row["of"])[0]) for row in rows}
    explained_everywhere = {"provider", "controller", "name", "resource"}
    missing = {
        (label, name)
        for name, metric in facts.metrics().items()
        for label in metric.labels
        if not name.endswith("_build_info")
        and (label, name) not in explained
        and not (label in explained_everywhere and label in {one for one, _ in explained})
    }
    return found + [f"{label} of {name} is not explained" for label, name in sorted(missing)]


def check_paths(page: Page) -> list[str]:
    return both_ways("path", [*page.column("Health", "path"), "/metrics"], facts.paths())


def check_commands(page: Page) -> list[str]:
    found = both_ways("command", page.column(COMMANDS, "command"), facts.commands())
    exits = [row["exit code"] for row in page.rows(COMMANDS, "exit code")]
    return found + both_ways("exit code", exits, facts.exit_codes())


def _seconds(number: float) -> str:
    return f"{number:g} s"


LIMITS = {
    "entries of an object (`data` and `dataProcess` together)": f"{per_object.MAX_ENTRIES:,}",
    "items of all `jmesPath` and `replaceRule` of an object together": (
        f"{per_object.MAX_EXPRESSIONS:,}"
    ),
    "characters of their `path`, `source` and `target` together": (
        f"{per_object.MAX_EXPRESSION_CHARACTERS:,}"
    ),
    "characters of a `key`, `versionStage`, `versionId` or `kmsEndpoint`": (
        f"{per_object.MAX_NAME_CHARACTERS:,}"
    ),
    "documents of an object together, each distinct value counted once": (
        f"{budget.MAX_PARSED_BYTES // MIB} MiB"
    ),
    "processing steps for all documents of an object (about a microsecond each)": (
        f"{budget.MAX_OBJECT_STEPS:,}"
    ),
    "keys that the entries of an object write, including overwritten ones": f"{budget.MAX_KEYS:,}",
    "processing steps for one `source` on one key": f"{rules.MAX_SEARCH_STEPS:,}",
    "keys and values of a Secret together": f"{limits.MAX_BYTES // MIB} MiB",
    "templates of an object, of a ConfigMap or Secret included": f"{template.MAX_TEMPLATES:,}",
    "ConfigMaps and Secrets to which the templates of an object refer": (
        f"{template.MAX_REFERENCES}"
    ),
    "characters of a template": f"{template.MAX_TEMPLATE_CHARACTERS:,}",
    "characters of all templates of an object together": (f"{template.MAX_TEMPLATES_CHARACTERS:,}"),
    "evaluation steps for all templates of an object": f"{template_limits.MAX_STEPS:,}",
    "strings that they create, together": f"{template_limits.MAX_CREATED // MIB} MiB",
    "list elements that they create, together": f"{template_limits.MAX_ELEMENTS:,}",
    "nesting levels of a template": f"{template_limits.MAX_DEPTH:,}",
    "calls of `bcrypt` and `htpasswd` of an object": f"{template_limits.MAX_HASHES}",
    "rendered annotations together": f"{rendered_metadata.MAX_ANNOTATIONS // 1024} KiB",
    "characters of a key of a Secret": f"{keys.MAX_KEY_LENGTH:,}",
    "JSON document": f"{limits.MAX_BYTES // MIB} MiB",
    "YAML document": f"{limits.MAX_YAML_BYTES // 1024} KiB",
    "nesting levels of a document": f"{limits.MAX_LEVELS:,}",
    "values in a document": f"{documents.MAX_VALUES:,}",
    "values of a YAML document, with aliases expanded": f"{yaml_document.MAX_EXPANDED_NODES:,}",
    "aliases of a YAML document": f"{yaml_document.MAX_ALIASES:,}",
    "items of `jmesPath` in an entry": f"{extraction.MAX_SELECTIONS:,}",
    "characters of a path": f"{paths.MAX_PATH_LENGTH:,}",
    "characters of all paths of an entry": f"{paths.MAX_PATHS_LENGTH:,}",
    "nesting levels of a path": f"{paths.MAX_PATH_LEVELS:,}",
    "processing steps for the paths of an entry (about a microsecond each)": f"{paths.MAX_STEPS:,}",
    "rules of `replaceRule`": f"{rules.MAX_RULES:,}",
    "characters of a `source` or `target`": f"{rules.MAX_RULE_LENGTH:,}",
    "bytes of an answer of KMS or OOS": f"{transport.MAX_BODY // MIB} MiB",
    "shortest `rotationInterval`": _seconds(planner.MIN_INTERVAL),
    "timeout of a call to KMS or OOS": _seconds(transport.CALL_SECONDS),
    "timeout of its connection, included in the former": _seconds(transport.CONNECT_SECONDS),
    "attempts per call, at most": f"{retry.MAX_TRIES}",
    "delay until `Pending` is reported": _seconds(reporter.REPORT_PENDING_AFTER),
    "the same for a Secret that holds previous values": _seconds(reporter.REPORT_LATE_AFTER),
    "first answers of a new object are at most this far apart": _seconds(
        snapshots.FIRST_ANSWERS_WITHIN
    ),
    "after a change, the other sources are fetched again immediately and after": (
        f"{_seconds(source_module.RECHECK_SOON)} and {_seconds(source_module.RECHECK_LATE)}"
    ),
    "a refused write is retried after": _seconds(reconciler.REFUSED_AGAIN_AFTER),
    "workloads that an object restarts": f"{restart.MAX_WORKLOADS}",
    "a restart follows a change of the data after": _seconds(pacing.SETTLE),
    "restarts of a workload, and for an object, at most every": _seconds(pacing.GAP),
    "restarts that may follow each other that closely": f"{pacing.FREE}",
    "longest delay of a restart for data that change again and again": _seconds(pacing.LONGEST_GAP),
    "reverted changes before `WriteConflict`": (
        f"{write_conflicts.REPAIRS} in {_seconds(write_conflicts.CONFLICT_SECONDS)}"
    ),
    "during an outage, one source is retried every, and after it, all within": _seconds(
        retries.PROBE_INTERVAL
    ),
    "first delay after a transient failure": _seconds(retries.AFTER_FAULT.base),
    "first delay after a definite refusal": _seconds(retries.AFTER_REFUSAL.base),
    "longest delay after either": _seconds(max(retries.AFTER_FAULT.cap, retries.AFTER_REFUSAL.cap)),
    "at startup, the API server is retried for": _seconds(PATIENCE),
    "longest delay after a failure of the API server": _seconds(control_loop.RETRY_WITHIN),
    "`Retry-After` of the API server is honored up to": _seconds(api_errors.MAX_WAIT),
    "watches without events are complemented by a list after": (
        f"{reflector.QUIET[0]:g} to {reflector.QUIET[1]:g} s"
    ),
    "timeout of one attempt to renew the Lease, by default": f"{LeaseTimes().attempt:g} s",
    "after SIGTERM, work in progress may take": _seconds(running.FINISH_WITHIN),
    "`/healthz` fails without a heartbeat for": _seconds(STUCK_AFTER),
}


def check_limits(page: Page) -> list[str]:
    rows = page.rows("Limits and times", "what")
    found = both_ways("limit", [row["what"] for row in rows], LIMITS)
    return found + [
        f"{row['what']}: {LIMITS[row['what']]}"
        for row in rows
        if LIMITS.get(row["what"]) not in {row["value"], None}
    ]


def check_endpoints(page: Page) -> list[str]:
    """The documented forms pass without a pattern, and each pattern is one."""
    found = []
    for form in page.column("Endpoints", "form"):
        host = form.replace("<region>", "cn-hangzhou").replace("<instance>", "kst-1234")
        try:
            resolve_kms("name", region="cn-hangzhou", endpoint="", entry_endpoint=host)
        except SecretSyncError as error:
            found.append(f"{form}: {error.message}")
    for pattern in page.column("Endpoints", "pattern"):
        try:
            EndpointRules((pattern,))
        except SecretSyncError as error:
            found.append(error.message)
    (rows, forms) = (page.rows("Endpoints", "pattern"), page.rows("Endpoints", "form"))
    return found + ["a form or pattern is missing"] * ((len(rows), len(forms)) != (4, 3))


def check_words(page: Page, others: Collection[str] = ()) -> list[str]:
    """Whatever looks like a name of ours anywhere on the page.

    Args:
        page: Which.
        others: Flags of other programs.
    """
    text = page.text
    flags = set(re.findall(r"(?<![\w<-])--[a-z][a-z-]+", text)) - THEIRS - _flags().keys()
    flags -= set(others)
    ours = {variable(name.removeprefix("--")) for name in _flags()}
    found = {f"flag {name} does not exist" for name in flags}
    for word in set(re.findall(r"SECRET_SYNC_[A-Z_]+", text)) - ours:
        found.add(f"variable {word} does not exist")
    for word in set(re.findall(r"secret-sync\.alibabacloud\.com/[a-z-]+", text)) - facts.marks():
        found.add(f"annotation {word} does not exist")
    for word in set(re.findall(r"\bsecret_sync_[a-z_]+", text)) - facts.metrics().keys():
        found.add(f"metric {word} does not exist")
    known = {reason.value for reason in Reason} | {reason.value for reason in EventReason}
    for word in set(re.findall(r"(?:reason|reasons|Event) (?:is )?`([A-Za-z]+)`", text)) - known:
        found.add(f"reason {word} does not exist")
    return sorted(found)


def check_links(page: Page, elsewhere: Callable[[str], Page]) -> list[str]:
    found = []
    for file, mark in page.links:
        there = elsewhere(file) if file else page
        if mark and mark not in there.anchors:
            found.append(f"{file}#{mark} leads nowhere")
    return found


ALL: tuple[Callable[[Page], list[str]], ...] = (
    check_kinds,
    check_fields,
    check_values_of_fields,
    check_reasons,
    check_events,
    check_marks,
    check_flags,
    check_variables,
    check_metrics,
    check_labels,
    check_paths,
    check_commands,
    check_limits,
    check_schema_limits,
    check_endpoints,
    check_words,
)
