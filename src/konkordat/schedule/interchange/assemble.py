"""From what a reader found to a programme: judged, cleaned, complete; nothing is dropped silently.

A session whose place or time is in doubt is kept without its slot, and a finding says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from msgspec import structs

from konkordat.schedule import fields as f
from konkordat.schedule.interchange.errors import EmptyProgramme, NoDates, TooMany
from konkordat.schedule.interchange.extras import SessionExtras
from konkordat.schedule.interchange.frab_times import calendar_date, day_change, frab_moment
from konkordat.schedule.interchange.names import derived_guid, slug_of
from konkordat.schedule.interchange.notes import Notes
from konkordat.schedule.interchange.programme import (
    FINDINGS_MAX,
    PERSONS_MAX,
    ROOMS_MAX,
    SESSIONS_MAX,
    Finding,
    FindingCode,
    Placement,
    Programme,
    ProgrammeEvent,
    ProgrammeRoom,
    ProgrammeSession,
    ProgrammeSpeaker,
    ProgrammeVenue,
)
from konkordat.schedule.interchange.raw import (
    FrabWhen,
    Moment,
    Problem,
    RawDocument,
    RawSession,
)
from konkordat.schedule.interchange.texts import is_url, one_line, paragraphs, session_type
from konkordat.schedule.interchange.zones import ZoneChoice, choose_zone, placed_wall
from konkordat.schedule.times import logical_day, parse_local

_NO_TITLE: Final = "(untitled)"
# Leaves room for the "#2" of a second session with the same id.
_ID_CHARS_MAX: Final = f.EXTERNAL_ID_CHARS_MAX - 20


def assemble(raw: RawDocument, time_zone: str) -> Programme:
    """The programme of a raw document; ``time_zone`` is used where the file tells none.

    Raises ``EmptyProgramme``, ``NoDates``, ``TooMany`` or ``BadTimeZone``.
    """
    if not raw.sessions and not raw.extras.unplaced:
        raise EmptyProgramme(raw.name)
    if len(raw.sessions) > SESSIONS_MAX:
        raise TooMany(raw.name, "sessions", SESSIONS_MAX)
    return _Assembly(raw, time_zone).programme()


class _Assembly:
    """One document on its way to a programme. Used once."""

    def __init__(self, raw: RawDocument, time_zone: str) -> None:
        self.raw = raw
        self.day_starts_at = day_change(raw.day_change or raw.extras.day_starts_at or "")
        names = (raw.acronym, raw.title, raw.name, "programme")
        self.slug = next(filter(None, map(slug_of, names)))
        self.findings: list[Finding] = []
        self.ids: set[str] = set()
        self.rooms: dict[str, int | None] = {}
        self.speakers: dict[str, ProgrammeSpeaker] = {}
        self.moments = [self._moment(session) for session in raw.sessions]
        seen = [moment for moment in self.moments if isinstance(moment, Moment)]
        self.zone: ZoneChoice = choose_zone(raw.time_zone, seen, time_zone)

    def programme(self) -> Programme:
        raw = self.raw
        for problem in (*raw.problems, *self.zone.problems):
            self._find(problem, "", "")
        for room in raw.rooms:
            self._room(room.name, room.capacity)
        sessions = [
            self._session(session, moment)
            for session, moment in zip(raw.sessions, self.moments, strict=True)
        ]
        sessions += [self._unplaced(session) for session in raw.extras.unplaced]
        for speaker in raw.extras.speakers.values():
            self.speakers.setdefault(speaker.external_id, speaker)
        self._check_counts()
        event = self._event(sessions)
        venues = self._venues(event)
        return Programme(
            source=raw.extras.source or raw.source,
            event=event,
            venues=venues,
            rooms=self._placed_rooms(venues),
            speakers=tuple(self.speakers.values()),
            sessions=tuple(sessions),
            findings=tuple(self.findings),
        )

    # ---- sessions

    def _moment(self, session: RawSession) -> Moment | Problem:
        if isinstance(session.when, FrabWhen):
            return frab_moment(session.when, self.day_starts_at)
        return session.when

    def _session(self, raw: RawSession, moment: Moment | Problem) -> ProgrammeSession:
        extra = self.raw.extras.sessions.get(raw.id) or SessionExtras()
        title = one_line(raw.title) or _NO_TITLE
        wanted_id = extra.external_id or raw.id or raw.guid or raw.uid or raw.slug or title
        wanted_id = wanted_id[:_ID_CHARS_MAX]
        external_id = self._unique_id(wanted_id)
        notes = Notes(raw.problems)
        if title == _NO_TITLE:
            notes.add(FindingCode.NO_TITLE, "there is no title")
        length = self._length(raw, notes)
        placement = self._placement(raw, moment, length, notes)
        if external_id != wanted_id:
            notes.add(FindingCode.DUPLICATE_ID, f"the id {wanted_id} was used before")
            placement = None
        type_, label = session_type(raw.type)
        session = ProgrammeSession(
            external_id=external_id,
            title=notes.limited(title, f.TITLE_CHARS_MAX, "title"),
            guid=extra.guid or self._guid(raw, external_id),
            uid=extra.uid or raw.uid or None,
            slug=slug_of(raw.slug) or None,
            subtitle=notes.limited(one_line(raw.subtitle), f.TITLE_CHARS_MAX, "subtitle"),
            abstract=notes.limited(paragraphs(raw.abstract), f.ABSTRACT_CHARS_MAX, "abstract"),
            description=notes.limited(
                paragraphs(raw.description), f.DESCRIPTION_CHARS_MAX, "description"
            ),
            type=extra.type or type_,
            type_label=extra.type_label or notes.limited(label, f.LABEL_CHARS_MAX, "type") or None,
            track=notes.limited(one_line(raw.track), f.LABEL_CHARS_MAX, "track") or None,
            language=notes.language(raw.language),
            speakers=self._speakers(raw, notes),
            duration_minutes=extra.duration_minutes or length,
            state="cancelled" if raw.is_cancelled else extra.state,
            seats=extra.seats,
            url=notes.url(raw.url) or extra.url,
            links=notes.links(raw.links),
            attachments=notes.attachments(raw.attachments, extra.attachment_types),
            recording=raw.recording,
            placement=placement,
            revision=raw.revision or extra.revision,
            updated_at_ms=raw.updated_at_ms or extra.updated_at_ms,
        )
        where = f" (line {raw.line})" if raw.line else ""
        for problem in notes.problems:
            self._find(Problem(problem.code, problem.detail + where), external_id, title)
        return session

    def _guid(self, raw: RawSession, external_id: str) -> str | None:
        """The session's guid; none if it is the one that our own writer made up."""
        guid = raw.guid[: f.EXTERNAL_ID_CHARS_MAX]
        return guid if guid and guid != derived_guid(self.slug, external_id) else None

    def _unplaced(self, session: ProgrammeSession) -> ProgrammeSession:
        known = tuple(s for s in session.speakers if self._knows(s))
        external_id = self._unique_id(session.external_id)
        return structs.replace(session, external_id=external_id, speakers=known, placement=None)

    def _knows(self, speaker: str) -> bool:
        if speaker not in self.speakers:
            for extra in self.raw.extras.speakers.values():
                if extra.external_id == speaker:
                    self.speakers[speaker] = extra
        return speaker in self.speakers

    def _unique_id(self, wanted: str) -> str:
        external_id, number = wanted, 2
        while external_id in self.ids:
            external_id, number = f"{wanted}#{number}", number + 1
        self.ids.add(external_id)
        return external_id

    def _length(self, raw: RawSession, notes: Notes) -> int | None:
        if isinstance(raw.minutes, Problem):
            notes.problems.append(raw.minutes)
            return None
        if raw.minutes <= 0:
            detail = f"it would last {raw.minutes} minutes"
            notes.add(FindingCode.ENDS_BEFORE_START, detail)
            return None
        if raw.minutes > f.DURATION_MINUTES_MAX:
            detail = f"{raw.minutes} minutes are more than {f.DURATION_MINUTES_MAX}"
            notes.add(FindingCode.TOO_LONG, detail)
            return None
        return raw.minutes

    def _placement(
        self, raw: RawSession, moment: Moment | Problem, length: int | None, notes: Notes
    ) -> Placement | None:
        room = one_line(raw.room)[: f.TITLE_CHARS_MAX]
        if room:
            self._room(room, None)
        else:
            notes.add(FindingCode.NO_ROOM, "it names no room")
        if isinstance(moment, Problem):
            notes.problems.append(moment)
            return None
        wall = placed_wall(moment, self.zone.name)
        if isinstance(wall, Problem):
            notes.problems.append(wall)
            return None
        if length is None or not room:
            return None
        return Placement(room, wall.local_start, length, wall.fold)

    # ---- rooms, speakers, venues

    def _room(self, name: str, capacity: int | None) -> None:
        name = one_line(name)[: f.TITLE_CHARS_MAX]
        if name:
            self.rooms[name] = self.rooms.get(name) if capacity is None else capacity

    def _speakers(self, raw: RawSession, notes: Notes) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for person in raw.persons:
            name = notes.limited(one_line(person.name), f.LABEL_CHARS_MAX, "name of a person")
            extra = self.raw.extras.speakers.get(person.id) if person.id else None
            external_id = extra.external_id if extra else (person.id or name)
            if not external_id:
                continue
            external_id = external_id[: f.EXTERNAL_ID_CHARS_MAX]
            speaker = ProgrammeSpeaker(
                external_id,
                name or external_id,
                paragraphs(person.biography) or (extra.biography if extra else ""),
            )
            known = self.speakers.setdefault(external_id, speaker)
            if known.name != speaker.name:
                detail = f"person {external_id} is {known.name} elsewhere and {speaker.name} here"
                notes.add(FindingCode.SPEAKER_NAME_DIFFERS, detail)
            found[external_id] = None
        return tuple(found)

    def _venues(self, event: ProgrammeEvent) -> tuple[ProgrammeVenue, ...]:
        if self.raw.extras.venues:
            return self.raw.extras.venues
        name = one_line(self.raw.venue)[: f.TITLE_CHARS_MAX] or event.title
        return (ProgrammeVenue(name, one_line(self.raw.city)[: f.LABEL_CHARS_MAX] or None),)

    def _placed_rooms(self, venues: Sequence[ProgrammeVenue]) -> tuple[ProgrammeRoom, ...]:
        names = {venue.name for venue in venues}
        rooms = []
        for name, capacity in self.rooms.items():
            extra = self.raw.extras.rooms.get(name)
            venue = extra.venue if extra and extra.venue in names else None
            seats = capacity if capacity is not None else (extra.capacity if extra else None)
            rooms.append(ProgrammeRoom(name, venue or venues[0].name, seats))
        return tuple(rooms)

    # ---- the event

    def _event(self, sessions: Iterable[ProgrammeSession]) -> ProgrammeEvent:
        raw = self.raw
        title = one_line(raw.title) or one_line(raw.acronym) or raw.name
        start, end = self._span(sessions)
        return ProgrammeEvent(
            slug=self.slug,
            title=title[: f.TITLE_CHARS_MAX],
            subtitle=(one_line(raw.subtitle) or raw.extras.subtitle)[: f.TITLE_CHARS_MAX],
            start_date=start.isoformat(),
            end_date=end.isoformat(),
            time_zone=self.zone.name,
            day_starts_at=self.day_starts_at.isoformat("minutes"),
            language=raw.extras.language,
            url=next((u for u in (raw.url, raw.extras.url) if u and is_url(u)), None),
            version=one_line(raw.version)[: f.LABEL_CHARS_MAX],
        )

    def _span(self, sessions: Iterable[ProgrammeSession]) -> tuple[date, date]:
        """First and last day: what the file says, widened to hold every session.

        If there is nothing to go by, the days count that sessions without a slot were meant for.
        """
        named = [calendar_date(text) for text in (self.raw.start, self.raw.end, *self.raw.days)]
        days = [day for day in named if day is not None]
        starts_at = self.day_starts_at.isoformat("minutes")
        for session in sessions:
            if session.placement is None:
                continue
            start = parse_local(session.placement.local_start)
            if isinstance(start, datetime):
                days.append(logical_day(start, starts_at))
                last = start + timedelta(minutes=session.placement.duration_minutes - 1)
                days.append(logical_day(last, starts_at))
        if not days:
            days = [moment.wall.date() for moment in self.moments if isinstance(moment, Moment)]
        if not days:
            raise NoDates(self.raw.name)
        return min(days), max(days)

    def _check_counts(self) -> None:
        if len(self.rooms) > ROOMS_MAX:
            raise TooMany(self.raw.name, "rooms", ROOMS_MAX)
        if len(self.speakers) > PERSONS_MAX:
            raise TooMany(self.raw.name, "persons", PERSONS_MAX)

    def _find(self, problem: Problem, session: str, title: str) -> None:
        if len(self.findings) == FINDINGS_MAX:
            raise TooMany(self.raw.name, "sessions with something wrong", FINDINGS_MAX)
        self.findings.append(Finding(problem.code, session, title, problem.detail))
