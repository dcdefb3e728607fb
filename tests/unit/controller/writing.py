"""The writer of Secrets on a played API server, and the Secret ``ns/some`` that is ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest

from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.external_secret.state import Applied, SyncState
from secret_sync.controller.secret_target.merge import MergeWriter
from secret_sync.controller.secret_target.secret_client import SecretClient
from secret_sync.controller.secret_target.siblings import INDEXES
from secret_sync.controller.secret_target.turns import WriteTurns
from secret_sync.controller.secret_target.writer import SecretWriter
from secret_sync.controller.sync import SyncContext
from secret_sync.kube import ApplyWriter, Store
from secret_sync.resources import secret_from_metadata
from tests.unit.controller.fakes import PlayedClient, managed, secret

if TYPE_CHECKING:
    from secret_sync.controller.sync import Pending, WriteResult
    from secret_sync.resources import ExternalSecret, SecretMeta

DESIRED: Final = Desired(b"wanted", frozenset({"password"}), {"password": b"v"}, (), ())
OURS: Final = managed("secret-sync", "password", operation="Apply", mark=True)
MARK: Final = managed("secret-sync", operation="Apply", mark=True)
MERGE: Final = {"creationPolicy": "Merge"}


def own(*entries: dict[str, Any], version: str = "20", **more: Any) -> dict[str, Any]:
    """A Secret of ours, as it should be unless there are other entries."""
    more.setdefault("ownerReferences", [{"uid": "es-uid"}])
    return secret(*(entries or (OURS,)), version=version, mark="some/es-uid", **more)


def state(
    version: str = "20",
    *,
    fingerprint: bytes = b"wanted",
    age: float = 10.0,
    merge: bool = False,
) -> SyncState:
    """Of a write to the Secret, or of a merge into it."""
    at = asyncio.get_running_loop().time() - age
    applied = Applied(fingerprint, "secret-uid", version, at)
    return SyncState(uid="es-uid", target="some", merge=merge, applied=applied, written=fingerprint)


def sync_of(es: ExternalSecret, remembered: SyncState) -> SyncContext:
    """One sync of an object."""
    return SyncContext(f"ns/{es.name}", es, remembered)


def merge_writer(client: SecretClient, turns: WriteTurns | None = None) -> MergeWriter:
    """By default one in which nobody has to wait for a turn."""
    return MergeWriter(client, WriteTurns(pytest.fail) if turns is None else turns)


def secret_writer(client: SecretClient, turns: WriteTurns | None = None) -> SecretWriter:
    return SecretWriter(client, merge_writer(client, turns))


class WriterHarness:
    def __init__(
        self,
        es: ExternalSecret,
        *answers: Any,
        client: PlayedClient | None = None,
        turns: WriteTurns | None = None,
    ) -> None:
        self.es = es
        self.client = client or PlayedClient(*answers)
        self.secrets: Store[SecretMeta] = Store()
        objects: Store[ExternalSecret] = Store(INDEXES)
        objects.put("ns/some", es)
        played: Any = self.client
        writer = ApplyWriter(played, "secret-sync")
        self.writer = secret_writer(SecretClient(played, writer, objects, self.secrets), turns)

    def holds(self, given: dict[str, Any]) -> None:
        """What the cache has."""
        found = secret_from_metadata(given)
        self.secrets.put(f"{found.namespace}/{found.name}", found)

    def context(self, remembered: SyncState) -> SyncContext:
        return sync_of(self.es, remembered)

    async def ensure(
        self, remembered: SyncState, desired: Desired = DESIRED
    ) -> WriteResult | Pending:
        # As the control loop does.
        target = self.es.target
        remembered.retarget(self.es.uid, target.name, merge=target.merge)
        return await self.writer.ensure(self.context(remembered), desired)
