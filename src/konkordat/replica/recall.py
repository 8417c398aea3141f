"""What a node knows of seats when it starts: who holds them from the log, what is settled from the index of claims, and
from the log again only the decisions that are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from konkordat.kernel.claim import Claim, ClaimId, ClaimState, DecidedClaim, Resource
from konkordat.kernel.ids import RecordKey
from konkordat.kernel.record import Record
from konkordat.kernel.seat import SeatId, Verdict
from konkordat.protocol.seats.ledger import Settled
from konkordat.replica.claims import HELD, held_id
from konkordat.store.port import Reader

_VERDICTS: Final = {
    ClaimState.CONFIRMED: Verdict.GRANTED,
    ClaimState.DISPLACED: Verdict.DENIED,
    ClaimState.RELEASED: Verdict.FREED,
    ClaimState.EXPIRED: Verdict.FREED,
}

SeatOf = Callable[[Resource], SeatId | None]


class Recalled(NamedTuple):
    """What the index tells of a claim at one seat."""

    seat: SeatId
    id: ClaimId
    settled: Settled


class Records:
    """Records of a store, for a domain that looks some up; each is read once."""

    def __init__(self, store: Reader) -> None:
        self._store = store
        self._known: dict[RecordKey, Record | None] = {}

    def __call__(self, key: RecordKey) -> Record | None:
        if key not in self._known:
            self._known[key] = self._store.load([key]).get(key)
        return self._known[key]


def settled_claims(index: Mapping[ClaimId, DecidedClaim], seat_of: SeatOf) -> Iterator[Recalled]:
    """What is settled of every claim in the index, at each seat that has something of it."""
    for id, decided in index.items():
        if id.part.endswith(HELD) or not decided.claim.quantity:
            continue
        seat = seat_of(decided.claim.resource)
        held = index.get(held_id(id))
        place = _place(held.claim, id) if held is not None else None
        place_seat = seat_of(place.resource) if place is not None else None
        verdict = _VERDICTS.get(decided.state)
        if place is not None and place_seat is not None and (place_seat != seat or not verdict):
            yield Recalled(place_seat, id, Settled(Verdict.GRANTED, place.stamp, place))
        if verdict is not None and seat is not None:
            kept = place if place_seat == seat else None
            yield Recalled(seat, id, _settled(decided, verdict, kept))


def _settled(decided: DecidedClaim, verdict: Verdict, kept: Claim | None) -> Settled:
    claim = decided.claim
    match verdict:
        case Verdict.GRANTED:
            return Settled(verdict, claim.stamp, claim)
        case Verdict.DENIED:
            return Settled(verdict, claim.stamp, kept, decided.against)
        case Verdict.FREED:
            return Settled(verdict, claim.stamp, None, decided.against)


def _place(held: Claim, id: ClaimId) -> Claim:
    """The place a claim holds, under the claim's own id."""
    return msgspec.structs.replace(held, id=id)
