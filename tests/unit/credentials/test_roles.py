"""How a role, a session and a duration are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.credentials import (
    Role,
    account_of,
    check_session_name,
    is_provider_arn,
    is_role_arn,
    read_duration,
)

ROLE = "acs:ram::1234567890123456:role/reader"
PROVIDER = "acs:ram::1234567890123456:oidc-provider/ack-rrsa-c0ffee"


def test_role_without_more_is_an_ordinary_session() -> None:
    assert Role(ROLE) == Role(ROLE, "secret-sync", None)


@pytest.mark.parametrize("name", ["secret-sync", "ab", "a@b.c_d-9", "x" * 64])
def test_good_session_names(name: str) -> None:
    check_session_name(name)


@pytest.mark.parametrize("name", ["", "a", "x" * 65, "a b", "ab\n", "a/b", "sécret", "a:b"])
def test_bad_session_names(name: str) -> None:
    with pytest.raises(ValueError, match="2 to 64 characters"):
        check_session_name(name)


@pytest.mark.parametrize(("text", "seconds"), [("900", 900), ("3600", 3600), ("43200", 43200)])
def test_good_durations(text: str, seconds: int) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "899", "43201", "1h", "900s", "-900", "+900", " 900", "9e2", "900.0", "٩٠٠", "9" * 99],
)
def test_bad_durations(text: str) -> None:
    with pytest.raises(ValueError, match="from 900 to 43200"):
        read_duration(text)


@pytest.mark.parametrize(
    ("arn", "role", "provider", "account"),
    [
        (ROLE, True, False, "1234567890123456"),
        (PROVIDER, False, True, "1234567890123456"),
        ("acs:ram:cn-hangzhou:1:role/a/b", True, False, "1"),
        ("acs:kms:cn-hangzhou:42:secret/x", False, False, "42"),
        ("acs:ram::1:role/", False, False, "1"),
        ("acs:ram::me:role/x", False, False, ""),
        ("acs:ram:::role/x", False, False, ""),
        ("arn:aws:iam::1:role/x", False, False, ""),
        (f"{ROLE}\n", False, False, "1234567890123456"),
        (f"{ROLE} x", False, False, "1234567890123456"),
        ("", False, False, ""),
    ],
)
def test_arns(arn: str, role: bool, provider: bool, account: str) -> None:  # noqa: FBT001 - a table
    assert is_role_arn(arn) is role
    assert is_provider_arn(arn) is provider
    if not arn.endswith("\n"):
        assert account_of(arn) == account


@given(st.text())
def test_any_string_is_accepted_or_refused(text: str) -> None:
    is_role_arn(text)
    is_provider_arn(text)
    assert account_of(text).isascii()
    for check in (check_session_name, read_duration):
        try:
            check(text)
        except ValueError as error:
            assert "must" in str(error)  # noqa: PT017 - it need not raise
