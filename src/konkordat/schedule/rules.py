"""The rules of a programme that need more than one record: references, places, days, hours, free times. Pure functions.

    rule                  broken by                                            overridden by a reason
    unknown_reference     an id that names nothing alive here                  no
    in_the_past           a place left long ago (`rulebook.PAST_DAYS_MAX`)     yes
    outside_event         a start on a day that is none of the event's         no
    wrong_place           a room that belongs to another event, or to a        no
                          venue that the event does not list
    outside_hours         a room outside its bookable hours                    yes
    slot_taken            more sessions at a time than the place can host,     no
                          setup, teardown and turnaround counted
    several_seats         alternatives, a hold or a bundle at several venues   no
    in_use                deleting what a session still needs                  no

They are asked before a local write. What other nodes accepted is merged as it is; there the claims decide.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from konkordat.kernel.ids import Group
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.schedule.claims import decoded
from konkordat.schedule.model import BookableHours
from konkordat.schedule.registry import CollectionSpec, Reference, pointed
from konkordat.schedule.times import (
    DAY_STARTS_AT,
    Interval,
    day_of,
    from_local,
    to_local,
    zone,
)

_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Values = Mapping[Group, bytes]

FRAMES_REMEMBERED: Final = 1_024
FOUND_REMEMBERED: Final = 4_096  # values of groups with references in them,
REMEMBERED_BYTES_MAX: Final = 512  # as far as they are no longer than this: 2 MiB
_Step = tuple[str, str]  # how a pointer goes on within a group, the collection
_FRAME: Final = tuple(
    map(Group, ("time_zone", "start_date", "end_date", "day_starts_at", "venues"))
)


class Found(NamedTuple):
    """A reference that a record makes."""

    pointer: str
    collection: str
    id: str


class Buffers(NamedTuple):
    """What a place is kept free for around each session, minutes: setup before; teardown and turnaround after."""

    before_minutes: int = 0
    after_minutes: int = 0


class EventFrame(NamedTuple):
    """What of an event its sessions must keep to."""

    zone: ZoneInfo
    first: date
    last: date
    day_starts_at: str
    venues: tuple[str, ...]  # empty: any


def read(values: Values, name: str) -> Any:
    """A group's value; None where it is missing, cleared or unreadable."""
    raw = values.get(Group(name))
    return None if raw is None else decoded(raw)


def values_of(record: Record) -> dict[Group, bytes]:
    """A record's groups."""
    return {group: register.value for group, register in record.fields.items()}


def references(spec: CollectionSpec, values: Values, written: Container[str]) -> Iterator[Found]:
    """The references in the groups that are written."""
    for group, inside in _by_group(spec.references):
        if group in written and group in values:
            raw = values[group]
            seen = _found_in if len(raw) <= REMEMBERED_BYTES_MAX else _found_in.__wrapped__
            yield from seen(group, raw, inside)


@cache
def _by_group(references: tuple[Reference, ...]) -> tuple[tuple[Group, tuple[_Step, ...]], ...]:
    """References by the group in which they stand: how the pointer goes on there, and to which collection."""
    found: dict[Group, list[_Step]] = {}
    for reference in references:
        group, slash, rest = reference.pointer[1:].partition("/")
        found.setdefault(Group(group), []).append((slash + rest, reference.collection))
    return tuple((group, tuple(steps)) for group, steps in found.items())


@lru_cache(FOUND_REMEMBERED)
def _found_in(group: Group, raw: bytes, inside: tuple[_Step, ...]) -> tuple[Found, ...]:
    """Those in one group's value. The same is asked when a command is read and when it is checked, and events and
    speakers stand in many records."""
    value = decoded(raw)
    return tuple(
        Found(pointer, collection, id_)
        for rest, collection in inside
        for pointer, id_ in pointed(value, rest, f"/{group}")
    )


def located(refusal: Refusal, operation: int) -> Refusal:
    """The refusal with the operation it is about."""
    if "operation" in refusal.extra:
        return refusal
    extra = {**refusal.extra, "operation": operation}
    return msgspec.structs.replace(refusal, extra=extra)


# Events ---------------------------------------------------------------------------------------


def frame_of(event: Values) -> EventFrame | None:
    """The frame of an event; None where merges left too little to tell."""
    return _frame(*[event.get(group) for group in _FRAME])


@lru_cache(FRAMES_REMEMBERED)
def _frame(*said: bytes | None) -> EventFrame | None:
    """The same from its groups. There are few events, and every slot is held against one."""
    zone_name, start, end, starts_at, venues = (
        None if raw is None else decoded(raw) for raw in said
    )
    found = zone(str(zone_name))
    try:
        first, last = date.fromisoformat(str(start)), date.fromisoformat(str(end))
        day_starts_at = str(starts_at or DAY_STARTS_AT)
        time.fromisoformat(day_starts_at)
    except ValueError:
        return None
    if not isinstance(found, ZoneInfo):
        return None
    held_at = tuple(venues) if isinstance(venues, list) else ()
    return EventFrame(found, first, last, day_starts_at, held_at)


def within_event(interval: Interval, frame: EventFrame) -> bool:
    """True if a session begins on one of the event's days. It may run over into the following one, as evenings do."""
    starts = day_of(interval.start_ms, frame.zone, frame.day_starts_at)
    ends = day_of(interval.until_ms - 1, frame.zone, frame.day_starts_at)
    return frame.first <= starts <= frame.last and ends <= frame.last + timedelta(days=1)


def day_start_ms(day: date, frame: EventFrame) -> int:
    """When a day of the event begins, UTC milliseconds."""
    local = datetime.combine(day, time.fromisoformat(frame.day_starts_at), frame.zone)
    return from_local(local)


# Rooms ----------------------------------------------------------------------------------------


class Site(NamedTuple):
    """A room or booth, by its resource name, and the clocks there."""

    name: str
    zone: ZoneInfo


def buffers_of(place: Values) -> Buffers:
    """The buffers of a room or booth."""
    setup, teardown, turnaround = (
        _minutes(read(place, f"{name}_minutes")) for name in ("setup", "teardown", "turnaround")
    )
    return Buffers(setup, teardown + turnaround)


def within_hours(interval: Interval, room: Values, at: ZoneInfo) -> bool:
    """True if the room may be booked all that time; a room without hours always may."""
    return open_spans(interval, room, at) == [interval]


def open_spans(interval: Interval, room: Values, at: ZoneInfo) -> list[Interval]:
    """The parts of a time at which the room may be booked, in order: all of it for a room without hours.

    Hours that meet are one: a room open until midnight and from midnight on is open at midnight.
    """
    hours = _hours_of(room)
    if not hours:
        return [interval]
    start, until = to_local(interval.start_ms, at), to_local(interval.until_ms, at)
    found: list[Interval] = []
    for opens, closes in sorted(_openings(hours, start.date(), until.date())):
        opens_ms = max(from_local(opens.replace(tzinfo=at)), interval.start_ms)
        closes_ms = min(_closing_ms(closes, at), interval.until_ms)
        if opens_ms >= closes_ms:
            continue
        if found and opens_ms <= found[-1].until_ms:
            before = found.pop()
            opens_ms, closes_ms = before.start_ms, max(before.until_ms, closes_ms)
        found.append(Interval(opens_ms, closes_ms))
    return found


def _closing_ms(closes: datetime, at: ZoneInfo) -> int:
    """When a room closes: of two equal wall times at the later, and in a gap when it would be without it."""
    return max(from_local(closes.replace(tzinfo=at, fold=fold)) for fold in (0, 1))


def _hours_of(room: Values) -> tuple[BookableHours, ...]:
    try:
        return msgspec.convert(read(room, "bookable_hours") or (), tuple[BookableHours, ...])
    except msgspec.ValidationError:
        return ()  # a merge of something newer; who knows the rule will keep it


def _openings(
    hours: Sequence[BookableHours], first: date, last: date
) -> Iterator[tuple[datetime, datetime]]:
    """When a room opens and closes, wall time, from the day before `first` (whose evening may reach into it)."""
    day = first - timedelta(days=1)
    while day <= last:
        for entry in hours:
            if _WEEKDAYS[day.weekday()] in entry.weekdays:
                opens = datetime.combine(day, time.fromisoformat(entry.opens))
                closes = datetime.combine(day, time.fromisoformat(entry.closes))
                yield opens, closes if closes > opens else closes + timedelta(days=1)
        day += timedelta(days=1)


def _minutes(value: Any) -> int:
    sound = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return min(value, 24 * 60) if sound else 0
