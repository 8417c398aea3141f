"""Writing iCalendar (RFC 5545).

Times are in UTC, with the zone of the event beside them, so that no reader needs our time zone
rules. UIDs are the same in every export, SEQUENCE grows, and a cancelled session stays in the
calendar as cancelled, so that subscribers see it go.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from icalendar import Calendar, Event, vText

from konkordat.schedule.interchange.errors import BadTimeZone
from konkordat.schedule.interchange.icalendar_ import SPEAKER_PROPERTY, TYPE_PROPERTY
from konkordat.schedule.interchange.programme import (
    Programme,
    ProgrammeSession,
    ProgrammeSpeaker,
)
from konkordat.schedule.interchange.texts import fit
from konkordat.schedule.times import MINUTE_MS, UnknownTimeZone, to_utc_ms, zone

PRODUCT: Final = "-//Konkordat//schedule//EN"
_STATUS: Final = {"confirmed": "CONFIRMED", "cancelled": "CANCELLED"}


def write_icalendar(programme: Programme, stamp_ms: int = 0) -> bytes:
    """The placed sessions as a calendar; one without place and time has none in a calendar.

    ``stamp_ms`` is the DTSTAMP of sessions that do not know when they were changed.
    Raises ``BadTimeZone`` if the event's zone does not exist.
    """
    event = programme.event
    if isinstance(zone(event.time_zone), UnknownTimeZone):
        raise BadTimeZone(event.time_zone)
    calendar = Calendar()
    calendar.add("PRODID", PRODUCT)
    calendar.add("VERSION", "2.0")
    calendar.add("X-WR-CALNAME", fit(event.title))
    calendar.add("X-WR-TIMEZONE", event.time_zone)
    speakers = {speaker.external_id: speaker for speaker in programme.speakers}
    for session in programme.sessions:
        component = _component(session, programme, speakers, stamp_ms)
        if component is not None:
            calendar.add_component(component)
    return bytes(calendar.to_ical())


def uid_of(session: ProgrammeSession, event_slug: str) -> str:
    """The calendar's name for a session, the same in every export."""
    return session.uid or session.guid or f"{session.external_id}@{event_slug}"


def _component(
    session: ProgrammeSession,
    programme: Programme,
    speakers: dict[str, ProgrammeSpeaker],
    stamp_ms: int,
) -> Event | None:
    placement = session.placement
    if placement is None:
        return None
    start_ms = to_utc_ms(placement.local_start, programme.event.time_zone, placement.fold)
    if not isinstance(start_ms, int):
        return None
    changed_ms = session.updated_at_ms if session.updated_at_ms is not None else stamp_ms
    component = Event()
    component.add("UID", uid_of(session, programme.event.slug))
    component.add("DTSTAMP", _utc(changed_ms))
    component.add("LAST-MODIFIED", _utc(changed_ms))
    component.add("SEQUENCE", session.revision)
    component.add("DTSTART", _utc(start_ms))
    component.add("DTEND", _utc(start_ms + placement.duration_minutes * MINUTE_MS))
    language = {"LANGUAGE": session.language} if session.language else {}
    component.add("SUMMARY", fit(session.title), parameters=language)
    component.add("LOCATION", fit(placement.room))
    component.add("STATUS", _STATUS.get(session.state, "TENTATIVE"))
    component.add(TYPE_PROPERTY, fit(session.type_label or session.type))
    text = "\n\n".join(filter(None, (session.abstract, session.description)))
    if text:
        component.add("DESCRIPTION", fit(text))
    if session.track:
        component.add("CATEGORIES", [fit(session.track)])
    if session.url:
        component.add("URL", session.url)
    for attachment in session.attachments:
        component.add("ATTACH", attachment.url)
    for speaker in session.speakers:
        if speaker in speakers:
            _add_speaker(component, speakers[speaker])
    return component


def _add_speaker(component: Event, speaker: ProgrammeSpeaker) -> None:
    name = vText(fit(speaker.name))
    # A backslash in a parameter is a character like any other (RFC 5545), but some readers take it for an escape and
    # lose the colon behind it.
    plain = fit(speaker.external_id).replace('"', "'")
    name.params["X-ID"] = plain.replace("%", "%25").replace("\\", "%5C")
    component.add(SPEAKER_PROPERTY, name)


def _utc(utc_ms: int) -> datetime:
    return datetime.fromtimestamp(utc_ms // 1000, tz=UTC)
