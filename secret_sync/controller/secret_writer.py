"""Makes the Secret what it should be: judged on metadata, written by server-side apply.

The Secret is never emptied nor half-written: each write carries all keys at once, and names
the version of the Secret that it was judged by.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

import structlog

from secret_sync.controller.kinds import EXTERNAL_SECRETS
from secret_sync.controller.memory import Applied
from secret_sync.controller.ownership import Action, judge, looks_right, owner_mark
from secret_sync.controller.problem import Problem
from secret_sync.errors import SecretSyncError
from secret_sync.kube import (
    METADATA,
    SECRETS,
    AlreadyExistsError,
    ApiError,
    ApiNotFoundError,
    ApiUnavailableError,
    ImmutableError,
    OutdatedError,
    Ref,
)
from secret_sync.resources import ManagedSecret, Reason, secret_from_metadata
from secret_sync.resources.external_secret import KIND
from secret_sync.resources.meta import object_key
from secret_sync.resources.names import API_VERSION, OWNER_ANNOTATION

if TYPE_CHECKING:
    from secret_sync.controller.desired import Desired
    from secret_sync.controller.memory import Memory
    from secret_sync.controller.ownership import Verdict
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.kube import ApplyWriter, KubeClient
    from secret_sync.resources import ExternalSecret, SecretMeta

_log = structlog.get_logger(__name__)

#: A write that finds another version than it was judged by is judged again, so often at most;
#: then the news of the change wakes us.
_JUDGEMENTS: Final = 4
_FORBIDDEN: Final = 403
#: A change is undone so often within so many seconds; then it takes two to stop.
REPAIRS: Final = 3
FIGHT_SECONDS: Final = 60.0


class OwnerGoneError(SecretSyncError):
    """The ExternalSecret is deleted, or about to be; the news of it wakes us."""


class SecretWriter:
    """Writes the Secrets of ExternalSecrets.

    Args:
        client: The API server, for reading what the cache does not have yet.
        writer: Applies as our field manager.
        objects: The ExternalSecrets.
        secrets: Metadata of all Secrets in scope.
    """

    def __init__(
        self,
        client: KubeClient,
        writer: ApplyWriter,
        objects: ReadOnlyStore[ExternalSecret],
        secrets: ReadOnlyStore[SecretMeta],
    ) -> None:
        self._client = client
        self._writer = writer
        self._objects = objects
        self._secrets = secrets

    def is_right(self, es: ExternalSecret, desired: Desired, memory: Memory) -> bool:
        """Whether the Secret needs no write, as far as the cache knows."""
        return self._judge(es, desired, memory, self._cached(es)).action is Action.NOTHING

    def has_drifted(self, es: ExternalSecret, memory: Memory) -> bool:
        """Whether the Secret waits for values to be repaired with, as it may after a restart.

        Once something was written, its repair needs no answer of Alibaba Cloud, or asks for
        one urgently by itself.
        """
        keys = frozenset(entry.name for entry in es.data)
        return memory.applied is None and not looks_right(es, keys, self._cached(es))

    async def ensure(self, es: ExternalSecret, desired: Desired, memory: Memory) -> bool | Problem:
        """Makes the Secret what is desired.

        Returns:
            Whether it was changed, or why it was left as it is.

        Raises:
            ApiUnavailableError: Later, perhaps.
            OwnerGoneError: The ExternalSecret is deleted; its Secret was left as it is.
        """
        current = self._cached(es)
        verdict = self._judge(es, desired, memory, current)
        if verdict.action is not Action.REPAIR or memory.written != desired.fingerprint:
            return await self._ensure(es, desired, memory)
        # What we wrote before is to be written again: somebody changes it back.
        began = asyncio.get_running_loop().time()
        lately = tuple(t for t in memory.repairs if began - t < FIGHT_SECONDS)
        if len(lately) >= REPAIRS:
            return _fight(es, current)
        changed = await self._ensure(es, desired, memory)
        memory.repairs = (*lately, began) if changed is True else lately
        return changed

    async def _ensure(self, es: ExternalSecret, desired: Desired, memory: Memory) -> bool | Problem:
        current = self._cached(es)
        try:
            for _ in range(_JUDGEMENTS):
                self._expect_owner(es)
                verdict = self._judge(es, desired, memory, current)
                try:
                    return await self._carry_out(es, desired, memory, verdict)
                except (AlreadyExistsError, OutdatedError):
                    # The cache is behind; what the server says now counts.
                    current = await self._read(es)
                    if current is None:
                        memory.applied = None
                    elif memory.applied is not None:
                        memory.applied = memory.applied.doubted()
        except ApiUnavailableError:
            raise
        except ApiError as error:
            return _refusal(es, error)
        raise ApiUnavailableError(f"Secret {es.namespace}/{es.target_name} changes all the time")

    def _expect_owner(self, es: ExternalSecret) -> None:
        held = self._objects.get(object_key(es.namespace, es.name))
        if held is None or held.uid != es.uid or held.deleting:
            raise OwnerGoneError(f"ExternalSecret {es.namespace}/{es.name} is deleted")

    async def _confirm_owner(self, es: ExternalSecret) -> None:
        """Asks the API server for the ExternalSecret, of which the informer's copy may be old.

        Deleted with ``--cascade=orphan`` it leaves its Secret behind: the garbage collector
        takes the ownerReference away. To put it back would be the Secret's end.
        """
        gone = OwnerGoneError(f"ExternalSecret {es.namespace}/{es.name} is deleted")
        path = EXTERNAL_SECRETS.path(es.namespace, es.name)
        try:
            metadata = (await self._client.request("GET", path, accept=METADATA))["metadata"]
        except ApiNotFoundError:
            raise gone from None
        if metadata["uid"] != es.uid or metadata.get("deletionTimestamp"):
            raise gone

    def _cached(self, es: ExternalSecret) -> SecretMeta | None:
        return self._secrets.get(object_key(es.namespace, es.target_name))

    async def _read(self, es: ExternalSecret) -> SecretMeta | None:
        path = SECRETS.path(es.namespace, es.target_name)
        try:
            return secret_from_metadata(await self._client.request("GET", path, accept=METADATA))
        except ApiNotFoundError:
            return None

    @staticmethod
    def _judge(
        es: ExternalSecret, desired: Desired, memory: Memory, current: SecretMeta | None
    ) -> Verdict:
        now = asyncio.get_running_loop().time()
        return judge(es, desired, current, memory.applied, now)

    async def _carry_out(
        self, es: ExternalSecret, desired: Desired, memory: Memory, verdict: Verdict
    ) -> bool | Problem:
        where = f"Secret {es.namespace}/{es.target_name}"
        match verdict.action:
            case Action.NOTHING:
                return False
            case Action.CREATE:
                reply = await self._writer.create(SECRETS, _intent(es, desired))
                self._remember(memory, desired, reply)
                _log.info("secret created", secret=es.target_name, keys=len(desired.keys))
                return True
            case Action.REPAIR:
                return await self._repair(es, desired, memory, verdict)
            case Action.REFUSE:
                return Problem(
                    Reason.SECRET_CONFLICT,
                    f"{where} exists and was not made for this ExternalSecret, so it was not "
                    "touched; delete it, or give this ExternalSecret another name",
                )
            case Action.WAIT:
                return Problem(
                    Reason.WRITE_FAILED,
                    f"{where} is being deleted; it is created again as soon as it is gone",
                    passing=True,
                )

    async def _repair(
        self, es: ExternalSecret, desired: Desired, memory: Memory, verdict: Verdict
    ) -> bool:
        ref = Ref(es.namespace, es.target_name, verdict.uid, verdict.resource_version)
        changed = False
        remove = verdict.remove
        if verdict.orphan:
            await self._confirm_owner(es)
        if verdict.apply:
            try:
                reply = await self._writer.update(SECRETS, _intent(es, desired), ref, force=True)
            except ImmutableError:
                return await self._recreate(es, desired, memory, ref)
            version = reply["metadata"]["resourceVersion"]
            changed = version != ref.resource_version
            ref = Ref(ref.namespace, ref.name, ref.uid, version)
            self._remember(memory, desired, reply)
            after = secret_from_metadata(reply)
            if isinstance(after, ManagedSecret):
                remove = tuple(sorted(after.other_keys - desired.keys))
        if remove:
            reply = await self._writer.remove_keys(SECRETS, ref, "data", remove)
            changed = True
            self._remember(memory, desired, reply)
        if changed:
            _log.info(
                "secret updated",
                secret=es.target_name,
                keys=len(desired.keys),
                removed=len(remove),
            )
        return changed

    async def _recreate(
        self, es: ExternalSecret, desired: Desired, memory: Memory, ref: Ref
    ) -> bool:
        """Type and immutable data only change with the Secret; absent for one round trip (A6).

        A type demands keys of its own: the new Secret is tried out before the old one goes.
        """
        await self._writer.rehearse(SECRETS, _intent(es, desired), f"secret-sync-{es.uid}")
        await self._writer.delete(SECRETS, ref)
        memory.applied = None
        reply = await self._writer.create(SECRETS, _intent(es, desired))
        self._remember(memory, desired, reply)
        _log.info("secret re-created", secret=es.target_name, keys=len(desired.keys))
        return True

    @staticmethod
    def _remember(memory: Memory, desired: Desired, reply: dict[str, Any]) -> None:
        metadata = reply["metadata"]
        memory.written = desired.fingerprint
        if metadata["uid"] == memory.gone:
            # Deleted before our own reply was read: nothing of it stands.
            return
        memory.applied = Applied(
            fingerprint=desired.fingerprint,
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            at=asyncio.get_running_loop().time(),
        )


def _intent(es: ExternalSecret, desired: Desired) -> dict[str, Any]:
    """All that we want of the Secret (A3); no timestamps, nothing empty (A8, A12)."""
    if desired.data is None:
        raise AssertionError  # the caller has seen to it that the values are in hand
    return {
        "apiVersion": "v1",
        "kind": SECRETS.kind,
        "metadata": {
            "namespace": es.namespace,
            "name": es.target_name,
            "annotations": {OWNER_ANNOTATION: owner_mark(es)},
            # The garbage collector deletes the Secret with its ExternalSecret; no finalizer.
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "name": es.name,
                    "uid": es.uid,
                    "controller": True,
                }
            ],
        },
        "type": es.secret_type,
        "data": {key: b64encode(value).decode() for key, value in desired.data.items()},
    }


def _fight(es: ExternalSecret, current: SecretMeta | None) -> Problem:
    editors = current.editors if isinstance(current, ManagedSecret) else ()
    return Problem(
        Reason.WRITE_CONFLICT,
        f"Secret {es.namespace}/{es.target_name} was changed back {REPAIRS} times within "
        f"{FIGHT_SECONDS:.0f} s by {', '.join(editors) or 'somebody'}; it is left alone for a "
        "while: stop the other writer",
    )


def _refusal(es: ExternalSecret, error: ApiError) -> Problem:
    where = f"Secret {es.namespace}/{es.target_name}"
    if error.status == _FORBIDDEN:
        advice = "; see its RBAC rules" if error.lacks_right else ""
        return Problem(Reason.WRITE_FORBIDDEN, f"{where} was not written: {error.message}{advice}")
    return Problem(
        Reason.WRITE_FAILED, f"{where} was not written, the API server refused it: {error.message}"
    )
