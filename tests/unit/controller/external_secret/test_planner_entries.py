"""``Planner``: where each entry is fetched, and every mistake in what is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.cloud.endpoints import EndpointRules
from secret_sync.controller.external_secret.planner import Endpoints, cluster_scope_of, stores_of
from secret_sync.parse import ExtractionSpec, Rule, Selection
from secret_sync.resources import Reason
from tests.unit.controller.extracting import an_es, extract, pick
from tests.unit.controller.planning import entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.controller.external_secret.planner import Planner
    from secret_sync.resources import ExternalSecret, SecretStore
    from secret_sync.sources import Source

    MakePlanner = Callable[..., Planner]
    MakeES = Callable[..., ExternalSecret]

ARN = "acs:kms:cn-beijing:123:secret/db"
ROLE = {"oidcProviderARN": "acs:ram::77:oidc-provider/p", "ramRoleARN": "acs:ram::77:role/r"}
DEDICATED = "kst-hzz1.cryptoservice.kms.aliyuncs.com"


def source_of(planner: Planner, es: ExternalSecret) -> Source:
    (planned,) = planner.plan(es).entries
    assert planned.problem is None
    assert planned.wanted is not None
    return planned.wanted.source


# -- Where --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "endpoints", "host", "region"),
    [
        pytest.param({}, {}, "kms-vpc.cn-hangzhou.aliyuncs.com", "cn-hangzhou", id="the region's"),
        pytest.param(
            {"key": ARN}, {}, "kms-vpc.cn-beijing.aliyuncs.com", "cn-beijing", id="the ARN's"
        ),
        pytest.param(
            {},
            {"kms": "kms.example.org:8443"},
            "kms.example.org:8443",
            "cn-hangzhou",
            id="the operator's before the region's",
        ),
        pytest.param(
            {"key": ARN},
            {"kms": "kms.example.org"},
            "kms.example.org",
            "cn-beijing",
            id="the operator's before the ARN's",
        ),
        pytest.param(
            {"kmsEndpoint": "kms.cn-shanghai.aliyuncs.com"},
            {"kms": "kms.example.org"},
            "kms.cn-shanghai.aliyuncs.com",
            "cn-shanghai",
            id="the entry's before the operator's",
        ),
        pytest.param(
            {"key": ARN, "kmsEndpoint": "kms-vpc.cn-shanghai.aliyuncs.com"},
            {},
            "kms-vpc.cn-shanghai.aliyuncs.com",
            "cn-shanghai",
            id="the entry's before the ARN's",
        ),
        pytest.param(
            {"kmsEndpoint": DEDICATED}, {}, DEDICATED, "cn-hangzhou", id="a dedicated gateway"
        ),
        pytest.param(
            {"kmsEndpoint": "kms.corp.example"},
            {"allowed": EndpointRules(["*.corp.example"])},
            "kms.corp.example",
            "cn-hangzhou",
            id="one that the operator allows",
        ),
    ],
)
def test_the_endpoint_and_the_region_whose_quota_counts(
    make_planner: MakePlanner,
    make_es: MakeES,
    written: dict[str, Any],
    endpoints: dict[str, Any],
    host: str,
    region: str,
) -> None:
    planner = make_planner(endpoints=Endpoints(**endpoints))
    source = source_of(planner, make_es(data=[entry(**written)]))
    assert (source.endpoint, source.region) == (host, region)


def test_secret_of_two_endpoints_is_two_sources(make_planner: MakePlanner, make_es: MakeES) -> None:
    data = [entry(), entry(kmsEndpoint=DEDICATED)]
    plan = make_planner().plan(make_es(data=data))
    assert len({planned.wanted.source for planned in plan.entries if planned.wanted}) == 2


@pytest.mark.parametrize(
    "host",
    [
        "kms.evil.example",
        "KMS.cn-hangzhou.aliyuncs.com",
        "https://kms.cn-hangzhou.aliyuncs.com",
        "kms.cn-hangzhou.aliyuncs.com:443",
        "kms.cn-hangzhou.aliyuncs.com.evil.example",
        "corp.example",
    ],
)
def test_a_request_with_a_token_in_it_is_not_sent_to_anyone(
    make_planner: MakePlanner, make_es: MakeES, host: str
) -> None:
    planner = make_planner(
        endpoints=Endpoints(kms="kms.evil.example", allowed=EndpointRules(["*.corp.example"]))
    )
    (planned,) = planner.plan(make_es(data=[entry(kmsEndpoint=host)])).entries
    assert planned.wanted is None
    assert planned.problem is not None
    assert planned.problem.reason is Reason.ENDPOINT_NOT_ALLOWED
    assert planned.problem.message.startswith("entry 'db': kmsEndpoint")
    assert "--allow-kms-endpoint" in planned.problem.message


def test_the_account_of_a_role_is_known_and_that_of_an_arn_is_not(
    make_planner: MakePlanner, make_es: MakeES, make_store: Callable[..., SecretStore]
) -> None:
    for auth, account in ((ROLE, "77"), (None, "")):
        source = source_of(make_planner(make_store(auth)), make_es(data=[entry(key=ARN)]))
        assert source.identity.account == account


# -- OOS ----------------------------------------------------------------------------------


@pytest.fixture
def make_oos_planner(
    make_planner: MakePlanner, make_store: Callable[..., SecretStore]
) -> MakePlanner:
    """With a store that authenticates at OOS."""

    def make(**more: Any) -> Planner:
        return make_planner(make_store(ROLE, service="OOS"), **more)

    return make


def test_a_parameter_of_oos_has_a_source(make_oos_planner: MakePlanner, make_es: MakeES) -> None:
    data = [entry(key="/db/password", versionId="3", versionStage="ACSPrevious")]
    source = source_of(make_oos_planner(), make_es(provider="oos", data=data))
    assert (source.provider, source.name) == ("oos", "/db/password")
    assert (source.endpoint, source.region) == ("oos-vpc.cn-hangzhou.aliyuncs.com", "cn-hangzhou")
    # Parameters have versions, but no stages.
    assert (source.version_id, source.version_stage) == ("3", "")


def test_the_operators_endpoints_are_each_for_its_service(
    make_oos_planner: MakePlanner, make_es: MakeES
) -> None:
    endpoints = Endpoints(kms="kms.example.org", oos="oos.example.org:8443")
    source = source_of(make_oos_planner(endpoints=endpoints), make_es(provider="oos"))
    assert source.endpoint == "oos.example.org:8443"


@pytest.mark.parametrize(
    ("written", "more", "reason", "said"),
    [
        ({"key": ARN}, {}, Reason.INVALID_SPEC, "is an ARN"),
        ({}, {"region": ""}, Reason.REGION_MISSING, "the region is not known"),
    ],
)
def test_mistakes_at_oos(
    make_oos_planner: MakePlanner,
    make_es: MakeES,
    written: dict[str, Any],
    more: dict[str, Any],
    reason: Reason,
    said: str,
) -> None:
    es = make_es(provider="oos", data=[entry(**written)])
    (planned,) = make_oos_planner(**more).plan(es).entries
    assert planned.problem is not None
    assert planned.problem.reason is reason
    assert planned.problem.message.startswith(f"entry {es.entries[0].key!r}: ")
    assert said in planned.problem.message


def test_store_for_the_other_service_is_missing(make_planner: MakePlanner, make_es: MakeES) -> None:
    (planned,) = make_planner().plan(make_es(provider="oos")).entries
    assert planned.problem is not None
    assert planned.problem.reason is Reason.STORE_INVALID
    assert "has no spec.OOS" in planned.problem.message


# -- What is made of it -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"data": [{"key": "db"}]}, ExtractionSpec(name="db")),
        ({"data": [{"key": "db", "name": "x"}]}, ExtractionSpec(name="x")),
        # With jmesPath only the aliases are written.
        (
            {"data": [{**pick(x="a.b"), "name": "no"}]},
            ExtractionSpec(selections=(Selection("a.b", "x"),)),
        ),
        (
            {"dataProcess": [extract("db", ("a", "b"))]},
            ExtractionSpec(extract=True, rules=(Rule("a", "b"),)),
        ),
        (
            {"dataProcess": [{"extract": pick(x="a"), "replaceRule": [{"source": "a"}]}]},
            ExtractionSpec(selections=(Selection("a", "x"),), extract=True, rules=(Rule("a", ""),)),
        ),
    ],
)
def test_extraction_specs(
    make_planner: MakePlanner, spec: dict[str, Any], expected: ExtractionSpec
) -> None:
    (planned,) = make_planner().plan(an_es(**spec)).entries
    assert planned.problem is None
    assert planned.spec == expected


@pytest.mark.parametrize(
    ("spec", "reason", "said"),
    [
        ({"data": [pick(x="a[")]}, Reason.INVALID_JMES_PATH, "'a['"),
        ({"data": [pick(x="")]}, Reason.INVALID_JMES_PATH, "the `path` of the objectAlias 'x'"),
        ({"data": [pick(**{"a b": "x"})]}, Reason.INVALID_KEY, "'a b'"),
        ({"data": [pick(**{"a b": "x", "/": "y"})]}, Reason.INVALID_KEY, "'a b', '/' cannot be"),
        (
            {
                "data": [
                    {"key": "db", "jmesPath": [*pick(x="a")["jmesPath"], *pick(x="b")["jmesPath"]]}
                ]
            },
            Reason.DUPLICATE_KEY,
            "'x'",
        ),
        ({"dataProcess": [extract("db", ("(", "x"))]}, Reason.INVALID_REGEX, "'('"),
        ({"dataProcess": [extract("db", ("a(?=b)", "x"))]}, Reason.INVALID_REGEX, "RE2"),
        ({"dataProcess": [extract("db", *[("a", "b")] * 65)]}, Reason.TOO_COSTLY, "64"),
    ],
)
def test_extraction_that_can_never_work_is_reported_for_its_entry_without_a_call(
    make_planner: MakePlanner, spec: dict[str, Any], reason: Reason, said: str
) -> None:
    (planned,) = make_planner().plan(an_es(**spec)).entries
    assert planned.wanted is None
    assert planned.problem is not None
    assert planned.problem.reason is reason
    assert planned.problem.message.startswith("entry 'db': ")
    assert said in planned.problem.message


def test_an_empty_alias_is_the_key_of_the_entry(make_planner: MakePlanner) -> None:
    spec = {"data": [pick("db", **{"": "x"}), pick("team/db", **{"": "x"})]}
    fine, illegal = make_planner().plan(an_es(**spec)).entries
    assert fine.spec.selections == (Selection("x", "db"),)
    assert illegal.problem is not None
    assert "'team/db' cannot be a key of a Secret" in illegal.problem.message
    assert 'choose another `objectAlias`, such as "team-db"' in illegal.problem.message


def test_invalid_expression_is_reported_for_its_entry_alone(make_planner: MakePlanner) -> None:
    spec = {"data": [pick("a", x="["), {"key": "b"}], "dataProcess": [extract("c", ("(", ""))]}
    entries = make_planner().plan(an_es(**spec)).entries
    assert [planned.problem and planned.problem.reason for planned in entries] == [
        Reason.INVALID_JMES_PATH,
        None,
        Reason.INVALID_REGEX,
    ]
    assert [planned.wanted is not None for planned in entries] == [False, True, False]


def test_aliases_that_a_rule_renames_need_not_be_keys_yet(make_planner: MakePlanner) -> None:
    item = {"extract": pick(**{"a b": "x"}), "replaceRule": [{"source": " ", "target": "-"}]}
    (planned,) = make_planner().plan(an_es(dataProcess=[item])).entries
    assert planned.problem is None


@pytest.mark.parametrize(
    ("spec", "fine"),
    [
        ({"data": [{"key": "acs:kms:cn-beijing:1:secret/db"}]}, False),
        ({"data": [pick("acs:kms:cn-beijing:1:secret/db", x="a")]}, True),
        ({"dataProcess": [extract("acs:kms:cn-beijing:1:secret/db")]}, True),
    ],
)
def test_only_what_is_written_as_it_is_takes_its_key_for_a_name(
    make_planner: MakePlanner, spec: dict[str, Any], *, fine: bool
) -> None:
    plan = make_planner().plan(an_es(**spec))
    assert (plan.problem is None) is fine
    if plan.problem is not None:
        assert plan.problem.reason is Reason.INVALID_KEY


def test_data_process_entries_refer_to_stores_too() -> None:
    ref = {"name": "a"}
    shared = {"name": "shared", "kind": "ClusterSecretStore"}
    spec = {
        "data": [{**pick(x="a"), "secretStoreRef": {"name": "b", "namespace": "else"}}],
        "dataProcess": [extract("c", secretStoreRef=ref), extract("d", secretStoreRef=shared)],
    }
    assert sorted(stores_of(an_es(**spec))) == ["else/b", "ns/a", "shared"]
    assert cluster_scope_of(an_es(**spec)) == ("ns",)
