"""Types of answers, for the OpenAPI document alone: answers themselves are put together from bytes (views.py).

tests decode real answers with these types, unknown fields forbidden, so document and answers cannot part.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from konkordat.api.problems import FieldError
from konkordat.schedule import fields as f
from konkordat.schedule.commands import ShownOccurrence, SkippedOccurrence
from konkordat.schedule.model import Slot
from konkordat.schedule.registry import CollectionSpec

Instant = Annotated[str, Meta(description="RFC 3339, UTC.", examples=["2027-06-01T07:00:00Z"])]
Token = Annotated[str, Meta(description="Opaque.", examples=["kbJ6dXJpY2guMGd0eHhlM2IAAQ"])]


class Holder(Struct, frozen=True, forbid_unknown_fields=True):
    """A record whose claim stands in the way."""

    type: str
    id: str


class SlotReason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a slot was displaced."""

    code: str
    claims: tuple[Holder, ...]


class ShownPlace(Struct, frozen=True, forbid_unknown_fields=True):
    """A place that a session has beside what it asks for."""

    local_start: f.LocalTime
    time_zone: f.TimeZone
    duration_minutes: int
    start: Instant
    end: Instant
    room: f.Id | UnsetType = UNSET
    booth: f.Id | UnsetType = UNSET
    fold: int | UnsetType = UNSET


class ShownSlot(Slot, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session's place and time, and what became of it."""

    state: Literal["tentative", "confirmed", "displaced", "released", "expired"]
    start: Instant | UnsetType = UNSET
    end: Instant | UnsetType = UNSET
    granted: Annotated[
        ShownPlace | UnsetType, Meta(description="What was granted, if it was an alternative.")
    ] = UNSET
    held: Annotated[
        ShownPlace | UnsetType,
        Meta(description="The place it keeps while a move is undecided, or after one was denied."),
    ] = UNSET
    reason: SlotReason | UnsetType = UNSET


class SeatsReason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a registration has not the seats that it asks for."""

    code: Annotated[str, Meta(examples=["sold_out"])]


class WarningShown(Struct, frozen=True, forbid_unknown_fields=True):
    """A soft rule that what was written breaks. Nothing was refused."""

    code: Annotated[str, Meta(examples=["speaker_clash"])]
    detail: str
    pointer: str
    others: tuple[str, ...]
    speaker: str | UnsetType = UNSET


class DroppedSlotShown(Struct, frozen=True, forbid_unknown_fields=True):
    """The slot that a session was written without (`on_conflict=without_slot`)."""

    code: str
    detail: str
    slot: Any
    in_the_way: tuple[str, ...]


class Conflict(Struct, frozen=True, forbid_unknown_fields=True):
    """A claim in the way."""

    type: str
    id: str
    resource: Annotated[str, Meta(examples=["room/019746a2-7c00-7a31-8d52-3f1a2b4c5d6e"])]
    start: Instant
    end: Instant
    title: dict[str, str] | UnsetType = UNSET


class ProblemDocument(Struct, frozen=True):
    """RFC 9457. Branch on `code`; never parse `detail`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: Annotated[bool, Meta(description="The same request may succeed later.")]
    request_id: str
    errors: tuple[FieldError, ...] | UnsetType = UNSET
    retry_after_ms: int | UnsetType = UNSET
    conflicts: tuple[Conflict, ...] | UnsetType = UNSET
    alternatives: (
        Annotated[tuple[Any, ...], Meta(description="Slots that are free.")] | UnsetType
    ) = UNSET
    current: Annotated[Any, Meta(description="The record as it is now.")] | UnsetType = UNSET
    snapshot_url: str | UnsetType = UNSET


class ChangeShown(Struct, frozen=True):
    """A record that changed, as it is now; or that it is gone."""

    op: Literal["upsert", "delete"]
    type: str
    id: str
    version: str
    data: Any | UnsetType = UNSET


class ChangePage(Struct, frozen=True):
    """Changes since a token."""

    data: tuple[ChangeShown, ...]
    token: Annotated[Token, Meta(description="Send as `since` to go on.")]
    has_more: bool


_TAIL = (
    ("version", Annotated[str, Meta(description="The ETag without its quotes.")]),
    ("created_at", Instant),
    ("updated_at", Instant),
    ("updated_by", Annotated[str, Meta(description="Id of the key that wrote last.")]),
    ("updated_at_node", Annotated[str, Meta(description="Node at which that was.")]),
    ("deleted_at", Instant | None),
    ("warnings", tuple[WarningShown, ...] | UnsetType, UNSET),
    ("dropped_slot", DroppedSlotShown | UnsetType, UNSET),
)
# What the answer to a write of a series adds.
_SERIES = (
    ("occurrences", tuple[ShownOccurrence, ...] | UnsetType, UNSET),
    ("skipped", tuple[SkippedOccurrence, ...] | UnsetType, UNSET),
)


_SeatsState = Annotated[
    Literal["pending", "confirmed", "waitlisted", "displaced", "checked_in", "cancelled"],
    Meta(
        description="`pending` until it is decided. `displaced`: it was sold out when this was decided, and the"
        " registration does not wait."
    ),
]
_NameState = Annotated[
    Literal["tentative", "confirmed", "displaced"],
    Meta(description="`displaced`: another release was given the name at the same time."),
]
# What answers show of claims beside the fields of a body (registry: `outcome`).
_OUTCOMES: dict[str, tuple[Any, ...]] = {
    "registrations": (
        ("state", _SeatsState),
        ("seats_held", Annotated[int, Meta(description="Seats that are confirmed.")]),
        ("reason", SeatsReason | UnsetType, UNSET),
    ),
    "releases": (("state", _NameState),),
}


def singular(spec: CollectionSpec) -> str:
    """One of them, for summaries: "a session"."""
    name = "series" if spec.name == "series" else spec.name.removesuffix("s")
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


@cache
def _shown(name: str, body: type[Struct], collection: str, claim_group: str | None) -> type[Struct]:
    fields: list[Any] = [("id", f.Id)]
    for field in structs.fields(body):
        if field.name == "id":
            continue
        type_ = ShownSlot | None if field.name == claim_group else field.type
        # A record that is only partly here, while batches are on their way, shows null.
        fields.append((field.name, type_))
    return msgspec.defstruct(
        name,
        [
            *fields,
            *_OUTCOMES.get(collection, ()),
            *_TAIL,
            *(_SERIES if collection == "series" else ()),
        ],
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        module=__name__,
        namespace={"__doc__": body.__doc__},
    )


def shown(spec: CollectionSpec) -> type[Struct]:
    """A record of the collection as answers show it."""
    name = spec.body.__name__.removesuffix("Body")
    return _shown(name, spec.body, spec.name, spec.claim_group)


@cache
def _page(name: str, item: type[Struct]) -> type[Struct]:
    return msgspec.defstruct(
        name,
        [
            ("data", tuple[item, ...]),  # type: ignore[valid-type]
            ("next_cursor", str | None),
            ("has_more", bool),
            ("sync_token", Token | UnsetType, UNSET),
        ],
        frozen=True,
        forbid_unknown_fields=True,
        module=__name__,
        namespace={"__doc__": "A page of a list."},
    )


def page_of(spec: CollectionSpec) -> type[Struct]:
    """A page of a list of the collection."""
    item = shown(spec)
    return _page(f"{item.__name__}Page", item)
