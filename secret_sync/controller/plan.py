"""From an ExternalSecret to the sources it needs; every mistake that shows without a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secret_sync.cloud.endpoints import resolve_kms
from secret_sync.controller.problem import Problem, why_missing
from secret_sync.controller.references import agrees, refusal
from secret_sync.errors import DefiniteError
from secret_sync.parse import check_data
from secret_sync.resources import Reason
from secret_sync.resources.external_secret import DEFAULT_PROVIDER
from secret_sync.resources.meta import object_key
from secret_sync.resources.secret_store import CLUSTER_KIND, KIND
from secret_sync.settings import parse_duration
from secret_sync.sources import Source, Wanted

if TYPE_CHECKING:
    from collections.abc import Hashable

    from secret_sync.controller.admission import Admission
    from secret_sync.controller.identity import Identity, IdentityResolver
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.resources import DataEntry, ExternalSecret, SecretStore, StoreRef

#: Seconds; shorter intervals are a mistake: they would only meet the rate limit.
MIN_INTERVAL: Final = 1.0


@dataclass(frozen=True, slots=True)
class PlannedEntry:
    """An entry with either the source it needs or the mistake in it."""

    entry: DataEntry
    wanted: Wanted | None
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an ExternalSecret asks for.

    Attributes:
        problem: A mistake that concerns the object as a whole; it has no entries then.
        interval: Seconds between refreshes, or ``None`` for none.
        revision: Another one whenever the object or one of its stores was edited.
    """

    entries: tuple[PlannedEntry, ...] = ()
    interval: float | None = None
    problem: Problem | None = None
    revision: Hashable = None


class Planner:
    """Reads ExternalSecrets; what it needs of the cluster it takes from the informers.

    Args:
        stores: All SecretStores in scope.
        cluster_stores: All ClusterSecretStores.
        no_cluster_stores: Why those are not known; ``""`` if they are watched.
        admission: Which namespaces may use them.
        polling_interval: Seconds, for objects that write none; ``None`` disables polling.
        region: For names that are no ARN; ``""`` where it is not known.
        kms_endpoint: The operator's endpoint for all calls, or ``""``.
        cross_namespace: Whether an ExternalSecret may use stores of other namespaces.
    """

    def __init__(  # noqa: PLR0913 (a composition point: each is one fact)
        self,
        *,
        stores: ReadOnlyStore[SecretStore],
        cluster_stores: ReadOnlyStore[SecretStore],
        no_cluster_stores: str,
        admission: Admission,
        identities: IdentityResolver,
        polling_interval: float | None,
        region: str,
        kms_endpoint: str,
        cross_namespace: bool,
    ) -> None:
        self._stores = stores
        self._cluster_stores = cluster_stores
        self._no_cluster_stores = no_cluster_stores
        self._admission = admission
        self._identities = identities
        self._polling_interval = polling_interval
        #: For names that are no ARN; may become known later.
        self.region = region
        self._kms_endpoint = kms_endpoint
        self._cross_namespace = cross_namespace

    def plan(self, es: ExternalSecret) -> Plan:
        """What the object needs, or why nothing can be done for it."""
        if es.provider not in ("kms", "oos"):
            return _broken(
                Reason.UNKNOWN_PROVIDER,
                f"spec.provider is {es.provider!r}; it can be kms (the default) or oos",
            )
        if es.unsupported:
            return _broken(
                Reason.UNSUPPORTED,
                f"{', '.join(es.unsupported)}: this version does not act on that yet, "
                "so nothing was fetched or written",
            )
        if not es.data:
            return _broken(Reason.NO_DATA, "spec.data has no entries, so there is nothing to write")
        if not all(entry.key for entry in es.data):
            return _broken(
                Reason.INVALID_SPEC, "spec.data has an entry whose key, the KMS secret, is empty"
            )
        try:
            interval = self._interval(es)
            check_data({e.name: b"" for e in es.data})
        except DefiniteError as error:
            reason = Reason.INVALID_KEY if error.code == Reason.INVALID_KEY else Reason.INVALID_SPEC
            return _broken(reason, error.message)
        entries = tuple(self._entry(es, entry) for entry in es.data)
        return Plan(entries, interval, revision=self._revision(es))

    def _revision(self, es: ExternalSecret) -> Hashable:
        stores = [
            (key, self._stores.get(key) if "/" in key else self._cluster_stores.get(key))
            for key in sorted(stores_of(es))
        ]
        return (
            es.uid,
            es.generation,
            *((key, s.uid, s.generation) for key, s in stores if s is not None),
        )

    def _interval(self, es: ExternalSecret) -> float | None:
        if self._polling_interval is None or not es.rotation_interval:
            return self._polling_interval
        try:
            seconds = parse_duration(es.rotation_interval)
        except ValueError:
            raise DefiniteError(
                f"spec.rotationInterval is {es.rotation_interval!r}; "
                "write a duration such as 120s, 2m30s or 1h"
            ) from None
        if seconds < MIN_INTERVAL:
            raise DefiniteError(
                f"spec.rotationInterval is {es.rotation_interval!r}, which is too short; "
                "the shortest is 1s"
            )
        return seconds

    def _entry(self, es: ExternalSecret, entry: DataEntry) -> PlannedEntry:
        identity = self._identity(es, entry)
        if isinstance(identity, Problem):
            return PlannedEntry(entry, None, identity)
        provider = identity.provider
        try:
            target = resolve_kms(entry.key, region=self.region, endpoint=self._kms_endpoint)
        except DefiniteError as error:
            known = error.code == Reason.REGION_MISSING
            reason = Reason.REGION_MISSING if known else Reason.INVALID_SPEC
            return PlannedEntry(entry, None, Problem(reason, f"entry {entry.key!r}: {error}"))
        source = Source(
            identity=provider.key,
            provider=DEFAULT_PROVIDER,
            endpoint=target.host,
            name=entry.key,
            version_stage=entry.version_stage,
            version_id=entry.version_id,
            # Quotas are per account and region; where neither an ARN nor the role tells the
            # account, the credentials stand for it, whichever version their Secrets have.
            lane=(
                DEFAULT_PROVIDER,
                target.region,
                target.account or provider.key.account or provider.key.stable,
            ),
        )
        return PlannedEntry(entry, Wanted(source, provider), None)

    def _identity(self, es: ExternalSecret, entry: DataEntry) -> Identity | Problem:
        if entry.store is None:
            return self._identities.own(es.namespace)
        store = self._store(es, entry, entry.store)
        if isinstance(store, Problem):
            return store
        identity = self._identities.resolve(store, "kms")
        if isinstance(identity, Problem) or not identity.borrowed:
            return identity
        if store.namespace in ("", es.namespace) or agrees(store.allows, es.namespace):
            return identity
        # A flag let it in, which says nothing of the controller's own rights.
        return self._identities.lent_to(es.namespace, store) or identity

    def _store(self, es: ExternalSecret, entry: DataEntry, ref: StoreRef) -> SecretStore | Problem:
        where = f"entry {entry.key!r}"
        if not ref.name:
            return Problem(Reason.INVALID_SPEC, f"{where}: secretStoreRef.name is empty")
        if ref.kind == CLUSTER_KIND:
            return self._cluster_store(es, where, ref)
        if ref.kind != KIND:
            return Problem(
                Reason.INVALID_SPEC,
                f"{where}: secretStoreRef.kind is {ref.kind!r}; it can be {KIND} (the default) "
                f"or {CLUSTER_KIND}",
            )
        namespace = ref.namespace or es.namespace
        store = self._stores.get(object_key(namespace, ref.name))
        near = namespace == es.namespace or self._cross_namespace
        # The same words whether it exists or not: who may not use it need not know.
        if not near and (store is None or not agrees(store.allows, es.namespace)):
            what = f"{where} refers to SecretStore {namespace}/{ref.name}"
            return refusal(what, "--enable-cross-namespace-secret-store")
        if store is None:
            return Problem(
                Reason.STORE_NOT_FOUND,
                f"{where} refers to SecretStore {namespace}/{ref.name}, "
                f"{why_missing(namespace, es.namespace)}",
            )
        return store

    def _cluster_store(
        self, es: ExternalSecret, where: str, ref: StoreRef
    ) -> SecretStore | Problem:
        store = self._cluster_stores.get(ref.name)
        if store is None:
            why = self._no_cluster_stores or "which does not exist"
            return Problem(
                Reason.STORE_NOT_FOUND,
                f"{where} refers to ClusterSecretStore {ref.name}, {why}",
            )
        return self._admission.refusal(store, es.namespace) or store


def _broken(reason: Reason, message: str) -> Plan:
    return Plan(problem=Problem(reason, message))


def stores_of(es: ExternalSecret) -> tuple[str, ...]:
    """Index function: keys of the stores of either kind an ExternalSecret refers to (S9)."""
    return tuple({_store_key(es, e.store) for e in es.data if e.store is not None})


def cluster_scope_of(es: ExternalSecret) -> tuple[str, ...]:
    """Index function: the namespace of an ExternalSecret that uses a ClusterSecretStore (S9)."""
    uses = any(e.store is not None and e.store.kind == CLUSTER_KIND for e in es.data)
    return (es.namespace,) if uses else ()


def _store_key(es: ExternalSecret, ref: StoreRef) -> str:
    """A key of either kind of store: only a SecretStore's has a namespace before a slash."""
    if ref.kind == CLUSTER_KIND:
        return ref.name
    return object_key(ref.namespace or es.namespace, ref.name)
