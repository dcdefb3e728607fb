"""Whatever is kept by host, key or identity is bounded, or goes when that does.

Every map that an object holds is in a table: either a cycle below makes and forgets thousands of
its keys, or its line says why it cannot grow. A new one fails the test until it is in there.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from secret_sync.cloud.transport import Transport
from secret_sync.controller.crd_schema import Schemas
from secret_sync.controller.external_secret.state import SyncStateStore
from secret_sync.controller.publishing import StatusWriter
from secret_sync.errors import SecretSyncError
from secret_sync.kube import Change, Resource, Store
from secret_sync.metrics import Metrics, QueueMetrics
from secret_sync.queue import Done, WorkQueue
from secret_sync.resources import (
    Condition,
    ExternalSecret,
    ExternalSecretStatus,
    ForeignSecret,
    Reason,
)
from secret_sync.sources.rate_limiters import MAX_IDLE
from tests.support.source import nodes_of
from tests.unit.sources.conftest import make_harness  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2] / "secret_sync"
#: Packages whose processes end soon, or are no part of the controller.
ELSEWHERE = {"local", "cli"}
MAPS = {"dict", "OrderedDict", "defaultdict", "set", "Counter", "WeakValueDictionary"}
MANY = 10_000
#: Identities with a queue each, which take longer; more than the rates that are kept.
MANY_IDENTITIES = 2 * MAX_IDLE

#: What each map holds at most after a cycle: 0, but for what is bounded.
SWEPT = {
    "queue/workqueue.py WorkQueue._dirty": 0,
    "queue/workqueue.py WorkQueue._processing": 0,
    "queue/workqueue.py WorkQueue._failures": 0,
    "queue/workqueue.py WorkQueue._afterwards": 0,
    "queue/level.py Level.items": 0,
    "queue/level.py Level._turns": 0,
    "queue/delays.py Delays._waiting": 0,
    "sources/registry.py SourceRegistry._states": 0,
    "sources/registry.py SourceRegistry._registered": 0,
    "sources/snapshots.py PreviousValues._held": 0,
    "sources/snapshots.py PreviousValues._uses": 0,
    "sources/fetch_scheduler.py Groups._first": 0,
    "sources/value_cache.py ValueCache._values": 0,
    "sources/source_queues.py SourceQueues._queues": 0,
    "sources/source_queues.py SourceQueues._identities": 0,
    "sources/source_queues.py SourceQueues._owners": 0,
    "sources/rate_limiters.py RateLimiterPool._limiters": MAX_IDLE,
    "sources/rate_limiters.py RateLimiterPool._idle": MAX_IDLE,
    "credentials/cache.py CredentialCache._entries": 0,
    "credentials/cache.py CredentialCache._ending": 0,
    "cloud/transport.py Transport._routes": 256,
    "cloud/connections.py Connector._opening": 0,
    "controller/crd_schema.py Schemas._before": 0,
    "controller/crd_schema.py Schemas._wishes": 0,
    "controller/secret_target/turns.py WriteTurns._lines": 0,
    "controller/secret_target/turns.py WriteTurns._places": 0,
    "controller/secret_target/turns.py WriteTurns._written": 0,
    "controller/object_state.py ObjectStates._states": 0,
    "kube/store.py Store._objects": 0,
}
#: Why the others cannot grow.
OTHERS = {
    "controller/restart/pacing.py RestartState.done": "the workloads of one object; test_pacing.py",
    "controller/restart/pacing.py RestartState.problems": "likewise",
    "controller/restart/pacing.py RestartState.unchecked": "likewise",
    "controller/restart/pacing.py RestartState.notes": "likewise",
    "controller/restart/reconciler.py WorkloadReconciler._restarted": (
        "each restart drops two that are a minute old; test_restarts.py"
    ),
    "sources/rate_limited_queue.py RateLimitedQueue._groups": "goes with the queue",
    "sources/rate_limited_queue.py _Group.sources": "goes with the queue",
    "sources/source_queues.py _Owner.endpoints": "eight for each provider; test_rates.py",
    "sources/retries.py Outage._waiting": "goes with the queue; test_outage.py",
    "sources/snapshots.py Registration.waits": "goes with the user",
    "sources/source.py SourceState.users": "goes with the source",
    "sources/source.py SourceState.waiters": "goes with the source",
    "sources/source.py SourceState.refetch_for": "goes with the source",
    "credentials/cache.py _Entry.users": "goes with the identity",
    "cloud/dedicated.py DedicatedTrust._contexts": "the regions that are known by their CA",
    "cloud/dedicated.py DedicatedTrust._building": "what is being built",
    "cloud/metadata.py _MetadataSession._headers": "one token",
    "controller/external_secret/document_processor.py DocumentProcessor._waiting": (
        "goes with the object"
    ),
    "controller/external_secret/document_processor.py DocumentProcessor._parked": (
        "goes with the object"
    ),
    "controller/external_secret/document_processor.py DocumentProcessor._results": (
        "goes with the object; test_costly_templates.py"
    ),
    "controller/external_secret/document_processor.py DocumentProcessor._hashed": (
        "goes with the object"
    ),
    "controller/external_secret/expressions.py ExpressionCompiler._checked": "goes with the object",
    "controller/external_secret/expressions.py ExpressionCompiler._compiled": (
        "bounded; test_expressions.py"
    ),
    "controller/external_secret/extraction.py _Merged._keys": "goes with the extraction",
    "controller/external_secret/extraction.py _Merged._writers": "goes with the extraction",
    "controller/external_secret/extraction.py _Merged.data": "goes with the extraction",
    "controller/external_secret/password_hashes.py KnownHashes._hashes": (
        "bounded; test_password_hashes.py"
    ),
    "controller/external_secret/password_hashes.py PasswordHashes._waiting": "goes with the object",
    "controller/external_secret/rendering.py _RenderedSecret._writers": "goes with the rendering",
    "controller/external_secret/rendering.py _RenderedSecret._written": "goes with the rendering",
    "controller/secret_target/payload_digests.py PayloadDigests._together": (
        "goes with those who ask"
    ),
    "controller/secret_target/payload_digests.py _Reading.digests": "keys of one Secret",
    "controller/external_secret/plan_cache.py PlanCache._kept": "bounded, and goes with the object",
    "controller/crd_schema.py Schemas._missing": "our CRDs",
    "controller/cluster_external_secret/state.py ClusterState.failures": "goes with the object",
    "controller/cluster_external_secret/state.py ClusterState._repairs": "swept by each survey",
    "controller/cluster_external_secret/state.py ClusterState.waiting": "goes when the key runs",
    "controller/cluster_external_secret/validation.py SpecChecker._checked": "goes with the object",
    "controller/store/identity.py IdentityResolver._resolved": "bounded; test_identity_kept.py",
    "templates/engine.py ParsedTemplates._kept": "bounded; test_engine.py",
    "templates/expression_parser.py ExpressionParser.used": "goes with the parsing",
    "templates/field_names.py _FieldReader._seen": "goes with the parsing",
    "templates/field_names.py _FieldReader.found": "goes with the parsing",
    "templates/parser.py _TemplateParser._defined": "goes with the parsing",
    "templates/functions.py FunctionTable.functions": "the functions of a module",
    "templates/rendering.py Rendering.calls": "goes with the rendering",
    "templates/rendering.py Rendering.regexes": "goes with the rendering",
    "kube/_client_config.py Configuration.api_key": "one token",
    "kube/client.py KubeClient._always": "arguments of every request",
    "dns.py Resolver._names": "bounded; test_dns.py",
    "dns.py Resolver._queue": "some of the names",
    "dns.py Resolver._running": "bounded; test_dns.py",
    "kube/event_queue.py EventQueue._in_flight": "the requests under way, which are bounded",
    "kube/events.py EventRecorder._refused": "namespaces refused in the last ten seconds",
    "kube/event_queue.py FairQueue._queues": "empty ones are deleted; test_events_fair.py",
    "kube/events.py EventRecorder._known": "bounded; test_events.py",
    "kube/events.py EventRecorder._buckets": "bounded; test_events.py",
    "kube/events.py EventRecorder._untold": "by type of Event and reason of its loss",
    "kube/informer.py InformerScope._keys": "the keys of the last list",
    "kube/kubeconfig/fields.py Fields._value": "what a kubeconfig holds, for as long as it is read",
    "kube/lease.py Election._spec": "one Lease",
    "kube/lease.py Election._metadata": "one Lease",
    "kube/preflight.py Preflight._asking": "the groups of what is used",
    "kube/preflight.py Preflight._kinds": "the groups of what is used",
    "kube/store.py Store._buckets": "by the indexes, whose empty buckets go",
    "kube/store.py Store._functions": "the indexes",
    "queue/time_slices.py TimeSlicedWorker._namespaces": "empty ones are deleted",
    "queue/gathering.py Gathering._gathered": "emptied after its time; test_gathering.py",
    "queue/worker.py NotBefore._until": "a key is queued, and goes when it is handed out",
    "app/watched.py Watched._running": "the informers",
    "refresh/limits.py ClientLimits._clients": "bounded; refresh/test_limits.py",
    "sources/pushed.py PushedRefreshes._waiting": "bounded; test_pushed.py",
    "sources/pushed.py PushedRefreshes._pushed": "swept with the sources; test_pushed.py",
    "sources/pushed.py PushedRefreshes._sharing": "keys of _next",
    "sources/pushed.py PushedRefreshes._next": "swept when it limits nothing; test_pushed.py",
    "metrics/accumulators.py _Family._series": "labels are words of ours",
    "metrics/observers.py RequestMetrics._bound": "verbs, resources of ours, and HTTP statuses",
    "parse/expressions.py Expressions._paths": "goes with the object",
    "parse/expressions.py Expressions._regexes": "goes with the object",
    "parse/paths.py _Interpreter._methods": "one for each type of node of JMESPath",
    "parse/yaml_document.py _Composer._anchors": "goes with the document",
    "parse/yaml_document.py _Mapping.pairs": "goes with the document",
}


def _maps() -> Iterator[str]:
    """Attributes that are a map or a set, by what they are annotated as or made of."""
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT)
        if place.parts[0] in ELSEWHERE:
            continue
        for found in nodes_of(path):
            if isinstance(found, ast.ClassDef):
                yield from (f"{place} {found.name}.{name}" for name in _attributes(found))


def _attributes(owner: ast.ClassDef) -> Iterator[str]:
    for node in ast.walk(owner):
        match node:
            case ast.AnnAssign(
                target=ast.Attribute(value=ast.Name("self"), attr=name), annotation=kind
            ) if _names_map(kind):
                yield name
            case ast.Assign(
                targets=[ast.Attribute(value=ast.Name("self"), attr=name)], value=value
            ) if _makes_map(value):
                yield name
            case ast.AnnAssign(
                target=ast.Name(name), value=ast.Call(keywords=[ast.keyword("default_factory")])
            ) if _names_map(node.annotation):
                yield name


def _names_map(kind: ast.expr) -> bool:
    match kind:
        case ast.Subscript(value=ast.Name(name)):
            return name in MAPS
        case ast.BinOp(left=left):
            return _names_map(left)
    return False


def _makes_map(value: ast.expr) -> bool:
    match value:
        case ast.Dict(keys=[]) | ast.Call(func=ast.Name("dict" | "set" | "OrderedDict")):
            return True
    return False


def test_every_map_is_in_a_table() -> None:
    assert set(_maps()) == SWEPT.keys() | OTHERS.keys()


# -- What makes and forgets keys ----------------------------------------------------------


async def queues() -> list[Any]:
    metrics = QueueMetrics(Metrics("test"), "test")
    queue: WorkQueue[str] = WorkQueue("test", observer=metrics, tenants=lambda key: (key, "all"))
    for n in range(MANY):
        queue.add(f"ready/{n}")
        queue.share(f"ready/{n}", "other")
        queue.add_after(f"late/{n}", 60)
        queue.retry(f"failed/{n}")
        queue.discard(f"late/{n}")
        queue.discard(f"failed/{n}")
        if n % 2:
            queue.discard(f"ready/{n}")
    for _ in range(MANY // 2):
        queue.done(await queue.get())
    return [queue, queue._delays, *queue._levels]


async def sources(make: Callable[..., Any]) -> list[Any]:
    async with make() as harness:
        harness.cloud.values["db"] = b"x"
        for n in range(MANY_IDENTITIES):
            role_in = str(n) if n % 2 else ""
            provider = type(harness.provider)(account=str(n), role_in=role_in)
            host = f"i{n % 100}.cryptoservice.kms.aliyuncs.com"
            names = ("db", "gone") if n % 3 else ("db",)
            wanted = [harness.want(name, provider, host) for name in names]
            harness.registry.register(f"{n}/a", wanted, interval=60)
            if n % 500 == 0:
                await asyncio.sleep(1)
        await asyncio.sleep(30)
        for n in range(MANY_IDENTITIES):
            if n % 3:
                harness.registry.suspend(f"{n}/a")
            harness.registry.release(f"{n}/a")
        fetcher = harness.registry._fetcher
        queues = fetcher._queues
        previous = harness.registry._snapshots._previous
        objects = [harness.registry, previous, harness.registry._groups, harness.registry._cache]
        objects += [queues, queues._limiters]
        await asyncio.sleep(1)
        return [*objects, fetcher._credentials]


async def hosts() -> list[Any]:
    transport = Transport(ssl_context=ssl.create_default_context())
    for n in range(1000):
        # No connection is made: nothing listens there.
        url = URL(f"https://127.{n // 250}.{n % 250}.1:1/")
        with suppress(SecretSyncError):
            await transport.send("GET", url, {}, what="test")
    connector = transport._session.connector
    await transport.close()
    return [transport, connector]


async def objects() -> list[Any]:
    schemas, states = Schemas(), SyncStateStore()
    queue: WorkQueue[str] = WorkQueue("status", observer=QueueMetrics(Metrics("test"), "status"))
    nothing: Any = None
    statuses: StatusWriter[ExternalSecretStatus] = StatusWriter(
        nothing, Resource("g", "v", "k", "ks"), queue, schemas, Store(), states
    )
    store: Store[Any] = Store({"name": lambda o: (o.name,)})
    for n in range(MANY):
        key = f"ns/{n}"
        es = _object(n, "Synced")
        schemas.note([es])
        doubted = _object(n, Reason.CRD_OUTDATED, generation=2)
        assert schemas.refusal(doubted) is not None
        states.of(key).written = b"x"
        statuses.put(key, es, ExternalSecretStatus())
        store.put(key, ForeignSecret("ns", str(n), "u", "1", ""))
        schemas.seen(Change(key, doubted, None))
        states.forget(key)
        store.remove(key)
    for _ in range(MANY):
        key = await queue.get()
        assert await statuses.write(key) == Done()
        queue.done(key)
    assert not any(store._buckets.values())
    return [schemas, states, statuses, store, queue]


def _object(n: int, reason: str, generation: int = 1) -> ExternalSecret:
    ready = Condition("Ready", "False", reason, "message", "2026-01-01T00:00:00Z", generation)
    return ExternalSecret.from_dict(
        {
            "metadata": {
                "namespace": "ns",
                "name": str(n),
                "uid": f"u{n}",
                "resourceVersion": "1",
                "generation": generation,
            },
            "spec": {"data": [{"key": f"k{generation}"}]},
            "status": {"conditions": [ready.to_dict()]},
        }
    )


@pytest.mark.looptime
@pytest.mark.parametrize("cycle", [queues, sources, objects], ids=lambda cycle: cycle.__name__)
async def test_maps_are_empty_again(
    cycle: Callable[..., Any],
    make_harness: Callable[..., Any],  # noqa: F811 - the fixture
) -> None:
    _check(await (cycle(make_harness) if cycle is sources else cycle()))


async def test_maps_of_hosts_are_bounded() -> None:
    found = await hosts()
    gc.collect()  # of the errors, whose frames refer to each other
    _check(found)


def _check(found: list[Any]) -> None:
    checked = 0
    for one in found:
        for name, most in SWEPT.items():
            owner, attribute = name.split()[1].split(".")
            if owner in {kind.__name__ for kind in type(one).__mro__}:
                assert len(getattr(one, attribute)) <= most, name
                checked += 1
    assert checked >= len(found)
