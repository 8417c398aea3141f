"""Orders of operators while nodes are away: found by the simulator's operators, seed by seed."""

from __future__ import annotations

from functools import partial

import pytest

from konkordat.kernel.claim import ClaimState
from konkordat.kernel.ids import NodeName, Origin, node_of
from konkordat.kernel.seat import At, Candidacy, Roster, SeatId
from konkordat.protocol.seats.machine import Seats
from konkordat.replica.agenda import Agenda
from konkordat.replica.membership import NO_ROSTER, Membership
from konkordat.replica.rosters import ROSTER_SEAT, ChangeRoster, HandOver
from konkordat.replica.situation import Knowledge
from konkordat.testing.domain import Book, TrialDomain, booking
from konkordat.testing.workbench import Workbench

ROOM = "room/1"
SEAT = SeatId("acme/resources")
FIVE = ("basel", "bern", "geneva", "lugano", "zurich")


def table_of(*members: str) -> Workbench:
    """Five nodes; zurich is at home in the seat, and has decided there."""
    table = Workbench(*FIVE, domain=partial(TrialDomain, "zurich"), members=members)
    table.settle(500)
    table.write("zurich", Book(booking("first"), ROOM, 100, 110))
    table.settle(1_000)
    return table


def holder(table: Workbench, name: str, seat: SeatId = SEAT) -> str:
    view = table[name].replica.status(table.clock.now_ms).seating
    assert view is not None
    (found,) = [each for each in view.seats if each.id == seat]
    return "" if found.holder is None else node_of(found.holder)


def is_decided(table: Workbench, name: str) -> bool:
    """Whether a place that is asked for now is granted."""
    table.write(name, Book(booking("a"), ROOM, 0, 10, insists=True))
    table.settle(2_000)
    (decided,) = table[name].store.claims_of([booking("a")])[booking("a")]
    return decided.state is ClaimState.CONFIRMED


@pytest.mark.parametrize("gone", [("geneva",), ("geneva", "bern")])
def test_a_seat_whose_heir_dies_before_it_opens_falls_to_another(gone: tuple[str, ...]) -> None:
    table = table_of(*FIVE)
    table.write("zurich", HandOver(SEAT, NodeName("geneva")))
    for name in gone:
        table.nodes.pop(name)
        table.lose("", name)
    table.settle(12_000)
    assert holder(table, "lugano") not in ("", *gone)
    assert is_decided(table, "lugano")


def test_an_heir_that_is_there_is_not_passed_by() -> None:
    table = table_of(*FIVE)
    table.write("zurich", HandOver(SEAT, NodeName("geneva")))
    table.settle(12_000)
    assert holder(table, "lugano") == "geneva"


def test_a_seat_whose_heir_leaves_the_roster_before_it_opens_falls_to_another() -> None:
    table = table_of("bern", "geneva", "lugano", "zurich")
    table.write("bern", ChangeRoster("leave", NodeName("geneva")))
    table.nodes.pop("geneva")
    table.lose("", "geneva")
    table.write("zurich", HandOver(SEAT, NodeName("geneva")))
    table.settle(15_000)
    assert holder(table, "bern") not in ("", "geneva")
    assert is_decided(table, "bern")


def test_a_member_that_hears_of_a_change_all_at_once_may_decide_the_next() -> None:
    table = table_of("bern", "geneva", "lugano", "zurich")
    away = table.nodes.pop("geneva")
    table.lose("", "geneva")
    table.write("zurich", ChangeRoster("leave", NodeName("lugano")))
    table.settle(8_000)
    table.nodes["geneva"] = away
    table.settle(1_000)
    table.write("zurich", HandOver(ROSTER_SEAT, NodeName("geneva")))
    table.settle(2_000)
    assert holder(table, "zurich", ROSTER_SEAT) == "geneva"


def test_a_node_that_joined_votes_for_seats_whose_decisions_it_heard_as_a_stranger() -> None:
    table = table_of("zurich")
    table.write("zurich", ChangeRoster("join", NodeName("bern")))
    table.settle(8_000)
    table.write("zurich", HandOver(SEAT, NodeName("bern")))
    table.settle(8_000)
    assert holder(table, "zurich") == "bern"


def test_what_new_members_decided_is_remembered_from_the_commit_on_that_lets_it_count() -> None:
    """Geneva catches up over the change in one commit, and starts anew before the next."""
    table = table_of("zurich")
    away = table.nodes.pop("geneva")
    table.lose("", "geneva")
    table.write("zurich", ChangeRoster("join", NodeName("bern")))
    table.settle(5_000)
    table.write("zurich", HandOver(SEAT, NodeName("bern")))
    table.settle(5_000)
    assert is_decided(table, "zurich")
    table.nodes["geneva"] = away
    pages = 0
    for _ in range(40):
        table.tick()
        while table.flying:
            frame = table.flying.pop(0)
            table.deliver(frame)
            if frame.receiver == "geneva" and frame.kind == "Page":
                away.start()
                pages += 1
    assert pages
    assert table.agree()
    for name in FIVE:
        told = table[name].store.every_claim()
        assert {d.state for d in told if d.claim.quantity} == {ClaimState.CONFIRMED}, name


def test_a_roster_that_is_learnt_after_a_later_one_counts_for_terms_of_its_own() -> None:
    me, early = Origin("zurich.1"), Origin("bern.1")
    machine = Seats(me, NO_ROSTER)
    knowledge = Knowledge(me, machine, {}, {}, {}, 3_000)
    membership = Membership(me, (), True, machine, Agenda(), knowledge, [])
    membership.learn(Roster(3, (me,)))
    membership.learn(Roster(2, (early, me)))
    assert machine.roster.version == 3
    assert machine.applied(Candidacy(SEAT, 1, 2), At(early, 1))
    assert not machine.refused
