"""Recurrence rules: a strict subset of RFC 5545 §3.3.10, expanded in wall time. Pure.

    FREQ=DAILY|WEEKLY|MONTHLY|YEARLY   required, once
    INTERVAL=n                         every n-th; 1 if left out
    COUNT=n or UNTIL=date[time[Z]]     exactly one: a series without end is no programme
    BYDAY=MO,TH or 1MO,-1FR            ordinals only with MONTHLY and YEARLY

Wall time is what repeats, so 09:00 stays 09:00 when the clocks change. What a rule says is computed by dateutil; what a
rule may say is decided here, since it takes much more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from dateutil.rrule import DAILY, MONTHLY, WEEKLY, YEARLY, rrule, weekday
from msgspec import Struct

from konkordat.schedule.times import local_text

# As many as a seat decides together, so that all or none of a series is granted: more than a year of weeks.
OCCURRENCES_MAX: Final = 64
# Beyond, it is a typing error; it also bounds the search of a rule that hardly ever matches.
SPAN_DAYS_MAX: Final = 10 * 366
INTERVAL_MAX: Final = 1_000
_FREQUENCIES: Final = {"DAILY": DAILY, "WEEKLY": WEEKLY, "MONTHLY": MONTHLY, "YEARLY": YEARLY}
_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAY: Final = re.compile(r"([+-]?[1-9][0-9]?)?(MO|TU|WE|TH|FR|SA|SU)")
_UNTIL: Final = re.compile(r"([0-9]{8})(?:T([0-9]{6})(Z?))?")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,5}")


class BadRecurrence(Struct, frozen=True):
    """The rule is none of the subset, or does not fit the first occurrence."""

    why: str
    code: str = "bad_recurrence"
    pointer: str = "/rule"

    def __str__(self) -> str:
        return self.why


class TooManyOccurrences(Struct, frozen=True):
    """The series is longer than can be decided as one."""

    code: str = "too_many_occurrences"
    pointer: str = "/rule"

    def __str__(self) -> str:
        return f"A series has at most {OCCURRENCES_MAX} occurrences; split it"


class Rule(Struct, frozen=True):
    """A rule, read and checked."""

    frequency: int
    interval: int = 1
    count: int = 0  # 0: `until` ends it
    until: datetime | None = None  # naive, wall time at the place; included
    days: tuple[tuple[int, int], ...] = ()  # (weekday, ordinal or 0)


def expand(
    rule: str, first: datetime, zone: ZoneInfo, exdates: Sequence[str]
) -> tuple[str, ...] | BadRecurrence | TooManyOccurrences:
    """The wall times of a series that begins at `first`, exception dates left out. COUNT counts those as well."""
    read = parse(rule, zone)
    if isinstance(read, BadRecurrence):
        return read
    if read.count > OCCURRENCES_MAX:
        return TooManyOccurrences()
    found = list(islice(_occurrences(read, first), OCCURRENCES_MAX + 1))
    if len(found) > OCCURRENCES_MAX:
        return TooManyOccurrences()
    if not found or found[0] != first:
        return BadRecurrence("The slot's own start is not one of the rule's times")
    if read.count and len(found) < read.count:
        return BadRecurrence(f"The series lasts longer than {SPAN_DAYS_MAX} days")
    times = [local_text(one) for one in found]
    strange = [one for one in exdates if one not in times]
    if strange:
        return BadRecurrence(
            f"{strange[0]} is excepted and is no time of the rule", pointer="/exdates"
        )
    return tuple(one for one in times if one not in exdates)


def _occurrences(rule: Rule, first: datetime) -> rrule:
    end = first + timedelta(days=SPAN_DAYS_MAX)
    days = [weekday(day, ordinal or None) for day, ordinal in rule.days]
    # A count and an end exclude each other in the library, as in the RFC; the count is taken off the list afterwards.
    until = min(rule.until, end) if rule.until is not None else end
    found = rrule(
        rule.frequency, dtstart=first, interval=rule.interval, until=until, byweekday=days or None
    )
    return islice(found, rule.count) if rule.count else found


def parse(text: str, zone: ZoneInfo) -> Rule | BadRecurrence:
    """A rule from its text; `zone` is that of the slot, for an UNTIL in UTC."""
    parts = [part.partition("=") for part in text.removeprefix("RRULE:").split(";")]
    names = [name for name, _, _ in parts]
    if len(set(names)) < len(names):
        return BadRecurrence("A part of the rule is named twice")
    values = {name: value for name, _, value in parts}
    unknown = values.keys() - {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY"}
    if unknown:
        return BadRecurrence(f"{min(unknown) or 'An empty part'} is not understood here")
    if values.get("FREQ") not in _FREQUENCIES:
        return BadRecurrence(f"FREQ is one of {', '.join(_FREQUENCIES)}")
    if ("COUNT" in values) == ("UNTIL" in values):
        return BadRecurrence("A rule has either a COUNT or an UNTIL")
    return _checked(values, zone)


def _checked(values: dict[str, str], zone: ZoneInfo) -> Rule | BadRecurrence:
    for name in ("INTERVAL", "COUNT"):
        if not _NUMBER.fullmatch(values.get(name, "1")):
            return BadRecurrence(f"{name} is a whole number from 1 on")
    interval = int(values.get("INTERVAL", "1"))
    if interval > INTERVAL_MAX:
        return BadRecurrence(f"INTERVAL is at most {INTERVAL_MAX}")
    until = _until(values["UNTIL"], zone) if "UNTIL" in values else None
    if "UNTIL" in values and until is None:
        return BadRecurrence("UNTIL is a date, like 20270630, or a time, like 20270630T180000")
    days = _days(values["BYDAY"]) if "BYDAY" in values else ()
    if days is None:
        return BadRecurrence("BYDAY is a list of days, like MO,TH or 1MO,-1FR")
    if any(n for _, n in days) and values["FREQ"] not in {"MONTHLY", "YEARLY"}:
        return BadRecurrence("A day has a number only with MONTHLY and YEARLY")
    frequency = _FREQUENCIES[values["FREQ"]]
    return Rule(frequency, interval, int(values.get("COUNT", "0")), until, days)


def _days(text: str) -> tuple[tuple[int, int], ...] | None:
    matches = [_DAY.fullmatch(part) for part in text.split(",")]
    found = [(_DAYS.index(m[2]), int(m[1] or 0)) for m in matches if m is not None]
    sound = len(found) == len(matches) <= len(_DAYS) and all(abs(n) <= 53 for _, n in found)
    return tuple(found) if sound else None


def _until(text: str, zone: ZoneInfo) -> datetime | None:
    """The last moment, in wall time: of a date its whole day."""
    match = _UNTIL.fullmatch(text)
    if match is None:
        return None
    day, clock, utc = match.groups()
    try:
        parsed = datetime.strptime(f"{day}{clock or '235959'}", "%Y%m%d%H%M%S")  # noqa: DTZ007 - wall time
    except ValueError:
        return None
    if utc and 1970 <= parsed.year <= 8999:
        return parsed.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
    return None if utc else parsed
