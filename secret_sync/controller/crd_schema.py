"""Whether the API server keeps all of our fields.

Another installer may have put an older schema of our kinds in place. The API server then
forgets what was written in fields that it does not know: a ``Retain`` reads as ``Delete``, a
``serviceAccountRef`` as no identity at all. Nothing that is read of such objects can be trusted.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from secret_sync.controller import kinds
from secret_sync.controller.sync import Problem
from secret_sync.kube import (
    CUSTOM_RESOURCE_DEFINITIONS,
    ApiNotFoundError,
    ApiRefusedError,
    ApiUnavailableError,
    converted,
)
from secret_sync.queue import Done, RequeueAfter, Retry
from secret_sync.resources import Reason
from secret_sync.resources.names import FORCE_SYNC_ANNOTATION
from secret_sync.resources.schema import Crd
from secret_sync.resources.secret_store import CLUSTER_KIND

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from secret_sync.kube import Change, KubeClient, Resource
    from secret_sync.queue import Outcome
    from secret_sync.resources import ExternalSecret, SecretStore
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret

    OurObject = ExternalSecret | SecretStore | ClusterExternalSecret

_log = structlog.get_logger(__name__)

#: So many fields a message names.
_SHOWN: Final = 5
#: A definition that may not be read is asked for again this often (seconds).
_REFUSED_AGAIN_AFTER: Final = 300.0
#: Seconds after which a new schema is taken to be in effect.
_TAKES_EFFECT: Final = 2.0


def definition_of(resource: Resource) -> str:
    """Return the name of the CRD of a kind."""
    return f"{resource.plural}.{resource.group}"


#: Those without which nothing works.
REQUIRED_DEFINITIONS: Final = tuple(
    definition_of(kind)
    for kind in (kinds.EXTERNAL_SECRETS, kinds.SECRET_STORES, kinds.CLUSTER_SECRET_STORES)
)
CLUSTER_EXTERNAL_SECRETS_DEFINITION: Final = definition_of(kinds.CLUSTER_EXTERNAL_SECRETS)
OUR_DEFINITIONS: Final = (*REQUIRED_DEFINITIONS, CLUSTER_EXTERNAL_SECRETS_DEFINITION)


class Schemas:
    """What is known of the installed CRDs; one that is not known is trusted.

    Whatever is written to an object through an outdated CRD, a status included, has the API
    server store it without the fields that it does not know. So an object whose condition says
    ``CRDOutdated`` of its present generation may have lost some for good. Once the CRD is fixed
    it is believed again if it says what it said before, if it was edited since, or if its author
    says so by the annotation ``force-sync``.
    """

    def __init__(self) -> None:
        self._missing: dict[str, tuple[str, ...]] = {}
        #: Fields of ours that the API server forgets, of all kinds together.
        self.missing = 0
        # What objects said before their CRD was found outdated, by uid; a hash each.
        self._before: dict[str, int] = {}
        # The wish of each doubted object when it was first doubted.
        self._wishes: dict[str, str] = {}

    def is_missing(self, name: str) -> bool:
        """Return whether a CRD lacks fields."""
        return bool(self._missing.get(name))

    def put(self, name: str, missing: tuple[str, ...]) -> bool:
        """Keep what a CRD lacks; return whether that has changed."""
        changed = self._missing.get(name, ()) != missing
        self._missing[name] = missing
        self.missing = sum(map(len, self._missing.values()))
        if changed and missing:
            _log.error("CRD outdated: objects lose fields", crd=name, lacks=missing)
        elif changed:
            _log.info("CRD is complete", crd=name)
        return changed

    def note(self, objects: Iterable[OurObject]) -> None:
        """Keep what objects say, before anything is written to them through an outdated CRD."""
        for obj in objects:
            if not _is_reported(obj):
                self._before.setdefault(obj.uid, hash(obj.intent))

    def seen(self, change: Change[Any]) -> None:
        """Forget what was kept of an object that is gone; an informer's handler."""
        old, new = change.old, change.new
        if old is not None and (new is None or new.uid != old.uid):
            self._before.pop(old.uid, None)
            self._wishes.pop(old.uid, None)

    def refusal(self, es: ExternalSecret) -> Problem | None:
        """Return why nothing may be done for an ExternalSecret, or ``None``."""
        if not self.missing:
            return self._doubt(es)
        used = {e.store.kind for e in es.entries if e.store is not None}
        stores = [
            kinds.CLUSTER_SECRET_STORES if kind == CLUSTER_KIND else kinds.SECRET_STORES
            for kind in sorted(used)
        ]
        return self._outdated(kinds.EXTERNAL_SECRETS, *stores) or self._doubt(es)

    def storable(self, resource: Resource, status: dict[str, Any]) -> dict[str, Any]:
        """Return what of a status the API server takes: it refuses all for one unknown field."""
        missing = self._missing.get(definition_of(resource), ())
        return {field: v for field, v in status.items() if f"status.{field}" not in missing}

    def store_refusal(self, store: SecretStore) -> Problem | None:
        """Return why a store cannot be used, or ``None``."""
        if not self.missing:
            return self._doubt(store)
        outdated = self._outdated(
            kinds.SECRET_STORES if store.namespace else kinds.CLUSTER_SECRET_STORES
        )
        return outdated or self._doubt(store)

    def cluster_refusal(self, ces: ClusterExternalSecret) -> Problem | None:
        """Return why nothing may be done for a ClusterExternalSecret, or ``None``."""
        if not self.missing:
            return self._doubt(ces)
        # Its children would lose what their CRD lacks.
        outdated = self._outdated(kinds.CLUSTER_EXTERNAL_SECRETS, kinds.EXTERNAL_SECRETS)
        return outdated or self._doubt(ces)

    def _doubt(self, obj: OurObject) -> Problem | None:
        """Return why an object that was written to through an outdated CRD is not believed."""
        if not _is_reported(obj):
            self._wishes.pop(obj.uid, None)
            return None
        if self._before.get(obj.uid) == hash(obj.intent):
            return None
        if self._wishes.setdefault(obj.uid, obj.force_sync) != obj.force_sync:
            return None
        return Problem(
            Reason.CRD_OUTDATED,
            "the CRD was outdated, and this object may have lost fields; apply it again or, if "
            f"nothing was lost, change its annotation {FORCE_SYNC_ANNOTATION}",
        )

    def _outdated(self, *resources: Resource) -> Problem | None:
        for name in map(definition_of, resources):
            missing = [f for f in self._missing.get(name, ()) if not f.startswith("status.")]
            if not missing:
                continue
            more = len(missing) - _SHOWN
            lacking = ", ".join(missing[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
            return Problem(
                Reason.CRD_OUTDATED,
                f"the CRD {name} lacks {lacking}: what was written there may be lost, so nothing "
                f"is written or deleted meanwhile; {kinds.INSTALL_CRDS} --force-conflicts, then "
                "apply the object again",
            )
        return None


def _is_reported(obj: OurObject) -> bool:
    """Return whether the object's condition says that its present generation cannot be trusted."""
    ready = obj.status.ready
    return (
        ready is not None
        and ready.reason == Reason.CRD_OUTDATED
        and ready.observed_generation == obj.generation
    )


class SchemaReconciler:
    """Reads a CRD of ours when it has changed.

    Args:
        client: The API server.
        schemas: Where it is kept.
        held: The objects of a CRD, as they are known.
        relist: Lists the objects of a CRD again: those held were read through the old schema, and
            a new one moves no version of theirs.
        enqueue: Called when another set of fields is missing than before.
    """

    def __init__(
        self,
        client: KubeClient,
        schemas: Schemas,
        held: Callable[[str], Iterable[OurObject]],
        relist: Callable[[str], Awaitable[None]],
        enqueue: Callable[[], None],
    ) -> None:
        self._client = client
        self._schemas = schemas
        self._held = held
        self._relist = relist
        self._enqueue = enqueue

    async def reconcile(self, name: str) -> Outcome:
        """Reconcile one CRD."""
        if name not in OUR_DEFINITIONS:
            return Done()
        try:
            missing = await read_missing(self._client, name)
        except ApiUnavailableError as error:
            return Retry(after=error.retry_after)
        except ApiRefusedError as error:
            _log.warning("CRD not read", crd=name, error=error.message)
            return RequeueAfter(_REFUSED_AGAIN_AFTER)
        if missing is None:
            # Its objects are gone with it; the watch of them fails and says so.
            return Done()
        if missing and not self._schemas.is_missing(name):
            self._schemas.note(self._held(name))
        elif self._schemas.is_missing(name) and not missing:
            # The API server takes a moment to read by the new schema, and says nothing of it.
            await asyncio.sleep(_TAKES_EFFECT)
            await self._relist(name)
        if self._schemas.put(name, missing):
            self._enqueue()
        return Done()


async def read_missing(client: KubeClient, name: str) -> tuple[str, ...] | None:
    """Return the fields of ours that a CRD lacks; ``None`` where there is no such CRD.

    Raises:
        ApiError: The API server refused, or did not answer.
    """
    try:
        found = await client.request("GET", CUSTOM_RESOURCE_DEFINITIONS.path("", name))
    except ApiNotFoundError:
        return None
    crd = converted(Crd.from_dict, found, f"CRD {name}")
    return crd.missing if crd is not None else ()
