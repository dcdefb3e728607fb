"""What one tenant's plans take of the memory is bounded by what they consist of."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from secret_sync.controller.external_secret.expressions import extraction_spec_of
from secret_sync.controller.external_secret.plan_cache import PlanCache
from secret_sync.controller.external_secret.planner import Plan, PlannedEntry
from secret_sync.resources.limits import MAX_EXPRESSIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret


def test_an_entry_with_many_expressions_counts_for_them(
    make_es: Callable[..., ExternalSecret],
) -> None:
    paths = [{"path": f"a{n}", "objectAlias": f"k{n}"} for n in range(MAX_EXPRESSIONS)]
    es = make_es(data=[{"key": "doc", "jmesPath": paths}])
    assert not es.excess
    cache = PlanCache()
    for number in range(200):
        plan = Plan(tuple(PlannedEntry(e, extraction_spec_of(e), None, None) for e in es.entries))
        cache.keep(f"ns/{number}", es, "basis", plan)
    # 200 objects with 2,000 expressions each are not worth 200 objects with one plain entry.
    assert len(cache) < 50


def test_the_version_of_an_object_that_the_informer_has_given_up_is_not_kept(
    make_es: Callable[..., ExternalSecret],
) -> None:
    es = make_es()
    cache = PlanCache()
    plan = Plan(tuple(PlannedEntry(e, extraction_spec_of(e), None, None) for e in es.entries))
    newer = replace(es, resource_version="11")
    references = sys.getrefcount(es)
    cache.keep("ns/some", es, "basis", plan)
    assert sys.getrefcount(es) == references + 1
    assert cache.find("ns/some", newer, "basis") is plan
    assert sys.getrefcount(es) == references
