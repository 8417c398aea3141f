"""Which seat decides what: the rooms and booths of a venue are decided by the venue's seat.

A seat is named after its venue's record and so never changes; the venue's region and way of deciding say who should
hold it and how, from its next term on.
"""

from __future__ import annotations

from typing import Final

from konkordat.kernel.claim import Resource
from konkordat.kernel.ids import Group, NodeName, RecordId, RecordKey, valid_name, valid_record_id
from konkordat.kernel.record import Record
from konkordat.kernel.seat import SEAT_ID_CHARS_MAX, Decide, SeatId, SeatSpec
from konkordat.replica.domain import Records
from konkordat.schedule.claims import VENUES, capacity_owner, value_of

VENUE: Final = Group("venue")
REGION: Final = Group("region")
DECIDE: Final = Group("decide")
FOUNDED: Final = Group("founded")  # version of the roster when the venue was made
NO_HOME: Final = NodeName("")  # no node is at home there: the seat falls to one by its name


def seat_for(resource: Resource, records: Records) -> SeatSpec | None:
    """The seat of a room's or booth's venue; None as long as one of the two is not here."""
    owner = capacity_owner(resource)
    site = records(owner) if owner is not None else None
    venue = value_of(site, VENUE) if site is not None else None
    if not isinstance(venue, str) or not valid_record_id(venue):
        return None
    found = records(RecordKey(resource.tenant, VENUES, RecordId(venue)))
    return seat_of(found) if found is not None else None


def seat_of(record: Record) -> SeatSpec | None:
    """The seat of a venue, deleted ones included: what was granted there must not be granted again."""
    if record.key.collection != VENUES:
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
