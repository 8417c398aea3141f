"""Builds the shipped programme from what was written by hand. Deterministic.

    python -m konkordat.schedule.sample.build > src/konkordat/schedule/sample/programme.xml

Sessions with a fixed place keep it; the others are put into the next free room of a size that suits
them, on the day of the section they stand in. Speakers take turns and are never sent to two places;
the clashes of the programme are only those that the text fixes.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from importlib import resources
from typing import Final, cast

from msgspec import Struct, structs

from konkordat.schedule.fields import SessionType
from konkordat.schedule.interchange.frab_xml_writer import write_frab_xml
from konkordat.schedule.interchange.names import slug_of
from konkordat.schedule.interchange.programme import (
    Placement,
    Programme,
    ProgrammeEvent,
    ProgrammeRoom,
    ProgrammeSession,
    ProgrammeSpeaker,
    ProgrammeVenue,
)
from konkordat.schedule.model import Recording
from konkordat.schedule.times import local_text

# Minutes after midnight at which sessions begin: 10:15, 11:15, 13:30, 14:30, 15:45, 16:45.
_STARTS: Final = (615, 675, 810, 870, 945, 1005)
_LONG_STARTS: Final = (615, 810, 945)  # for sessions that take two of these places
_LONG_MINUTES: Final = 75
_BREAK_MINUTES: Final = 10

# Which of a venue's rooms suit a type, the best first: 0 main hall, 1 and 2 halls, 3 workshop, 4 small.
_ROOMS_FOR: Final[dict[str, tuple[int, ...]]] = {
    "keynote": (0,),
    "workshop": (3,),
    "panel": (0, 1),
    "podium": (0, 1),
    "lecture": (1, 0),
    "lightning": (4, 2),
    "meeting": (4, 2),
    "talk": (1, 2, 4, 0),
}
_SPEAKERS_FOR: Final = {"workshop": 2, "panel": 3, "podium": 3}

_TRACKS: Final[dict[str, dict[str, str]]] = {
    "networks": {"de": "Netze", "fr": "Réseaux", "it": "Reti", "en": "Networks"},
    "craft": {"de": "Handwerk", "fr": "Métier", "it": "Mestiere", "en": "Craft"},
    "public": {"de": "Öffentliches", "fr": "Chose publique", "it": "Cosa pubblica", "en": "Public"},
    "mobility": {"de": "Mobilität", "fr": "Mobilité", "it": "Mobilità", "en": "Mobility"},
    "energy": {"de": "Energie", "fr": "Énergie", "it": "Energia", "en": "Energy"},
    "health": {"de": "Gesundheit", "fr": "Santé", "it": "Salute", "en": "Health"},
    "culture": {"de": "Kultur", "fr": "Culture", "it": "Cultura", "en": "Culture"},
    "education": {"de": "Bildung", "fr": "Éducation", "it": "Formazione", "en": "Education"},
}


class _Draft(Struct):
    """A session as written; day, start and room are None until it has its place."""

    language: str
    type: str
    track: str
    minutes: int
    title: str
    abstract: str
    day: int  # from 1
    start: int | None  # minutes after midnight of the day
    room: str | None
    speakers: tuple[str, ...]


class _House(Struct):
    """A venue with its rooms, people and sessions, in the order written."""

    venue: ProgrammeVenue
    rooms: list[ProgrammeRoom]
    people: list[str]
    drafts: list[_Draft]


def build_sample(text: str) -> Programme:
    """The programme of the text."""
    event, houses = _parse(text)
    for house in houses:
        _place(house)
        _cast(house)
    people = list(dict.fromkeys(name for house in houses for name in house.people))
    numbers = {name: str(number) for number, name in enumerate(people, start=1)}
    drafts = [(house, draft) for house in houses for draft in house.drafts]
    drafts.sort(key=lambda entry: (entry[1].day, entry[1].start or 0))
    return Programme(
        source="frab",
        event=event,
        venues=tuple(house.venue for house in houses),
        rooms=tuple(room for house in houses for room in house.rooms),
        speakers=tuple(ProgrammeSpeaker(number, name) for name, number in numbers.items()),
        sessions=tuple(
            _session(draft, house, number, event, numbers)
            for number, (house, draft) in enumerate(drafts, start=1)
        ),
    )


# ---- reading the text


def _parse(text: str) -> tuple[ProgrammeEvent, list[_House]]:
    event: ProgrammeEvent | None = None
    houses: list[_House] = []
    place: tuple[int, int, str] | None = None
    speakers: tuple[str, ...] = ()
    day = 1
    for key, value in _lines(text):
        match key:
            case "event":
                event = _event(value)
            case "venue":
                name, city, region = _split(value, "|")
                houses.append(_House(ProgrammeVenue(name, city, region), [], [], []))
                day = 1
            case "rooms":
                houses[-1].rooms = [_room(part, houses[-1].venue) for part in _split(value, ";")]
            case "people":
                houses[-1].people = _split(value, ";")
            case "at":
                place = _fixed(value)
                day = place[0]
            case "by":
                speakers = tuple(_split(value, ","))
            case _:
                houses[-1].drafts.append(_draft(value, day, place, speakers))
                place, speakers = None, ()
    assert event is not None
    return event, houses


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """(key, value) of each line; the key is empty for a session."""
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        key, colon, value = line.partition(": ")
        known = key in ("event", "venue", "rooms", "people", "at", "by")
        yield (key, value) if colon and known else ("", line)


def _split(text: str, separator: str) -> list[str]:
    return [part.strip() for part in text.split(separator)]


def _event(value: str) -> ProgrammeEvent:
    slug, title, subtitle, first, last, time_zone = _split(value, "|")
    return ProgrammeEvent(
        slug=slug,
        title=title,
        subtitle=subtitle,
        start_date=first,
        end_date=last,
        time_zone=time_zone,
        language="de",
        version="1.0",
    )


def _room(part: str, venue: ProgrammeVenue) -> ProgrammeRoom:
    name, seats = _split(part, ":")
    return ProgrammeRoom(name, venue.name, int(seats))


def _fixed(value: str) -> tuple[int, int, str]:
    day, clock, room = value.split(" ", 2)
    hours, minutes = clock.split(":")
    return int(day), int(hours) * 60 + int(minutes), room


def _draft(
    line: str, day: int, place: tuple[int, int, str] | None, speakers: tuple[str, ...]
) -> _Draft:
    language, type_, track, minutes, title, abstract = _split(line, "|")
    start, room = (place[1], place[2]) if place else (None, None)
    return _Draft(language, type_, track, int(minutes), title, abstract, day, start, room, speakers)


# ---- places


def _place(house: _House) -> None:
    """Gives every session without a place the first one that is free and suits it."""
    for draft in house.drafts:
        if draft.room is None:
            draft.start, draft.room = _free_place(house, draft)


def _free_place(house: _House, draft: _Draft) -> tuple[int, str]:
    starts = _LONG_STARTS if draft.minutes > _LONG_MINUTES else _STARTS
    for start in starts:
        if _keynote_runs(house, draft, start):
            continue
        for index in _ROOMS_FOR[draft.type]:
            room = house.rooms[index].name
            taken = (d for d in house.drafts if d.room == room)
            if not _meets_any(draft.day, start, draft.minutes, taken):
                return start, room
    message = f"no place left for {draft.title} at {house.venue.name}"
    raise ValueError(message)


def _keynote_runs(house: _House, draft: _Draft, start: int) -> bool:
    keynotes = (d for d in house.drafts if d.type == "keynote")
    return _meets_any(draft.day, start, draft.minutes, keynotes)


def _meets_any(day: int, start: int, minutes: int, others: Iterable[_Draft]) -> bool:
    return any(
        other.day == day
        and other.start is not None
        and start < other.start + other.minutes + _BREAK_MINUTES
        and other.start < start + minutes + _BREAK_MINUTES
        for other in others
    )


# ---- people


def _cast(house: _House) -> None:
    """Lets the people of the house take turns; nobody is given two sessions at one time."""
    turns = deque(house.people)
    for number, draft in enumerate(house.drafts):
        if draft.speakers:
            continue
        wanted = _SPEAKERS_FOR.get(draft.type, 2 if number % 5 == 4 else 1)
        found: list[str] = []
        while len(found) < wanted:
            name = turns[0]
            turns.rotate(-1)
            if name not in found and not _is_busy(house, name, draft):
                found.append(name)
        draft.speakers = tuple(found)


def _is_busy(house: _House, name: str, draft: _Draft) -> bool:
    assert draft.start is not None
    own = (d for d in house.drafts if name in d.speakers)
    return _meets_any(draft.day, draft.start, draft.minutes, own)


# ---- sessions


def _session(
    draft: _Draft, house: _House, number: int, event: ProgrammeEvent, numbers: dict[str, str]
) -> ProgrammeSession:
    assert draft.start is not None
    assert draft.room is not None
    first = datetime.combine(date.fromisoformat(event.start_date), datetime.min.time())
    start = first + timedelta(days=draft.day - 1, minutes=draft.start)
    session = ProgrammeSession(
        external_id=str(number),
        title=draft.title,
        slug=slug_of(draft.title),
        abstract=draft.abstract,
        type=cast("SessionType", draft.type),
        track=_TRACKS[draft.track][draft.language],
        language=draft.language,
        speakers=tuple(numbers[name] for name in draft.speakers),
        duration_minutes=draft.minutes,
        placement=Placement(draft.room, local_text(start), draft.minutes),
    )
    match draft.type:
        case "workshop":
            seats = next(r.capacity for r in house.rooms if r.name == draft.room)
            return structs.replace(session, seats=seats)
        case "meeting":
            return structs.replace(session, recording=Recording(optout=True))
        case _:
            return structs.replace(session, recording=Recording(license="CC-BY-4.0"))


def sample_text() -> str:
    """What was written by hand."""
    return resources.files(__package__).joinpath("programme.txt").read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.stdout.buffer.write(write_frab_xml(build_sample(sample_text())))
