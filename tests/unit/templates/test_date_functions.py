"""``now`` and what depends on it, and zones."""

from __future__ import annotations

import pytest

from secret_sync.templates.calendars import date_of, days_in, days_of
from secret_sync.templates.engine import parse
from secret_sync.templates.errors import TemplateError
from secret_sync.templates.rendering import Rendering
from tests.unit.templates.rendering import rendered

NOW = 1_700_000_000  # 2023-11-14 22:13:20


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("{{ now }}", b"2023-11-14 22:13:20 +0000 UTC"),
        ("{{ now.Unix }} {{ unixEpoch now }}", b"1700000000 1700000000"),
        ('{{ ago (toDate "2006-01-02" "2023-11-14") }}', b"22h13m20s"),
        ('{{ ago (dateModify "90s" now) }}', b"-1m30s"),
        ("{{ ago (int64 1699999990) }} {{ ago 1700000000 }}", b"10s 0s"),
        ('{{ ago (dateModify "-1500ms" now) }}', b"2s"),
        ('{{ durationRound (toDate "2006-01-02" "2023-01-01") }}', b"10mo"),
        ('{{ durationRound (dateModify "1h1s" now) }}', b"1h"),
        ('{{ (now.AddDate 0 3 0).Format "2006-01-02" }}', b"2024-02-14"),
        ('{{ now | date "2006-01-02" }} {{ htmlDate now }}', b"2023-11-14 2023-11-14"),
        ('{{ now.In "Asia/Shanghai" }}', b"2023-11-15 06:13:20 +0800 CST"),
        ('{{ dateInZone "15:04 MST" now "Asia/Shanghai" }}', b"06:13 CST"),
    ],
)
def test_now_is_the_time_of_the_rendering(template: str, wanted: bytes) -> None:
    rendering = Rendering("uid", NOW, {})
    assert parse(template).render({}, rendering) == wanted
    assert rendering.used_now


def test_dates_without_now_do_not_use_it() -> None:
    rendering = Rendering("uid", NOW, {})
    template = (
        '{{ htmlDate 0 }} {{ toDate "2006" "2020" }} {{ duration "5" }} {{ durationRound "5s" }}'
    )
    parse(template).render({}, rendering)
    assert not rendering.used_now


def test_dates_and_days_belong_together() -> None:
    previous = days_of(-801, 12, 31)
    for year in (*range(-800, -790), *range(1895, 1905), *range(1999, 2005), *range(9995, 10_001)):
        for month in range(1, 13):
            assert 28 <= days_in(year, month) <= 31
            for day in (1, 15, days_in(year, month)):
                assert date_of(days_of(year, month, day)) == (year, month, day)
    assert days_of(1970, 1, 1) == 0
    assert date_of(previous + 1) == (-800, 1, 1)


@pytest.mark.parametrize(
    "zone", ["Mars", "../../etc/passwd", "/etc/localtime", "asia/shanghai", "\x00", "é"]
)
def test_unknown_zone_is_an_error_without_its_name(zone: str) -> None:
    with pytest.raises(TemplateError) as caught:
        rendered('{{ dateInZone "2006" 0 .z }}', z=zone)
    assert "needs a time zone" in str(caught.value)
    assert "etc" not in str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        "{{ toDate .p `x` }}",
        '{{ toDate "2006-01-02" .p }}',
        "{{ dateModify .p now }}",
        "{{ durationRound .p }}",
        "{{ duration .p }}",
        '{{ date "2006" .p }}',
        "{{ ago .p }}",
        "{{ htmlDate .p }}",
    ],
)
def test_dates_show_nothing_of_what_they_cannot_read(template: str) -> None:
    with pytest.raises(TemplateError) as caught:
        rendered(template, p="planted 2006")
    assert "planted" not in str(caught.value)


def test_json_has_no_time_of_other_millennia() -> None:
    for year in ("-20000", "9000"):
        with pytest.raises(TemplateError):
            rendered(f"{{{{ toJson (now.AddDate {year} 0 0) }}}}")
