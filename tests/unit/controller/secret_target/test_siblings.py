"""Thousands that merge into one Secret: what a question about them costs, counted and not timed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.secret_target.siblings import INDEXES, Mergers, owner_beside
from secret_sync.kube import Store
from secret_sync.resources import ExternalSecret, ManagedSecret, secret_from_metadata
from tests.unit.controller.fakes import managed, secret

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeES = Callable[..., ExternalSecret]

MANY = 2000
KEY = frozenset({"password"})
SOME = {"name": "some"}


class Looked(Store[ExternalSecret]):
    """A store that counts how many objects it was asked for."""

    __slots__ = ("gets",)

    def __init__(self) -> None:
        super().__init__(INDEXES)
        self.gets = 0

    def get(self, key: str) -> ExternalSecret | None:
        self.gets += 1
        return super().get(key)


@pytest.fixture
def crowd(make_es: MakeES) -> Looked:
    """Many that merge the same key into ``ns/some``, the first one first."""
    objects = Looked()
    for n in range(MANY):
        es = crowded(make_es, n)
        objects.put(f"ns/{es.name}", es)
    return objects


def crowded(make_es: MakeES, n: int, **spec: Any) -> ExternalSecret:
    created = f"2026-01-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z"
    metadata = {"name": f"n{n}", "uid": f"u{n}", "creationTimestamp": created}
    return make_es(metadata=metadata, target={"name": "some", "creationPolicy": "Merge"}, **spec)


def held_by(*uids: str, key: str = "password") -> ManagedSecret:
    entries = [managed(f"secret-sync-merge-{uid}", key, operation="Apply") for uid in uids]
    found = secret_from_metadata(secret(*entries))
    assert isinstance(found, ManagedSecret)
    return found


def test_owner_of_a_key_enqueues_the_objects_that_hold_it(make_es: MakeES, crowd: Looked) -> None:
    mergers = Mergers(crowd, crowded(make_es, 1000), held_by("u7", "u1500", "gone"))
    assert mergers.before(KEY) == {"n7": ("password",)}
    assert mergers.giving_way(KEY) == {"secret-sync-merge-u1500", "secret-sync-merge-gone"}
    assert crowd.gets <= 2 * 2


def test_a_namesake_of_another_namespace_or_target_holds_nothing(make_es: MakeES) -> None:
    objects = Looked()
    merging = {"name": "some", "creationPolicy": "Merge"}
    for name, namespace, target in (("a", "else", merging), ("b", "ns", {**merging, "name": "x"})):
        metadata = {"name": name, "uid": name, "namespace": namespace, "creationTimestamp": "1"}
        objects.put(f"{namespace}/{name}", make_es(metadata=metadata, target=target))
    mergers = Mergers(objects, crowded(make_es, 1), held_by("a", "b"))
    assert mergers.before(KEY) == {}
    assert len(mergers.giving_way(KEY)) == 2


@pytest.mark.parametrize("name", ["some", "another"], ids=["of its name", "of another name"])
def test_owner_of_a_secret_enqueues_the_owners_of_its_keys(
    make_es: MakeES, crowd: Looked, name: str
) -> None:
    es = crowded(make_es, 1000)
    assert owner_beside(crowd, es) == ""
    gone = make_es(metadata={"name": "x", "uid": "x", "deletionTimestamp": "now"}, target=SOME)
    crowd.put("ns/x", gone)
    elsewhere = make_es(metadata={"name": "some", "uid": "y"}, target={"name": "elsewhere"})
    crowd.put("ns/some", elsewhere)
    assert owner_beside(crowd, es) == ""
    crowd.put(f"ns/{name}", make_es(metadata={"name": name, "uid": "owner"}, target=SOME))
    assert owner_beside(crowd, es) == name
    assert crowd.gets <= 3 * 3


# -- What they want -------------------------------------------------------------------------


async def test_siblings_are_asked_until_one_wants_the_key(make_es: MakeES, crowd: Looked) -> None:
    mergers = Mergers(crowd, crowded(make_es, MANY), held_by("gone"))
    assert await mergers.wanted(KEY) == KEY
    assert crowd.gets == 1
    assert await mergers.wanted(frozenset()) == frozenset()
    assert await mergers.wanted(KEY | {"another"}) == KEY


async def test_others_have_their_turn_while_many_are_asked(make_es: MakeES, crowd: Looked) -> None:
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            before = crowd.gets
            await asyncio.sleep(0)
            most = max(most, crowd.gets - before)

    watching = asyncio.create_task(watch())
    mergers = Mergers(crowd, crowded(make_es, MANY), held_by("gone"))
    assert await mergers.wanted({"another"}) == frozenset()
    assert crowd.gets == MANY
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert most <= 100


async def test_named_entry_wants_its_key(make_es: MakeES) -> None:
    entries = [
        {"key": "plain"},
        {"key": "named", "name": "called"},
        {"key": "doc", "jmesPath": [{"path": "a", "objectAlias": "picked"}, {"path": "b"}]},
    ]
    objects = Looked()
    objects.put("ns/n1", crowded(make_es, 1, data=entries))
    # An Owner merges nothing.
    owner = make_es(metadata={"name": "o", "uid": "o"}, target={"name": "some"})
    objects.put("ns/o", owner)
    mergers = Mergers(objects, crowded(make_es, 2), held_by("gone"))
    names = {"plain", "named", "called", "doc", "picked", "a", "b", "password"}
    assert await mergers.wanted(names) == {"plain", "called", "doc", "picked"}


@pytest.mark.parametrize(
    ("reason", "extracts", "wants"),
    [("KeyConflict", True, True), ("Synced", True, False), ("KeyConflict", False, False)],
)
async def test_document_of_a_sibling_may_hold_the_key(
    make_es: MakeES, reason: str, *, extracts: bool, wants: bool
) -> None:
    ready = {"type": "Ready", "status": "False", "reason": reason}
    spec: dict[str, Any] = {"dataProcess": [{"extract": {"key": "doc"}}]} if extracts else {}
    waiting = crowded(make_es, 1, status={"conditions": [ready]}, **spec)
    objects = Looked()
    objects.put("ns/n1", waiting)
    mergers = Mergers(objects, crowded(make_es, 2), held_by("gone"))
    assert await mergers.wanted({"dropped"}) == (frozenset({"dropped"}) if wants else frozenset())
