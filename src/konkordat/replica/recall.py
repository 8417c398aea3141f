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
from konkordat.replica.claims import HELD, SETTLED, held_id, own_id, settled_id
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


def decided_resources(index: Mapping[ClaimId, DecidedClaim]) -> list[Resource]:
    """The resources of all rows of the index that some seat's decision made what they are, in the order of the index:
    seats are established in it, and speak in the order in which they were."""
    decided = [told.claim for told in index.values() if _is_decided(told)]
    return list(dict.fromkeys(claim.resource for claim in decided))


def _is_decided(told: DecidedClaim) -> bool:
    return told.claim.quantity > 0 and (told.state in _VERDICTS or HELD in told.claim.id.part)


def settled_claims(index: Mapping[ClaimId, DecidedClaim], seat_of: SeatOf) -> Iterator[Recalled]:
    """What is settled of every claim in the index, at each seat that has something of it."""
    claims: dict[ClaimId, dict[str, DecidedClaim]] = {}
    for id, decided in index.items():
        if decided.claim.quantity or SETTLED in id.part:
            claims.setdefault(own_id(id), {})[id.part] = decided
    for id, parts in claims.items():
        found: dict[SeatId, Settled] = {}
        _add_told(id, parts, seat_of, found)
        _add_kept(id, parts, found)
        yield from [Recalled(seat, id, settled) for seat, settled in found.items()]


def _add_told(
    id: ClaimId, parts: Mapping[str, DecidedClaim], seat_of: SeatOf, found: dict[SeatId, Settled]
) -> None:
    """What is told of the claim, and the place that it keeps."""
    held, decided = parts.get(id.part + HELD), parts.get(id.part)
    place = _place(held.claim, id) if held is not None else None
    at = seat_of(place.resource) if place is not None else None
    if place is not None and at is not None:
        found[at] = Settled(Verdict.GRANTED, place.stamp, place)
    verdict = _VERDICTS.get(decided.state) if decided is not None else None
    seat = seat_of(decided.claim.resource) if decided is not None else None
    if decided is not None and verdict is not None and seat is not None:
        found[seat] = _settled(decided, verdict, place if at == seat else None)


def _add_kept(id: ClaimId, parts: Mapping[str, DecidedClaim], found: dict[SeatId, Settled]) -> None:
    """What is not told of it: see `unseen`."""
    rows = [(part.partition(SETTLED)[2], kept) for part, kept in parts.items() if SETTLED in part]
    for name, kept in sorted(rows, key=lambda row: not row[1].claim.quantity):  # places first
        seat = SeatId(name)
        before = found.get(seat)
        place = _place(kept.claim, id) if kept.claim.quantity else None
        if place is None:
            found[seat] = _settled(kept, _VERDICTS[kept.state], before.holds if before else None)
        elif before is not None and before.verdict is Verdict.DENIED:
            found[seat] = msgspec.structs.replace(before, holds=place)
        else:
            found[seat] = Settled(Verdict.GRANTED, place.stamp, place)


def unseen(
    id: ClaimId, seat: SeatId, told: Settled, shown: Claim | None, is_ahead: bool
) -> Iterator[DecidedClaim]:
    """What the index keeps of what is final of a claim at a seat and cannot be seen from the place that is `shown`:
    another place, and the answer to a wish that is not here yet (`is_ahead`)."""
    if told.holds is not None and told.holds != shown:
        place = msgspec.structs.replace(told.holds, id=settled_id(held_id(id), seat))
        ahead = is_ahead and told.verdict is Verdict.GRANTED
        yield DecidedClaim(place, ClaimState.CONFIRMED if ahead else ClaimState.RELEASED)
    if is_ahead and told.verdict is not Verdict.GRANTED:
        state = ClaimState.DISPLACED if told.verdict is Verdict.DENIED else ClaimState.RELEASED
        nothing = Claim(settled_id(id, seat), Resource(id.owner.tenant, ""), 0, 1, 0, told.stamp)
        yield DecidedClaim(nothing, state, told.against)


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
