"""The conventions of HTTPS_PROXY, HTTP_PROXY and NO_PROXY."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.cloud.proxy import proxy_for

HOST = "kms-vpc.cn-hangzhou.aliyuncs.com"


def way(host: str, no_proxy: str = "", scheme: str = "https") -> str:
    return proxy_for(
        host,
        scheme,
        https_proxy="http://secure:3128",
        http_proxy="plain:8080",
        no_proxy=no_proxy,
    )


def test_scheme_of_the_target_chooses_the_proxy() -> None:
    assert way(HOST) == "http://secure:3128"
    assert way(HOST, scheme="http") == "http://plain:8080"


def test_hosts_are_reached_directly_without_a_proxy() -> None:
    assert proxy_for(HOST, "https", https_proxy=" ", http_proxy="x", no_proxy="") == ""


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        (HOST, "*"),
        (HOST, "other, aliyuncs.com"),
        (HOST, ".aliyuncs.com"),
        (HOST, "*.aliyuncs.com"),
        (HOST, HOST.upper()),
        (HOST, f"{HOST}:443"),
        (HOST, "aliyuncs.com."),
        (f"{HOST}:8443", "aliyuncs.com:8443"),
        ("aliyuncs.com", ".aliyuncs.com"),
        ("100.100.100.200", "100.100.100.200"),
        ("10.1.2.3:443", "10.0.0.0/8"),
        ("[fd00::1]:443", "fd00::/8"),
        ("[fd00::1]", "[fd00::1]"),
        ("localhost:6443", ""),
        ("127.0.0.1:6443", ""),
        ("[::1]:6443", ""),
    ],
)
def test_exception_is_reached_directly(host: str, no_proxy: str) -> None:
    assert way(host, no_proxy) == ""


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        (HOST, ""),
        (HOST, " , "),
        (HOST, "."),
        (HOST, "yuncs.com"),
        (HOST, "aliyuncs.com:8443"),
        (HOST, "10.0.0.0/8"),
        ("100.100.100.200", "100.100.100"),
        ("100.100.100.200", "300.0.0.0/8"),
        ("evilaliyuncs.com", "aliyuncs.com"),
    ],
)
def test_anything_else_goes_through_the_proxy(host: str, no_proxy: str) -> None:
    assert way(host, no_proxy) == "http://secure:3128"


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_environment_is_handled(host: str, no_proxy: str) -> None:
    assert way(host, no_proxy) in {"", "http://secure:3128"}
