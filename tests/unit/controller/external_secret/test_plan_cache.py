"""Plans are kept within a bound, and never handed out for another object or another harness."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from secret_sync.controller.external_secret import plan_cache
from secret_sync.controller.external_secret.plan_cache import PlanCache
from secret_sync.controller.external_secret.planner import Plan, PlannedEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from secret_sync.resources import ExternalSecret


def plan_of(es: ExternalSecret) -> Plan:
    spec = object()
    return Plan(tuple(PlannedEntry(entry, spec, None, None) for entry in es.entries))  # type: ignore[arg-type]


def test_a_plan_is_found_for_the_same_intent_and_basis_only(
    make_es: Callable[..., ExternalSecret],
) -> None:
    cache, es = PlanCache(), make_es()
    plan = plan_of(es)
    cache.keep("ns/some", es, "basis", plan)
    assert cache.find("ns/some", es, "basis") is plan
    assert cache.find("ns/some", replace(es, resource_version="9"), "basis") is plan
    assert cache.find("ns/some", replace(es, rotation_interval="7s"), "basis") is None
    assert cache.find("ns/some", es, "another") is None
    assert cache.find("ns/other", es, "basis") is None


def test_a_plan_without_entries_is_not_kept_and_ends_the_former_one(
    make_es: Callable[..., ExternalSecret],
) -> None:
    cache, es = PlanCache(), make_es()
    cache.keep("ns/some", es, "basis", plan_of(es))
    cache.keep("ns/some", es, "basis", Plan(compiling=True))
    assert cache.find("ns/some", es, "basis") is None
    assert len(cache) == 0


def test_wide_plans_count_for_more_than_small_ones(
    make_es: Callable[..., ExternalSecret], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_cache, "CAPACITY", 320)
    cache, small = PlanCache(), make_es()
    for number in range(30):
        cache.keep(f"ns/{number}", small, "basis", plan_of(small))
    assert len(cache) == 20
    assert cache.find("ns/10", small, "basis") is not None
    wide = replace(small, entries=small.entries * 300)
    cache.keep("ns/wide", wide, "basis", plan_of(wide))
    assert len(cache) == 2
    # The most recently used one stays.
    assert cache.find("ns/10", small, "basis") is not None
    for key in ("ns/10", "ns/wide"):
        cache.drop(key)
    for number in range(20):
        cache.keep(f"ns/{number}", small, "basis", plan_of(small))
    assert len(cache) == 20
