"""The bodies of those who come: attendees, and their registrations for sessions.

A registration claims seats of its session, so it is decided like a place in a room; what became of it is shown as
`state`. One attendee has one registration for a session, wherever it was made: its id is derived from the two.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from konkordat.kernel.ids import uuid7
from konkordat.schedule import fields as f

# Seats that one registration may take. A coach party; larger groups register in several.
REGISTRATION_SEATS_MAX: Final = 1_000


class AttendeeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person who comes, or a group that comes together."""

    id: f.Id | None = None
    name: f.Label
    email: f.Email | None = None
    affiliation: f.Label | None = None
    external_ids: f.ExternalIds = field(default_factory=dict)


class RegistrationBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seats of a session for an attendee. Its id follows from session and attendee, so there is one for both."""

    id: Annotated[
        f.Id | None, Meta(description="Derived from session and attendee; best left out.")
    ] = None
    session: Annotated[f.Id, Meta(description="The session's id; it cannot be changed.")]
    attendee: Annotated[f.Id, Meta(description="The attendee's id; it cannot be changed.")]
    quantity: Annotated[
        int, Meta(ge=1, le=REGISTRATION_SEATS_MAX, description="How many seats.")
    ] = 1
    waitlist: Annotated[
        bool, Meta(description="Wait for seats when there are too few: asked again when some free.")
    ] = False
    checked_in: Annotated[bool, Meta(description="They have come.")] = False
    cancelled: Annotated[bool, Meta(description="They will not come; the seats are free.")] = False
    external_ids: f.ExternalIds = field(default_factory=dict)


def registration_id(session: str, attendee: str) -> str:
    """The id of an attendee's registration for a session, both UUIDv7: the same at every node, so that two
    registrations of one person, made at two nodes, meet in one record. It has the session's time, so that the
    registrations of a session lie together in every index."""
    digest = hashlib.blake2b(
        f"{session}\0{attendee}".encode(), digest_size=10, person=b"konkordat.regist"
    ).digest()
    return uuid7(int(session[:8] + session[9:13], 16), digest)


def id_of_registration(body: RegistrationBody) -> str:
    """The id that a body's registration has."""
    return registration_id(body.session, body.attendee)
