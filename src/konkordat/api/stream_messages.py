"""What may be said on `/v2/stream`, and which filter a wish amounts to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from konkordat.api.batch import BatchRequest
from konkordat.api.problems import invalid
from konkordat.api.tokens import SYNC_TOKEN_CHARS_MAX, Filter
from konkordat.api.views import FORMS

WINDOW_MAX: Final = (
    100_000  # changes ahead of their acknowledgement; the outbox is full long before
)
SUB_CHARS_MAX: Final = 64

SubName = Annotated[str, Meta(min_length=1, max_length=SUB_CHARS_MAX)]
TypeName = Literal[
    "events",
    "venues",
    "rooms",
    "booths",
    "speakers",
    "sessions",
    "series",
    "holds",
    "attendees",
    "registrations",
    "releases",
]


class Hello(Struct, frozen=True, tag_field="msg", tag="hello"):
    """The first message."""

    client: Annotated[str, Meta(max_length=200)] = ""
    window: Annotated[int, Meta(ge=1, le=WINDOW_MAX)] | None = None


class FilterWish(Struct, frozen=True, forbid_unknown_fields=True):
    """Only what belongs to one of these."""

    event: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    venue: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    session: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    room: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class Subscribe(Struct, frozen=True, tag_field="msg", tag="subscribe", forbid_unknown_fields=True):
    """Follow changes."""

    sub: SubName
    types: Annotated[tuple[TypeName, ...], Meta(min_length=1, max_length=20)] | None = None
    fields: (
        Annotated[
            tuple[Annotated[str, Meta(max_length=40)], ...], Meta(min_length=1, max_length=50)
        ]
        | None
    ) = None
    filter: FilterWish = FilterWish()
    resume_token: Annotated[str, Meta(max_length=SYNC_TOKEN_CHARS_MAX)] | None = None


class Unsubscribe(Struct, frozen=True, tag_field="msg", tag="unsubscribe"):
    """Follow them no longer."""

    sub: SubName


class Ack(Struct, frozen=True, tag_field="msg", tag="ack"):
    """So many changes have been taken in."""

    count: Annotated[int, Meta(ge=1, le=WINDOW_MAX)]


class Write(BatchRequest, frozen=True, tag_field="msg", tag="write", kw_only=True):
    """Write, as `POST /v2/batch` does."""

    id: SubName
    idempotency_key: str | None = None


class Ping(Struct, frozen=True, tag_field="msg", tag="ping"):
    """Are you there?"""


Message = Hello | Subscribe | Unsubscribe | Ack | Write | Ping
decoder: Final = msgspec.json.Decoder(Message)


def filter_of(
    types: tuple[str, ...] | None,
    fields: tuple[str, ...] | None,
    filter_: Mapping[str, str | None],
) -> Filter:
    """A filter from what a client asked for. Raises Problem for a field that nothing has."""
    for name in fields or ():
        shown = [form for kind, form in FORMS.items() if not types or kind in types]
        if not any(field.name == name for form in shown for field in form.spec.fields):
            raise invalid("/fields", f"There is no field {name!r} in what is followed.")
    chosen = {name: id for name, id in filter_.items() if id is not None}
    return Filter(
        tuple(sorted(set(types or ()))), fields=tuple(sorted(set(fields or ()))), **chosen
    )
