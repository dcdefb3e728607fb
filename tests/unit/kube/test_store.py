"""The store and its indexes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from secret_sync.kube import Store, key_of
from secret_sync.resources.meta import ObjectMeta


@dataclass(frozen=True, slots=True)
class Thing(ObjectMeta):
    values: tuple[str, ...]


def thing(name: str, values: tuple[str, ...] = (), *, namespace: str = "ns") -> Thing:
    return Thing(namespace, name, "uid", "1", values)


Things: TypeAlias = Store[Thing]


def store() -> Things:
    return Store({"value": lambda one: one.values})


def test_keys() -> None:
    assert key_of(thing("a")) == "ns/a"
    assert key_of(thing("a", namespace="")) == "a"


def test_an_index_follows_its_objects() -> None:
    things = store()
    assert things.put("ns/a", thing("a", ("x", "y", "x"))) is None
    assert things.put("ns/b", thing("b", ("y",))) is None
    assert sorted(things.by_index("value", "y")) == ["ns/a", "ns/b"]
    assert things.by_index("value", "x") == ("ns/a",)
    before = things.put("ns/a", thing("a", ("z",)))
    assert before is not None
    assert before.values == ("x", "y", "x")
    assert things.by_index("value", "x") == ()
    assert things.by_index("value", "y") == ("ns/b",)
    assert things.remove("ns/a") == thing("a", ("z",))
    assert things.remove("ns/a") is None
    assert things.by_index("value", "z") == ()


def test_index_result_may_be_iterated_while_the_store_changes() -> None:
    things = store()
    for name in "abc":
        things.put(f"ns/{name}", thing(name, ("x",)))
    for key in things.by_index("value", "x"):
        things.remove(key)
    assert len(things) == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.none() | st.lists(st.sampled_from("xyz"), max_size=3).map(tuple),
        )
    )
)
def test_indexes_agree_with_the_objects(
    changes: list[tuple[str, tuple[str, ...] | None]],
) -> None:
    things = store()
    for name, values in changes:
        if values is None:
            things.remove(name)
        else:
            things.put(name, thing(name, values))
    held = {key: things.get(key) for key in things}
    for value in "xyz":
        expected = {k for k, thing in held.items() if thing is not None and value in thing.values}
        assert set(things.by_index("value", value)) == expected
