"""What there is to be documented, read from the code and the definitions themselves."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from secret_sync import metrics as room
from secret_sync.cli import entry
from secret_sync.cli.release.ownership import RELEASED_MANAGER
from secret_sync.controller import kinds
from secret_sync.controller.external_secret.dry_run import count_dry_run
from secret_sync.controller.sync import count_by_ready
from secret_sync.credentials import METHODS
from secret_sync.kube import (
    CUSTOM_RESOURCE_DEFINITIONS,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from secret_sync.logs import dropped_lines
from secret_sync.metrics.accumulators import Counter, Histogram
from secret_sync.queue.worker import Result
from secret_sync.resources import names
from secret_sync.settings.flags import GROUPS
from secret_sync.settings.parse import OWN_IDENTITY
from secret_sync.sources.freshness import Freshness
from tests.support.source import nodes_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "secret_sync"
PLURALS = {
    "ExternalSecret": "externalsecrets",
    "SecretStore": "secretstores",
    "ClusterSecretStore": "clustersecretstores",
    "ClusterExternalSecret": "clusterexternalsecrets",
}
PROVIDERS = ("kms", "oos")


class Field(NamedTuple):
    """A field of a kind.

    Attributes:
        type: In the words of the page; of an enum its values.
    """

    type: str | frozenset[str]
    required: bool


class Metric(NamedTuple):
    type: str
    labels: tuple[str, ...]


class Idle:
    """A queue in which nothing happens."""

    unfinished_work_seconds = 0.0
    longest_running_processor_seconds = 0.0

    def __init__(self, name: str) -> None:
        self.name = name

    def __len__(self) -> int:
        return 0


@cache
def definition(kind: str) -> dict[str, Any]:
    path = ROOT / "crds" / f"{PLURALS[kind]}.yaml"
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


@cache
def fields(kind: str) -> dict[str, Field]:
    (version,) = definition(kind)["spec"]["versions"]
    return dict(_walk(version["schema"]["openAPIV3Schema"], ""))


def _walk(schema: dict[str, Any], path: str) -> Iterator[tuple[str, Field]]:
    for name, below in schema.get("properties", {}).items():
        whole = f"{path}.{name}".removeprefix(".")
        yield whole, Field(_type(below), name in schema.get("required", ()))
        yield from _walk(below, whole)
        if "items" in below:
            yield from _walk(below["items"], f"{whole}[]")


def _type(schema: dict[str, Any]) -> str | frozenset[str]:
    if "enum" in schema:
        return frozenset(schema["enum"])
    kind = schema["type"]
    if kind == "array":
        return {"object": "[]object", "string": "[]string"}[schema["items"]["type"]]
    if kind == "object":
        return "map[string]string" if "additionalProperties" in schema else "object"
    if kind == "string":
        return "time" if schema.get("format") == "date-time" else "string"
    return {"boolean": "boolean", "integer": "integer"}[kind]


def marks() -> set[str]:
    """All names that we put on objects, or heed there."""
    found: set[str] = set()
    for name in dir(names):
        value = getattr(names, name)
        if name.isupper() and name not in {"GROUP", "VERSION", "API_VERSION"}:
            found |= {value} if isinstance(value, str) else set(value)
    found.remove(names.MERGE_MANAGER)
    return found | {f"{names.MERGE_MANAGER}<uid>", RELEASED_MANAGER}


def sources() -> Iterator[tuple[Path, str]]:
    """Every module of the controller and its commands; the playground is another program."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "local" not in path.relative_to(PACKAGE).parts:
            yield path, path.read_text()


@cache
def variables() -> frozenset[str]:
    """The environment variables that are read, but for those of the flags."""
    found = {name for group in GROUPS.values() for flag in group for name in flag.environment}
    found |= {name for of_one in OWN_IDENTITY.values() for name in of_one}
    for _, text in sources():
        found |= set(re.findall(r'environ(?:\.get\(|, |\[)"([A-Z_]+)"', text))
    return frozenset(found)


@cache
def metrics() -> dict[str, Metric]:
    """By the name that a scrape shows."""
    registry = room.Metrics("1")
    found = {}
    for name in dir(registry):
        part = getattr(registry, name)
        if isinstance(part, Counter | Histogram):
            found[part.name] = Metric(type(part).__name__.lower(), part.label_names)
    for name in controllers_gauges():
        registry.read(name, "what it says", lambda: 0.0)
    registry.watch_queues(lambda: [Idle("one")])
    registry.watch_sources(lambda: Freshness(0, 0.0, 0))
    registry.watch_objects(lambda: {"ExternalSecret": count_by_ready(())})
    registry.watch_rates(lambda: {("kms", "AccessKey", "cn-hangzhou"): 0.0})
    registry.watch_dry_run(lambda: count_dry_run(()))
    registry.watch_log(dropped_lines)
    for family in registry.registry.collect():
        suffix = "_total" if family.type == "counter" else ""
        labels = family.samples[0].labels if family.samples else {}
        found.setdefault(family.name + suffix, Metric(family.type, tuple(labels)))
    return found


@cache
def controllers_gauges() -> tuple[str, ...]:
    """Those that are read from the running controller."""
    paths = sorted((PACKAGE / "app").glob("*.py"))
    return tuple(
        node.args[0].value
        for node in chain.from_iterable(map(nodes_of, paths))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "metrics.read"
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    )


def queues() -> set[str]:
    """The names of the work queues but those of sources."""
    text = (PACKAGE / "app" / "loops.py").read_text()
    return set(re.findall(r'\bqueue\("([a-z-]+)"', text))


@cache
def label_values() -> dict[tuple[str, str], frozenset[str]]:
    """What a label of a metric can be."""
    registry = room.Metrics("1")
    room.SyncMetrics(registry)
    room.EventMetrics(registry)
    room.CredentialMetrics(registry, METHODS)
    room.ReflectorMetrics(registry, "any")
    room.RefreshMetrics(registry)
    registry.watch_log(dropped_lines)
    for provider in PROVIDERS:
        room.CallMetrics(registry, provider)
    found: dict[tuple[str, str], set[str]] = {}
    for family in registry.registry.collect():
        for sample in family.samples:
            for label, value in sample.labels.items():
                found.setdefault((sample.name, label), set()).add(value)
    watched = (
        *(kinds.EXTERNAL_SECRETS, kinds.SECRET_STORES, kinds.CLUSTER_SECRET_STORES),
        kinds.CLUSTER_EXTERNAL_SECRETS,
        *(SECRETS, SERVICE_ACCOUNTS, NAMESPACES, CUSTOM_RESOURCE_DEFINITIONS),
    )
    ours = watched[:3]
    verbs = {"create", "delete", "get", "list", "patch", "update", "watch"}
    found |= {
        ("secret_sync_objects", "kind"): {kind.kind for kind in ours},
        ("secret_sync_objects", "ready"): {ready for ready, _ in count_by_ready(())},
        # Besides those of the condition, and other HTTP statuses.
        ("secret_sync_objects", "reason"): {"other"},
        ("secret_sync_api_requests_total", "code"): {"none", "200", "201", "404", "409", "429"},
        ("secret_sync_api_requests_total", "verb"): verbs,
        ("secret_sync_api_request_duration_seconds", "verb"): verbs,
        # Besides an account, and the regions.
        ("secret_sync_rate_limit_use_ratio", "identity"): {*METHODS, "unproved", "other"},
        ("secret_sync_rate_limit_use_ratio", "region"): {"dedicated", "mixed", "other"},
        ("secret_sync_dry_run_objects", "outcome"): set(count_dry_run(())),
        ("secret_sync_reconciles_total", "result"): {result.value for result in Result},
        ("secret_sync_reconciles_total", "controller"): queues(),
        ("workqueue_depth", "name"): {f"source-{provider}" for provider in PROVIDERS},
        ("secret_sync_reflector_lists_total", "resource"): {kind.plural for kind in watched},
    }
    return {key: frozenset(values) for key, values in found.items()}


def paths() -> set[str]:
    """What is served."""
    return set(re.findall(r'add_get\("([a-z/]+)"', (PACKAGE / "health.py").read_text()))


def commands() -> set[str]:
    return {f"secret-sync {name}" for name in entry.COMMANDS}


def exit_codes() -> set[str]:
    named = {value for name, value in vars(entry).items() if name.startswith("EXIT_")}
    return {str(code) for code in {0, *named}}
