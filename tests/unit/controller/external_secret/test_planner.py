"""``Planner``: every mistake that shows without a call, and the source of each good entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.planner import Endpoints, cluster_scope_of, stores_of
from secret_sync.controller.store.identity import Identity
from secret_sync.controller.store.references import secrets_of
from secret_sync.resources import Reason, SecretStore
from tests.unit.controller.planning import Cluster, entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.controller.external_secret.planner import Planner
    from secret_sync.resources import ExternalSecret, SecretMeta

PROVIDER_ARN = "acs:ram::1:oidc-provider/p"
ARN = "acs:kms:cn-beijing:123:secret/db"


def test_a_good_entry_has_a_source(
    make_planner: Callable[..., Planner], make_es: Callable[..., ExternalSecret]
) -> None:
    data = [entry(versionStage="ACSPrevious"), entry(versionId="v1", name="old")]
    plan = make_planner().plan(make_es(data=data))
    assert plan.problem is None
    assert plan.interval == 120.0
    first, second = (planned.wanted for planned in plan.entries)
    assert first is not None
    assert second is not None
    assert first.source.endpoint == "kms-vpc.cn-hangzhou.aliyuncs.com"
    assert (first.source.name, first.source.version_stage) == ("db", "ACSPrevious")
    assert (second.source.version_stage, second.source.version_id) == ("", "v1")
    assert first.source != second.source


def test_entries_that_ask_for_the_same_share_a_source(
    make_planner: Callable[..., Planner], make_es: Callable[..., ExternalSecret]
) -> None:
    plan = make_planner().plan(make_es(data=[entry(), entry(name="copy")]))
    assert len({planned.wanted.source for planned in plan.entries if planned.wanted}) == 1


def test_an_arn_brings_its_region(
    make_planner: Callable[..., Planner], make_es: Callable[..., ExternalSecret]
) -> None:
    (planned,) = make_planner(region="").plan(make_es(data=[entry(key=ARN)])).entries
    assert planned.wanted is not None
    assert planned.wanted.source.endpoint == "kms-vpc.cn-beijing.aliyuncs.com"
    assert planned.wanted.source.region == "cn-beijing"


@pytest.mark.parametrize(
    ("spec", "reason", "said"),
    [
        ({"provider": "vault"}, Reason.UNKNOWN_PROVIDER, "'vault'"),
        ({"data": []}, Reason.NO_DATA, "spec.data"),
        ({"data": None}, Reason.NO_DATA, "spec.data"),
        ({"data": [entry(key="")]}, Reason.INVALID_SPEC, "empty"),
        ({"data": [entry(name="a b")]}, Reason.INVALID_KEY, "'a b'"),
        ({"rotationInterval": "soon"}, Reason.INVALID_SPEC, "'soon'"),
        ({"rotationInterval": "1s" * 100_000}, Reason.INVALID_SPEC, "spec.rotationInterval"),
        ({"rotationInterval": "-5m"}, Reason.INVALID_SPEC, "'-5m', which is too short"),
        ({"rotationInterval": "0"}, Reason.INVALID_SPEC, "the shortest is 1s"),
        ({"rotationInterval": "0s"}, Reason.INVALID_SPEC, "the shortest is 1s"),
        ({"rotationInterval": "999ms"}, Reason.INVALID_SPEC, "the shortest is 1s"),
        ({"target": {"template": {"data": {"a": "{{"}}}}, Reason.TEMPLATE_INVALID, "line 1 column"),
        ({"type": "bootstrap.kubernetes.io/token"}, Reason.INVALID_SPEC, "join the cluster"),
    ],
)
def test_mistakes_of_the_whole_object(
    make_planner: Callable[..., Planner],
    make_es: Callable[..., ExternalSecret],
    spec: dict[str, Any],
    reason: Reason,
    said: str,
) -> None:
    plan = make_planner().plan(make_es(**spec))
    assert plan.problem is not None
    assert plan.problem.reason is reason
    assert said in plan.problem.message
    assert plan.entries == ()


@pytest.mark.parametrize(
    ("written", "reason", "said"),
    [
        (
            {"secretStoreRef": {"name": "store", "kind": "Vault"}},
            Reason.INVALID_SPEC,
            "secretStoreRef.kind is 'Vault'",
        ),
        (
            {"secretStoreRef": {"name": "no", "kind": "ClusterSecretStore"}},
            Reason.STORE_NOT_FOUND,
            "ClusterSecretStore no",
        ),
        ({"secretStoreRef": {"name": ""}}, Reason.INVALID_SPEC, "secretStoreRef.name"),
        ({"secretStoreRef": {"name": "no"}}, Reason.STORE_NOT_FOUND, "SecretStore ns/no"),
        (
            {"secretStoreRef": {"name": "store", "namespace": "else"}},
            Reason.REFERENCE_REFUSED,
            "--enable-cross-namespace-secret-store",
        ),
        ({"key": "acs:kms:x"}, Reason.INVALID_SPEC, "ARN"),
        ({"key": ARN.replace("cn-beijing", "evil.org/")}, Reason.INVALID_SPEC, "region"),
    ],
)
def test_mistakes_of_an_entry(
    make_planner: Callable[..., Planner],
    make_es: Callable[..., ExternalSecret],
    written: dict[str, Any],
    reason: Reason,
    said: str,
) -> None:
    (planned,) = make_planner().plan(make_es(data=[entry(**written)])).entries
    assert planned.wanted is None
    assert planned.problem is not None
    assert planned.problem.reason is reason
    assert said in planned.problem.message


def test_store_of_an_unwatched_namespace_is_out_of_sight(
    make_planner: Callable[..., Planner], make_es: Callable[..., ExternalSecret]
) -> None:
    ref = {"name": "store", "namespace": "else"}
    planner = make_planner(cross=True)
    (planned,) = planner.plan(make_es(data=[entry(secretStoreRef=ref)])).entries
    assert planned.problem is not None
    assert planned.problem.reason is Reason.STORE_NOT_FOUND
    assert "does not watch" in planned.problem.message


def test_without_a_region_there_is_no_guess(
    make_planner: Callable[..., Planner], make_es: Callable[..., ExternalSecret]
) -> None:
    (planned,) = make_planner(region="").plan(make_es()).entries
    assert planned.problem is not None
    assert planned.problem.reason is Reason.REGION_MISSING
    (planned,) = (
        make_planner(region="", endpoints=Endpoints(kms="kms.example.org")).plan(make_es()).entries
    )
    assert planned.wanted is not None


@pytest.mark.parametrize(
    ("auth", "secrets", "reason"),
    [
        ({"ramRoleARN": "acs:ram::1:role/a"}, ("ns/key",), Reason.STORE_INVALID),
        ({"accessKey": {"name": "key", "key": "id"}}, ("ns/key",), Reason.STORE_INVALID),
        ({"accessKeySecret": {"name": "key", "key": "id"}}, ("ns/key",), Reason.STORE_INVALID),
        (None, (), Reason.ACCESS_KEY_NOT_FOUND),
        (
            {
                "accessKey": {"name": "key", "key": ""},
                "accessKeySecret": {"name": "key", "key": "a"},
            },
            ("ns/key",),
            Reason.STORE_INVALID,
        ),
        (
            {
                "accessKey": {"name": "key", "key": "id", "namespace": "else"},
                "accessKeySecret": {"name": "key", "key": "secret"},
            },
            ("ns/key", "else/key"),
            Reason.REFERENCE_REFUSED,
        ),
    ],
)
def test_mistakes_of_a_store(
    make_planner: Callable[..., Planner],
    make_es: Callable[..., ExternalSecret],
    make_store: Callable[..., SecretStore],
    auth: dict[str, Any] | None,
    secrets: tuple[str, ...],
    reason: Reason,
) -> None:
    (planned,) = make_planner(make_store(auth), secrets=secrets).plan(make_es()).entries
    assert planned.problem is not None
    assert planned.problem.reason is reason
    assert "SecretStore ns/store" in planned.problem.message


def test_a_change_of_the_access_key_makes_another_identity(
    make_es: Callable[..., ExternalSecret],
    make_store: Callable[..., SecretStore],
    make_secret: Callable[..., SecretMeta],
) -> None:
    cluster = Cluster()
    identities = cluster.identities()
    keys = []
    for version in ("1", "2"):
        cluster.add(make_secret(name="key", resourceVersion=version))
        found = identities.resolve(make_store(), "kms")
        assert isinstance(found, Identity)
        keys.append(found.provider.key)
    assert keys[0] != keys[1]


def test_a_change_of_the_access_key_keeps_its_place_in_the_rate(
    make_es: Callable[..., ExternalSecret],
    make_store: Callable[..., SecretStore],
    make_secret: Callable[..., SecretMeta],
) -> None:
    cluster = Cluster()
    cluster.add(make_store())
    planner = cluster.planner()
    sources = []
    for version in ("1", "2"):
        cluster.add(make_secret(name="key", resourceVersion=version))
        (planned,) = planner.plan(make_es()).entries
        assert planned.wanted is not None
        sources.append(planned.wanted.source)
    assert sources[0] != sources[1]
    assert sources[0].identity.stable == sources[1].identity.stable


def test_an_edit_of_the_object_or_its_store_makes_another_revision(
    make_planner: Callable[..., Planner],
    make_es: Callable[..., ExternalSecret],
    make_store: Callable[..., SecretStore],
) -> None:
    plans = [
        make_planner().plan(make_es()),
        make_planner().plan(make_es(metadata={"generation": 2})),
        make_planner(make_store(generation=2)).plan(make_es()),
        make_planner(make_store(uid="another")).plan(make_es()),
    ]
    assert len({plan.revision for plan in plans}) == 4
    touched = make_es(metadata={"resourceVersion": "11"})
    assert make_planner().plan(touched).revision == plans[0].revision


@pytest.mark.parametrize(
    ("polling", "written", "interval"),
    [
        (120.0, None, 120.0),
        (120.0, "2m30s", 150.0),
        (120.0, "1s", 1.0),
        (None, "30s", None),
        (None, None, None),
    ],
)
def test_the_interval_is_the_objects_own_unless_polling_is_off(
    make_planner: Callable[..., Planner],
    make_es: Callable[..., ExternalSecret],
    polling: float | None,
    written: str | None,
    interval: float | None,
) -> None:
    plan = make_planner(interval=polling).plan(make_es(rotationInterval=written))
    assert plan.interval == interval


def test_indexes_name_what_an_object_refers_to(
    make_es: Callable[..., ExternalSecret], make_store: Callable[..., SecretStore]
) -> None:
    refs = [{"name": "a"}, {"name": "b", "namespace": "else"}, {"name": "a"}, None]
    es = make_es(data=[entry(secretStoreRef=ref) for ref in refs])
    assert sorted(stores_of(es)) == ["else/b", "ns/a"]
    assert cluster_scope_of(es) == ()
    shared = make_es(data=[entry(secretStoreRef={"name": "a", "kind": "ClusterSecretStore"})])
    assert (stores_of(shared), cluster_scope_of(shared)) == (("a",), ("ns",))
    assert secrets_of(make_store()) == ("ns/key",)
    assert secrets_of(make_store({})) == ()


SHARED = {"name": "shared", "kind": "ClusterSecretStore"}


def shared_store(*conditions: dict[str, Any]) -> SecretStore:
    place = {"name": "key", "namespace": "vault"}
    auth = {
        "accessKey": {**place, "key": "id"},
        "accessKeySecret": {**place, "key": "secret"},
    }
    metadata = {"name": "shared", "uid": "u", "resourceVersion": "1", "generation": 1}
    spec = {"KMS": {"KMSAuth": auth}, "conditions": list(conditions)}
    return SecretStore.from_dict({"metadata": metadata, "spec": spec})


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ([], None),
        ([{"namespaces": ["ns"]}], None),
        ([{"namespaces": ["else"]}, {"namespaceRegexes": ["n."]}], None),
        ([{"namespaces": ["else"]}], Reason.STORE_REFUSED),
        ([{"namespaceRegexes": ["("]}], Reason.STORE_REFUSED),
    ],
)
def test_a_cluster_store_is_for_the_namespaces_that_it_admits(
    make_es: Callable[..., ExternalSecret],
    make_secret: Callable[..., SecretMeta],
    conditions: list[dict[str, Any]],
    reason: Reason | None,
) -> None:
    cluster = Cluster()
    cluster.add(shared_store(*conditions), make_secret(namespace="vault", name="key"))
    es = make_es(data=[entry(secretStoreRef=SHARED)])
    (planned,) = cluster.planner().plan(es).entries
    assert (planned.problem and planned.problem.reason) == reason
    assert (planned.wanted is None) == (reason is not None)


def test_stores_of_both_kinds_do_not_stand_in_for_each_other(
    make_es: Callable[..., ExternalSecret], make_store: Callable[..., SecretStore]
) -> None:
    namespaced, cluster_wide = Cluster(), Cluster()
    namespaced.add(make_store(name="shared"))
    cluster_wide.add(shared_store())
    for cluster, ref in ((namespaced, SHARED), (cluster_wide, {"name": "shared"})):
        (planned,) = cluster.planner().plan(make_es(data=[entry(secretStoreRef=ref)])).entries
        assert planned.problem is not None
        assert planned.problem.reason is Reason.STORE_NOT_FOUND


def test_an_edit_of_a_cluster_store_makes_another_revision(
    make_es: Callable[..., ExternalSecret],
) -> None:
    es = make_es(data=[entry(secretStoreRef=SHARED)])
    without, with_it = Cluster(), Cluster()
    with_it.add(shared_store())
    assert without.planner().plan(es).revision != with_it.planner().plan(es).revision


def test_reason_for_unknown_cluster_stores_is_given(make_es: Callable[..., ExternalSecret]) -> None:
    planner = Cluster().planner(no_cluster_stores="which RBAC hides")
    (planned,) = planner.plan(make_es(data=[entry(secretStoreRef=SHARED)])).entries
    assert planned.problem is not None
    assert planned.problem.message.endswith("ClusterSecretStore shared, which RBAC hides")


@pytest.mark.parametrize(
    ("namespaces", "allows", "granted"),
    [((), "", True), (("else",), "", False), (("else",), "ns", True), (("else", "ns"), "", True)],
)
def test_referenced_credentials_are_not_granted_by_a_flag(
    make_es: Callable[..., ExternalSecret],
    make_store: Callable[..., SecretStore],
    namespaces: tuple[str, ...],
    allows: str,
    *,
    granted: bool,
) -> None:
    """The flag lets every store be used; the controller's own rights are another matter."""
    cluster = Cluster()
    annotations = {"secret-sync.alibabacloud.com/allow-namespaces": allows} if allows else {}
    cluster.add(make_store({}, namespace="else", annotations=annotations))
    planner = cluster.planner(cross=True, namespaces=namespaces)
    ref = {"name": "store", "namespace": "else"}
    (planned,) = planner.plan(make_es(data=[entry(secretStoreRef=ref)])).entries
    assert (planned.wanted is not None) is granted
    if planned.problem is not None:
        assert planned.problem.reason is Reason.IDENTITY_REFUSED
        assert "namespace ns, by way of SecretStore else/store," in planned.problem.message


def test_a_plan_is_made_once_as_long_as_nothing_changes(
    make_store: Callable[..., SecretStore], make_es: Callable[..., ExternalSecret]
) -> None:
    cluster = Cluster()
    cluster.add(make_store({"ramRoleARN": "acs:ram::1:role/r", "oidcProviderARN": PROVIDER_ARN}))
    planner = cluster.planner()
    es = make_es(data=[entry(key=f"k{i}", name=f"n{i}") for i in range(20)])
    plan = planner.plan(es)
    assert plan.entries[0].problem is None
    assert planner.plan(es) is plan
    assert planner.plan(make_es(data=[entry(key=f"k{i}") for i in range(20)])) is not plan
    planner.plan(es)
    planner.region = "cn-beijing"
    moved = planner.plan(es)
    assert moved is not plan
    cluster.add(make_store({"ramRoleARN": "acs:ram::2:role/r", "oidcProviderARN": PROVIDER_ARN}))
    latest = planner.plan(es)
    assert latest is not moved
    planner.forget("ns/some")
    assert planner.plan(es) is not latest


def test_the_problem_of_a_store_names_each_entry_that_uses_it(
    make_es: Callable[..., ExternalSecret],
) -> None:
    es = make_es(data=[entry(key="one"), entry(key="two")])
    first, second = (planned.problem for planned in Cluster().planner().plan(es).entries)
    assert first is not None
    assert second is not None
    assert first.message.startswith("entry 'one' refers to")
    assert second.message.startswith("entry 'two' refers to")
