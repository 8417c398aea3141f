"""What followers are told about a changed record, made once and shared by all of them. Pure.

Followers come by REST (`…/changes`), WebSocket and SSE; all are told the same objects:

    {"op": "upsert", "type": "sessions", "id": "…", "version": "…", "data": {…}}
    {"op": "delete", "type": "sessions", "id": "…", "version": "…"}

`delete` also says that a record is no longer among what the follower follows (its session moved to another room or
event). So it may name a record that the follower never had; forgetting it once more does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from konkordat.api.tokens import Filter
from konkordat.api.views import FORMS, version
from konkordat.kernel.claim import DecidedClaim
from konkordat.kernel.ids import Group
from konkordat.kernel.record import Record
from konkordat.schedule.claims import SESSION
from konkordat.schedule.slots import SLOT
from konkordat.schedule.slots import place_of as slot_place

_encode: Final = msgspec.json.Encoder().encode
EVENT: Final = Group("event")
VENUE: Final = Group("venue")
_text: Final = msgspec.json.Decoder(str)


class Note(msgspec.Struct, frozen=True):
    """One record's change, ready to be sent."""

    tenant: str
    type: str
    id: str
    event: str  # what it belongs to; an event belongs to itself, and so does a venue
    venue: str
    session: str  # what a registration is for
    place: str  # id of the room or booth of its slot, ""
    fields: frozenset[str]  # names of the fields that were written
    was_there: bool  # known before, so it may have belonged elsewhere
    is_deleted: bool
    upsert: (
        bytes  # the object without its opening brace, so that a receiver's part can go before it
    )
    delete: bytes


def note_of(
    record: Record,
    groups: Iterable[str],
    is_new: bool,
    claims: Sequence[DecidedClaim],
    plain: str = "",
) -> Note | None:
    """The note of a record in its present state; None for what is not part of the schedule.

    `plain` is the version of the record alone, for callers that have it already.
    """
    form = FORMS.get(record.key.collection)
    if form is None:
        return None
    key = record.key
    fields = frozenset([group.partition(".")[0] for group in groups])
    shown = version(record, claims, plain)
    about = (
        b'"type":"' + form.type.encode() + b'","id":' + _encode(key.id)
        + b',"version":"' + shown.encode() + b'"'
    )  # fmt: skip
    deleted = b'"op":"delete",' + about + b"}"
    upsert = b""
    if record.alive:
        upsert = b'"op":"upsert",' + about + b',"data":' + form.json(record, claims, shown) + b"}"
    return Note(
        key.tenant,
        form.type,
        key.id,
        parent_of(record, EVENT),
        parent_of(record, VENUE),
        parent_of(record, SESSION),
        place_of(record),
        fields,
        not is_new,
        not record.alive,
        upsert,
        deleted,
    )


def told(note: Note, filter_: Filter) -> bytes | None:
    """What a follower with this filter is told; None for nothing."""
    if filter_.types and note.type not in filter_.types:
        return None
    if note.is_deleted:
        # What a deleted record belonged to is no longer known, so every follower of its type is told.
        return note.delete
    for wanted, actual, field in (
        (filter_.event, note.event, "event"),
        (filter_.venue, note.venue, "venue"),
        (filter_.session, note.session, "session"),
        (filter_.room, note.place, "slot"),
    ):
        if wanted and wanted not in {actual, note.id}:
            return note.delete if note.was_there and field in note.fields else None
    if filter_.fields and note.fields.isdisjoint(filter_.fields):
        return None
    return note.upsert


def parent_of(record: Record, field: Group) -> str:
    """The id of the event, venue or session that a record belongs to, ""."""
    register = record.fields.get(field)
    return "" if register is None else _string(register.value)


def place_of(record: Record) -> str:
    """The id of the room or booth where a session is, ""."""
    register = record.fields.get(SLOT)
    place = None if register is None else slot_place(register.value)
    return "" if place is None else place.name.partition("/")[2]


def _string(value: bytes) -> str:
    try:
        return _text.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
