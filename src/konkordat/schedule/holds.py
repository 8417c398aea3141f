"""The body of a hold: a room or booth kept for a short while, until somebody has made up their mind or it expires."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from konkordat.schedule import fields as f
from konkordat.schedule.model import Slot

HOLD_SECONDS: Final = 15 * 60  # where nothing else is said: a form is filled in by then
# A day: time to ask a colleague. Whoever wants a place for longer books it.
HOLD_SECONDS_MAX: Final = 24 * 60 * 60


class HoldBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place kept until `expires_at`, then free by itself. A session takes it over by naming it in `slot.hold`."""

    id: f.Id | None = None
    event: Annotated[f.Id, Meta(description="The event's id; it cannot be changed.")]
    slot: Slot
    expires_at: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(description="At most a day ahead. Left out: 15 minutes from now."),
    ] = None
    ttl_seconds: Annotated[
        Annotated[int, Meta(ge=1, le=HOLD_SECONDS_MAX)] | None,
        Meta(description="The same, counted from now; it wins over `expires_at`, and is not kept."),
    ] = None
    note: Annotated[f.Label | None, Meta(description="What it is held for.")] = None
    external_ids: f.ExternalIds = field(default_factory=dict)
