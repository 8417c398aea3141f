"""What a record says about its claims beside the claims themselves. Derived, like them, alike on every node."""

from __future__ import annotations

from typing import Final

from konkordat.kernel.claim import Claim, ClaimId
from konkordat.kernel.ids import RecordId, RecordKey
from konkordat.kernel.record import Record
from konkordat.replica.domain import PLAIN_CLAIM, Wanted
from konkordat.schedule.claims import (
    HOLDS,
    PLACED,
    REGISTRATIONS,
    SEATS_PART,
    WAITLIST,
    hold_end_ms,
    place_claim,
    value_of,
)
from konkordat.schedule.slots import SLOT_PART, plan_of

_WAITING: Final = Wanted(waits=True)


def wanted(record: Record, claim: Claim) -> Wanted:
    """More about one of the record's claims: other places that would do, what is let go in return, until when it
    counts; a registration may wait for seats."""
    collection = record.key.collection
    if collection == REGISTRATIONS and claim.id.part == SEATS_PART:
        return _WAITING if value_of(record, WAITLIST) is True else PLAIN_CLAIM
    if collection in PLACED and claim.id.part == SLOT_PART:
        return _for_slot(record, claim)
    return PLAIN_CLAIM


def _for_slot(record: Record, claim: Claim) -> Wanted:
    key, plan = record.key, plan_of(record)
    hold = RecordKey(key.tenant, HOLDS, RecordId(plan.replaces))
    return Wanted(
        tuple([place_claim(key, other, claim.stamp) for other in plan.candidates[1:]]),
        (ClaimId(hold, SLOT_PART),) if plan.replaces else (),
        plan.together,
        plan.waits,
        hold_end_ms(record) if key.collection == HOLDS else 0,
    )
