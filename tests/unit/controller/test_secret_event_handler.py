"""Which ExternalSecrets a change of a Secret, or of who writes it, enqueues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.state import Applied
from secret_sync.kube import Change
from secret_sync.queue import Priority
from secret_sync.resources import secret_from_metadata
from tests.unit.controller.fakes import managed, secret
from tests.unit.controller.handling import KEY, SYNCED

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret, SecretMeta
    from tests.unit.controller.handling import HandlersHarness


LETS_GO: dict[str, tuple[dict[str, Any] | None, bool]] = {
    "gone": (None, True),
    "another of that name": ({"metadata": {"uid": "another"}}, True),
    "being deleted": ({"metadata": {"deletionTimestamp": "now"}}, True),
    "merges elsewhere": ({"target": {"name": "else", "creationPolicy": "Merge"}}, True),
    "has one of its own": ({"target": {"name": "host"}}, True),
    "merges other keys": ({"data": []}, False),
}


def in_conflict(reason: str = "KeyConflict", generation: int = 1) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "False", "reason": reason, "observedGeneration": generation}
    return {"conditions": [ready], "observedGeneration": generation}


def host(*keys: str) -> SecretMeta:
    """Secret ``ns/host``, into which ExternalSecret ``ns/some`` has merged these keys."""
    entry = managed("secret-sync-merge-es-uid", *keys, operation="Apply")
    return secret_from_metadata(secret(entry, name="host"))


def deliver_next(
    harness: HandlersHarness,
    make_es: Callable[..., ExternalSecret],
    old: ExternalSecret,
    target: dict[str, str],
    given: dict[str, Any] | None,
) -> None:
    """Deliver the next generation of an ExternalSecret, with these changes, or its deletion."""
    new = None
    if given is not None:
        metadata = {"generation": 2, **given.get("metadata", {})}
        new = make_es(**{"target": target, **given, "metadata": metadata})
        harness.external_secrets.put(KEY, new)
    harness.handlers.external_secret_changed(Change(KEY, old, new))


HOST = {"name": "host", "creationPolicy": "Merge"}


@pytest.mark.parametrize("how", LETS_GO)
async def test_end_of_a_merge_enqueues_those_that_may_have_its_keys(
    make_harness: Callable[..., HandlersHarness], make_es: Callable[..., ExternalSecret], how: str
) -> None:
    harness = make_harness()
    target = HOST
    old = make_es(target=target)
    harness.external_secrets.remove(KEY)
    harness.secrets.put("ns/host", host("password", "more"))
    for name in ("second", "third"):
        called = {"name": name, "uid": name}
        other = make_es(metadata=called, target=target, status=in_conflict())
        harness.external_secrets.put(f"ns/{name}", other)
    given, enqueues = LETS_GO[how]
    deliver_next(harness, make_es, old, target, given)
    enqueued = [("ns/second", Priority.HIGH), ("ns/third", Priority.HIGH)] if enqueues else []
    assert harness.objects.added[0] == (KEY, Priority.HIGH)
    assert sorted(harness.objects.added[1:]) == enqueued


EXTRACT = {"data": [], "dataProcess": [{"extract": {"key": "doc"}}]}


LET_GO_BY: dict[str, tuple[dict[str, Any], SecretMeta | None, bool]] = {
    "in conflict": ({"status": in_conflict()}, host("password"), True),
    "never looked at": ({}, host("password"), True),
    "of an older generation": ({"status": in_conflict("Synced", 0)}, host("password"), True),
    "wants what its document has": ({"status": in_conflict(), **EXTRACT}, host("x"), True),
    "wants another key": ({"status": in_conflict()}, host("more"), False),
    "in sync": ({"status": SYNCED}, host("password"), False),
    "failed otherwise": ({"status": in_conflict("SecretNotFound")}, host("password"), False),
    "the leaver held nothing": ({"status": in_conflict()}, host(), False),
    "without a Secret": ({"status": in_conflict()}, None, False),
}


@pytest.mark.parametrize("how", LET_GO_BY)
async def test_deletion_of_an_external_secret_enqueues_its_siblings_only(
    make_harness: Callable[..., HandlersHarness], make_es: Callable[..., ExternalSecret], how: str
) -> None:
    given, stored, enqueues = LET_GO_BY[how]
    harness = make_harness()
    if stored is not None:
        harness.secrets.put("ns/host", stored)
    other = make_es(metadata={"name": "second", "uid": "second"}, target=HOST, **given)
    harness.external_secrets.put("ns/second", other)
    harness.handlers.external_secret_changed(Change(KEY, make_es(target=HOST), None))
    enqueued = [("ns/second", Priority.HIGH)] if enqueues else []
    assert harness.objects.added == [(KEY, Priority.HIGH), *enqueued]


def reported(reason: str) -> dict[str, Any]:
    """A status with this reason."""
    return {"conditions": [{"type": "Ready", "status": "False", "reason": reason}]}


OWNER_ENDS: dict[str, tuple[dict[str, Any] | None, bool]] = {
    "gone": (None, True),
    "another of that name": ({"metadata": {"uid": "another"}}, True),
    "has another Secret": ({"target": {"name": "else"}}, True),
    "merges": ({"target": {"name": "host", "creationPolicy": "Merge"}}, True),
    "writes other keys": ({"data": []}, False),
}


@pytest.mark.parametrize("how", OWNER_ENDS)
async def test_giving_up_a_secret_enqueues_those_that_were_refused(
    make_harness: Callable[..., HandlersHarness], make_es: Callable[..., ExternalSecret], how: str
) -> None:
    harness = make_harness()
    target = {"name": "host"}
    old = make_es(target=target)
    harness.external_secrets.remove(KEY)
    merge = {**target, "creationPolicy": "Merge"}
    for name, its, reason in (
        ("merging", merge, "SecretConflict"),
        ("owning", target, "SecretConflict"),
        ("failing", merge, "SecretNotFound"),
    ):
        other = make_es(metadata={"name": name, "uid": name}, target=its, status=reported(reason))
        harness.external_secrets.put(f"ns/{name}", other)
    given, enqueues = OWNER_ENDS[how]
    deliver_next(harness, make_es, old, target, given)
    enqueued = [("ns/merging", Priority.HIGH), ("ns/owning", Priority.HIGH)] if enqueues else []
    assert harness.objects.added[0] == (KEY, Priority.HIGH)
    assert sorted(harness.objects.added[1:]) == enqueued


async def test_secret_enqueues_its_writer_but_not_for_its_own_write(
    make_harness: Callable[..., HandlersHarness], make_secret: Callable[..., SecretMeta]
) -> None:
    harness = make_harness()
    harness.states.of(KEY).applied = Applied(b"x", "secret-uid", "20", 0.0)
    harness.handlers.secret_changed(Change(KEY, None, make_secret()))
    assert harness.objects.added == []
    harness.handlers.secret_changed(Change(KEY, None, make_secret(resourceVersion="21")))
    assert harness.objects.added == [(KEY, Priority.HIGH)]
    assert harness.store_queue.added == []


async def test_deleted_secret_is_forgotten_and_enqueues_its_writer(
    make_harness: Callable[..., HandlersHarness], make_secret: Callable[..., SecretMeta]
) -> None:
    harness = make_harness()
    harness.states.of(KEY).applied = Applied(b"x", "secret-uid", "20", 0.0)
    harness.handlers.secret_changed(Change(KEY, make_secret(), None))
    assert harness.objects.added == [(KEY, Priority.HIGH)]
    state = harness.states.of(KEY)
    assert (state.applied, state.gone) == (None, "secret-uid")


async def test_another_secrets_deletion_does_not_touch_what_is_remembered(
    make_harness: Callable[..., HandlersHarness], make_secret: Callable[..., SecretMeta]
) -> None:
    harness = make_harness()
    state = harness.states.of(KEY)
    state.applied = Applied(b"x", "newer-uid", "20", 0.0)
    harness.handlers.secret_changed(Change(KEY, make_secret(), None))
    assert state.applied is not None


async def test_unused_foreign_secret_enqueues_nothing(
    make_harness: Callable[..., HandlersHarness], make_secret: Callable[..., SecretMeta]
) -> None:
    harness = make_harness()
    harness.handlers.secret_changed(Change("ns/else", None, make_secret(name="else", mark="")))
    assert harness.objects.added == harness.store_queue.added == []


@pytest.mark.parametrize(
    ("uid", "enqueued"), [("es-uid", [(KEY, Priority.LOW)]), ("an older one", [])]
)
async def test_abandoned_secret_enqueues_its_writer_for_removal(
    make_harness: Callable[..., HandlersHarness],
    make_secret: Callable[..., SecretMeta],
    uid: str,
    enqueued: list[Any],
) -> None:
    # The target was renamed before the informer had heard of the Secret under its old name.
    harness = make_harness()
    left = make_secret(name="left", mark=f"some/{uid}")
    harness.handlers.secret_changed(Change("ns/left", None, left))
    assert harness.objects.added == enqueued
    harness.handlers.secret_changed(Change("ns/left", left, left))
    assert harness.objects.added == enqueued


@pytest.mark.parametrize(
    ("delivered", "replied", "enqueued"),
    [
        (["20"], "20", []),
        (["19", "20"], "20", []),
        (["21"], "20", [(KEY, Priority.HIGH)]),
        (["20", "21"], "20", [(KEY, Priority.HIGH)]),
        (["20"], None, [(KEY, Priority.HIGH)]),
    ],
    ids=["own", "own at last", "another's", "own, then another's", "write failed"],
)
async def test_own_write_that_overtakes_its_reply_enqueues_nothing(
    make_harness: Callable[..., HandlersHarness],
    make_secret: Callable[..., SecretMeta],
    delivered: list[str],
    replied: str | None,
    enqueued: list[tuple[str, Priority]],
) -> None:
    harness = make_harness()
    harness.objects.in_flight[KEY] = lambda: None
    for version in delivered:
        harness.handlers.secret_changed(Change(KEY, None, make_secret(resourceVersion=version)))
    assert harness.objects.added == []
    if replied is not None:
        harness.states.of(KEY).applied = Applied(b"x", "secret-uid", replied, 0.0)
    harness.objects.done(KEY)
    assert harness.objects.added == enqueued
    assert (harness.states.of(KEY).triggered_at is not None) == bool(enqueued)


async def test_deletion_during_a_reconcile_enqueues_at_once(
    make_harness: Callable[..., HandlersHarness], make_secret: Callable[..., SecretMeta]
) -> None:
    harness = make_harness()
    harness.objects.in_flight[KEY] = lambda: None
    harness.handlers.secret_changed(Change(KEY, make_secret(), None))
    assert harness.objects.added == [(KEY, Priority.HIGH)]


async def test_a_list_may_be_older_than_what_we_wrote(
    make_harness: Callable[..., HandlersHarness],
) -> None:
    # The Secret was created while the list was on its way: it is missing there, and not gone.
    harness = make_harness()
    harness.states.of(KEY).applied = Applied(b"x", "secret-uid", "20", 0.0)
    harness.handlers.secrets_relisted()
    assert harness.objects.added == [(KEY, Priority.HIGH)]
    state = harness.states.of(KEY)
    assert (state.applied, state.gone) == (None, "")
