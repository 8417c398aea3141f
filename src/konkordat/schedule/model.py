"""The bodies of the schedule's collections, as the API takes them.

A body is what a client sends to make or replace a record. ``None`` and a default both mean
"nothing stored": defaults are computed on read, so that a later field costs no write.
Limits and patterns are checked by msgspec while decoding; ``__post_init__`` checks what needs two
fields. What needs another record (does the room exist?) is a rule, not a body's business.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from konkordat.kernel.seat import ALTERNATIVES_MAX
from konkordat.schedule import fields as f


class SlotAlternative(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Another place or time that would do. What it leaves out is as in the slot; room and booth exclude each other."""

    room: Annotated[f.Id | None, Meta(description="The room's id.")] = None
    booth: Annotated[f.Id | None, Meta(description="The booth's id.")] = None
    local_start: f.LocalTime | None = None
    fold: Annotated[int, Meta(ge=0, le=1)] | None = None

    def __post_init__(self) -> None:
        if self.room is not None and self.booth is not None:
            raise ValueError("An alternative names at most one of room and booth")
        if self.room is None and self.booth is None and self.local_start is None:
            raise ValueError("An alternative names another room, booth or time")


class Slot(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The place and time of a session; it merges as one unit, so no merge makes a time nobody chose.

    Wall time is the truth: ``local_start`` in ``time_zone``. UTC is derived from it.
    Exactly one of ``room`` and ``booth`` is given.
    """

    room: Annotated[f.Id | None, Meta(description="The room's id.")] = None
    booth: Annotated[f.Id | None, Meta(description="The booth's id.")] = None
    local_start: f.LocalTime
    time_zone: f.TimeZone
    duration_minutes: f.DurationMinutes
    fold: Annotated[
        int,
        Meta(
            ge=0,
            le=1,
            description="1 takes the second of two equal wall times when clocks go back (PEP 495).",
        ),
    ] = 0
    alternatives: Annotated[
        tuple[SlotAlternative, ...],
        Meta(
            description="What would do instead, in order of liking, all at the same venue; the first that fits is"
            f" granted. At most {ALTERNATIVES_MAX}.",
            extra_json_schema={"maxItems": ALTERNATIVES_MAX},
        ),
    ] = ()
    hold: Annotated[
        f.Id | None,
        Meta(
            description="Id of a hold whose place this slot takes over; the hold is let go when the slot is granted."
            " Not shown afterwards."
        ),
    ] = None

    def __post_init__(self) -> None:
        if (self.room is None) == (self.booth is None):
            raise ValueError("A slot names exactly one of room and booth")


class Link(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An address with a text to show for it."""

    url: f.Url
    title: Annotated[str, Meta(max_length=f.TITLE_CHARS_MAX)] = ""


class Attachment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file that goes with a session, by address."""

    url: f.Url
    title: Annotated[str, Meta(max_length=f.TITLE_CHARS_MAX)] = ""
    type: Annotated[str, Meta(max_length=f.LABEL_CHARS_MAX, examples=["slides"])] = ""


class Recording(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whether a session may be recorded, and under which licence."""

    license: Annotated[str, Meta(max_length=f.LABEL_CHARS_MAX, examples=["CC-BY-4.0"])] = ""
    optout: Annotated[bool, Meta(description="True: do not record.")] = False


class BookableHours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a room may be booked, in the venue's wall time.

    ``closes`` at or before ``opens`` means the following day: 18:00 to 02:00 is one evening.
    """

    weekdays: Annotated[tuple[f.Weekday, ...], Meta(min_length=1, max_length=7)]
    opens: f.Clock
    closes: f.Clock


class EventBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A conference, festival or exhibition: the frame of a programme."""

    id: f.Id | None = None
    slug: f.Slug
    name: f.NamedTitles
    subtitle: f.Titles = field(default_factory=dict)
    description: f.Descriptions = field(default_factory=dict)
    time_zone: f.TimeZone
    start_date: Annotated[f.Date, Meta(description="First day, in the event's time zone.")]
    end_date: Annotated[f.Date, Meta(description="Last day, included.")]
    day_starts_at: Annotated[
        f.Clock, Meta(description="Sessions before this hour belong to the day before.")
    ] = "04:00"
    language: Annotated[
        f.Language | None, Meta(description="The language to show when there is no other wish.")
    ] = None
    venues: Annotated[
        tuple[f.Id, ...], Meta(max_length=1_000, description="Ids of the venues it takes place at.")
    ] = ()
    state: f.EventState = "draft"
    speaker_gap_minutes: Annotated[
        f.BufferMinutes,
        Meta(description="Between two sessions of a speaker; less is warned of."),
    ] = 0
    region: Annotated[
        f.Slug | None,
        Meta(description="Name of the node that decides who gets seats.", examples=["lausanne"]),
    ] = None
    decide: Annotated[
        f.Deciding,
        Meta(description="When seats of its sessions are confirmed, as with a venue."),
    ] = "majority"
    url: f.Url | None = None
    external_ids: f.ExternalIds = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.end_date < self.start_date:
            raise ValueError("An event ends on or after the day it starts")


class VenueBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A building or site. Its region is where its rooms are decided."""

    id: f.Id | None = None
    slug: f.Slug | None = None
    name: f.NamedTitles
    region: Annotated[
        f.Slug | None,
        Meta(description="Name of the node at home here.", examples=["lugano"]),
    ] = None
    decide: Annotated[
        f.Deciding,
        Meta(
            description="When a place here is confirmed: once a majority of the nodes knows (`majority`), or once the"
            " node at home does (`home`), for a venue that decides while cut off."
        ),
    ] = "majority"
    time_zone: f.TimeZone
    address: Annotated[str, Meta(max_length=f.TITLE_CHARS_MAX)] | None = None
    city: f.Label | None = None
    country: (
        Annotated[
            str,
            Meta(pattern=r"^[A-Z]{2}$(?!\n)", description="ISO 3166-1 alpha-2.", examples=["CH"]),
        ]
        | None
    ) = None
    url: f.Url | None = None
    external_ids: f.ExternalIds = field(default_factory=dict)


class RoomBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A room of a venue. What it is booked for is a claim on it."""

    id: f.Id | None = None
    venue: Annotated[f.Id, Meta(description="The venue's id.")]
    event: Annotated[f.Id | None, Meta(description="Only for this event, when given.")] = None
    name: f.NamedTitles
    description: f.Descriptions = field(default_factory=dict)
    capacity: Annotated[int, Meta(ge=0, le=f.PEOPLE_MAX, description="Seats.")] | None = None
    features: f.Features = ()
    max_concurrent: Annotated[
        int, Meta(ge=1, le=f.CONCURRENT_MAX, description="Sessions it may host at one time.")
    ] = 1
    setup_minutes: Annotated[
        f.BufferMinutes, Meta(description="Kept free before each session.")
    ] = 0
    teardown_minutes: Annotated[
        f.BufferMinutes, Meta(description="Kept free after each session.")
    ] = 0
    turnaround_minutes: Annotated[
        f.BufferMinutes, Meta(description="Kept free between two sessions.")
    ] = 0
    bookable_hours: Annotated[
        tuple[BookableHours, ...], Meta(max_length=50, description="None given: always.")
    ] = ()
    position: Annotated[int, Meta(ge=0, le=1_000_000, description="Order in lists.")] = 0
    external_ids: f.ExternalIds = field(default_factory=dict)


class BoothBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stand of an exhibition: like a room, for one exhibitor at a time."""

    id: f.Id | None = None
    venue: Annotated[f.Id, Meta(description="The venue's id.")]
    event: Annotated[f.Id | None, Meta(description="Only for this event, when given.")] = None
    name: f.NamedTitles
    description: f.Descriptions = field(default_factory=dict)
    features: f.Features = ()
    setup_minutes: Annotated[f.BufferMinutes, Meta(description="Kept free before each use.")] = 0
    teardown_minutes: Annotated[f.BufferMinutes, Meta(description="Kept free after each use.")] = 0
    turnaround_minutes: Annotated[
        f.BufferMinutes, Meta(description="Kept free between two uses.")
    ] = 0
    position: Annotated[int, Meta(ge=0, le=1_000_000, description="Order in lists.")] = 0
    external_ids: f.ExternalIds = field(default_factory=dict)


class Available(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time at which somebody can come, in wall time."""

    local_start: f.LocalTime
    local_end: f.LocalTime
    time_zone: f.TimeZone

    def __post_init__(self) -> None:
        if self.local_end <= self.local_start:
            raise ValueError("An availability ends after it starts")


class SpeakerBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person on stage."""

    id: f.Id | None = None
    name: f.Label
    biography: f.Descriptions = field(default_factory=dict)
    email: f.Email | None = None
    affiliation: f.Label | None = None
    availability: Annotated[
        tuple[Available, ...],
        Meta(
            max_length=f.AVAILABILITY_MAX,
            description="When they can come; none given: always. Sessions at other times are warned of.",
        ),
    ] = ()
    links: Annotated[tuple[Link, ...], Meta(max_length=f.LINKS_MAX)] = ()
    external_ids: f.ExternalIds = field(default_factory=dict)


class SessionBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A talk, workshop, break or blocker of an event; with a slot once it has a place and time."""

    id: f.Id | None = None
    event: Annotated[f.Id, Meta(description="The event's id.")]
    slug: f.Slug | None = None
    title: f.NamedTitles
    subtitle: f.Titles = field(default_factory=dict)
    abstract: f.Abstracts = field(default_factory=dict)
    description: f.Descriptions = field(default_factory=dict)
    type: f.SessionType = "talk"
    type_label: Annotated[
        f.Label | None, Meta(description="The organiser's own word for the type.")
    ] = None
    track: f.Label | None = None
    language: f.Language | None = None
    speakers: Annotated[
        tuple[f.Id, ...],
        Meta(max_length=f.SPEAKERS_MAX, description="Ids of speakers; the list merges as one."),
    ] = ()
    duration_minutes: Annotated[
        f.DurationMinutes | None, Meta(description="Planned length, before there is a slot.")
    ] = None
    state: f.SessionState = "draft"
    seats: (
        Annotated[int, Meta(ge=0, le=f.PEOPLE_MAX, description="Places to register for.")] | None
    ) = None
    url: Annotated[f.Url | None, Meta(description="Its public page.")] = None
    series: Annotated[
        f.Id | None, Meta(description="The series it is an occurrence of; it cannot be changed.")
    ] = None
    recurrence_id: Annotated[
        f.LocalTime | None,
        Meta(description="Which occurrence: its wall time by the rule, wherever it is by now."),
    ] = None
    links: Annotated[tuple[Link, ...], Meta(max_length=f.LINKS_MAX)] = ()
    attachments: Annotated[tuple[Attachment, ...], Meta(max_length=f.LINKS_MAX)] = ()
    recording: Recording | None = None
    external_ids: f.ExternalIds = field(default_factory=dict)
    slot: Slot | None = None

    def __post_init__(self) -> None:
        if len(set(self.speakers)) != len(self.speakers):
            raise ValueError("A session names each speaker once")
