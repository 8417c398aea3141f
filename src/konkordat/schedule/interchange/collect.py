"""From records, as the API answers them, to a programme that can be written in any format. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct, convert

from konkordat.schedule.interchange.programme import (
    Placement,
    Programme,
    ProgrammeEvent,
    ProgrammeRoom,
    ProgrammeSession,
    ProgrammeSpeaker,
    ProgrammeVenue,
)
from konkordat.schedule.model import Attachment, Link, Recording
from konkordat.schedule.times import UnknownTimeZone, local_text, to_local, to_utc_ms, zone

Record = Mapping[str, Any]

# A slot in these states holds no room, so it is not shown as if it did.
_NOT_HELD: Final = frozenset(("displaced", "released", "expired"))


class Records(Struct, frozen=True):
    """Everything of one event, each a record with its id and the fields of its body."""

    event: Record
    venues: Sequence[Record] = ()
    rooms: Sequence[Record] = ()  # booths may be among them
    speakers: Sequence[Record] = ()
    sessions: Sequence[Record] = ()
    # By session id, how often it was changed; for SEQUENCE of calendars.
    revisions: Mapping[str, int] = {}


def collect_programme(records: Records, language: str | None = None) -> Programme:
    """The programme of one event, in the language asked for where there is one.

    A session's own language comes first, then the one asked for, then the event's, then any.
    """
    return _Collector(records, language).programme()


class _Collector:
    def __init__(self, records: Records, language: str | None) -> None:
        self.records = records
        event = records.event
        wanted: tuple[str | None, ...] = (language, event.get("language"))
        self.languages = [lang for lang in wanted if lang]
        self.zone_name = str(event["time_zone"])
        self.venue_names = _distinct((v["id"], self._text(v, "name"), "") for v in records.venues)
        self.room_names = _distinct(
            (room["id"], self._text(room, "name"), self.venue_names.get(room["venue"], ""))
            for room in records.rooms
        )
        self.speaker_ids = _distinct((s["id"], _external_id(s), s["id"]) for s in records.speakers)

    def programme(self) -> Programme:
        event = self._event()
        venues = tuple(self._venue(venue) for venue in self.records.venues)
        venues = venues or (ProgrammeVenue(event.title),)
        sessions = [self._session(session) for session in self.records.sessions]
        return Programme(
            source="frab",
            event=event,
            venues=venues,
            rooms=tuple(
                ProgrammeRoom(
                    self.room_names[room["id"]],
                    self.venue_names.get(room["venue"], venues[0].name),
                    room.get("capacity"),
                )
                for room in self.records.rooms
            ),
            speakers=tuple(
                ProgrammeSpeaker(
                    self.speaker_ids[speaker["id"]],
                    speaker["name"],
                    self._text(speaker, "biography"),
                )
                for speaker in self.records.speakers
            ),
            sessions=tuple(sessions),
        )

    def _event(self) -> ProgrammeEvent:
        event = self.records.event
        return ProgrammeEvent(
            slug=event["slug"],
            title=self._text(event, "name") or event["slug"],
            subtitle=self._text(event, "subtitle"),
            start_date=event["start_date"],
            end_date=event["end_date"],
            time_zone=self.zone_name,
            day_starts_at=event["day_starts_at"],
            language=event.get("language"),
            url=event.get("url"),
        )

    def _venue(self, venue: Record) -> ProgrammeVenue:
        zone_name = venue.get("time_zone")
        return ProgrammeVenue(
            name=self.venue_names[venue["id"]],
            city=venue.get("city"),
            region=venue.get("region"),
            time_zone=zone_name if zone_name != self.zone_name else None,
        )

    def _session(self, session: Record) -> ProgrammeSession:
        own = session.get("language")
        external_ids: Mapping[str, str] = session.get("external_ids") or {}

        def text(name: str) -> str:
            return self._text(session, name, own)

        return ProgrammeSession(
            external_id=_external_id(session),
            guid=external_ids.get("guid") or session["id"],
            uid=external_ids.get("ics") or session["id"],
            title=text("title") or "(untitled)",
            slug=session.get("slug"),
            subtitle=text("subtitle"),
            abstract=text("abstract"),
            description=text("description"),
            type=session["type"],
            type_label=session.get("type_label"),
            track=session.get("track"),
            language=own,
            speakers=tuple(
                self.speaker_ids[speaker]
                for speaker in session.get("speakers") or ()
                if speaker in self.speaker_ids
            ),
            duration_minutes=session.get("duration_minutes"),
            state=session["state"],
            seats=session.get("seats"),
            url=session.get("url"),
            links=convert(session.get("links") or (), tuple[Link, ...]),
            attachments=convert(session.get("attachments") or (), tuple[Attachment, ...]),
            recording=convert(session.get("recording"), Recording | None),
            placement=self._placement(session.get("slot")),
            revision=self.records.revisions.get(session["id"], 0),
            updated_at_ms=_instant_ms(session.get("updated_at")),
        )

    def _placement(self, slot: Record | None) -> Placement | None:
        """The place that the session has, in the event's zone; none if its room is not (any more) among the rooms."""
        if not slot:
            return None
        place = slot.get("held") or slot.get("granted")
        if place is None and slot.get("state") in _NOT_HELD:
            return None
        slot = place or slot
        room = self.room_names.get(slot.get("room") or slot.get("booth") or "")
        if room is None:
            return None
        fold = slot.get("fold", 0)
        if slot["time_zone"] == self.zone_name:
            return Placement(room, slot["local_start"], slot["duration_minutes"], fold)
        found = zone(self.zone_name)
        start_ms = to_utc_ms(slot["local_start"], slot["time_zone"], fold)
        if isinstance(found, UnknownTimeZone) or not isinstance(start_ms, int):
            return None
        local = to_local(start_ms, found)
        return Placement(room, local_text(local), slot["duration_minutes"], local.fold)

    def _text(self, record: Record, name: str, own_language: str | None = None) -> str:
        texts: Mapping[str, str] = record.get(name) or {}
        for language in (own_language, *self.languages):
            if language is not None and language in texts:
                return texts[language]
        return texts[min(texts)] if texts else ""


def _external_id(record: Record) -> str:
    """What the programme's own system calls the record, so that a round trip keeps it."""
    external_ids: Mapping[str, str] = record.get("external_ids") or {}
    return external_ids.get("frab") or str(record["id"])


def _distinct(named: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Names by id, made distinct: (id, name, what to add if the name was used before)."""
    names: dict[str, str] = {}
    used: set[str] = set()
    for id_, name, addition in named:
        wanted = name or id_
        for candidate in (wanted, f"{wanted} ({addition or id_})", f"{wanted} ({id_})"):
            if candidate not in used:
                names[id_] = candidate
                used.add(candidate)
                break
    return names


def _instant_ms(text: str | None) -> int | None:
    return int(datetime.fromisoformat(text).timestamp() * 1000) if text else None
