"""Reading iCalendar (RFC 5545), by the ``icalendar`` library.

Each event becomes a session: its location is the room, its first category the track. A series is
imported as its first occurrence, and a finding says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePath
from typing import Any, Final
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, vUnknown

from konkordat.schedule.interchange.assemble import assemble
from konkordat.schedule.interchange.errors import (
    BrokenDocument,
    NotASchedule,
    TooDeep,
    TooLarge,
    TooMany,
)
from konkordat.schedule.interchange.extras import Extras
from konkordat.schedule.interchange.frab_times import moment_of
from konkordat.schedule.interchange.programme import (
    DEPTH_MAX,
    ICALENDAR_BYTES_MAX,
    SESSIONS_MAX,
    TIME_ZONE_DEFAULT,
    FindingCode,
    Programme,
)
from konkordat.schedule.interchange.raw import (
    Moment,
    Problem,
    RawDocument,
    RawLink,
    RawPerson,
    RawSession,
)
from konkordat.schedule.times import zone

# Properties of ours for what calendars have no place for; other readers skip them (RFC 5545 3.8.8.2).
SPEAKER_PROPERTY: Final = "X-KONKORDAT-SPEAKER"
TYPE_PROPERTY: Final = "X-KONKORDAT-TYPE"

_ESCAPED: Final = re.compile(r"\\([\\;,nN])")
_MINUTE: Final = timedelta(minutes=1)
# What the library raises on input it does not expect, besides ValueError.
_PARSE_ERRORS: Final = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


def read_icalendar(
    data: bytes, name: str = "schedule.ics", time_zone: str = TIME_ZONE_DEFAULT
) -> Programme:
    """The programme of a calendar file. Raises a ``ProgrammeError``."""
    if len(data) > ICALENDAR_BYTES_MAX:
        raise TooLarge(name, len(data), ICALENDAR_BYTES_MAX)
    data = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not data[:15].upper() == b"BEGIN:VCALENDAR":
        raise NotASchedule(name, "it does not begin with BEGIN:VCALENDAR")
    _check_shape(data, name)
    try:
        document = _document(name, Calendar.from_ical(data, multiple=True))
    except _PARSE_ERRORS as error:
        line = int(getattr(error, "line_number", None) or 1)
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise BrokenDocument(name, line, reason) from error
    return assemble(document, time_zone)


def _check_shape(data: bytes, name: str) -> None:
    """Refuses what would be too much, and what does not nest, before the library takes it."""
    depth = events = 0
    line_number = 0
    for line_number, line in enumerate(data.splitlines(), start=1):
        word = line[:12].upper()
        if word.startswith(b"BEGIN:"):
            depth += 1
            events += word.startswith(b"BEGIN:VEVENT")
        elif word.startswith(b"END:"):
            depth -= 1
        if depth > DEPTH_MAX:
            raise TooDeep(name, DEPTH_MAX)
        if depth < 0:
            raise BrokenDocument(name, line_number, "an END without its BEGIN")
        if events > SESSIONS_MAX:
            raise TooMany(name, "sessions", SESSIONS_MAX)
    if depth:
        raise BrokenDocument(name, line_number, "a BEGIN without its END")


def _document(name: str, calendars: list[Calendar]) -> RawDocument:
    events = [event for calendar in calendars for event in calendar.walk("VEVENT")]
    first = calendars[0] if calendars else Calendar()
    named = _text(first, "X-WR-TIMEZONE")
    return RawDocument(
        name=name,
        source="ics",
        title=_text(first, "X-WR-CALNAME") or _text(first, "NAME") or PurePath(name).stem,
        time_zone=named or _commonest_zone(events),
        url=_text(first, "URL"),
        sessions=tuple(_session(event) for event in events if isinstance(event, Event)),
        extras=Extras(),
    )


def _session(event: Event) -> RawSession:
    problems: list[Problem] = []
    start = _when(event, "DTSTART")
    if event.get("RRULE") is not None or event.get("RDATE") is not None:
        detail = "it is a series, of which only the first occurrence was taken"
        problems.append(Problem(FindingCode.RECURRENCE_NOT_EXPANDED, detail))
    uid = _text(event, "UID")
    recurrence = _when(event, "RECURRENCE-ID")
    return RawSession(
        id=f"{uid}/{recurrence.isoformat()}" if recurrence else uid,
        uid=uid if not recurrence else "",
        title=_text(event, "SUMMARY"),
        language=_language(event),
        description=_text(event, "DESCRIPTION"),
        type=_text(event, TYPE_PROPERTY),
        track=_category(event),
        room=_text(event, "LOCATION"),
        url=_text(event, "URL"),
        when=_moment(start, problems),
        minutes=_minutes(event, start),
        persons=tuple(_person(value) for value in _all(event, SPEAKER_PROPERTY)),
        attachments=tuple(RawLink(str(value)) for value in _all(event, "ATTACH")),
        is_cancelled=_text(event, "STATUS").upper() == "CANCELLED",
        revision=_count(event, "SEQUENCE"),
        updated_at_ms=_instant_ms(event, "LAST-MODIFIED"),
        problems=tuple(problems),
    )


def _moment(start: date | None, problems: list[Problem]) -> Moment | Problem:
    if start is None:
        return Problem(FindingCode.NO_START, "there is no start that can be read")
    if not isinstance(start, datetime):
        return Problem(FindingCode.ALL_DAY, "it takes a whole day, without a time")
    if start.second or start.microsecond:
        problems.append(Problem(FindingCode.SECONDS_DROPPED, f"it starts at {start.isoformat()}"))
    return moment_of(start, is_instant=start.tzinfo is UTC or _zone_name(start) == "UTC")


def _minutes(event: Event, start: date | None) -> int | Problem:
    """From start to end in whole minutes, of elapsed time where both have a zone."""
    end = _when(event, "DTEND")
    length = _value(event, "DURATION")
    if isinstance(length, timedelta):
        return length // _MINUTE
    if not isinstance(start, datetime) or not isinstance(end, datetime):
        return Problem(FindingCode.BAD_DURATION, "there is neither an end nor a length to be read")
    if (start.tzinfo is None) != (end.tzinfo is None):
        return Problem(FindingCode.BAD_DURATION, "of start and end only one has a time zone")
    # Cut to the minute, as the start is, so that sessions end to end stay end to end.
    start, end = (moment.replace(second=0, microsecond=0) for moment in (start, end))
    if start.tzinfo is not None:
        # Two times of one zone are subtracted as wall times; elapsed time is what counts.
        start, end = start.astimezone(UTC), end.astimezone(UTC)
    return (end - start) // _MINUTE


def _commonest_zone(events: Iterable[Any]) -> str:
    """The time zone most events start in, by name; empty if none names one that is known."""
    names: Counter[str] = Counter()
    for event in events:
        start = _when(event, "DTSTART")
        name = _zone_name(start) if isinstance(start, datetime) else None
        if name and name != "UTC" and isinstance(zone(name), ZoneInfo):
            names[name] += 1
    return min(names, key=lambda name: (-names[name], name)) if names else ""


# ---- properties; the library gives lists where one is given twice, and broken values as such


def _all(component: Any, name: str) -> list[Any]:
    found = component.get(name)
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def _text(component: Any, name: str) -> str:
    found = _all(component, name)
    return _unescaped(found[0]).strip() if found else ""


def _unescaped(value: Any) -> str:
    """The text of a property. Of one whose type it does not know, the library keeps the escapes;
    by RFC 5545 (3.8.8.2) such a property is text.
    """
    if isinstance(value, vUnknown):
        return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)
    return str(value)


def _value(component: Any, name: str) -> Any:
    found = _all(component, name)
    return getattr(found[0], "dt", None) if found else None


def _when(component: Any, name: str) -> date | None:
    value = _value(component, name)
    return value if isinstance(value, date) else None


def _count(component: Any, name: str) -> int:
    try:
        value = int(_text(component, name) or 0)
    except ValueError:
        return 0
    return min(max(value, 0), 2**31 - 1)


def _instant_ms(component: Any, name: str) -> int | None:
    value = _value(component, name)
    if not isinstance(value, datetime) or value.tzinfo is None or value.year < 1970:
        return None
    return int(value.timestamp() * 1000)


def _category(event: Event) -> str:
    found = _all(event, "CATEGORIES")
    names = getattr(found[0], "cats", ()) if found else ()
    return str(names[0]) if names else ""


def _language(event: Event) -> str:
    summary = _all(event, "SUMMARY")
    return str(getattr(summary[0], "params", {}).get("LANGUAGE", "")) if summary else ""


def _person(value: Any) -> RawPerson:
    written = str(getattr(value, "params", {}).get("X-ID", ""))
    id = written.replace("%5C", "\\").replace("%25", "%")
    return RawPerson(_unescaped(value), id)


def _zone_name(moment: date) -> str | None:
    tzinfo = getattr(moment, "tzinfo", None)
    return getattr(tzinfo, "key", None)
