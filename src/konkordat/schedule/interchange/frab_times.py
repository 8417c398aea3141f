"""Dates, times and lengths as frab files write them.

``<date>`` wins when it is a moment. Otherwise the start is a time of day on the day's date, and one
before the change of day belongs to the following calendar date: 00:30 on the evening of the 27th
is the 28th.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Final

from konkordat.schedule.interchange.programme import FindingCode
from konkordat.schedule.interchange.raw import FrabWhen, Moment, Problem
from konkordat.schedule.times import DAY_STARTS_AT

_LENGTH: Final = re.compile(r"(-?)(\d{1,6}):([0-5]?\d)(?::([0-5]?\d))?")
_CLOCK: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::[0-5]\d(?:\.\d+)?)?")


def frab_moment(when: FrabWhen, day_change: time) -> Moment | Problem:
    """When a frab session starts."""
    if "T" in when.date or " " in when.date:
        return moment(when.date)
    day = calendar_date(when.date or when.day)
    if day is None:
        return Problem(FindingCode.BAD_DATE, f"{when.date or when.day or 'no date'} is not a date")
    if not when.start:
        return Problem(FindingCode.NO_START, "there is no start time")
    clock = clock_time(when.start)
    if clock is None:
        return Problem(FindingCode.BAD_START, f"{when.start} is not a time of day")
    wall = datetime.combine(day, clock)
    return Moment(wall + timedelta(days=1) if clock < day_change else wall)


def moment(text: str) -> Moment | Problem:
    """An ISO 8601 date and time, with or without offset."""
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        return Problem(FindingCode.BAD_DATE, f"{text} is not a date and time")
    return moment_of(parsed, is_instant=text.rstrip().upper().endswith("Z"))


def moment_of(parsed: datetime, *, is_instant: bool) -> Moment | Problem:
    """A moment from a parsed time; seconds are cut off, schedules count in minutes."""
    offset = parsed.utcoffset()
    # The years left out keep every shift by an offset inside what datetime can say.
    if not 1970 <= parsed.year <= 8999:
        return Problem(FindingCode.BAD_DATE, f"{parsed.isoformat()} is out of range")
    wall = parsed.replace(tzinfo=None, second=0, microsecond=0)
    if offset is None:
        return Moment(wall)
    return Moment(wall, int(offset.total_seconds() // 60), is_instant)


def minutes(text: str) -> int | Problem:
    """A length ``HH:MM`` or ``HH:MM:SS`` in whole minutes."""
    found = _LENGTH.fullmatch(text.strip())
    if found is None:
        return Problem(FindingCode.BAD_DURATION, f"{text or 'no duration'} is not a length HH:MM")
    sign, hours, mins, _ = found.groups()
    length = int(hours) * 60 + int(mins)
    return -length if sign else length


def calendar_date(text: str) -> date | None:
    """A calendar date; of a date with time, its date."""
    try:
        parsed = date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None
    return parsed if 1970 <= parsed.year <= 8999 else None


def clock_time(text: str) -> time | None:
    """A time of day, 24 hours."""
    found = _CLOCK.fullmatch(text.strip())
    return None if found is None else time(int(found[1]), int(found[2]))


def day_change(text: str) -> time:
    """When the event's day begins; the usual hour if the file says nothing that can be read."""
    return clock_time(text) or time.fromisoformat(DAY_STARTS_AT)
