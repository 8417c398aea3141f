"""A programme as neutral values: what every format is read into and written from.

Texts are in one language per session, as in the formats. Sessions refer to rooms by name and to
speakers by external id; both are unique within a programme.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from konkordat.schedule import fields as f
from konkordat.schedule.model import Attachment, Link, Recording

# frab files of the largest events have a few MB; a file beyond this is something else.
SIZE_BYTES_MAX: Final = 64 << 20
# iCalendar is parsed into many small objects, about twenty times its size in memory.
ICALENDAR_BYTES_MAX: Final = 16 << 20
SESSIONS_MAX: Final = 100_000
ROOMS_MAX: Final = 10_000
PERSONS_MAX: Final = 200_000
# A schedule is six levels deep; some put markup or answers below.
DEPTH_MAX: Final = 64
# More would bury the rest of the report; a file with more is broken throughout.
FINDINGS_MAX: Final = 10_000

TIME_ZONE_DEFAULT: Final = "Europe/Zurich"

Source = Literal["frab", "ics"]


class FindingCode(StrEnum):
    """What can be wrong with one session (or one detail of the event)."""

    NO_ROOM = "no_room"
    NO_TITLE = "no_title"
    NO_START = "no_start"
    BAD_DATE = "bad_date"
    BAD_START = "bad_start"
    BAD_DURATION = "bad_duration"
    ENDS_BEFORE_START = "ends_before_start"
    TOO_LONG = "too_long"
    LOCAL_TIME_DOES_NOT_EXIST = "local_time_does_not_exist"
    DUPLICATE_ID = "duplicate_id"
    ALL_DAY = "all_day"
    SECONDS_DROPPED = "seconds_dropped"
    RECURRENCE_NOT_EXPANDED = "recurrence_not_expanded"
    TEXT_TOO_LONG = "text_too_long"
    BAD_LANGUAGE = "bad_language"
    BAD_LINK = "bad_link"
    SPEAKER_NAME_DIFFERS = "speaker_name_differs"
    UNKNOWN_TIME_ZONE = "unknown_time_zone"
    TOO_MANY_ENTRIES = "too_many_entries"
    BAD_EXTENSION = "bad_extension"


class Finding(Struct, frozen=True):
    """Something that was wrong in the file and how far it was followed.

    The session is kept. Where its place or time is in doubt, it is kept without its slot.
    """

    code: FindingCode
    session: str  # external id; empty when it is about the event
    title: str
    detail: str


# The limits on the fields below are checked where these values are decoded (see ``extras``); readers
# keep to them by cutting and noting.
_Abstract = Annotated[str, Meta(max_length=f.ABSTRACT_CHARS_MAX)]
_Description = Annotated[str, Meta(max_length=f.DESCRIPTION_CHARS_MAX)]
_Line = Annotated[str, Meta(max_length=f.TITLE_CHARS_MAX)]
_Count = Annotated[int, Meta(ge=0, le=f.PEOPLE_MAX)]


class ProgrammeVenue(Struct, frozen=True, omit_defaults=True):
    name: f.Title
    city: f.Label | None = None
    region: f.Slug | None = None  # the node at home there
    time_zone: f.TimeZone | None = None  # None: the event's


class ProgrammeRoom(Struct, frozen=True, omit_defaults=True):
    name: f.Title
    venue: f.Title  # name of one of the programme's venues
    capacity: _Count | None = None


class ProgrammeSpeaker(Struct, frozen=True, omit_defaults=True):
    external_id: f.ExternalId
    name: f.Label
    biography: _Description = ""


class Placement(Struct, frozen=True, omit_defaults=True):
    """Where and when: wall time in the event's time zone."""

    room: f.Title
    local_start: f.LocalTime
    duration_minutes: f.DurationMinutes
    fold: Annotated[int, Meta(ge=0, le=1)] = 0


class ProgrammeSession(Struct, frozen=True, kw_only=True, omit_defaults=True):
    external_id: f.ExternalId
    title: f.Title
    guid: f.ExternalId | None = None
    # The calendar's name for it, the same in every export; None: derived from the other ids.
    uid: f.ExternalId | None = None
    slug: f.Slug | None = None
    subtitle: _Line = ""
    abstract: _Abstract = ""
    description: _Description = ""
    type: f.SessionType = "talk"
    type_label: f.Label | None = None  # the file's own word, when it is not that of ``type``
    track: f.Label | None = None
    language: f.Language | None = None
    speakers: Annotated[tuple[f.ExternalId, ...], Meta(max_length=f.SPEAKERS_MAX)] = ()
    duration_minutes: f.DurationMinutes | None = None  # None when the file gives none to be read
    state: f.SessionState = "confirmed"
    seats: _Count | None = None
    url: f.Url | None = None
    links: Annotated[tuple[Link, ...], Meta(max_length=f.LINKS_MAX)] = ()
    attachments: Annotated[tuple[Attachment, ...], Meta(max_length=f.LINKS_MAX)] = ()
    recording: Recording | None = None
    placement: Placement | None = None
    revision: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0  # SEQUENCE of a calendar: it only grows
    updated_at_ms: Annotated[int, Meta(ge=0)] | None = None


class ProgrammeEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    slug: str
    title: str
    subtitle: str = ""
    start_date: str  # first day, "2027-06-01"
    end_date: str  # last day, included
    time_zone: str
    day_starts_at: str = "04:00"
    language: str | None = None
    url: str | None = None
    version: str = ""  # the organiser's name for this state of the programme


class Programme(Struct, frozen=True, kw_only=True):
    source: Source
    event: ProgrammeEvent
    venues: tuple[ProgrammeVenue, ...]
    rooms: tuple[ProgrammeRoom, ...]
    speakers: tuple[ProgrammeSpeaker, ...]
    sessions: tuple[ProgrammeSession, ...]
    findings: tuple[Finding, ...] = ()
