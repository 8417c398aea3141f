"""A programme laid out as frab has it: days, rooms, numbered sessions and persons.

frab wants a positive number and a UUID for every session, and a number for every person. What has
other ids gets derived ones, the same in every export, and the extras keep the ids as they are.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from konkordat.schedule.interchange.errors import BadTimeZone
from konkordat.schedule.interchange.extras import Extras, RoomExtras, SessionExtras
from konkordat.schedule.interchange.names import derived_guid, digest_of, slug_of
from konkordat.schedule.interchange.programme import (
    Placement,
    Programme,
    ProgrammeRoom,
    ProgrammeSession,
    ProgrammeSpeaker,
    ProgrammeVenue,
)
from konkordat.schedule.interchange.texts import session_type
from konkordat.schedule.times import (
    DAY_STARTS_AT,
    UnknownTimeZone,
    logical_day,
    parse_local,
    zone,
)

# Readers keep frab's numbers in 32 bits.
_NUMBER_MAX: Final = 2**31 - 1
# Empty days are shown for an event of ordinary length only; a longer one is shown where it has sessions.
_DAYS_SHOWN_MAX: Final = 366


class LaidPerson(Struct, frozen=True):
    id: int
    speaker: ProgrammeSpeaker


class LaidSession(Struct, frozen=True, kw_only=True):
    """A session as frab writes it."""

    session: ProgrammeSession
    id: int
    guid: str  # a UUID
    slug: str  # unique in the file
    date: str  # "2027-06-01T09:00:00+02:00"
    start: str  # "09:00"
    duration: str  # "00:45"
    room: str
    url: str  # empty unless http or https
    persons: tuple[LaidPerson, ...]


class LaidDay(Struct, frozen=True):
    index: int  # from 1
    date: str
    start: str  # when the day begins, with offset
    end: str  # when the next one does
    rooms: Mapping[str, tuple[LaidSession, ...]]  # by room name, in order of start


class Layout(Struct, frozen=True):
    days: tuple[LaidDay, ...]
    extras: Extras


def lay_out(programme: Programme, *, carries_details: bool) -> Layout:
    """The layout; ``carries_details`` if the format has capacities and biographies of its own.

    Raises ``BadTimeZone`` if the event's zone does not exist.
    """
    time_zone = zone(programme.event.time_zone)
    if isinstance(time_zone, UnknownTimeZone):
        raise BadTimeZone(programme.event.time_zone)
    rooms = {room.name for room in programme.rooms}
    placed: list[tuple[ProgrammeSession, Placement, datetime]] = []
    unplaced: list[ProgrammeSession] = []
    for session in programme.sessions:
        placement = session.placement
        start = parse_local(placement.local_start) if placement else None
        if placement is not None and isinstance(start, datetime) and placement.room in rooms:
            placed.append((session, placement, start))
        else:
            unplaced.append(session)
    placed.sort(key=lambda entry: entry[2])
    laid = _Numbering(programme, time_zone).laid(placed)
    extras = _extras(programme, laid, unplaced, carries_details)
    return Layout(_days(programme, time_zone, laid), extras)


class _Numbering:
    """Gives each session and person its number; what has a number keeps it."""

    def __init__(self, programme: Programme, time_zone: ZoneInfo) -> None:
        self.programme = programme
        self.time_zone = time_zone
        self.session_numbers = numbers(s.external_id for s in programme.sessions)
        self.person_numbers = numbers(s.external_id for s in programme.speakers)
        self.speakers = {speaker.external_id: speaker for speaker in programme.speakers}
        self.slugs: set[str] = set()
        self.guids: set[str] = set()

    def laid(
        self, placed: Iterable[tuple[ProgrammeSession, Placement, datetime]]
    ) -> list[tuple[date, LaidSession]]:
        starts_at = self.programme.event.day_starts_at
        return [
            (logical_day(start, starts_at), self._laid(session, placement, start))
            for session, placement, start in placed
        ]

    def _laid(
        self, session: ProgrammeSession, placement: Placement, start: datetime
    ) -> LaidSession:
        number = self.session_numbers[session.external_id]
        hours, rest = divmod(placement.duration_minutes, 60)
        return LaidSession(
            session=session,
            id=number,
            guid=self._guid(session),
            slug=self._slug(session, number),
            date=start.replace(tzinfo=self.time_zone, fold=placement.fold).isoformat(),
            start=start.strftime("%H:%M"),
            duration=f"{hours:02}:{rest:02}",
            room=placement.room,
            url=session.url if session.url and _is_http(session.url) else "",
            persons=tuple(
                LaidPerson(self.person_numbers[s], self.speakers[s])
                for s in session.speakers
                if s in self.speakers
            ),
        )

    def _guid(self, session: ProgrammeSession) -> str:
        guid = session.guid or ""
        if not _is_uuid(guid) or guid in self.guids:
            guid = derived_guid(self.programme.event.slug, session.external_id)
        self.guids.add(guid)
        return guid

    def _slug(self, session: ProgrammeSession, number: int) -> str:
        slug = session.slug or slug_of(
            f"{self.programme.event.slug}-{number}-{slug_of(session.title)}"[:150]
        )
        if slug in self.slugs:
            slug = f"{slug}-{number}"
        self.slugs.add(slug)
        return slug


def numbers(external_ids: Iterable[str]) -> dict[str, int]:
    """A positive number per id: its own if it is one, else derived from it, all distinct.

    What has a number comes first, so that nothing derived takes it away.
    """
    wanted = list(dict.fromkeys(external_ids))
    found = {text: int(text) for text in wanted if _is_number(text)}
    taken = set(found.values())
    for text in wanted:
        if text in found:
            continue
        number = int.from_bytes(digest_of(text)[:4], "big") % _NUMBER_MAX + 1
        while number in taken:
            number = number % _NUMBER_MAX + 1
        found[text] = number
        taken.add(number)
    return found


def _days(
    programme: Programme, time_zone: ZoneInfo, laid: Iterable[tuple[date, LaidSession]]
) -> tuple[LaidDay, ...]:
    by_day: dict[date, dict[str, list[LaidSession]]] = {}
    first = date.fromisoformat(programme.event.start_date)
    last = date.fromisoformat(programme.event.end_date)
    shown = (last - first).days if (last - first).days < _DAYS_SHOWN_MAX else 0
    for offset in range(shown + 1):
        by_day[first + timedelta(days=offset)] = {}
    for day, session in laid:
        by_day.setdefault(day, {}).setdefault(session.room, []).append(session)
    begins = time.fromisoformat(programme.event.day_starts_at)

    def begin(day: date) -> str:
        return datetime.combine(day, begins, tzinfo=time_zone).isoformat()

    return tuple(
        LaidDay(
            index,
            day.isoformat(),
            begin(day),
            begin(day + timedelta(days=1)),
            {room: tuple(sessions) for room, sessions in by_day[day].items()},
        )
        for index, day in enumerate(sorted(by_day), start=1)
    )


# ---- what the format has no place for


def _extras(
    programme: Programme,
    laid: Iterable[tuple[date, LaidSession]],
    unplaced: Iterable[ProgrammeSession],
    carries_details: bool,
) -> Extras:
    event = programme.event
    sessions = {str(entry.id): _session_extras(entry) for _, entry in laid}
    starts_at = event.day_starts_at
    return Extras(
        source=programme.source if programme.source != "frab" else None,
        venues=() if _is_plain_venue(programme) else programme.venues,
        rooms=_room_extras(programme, carries_details),
        sessions={id: extra for id, extra in sessions.items() if extra != SessionExtras()},
        speakers=_speaker_extras(programme, laid, carries_details),
        unplaced=tuple(unplaced),
        language=event.language,
        url=event.url,
        subtitle=event.subtitle,
        day_starts_at=starts_at if starts_at != DAY_STARTS_AT else None,
    )


def _is_plain_venue(programme: Programme) -> bool:
    """Whether a reader would come to the very same venue without being told."""
    return programme.venues == (ProgrammeVenue(programme.event.title),)


def _room_extras(programme: Programme, carries_details: bool) -> dict[str, RoomExtras]:
    several = len(programme.venues) > 1

    def extra(room: ProgrammeRoom) -> RoomExtras:
        return RoomExtras(
            venue=room.venue if several else None,
            capacity=None if carries_details else room.capacity,
        )

    extras = {room.name: extra(room) for room in programme.rooms}
    return {name: extra for name, extra in extras.items() if extra != RoomExtras()}


def _speaker_extras(
    programme: Programme, laid: Iterable[tuple[date, LaidSession]], carries_details: bool
) -> dict[str, ProgrammeSpeaker]:
    shown = {person.speaker.external_id for _, entry in laid for person in entry.persons}
    person_numbers = numbers(speaker.external_id for speaker in programme.speakers)
    numbered = [(str(person_numbers[s.external_id]), s) for s in programme.speakers]
    return {
        number: speaker
        for number, speaker in numbered
        if speaker.external_id not in shown
        or speaker.external_id != number
        or (speaker.biography and not carries_details)
    }


def _session_extras(laid: LaidSession) -> SessionExtras:
    session = laid.session
    length = session.placement.duration_minutes if session.placement else None
    read_type, read_label = session_type(session.type_label or session.type)
    return SessionExtras(
        external_id=session.external_id if session.external_id != str(laid.id) else None,
        guid=session.guid if session.guid != laid.guid else None,
        uid=session.uid,
        state=session.state,
        type=session.type if read_type != session.type else None,
        type_label=session.type_label if read_label != (session.type_label or "") else None,
        duration_minutes=session.duration_minutes if session.duration_minutes != length else None,
        seats=session.seats,
        url=session.url if session.url != (laid.url or None) else None,
        revision=session.revision,
        updated_at_ms=session.updated_at_ms,
        attachment_types=_attachment_types(session),
    )


def _attachment_types(session: ProgrammeSession) -> tuple[str, ...]:
    types = tuple(attachment.type for attachment in session.attachments)
    return types if any(types) else ()


def _is_number(text: str) -> bool:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return False
    return text == str(int(text)) and 1 <= int(text) <= _NUMBER_MAX


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _is_http(url: str) -> bool:
    return url.startswith(("http://", "https://"))
