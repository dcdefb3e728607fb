"""Several writes make one change: it is made however often it is interrupted, and wherever."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from secret_sync.controller.external_secret.state import SyncState
from secret_sync.kube import ApiUnavailableError
from tests.unit.controller.fakes import managed, secret
from tests.unit.controller.holding import HoldingClient
from tests.unit.controller.writing import DESIRED, MERGE, OURS, WriterHarness, own, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime

ADOPT: Final = {"annotations": {"secret-sync.alibabacloud.com/adopt": "true"}}
LEGACY: Final = {"finalizers": ["finalizer.ack.secrets-manager.alibabacloud.com"]}
MANAGED: Final = {"app.kubernetes.io/managed-by": "secret-sync"}
LABEL: Final = {
    **managed("kubectl-label"),
    "fieldsV1": {"f:metadata": {"f:labels": {"f:team": {}}}},
}
ME: Final = "secret-sync-merge-es-uid"


def by_string_data(manager: str, *keys: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:stringData": {f"f:{key}": {} for key in keys}}
    return {"manager": manager, "operation": "Apply", "fieldsV1": fields}


def holding(found: dict[str, Any], *, immutable: bool = False, **data: str) -> dict[str, Any]:
    encoded = {key: b64encode(value.encode()).decode() for key, value in data.items()}
    return found | {"data": encoded} | ({"immutable": True} if immutable else {})


@dataclass
class Sequence:
    """What there is before a change, and what it is for.

    Attributes:
        held: The Secret.
        left: Who owns which of its keys afterwards.
        spec: Of the ExternalSecret.
        written: Whether the Secret was written before.
        merge: Whether that was a merge.
        stays: Keys that are still there, beside ours.
        labels: What others say of it, who own that afterwards.
    """

    held: dict[str, Any]
    left: dict[str, set[str]] = field(default_factory=lambda: {"secret-sync": {"password"}})
    spec: dict[str, Any] = field(default_factory=dict)
    written: bool = True
    merge: bool = False
    fingerprint: bytes = b"wanted"
    stays: frozenset[str] = frozenset()
    labels: dict[str, str] = field(default_factory=dict)


SEQUENCES: Final = {
    "others' stringData": Sequence(
        holding(own(OURS, by_string_data("kubectl", "extra")), password="x", extra="x")
    ),
    "stringData applied in our name": Sequence(
        holding(
            own(by_string_data("secret-sync", "extra"), ownerReferences=[]), password="v", extra="x"
        )
    ),
    "others' keys": Sequence(
        holding(own(OURS, managed("kubectl", "extra")), password="v", extra="x")
    ),
    "others' keys, frozen": Sequence(
        holding(own(OURS, managed("kubectl", "extra")), immutable=True, password="v", extra="x")
    ),
    "others' stringData, frozen": Sequence(
        holding(
            own(OURS, by_string_data("kubectl", "extra")), immutable=True, password="v", extra="x"
        )
    ),
    "a new value of a frozen one": Sequence(
        holding(own(OURS, LABEL, labels={"team": "a"}), immutable=True, password="older"),
        fingerprint=b"older",
        labels={"team": "a"},
    ),
    "adoption": Sequence(
        holding(
            secret(managed("kubectl", "old"), by_string_data("helm", "extra")),
            old="x",
            extra="x",
        ),
        spec={"metadata": ADOPT},
        written=False,
    ),
    "adoption of stringData applied in our name": Sequence(
        holding(secret(by_string_data("secret-sync", "extra")), extra="x"),
        spec={"metadata": ADOPT},
        written=False,
    ),
    "takeover from ack-secret-manager": Sequence(
        holding(secret(managed("ack-secret-manager", "old", "password")), old="x", password="x"),
        spec={"metadata": LEGACY},
        written=False,
    ),
    "merging beside who gives way": Sequence(
        holding(
            secret(managed("secret-sync-merge-gone", "password", operation="Apply")), password="v"
        ),
        left={ME: {"password"}},
        spec={"target": MERGE},
        written=False,
    ),
    "merging one key less": Sequence(
        holding(
            secret(
                managed(ME, "password", "old", operation="Apply"), by_string_data("kubectl", "old")
            ),
            password="v",
            old="x",
        ),
        left={ME: {"password"}},
        spec={"target": MERGE},
        merge=True,
        fingerprint=b"older",
        stays=frozenset({"old"}),
    ),
    "from Owner to Merge": Sequence(
        holding(own(), password="v"),
        left={ME: {"password"}},
        spec={"target": MERGE},
    ),
}


def owners(held: dict[str, Any]) -> dict[str, set[str]]:
    entries = held["metadata"]["managedFields"]
    owned = {e["manager"]: {f[2:] for f in e["fieldsV1"].get("f:data", {})} for e in entries}
    return {manager: keys for manager, keys in owned.items() if keys}


class Interrupted:
    """A change that fails once, then goes on."""

    def __init__(self, es: ExternalSecret, context: Sequence) -> None:
        self.context = context
        self.client = HoldingClient(context.held)
        self.harness = WriterHarness(es, client=self.client)  # type: ignore[arg-type]  # a played server
        self.state = (
            state("19", fingerprint=context.fingerprint, merge=context.merge)
            if context.written
            else SyncState(uid="es-uid")
        )

    async def reconcile(self) -> None:
        self.seen()
        await self.harness.ensure(self.state)

    def seen(self) -> None:
        """The cache has heard of all."""
        if self.client.held is None:
            self.harness.secrets.remove("ns/some")
        else:
            self.harness.holds(self.client.held)

    @property
    def is_right(self) -> bool:
        return self.harness.writer.is_right(self.harness.context(self.state), DESIRED)

    @property
    def is_done(self) -> bool:
        held, context = self.client.held, self.context
        return (
            held is not None
            and held["data"].keys() == {"password"} | context.stays
            and held["data"]["password"] == b64encode(b"v").decode()
            and owners(held) == context.left
            and held["metadata"].get("labels", {}).items() - MANAGED.items()
            == context.labels.items()
            and (not context.labels or LABEL in held["metadata"]["managedFields"])
        )


@pytest.mark.parametrize("stored", [False, True], ids=["refused", "the answer is lost"])
@pytest.mark.parametrize("name", SEQUENCES)
async def test_interrupted_write_is_finished(make_es: MakeES, name: str, *, stored: bool) -> None:
    context = SEQUENCES[name]
    es = make_es(**context.spec)
    undisturbed = Interrupted(es, context)
    await undisturbed.reconcile()
    assert undisturbed.is_done
    undisturbed.seen()
    assert undisturbed.is_right
    assert len(undisturbed.client.requests) > 1
    for at, what in enumerate(undisturbed.client.requests):
        interrupted = Interrupted(es, context)
        interrupted.client.fails_at, interrupted.client.stored = at, stored
        with pytest.raises(ApiUnavailableError):
            await interrupted.reconcile()
        interrupted.seen()
        assert interrupted.is_done or not interrupted.is_right, (at, what)
        await interrupted.reconcile()
        assert interrupted.is_done, (at, what)
        interrupted.seen()
        assert interrupted.is_right, (at, what)


@pytest.mark.parametrize("stored", [False, True], ids=["refused", "the answer is lost"])
@pytest.mark.parametrize("at", [0, 1])
async def test_interrupted_adoption_of_a_created_once_secret_is_finished(
    make_es: MakeES, at: int, *, stored: bool
) -> None:
    held = holding(secret(managed("velero", "password")), password="x")
    es = make_es(metadata=ADOPT, refreshPolicy="CreatedOnce")
    client = HoldingClient(held)
    harness = WriterHarness(es, client=client)  # type: ignore[arg-type]  # a played server
    remembered = SyncState(uid="es-uid", target="some")
    client.fails_at, client.stored = at, stored
    harness.holds(held)
    with pytest.raises(ApiUnavailableError):
        await harness.writer.continue_created_once(harness.context(remembered))
    assert client.held is not None
    harness.holds(client.held)
    await harness.writer.continue_created_once(harness.context(remembered))
    harness.holds(client.held)
    assert harness.writer.is_there(harness.context(remembered))
    assert client.held["data"] == held["data"]
