from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from konkordat.schedule.model import Slot
from konkordat.schedule.times import (
    BadLocalTime,
    Interval,
    NoSuchLocalTime,
    UnknownTimeZone,
    day_of,
    slot_interval,
    to_local,
    to_utc_ms,
    utc_text,
    zone,
)

HOUR_MS = 3_600_000
ZURICH = "Europe/Zurich"


def zurich() -> ZoneInfo:
    found = zone(ZURICH)
    assert isinstance(found, ZoneInfo)
    return found


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1000  # type: ignore[misc]


@pytest.mark.row("S0-45")
def test_nine_in_the_morning_is_another_instant_in_summer() -> None:
    assert to_utc_ms("2027-01-15T09:00", ZURICH) == ms(2027, 1, 15, 8)
    assert to_utc_ms("2027-06-15T09:00", ZURICH) == ms(2027, 6, 15, 7)


@pytest.mark.row("S0-45")
def test_a_time_that_the_clocks_skip_is_refused_with_two_that_exist() -> None:
    refusal = to_utc_ms("2027-03-28T02:30", ZURICH)
    assert isinstance(refusal, NoSuchLocalTime)
    assert refusal.code == "local_time_does_not_exist"
    assert refusal.suggestions == ("2027-03-28T01:30", "2027-03-28T03:30")
    assert all(isinstance(to_utc_ms(text, ZURICH), int) for text in refusal.suggestions)
    assert "does not exist in Europe/Zurich" in str(refusal)


def test_the_minutes_at_the_edges_of_the_gap_exist() -> None:
    last = to_utc_ms("2027-03-28T01:59", ZURICH)
    first = to_utc_ms("2027-03-28T03:00", ZURICH)
    assert isinstance(last, int)
    assert isinstance(first, int)
    assert first - last == 60_000


def test_a_whole_day_that_a_country_skipped_is_a_gap_too() -> None:
    refusal = to_utc_ms("2011-12-30T10:00", "Pacific/Apia")
    assert isinstance(refusal, NoSuchLocalTime)
    assert refusal.suggestions == ("2011-12-29T10:00", "2011-12-31T10:00")


@pytest.mark.row("S0-45")
def test_a_time_that_comes_twice_means_the_first_unless_told() -> None:
    first = to_utc_ms("2027-10-31T02:30", ZURICH)
    second = to_utc_ms("2027-10-31T02:30", ZURICH, fold=1)
    assert first == ms(2027, 10, 31, 0, 30)
    assert second == ms(2027, 10, 31, 1, 30)


@pytest.mark.parametrize(
    "name", ["Europe/Zuerich", "../../etc/passwd", "", "posixrules", "CH", "/"]
)
def test_a_zone_that_is_not_in_the_database_is_refused(name: str) -> None:
    refusal = to_utc_ms("2027-06-01T09:00", name)
    assert isinstance(refusal, UnknownTimeZone)
    assert refusal.code == "unknown_time_zone"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2027-02-29T09:00",
        "2027-06-31T09:00",
        "2027-06-01T24:00",
        "2027-6-1T09:00",
        "2027-06-01 09:00",
        "2027-06-01T09:00+02:00",
        "1969-12-31T23:00",
        "9999-12-31T23:59",
    ],
)
def test_what_is_no_wall_time_is_refused(text: str) -> None:
    refusal = to_utc_ms(text, ZURICH)
    assert isinstance(refusal, BadLocalTime)
    assert refusal.code == "bad_local_time"


def test_a_slot_over_the_change_of_clocks_keeps_its_length() -> None:
    slot = Slot(room="r", local_start="2027-03-28T01:30", time_zone=ZURICH, duration_minutes=60)
    interval = slot_interval(slot)
    assert isinstance(interval, Interval)
    assert interval.until_ms - interval.start_ms == HOUR_MS
    assert to_local(interval.until_ms, zurich()) == datetime(2027, 3, 28, 3, 30)  # noqa: DTZ001


def test_sessions_end_to_end_do_not_overlap() -> None:
    assert not Interval(0, 10).overlaps(Interval(10, 20))
    assert Interval(0, 10).overlaps(Interval(9, 20))
    assert Interval(0, 10).overlaps(Interval(0, 1))


@pytest.mark.parametrize(
    ("utc", "day"),
    [
        (ms(2027, 6, 1, 21, 59), date(2027, 6, 1)),  # 23:59
        (ms(2027, 6, 1, 22, 30), date(2027, 6, 1)),  # 00:30 belongs to the evening
        (ms(2027, 6, 2, 1, 59), date(2027, 6, 1)),  # 03:59
        (ms(2027, 6, 2, 2, 0), date(2027, 6, 2)),  # 04:00
    ],
)
def test_what_is_after_midnight_belongs_to_the_evening_before(utc: int, day: date) -> None:
    assert day_of(utc, zurich()) == day


def test_an_instant_reads_as_rfc_3339() -> None:
    assert utc_text(ms(2027, 6, 1, 7)) == "2027-06-01T07:00:00Z"
    assert utc_text(ms(2027, 6, 1, 7) + 5) == "2027-06-01T07:00:00.005Z"
