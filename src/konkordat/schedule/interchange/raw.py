"""What a reader found, before anything is judged: the texts of the file, in its order."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from konkordat.schedule.interchange.extras import Extras
from konkordat.schedule.interchange.programme import FindingCode, Source
from konkordat.schedule.model import Recording


class Problem(Struct, frozen=True):
    """Why a value could not be read."""

    code: FindingCode
    detail: str


class Moment(Struct, frozen=True):
    """A point in time as a file writes it."""

    wall: datetime  # without tzinfo, to the minute
    offset_minutes: int | None = None  # None: no offset was written
    # True where the writer meant an instant (…Z), not the wall time of a place.
    is_instant: bool = False


class FrabWhen(Struct, frozen=True):
    """The three places in which frab files tell a start."""

    day: str  # @date of the day
    date: str  # <date>: a moment, or a calendar date in old files
    start: str  # <start>: a time of day


class RawPerson(Struct, frozen=True):
    name: str
    id: str = ""
    biography: str = ""


class RawLink(Struct, frozen=True):
    url: str
    title: str = ""
    type: str = ""


class RawRoom(Struct, frozen=True):
    name: str
    capacity: int | None = None


class RawSession(Struct, frozen=True, kw_only=True):
    line: int = 0  # 0 where the format has no lines to speak of
    id: str = ""
    guid: str = ""
    uid: str = ""
    slug: str = ""
    title: str = ""
    subtitle: str = ""
    abstract: str = ""
    description: str = ""
    type: str = ""
    track: str = ""
    language: str = ""
    room: str = ""
    url: str = ""
    when: FrabWhen | Moment | Problem
    minutes: int | Problem  # length; may be zero or negative
    persons: tuple[RawPerson, ...] = ()
    links: tuple[RawLink, ...] = ()
    attachments: tuple[RawLink, ...] = ()
    recording: Recording | None = None
    is_cancelled: bool = False
    revision: int = 0
    updated_at_ms: int | None = None
    problems: tuple[Problem, ...] = ()  # found by the reader; they cost no slot


class RawDocument(Struct, frozen=True, kw_only=True):
    name: str  # of the file, for messages
    source: Source
    acronym: str = ""
    title: str = ""
    subtitle: str = ""
    venue: str = ""
    city: str = ""
    start: str = ""
    end: str = ""
    day_change: str = ""
    time_zone: str = ""
    url: str = ""
    version: str = ""
    days: tuple[str, ...] = ()  # @date of each day, also of empty ones
    rooms: tuple[RawRoom, ...] = ()
    sessions: tuple[RawSession, ...] = ()
    extras: Extras
    problems: tuple[Problem, ...] = ()
