"""From an ExternalSecret to the sources it needs; every mistake that shows without a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secret_sync.cloud.endpoints import resolve_kms
from secret_sync.controller.problem import Problem, why_missing
from secret_sync.errors import DefiniteError
from secret_sync.parse import check_data
from secret_sync.resources import Reason
from secret_sync.resources.external_secret import DEFAULT_PROVIDER
from secret_sync.resources.meta import object_key
from secret_sync.settings import parse_duration
from secret_sync.sources import Source, Wanted

if TYPE_CHECKING:
    from collections.abc import Hashable

    from secret_sync.controller.identity import IdentityResolver
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
        polling_interval: Seconds, for objects that write none; ``None`` disables polling.
        region: For names that are no ARN; ``""`` where it is not known.
        kms_endpoint: The operator's endpoint for all calls, or ``""``.
        cross_namespace: Whether an ExternalSecret may use stores of other namespaces.
    """

    def __init__(
        self,
        *,
        stores: ReadOnlyStore[SecretStore],
        identities: IdentityResolver,
        polling_interval: float | None,
        region: str,
        kms_endpoint: str,
        cross_namespace: bool,
    ) -> None:
        self._stores = stores
        self._identities = identities
        self._polling_interval = polling_interval
        self._region = region
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
        stores = [(key, self._stores.get(key)) for key in sorted(stores_of(es))]
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
        found = self._store(es, entry)
        if isinstance(found, Problem):
            return PlannedEntry(entry, None, found)
        provider = self._identities.resolve(found)
        if isinstance(provider, Problem):
            return PlannedEntry(entry, None, provider)
        try:
            target = resolve_kms(entry.key, region=self._region, endpoint=self._kms_endpoint)
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
            # Quotas are per account and region; without an ARN the credentials stand for
            # the account, whichever version their Secrets have.
            lane=(DEFAULT_PROVIDER, target.region, target.account or provider.key.stable),
        )
        return PlannedEntry(entry, Wanted(source, provider), None)

    def _store(self, es: ExternalSecret, entry: DataEntry) -> SecretStore | Problem:
        where = f"entry {entry.key!r}"
        ref = entry.store
        if ref is None:
            return Problem(
                Reason.UNSUPPORTED,
                f"{where} has no secretStoreRef, which asks for the controller's own identity; "
                "this version needs a SecretStore with an AccessKey",
            )
        if not ref.name:
            return Problem(Reason.INVALID_SPEC, f"{where}: secretStoreRef.name is empty")
        namespace = ref.namespace or es.namespace
        if namespace != es.namespace and not self._cross_namespace:
            return Problem(
                Reason.REFERENCE_REFUSED,
                f"{where} refers to a SecretStore in namespace {namespace}; the controller's "
                "flag --enable-cross-namespace-secret-store would allow that",
            )
        store = self._stores.get(object_key(namespace, ref.name))
        if store is None:
            return Problem(
                Reason.STORE_NOT_FOUND,
                f"{where} refers to SecretStore {namespace}/{ref.name}, "
                f"{why_missing(namespace, es.namespace)}",
            )
        return store


def _broken(reason: Reason, message: str) -> Plan:
    return Plan(problem=Problem(reason, message))


def stores_of(es: ExternalSecret) -> tuple[str, ...]:
    """Index function: keys of the SecretStores an ExternalSecret refers to (S9)."""
    return tuple({_store_key(es, e.store) for e in es.data if e.store is not None})


def _store_key(es: ExternalSecret, ref: StoreRef) -> str:
    return object_key(ref.namespace or es.namespace, ref.name)
