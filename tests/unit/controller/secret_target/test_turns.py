"""ExternalSecrets that merge into one Secret take turns in writing it; nobody waits for good."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from secret_sync.controller.external_secret.state import SyncState
from secret_sync.controller.secret_target.turns import WriteTurns
from secret_sync.controller.secret_target.write_conflicts import CONFLICT_SECONDS, RepairBudget
from secret_sync.controller.sync import WAITS_FOR_ITS_TURN, Changed, Refused
from secret_sync.kube import OutdatedError
from secret_sync.resources import secret_from_metadata
from tests.unit.controller.fakes import managed, secret
from tests.unit.controller.writing import MERGE, WriterHarness, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret, SecretMeta

TARGET = "ns/target"
OTHER = "ns/other"


def stored(version: str, **metadata: Any) -> SecretMeta:
    return secret_from_metadata(secret(version=version, **metadata))


def turns_of(enqueued: list[str]) -> WriteTurns:
    return WriteTurns(enqueued.append)


def test_first_one_writes_and_the_next_one_is_enqueued_afterwards() -> None:
    enqueued: list[str] = []
    turns = turns_of(enqueued)
    assert turns.take("ns/a", TARGET)
    assert not turns.take("ns/b", TARGET)
    assert not turns.take("ns/c", TARGET)
    turns.end("ns/b")
    assert enqueued == []
    turns.end("ns/a")
    assert enqueued == ["ns/b"]
    assert turns.take("ns/b", TARGET)
    turns.end("ns/b")
    assert enqueued == ["ns/b", "ns/c"]


def test_turn_is_kept_for_the_one_that_was_enqueued() -> None:
    enqueued: list[str] = []
    turns = turns_of(enqueued)
    assert turns.take("ns/a", TARGET)
    assert not turns.take("ns/b", TARGET)
    turns.end("ns/a")
    assert not turns.take("ns/a", TARGET)


def test_turn_passes_on_when_it_is_not_needed() -> None:
    """By the time that it comes the keys may be there, or the object may be gone."""
    enqueued: list[str] = []
    turns = turns_of(enqueued)
    turns.take("ns/a", TARGET)
    for waiting in ("ns/b", "ns/c", "ns/d"):
        turns.take(waiting, TARGET)
    turns.end("ns/a")
    turns.end("ns/b")
    turns.leave("ns/c")
    assert enqueued == ["ns/b", "ns/c", "ns/d"]
    turns.leave("ns/d")
    assert len(turns) == 0


def test_other_secrets_have_lines_of_their_own() -> None:
    turns = turns_of([])
    assert turns.take("ns/a", TARGET)
    assert turns.take("ns/b", OTHER)


def test_new_target_leaves_the_line_of_the_former_one() -> None:
    enqueued: list[str] = []
    turns = turns_of(enqueued)
    turns.take("ns/a", TARGET)
    turns.take("ns/b", TARGET)
    assert turns.take("ns/a", OTHER)
    assert enqueued == ["ns/b"]


def test_next_one_decides_on_what_the_last_one_has_left() -> None:
    """The cache has it later; each of them would be refused once."""
    turns = turns_of([])
    turns.take("ns/a", TARGET)
    turns.take("ns/b", TARGET)
    before, written, after = (stored(version) for version in ("1", "2", "3"))
    turns.wrote(TARGET, written)
    turns.end("ns/a")
    assert turns.latest(TARGET, before) is written
    assert turns.latest(TARGET, after) is after
    recreated = stored("1", uid="another")
    assert turns.latest(TARGET, recreated) is recreated
    turns.end("ns/b")
    assert turns.latest(TARGET, before) is before


MERGING = secret(managed("secret-sync-merge-other", "theirs", operation="Apply"))


async def test_waiting_for_a_turn_uses_up_no_write_of_a_conflict(
    make_es: Callable[..., ExternalSecret],
) -> None:
    """Of many in a conflict with another writer, one each minute would get to write."""
    enqueued: list[str] = []
    turns = turns_of(enqueued)
    written = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    harness = WriterHarness(make_es(target=MERGE), secret(written, version="30"), turns=turns)
    harness.holds({**MERGING, "metadata": {**MERGING["metadata"], "resourceVersion": "25"}})
    now = asyncio.get_running_loop().time()
    remembered = state(merge=True)
    remembered.repairs = RepairBudget(conflicted_at=now - CONFLICT_SECONDS)
    turns.take("ns/other", "ns/some")
    assert await harness.ensure(remembered) == WAITS_FOR_ITS_TURN
    turns.end("ns/other")
    assert enqueued == ["ns/some"]
    assert isinstance(await harness.ensure(remembered), Refused)
    assert [sent.method for sent in harness.client.sent] == ["PATCH"]


async def test_version_that_the_last_one_left_is_forgotten_when_it_is_not_there(
    make_es: Callable[..., ExternalSecret],
) -> None:
    """As after a restore of the API server, whose versions are lower then."""
    turns = turns_of([])
    written = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    outdated = OutdatedError("changed", status=409)
    harness = WriterHarness(
        make_es(target=MERGE), outdated, MERGING, secret(written, version="21"), turns=turns
    )
    harness.holds(MERGING)
    turns.take("ns/some", "ns/some")
    other = managed("secret-sync-merge-other", "theirs", operation="Apply")
    turns.wrote("ns/some", secret_from_metadata(secret(other, version="1000")))
    assert isinstance(await harness.ensure(SyncState()), Changed)
    versions = [sent.version for sent in harness.client.sent if sent.method == "PATCH"]
    assert versions == ["secret-uid/1000", "secret-uid/20"]


class TakingTurns(RuleBasedStateMachine):
    """Reconciles that begin, want to write or do not, and end, as the work queue runs them."""

    keys = st.sampled_from([f"ns/{n}" for n in range(6)])
    secrets = st.sampled_from([TARGET, OTHER])

    def __init__(self) -> None:
        super().__init__()
        self.queued: set[str] = set()
        # Which Secret each one that is being reconciled may write, or none.
        self.running: dict[str, str] = {}
        self.turns = WriteTurns(self.queued.add)

    @rule(key=keys, secret=secrets, wants=st.booleans())
    def begin(self, key: str, secret: str, *, wants: bool) -> None:
        if key in self.running:
            self.queued.add(key)
            return
        self.queued.discard(key)
        granted = wants and self.turns.take(key, secret)
        assert not granted or secret not in self.running.values()
        self.running[key] = secret if granted else ""

    @precondition(lambda self: self.running)
    @rule(data=st.data(), gone=st.booleans())
    def finish(self, data: st.DataObject, *, gone: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        if gone:
            self.turns.leave(key)
        self.turns.end(key)
        del self.running[key]

    def teardown(self) -> None:
        """Let everything come to its end: then nobody is left in a line."""
        while self.running:
            self.turns.end(self.running.popitem()[0])
        while self.queued:
            self.turns.end(self.queued.pop())
        assert len(self.turns) == 0


TestTakingTurns: Callable[..., object] = TakingTurns.TestCase
