"""The control loop of stores: references that resolve, and credentials that were obtained once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest

from secret_sync.controller.crd_schema import Schemas
from secret_sync.controller.kinds import CLUSTER_SECRET_STORES, SECRET_STORES
from secret_sync.controller.legacy_finalizers import LegacyFinalizers
from secret_sync.controller.object_state import ObjectStates
from secret_sync.controller.publishing import EventPublisher
from secret_sync.controller.store.identity import Identity
from secret_sync.controller.store.reconciler import (
    SecretStoreReconciler,
    StoreDependencies,
    StoreState,
)
from secret_sync.credentials import METHODS, CredentialCache, Credentials, OidcRoleProvider
from secret_sync.errors import TransientError
from secret_sync.kube import ApiRefusedError, ApiUnavailableError
from secret_sync.metrics import CredentialMetrics, Metrics
from secret_sync.queue import Done, RequeueAfter, Retry
from secret_sync.resources import SecretStore, StoreStatus, secret_from_metadata
from tests.unit.controller.fakes import Events, PlayedFinalizerWriter
from tests.unit.controller.planning import Cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from secret_sync.queue import Outcome
    from secret_sync.resources import Condition

pytestmark = pytest.mark.looptime

PROVIDER = "acs:ram::1:oidc-provider/ack-rrsa-c1"
KEY = "ns/store"


def pair(name: str = "key") -> dict[str, Any]:
    return {
        "accessKey": {"name": name, "key": "id"},
        "accessKeySecret": {"name": name, "key": "secret"},
    }


def store(
    *, namespace: str = "ns", deleting: bool = False, legacy: bool = False, **spec: Any
) -> SecretStore:
    metadata: dict[str, Any] = {"name": "store", "uid": "u", "resourceVersion": "1"}
    if legacy:
        metadata["finalizers"] = ["finalizer.ack.secrets-manager.alibabacloud.com"]
    if namespace:
        metadata["namespace"] = namespace
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return SecretStore.from_dict({"metadata": {**metadata, "generation": 3}, "spec": spec})


@dataclass
class SlowReader:
    """Each Secret holds an AccessKey; reading takes a second.

    Attributes:
        broken: Those that cannot be read, and not for so many seconds either.
    """

    broken: dict[str, float] = field(default_factory=dict)
    read_names: list[str] = field(default_factory=list)

    async def read(self, namespace: str, name: str, **_: str) -> Mapping[str, bytes]:
        self.read_names.append(name)
        await asyncio.sleep(1)
        if name in self.broken:
            raise TransientError(f"{name} is out of reach", retry_after=self.broken[name])
        return {"id": name.encode(), "secret": b"s3cret"}


@dataclass
class StoreStatuses:
    """Remembers what is reported for each store."""

    reported: list[Condition] = field(default_factory=list)
    observed: list[int] = field(default_factory=list)

    def known(self, key: str, obj: SecretStore) -> StoreStatus:
        return StoreStatus(self.reported[-1], self.observed[-1]) if self.reported else obj.status

    def put(self, key: str, obj: SecretStore, status: StoreStatus) -> bool:
        if status == self.known(key, obj):
            return False
        assert status.ready is not None
        self.reported.append(status.ready)
        self.observed.append(status.observed_generation)
        return True


class StoreHarness:
    """Secrets ``ns/key`` and ``ns/other``, and the control loop of one kind of store."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        for name in ("key", "other"):
            metadata = {"namespace": "ns", "name": name, "uid": name, "resourceVersion": "1"}
            self.cluster.add(secret_from_metadata({"metadata": metadata}))
        self.reader, self.statuses, self.events = SlowReader(), StoreStatuses(), Events()
        self.api, self.schemas = PlayedFinalizerWriter(), Schemas()
        self.credentials = CredentialCache(CredentialMetrics(Metrics("test"), METHODS))
        self.enqueued: list[str] = []
        self.identities = identities = self.cluster.identities(reader=self.reader)
        statuses: Any = self.statuses
        writer: Any = self.api
        dependencies = StoreDependencies(
            identities, self.credentials, self.schemas, EventPublisher(self.events)
        )
        self.states, cluster_states = ObjectStates(StoreState), ObjectStates(StoreState)
        self.loops = [
            SecretStoreReconciler(
                dependencies,
                objects=objects,
                statuses=statuses,
                states=states,
                finalizers=LegacyFinalizers(writer, kind),
                enqueue=self.enqueued.append,
            )
            for objects, kind, states in (
                (self.cluster.stores, SECRET_STORES, self.states),
                (self.cluster.cluster_stores, CLUSTER_SECRET_STORES, cluster_states),
            )
        ]

    async def reconcile(self, given: SecretStore | None = None, key: str = KEY) -> Outcome:
        if given is not None:
            self.cluster.add(given)
        return await self.loops["/" not in key].reconcile(key)

    async def settle(self, given: SecretStore, key: str = KEY) -> Condition:
        """Reconciles until credentials are there; returns what is reported then."""
        await self.reconcile(given, key)
        await asyncio.sleep(1.5)
        if self.enqueued:
            await self.reconcile(key=self.enqueued.pop())
        return self.statuses.reported[-1]


@pytest.fixture
async def harness() -> AsyncIterator[StoreHarness]:
    made = StoreHarness()
    yield made
    await made.credentials.close()


async def test_a_store_is_ready_once_its_credentials_were_obtained(harness: StoreHarness) -> None:
    given = store(KMS={"KMSAuth": pair()})
    assert await harness.reconcile(given) == Done()
    # Nothing is said while nothing is known.
    assert harness.statuses.reported == []
    await asyncio.sleep(1.5)
    assert harness.enqueued == [KEY]
    assert await harness.reconcile() == Done()
    (ready,) = harness.statuses.reported
    assert (ready.status, ready.reason, ready.observed_generation) == ("True", "Ready", 3)
    assert harness.statuses.observed == [3]
    assert ready.message == "its references resolve and its credentials were obtained"
    # Once more changes nothing, and asks nobody.
    assert await harness.reconcile() == Done()
    assert len(harness.statuses.reported) == len(harness.reader.read_names) == 1


async def test_further_methods_are_named_as_ignored(
    harness: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = {**pair(), "oidcProviderARN": PROVIDER, "ramRoleARN": "acs:ram::1:role/reader"}
    granted = AsyncMock(return_value=Credentials("id", "secret", "token"))
    monkeypatch.setattr(OidcRoleProvider, "fetch", granted)
    ready = await harness.settle(store(KMS={"KMSAuth": auth}))
    assert ready.status == "True"
    assert ready.message.endswith("; written too, but ignored: accessKey, accessKeySecret")


async def test_of_two_services_both_have_to_be_had(harness: StoreHarness) -> None:
    ready = await harness.settle(store(KMS={"KMSAuth": pair()}, OOS={"OOSAuth": pair("other")}))
    assert ready.status == "True"
    assert sorted(harness.reader.read_names) == ["key", "other"]


@pytest.mark.parametrize("broken", ["key", "other"])
async def test_failing_service_of_two_is_reported(harness: StoreHarness, broken: str) -> None:
    harness.reader.broken = {broken: 7.0}
    given = store(KMS={"KMSAuth": pair()}, OOS={"OOSAuth": pair("other")})
    await harness.reconcile(given)
    await asyncio.sleep(1.5)
    outcome = await harness.reconcile()
    (ready,) = harness.statuses.reported
    assert (ready.status, ready.reason) == ("False", "ProviderUnavailable")
    assert f"{broken} is out of reach" in ready.message
    # It comes back when the next attempt is allowed, as whoever refused it asked for.
    assert isinstance(outcome, RequeueAfter)
    assert outcome.seconds == pytest.approx(6.5, abs=0.1)


async def test_of_two_services_that_fail_the_first_to_be_tried_again_counts(
    harness: StoreHarness,
) -> None:
    harness.reader.broken = {"key": 50.0, "other": 7.0}
    await harness.reconcile(store(KMS={"KMSAuth": pair()}, OOS={"OOSAuth": pair("other")}))
    await asyncio.sleep(1.5)
    outcome = await harness.reconcile()
    assert isinstance(outcome, RequeueAfter)
    assert outcome.seconds == pytest.approx(6.5, abs=0.1)


async def test_impossible_service_of_two_is_reported_at_once(harness: StoreHarness) -> None:
    half = {"accessKey": pair()["accessKey"]}
    ready = await harness.settle(store(KMS={"KMSAuth": pair()}, OOS={"OOSAuth": half}))
    assert (ready.status, ready.reason) == ("False", "StoreInvalid")
    assert "spec.OOS.OOSAuth: incomplete AccessKey" in ready.message


@pytest.mark.parametrize(
    ("spec", "reason", "said"),
    [
        ({"KMS": {"KMSAuth": pair("nowhere")}}, "AccessKeyNotFound", "Secret ns/nowhere"),
        (
            {"KMS": {"dedicatedKMSAuth": {"endpoint": "x"}, "KMSAuth": pair()}},
            "Unsupported",
            "dedicatedKMSAuth",
        ),
        (
            {"KMS": {"dedicatedKMSAuth": {"endpoint": "x"}}, "OOS": {"OOSAuth": pair()}},
            "Unsupported",
            "dedicatedKMSAuth",
        ),
    ],
)
async def test_invalid_store_is_reported_without_a_call(
    harness: StoreHarness, spec: dict[str, Any], reason: str, said: str
) -> None:
    outcome = await harness.reconcile(store(**spec))
    (ready,) = harness.statuses.reported
    assert (ready.status, ready.reason) == ("False", reason)
    assert said in ready.message
    # The change that it needs will enqueue it.
    assert outcome == Done()


async def test_unreadable_conditions_are_reported_for_the_store(harness: StoreHarness) -> None:
    auth = {name: {**ref, "namespace": "ns"} for name, ref in pair().items()}
    given = store(namespace="", KMS={"KMSAuth": auth}, conditions=[{"namespaceRegexes": ["("]}])
    ready = await harness.settle(given, "store")
    assert (ready.status, ready.reason) == ("False", "ConditionsInvalid")
    assert ready.message.startswith("spec.conditions[0].namespaceRegexes")
    # That its other conditions still let namespaces in needs its credentials kept.
    assert len(harness.credentials) == 1


async def test_fixed_store_is_ready(harness: StoreHarness) -> None:
    broken = await harness.settle(store(KMS={"KMSAuth": pair("nowhere")}))
    assert broken.status == "False"
    await harness.reconcile(store(KMS={"KMSAuth": pair()}))
    await asyncio.sleep(1.5)
    await harness.reconcile()
    assert [reported.status for reported in harness.statuses.reported] == ["False", "True"]


@pytest.mark.parametrize("gone", ["deleted", "on its way", "changed", "broken"])
async def test_an_identity_is_held_as_long_as_a_store_stands_for_it(
    harness: StoreHarness, gone: str
) -> None:
    await harness.settle(store(KMS={"KMSAuth": pair()}))
    identity = harness.identities.resolve(store(KMS={"KMSAuth": pair()}), "kms")
    assert isinstance(identity, Identity)
    held = identity.provider.key
    assert isinstance(harness.credentials.peek(held), Credentials)
    if gone == "deleted":
        harness.cluster.stores.remove(KEY)
        await harness.reconcile()
    elif gone == "on its way":
        await harness.reconcile(store(deleting=True, KMS={"KMSAuth": pair()}))
    elif gone == "changed":
        await harness.reconcile(store(KMS={"KMSAuth": pair("other")}))
    else:
        await harness.reconcile(store(KMS={"KMSAuth": pair("nowhere")}))
    assert harness.credentials.peek(held) is None
    assert len(harness.credentials) == (gone == "changed")
    kept = harness.states.find(KEY) is not None
    assert kept == (gone in {"changed", "broken"})


async def test_stores_of_both_kinds_share_an_identity_but_not_each_others_hold(
    harness: StoreHarness,
) -> None:
    # Two loops, and a ClusterSecretStore may have any name.
    auth = {name: {**ref, "namespace": "ns"} for name, ref in pair().items()}
    await harness.settle(store(KMS={"KMSAuth": pair()}))
    await harness.reconcile(store(namespace="", KMS={"KMSAuth": auth}), "store")
    assert len(harness.credentials) == len(harness.reader.read_names) == 1
    harness.cluster.stores.remove(KEY)
    await harness.reconcile()
    assert len(harness.credentials) == 1
    harness.cluster.cluster_stores.remove("store")
    await harness.reconcile(key="store")
    assert len(harness.credentials) == 0


async def test_events_are_of_transitions_only(harness: StoreHarness) -> None:
    await harness.settle(store(KMS={"KMSAuth": pair()}))
    await harness.reconcile()
    await harness.settle(store(KMS={"KMSAuth": pair("nowhere")}))
    await harness.reconcile()
    await harness.settle(store(KMS={"KMSAuth": pair()}))
    assert harness.events.reasons == ["StoreReady", "StoreNotReady", "StoreReady"]
    _, lost, _ = harness.events.take()
    assert lost[:2] == ("Warning", "StoreNotReady")
    assert lost[2].startswith("AccessKeyNotFound: ")


@pytest.mark.parametrize(
    "given",
    [
        store(legacy=True, KMS={"KMSAuth": pair()}),
        store(legacy=True, KMS={"KMSAuth": pair("nowhere")}),
        store(legacy=True, deleting=True, KMS={"KMSAuth": pair()}),
    ],
    ids=["that is ready", "that is not", "that goes"],
)
async def test_finalizer_of_ack_secret_manager_is_removed_from_a_store(
    harness: StoreHarness, given: SecretStore
) -> None:
    assert await harness.reconcile(given) == Done()
    assert [asked[:3] for asked in harness.api.asked] == [("SecretStore", KEY, "u")]
    assert "FinalizerRemoved" in harness.events.reasons


async def test_a_refusal_keeps_a_store_only_from_going(harness: StoreHarness) -> None:
    harness.api.fault = ApiRefusedError("no such right", status=403)
    ready = await harness.settle(store(legacy=True, KMS={"KMSAuth": pair()}))
    assert ready.status == "True"
    assert await harness.reconcile(store(legacy=True, deleting=True)) == Retry()
    assert harness.events.reasons == ["StoreReady"]


async def test_a_finalizer_is_tried_again_after_a_passing_fault(harness: StoreHarness) -> None:
    harness.api.fault = ApiUnavailableError("away", status=503)
    assert await harness.reconcile(store(legacy=True, KMS={"KMSAuth": pair()})) == Retry()
    harness.api.fault = ApiUnavailableError("busy", status=429, retry_after=20.0)
    assert await harness.reconcile(store(legacy=True, KMS={"KMSAuth": pair()})) == Retry(after=20.0)


async def test_no_finalizer_is_remembered_of_a_store_that_is_gone(harness: StoreHarness) -> None:
    await harness.reconcile(store(legacy=True, KMS={"KMSAuth": pair()}))
    harness.cluster.stores.remove(KEY)
    await harness.reconcile()
    assert harness.states.find(KEY) is None


async def test_a_store_whose_crd_is_outdated_is_neither_ready_nor_not(
    harness: StoreHarness,
) -> None:
    await harness.settle(store(KMS={"KMSAuth": pair()}))
    harness.schemas.put("secretstores.alibabacloud.com", ("spec.KMS.KMSAuth.serviceAccountRef",))
    assert await harness.reconcile(store(legacy=True, KMS={"KMSAuth": pair()})) == Done()
    ready = harness.statuses.reported[-1]
    assert (ready.status, ready.reason) == ("Unknown", "CRDOutdated")
    # Which identity it stands for cannot be read, so none is kept; nor is it taken over.
    assert len(harness.credentials) == 0
    assert harness.api.asked == []
    harness.schemas.put("secretstores.alibabacloud.com", ())
    assert (await harness.settle(store(KMS={"KMSAuth": pair()}))).status == "True"


async def test_no_report_contains_the_key(harness: StoreHarness) -> None:
    await harness.settle(store(KMS={"KMSAuth": pair()}))
    assert "s3cret" not in repr(harness.statuses.reported)
