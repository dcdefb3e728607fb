"""How temporary credentials are read, and how long they are good for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.cloud.temporary import TemporaryKeys, read_keys

GOOD = {
    "AccessKeyId": "STS.id",
    "AccessKeySecret": "hush-key",
    "SecurityToken": "hush+token/==",
    "Expiration": "2026-10-21T08:28:00Z",
}


async def test_the_lifetime_is_measured_by_the_clock_that_set_it() -> None:
    keys = read_keys(GOOD, {"Date": "Wed, 21 Oct 2026 07:28:00 GMT"})
    assert isinstance(keys, TemporaryKeys)
    assert keys.expires_at - asyncio.get_running_loop().time() == pytest.approx(3600.0, abs=0.1)
    assert (keys.access_key_id, keys.access_key_secret) == ("STS.id", "hush-key")
    assert keys.security_token == "hush+token/=="
    assert "hush" not in f"{keys!r}{keys}"


@pytest.mark.parametrize(
    "expiration", ["2026-10-21T08:28:00", "2026-10-21T08:28:00+00:00", "2026-10-21T16:28:00+08:00"]
)
async def test_the_forms_of_an_expiration(expiration: str) -> None:
    keys = read_keys(
        {**GOOD, "Expiration": expiration}, {"Date": "Wed, 21 Oct 2026 07:28:00 -0000"}
    )
    assert keys is not None
    assert keys.expires_at - asyncio.get_running_loop().time() == pytest.approx(3600.0, abs=0.1)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Date": ""},
        {"Date": "yesterday"},
        {"Date": "Wed, 21 Oct 2026 07:28:00 +99999999999999999999"},
    ],
)
async def test_without_a_date_the_clock_of_this_machine_has_to_do(headers: dict[str, str]) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=30)
    keys = read_keys({**GOOD, "Expiration": soon.isoformat()}, headers)
    assert keys is not None
    assert keys.expires_at - asyncio.get_running_loop().time() == pytest.approx(1800.0, abs=1.0)


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize("value", [None, "", 7, "a b", "a\r\nb", "密", ["x"]])
async def test_what_cannot_be_one_is_none(name: str, value: Any) -> None:
    assert read_keys({**GOOD, name: value}, {}) is None


@given(st.text(), st.text())
async def test_no_text_breaks_it(expiration: str, date: str) -> None:
    read_keys({**GOOD, "Expiration": expiration}, {"Date": date})


@pytest.mark.parametrize("value", [None, [], "text", {}])
async def test_what_is_no_document_is_none(value: Any) -> None:
    assert read_keys(value, {}) is None
