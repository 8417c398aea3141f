"""Wall time, UTC and event days.

Wall time is the truth of a slot; UTC is derived from it. Rules follow PEP 495 and RFC 5545:

- a wall time inside a gap (clocks go forward) does not exist and is refused, with suggestions;
- a wall time that occurs twice (clocks go back) means the first, or the second with ``fold`` 1;
- intervals are half-open, in integer milliseconds of UTC since 1970.

Zones come from the ``tzdata`` package alone, never from the machine, so that all nodes of one
release derive the same UTC whatever their operating systems think.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from konkordat.schedule.model import Slot

MINUTE_MS: Final = 60_000
DAY_STARTS_AT: Final = "04:00"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class UnknownTimeZone(Struct, frozen=True):
    """The zone is not in the IANA database as this release ships it."""

    time_zone: str
    code: str = "unknown_time_zone"

    def __str__(self) -> str:
        return f"{self.time_zone} is not a time zone of the IANA database"


class BadLocalTime(Struct, frozen=True):
    """The text is not a wall time, or names a day that the calendar does not have."""

    local_time: str
    code: str = "bad_local_time"

    def __str__(self) -> str:
        return f"{self.local_time} is not a date and time like 2027-06-01T09:00"


class NoSuchLocalTime(Struct, frozen=True):
    """The clocks of the zone skip this wall time."""

    local_time: str
    time_zone: str
    # The wall times as far before and after the gap as this one is inside it; both exist.
    suggestions: tuple[str, str]
    code: str = "local_time_does_not_exist"

    def __str__(self) -> str:
        before, after = self.suggestions
        return (
            f"{self.local_time} does not exist in {self.time_zone}, the clocks go forward there;"
            f" {before} and {after} exist"
        )


TimeRefusal = UnknownTimeZone | BadLocalTime | NoSuchLocalTime


class Interval(Struct, frozen=True, order=True):
    """``[start_ms, until_ms)`` in UTC; the end does not belong to it."""

    start_ms: int
    until_ms: int

    def overlaps(self, other: Interval) -> bool:
        return self.start_ms < other.until_ms and other.start_ms < self.until_ms


def zone(name: str) -> ZoneInfo | UnknownTimeZone:
    """The zone of that exact IANA name."""
    return _load_zone(name) if name in _zone_names() else UnknownTimeZone(name)


_CACHED_CHARS_MAX: Final = 80


def to_utc_ms(local_time: str, time_zone: str, fold: int = 0) -> int | TimeRefusal:
    """Wall time (``2027-06-01T09:00``) in a zone as UTC milliseconds, or why it is none."""
    kept = len(local_time) + len(time_zone) <= _CACHED_CHARS_MAX
    return (_to_utc_ms if kept else _to_utc_ms.__wrapped__)(local_time, time_zone, fold)


# Sessions of a programme begin at few different times. What a hostile peer makes longer is not kept.
@lru_cache(maxsize=4_096)
def _to_utc_ms(local_time: str, time_zone: str, fold: int) -> int | TimeRefusal:
    found = zone(time_zone)
    if isinstance(found, UnknownTimeZone):
        return found
    naive = parse_local(local_time)
    if isinstance(naive, BadLocalTime):
        return naive
    utc = naive.replace(tzinfo=found, fold=fold).astimezone(UTC)
    if utc.astimezone(found).replace(tzinfo=None, fold=0) != naive:
        return NoSuchLocalTime(local_time, time_zone, _around_gap(naive, found))
    return (utc - _EPOCH) // timedelta(milliseconds=1)


def from_local(local: datetime) -> int:
    """A wall time with its zone as UTC milliseconds; one inside a gap as if the clocks had not gone forward yet."""
    return (local.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)


def to_local(utc_ms: int, time_zone: ZoneInfo) -> datetime:
    """The wall time of an instant, without tzinfo; ``fold`` tells the second of two equal ones."""
    aware = (_EPOCH + timedelta(milliseconds=utc_ms)).astimezone(time_zone)
    return aware.replace(tzinfo=None)


def slot_interval(slot: Slot) -> Interval | TimeRefusal:
    """When a slot is, in UTC: its start from wall time, its end by its length."""
    start_ms = to_utc_ms(slot.local_start, slot.time_zone, slot.fold)
    if not isinstance(start_ms, int):
        return start_ms
    return Interval(start_ms, start_ms + slot.duration_minutes * MINUTE_MS)


def day_of(utc_ms: int, time_zone: ZoneInfo, day_starts_at: str = DAY_STARTS_AT) -> date:
    """The event day of an instant: what happens before the day starts belongs to the evening."""
    local = to_local(utc_ms, time_zone)
    return logical_day(local, day_starts_at)


def logical_day(local: datetime, day_starts_at: str = DAY_STARTS_AT) -> date:
    """The event day of a wall time."""
    before = local.time() < time.fromisoformat(day_starts_at)
    return local.date() - timedelta(days=1) if before else local.date()


def utc_text(utc_ms: int) -> str:
    """An instant as RFC 3339 in UTC, e.g. ``2027-06-01T07:00:00Z``; milliseconds when there are."""
    moment = _EPOCH + timedelta(milliseconds=utc_ms)
    spec = "milliseconds" if utc_ms % 1_000 else "seconds"
    return moment.isoformat(timespec=spec).replace("+00:00", "Z")


def instant_ms(text: object) -> int | None:
    """An RFC 3339 instant with its offset as UTC milliseconds; None for what is none."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def parse_local(text: str) -> datetime | BadLocalTime:
    """A wall time to the minute, exactly as ``2027-06-01T09:00``."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return BadLocalTime(text)
    # fromisoformat takes many spellings and offsets; there must be one per time. The years left
    # out at both ends keep every shift by an offset inside what datetime can say.
    if local_text(parsed) != text or not 1970 <= parsed.year <= 8999:
        return BadLocalTime(text)
    return parsed


def local_text(local: datetime) -> str:
    """A wall time as text, to the minute."""
    return local.replace(tzinfo=None).isoformat(timespec="minutes")


def _around_gap(naive: datetime, time_zone: ZoneInfo) -> tuple[str, str]:
    """The wall times one gap's width earlier and later; by PEP 495 fold 1 and 0 give just these."""
    around = [
        naive.replace(tzinfo=time_zone, fold=fold).astimezone(UTC).astimezone(time_zone)
        for fold in (1, 0)
    ]
    return (local_text(around[0]), local_text(around[1]))


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    text = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(text.split())


@lru_cache(maxsize=1024)
def _load_zone(name: str) -> ZoneInfo:
    path = resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
