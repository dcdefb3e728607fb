"""Which hosts an object may have the signed request sent to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.cloud.endpoints import EndpointRules, KmsTarget, resolve_kms
from secret_sync.errors import DefiniteError

ARN = "acs:kms:cn-beijing:123:secret/db"
INSTANCE = "kst-hzz62ee817bvyyr5x.cryptoservice.kms.aliyuncs.com"


def resolve(entry: str, *patterns: str, key: str = "db", endpoint: str = "") -> KmsTarget:
    return resolve_kms(
        key,
        region="cn-hangzhou",
        endpoint=endpoint,
        entry_endpoint=entry,
        allowed=EndpointRules(patterns),
    )


@pytest.mark.parametrize(
    ("entry", "region"),
    [
        ("kms.cn-shanghai.aliyuncs.com", "cn-shanghai"),
        ("kms-vpc.ap-southeast-1.aliyuncs.com", "ap-southeast-1"),
        (INSTANCE, "cn-hangzhou"),
    ],
)
def test_documented_hosts_need_no_flag(entry: str, region: str) -> None:
    assert resolve(entry) == KmsTarget(entry, region, "")


def test_entrys_endpoint_goes_before_the_operators() -> None:
    entry = "kms.cn-hangzhou.aliyuncs.com"
    assert resolve(entry, endpoint="kms.example:8443").host == entry
    assert resolve("", endpoint="kms.example:8443").host == "kms.example:8443"


@pytest.mark.parametrize(
    ("entry", "region"),
    [
        ("", "cn-beijing"),
        # The guide: the endpoint that is written overrides. So it is that region's quota.
        ("kms.cn-shanghai.aliyuncs.com", "cn-shanghai"),
        (INSTANCE, "cn-beijing"),
    ],
)
def test_quota_is_that_of_the_region_of_the_host(entry: str, region: str) -> None:
    target = resolve(entry, key=ARN)
    assert (target.region, target.account) == (region, "123")
    assert target.host == (entry or "kms-vpc.cn-beijing.aliyuncs.com")


def test_operators_host_may_name_the_region() -> None:
    endpoint = "kms.cn-shanghai.aliyuncs.com:443"
    assert resolve_kms("db", region="", endpoint=endpoint).region == "cn-shanghai"


@pytest.mark.parametrize(
    "entry",
    [
        "KMS.cn-hangzhou.aliyuncs.com",
        "kms.CN-HANGZHOU.aliyuncs.com",
        "kms.cn-hangzhou.aliyuncs.COM",
        "kms.cn-hangzhou.aliyuncs.com.",
        ".kms.cn-hangzhou.aliyuncs.com",
        "kms..cn-hangzhou.aliyuncs.com",
        "kms.cn-hangzhou..aliyuncs.com",
        "kms.cn-hangzhou.aliyuncs.com:443",
        "kms.cn-hangzhou.aliyuncs.com:",
        "kms.cn-hangzhou.aliyuncs.com:80@evil.com",
        "user@kms.cn-hangzhou.aliyuncs.com",
        "user:password@kms.cn-hangzhou.aliyuncs.com",
        "kms.cn-hangzhou.aliyuncs.com@evil.com",
        "https://kms.cn-hangzhou.aliyuncs.com",
        "//kms.cn-hangzhou.aliyuncs.com",
        "kms.cn-hangzhou.aliyuncs.com/",
        "kms.cn-hangzhou.aliyuncs.com/path",
        "kms.cn-hangzhou.aliyuncs.com\\evil.com",
        "kms.cn-hangzhou.aliyuncs.com?",
        "kms.cn-hangzhou.aliyuncs.com#",
        "kms.cn-hangzhou.aliyuncs.com#.evil.com",
        "kms.cn-hangzhou.aliyuncs.com%00",
        "kms.cn-hangzhou%2ealiyuncs.com",
        "kms%2ecn-hangzhou.aliyuncs.com",
        "kms.cn-hangzhou.aliyuncs.com\n",
        "\nkms.cn-hangzhou.aliyuncs.com",
        "kms.cn-hangzhou.aliyuncs.com\r\nHost: evil.com",
        "kms.cn-hangzhou.aliyuncs.com ",
        " kms.cn-hangzhou.aliyuncs.com",
        "kms.cn-hangzhou.aliyuncs.com\t",
        "kms.cn-hangzhou.aliyuncs.com\x00",
        "kms.cn-hangzhou.aliyuncs.com\u200b",
        "kms.cn-hangzhou.aliyuncs.com, evil.com",
        "kms.evil.com/.aliyuncs.com",
        "kms.evil.com?.aliyuncs.com",
        "kms.evil.com#.aliyuncs.com",
        "kms.evil.com\\.aliyuncs.com",
        "kms.cn-hangzhou.aliyuncs.com.evil.com",
        "kms.cn-hangzhou.evilaliyuncs.com",
        "evil-kms.cn-hangzhou.aliyuncs.com",
        "kms.evil.cn-hangzhou.aliyuncs.com",
        "kms.cn-hangzhou.aliyuncs.cn",
        "kmsvpc.cn-hangzhou.aliyuncs.com",
        "sts.cn-hangzhou.aliyuncs.com",
        "kms.aliyuncs.com",
        "kms.oss-cn-hangzhou.aliyuncs.com",
        "kms-vpc.oss-cn-hangzhou-internal.aliyuncs.com",
        "x.cryptoservice.kms.aliyuncs.com.evil.com",
        "x.y.cryptoservice.kms.aliyuncs.com",
        ".cryptoservice.kms.aliyuncs.com",
        "cryptoservice.kms.aliyuncs.com",
        "-x.cryptoservice.kms.aliyuncs.com",
        "x-.cryptoservice.kms.aliyuncs.com",
        "x_y.cryptoservice.kms.aliyuncs.com",
        "*.cryptoservice.kms.aliyuncs.com",
        "evilcryptoservice.kms.aliyuncs.com",
        "x.cryptoservice.kms.aliyuncs.com:443",
        f"{'x' * 64}.cryptoservice.kms.aliyuncs.com",
        f"{'x' * 100_000}.cryptoservice.kms.aliyuncs.com",
        f"kms.{'cn-' * 50_000}x.aliyuncs.com",
        "127.0.0.1",
        "127.0.0.1:8443",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "100.100.100.200",
        "localhost",
        "evil.com",
        ".",
        # Letters that only look like the ones they stand for.
        "\uff4b\uff4d\uff53.cn-hangzhou.aliyuncs.com",
        "kms\u3002cn-hangzhou\u3002aliyuncs\u3002com",
        "kms.cn-hangzhou.\u0430liyuncs.com",
        "km\u0455.cn-hangzhou.aliyuncs.com",
        "\u212ams.cn-hangzhou.aliyuncs.com",
        "kms.cn-hangzhou\u2010x.aliyuncs.com",
        "kms.cn-hangzhou-\u0661.aliyuncs.com",
        "kms.cn-hangzhou.xn--liyuncs-8fg.com",
        "kms.xn--cn-hangzhu-3wj.aliyuncs.com",
        "xn--x-7sb.cryptoservice.kms.aliyuncs.com",
    ],
)
def test_no_other_host_is_sent_anything(entry: str) -> None:
    with pytest.raises(DefiniteError, match="--allow-kms-endpoint") as caught:
        resolve(entry)
    assert caught.value.code == "EndpointNotAllowed"
    message = caught.value.message
    assert message.isprintable()
    assert message.isascii(), "a look-alike has to be seen to be one"
    assert len(message) < 1500


@given(st.text(alphabet="kms-vpc.ncaghzouliyuxertd:/@#?%\\ \n1ѕ。", max_size=60))  # noqa: RUF001
def test_allowed_endpoint_is_unambiguous(entry: str) -> None:
    try:
        host = resolve(entry).host
    except DefiniteError:
        return
    assert host.endswith(".aliyuncs.com")
    assert not set(host) - set("abcdefghijklmnopqrstuvwxyz0123456789-.")


@pytest.mark.parametrize(
    ("pattern", "entry"),
    [
        ("kms.example", "kms.example"),
        ("kms.example:8443", "kms.example:8443"),
        ("127.0.0.1:8443", "127.0.0.1:8443"),
        ("[::1]:8443", "[::1]:8443"),
        ("localhost:1", "localhost:1"),
        ("*.kms.example", "a.kms.example"),
        ("*.kms.example", "a.b-c.kms.example"),
        ("*.kms.example:65535", "a.kms.example:65535"),
        ("kms.cn-hangzhou.aliyuncs.com:8443", "kms.cn-hangzhou.aliyuncs.com:8443"),
    ],
)
def test_operator_allows_more(pattern: str, entry: str) -> None:
    assert resolve(entry, "other.example", pattern).host == entry


@pytest.mark.parametrize(
    ("pattern", "entry"),
    [
        ("kms.example", "KMS.example"),
        ("kms.example", "kms.example."),
        ("kms.example", "kms.example:443"),
        ("kms.example", "a.kms.example"),
        ("kms.example", "kmsxexample"),
        ("kms.example:8443", "kms.example"),
        ("kms.example:8443", "kms.example:84430"),
        ("*.kms.example", "kms.example"),
        ("*.kms.example", ".kms.example"),
        ("*.kms.example", "a..kms.example"),
        ("*.kms.example", "*.kms.example"),
        ("*.kms.example", "a.kms.example.evil.com"),
        ("*.kms.example", "evil.com/.kms.example"),
        ("*.kms.example", "evil.com#.kms.example"),
        ("*.kms.example", "evil.com\\.kms.example"),
        ("*.kms.example", "u@a.kms.example"),
        ("*.kms.example", "a.kms.example\n"),
        ("*.kms.example", "a.kms.example:443"),
        ("*.kms.example", "a.kmsxexample"),
        ("*.kms.example", "akms.example"),
        ("*.kms.example", "A.kms.example"),
        ("*.kms.example", "а.kms.example"),  # noqa: RUF001 - a look-alike is the point
        ("*.kms.example", f"{'a.' * 200}kms.example"),
        ("*.kms.example", f"{'a' * 64}.kms.example"),
        ("*.kms.example:8443", "a.kms.example"),
        ("*.kms.example:8443", "a.kms.example:8443:8443"),
    ],
)
def test_pattern_allows_what_it_says_and_nothing_else(pattern: str, entry: str) -> None:
    with pytest.raises(DefiniteError, match="--allow-kms-endpoint"):
        resolve(entry, pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "*",
        "*.",
        "*.com",
        "*.com:443",
        "**.kms.example",
        "a*.kms.example",
        "a.*.example",
        "*kms.example",
        "kms.*",
        "*.0.0.1",
        "KMS.example",
        "kms.example.",
        "kms..example",
        "https://kms.example",
        "kms.example/",
        "u@kms.example",
        "kms.example:0",
        "kms.example:08443",
        "kms.example:65536",
        "kms.example:",
        "kms.example:*",
        "kms.example\n",
        "kms example",
        "kms.example,other.example",
        "kmѕ.example",  # noqa: RUF001 - a look-alike is the point
        "-kms.example",
        f"{'a.' * 130}example",
        "::1",
    ],
)
def test_malformed_pattern_is_noticed_at_the_start(pattern: str) -> None:
    with pytest.raises(DefiniteError, match="--allow-kms-endpoint") as caught:
        EndpointRules(["kms.example", pattern])
    assert caught.value.code == "InvalidEndpointPattern"
