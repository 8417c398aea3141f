"""Wall time and UTC: every instant has a wall time, and every wall time that exists has its instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from konkordat.schedule.times import (
    MINUTE_MS,
    NoSuchLocalTime,
    day_of,
    local_text,
    logical_day,
    to_local,
    to_utc_ms,
    zone,
)
from support.effort import share

NAMES = ("Europe/Zurich", "UTC", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu")
names = st.sampled_from(NAMES)
# 1980 to 2037, in whole minutes.
instants = st.integers(5_260_000, 35_500_000).map(lambda minute: minute * MINUTE_MS)
walls = st.datetimes(
    min_value=datetime(1980, 1, 1),  # noqa: DTZ001 - wall times have no zone
    max_value=datetime(2037, 1, 1),  # noqa: DTZ001
).map(lambda d: d.replace(second=0, microsecond=0))
# The nights in which clocks change, where mistakes hide.
change_nights = st.builds(
    lambda year, march, minute: (
        datetime(year, 3 if march else 10, 25) + timedelta(minutes=minute)  # noqa: DTZ001
    ),
    st.integers(1981, 2036),
    st.booleans(),
    st.integers(0, 8 * 24 * 60),
)


def found(name: str) -> ZoneInfo:
    time_zone = zone(name)
    assert isinstance(time_zone, ZoneInfo)
    return time_zone


@share(0.25)
@given(instants, names)
def test_an_instant_comes_back_from_its_wall_time(utc_ms: int, name: str) -> None:
    local = to_local(utc_ms, found(name))
    assert to_utc_ms(local_text(local), name, local.fold) == utc_ms


@share(0.25)
@given(walls | change_nights, names, st.sampled_from([0, 1]))
def test_a_wall_time_comes_back_from_its_instant_or_lies_in_a_gap(
    wall: datetime, name: str, fold: int
) -> None:
    result = to_utc_ms(local_text(wall), name, fold)
    if isinstance(result, int):
        assert to_local(result, found(name)).replace(fold=0) == wall
        return
    assert isinstance(result, NoSuchLocalTime)
    before, after = (datetime.fromisoformat(text) for text in result.suggestions)
    assert before < wall < after
    assert all(isinstance(to_utc_ms(text, name), int) for text in result.suggestions)


@share(0.25)
@given(walls | change_nights, names)
def test_the_first_of_two_equal_wall_times_is_not_after_the_second(
    wall: datetime, name: str
) -> None:
    first, second = (to_utc_ms(local_text(wall), name, fold) for fold in (0, 1))
    if isinstance(first, int):
        assert isinstance(second, int)
        assert first <= second


@share(0.25)
@given(instants, names, st.integers(0, 23))
def test_an_event_day_is_the_calendar_date_or_the_one_before(
    utc_ms: int, name: str, hour: int
) -> None:
    starts_at = f"{hour:02}:00"
    day = day_of(utc_ms, found(name), starts_at)
    local = to_local(utc_ms, found(name))
    assert day == (local - timedelta(hours=hour)).date() == logical_day(local, starts_at)


@share(0.25)
@given(instants)
def test_our_zones_agree_with_the_standard_librarys(utc_ms: int) -> None:
    expected = datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone(ZoneInfo("Europe/Zurich"))
    assert to_local(utc_ms, found("Europe/Zurich")) == expected.replace(tzinfo=None)
