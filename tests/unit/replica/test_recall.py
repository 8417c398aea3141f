"""What the index keeps of a claim is enough to know after a restart what was final of it."""

from __future__ import annotations

from itertools import product

import pytest

from konkordat.kernel.claim import Claim, ClaimId, ClaimState, DecidedClaim, Resource
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import Origin
from konkordat.kernel.seat import SeatId, Verdict
from konkordat.protocol.seats.ledger import Settled
from konkordat.replica.recall import decided_resources, settled_claims, unseen
from konkordat.testing.domain import booking

SEAT = SeatId("acme/venues/v")
ID = ClaimId(booking("b"), "slot")
ROOM = Resource("acme", "room/1")
PLACE = Claim(ID, ROOM, 0, 10, 1, Stamp(Hlc(1), Origin("zurich.1")))
OTHER = Claim(ID, ROOM, 20, 30, 1, Stamp(Hlc(2), Origin("zurich.1")))
LATER = Stamp(Hlc(9), Origin("geneva.1"))  # of a wish that is not here
RIVAL = (ClaimId(booking("rival"), "slot"),)


def recalled(rows: list[DecidedClaim]) -> dict[SeatId, Settled]:
    index = {row.claim.id: row for row in rows}
    return {seat: known for seat, _, known in settled_claims(index, lambda _: SEAT)}


@pytest.mark.parametrize(
    ("told", "is_ahead"),
    [
        (Settled(Verdict.DENIED, LATER, PLACE, RIVAL), True),
        (Settled(Verdict.DENIED, LATER, None, RIVAL), True),
        (Settled(Verdict.FREED, LATER, None, RIVAL), True),
        (Settled(Verdict.GRANTED, PLACE.stamp, PLACE), True),
        (Settled(Verdict.GRANTED, PLACE.stamp, PLACE), False),
    ],
)
def test_what_is_told_nowhere_else_is_kept(told: Settled, is_ahead: bool) -> None:
    """Of a wish that was denied and is not here, the place that its owner kept was forgotten."""
    assert recalled(list(unseen(ID, SEAT, told, None, is_ahead))) == {SEAT: told}


def test_a_place_that_is_shown_is_not_kept_twice() -> None:
    shown = DecidedClaim(PLACE, ClaimState.CONFIRMED)
    for verdict, is_ahead in product((Verdict.GRANTED, Verdict.DENIED), (False, True)):
        told = Settled(verdict, PLACE.stamp if verdict is Verdict.GRANTED else LATER, PLACE)
        rows = list(unseen(ID, SEAT, told, PLACE, is_ahead))
        assert [row.claim.quantity for row in rows if row.claim.quantity] == []
        if verdict is Verdict.GRANTED or is_ahead:
            assert recalled([shown, *rows]) == {SEAT: told}


def test_a_place_beside_another_that_is_shown_is_kept() -> None:
    told = Settled(Verdict.DENIED, LATER, PLACE, RIVAL)
    rows = list(unseen(ID, SEAT, told, OTHER, is_ahead=True))
    assert recalled([DecidedClaim(OTHER, ClaimState.CONFIRMED), *rows]) == {SEAT: told}


def test_seats_are_looked_up_in_the_order_of_the_index() -> None:
    """In the order of a set they were established, and spoke, otherwise in each process."""
    rooms = [Resource(ROOM.tenant, f"room/{number}") for number in range(20)]
    claims = [
        Claim(ClaimId(booking(room.name), "slot"), room, 0, 10, 1, PLACE.stamp) for room in rooms
    ]
    index = {claim.id: DecidedClaim(claim, ClaimState.CONFIRMED) for claim in claims}
    assert decided_resources(index) == rooms
