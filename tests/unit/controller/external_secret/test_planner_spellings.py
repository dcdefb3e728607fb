"""Spellings of one KMS secret that are one source, and those that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.controller.planning import entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.controller.external_secret.planner import Planner
    from secret_sync.resources import ExternalSecret, SecretStore
    from secret_sync.sources import Source

#: Of this role's account is the caller; the controller is in cn-hangzhou.
ROLE = {
    "oidcProviderARN": "acs:ram::123:oidc-provider/p",
    "ramRoleARN": "acs:ram::123:role/reader",
}
OWN = "acs:kms:cn-hangzhou:123:secret/db"
PUBLIC = "kms.cn-hangzhou.aliyuncs.com"


@pytest.fixture
def sources(
    make_planner: Callable[..., Planner],
    make_es: Callable[..., ExternalSecret],
    make_store: Callable[..., SecretStore],
) -> Callable[..., set[Source]]:
    def plan(*data: dict[str, Any], auth: dict[str, Any] | None = None) -> set[Source]:
        entries = [entry(name=f"k{n}", **each) for n, each in enumerate(data)]
        planned = make_planner(make_store(auth)).plan(make_es(data=entries)).entries
        assert all(p.problem is None for p in planned), planned
        return {p.wanted.source for p in planned if p.wanted}

    return plan


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"versionStage": "ACSCurrent"}, {}),
        ({"key": OWN}, {"key": "db"}),
        ({"key": OWN, "versionStage": "ACSCurrent"}, {"key": "db"}),
        ({"key": OWN, "versionId": "v1"}, {"key": "db", "versionId": "v1"}),
    ],
)
def test_equal_spellings_are_one_source(
    sources: Callable[..., set[Source]], one: dict[str, Any], other: dict[str, Any]
) -> None:
    (source,) = sources(one, other, auth=ROLE)
    assert source.name == "db"
    assert source.version_stage == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"key": "acs:kms:cn-hangzhou:999:secret/db"}, {"key": "db"}),
        ({"key": "acs:kms:cn-beijing:123:secret/db"}, {"key": "db"}),
        ({"versionStage": "ACSPrevious"}, {}),
        # Which of the two KMS heeds is its affair: what is written is sent.
        ({"versionStage": "ACSCurrent", "versionId": "v1"}, {"versionId": "v1"}),
        (
            {
                "key": "acs:kms:cn-beijing:123:secret/db",
                "kmsEndpoint": "kms.cn-hangzhou.aliyuncs.com",
            },
            {"key": "db", "kmsEndpoint": "kms.cn-hangzhou.aliyuncs.com"},
        ),
    ],
)
def test_other_accounts_regions_and_stages_are_other_sources(
    sources: Callable[..., set[Source]], one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert len(sources(one, other, auth=ROLE)) == 2


def test_name_and_arn_are_two_sources_where_the_account_is_not_known(
    sources: Callable[..., set[Source]],
) -> None:
    assert {source.name for source in sources({"key": OWN}, {"key": "db"})} == {OWN, "db"}
