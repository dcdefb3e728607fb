"""What a later list changes: in the store, its indexes, and for the handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from secret_sync.kube import Informer
from secret_sync.kube.informer import InformerScope
from tests.unit.kube.fakes import (
    event,
    eventually,
    item,
    listing,
    refusing,
    status_of,
    streaming,
)
from tests.unit.kube.informing import CONFIG_MAPS, colored, thing

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.kube import KubeClient
    from tests.unit.kube.fakes import ReflectorRecorder, ScriptedServer
    from tests.unit.kube.informing import ColoredMap, Diary


async def test_another_uid_is_a_deletion_and_a_new_object(
    server: ScriptedServer,
    informer: Informer[ColoredMap],
    diary: Diary,
    running: Callable[[], None],
) -> None:
    server.lists.append(listing(item("a", uid="first")))
    server.watches.append(streaming(event("MODIFIED", item("a", "101", "second")), stall=True))
    running()
    await eventually(lambda: len(diary.lines) == 3)
    assert diary.lines == ["+ns/a", "-ns/a", "+ns/a"]
    gone = diary.changes[1].old
    assert gone is not None
    assert gone.uid == "first"
    assert diary.changes[2].old is None


async def test_deletions_during_a_disconnect_are_delivered_first_with_the_last_state(
    server: ScriptedServer,
    informer: Informer[ColoredMap],
    diary: Diary,
    running: Callable[[], None],
) -> None:
    server.lists.append(listing(colored("gone", "red"), colored("stays", "red"), rv="100"))
    server.lists.append(listing(colored("new", "red"), colored("stays", "red"), rv="200"))
    server.watches.append(streaming(event("ERROR", status_of(410, "Expired"))))
    running()
    await eventually(lambda: len(diary.lines) == 4)
    assert diary.lines[2:] == ["-ns/gone", "+ns/new"]
    tombstone = diary.changes[2].old
    assert tombstone is not None
    assert (tombstone.uid, tombstone.color) == ("uid-gone", "red")
    # All objects were stored before the first handler was called.
    assert diary.held[2] == {"ns/new", "ns/stays"}
    assert set(informer.store.by_index("color", "red")) == {"ns/new", "ns/stays"}


async def test_a_later_list_is_reported_after_it_is_stored(
    server: ScriptedServer, informer: Informer[ColoredMap], running: Callable[[], None]
) -> None:
    held: list[set[str]] = []
    informer.add_relist_handler(lambda: held.append(set(informer.store)))
    server.lists.append(listing(item("a"), rv="100"))
    server.lists.append(listing(item("b"), rv="200"))
    server.watches.append(streaming(event("ERROR", status_of(410, "Expired"))))
    running()
    await eventually(lambda: bool(held))
    assert held == [{"ns/b"}]


async def test_object_added_by_an_event_can_vanish_from_a_list(
    server: ScriptedServer,
    informer: Informer[ColoredMap],
    diary: Diary,
    running: Callable[[], None],
) -> None:
    server.watches.append(
        streaming(
            event("ADDED", item("vanishes", "101")),
            event("ADDED", item("deleted", "102")),
            event("DELETED", item("deleted", "103")),
            event("ERROR", status_of(410, "Expired")),
        )
    )
    running()
    await eventually(lambda: len(diary.lines) == 4)
    assert diary.lines == ["+ns/vanishes", "+ns/deleted", "-ns/deleted", "-ns/vanishes"]


async def test_a_scope_remembers_no_keys_of_deleted_objects(informer: Informer[ColoredMap]) -> None:
    scope = InformerScope(informer, "", thing, None, frozenset())
    for number in range(10):
        scope.event("ADDED", item(f"n-{number}"))
        scope.event("DELETED", item(f"n-{number}"))
        assert len(scope) == 0


async def test_another_uid_in_a_list(
    server: ScriptedServer,
    informer: Informer[ColoredMap],
    diary: Diary,
    running: Callable[[], None],
) -> None:
    server.lists.append(listing(item("a", "5", "first"), rv="100"))
    server.lists.append(listing(item("a", "150", "second"), rv="200"))
    server.watches.append(refusing(410, "Gone"))
    running()
    await eventually(lambda: len(diary.lines) == 3)
    assert diary.lines == ["+ns/a", "-ns/a", "+ns/a"]


async def test_objects_unchanged_in_a_list_are_not_delivered(
    server: ScriptedServer,
    informer: Informer[ColoredMap],
    diary: Diary,
    running: Callable[[], None],
) -> None:
    server.lists.append(listing(item("a"), rv="100"))
    server.lists.append(listing(item("a"), rv="200"))
    server.watches.append(refusing(410, "Gone"))
    running()
    await eventually(lambda: len(server.watched) == 2)
    assert diary.lines == ["+ns/a"]


async def test_another_object_in_the_same_version_is_delivered(
    informer: Informer[ColoredMap], diary: Diary
) -> None:
    # Of an API server that was restored, or has another schema.
    scope = InformerScope(informer, "", thing, None, frozenset())
    scope.event("ADDED", item("a", "5", data={"color": "red"}))
    scope.event("MODIFIED", item("a", "5", data={"color": "red"}))
    scope.event("MODIFIED", item("a", "5", data={"color": "blue"}))
    assert diary.lines == ["+ns/a", "~ns/a"]
    assert informer.store.by_index("color", "blue") == ("ns/a",)


async def test_an_event_renews_a_known_object_and_a_list_reads_all(
    client: KubeClient, recorder: ReflectorRecorder
) -> None:
    renewed: list[str] = []

    def renew(known: ColoredMap, value: dict[str, Any]) -> ColoredMap | None:
        renewed.append(known.resource_version)
        return thing(value)

    informer = Informer(client, CONFIG_MAPS, thing, recorder)
    scope = InformerScope(informer, "", thing, renew, frozenset())
    scope.event("ADDED", item("a", "5"))
    scope.event("MODIFIED", item("a", "6"))
    listed = scope.read(item("a", "7"))
    assert listed is not None
    scope.replace([listed])
    assert renewed == ["5"]
    assert [obj.resource_version for obj in informer.store.values()] == ["7"]
