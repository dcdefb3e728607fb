"""Taking turns, against a model."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from secret_sync.kube.event_queue import Bucket, FairQueue

TENANTS = st.sampled_from("abcd")


@given(
    st.lists(
        st.one_of(TENANTS, st.sets(TENANTS), st.tuples(TENANTS, st.sampled_from(["shed", "drop"])))
    )
)
def test_each_tenant_is_served_in_order_and_what_is_removed_is_its_own(
    steps: list[str | set[str] | tuple[str, str]],
) -> None:
    turns: FairQueue[tuple[str, int]] = FairQueue()
    waiting: dict[str, list[int]] = {name: [] for name in "abcd"}
    for number, step in enumerate(steps):
        match step:
            case str():
                turns.put(step, (step, number))
                waiting[step].append(number)
            case set():
                taken = turns.take(step)
                able = {name for name, items in waiting.items() if items and name not in step}
                assert (taken is not None) == bool(able)
                if taken is not None:
                    tenant, item = taken
                    assert tenant in able
                    assert item == waiting[tenant].pop(0)
            case (tenant, "drop"):
                assert turns.drop(tenant) == [(tenant, item) for item in waiting[tenant]]
                waiting[tenant].clear()
            case (tenant, _):
                most = max(len(items) for items in waiting.values())
                shed = turns.shed(tenant)
                assert (shed is not None) == (most > len(waiting[tenant]) + 1)
                if shed is not None:
                    assert len(waiting[shed[0]]) == most
                    assert shed[1] == waiting[shed[0]].pop()
        assert len(turns) == sum(map(len, waiting.values()))


@given(st.dictionaries(TENANTS, st.integers(1, 20), min_size=1))
def test_turns_are_taken_evenly(sizes: dict[str, int]) -> None:
    turns: FairQueue[str] = FairQueue()
    for tenant, size in sizes.items():
        for _ in range(size):
            turns.put(tenant, tenant)
    left, served = Counter(sizes), Counter[str]()
    while (name := turns.take()) is not None:
        served[name] += 1
        left[name] -= 1
        for other in sizes:
            assert served[name] <= served[other] + 1 or not left[other]
    assert served == Counter(sizes)


def test_a_bucket_gives_its_size_at_once_and_then_one_by_one() -> None:
    bucket = Bucket(3, 10.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait(100.0) == 10.0
    assert bucket.wait(104.0) == 6.0
    assert bucket.take(110.0)
    assert not bucket.take(110.0)
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]
