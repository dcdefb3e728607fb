"""Parsing of temporary credentials, and how long they are valid."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.cloud.temporary import TemporaryKeys, read_keys
from secret_sync.errors import ClockError

GOOD = {
    "AccessKeyId": "STS.id",
    "AccessKeySecret": "hush-key",
    "SecurityToken": "hush+token/==",
    "Expiration": "2026-10-21T08:28:00Z",
}


HOUR = 3600.0


def read(
    *,
    ends: float,
    date: float | str | None,
    session: float | None = HOUR,
    updated: float | None = None,
) -> float:
    """Read an answer whose times are this many seconds from now; return the seconds left."""

    def moment(offset: float) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=offset)

    document = {**GOOD, "Expiration": moment(ends).isoformat()}
    if updated is not None:
        document["LastUpdated"] = moment(updated).isoformat()
    if isinstance(date, float):
        date = format_datetime(moment(date), usegmt=True)
    headers = {} if date is None else {"Date": date}
    keys = read_keys(document, headers, what="role x", session=session)
    assert keys is not None
    return keys.expires_at - asyncio.get_running_loop().time()


def about(seconds: float) -> Any:
    return pytest.approx(seconds, abs=2.0)


async def test_fields_are_read_and_not_shown() -> None:
    keys = read_keys(GOOD, {"Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, what="role x", session=HOUR)
    assert isinstance(keys, TemporaryKeys)
    assert keys.expires_at - asyncio.get_running_loop().time() == pytest.approx(HOUR, abs=0.1)
    assert (keys.access_key_id, keys.access_key_secret) == ("STS.id", "hush-key")
    assert keys.security_token == "hush+token/=="
    assert "hush" not in f"{keys!r}{keys}"


@pytest.mark.parametrize(
    "expiration", ["2026-10-21T08:28:00", "2026-10-21T08:28:00+00:00", "2026-10-21T16:28:00+08:00"]
)
async def test_forms_of_an_expiration(expiration: str) -> None:
    date = {"Date": "Wed, 21 Oct 2026 07:28:00 -0000"}
    keys = read_keys({**GOOD, "Expiration": expiration}, date, what="role x", session=HOUR)
    assert keys is not None
    assert keys.expires_at - asyncio.get_running_loop().time() == pytest.approx(HOUR, abs=0.1)


NEVER_A_DATE = [None, "", "yesterday", "Wed, 21 Oct 2026 07:28:00 +99999999999999999999"]
#: Written by a proxy or by a cache, or by a service whose clock is wrong.
WRONG_DATES = [2 * HOUR, 0.5 * HOUR, -0.5 * HOUR, -2 * HOUR, "Thu, 01 Jan 1970 00:00:00 GMT"]


@pytest.mark.parametrize("date", [*NEVER_A_DATE, *WRONG_DATES, 0.0])
async def test_date_does_not_change_a_session_if_our_clock_is_right(
    date: float | str | None,
) -> None:
    assert read(ends=HOUR, date=date) == about(HOUR)


@pytest.mark.parametrize("skew", [2 * HOUR, 600.0, -600.0, -2 * HOUR, -50 * HOUR])
async def test_date_determines_a_session_if_our_clock_is_wrong(skew: float) -> None:
    assert read(ends=HOUR + skew, date=skew) == about(HOUR)


async def test_session_lasts_no_longer_than_was_asked_for() -> None:
    assert read(ends=30 * HOUR, date=None) == about(HOUR)
    assert read(ends=30 * HOUR, date=-2 * HOUR, session=900.0) == about(900.0)


@pytest.mark.parametrize(
    ("date", "left"),
    [
        (None, 5 * HOUR),
        (0.0, 5 * HOUR),
        # In doubt it is renewed too early.
        (2 * HOUR, 3 * HOUR),
        (-0.5 * HOUR, 5 * HOUR),
        (-2 * HOUR, 5 * HOUR),
        # These cannot be.
        (6 * HOUR, 5 * HOUR),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 5 * HOUR),
    ],
)
async def test_older_credentials_last_as_long_as_both_clocks_allow(
    date: float | str | None, left: float
) -> None:
    """As the metadata service does: from an hour ago to five hours from now."""
    assert read(ends=5 * HOUR, date=date, session=None, updated=-HOUR) == about(left)


async def test_older_session_lasts_at_most_its_duration_or_that_of_any_session() -> None:
    assert read(ends=30 * HOUR, date=None, session=None, updated=24 * HOUR) == about(6 * HOUR)
    assert read(ends=30 * HOUR, date=None, session=None) == about(12 * HOUR)
    assert read(ends=30 * HOUR, date=None, session=None, updated=99 * HOUR) == about(12 * HOUR)


@pytest.mark.parametrize(
    ("ends", "date", "words"),
    [
        (
            -HOUR,
            None,
            "ended about 60 minutes ago by the clock of this machine; check that clock",
        ),
        (
            -HOUR,
            HOUR,
            (
                "ended about 60 minutes ago by the clock of this machine, and about 120 minutes ago"
                " by the Date of the answer; check both clocks"
            ),
        ),
    ],
)
@pytest.mark.parametrize("session", [HOUR, None])
async def test_credentials_expired_by_every_clock_are_refused(
    ends: float, date: float | None, words: str, session: float | None
) -> None:
    with pytest.raises(ClockError) as caught:
        read(ends=ends, date=date, session=session)
    assert caught.value.message == f"role x: the credentials {words}"
    assert caught.value.code == "ClockSkew"


async def test_two_agreeing_clocks_put_the_fault_on_the_service() -> None:
    with pytest.raises(ClockError, match="both clocks agree: the service returned expired ones"):
        read(ends=-HOUR, date=0.0, session=None)


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize("value", [None, "", 7, "a b", "a\r\nb", "密", ["x"]])
async def test_malformed_credentials_are_none(name: str, value: Any) -> None:
    assert read_keys({**GOOD, name: value}, {}, what="role x") is None


@given(st.text(), st.text(), st.one_of(st.none(), st.text()))
async def test_any_text_is_handled(expiration: str, date: str, updated: str | None) -> None:
    document = {**GOOD, "Expiration": expiration, "LastUpdated": updated}
    # A date may be found by chance, and be long ago.
    with suppress(ClockError):
        read_keys(document, {"Date": date}, what="role x")


@given(st.datetimes(), st.datetimes())
async def test_any_time_is_handled(expiration: datetime, date: datetime) -> None:
    document = {**GOOD, "Expiration": expiration.isoformat()}
    with suppress(ClockError):
        read_keys(document, {"Date": date.strftime("%a, %d %b %Y %H:%M:%S GMT")}, what="role x")


@pytest.mark.parametrize("value", [None, [], "text", {}])
async def test_document_of_another_shape_is_invalid(value: Any) -> None:
    assert read_keys(value, {}, what="role x") is None
