"""Who waits for a place that is taken: what belongs together, what has part of it, and what comes free meanwhile."""

from __future__ import annotations

import msgspec

from konkordat.kernel.claim import ClaimState
from konkordat.testing.domain import Remove, Together, booking, capacity_of
from unit.replica.test_seating_in_disorder import MEMBERS, ROOM, four, states, wish

OTHER_ROOM = "room/2"
CONFIRMED, DISPLACED = {"slot": ClaimState.CONFIRMED}, {"slot": ClaimState.DISPLACED}


def both(waits: bool = True) -> Together:
    """Two rooms, together or not at all."""
    one = wish("b", waits=waits, together=True)
    return Together((one, wish("c", OTHER_ROOM, waits=waits, together=True)))


def test_what_waits_together_gets_places_that_come_free_before_its_denial_is_final() -> None:
    table = four()
    table.write("zurich", capacity_of(OTHER_ROOM, 1))
    table.write("zurich", wish("a"))
    table.settle(500)
    table.write("zurich", both())
    table.write("zurich", Remove(booking("a")))
    table.settle(1_000)
    for name in (*MEMBERS, "lugano"):
        assert states(table, name, "b") == states(table, name, "c") == CONFIRMED


def test_what_waits_together_is_not_granted_by_halves() -> None:
    table = four()
    table.write("zurich", capacity_of(OTHER_ROOM, 1))
    table.write("zurich", wish("a"))
    table.write("zurich", wish("d", OTHER_ROOM))
    table.settle(500)
    table.write("bern", both())
    table.settle(1_000)
    for left in ("a", "d"):
        assert states(table, "geneva", "b") == states(table, "geneva", "c") == DISPLACED
        table.write("geneva", Remove(booking(left)))
        table.settle(1_000)
    assert states(table, "geneva", "b") == states(table, "geneva", "c") == CONFIRMED


def test_what_waits_together_holds_no_place_back_that_it_cannot_use_yet() -> None:
    table = four()
    table.write("zurich", capacity_of(OTHER_ROOM, 1))
    table.write("zurich", wish("a"))
    table.write("zurich", wish("d", OTHER_ROOM))
    table.settle(500)
    table.write("bern", both())
    table.write("bern", wish("e", OTHER_ROOM, waits=True))
    table.settle(1_000)
    table.write("geneva", Remove(booking("d")))
    table.settle(1_000)
    assert states(table, "geneva", "e") == CONFIRMED
    assert states(table, "geneva", "b") == states(table, "geneva", "c") == DISPLACED


def test_who_waits_for_more_of_what_it_has_is_not_in_its_own_way() -> None:
    table = four()
    table.write("zurich", capacity_of(ROOM, 3))
    for name in ("stays", "a", "b"):
        table.write("zurich", wish(name))
    table.settle(500)
    more = msgspec.structs.replace(wish("b", waits=True), quantity=2)
    table.write("zurich", more)
    table.settle(1_000)
    assert states(table, "bern", "b") == {**DISPLACED, "slot@held": ClaimState.CONFIRMED}
    table.write("bern", Remove(booking("a")))
    table.settle(1_000)
    assert states(table, "bern", "b") == CONFIRMED


def test_a_long_booking_that_goes_makes_room_for_all_who_wait_for_parts_of_its_time() -> None:
    table = four()
    table.write("zurich", wish("a", start=0, until=20))
    table.settle(500)
    table.write("bern", wish("b", start=0, until=10, waits=True))
    table.write("bern", wish("c", start=10, until=20, waits=True))
    table.settle(1_000)
    table.write("bern", Remove(booking("a")))
    table.settle(1_000)
    assert states(table, "bern", "b") == states(table, "bern", "c") == CONFIRMED
