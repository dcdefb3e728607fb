"""The control loop of stores of either kind: can their identities be had?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from secret_sync.controller.object_state import ObjectState
from secret_sync.controller.publishing import publish_problem
from secret_sync.controller.reasons import problem_of
from secret_sync.controller.store.identity import Identity
from secret_sync.controller.store.references import mistake
from secret_sync.controller.sync import Problem, condition, problem_condition, stalled_condition
from secret_sync.credentials import Failure
from secret_sync.kube import ApiRefusedError, ApiUnavailableError
from secret_sync.queue import Done, Priority, RequeueAfter, Retry
from secret_sync.resources import Reason, StoreStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from secret_sync.controller.crd_schema import Schemas
    from secret_sync.controller.legacy_finalizers import LegacyFinalizers
    from secret_sync.controller.object_state import ObjectStates
    from secret_sync.controller.publishing import EventPublisher, StatusWriter
    from secret_sync.controller.store.identity import IdentityResolver
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.credentials import CredentialCache, CredentialKey
    from secret_sync.queue import Outcome
    from secret_sync.resources import SecretStore

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class StoreState(ObjectState[StoreStatus]):
    """One store's; ``held`` are the credentials that it keeps alive."""

    held: frozenset[CredentialKey] = frozenset()


@dataclass(frozen=True, slots=True)
class StoreDependencies:
    """What the reconcilers of both kinds of stores share."""

    identities: IdentityResolver
    credentials: CredentialCache
    schemas: Schemas
    publisher: EventPublisher


class SecretStoreReconciler:
    """Says whether a store's references resolve and its credentials could be obtained.

    One for each kind of store.

    Args:
        enqueue: Called with a store's key when its credentials have been settled.
    """

    def __init__(
        self,
        dependencies: StoreDependencies,
        *,
        objects: ReadOnlyStore[SecretStore],
        statuses: StatusWriter[StoreStatus],
        states: ObjectStates[StoreState],
        finalizers: LegacyFinalizers,
        enqueue: Callable[[str], None],
    ) -> None:
        self._identities = dependencies.identities
        self._credentials = dependencies.credentials
        self._schemas = dependencies.schemas
        self._publisher = dependencies.publisher
        self._objects = objects
        self._statuses = statuses
        self._states = states
        self._finalizers = finalizers
        self._enqueue = enqueue

    async def reconcile(self, key: str) -> Outcome:
        """Reconcile one store; one that is gone is a success."""
        store = self._objects.get(key)
        if store is None or store.deleting:
            self._forget(key)
            return Done() if store is None else await self._let_go(store, StoreState())
        outdated = self._schemas.store_refusal(store)
        if outdated is not None:
            self._hold(key, ())
            self._report(key, store, outdated)
            return Done()
        outcome = await self._let_go(store, self._states.of(key))
        if isinstance(outcome, Retry):
            return outcome
        found = [self._identities.resolve(store, service) for service in store.auths]
        chosen = [identity for identity in found if isinstance(identity, Identity)]
        self._hold(key, chosen)
        problem = next((p for p in found if isinstance(p, Problem)), None) or _unreadable(store)
        if problem is not None:
            self._report(key, store, problem)
            return Done()
        return self._request(key, store, chosen)

    def _forget(self, key: str) -> None:
        """Forget all that there is of a store; nothing else does."""
        self._hold(key, ())
        self._states.forget(key)

    async def _let_go(self, store: SecretStore, state: StoreState) -> Outcome:
        """Remove the finalizer of ack-secret-manager, also of a store being deleted."""
        try:
            if await self._finalizers.remove(store, state):
                self._publisher.finalizer_removed(store)
        except ApiUnavailableError as error:
            return Retry(after=error.retry_after)
        except ApiRefusedError as error:
            _log.warning("not let go of, will retry", error=error.message)
            return Retry(after=error.retry_after)
        return Done()

    def _request(self, key: str, store: SecretStore, chosen: Sequence[Identity]) -> Outcome:
        obtained = [
            self._credentials.request(i.provider.key, lambda: self._enqueue(key)) for i in chosen
        ]
        failures = [f for f in obtained if isinstance(f, Failure)]
        if failures:
            self._report(key, store, problem_of(failures[0].error))
            left = min(f.retry_at for f in failures) - asyncio.get_running_loop().time()
            return RequeueAfter(max(left, 0.0), Priority.LOW)
        if all(obtained):
            ignored = dict.fromkeys(word for i in chosen for word in i.ignored)
            self._report(key, store, None, tuple(ignored))
        return Done()

    def _hold(self, key: str, chosen: Sequence[Identity]) -> None:
        """Keep credentials alive while a store stands for them, and only so long."""
        state = self._states.of(key)
        wanted = frozenset(identity.provider.key for identity in chosen)
        user = (id(self), key)
        for identity in chosen:
            self._credentials.hold(user, identity.provider)
        gone, state.held = state.held - wanted, wanted
        for unused in gone:
            self._credentials.release(user, unused)

    def _report(
        self,
        key: str,
        store: SecretStore,
        problem: Problem | None,
        ignored: tuple[str, ...] = (),
    ) -> None:
        before = self._statuses.known(key, store)
        if problem is not None:
            # An ExternalSecret names the store, which need not name itself.
            own = problem.message.removeprefix(f"{store.title}: ")
            problem = replace(problem, message=own)
            ready = problem_condition(before.ready, generation=store.generation, problem=problem)
        else:
            ready = condition(
                before.ready,
                generation=store.generation,
                status="True",
                reason=Reason.READY,
                message="its references resolve and its credentials were obtained"
                + (f"; written too, but ignored: {', '.join(ignored)}" if ignored else ""),
            )
        stalled = stalled_condition(before.stalled, ready)
        status = StoreStatus(ready, store.generation, stalled)
        if self._statuses.put(key, store, status) and problem is not None:
            _log.warning("store not ready", **problem.log_fields())
        if problem is None:
            self._publisher.store_reported(store, before.ready, ready, None)
            return
        publish_problem(
            self._states.of(key),
            before.ready,
            problem,
            lambda: self._publisher.store_reported(store, before.ready, ready, problem),
            lambda: self._statuses.known(key, store).ready == ready,
        )


def _unreadable(store: SecretStore) -> Problem | None:
    broken = mistake(store)
    if broken is None:
        return None
    message = f"{store.title}: {broken.message}; that matches no namespace"
    return Problem(Reason.CONDITIONS_INVALID, message, broken.field)
