"""From an ExternalSecret to the sources it needs; every mistake that shows without a call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from secret_sync.cloud.endpoints import DOCUMENTED_ONLY, resolve_kms, resolve_oos
from secret_sync.controller.external_secret.desired import digest_of
from secret_sync.controller.external_secret.expressions import TEMPLATE, extraction_spec_of
from secret_sync.controller.external_secret.plan_cache import PlanCache
from secret_sync.controller.external_secret.spec_validation import (
    PROVIDERS,
    key_problem,
    spec_problem,
)
from secret_sync.controller.store.references import agrees
from secret_sync.controller.sync import Problem
from secret_sync.errors import DefiniteError
from secret_sync.resources import Reason
from secret_sync.resources.external_secret import (
    CREATED_ONCE,
    DEFAULT_PROVIDER,
    OOS,
    PERIODIC,
)
from secret_sync.resources.meta import object_key
from secret_sync.resources.secret_store import CLUSTER_KIND
from secret_sync.settings import parse_duration
from secret_sync.sources import Source, SourceRequest

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from secret_sync.cloud.endpoints import EndpointRules, KmsTarget, OosTarget
    from secret_sync.controller.crd_schema import Schemas
    from secret_sync.controller.external_secret.expressions import ExpressionChecker
    from secret_sync.controller.store.identity import Identity, IdentityResolver
    from secret_sync.controller.store.references import StoreReferences
    from secret_sync.credentials import CredentialProvider
    from secret_sync.parse import ExtractionSpec
    from secret_sync.resources import DataEntry, ExternalSecret, SecretStore, StoreRef
    from secret_sync.resources.secret_store import Service

#: What KMS takes where neither a stage nor a version is asked for.
DEFAULT_STAGE: Final = "ACSCurrent"

_STORE_REF: Final = ("secretStoreRef",)

#: Characters of a duration; a longer string is not one.
_LONGEST_DURATION: Final = 80

#: Seconds; shorter intervals are a mistake: they would only meet the rate limit.
MIN_INTERVAL: Final = 1.0


@dataclass(frozen=True, slots=True)
class PlannedEntry:
    """An entry with either the source it needs or the mistake in it."""

    entry: DataEntry
    spec: ExtractionSpec
    wanted: SourceRequest | None
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an ExternalSecret asks for.

    Attributes:
        problem: A mistake that concerns the object as a whole; it has no entries then.
        interval: Seconds between refreshes, or ``None`` for none.
        once: Whether nothing is fetched any more once the Secret is there.
        revision: Another one whenever the object or one of its stores was edited.
        digest: Of the keys of its entries and what is made of their values.
        compiling: Whether its expressions are still being compiled; it has no entries then, and
            the object is enqueued.
    """

    entries: tuple[PlannedEntry, ...] = ()
    interval: float | None = None
    once: bool = False
    problem: Problem | None = None
    revision: Hashable = None
    digest: bytes = b""
    compiling: bool = False


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Which hosts are called.

    Attributes:
        kms: The operator's host[:port] for all KMS calls, or ``""``.
        oos: The same for OOS.
        allowed: Hosts that objects may name beside the documented ones.
    """

    kms: str = ""
    oos: str = ""
    allowed: EndpointRules = DOCUMENTED_ONLY


class Planner:
    """Reads ExternalSecrets; what it needs of the cluster it takes from the informers.

    Args:
        stores: Finds the stores that entries refer to.
        identities: Who is called as, by store.
        polling_interval: Seconds, for objects that write none; ``None`` disables polling.
        region: For names that are no ARN; ``""`` where it is not known.
        endpoints: Which hosts are called.
        schemas: Whether the CRDs have all of our fields.
        expressions: Checks those of ``jmesPath`` and ``replaceRule``.
    """

    def __init__(
        self,
        *,
        stores: StoreReferences,
        identities: IdentityResolver,
        polling_interval: float | None,
        region: str,
        endpoints: Endpoints,
        schemas: Schemas,
        expressions: ExpressionChecker,
    ) -> None:
        self._stores = stores
        #: Of stores of either kind.
        self.identities = identities
        self._polling_interval = polling_interval
        #: For names that are no ARN; may become known later.
        self.region = region
        self._endpoints = endpoints
        self._schemas = schemas
        self._expressions = expressions
        self._plans = PlanCache()

    def plan(self, es: ExternalSecret) -> Plan:
        """Return what the object needs, or why nothing can be done for it."""
        problem = self._schemas.refusal(es)
        if problem is not None:
            return Plan(problem=problem)
        identities = self._identities_of(es)
        revision = _revision(es, identities)
        # Whatever a plan depends on that is not in the object is in the identities.
        keys = tuple([resolved.key for resolved in identities.values()])
        basis = (es.uid, revision, self.region, keys)
        key = object_key(es.namespace, es.name)
        plan = self._plans.find(key, es, basis)
        if plan is None:
            plan = self._made(es, identities, revision)
            self._plans.keep(key, es, basis, plan)
        return plan

    def forget(self, key: str) -> None:
        """Forget an object that is gone."""
        self._plans.drop(key)
        self._expressions.forget(key)

    def _made(
        self,
        es: ExternalSecret,
        identities: Mapping[StoreRef | None, _Resolved],
        revision: Hashable,
    ) -> Plan:
        problem = self.problem_of_spec(es)
        if problem is not None:
            return Plan(problem=problem)
        interval = self._interval(es)
        if isinstance(interval, Problem):
            return Plan(problem=interval)
        problems = self._expressions.check(es)
        if problems is None:
            return Plan(compiling=True)
        if TEMPLATE in problems:
            return Plan(problem=problems[TEMPLATE])
        entries = tuple(
            self._entry(es, entry, identities[entry.store], problems.get(index))
            for index, entry in enumerate(es.entries)
        )
        return Plan(
            entries,
            interval if es.refresh_policy == PERIODIC else None,
            once=es.refresh_policy == CREATED_ONCE,
            revision=revision,
            digest=digest_of(((planned.entry, planned.spec) for planned in entries), es.template),
        )

    def problem_of_spec(self, es: ExternalSecret) -> Problem | None:
        """Return a mistake that is certain without the cluster; expressions are not looked at."""
        problem = spec_problem(es)
        if problem is not None:
            return problem
        interval = self._interval(es)
        if isinstance(interval, Problem):
            return interval
        return key_problem(es)

    def _identities_of(self, es: ExternalSecret) -> dict[StoreRef | None, _Resolved]:
        """Return the identity of each store that the entries name, each resolved once."""
        identities: dict[StoreRef | None, _Resolved] = {}
        for entry in es.entries:
            if entry.store not in identities:
                identities[entry.store] = self._resolved(es, entry)
        return identities

    def outdated(self, es: ExternalSecret) -> Problem | None:
        """Return why nothing that is read of the object can be trusted, or ``None``."""
        return self._schemas.refusal(es)

    def _interval(self, es: ExternalSecret) -> float | Problem | None:
        if self._polling_interval is None or not es.rotation_interval:
            return self._polling_interval
        try:
            written = es.rotation_interval
            seconds = parse_duration(written if len(written) <= _LONGEST_DURATION else "")
        except ValueError:
            return _wrong_interval(
                f"spec.rotationInterval is {es.rotation_interval[:80]!r}; "
                "write a duration such as 120s, 2m30s or 1h"
            )
        if seconds < MIN_INTERVAL:
            return _wrong_interval(
                f"spec.rotationInterval is {es.rotation_interval[:80]!r}, which is too short; "
                "the shortest is 1s"
            )
        return seconds

    def _entry(
        self,
        es: ExternalSecret,
        entry: DataEntry,
        resolved: _Resolved,
        problem: Problem | None,
    ) -> PlannedEntry:
        spec = extraction_spec_of(entry, rendered=es.template is not None)
        where = _where(entry)
        identity = resolved.of_entry(where)
        problem = problem or (identity if isinstance(identity, Problem) else None)
        if problem is not None or isinstance(identity, Problem):
            return PlannedEntry(entry, spec, None, problem)
        try:
            source = self._source(es.provider, entry, identity.provider)
        except DefiniteError as error:
            named = error.code in (Reason.REGION_MISSING, Reason.ENDPOINT_NOT_ALLOWED)
            reason = Reason(error.code) if named else Reason.INVALID_SPEC
            field = ("kmsEndpoint",) if reason is Reason.ENDPOINT_NOT_ALLOWED else ("key",)
            return PlannedEntry(entry, spec, None, Problem(reason, f"{where}: {error}", field))
        return PlannedEntry(entry, spec, SourceRequest(source, identity.provider), None)

    def _source(self, service: str, entry: DataEntry, provider: CredentialProvider) -> Source:
        endpoints, name = self._endpoints, entry.key
        target: KmsTarget | OosTarget
        if service == OOS:
            target = resolve_oos(entry.key, region=self.region, endpoint=endpoints.oos)
        else:
            target = resolve_kms(
                entry.key,
                region=self.region,
                endpoint=endpoints.kms,
                entry_endpoint=entry.endpoint,
                allowed=endpoints.allowed,
            )
            name = _shortest_name(entry.key, target, provider.key.account)
        return Source(
            identity=provider.key,
            provider=service,
            endpoint=target.host,
            name=name,
            version_stage=_stage(entry) if service == DEFAULT_PROVIDER else "",
            version_id=entry.version_id,
            region=target.region,
        )

    def _resolved(self, es: ExternalSecret, entry: DataEntry) -> _Resolved:
        where = _where(entry)
        if entry.store is None:
            return _Resolved(where, self.identities.own(es.namespace))
        store = self._stores.find(es.namespace, where, entry.store)
        if isinstance(store, Problem):
            identity: Identity | Problem = store
            version = None
        else:
            identity = self._identity(es, store)
            version = (store.uid, store.generation)
        if isinstance(identity, Problem):
            # Whatever is wrong with the store, here it is the reference to it.
            identity = replace(identity, field=_STORE_REF)
        return _Resolved(where, identity, version)

    def _identity(self, es: ExternalSecret, store: SecretStore) -> Identity | Problem:
        outdated = self._schemas.store_refusal(store)
        if outdated is not None:
            return replace(outdated, message=f"{store.title}: {outdated.message}")
        # Another provider is a problem of the object, whatever the identity.
        service: Service = next((p for p in PROVIDERS if p == es.provider), DEFAULT_PROVIDER)
        identity = self.identities.resolve(store, service)
        if isinstance(identity, Problem) or not identity.borrowed:
            return identity
        if store.namespace in ("", es.namespace) or agrees(store.allows, es.namespace):
            return identity
        # A flag let it in, which says nothing of the controller's own rights.
        return self.identities.lent_to(es.namespace, store) or identity


def _shortest_name(key: str, target: KmsTarget, account: str) -> str:
    """Return the bare name of a secret whose ARN names the caller's own account and region.

    Name and ARN are then one source, fetched once.
    """
    own = f"acs:kms:{target.region}:{account}:secret/"
    return key.removeprefix(own) if account and target.account == account else key


def _stage(entry: DataEntry) -> str:
    """Return the stage to ask for; what KMS takes by default is the same source as none."""
    default = entry.version_stage == DEFAULT_STAGE and not entry.version_id
    return "" if default else entry.version_stage


@dataclass(frozen=True, slots=True)
class _Resolved:
    """What the store of an entry stands for; another entry that names it shares that.

    Attributes:
        where: The entry for which it was looked up, as messages begin.
        version: Uid and generation of the store; ``None`` without one that may be used.
    """

    where: str
    identity: Identity | Problem
    version: tuple[str, int] | None = None

    @property
    def key(self) -> Hashable:
        """Equal for what makes equal plans."""
        identity = self.identity
        return identity if isinstance(identity, Problem) else identity.provider.key

    def of_entry(self, where: str) -> Identity | Problem:
        """Prefix messages with the location of this entry."""
        identity = self.identity
        if isinstance(identity, Problem) and identity.message.startswith(self.where):
            message = where + identity.message.removeprefix(self.where)
            return replace(identity, message=message)
        return identity


def _revision(es: ExternalSecret, resolved: Mapping[StoreRef | None, _Resolved]) -> Hashable:
    """Return another value whenever the object or one of its stores was edited."""
    versions = [(ref, found.version) for ref, found in resolved.items()]
    # A number, since it is kept for each object.
    return hash((es.uid, es.generation, *versions))


def _wrong_interval(message: str) -> Problem:
    return Problem(Reason.INVALID_SPEC, message, ("spec", "rotationInterval"))


def _where(entry: DataEntry) -> str:
    return f"entry {entry.key!r}"


def stores_of(es: ExternalSecret) -> tuple[str, ...]:
    """Index an ExternalSecret by the keys of the stores of either kind it refers to."""
    return tuple({_store_key(es, e.store) for e in es.entries if e.store is not None})


def cluster_scope_of(es: ExternalSecret) -> tuple[str, ...]:
    """Index an ExternalSecret that uses a ClusterSecretStore by its namespace."""
    uses = any(e.store is not None and e.store.kind == CLUSTER_KIND for e in es.entries)
    return (es.namespace,) if uses else ()


def _store_key(es: ExternalSecret, ref: StoreRef) -> str:
    """Return a store's key in the informer of its kind."""
    if ref.kind == CLUSTER_KIND:
        return ref.name
    return object_key(ref.namespace or es.namespace, ref.name)
