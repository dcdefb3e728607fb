"""``Planner``: mistakes of the object as a whole, and how often it is fetched."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.controller.crd_schema import Schemas
from secret_sync.resources import Reason
from tests.unit.controller.extracting import an_es
from tests.unit.controller.planning import Cluster, entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.controller.external_secret.planner import Planner
    from secret_sync.resources import ExternalSecret

    MakePlanner = Callable[..., Planner]
    MakeES = Callable[..., ExternalSecret]


LONG = "a" * 254


@pytest.mark.parametrize("name", ["a", "1", "some-secret", "a.b", "a-1.b-2.c", "a" * 253])
def test_names_that_a_secret_can_have(
    make_planner: MakePlanner, make_es: MakeES, name: str
) -> None:
    assert make_planner().plan(make_es(target={"name": name})).problem is None


@pytest.mark.parametrize(
    "name",
    [
        "Upper",
        "a_b",
        "a b",
        "-a",
        "a-",
        ".a",
        "a.",
        "a..b",
        "a.-b",
        "a/b",
        "../a",
        "a\n",
        "ä",
        LONG,
    ],
)
def test_names_that_no_secret_can_have(
    make_planner: MakePlanner, make_es: MakeES, name: str
) -> None:
    plan = make_planner().plan(make_es(target={"name": name}))
    assert plan.problem is not None
    assert plan.problem.reason is Reason.INVALID_SPEC
    assert plan.problem.message == (
        f"spec.target.name is {name[:80]!r}, which is not a name that a Secret can have"
    )
    assert plan.entries == ()


@given(st.text("ab1-.A_", min_size=1, max_size=8))
def test_a_name_is_labels_with_dots_between(name: str) -> None:
    labels = name.split(".")
    fine = name == name.lower() and "_" not in name
    fine = fine and all(label and label == label.strip("-") for label in labels)
    es = an_es(data=[{"key": "db"}], target={"name": name})
    assert (Cluster().planner().plan(es).problem is None) is fine


@pytest.mark.parametrize(
    ("spec", "reason", "said"),
    [
        (
            {"target": {"creationPolicy": "Merge", "immutable": True}},
            Reason.INVALID_SPEC,
            "spec.target.immutable does not go with creationPolicy Merge",
        ),
        ({"target": {"creationPolicy": "None"}}, Reason.INVALID_SPEC, "spec.target.creationPolicy"),
        ({"target": {"deletionPolicy": "Keep"}}, Reason.INVALID_SPEC, "spec.target.deletionPolicy"),
        ({"refreshPolicy": "Never"}, Reason.INVALID_SPEC, "spec.refreshPolicy is 'Never'"),
        ({"data": None, "dataProcess": []}, Reason.NO_DATA, "spec.data and spec.dataProcess"),
        ({"dataProcess": [{}]}, Reason.INVALID_SPEC, "whose key, the secret to fetch, is empty"),
        ({"dataProcess": [{"extract": {"key": ""}}]}, Reason.INVALID_SPEC, "is empty"),
        # A policy without polling does not excuse what is written of it.
        (
            {"refreshPolicy": "OnChange", "rotationInterval": "soon"},
            Reason.INVALID_SPEC,
            "spec.rotationInterval is 'soon'",
        ),
    ],
)
def test_mistakes_of_the_whole_object(
    make_planner: MakePlanner, make_es: MakeES, spec: dict[str, Any], reason: Reason, said: str
) -> None:
    plan = make_planner().plan(make_es(**spec))
    assert plan.problem is not None
    assert plan.problem.reason is reason
    assert said in plan.problem.message
    assert (plan.entries, plan.interval, plan.once) == ((), None, False)


@pytest.mark.parametrize(
    ("policy", "written", "interval", "once"),
    [
        (None, None, 120.0, False),
        ("Periodic", None, 120.0, False),
        ("Periodic", "30s", 30.0, False),
        ("OnChange", None, None, False),
        ("OnChange", "30s", None, False),
        ("CreatedOnce", None, None, True),
        ("CreatedOnce", "30s", None, True),
    ],
)
def test_refresh_policies(
    make_planner: MakePlanner,
    make_es: MakeES,
    policy: str | None,
    written: str | None,
    interval: float | None,
    *,
    once: bool,
) -> None:
    plan = make_planner().plan(make_es(refreshPolicy=policy, rotationInterval=written))
    assert plan.problem is None
    assert (plan.interval, plan.once) == (interval, once)


# -- CRDs of somebody else ----------------------------------------------------------------

EXTERNAL_SECRETS = "externalsecrets.alibabacloud.com"
SHARED = {"name": "shared", "kind": "ClusterSecretStore"}


@pytest.mark.parametrize(
    ("crd", "lacks", "ref", "outdated"),
    [
        (EXTERNAL_SECRETS, ("spec.target",), {"name": "store"}, True),
        (EXTERNAL_SECRETS, ("version v1alpha1",), {"name": "store"}, True),
        (EXTERNAL_SECRETS, ("status.conditions", "spec.target"), None, True),
        # The report is lost, but what is read is right.
        (EXTERNAL_SECRETS, ("status.conditions",), {"name": "store"}, False),
        (EXTERNAL_SECRETS, (), {"name": "store"}, False),
        ("secretstores.alibabacloud.com", ("spec.OOS",), {"name": "store"}, True),
        ("secretstores.alibabacloud.com", ("spec.OOS",), None, False),
        ("secretstores.alibabacloud.com", ("spec.OOS",), SHARED, False),
        ("clustersecretstores.alibabacloud.com", ("spec.conditions",), SHARED, True),
        ("clustersecretstores.alibabacloud.com", ("spec.conditions",), {"name": "store"}, False),
    ],
)
def test_nothing_is_planned_for_what_may_have_lost_fields(
    make_planner: MakePlanner,
    make_es: MakeES,
    crd: str,
    lacks: tuple[str, ...],
    ref: dict[str, str] | None,
    *,
    outdated: bool,
) -> None:
    schemas = Schemas()
    schemas.put(crd, lacks)
    plan = make_planner(schemas=schemas).plan(make_es(data=[entry(secretStoreRef=ref)]))
    assert (plan.problem is not None) is outdated
    if plan.problem is not None:
        assert plan.problem.reason is Reason.CRD_OUTDATED
        assert crd in plan.problem.message
        assert plan.entries == ()


def test_outdated_crd_goes_before_every_other_problem(
    make_planner: MakePlanner, make_es: MakeES
) -> None:
    schemas = Schemas()
    schemas.put(EXTERNAL_SECRETS, ("spec.data[].key",))
    plan = make_planner(schemas=schemas).plan(replace(make_es(), provider="vault", entries=()))
    assert plan.problem is not None
    assert plan.problem.reason is Reason.CRD_OUTDATED
