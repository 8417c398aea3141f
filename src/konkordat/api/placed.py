"""What became of a slot, as clients see it: its state, the place granted if it is not the one wished, the place kept
while a move is undecided or was denied. Times are the session's own; what a room needs before and after is not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from konkordat.kernel.claim import Claim, ClaimState, DecidedClaim
from konkordat.kernel.record import Record
from konkordat.schedule.slots import HELD_PART, SLOT_PART, Candidate, Place, plan_of
from konkordat.schedule.times import MINUTE_MS, Interval, local_text, to_local, utc_text, zone

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
# The times of one import share a few milliseconds, and sessions begin and end together.
instant: Final = lru_cache(maxsize=8_192)(utc_text)
# In these states a slot has not the place it asks for; it may have another (`held`).
WITHOUT_PLACE: Final = frozenset({ClaimState.DISPLACED, ClaimState.RELEASED, ClaimState.EXPIRED})


def claim_of(claims: Iterable[DecidedClaim], part: str) -> DecidedClaim | None:
    """The claim on a place or seats that a record makes through one of its groups."""
    for decided in claims:
        if decided.claim.id.part == part and decided.claim.quantity:
            return decided
    return None


def with_outcome(slot: bytes, record: Record, claims: Sequence[DecidedClaim]) -> bytes:
    """A slot with what follows from it: when it is in UTC, and what became of its claim. A slot that claims nothing,
    because its session is cancelled, is released."""
    if not slot.endswith(b"}") or slot == b"{}":
        return slot
    decided = claim_of(claims, SLOT_PART)
    state = ClaimState.RELEASED if decided is None else decided.state
    extra = f',"state":"{state.value}"'
    wish = next(iter(plan_of(record).candidates), None)
    if wish is not None:
        extra += "," + _times(wish.place.interval)
    if decided is not None and state is ClaimState.CONFIRMED:
        extra += _shown("granted", record, decided, wish)
    held = claim_of(claims, HELD_PART)
    if held is not None:
        extra += _shown("held", record, held, None)
    if decided is not None and state is ClaimState.DISPLACED:
        extra += f',"reason":{reason(decided).decode()}'
    return slot[:-1] + extra.encode() + b"}"


def _shown(name: str, record: Record, decided: DecidedClaim, wish: Candidate | None) -> str:
    """`,"name":{place}`; nothing for the wish itself."""
    if wish is not None and wish.is_at(decided.claim):
        return ""
    place = place_of(record, decided.claim)
    if place is None:
        return ""
    body = _encode(place.as_slot()).decode()
    return f',"{name}":{body[:-1]},{_times(place.place.interval)}}}'


def _times(interval: Interval) -> str:
    return f'"start":"{instant(interval.start_ms)}","end":"{instant(interval.until_ms)}"'


def place_of(record: Record, claim: Claim) -> Candidate | None:
    """The place that a claim of the record is for. One that the record does not name any more, after moves on two
    sides, is told with the times of the claim."""
    plan = plan_of(record)
    known = plan.at(claim)
    if known is not None or not plan.candidates:
        return known
    wish = plan.candidates[0]
    found = zone(wish.time_zone)
    if not isinstance(found, ZoneInfo):
        return None
    local = to_local(claim.start_ms, found)
    minutes = (claim.until_ms - claim.start_ms) // MINUTE_MS
    place = Place(claim.resource.name, Interval(claim.start_ms, claim.until_ms))
    return Candidate(place, local_text(local), wish.time_zone, minutes, local.fold)


def own_times(record: Record | None, claim: Claim) -> Interval:
    """When a session is itself, of a claim on its place."""
    place = place_of(record, claim) if record is not None and claim.id.part in _PLACES else None
    return place.place.interval if place else Interval(claim.start_ms, claim.until_ms)


_PLACES: Final = frozenset({SLOT_PART, HELD_PART})


def where(record: Record, claims: Sequence[DecidedClaim]) -> Candidate | None:
    """Where a session is as far as anybody can tell now: what it keeps, was granted, or still waits for."""
    decided = claim_of(claims, HELD_PART) or claim_of(claims, SLOT_PART)
    if decided is None or decided.state in WITHOUT_PLACE:
        return None
    return place_of(record, decided.claim)


def outcome(claims: Sequence[DecidedClaim]) -> Any:
    """What of decisions on a slot is shown beyond the record: None where it simply has what it asks for.

    An alternative that was granted is told apart by its place.
    """
    decided, held = claim_of(claims, SLOT_PART), claim_of(claims, HELD_PART)
    if decided is None:
        return None
    place = (decided.claim.resource.name, decided.claim.start_ms, decided.claim.until_ms)
    kept = held and (held.claim.resource.name, held.claim.start_ms, held.claim.until_ms)
    return (decided.state.value, decided.against, place, kept)


def reason(decided: DecidedClaim) -> bytes:
    """Why a claim lost its place: which claims stand there."""
    claims = [{"type": id.owner.collection, "id": id.owner.id} for id in decided.against]
    return _encode({"code": "slot_taken", "claims": claims})
