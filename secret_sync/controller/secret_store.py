"""The control loop of SecretStores: can this identity be had?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from secret_sync.controller.problem import Problem
from secret_sync.controller.reasons import problem_of
from secret_sync.controller.status import condition, problem_condition
from secret_sync.credentials import Failure
from secret_sync.queue import Done, Priority, RequeueAfter
from secret_sync.resources import Reason, StoreStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.controller.identity import IdentityResolver
    from secret_sync.controller.status_writer import StatusWriter
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.credentials import CredentialCache, CredentialKey, Provider
    from secret_sync.queue import Outcome
    from secret_sync.resources import SecretStore

_log = structlog.get_logger(__name__)


class SecretStoreReconciler:
    """Says whether a store's references resolve and its credentials could be obtained.

    Args:
        wake: Called with a store's key when its credentials have been settled.
    """

    def __init__(
        self,
        *,
        objects: ReadOnlyStore[SecretStore],
        identities: IdentityResolver,
        credentials: CredentialCache,
        statuses: StatusWriter[StoreStatus],
        wake: Callable[[str], None],
    ) -> None:
        self._objects = objects
        self._identities = identities
        self._credentials = credentials
        self._statuses = statuses
        self._wake = wake
        self._held: dict[str, CredentialKey] = {}

    async def reconcile(self, key: str) -> Outcome:
        """One pass over one store (C4: gone is success)."""
        store = self._objects.get(key)
        if store is None or store.deleting:
            self._hold(key, None)
            self._statuses.forget(key)
            return Done()
        provider = self._identities.resolve(store)
        if isinstance(provider, Problem):
            self._hold(key, None)
            self._tell(key, store, provider)
            return Done()
        self._hold(key, provider)
        found = self._credentials.request(provider.key, lambda: self._wake(key))
        if found is None:
            return Done()
        if isinstance(found, Failure):
            self._tell(key, store, problem_of(found.error))
            left = found.retry_at - asyncio.get_running_loop().time()
            return RequeueAfter(max(left, 0.0), Priority.LOW)
        self._tell(key, store, None)
        return Done()

    def _hold(self, key: str, provider: Provider | None) -> None:
        """Keeps credentials alive while a store stands for them, and only so long."""
        held = self._held.pop(key, None)
        if provider is not None:
            self._credentials.hold(key, provider)
            self._held[key] = provider.key
        if held is not None and (provider is None or held != provider.key):
            self._credentials.release(key, held)

    def _tell(self, key: str, store: SecretStore, problem: Problem | None) -> None:
        before = self._statuses.known(key, store)
        if problem is not None:
            ready = problem_condition(before.ready, generation=store.generation, problem=problem)
        else:
            ready = condition(
                before.ready,
                generation=store.generation,
                status="True",
                reason=Reason.READY,
                message="its references resolve and its credentials were obtained",
            )
        if self._statuses.put(key, store, StoreStatus(ready)) and problem is not None:
            _log.warning("store not ready", reason=problem.reason.value, message=problem.message)
