"""Reading and writing the JSON twin of the frab schedule, as frab and pretalx export it.

Everything is checked on the way in: a key of the wrong type counts as missing, never as a crash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from konkordat.schedule.interchange.assemble import assemble
from konkordat.schedule.interchange.errors import (
    BrokenDocument,
    NotASchedule,
    TooDeep,
    TooLarge,
    TooMany,
)
from konkordat.schedule.interchange.extras import EXTRAS_NAME, Extras
from konkordat.schedule.interchange.frab_times import minutes
from konkordat.schedule.interchange.layout import LaidDay, LaidSession, lay_out
from konkordat.schedule.interchange.names import derived_guid
from konkordat.schedule.interchange.programme import (
    DEPTH_MAX,
    SESSIONS_MAX,
    SIZE_BYTES_MAX,
    TIME_ZONE_DEFAULT,
    FindingCode,
    Programme,
)
from konkordat.schedule.interchange.raw import (
    FrabWhen,
    Problem,
    RawDocument,
    RawLink,
    RawPerson,
    RawRoom,
    RawSession,
)
from konkordat.schedule.model import Recording

_BYTE_AT: Final = re.compile(r"\(byte (\d+)\)")


def read_frab_json(
    data: bytes, name: str = "schedule.json", time_zone: str = TIME_ZONE_DEFAULT
) -> Programme:
    """The programme of a frab JSON file. Raises a ``ProgrammeError``."""
    if len(data) > SIZE_BYTES_MAX:
        raise TooLarge(name, len(data), SIZE_BYTES_MAX)
    try:
        root = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except RecursionError as error:
        raise TooDeep(name, DEPTH_MAX) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenDocument(name, _line(data, str(error)), str(error)) from error
    schedule = _dict(root, "schedule")
    conference = _dict(schedule, "conference")
    if not isinstance(conference.get("days"), list):
        raise NotASchedule(name, "it is JSON without schedule, conference and days")
    return assemble(_document(name, schedule, conference), time_zone)


def write_frab_json(programme: Programme) -> bytes:
    """The programme as frab JSON, UTF-8."""
    layout = lay_out(programme, carries_details=True)
    event = programme.event
    conference = {
        "acronym": event.slug,
        "title": event.title,
        "start": event.start_date,
        "end": event.end_date,
        "daysCount": len(layout.days),
        "timeslot_duration": "00:05",
        "time_zone_name": event.time_zone,
        "rooms": [
            {
                "name": room.name,
                "guid": derived_guid(event.slug, f"room\0{room.name}"),
                "description": None,
                "capacity": room.capacity,
            }
            for room in programme.rooms
        ],
        "days": [_written_day(day) for day in layout.days],
    }
    document = {
        "$schema": "https://c3voc.de/schedule/schema.json",
        "generator": {"name": "konkordat"},
        "schedule": {
            "version": event.version,
            "conference": conference,
            EXTRAS_NAME: layout.extras,
        },
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


# ---- reading


def _document(name: str, schedule: dict[str, Any], conference: dict[str, Any]) -> RawDocument:
    days = [day for day in conference["days"] if isinstance(day, dict)]
    sessions: list[RawSession] = []
    for session in _sessions(days):
        if len(sessions) == SESSIONS_MAX:
            raise TooMany(name, "sessions", SESSIONS_MAX)
        sessions.append(session)
    extras, problems = _extras(schedule)
    listed = [_room(room) for room in _dicts(conference, "rooms")]
    named = [RawRoom(room) for day in days for room in _dict(day, "rooms")]
    return RawDocument(
        name=name,
        source="frab",
        acronym=_text(conference, "acronym"),
        title=_text(conference, "title"),
        subtitle=_text(conference, "subtitle"),
        venue=_text(conference, "venue"),
        city=_text(conference, "city"),
        start=_text(conference, "start"),
        end=_text(conference, "end"),
        day_change=_text(conference, "day_change"),
        time_zone=_text(conference, "time_zone_name"),
        url=_text(conference, "url") or _text(schedule, "url"),
        version=_text(schedule, "version"),
        days=tuple(_text(day, "date") for day in days),
        rooms=(*listed, *named),
        sessions=tuple(sessions),
        extras=extras,
        problems=problems,
    )


def _sessions(days: list[dict[str, Any]]) -> Iterator[RawSession]:
    for day in days:
        for room, entries in _dict(day, "rooms").items():
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict):
                    yield _session(entry, _text(day, "date"), room)


def _session(entry: dict[str, Any], day: str, room: str) -> RawSession:
    license_ = " ".join(_text(entry, "recording_license").split())[:200]
    optout = entry.get("do_not_record") is True
    return RawSession(
        id=_text(entry, "id") or _text(entry, "code"),
        guid=_text(entry, "guid"),
        slug=_text(entry, "slug"),
        title=_text(entry, "title"),
        subtitle=_text(entry, "subtitle"),
        abstract=_text(entry, "abstract"),
        description=_text(entry, "description"),
        type=_text(entry, "type"),
        track=_text(entry, "track"),
        language=_text(entry, "language"),
        room=room or _text(entry, "room"),
        url=_text(entry, "url"),
        when=FrabWhen(day, _text(entry, "date"), _text(entry, "start")),
        minutes=minutes(_text(entry, "duration")),
        persons=tuple(_person(person) for person in _dicts(entry, "persons")),
        links=tuple(_link(link) for link in _entries(entry, "links")),
        attachments=(
            *(_link(attachment) for attachment in _entries(entry, "attachments")),
            *([RawLink(_text(entry, "logo"), "", "logo")] if _text(entry, "logo") else []),
        ),
        recording=Recording(license=license_, optout=optout) if license_ or optout else None,
    )


def _person(person: dict[str, Any]) -> RawPerson:
    return RawPerson(
        name=_text(person, "public_name")
        or _text(person, "name")
        or _text(person, "full_public_name"),
        id=_text(person, "id") or _text(person, "code") or _text(person, "guid"),
        biography=_text(person, "biography") or _text(person, "description"),
    )


def _link(link: Any) -> RawLink:
    if isinstance(link, str):
        return RawLink(link, link)
    # "related" is what pretalx says of every link; it tells nothing.
    type_ = _text(link, "type")
    return RawLink(
        _text(link, "url") or _text(link, "href"),
        _text(link, "title"),
        type_ if type_ != "related" else "",
    )


def _room(room: dict[str, Any]) -> RawRoom:
    capacity = room.get("capacity")
    is_count = isinstance(capacity, int) and not isinstance(capacity, bool) and capacity >= 0
    return RawRoom(_text(room, "name"), capacity if is_count else None)


def _extras(schedule: dict[str, Any]) -> tuple[Extras, tuple[Problem, ...]]:
    try:
        return msgspec.convert(schedule.get(EXTRAS_NAME, {}), Extras), ()
    except ValueError as error:
        return Extras(), (Problem(FindingCode.BAD_EXTENSION, str(error)[:200]),)


def _dict(value: Any, key: str) -> dict[str, Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _entries(value: dict[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    return [e for e in found if isinstance(e, dict | str)] if isinstance(found, list) else []


def _dicts(value: dict[str, Any], key: str) -> list[dict[str, Any]]:
    return [entry for entry in _entries(value, key) if isinstance(entry, dict)]


def _text(value: dict[str, Any], key: str) -> str:
    """The text of a key; numbers as text; of translations the first; else nothing."""
    found = value.get(key)
    if isinstance(found, dict):
        found = next((text for text in found.values() if isinstance(text, str) and text), "")
    if isinstance(found, bool):
        return ""
    return str(found).strip() if isinstance(found, str | int) else ""


def _line(data: bytes, message: str) -> int:
    at = _BYTE_AT.search(message)
    return data[: int(at[1])].count(b"\n") + 1 if at else 1


# ---- writing


def _written_day(day: LaidDay) -> dict[str, Any]:
    return {
        "index": day.index,
        "date": day.date,
        "day_start": day.start,
        "day_end": day.end,
        "rooms": {
            room: [_written_session(session) for session in sessions]
            for room, sessions in day.rooms.items()
        },
    }


def _written_session(laid: LaidSession) -> dict[str, Any]:
    session = laid.session
    return {
        "id": laid.id,
        "guid": laid.guid,
        "date": laid.date,
        "start": laid.start,
        "duration": laid.duration,
        "room": laid.room,
        "slug": laid.slug,
        "url": laid.url,
        "title": session.title,
        "subtitle": session.subtitle,
        "track": session.track,
        "type": session.type_label or session.type,
        "language": session.language or "",
        "abstract": session.abstract,
        "description": session.description,
        "recording_license": session.recording.license if session.recording else "",
        "do_not_record": session.recording is not None and session.recording.optout,
        "persons": [
            {
                "id": person.id,
                "name": person.speaker.name,
                "public_name": person.speaker.name,
                "biography": person.speaker.biography,
            }
            for person in laid.persons
        ],
        "links": [{"title": link.title, "url": link.url} for link in session.links],
        "attachments": [
            {"title": a.title, "url": a.url, "type": a.type} for a in session.attachments
        ],
    }
