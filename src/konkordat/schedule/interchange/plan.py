"""What to write for an import, in which order, and what there is to say about it. Pure.

Ids are derived from the programme, so the same file planned twice writes the same records: an
import that broke off is simply run again.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, Literal

from msgspec import Struct

from konkordat.schedule.clashes import Booking, refused_slots, speaker_clashes
from konkordat.schedule.interchange.programme import (
    Finding,
    Programme,
    ProgrammeRoom,
    ProgrammeSession,
    ProgrammeSpeaker,
    ProgrammeVenue,
)
from konkordat.schedule.model import (
    EventBody,
    RoomBody,
    SessionBody,
    Slot,
    SpeakerBody,
    VenueBody,
)
from konkordat.schedule.registry import COLLECTIONS, body_data
from konkordat.schedule.times import Interval, slot_interval

Kind = Literal["event", "venue", "room", "speaker", "session"]


class UpsertOperation(Struct, frozen=True):
    """One entry of a batch: make the record, or make it equal to ``data``."""

    collection: str
    id: str
    data: dict[str, Any]
    op: Literal["upsert"] = "upsert"
    # A session whose slot is taken is written all the same, without the slot: nothing is lost.
    on_conflict: Literal["without_slot"] = "without_slot"


class SessionRef(Struct, frozen=True):
    """A session as a report names it."""

    id: str
    external_id: str
    title: str


class RefusedSlotReport(Struct, frozen=True):
    """A session that keeps no slot, and the sessions that were there before it."""

    session: SessionRef
    room: str
    local_start: str
    in_the_way: tuple[SessionRef, ...]


class SpeakerClashReport(Struct, frozen=True):
    """A speaker who would have to be in two places."""

    speaker: str
    first: SessionRef
    second: SessionRef


class ImportReport(Struct, frozen=True):
    """What an import into an empty store comes to."""

    event: str
    title: str
    venues: int
    rooms: int
    speakers: int
    sessions: int
    placed: int  # sessions with place and time, the refused ones left out
    slots_refused: tuple[RefusedSlotReport, ...]
    speaker_clashes: tuple[SpeakerClashReport, ...]
    findings: tuple[Finding, ...]


class ImportPlan(Struct, frozen=True):
    """The operations, each after those it refers to, and the report."""

    event_id: str
    operations: tuple[UpsertOperation, ...]
    report: ImportReport


def plan_import(programme: Programme, region: str | None = None) -> ImportPlan:
    """The plan of a programme; ``region`` is that of venues which name none.

    Sessions come in order of start, then of the file: the later of two that want one room is the
    one that loses its slot.
    """
    return _Planner(programme, region).plan()


def derived_id(start_date: str, event_slug: str, kind: Kind, *names: str) -> str:
    """A UUIDv7 whose time is the event's first day and whose rest is a hash of what it names.

    Records of one event lie together in the store, as time-ordered ids do.
    """
    first = datetime.combine(date.fromisoformat(start_date), datetime.min.time(), tzinfo=UTC)
    time_ms = max(int(first.timestamp() * 1000), 0)
    hasher = hashlib.blake2b(digest_size=10)
    for part in (event_slug, kind, *names):
        # With its length before it, no part can run into the next.
        raw = part.encode()
        hasher.update(len(raw).to_bytes(4, "big") + raw)
    bits = int.from_bytes(hasher.digest(), "big")
    value = (
        time_ms << 80 | 0x7 << 76 | (bits >> 62 & 0xFFF) << 64 | 0x2 << 62 | bits & (1 << 62) - 1
    )
    return str(uuid.UUID(int=value))


class _Planner:
    """One programme on its way to a plan. Used once."""

    def __init__(self, programme: Programme, region: str | None) -> None:
        self.programme = programme
        self.event = programme.event
        self.region = region
        self.language = self.event.language or _commonest_language(programme.sessions)
        self.event_id = self._id("event", self.event.slug)
        self.venue_ids = {v.name: self._id("venue", v.name) for v in programme.venues}
        # With its venue: a room elsewhere is another room, and its venue's seat decides there.
        self.room_ids = {r.name: self._id("room", r.venue, r.name) for r in programme.rooms}
        self.speakers = {s.external_id: s for s in programme.speakers}

    def plan(self) -> ImportPlan:
        programme = self.programme
        placed, unplaced = self._in_order()
        sessions = [session for session, _ in placed] + unplaced
        operations = (
            *(self._venue(venue) for venue in programme.venues),
            *(self._room(room, number) for number, room in enumerate(programme.rooms)),
            *(self._speaker(speaker) for speaker in programme.speakers),
            self._event(),
            *(self._session(session) for session in sessions),
        )
        return ImportPlan(self.event_id, operations, self._report(placed))

    def _id(self, kind: Kind, *names: str) -> str:
        return derived_id(self.event.start_date, self.event.slug, kind, *names)

    def _in_order(self) -> tuple[list[tuple[ProgrammeSession, Interval]], list[ProgrammeSession]]:
        """Sessions with their time, by start and then as in the file; and those without."""
        placed: list[tuple[ProgrammeSession, Interval]] = []
        unplaced: list[ProgrammeSession] = []
        for session in self.programme.sessions:
            slot = self._slot(session)
            interval = slot_interval(slot) if slot else None
            if isinstance(interval, Interval):
                placed.append((session, interval))
            else:
                unplaced.append(session)
        placed.sort(key=lambda entry: entry[1].start_ms)
        return placed, unplaced

    # ---- operations

    def _venue(self, venue: ProgrammeVenue) -> UpsertOperation:
        body = VenueBody(
            name={self.language: venue.name},
            region=venue.region or self.region,
            time_zone=venue.time_zone or self.event.time_zone,
            city=venue.city,
            external_ids={self.programme.source: venue.name},
        )
        return _operation("venues", self.venue_ids[venue.name], body)

    def _room(self, room: ProgrammeRoom, number: int) -> UpsertOperation:
        body = RoomBody(
            venue=self.venue_ids[room.venue],
            name={self.language: room.name},
            capacity=room.capacity,
            position=number,
            external_ids={self.programme.source: room.name},
        )
        return _operation("rooms", self.room_ids[room.name], body)

    def _speaker(self, speaker: ProgrammeSpeaker) -> UpsertOperation:
        body = SpeakerBody(
            name=speaker.name,
            biography={self.language: speaker.biography} if speaker.biography else {},
            external_ids={self.programme.source: speaker.external_id},
        )
        return _operation("speakers", self._id("speaker", speaker.external_id), body)

    def _event(self) -> UpsertOperation:
        event = self.event
        body = EventBody(
            slug=event.slug,
            name={self.language: event.title},
            subtitle={self.language: event.subtitle} if event.subtitle else {},
            time_zone=event.time_zone,
            start_date=event.start_date,
            end_date=event.end_date,
            day_starts_at=event.day_starts_at,
            language=self.language,
            venues=tuple(self.venue_ids.values()),
            state="published",
            url=event.url,
        )
        return _operation("events", self.event_id, body)

    def _session(self, session: ProgrammeSession) -> UpsertOperation:
        language = session.language or self.language

        def text(value: str) -> dict[str, str]:
            return {language: value} if value else {}

        body = SessionBody(
            event=self.event_id,
            slug=session.slug,
            title={language: session.title},
            subtitle=text(session.subtitle),
            abstract=text(session.abstract),
            description=text(session.description),
            type=session.type,
            type_label=session.type_label,
            track=session.track,
            language=session.language,
            speakers=tuple(self._id("speaker", s) for s in session.speakers if s in self.speakers),
            duration_minutes=session.duration_minutes,
            state=session.state,
            seats=session.seats,
            url=session.url,
            links=session.links,
            attachments=session.attachments,
            recording=session.recording,
            external_ids=self._external_ids(session),
            slot=self._slot(session),
        )
        return _operation("sessions", self._id("session", session.external_id), body)

    def _external_ids(self, session: ProgrammeSession) -> dict[str, str]:
        ids: dict[str, str] = {self.programme.source: session.external_id}
        if session.guid:
            ids["guid"] = session.guid
        if session.uid:
            ids["ics"] = session.uid
        return ids

    def _slot(self, session: ProgrammeSession) -> Slot | None:
        placement = session.placement
        if placement is None or placement.room not in self.room_ids:
            return None
        return Slot(
            room=self.room_ids[placement.room],
            local_start=placement.local_start,
            time_zone=self.event.time_zone,
            duration_minutes=placement.duration_minutes,
            fold=placement.fold,
        )

    # ---- the report

    def _report(self, placed: list[tuple[ProgrammeSession, Interval]]) -> ImportReport:
        by_id = {session.external_id: session for session, _ in placed}
        bookings = [
            Booking(s.external_id, s.placement.room, s.speakers, interval)
            for s, interval in placed
            # A cancelled session takes no room and no speaker.
            if s.placement is not None and s.state != "cancelled"
        ]
        refused = refused_slots(bookings)
        gone = {entry.session for entry in refused}
        clashes = speaker_clashes(b for b in bookings if b.session not in gone)
        return ImportReport(
            event=self.event.slug,
            title=self.event.title,
            venues=len(self.programme.venues),
            rooms=len(self.programme.rooms),
            speakers=len(self.programme.speakers),
            sessions=len(self.programme.sessions),
            placed=len(placed) - len(refused),
            slots_refused=tuple(
                RefusedSlotReport(
                    self._ref(by_id[entry.session]),
                    entry.place,
                    _local_start(by_id[entry.session]),
                    tuple(self._ref(by_id[other]) for other in entry.in_the_way),
                )
                for entry in refused
            ),
            speaker_clashes=tuple(
                SpeakerClashReport(
                    self.speakers[clash.speaker].name,
                    self._ref(by_id[clash.first]),
                    self._ref(by_id[clash.second]),
                )
                for clash in clashes.pairs
            ),
            findings=self.programme.findings,
        )

    def _ref(self, session: ProgrammeSession) -> SessionRef:
        id_ = self._id("session", session.external_id)
        return SessionRef(id_, session.external_id, session.title)


def _operation(collection: str, id_: str, body: Struct) -> UpsertOperation:
    return UpsertOperation(collection, id_, body_data(COLLECTIONS[collection], body))


def _local_start(session: ProgrammeSession) -> str:
    return session.placement.local_start if session.placement else ""


def _commonest_language(sessions: Iterable[ProgrammeSession]) -> str:
    """The language most sessions are in; English if none says."""
    counts = Counter(session.language for session in sessions if session.language)
    return min(counts, key=lambda language: (-counts[language], language)) if counts else "en"
