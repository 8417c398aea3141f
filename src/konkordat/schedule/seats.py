"""Which seat decides what: the rooms and booths of a venue are decided by the venue's seat, registrations for the
sessions of an event by the event's. So a session that moves elsewhere keeps who decides about its seats.

A seat is named after the record of its venue or event and so never changes; the record's region and way of deciding
say who should hold it and how, from its next term on.
"""

from __future__ import annotations

from typing import Any, Final

from konkordat.kernel.claim import Resource
from konkordat.kernel.ids import (
    Collection,
    Group,
    NodeName,
    RecordId,
    RecordKey,
    Tenant,
    record_key,
    valid_name,
    valid_record_id,
)
from konkordat.kernel.record import Record
from konkordat.kernel.seat import SEAT_ID_CHARS_MAX, Decide, SeatId, SeatSpec
from konkordat.replica.domain import Records
from konkordat.schedule.claims import EVENT, EVENTS, SESSIONS, VENUES, capacity_owner, value_of

VENUE: Final = Group("venue")
REGION: Final = Group("region")
DECIDE: Final = Group("decide")
FOUNDED: Final = Group("founded")  # version of the roster when the venue or event was made
SEATED: Final = frozenset({VENUES, EVENTS})  # each record of these has a seat
NO_HOME: Final = NodeName("")  # no node is at home there: the seat falls to one by its name


def seat_for(resource: Resource, records: Records) -> SeatSpec | None:
    """The seat of a room's or booth's venue, or of a session's or release's event; None as long as what tells is not
    here."""
    kind, _, rest = resource.name.partition("/")
    if kind == "release":
        return _seat_at(resource.tenant, EVENTS, rest.partition("/")[0], records)
    owner = capacity_owner(resource)
    site = records(owner) if owner is not None else None
    if site is None:
        return None
    collection, group = (EVENTS, EVENT) if site.key.collection == SESSIONS else (VENUES, VENUE)
    return _seat_at(resource.tenant, collection, value_of(site, group), records)


def _seat_at(
    tenant: Tenant, collection: Collection, decider: Any, records: Records
) -> SeatSpec | None:
    if not isinstance(decider, str) or not valid_record_id(decider):
        return None
    found = records(RecordKey(tenant, collection, RecordId(decider)))
    return seat_of(found) if found is not None else None


def seat_of(record: Record) -> SeatSpec | None:
    """The seat of a venue or event, deleted ones included: what was granted there must not be granted again."""
    if record.key.collection not in SEATED:
        return None
    id = SeatId("/".join(record.key))
    if len(id) > SEAT_ID_CHARS_MAX:
        return None
    region, decide, founded = (value_of(record, group) for group in (REGION, DECIDE, FOUNDED))
    home = NodeName(region) if isinstance(region, str) and valid_name(region) else NO_HOME
    sound = isinstance(founded, int) and not isinstance(founded, bool) and founded >= 1
    return SeatSpec(
        id, home, Decide.HOME if decide == Decide.HOME else Decide.MAJORITY, founded if sound else 1
    )


def seat_named(id: SeatId, records: Records) -> SeatSpec | None:
    """The seat of that name; None as long as its venue is not here."""
    tenant, _, rest = id.partition("/")
    collection, _, name = rest.partition("/")
    found = records(record_key(tenant, collection, name)) if name else None
    return seat_of(found) if found is not None else None
