"""Which time zone a programme is in, and what wall time a moment of its file means there.

1. the zone that the file names;
2. else, if the file writes offsets: the zone asked for where it has just these offsets, or a zone
   of that fixed offset;
3. else the zone asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from konkordat.schedule.interchange.errors import BadTimeZone
from konkordat.schedule.interchange.programme import FindingCode
from konkordat.schedule.interchange.raw import Moment, Problem
from konkordat.schedule.times import (
    NoSuchLocalTime,
    UnknownTimeZone,
    local_text,
    to_utc_ms,
    zone,
)

_MINUTE: Final = timedelta(minutes=1)
_HOURS_WEST_MAX: Final = 12  # Etc/GMT+12
_HOURS_EAST_MAX: Final = 14  # Etc/GMT-14


class ZoneChoice(Struct, frozen=True):
    """The zone of the programme, and what was wrong with the one the file names."""

    name: str
    problems: tuple[Problem, ...] = ()


class Wall(Struct, frozen=True):
    """A wall time that exists in the programme's zone."""

    local_start: str
    fold: int


def choose_zone(named: str, moments: Sequence[Moment], fallback: str) -> ZoneChoice:
    """The zone by the rules above. Raises ``BadTimeZone`` if ``fallback`` does not exist."""
    asked_for = zone(fallback)
    if isinstance(asked_for, UnknownTimeZone):
        raise BadTimeZone(fallback)
    problems: tuple[Problem, ...] = ()
    if named:
        if isinstance(zone(named), ZoneInfo):
            return ZoneChoice(named)
        detail = f"the file's time zone {named[:100]} is not in the IANA database"
        problems = (Problem(FindingCode.UNKNOWN_TIME_ZONE, detail),)
    written = [moment for moment in moments if moment.offset_minutes is not None]
    if not written or all(_agrees(moment, asked_for) for moment in written):
        return ZoneChoice(fallback, problems)
    return ZoneChoice(_fixed_zone(moment.offset_minutes for moment in written), problems)


def placed_wall(moment: Moment, time_zone: str) -> Wall | Problem:
    """The wall time of a moment in the zone of the programme.

    A moment without offset, or with the offset of the place, is wall time there, and must exist.
    With any other offset it is an instant, which exists everywhere.
    """
    found = zone(time_zone)
    if isinstance(found, UnknownTimeZone):
        return Problem(FindingCode.UNKNOWN_TIME_ZONE, str(found))
    offset = moment.offset_minutes
    if offset is None or (not moment.is_instant and offset in _offsets(moment, found)):
        fold = _fold(moment, found)
        text = local_text(moment.wall)
        start_ms = to_utc_ms(text, time_zone, fold)
        if isinstance(start_ms, int):
            return Wall(text, fold)
        code = (
            FindingCode.LOCAL_TIME_DOES_NOT_EXIST
            if isinstance(start_ms, NoSuchLocalTime)
            else FindingCode.BAD_DATE
        )
        return Problem(code, str(start_ms))
    local = _instant(moment, offset).astimezone(found)
    return Wall(local_text(local), local.fold)


def _instant(moment: Moment, offset_minutes: int) -> datetime:
    return (moment.wall - offset_minutes * _MINUTE).replace(tzinfo=UTC)


def _offsets(moment: Moment, time_zone: ZoneInfo) -> tuple[int, int]:
    """The offsets of the zone at that wall time, in minutes; two where clocks change."""
    before, after = (
        moment.wall.replace(tzinfo=time_zone, fold=fold).utcoffset() or timedelta(0)
        for fold in (0, 1)
    )
    return before // _MINUTE, after // _MINUTE


def _fold(moment: Moment, time_zone: ZoneInfo) -> int:
    first, second = _offsets(moment, time_zone)
    return int(first != second and moment.offset_minutes == second)


def _agrees(moment: Moment, time_zone: ZoneInfo) -> bool:
    if moment.is_instant:
        return True
    return moment.offset_minutes in _offsets(moment, time_zone)


def _fixed_zone(offsets: Iterable[int | None]) -> str:
    """The zone of a fixed offset if all are the same whole hours, else UTC, where nothing shifts."""
    distinct = {offset for offset in offsets if offset is not None}
    if len(distinct) != 1:
        return "UTC"
    hours, rest = divmod(distinct.pop(), 60)
    if rest or not -_HOURS_WEST_MAX <= hours <= _HOURS_EAST_MAX or hours == 0:
        return "UTC"
    # POSIX counts west of Greenwich: Etc/GMT-1 is one hour ahead of UTC.
    return f"Etc/GMT{-hours:+d}"
