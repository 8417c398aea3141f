"""What a programme has and frab files have no place for, carried where other readers do not look.

In XML it is a processing instruction, ``<?konkordat {…}?>``, which any schema allows; in JSON a key
beside ``conference``. Nothing that the format itself can say is repeated here, so a file that was
edited by hand means what it says. A file without extras is complete in itself.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct, field

from konkordat.schedule import fields as f
from konkordat.schedule.interchange.programme import (
    ProgrammeSession,
    ProgrammeSpeaker,
    ProgrammeVenue,
    Source,
)

EXTRAS_NAME: Final = "konkordat"


class RoomExtras(Struct, frozen=True, omit_defaults=True):
    venue: f.Title | None = None
    capacity: Annotated[int, Meta(ge=0, le=f.PEOPLE_MAX)] | None = None


class SessionExtras(Struct, frozen=True, omit_defaults=True):
    # The id and guid as they were, where the format wants a number and a UUID.
    external_id: f.ExternalId | None = None
    guid: f.ExternalId | None = None
    uid: f.ExternalId | None = None
    state: f.SessionState = "confirmed"
    type: f.SessionType | None = None  # None: as the word in the file says
    type_label: f.Label | None = None
    duration_minutes: f.DurationMinutes | None = None  # None: as long as the slot
    seats: Annotated[int, Meta(ge=0, le=f.PEOPLE_MAX)] | None = None
    url: f.Url | None = None
    revision: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    updated_at_ms: Annotated[int, Meta(ge=0)] | None = None
    attachment_types: tuple[str, ...] = ()


class Extras(Struct, frozen=True, omit_defaults=True):
    """All of it; each part may be missing."""

    source: Source | None = None
    venues: tuple[ProgrammeVenue, ...] = ()
    rooms: dict[str, RoomExtras] = field(default_factory=dict)  # by room name
    sessions: dict[str, SessionExtras] = field(default_factory=dict)  # by id in the file
    speakers: dict[str, ProgrammeSpeaker] = field(default_factory=dict)  # by id in the file
    # Sessions without place and time, which a schedule cannot show.
    unplaced: tuple[ProgrammeSession, ...] = ()
    language: f.Language | None = None
    url: f.Url | None = None
    subtitle: Annotated[str, Meta(max_length=f.TITLE_CHARS_MAX)] = ""
    day_starts_at: f.Clock | None = None


def encode_extras(extras: Extras) -> str:
    """JSON on one line that may stand inside a processing instruction."""
    # "?>" would end the instruction; an escaped ">" is the same JSON text.
    return msgspec.json.encode(extras, order="deterministic").decode().replace(">", "\\u003e")


def decode_extras(text: str | bytes) -> Extras:
    """The extras back. Raises ``msgspec.ValidationError`` or ``DecodeError`` (both ValueErrors)."""
    return msgspec.json.decode(text, type=Extras)
