"""Where a KMS call goes."""

from __future__ import annotations

import pytest

from secret_sync.cloud.endpoints import (
    KmsTarget,
    OosTarget,
    endpoint_class,
    is_dedicated,
    is_region,
    resolve_kms,
    resolve_oos,
    sts_hosts,
)
from secret_sync.errors import DefiniteError


@pytest.mark.parametrize(
    ("key", "region", "endpoint", "target"),
    [
        ("db", "cn-hangzhou", "", ("kms-vpc.cn-hangzhou.aliyuncs.com", "cn-hangzhou", "")),
        ("acs:x", "", "", None),
        (
            "acs:kms:cn-beijing:123:secret/db/pw",
            "cn-hangzhou",
            "",
            ("kms-vpc.cn-beijing.aliyuncs.com", "cn-beijing", "123"),
        ),
        ("db", "cn-hangzhou", "kms.example:8443", ("kms.example:8443", "cn-hangzhou", "")),
        ("db", "", "kms.example", ("kms.example", "", "")),
    ],
)
def test_arn_goes_before_the_given_region_and_the_operators_host_before_the_default(
    key: str, region: str, endpoint: str, target: tuple[str, str, str] | None
) -> None:
    if target is None:
        with pytest.raises(DefiniteError):
            resolve_kms(key, region=region, endpoint=endpoint)
    else:
        assert resolve_kms(key, region=region, endpoint=endpoint) == KmsTarget(*target)


def test_missing_region_is_an_error_with_advice() -> None:
    with pytest.raises(DefiniteError, match="--region") as caught:
        resolve_kms("db", region="", endpoint="")
    assert caught.value.code == "RegionMissing"


@pytest.mark.parametrize(
    "key",
    [
        "acs:kms:evil.example/x:123:secret/db",
        "acs:kms:evil.example?:123:secret/db",
        "acs:kms:cn-hangzhou@evil.example:123:secret/db",
        "acs:kms:CN-Hangzhou:123:secret/db",
        "acs:kms:cn-hangzhou\n:123:secret/db",
        "acs:kms:oss-cn-hangzhou:123:secret/db",
        "acs:kms::123:secret/db",
        "acs:kms:cn-hangzhou::secret/db",
        "acs:kms:cn-hangzhou:1 2:secret/db",
        "acs:kms:cn-hangzhou:123:secret/",
        "acs:kms:cn-hangzhou:123:key/db",
        "acs:oos:cn-hangzhou:123:secret/db",
    ],
)
def test_arn_cannot_choose_the_host(key: str) -> None:
    with pytest.raises(DefiniteError):
        resolve_kms(key, region="", endpoint="")


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://kms.example",
        "kms.example/",
        "kms.example:https",
        "a b",
        "u@kms.example",
        "a?b",
        "[",
    ],
)
def test_endpoint_is_a_host_and_perhaps_a_port(endpoint: str) -> None:
    with pytest.raises(DefiniteError, match="host:port"):
        resolve_kms("db", region="cn-hangzhou", endpoint=endpoint)
    assert resolve_kms("db", region="", endpoint="[::1]:8443").host == "[::1]:8443"


@pytest.mark.parametrize(
    ("region", "endpoint", "hosts"),
    [
        ("cn-hangzhou", "", ("sts-vpc.cn-hangzhou.aliyuncs.com", "sts.cn-hangzhou.aliyuncs.com")),
        ("", "", ("sts.aliyuncs.com",)),
        ("cn-hangzhou", "sts.example:8443", ("sts.example:8443",)),
        ("", "sts.example", ("sts.example",)),
    ],
)
def test_sts_hosts(region: str, endpoint: str, hosts: tuple[str, ...]) -> None:
    assert sts_hosts(region=region, endpoint=endpoint) == hosts


@pytest.mark.parametrize(
    ("region", "endpoint", "code"),
    [
        ("evil.example/", "", "InvalidRegion"),
        ("a b", "sts.example", "InvalidRegion"),
        ("", "https://sts.example", "InvalidEndpoint"),
        ("", "u@sts.example", "InvalidEndpoint"),
    ],
)
def test_sts_endpoint_must_be_a_host(region: str, endpoint: str, code: str) -> None:
    with pytest.raises(DefiniteError) as caught:
        sts_hosts(region=region, endpoint=endpoint)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "text",
    ["cn-hangzhou", "ap-southeast-1", "cn-shanghai-finance-1", "cn-heyuan-acdr-1", "rus-west-1"],
)
def test_regions(text: str) -> None:
    assert is_region(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cn",
        "cn.hangzhou",
        "CN-hangzhou",
        "cn--hangzhou",
        "cn-hangzhou-",
        "xn--80ak6aa92e",
        "cn-hangzhоu",  # noqa: RUF001 - a look-alike is the point
        "cn-" + "x" * 60,
        # kms.oss-cn-hangzhou.aliyuncs.com is a bucket, which may be anybody's.
        "oss-cn-hangzhou",
        "vpc100-oss-cn-hangzhou",
    ],
)
def test_invalid_regions(text: str) -> None:
    assert not is_region(text)


@pytest.mark.parametrize(
    ("endpoint", "host", "region"),
    [
        ("", "oos-vpc.cn-hangzhou.aliyuncs.com", "cn-hangzhou"),
        ("127.0.0.1:8443", "127.0.0.1:8443", "cn-hangzhou"),
    ],
)
def test_oos_endpoints(endpoint: str, host: str, region: str) -> None:
    assert resolve_oos("db", region="cn-hangzhou", endpoint=endpoint) == OosTarget(host, region)


@pytest.mark.parametrize(
    ("name", "region", "endpoint", "code"),
    [
        ("db", "", "", "RegionMissing"),
        ("db", "oss-cn-hangzhou", "", "InvalidRegion"),
        ("db", "cn-hangzhou", "u@oos.example", "InvalidEndpoint"),
        ("acs:kms:cn-beijing:1:secret/db", "cn-hangzhou", "", "InvalidARN"),
    ],
)
def test_no_parameter_is_asked_for_elsewhere(
    name: str, region: str, endpoint: str, code: str
) -> None:
    with pytest.raises(DefiniteError) as caught:
        resolve_oos(name, region=region, endpoint=endpoint)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("host", "dedicated"),
    [
        ("kst-hzz1.cryptoservice.kms.aliyuncs.com", True),
        ("kst-hzz1.cryptoservice.kms.aliyuncs.com:443", True),
        ("KST-hzz1.CryptoService.kms.aliyuncs.com", True),
        ("kms.cn-hangzhou.aliyuncs.com", False),
        ("cryptoservice.kms.aliyuncs.com", False),
        ("a.b.cryptoservice.kms.aliyuncs.com", False),
        ("kst-hzz1.cryptoservice.kms.aliyuncs.com.evil.com", False),
        ("kst-hzz1.cryptoservice.kms.aliyuncs.com.", False),
        ("evilcryptoservice.kms.aliyuncs.com", False),
        ("[::1]:8443", False),
    ],
)
def test_dedicated_gateway_is_recognised_by_its_whole_name(host: str, *, dedicated: bool) -> None:
    assert is_dedicated(host) is dedicated


# -- Classes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "shares"),
    [
        ("kms.cn-hangzhou.aliyuncs.com", "cn-hangzhou"),
        ("kms-vpc.cn-hangzhou.aliyuncs.com", "cn-hangzhou"),
        ("KMS.cn-hangzhou.aliyuncs.com:443", "cn-hangzhou"),
        ("kms.cn-beijing.aliyuncs.com", "cn-beijing"),
        ("kst-1.cryptoservice.kms.aliyuncs.com", "kst-1.cryptoservice.kms.aliyuncs.com"),
        ("kst-2.cryptoservice.kms.aliyuncs.com", "kst-2.cryptoservice.kms.aliyuncs.com"),
        ("oos-vpc.cn-hangzhou.aliyuncs.com", "oos-vpc.cn-hangzhou.aliyuncs.com"),
        ("Proxy.corp.example:8443", "proxy.corp.example:8443"),
        ("kms.cn-hangzhou.aliyuncs.com.evil.example", "kms.cn-hangzhou.aliyuncs.com.evil.example"),
    ],
)
def test_hosts_of_one_class_share_a_quota(endpoint: str, shares: str) -> None:
    assert endpoint_class(endpoint) == shares
