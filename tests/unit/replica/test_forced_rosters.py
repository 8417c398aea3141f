"""The majority is lost for good: one survivor forces a roster, and what comes back later is never a second holder."""

from __future__ import annotations

from functools import partial

import pytest

from konkordat.kernel.claim import ClaimState
from konkordat.kernel.ids import NodeName, node_of
from konkordat.kernel.refusal import Refusal
from konkordat.kernel.seat import Decide, SeatId
from konkordat.replica.forced import ClosedOutError, ForceRoster
from konkordat.replica.messages import Accepted
from konkordat.replica.rosters import ROSTER_SEAT, ChangeRoster
from konkordat.replica.status import SeatingView
from konkordat.testing.domain import Book, TrialDomain, booking, capacity_of
from konkordat.testing.workbench import Bench, Workbench
from konkordat.wire.batches import open_body

ROOM = "room/1"
SEAT = SeatId("acme/resources")
NAMES = ("bern", "geneva", "zurich")
CONFIRMED, DISPLACED = ClaimState.CONFIRMED, ClaimState.DISPLACED


@pytest.fixture
def table() -> Workbench:
    """Three members and lugano beside; zurich decides, and `a` is confirmed everywhere."""
    everybody = (*NAMES, "lugano")
    domain = partial(TrialDomain, "zurich", Decide.MAJORITY)
    made = Workbench(*everybody, domain=domain, members=NAMES)
    made.settle(500)
    made.write("zurich", capacity_of(ROOM, 1))
    book(made, "zurich", "a")
    made.settle(1_000)
    return made


def book(table: Workbench, name: str, id: str, start: int = 0) -> None:
    table.write(name, Book(booking(id), ROOM, start, start + 10, insists=True))


def seating(table: Workbench, name: str) -> SeatingView:
    view = table[name].replica.status(table.clock.now_ms).seating
    assert view is not None
    return view


def members(table: Workbench, name: str) -> list[str]:
    return [node_of(member) for member in seating(table, name).members]


def holder(table: Workbench, name: str) -> str:
    (seat,) = [view for view in seating(table, name).seats if view.id == SEAT]
    return "" if seat.holder is None else node_of(seat.holder)


def state(table: Workbench, name: str, id: str) -> ClaimState:
    claims = table[name].store.claims_of([booking(id)])[booking(id)]
    return next(d.state for d in claims if d.claim.id.part == "slot")


def lose(table: Workbench, *names: str) -> dict[str, Bench]:
    """Nodes that nobody hears any more; they may come back."""
    table.lose()
    return {name: table.nodes.pop(name) for name in names}


def bring_back(table: Workbench, gone: dict[str, Bench], *names: str) -> None:
    table.lose()
    table.nodes |= {name: gone[name] for name in names}


def force(table: Workbench, name: str) -> object:
    node = table[name]
    return table.write(name, ForceRoster(dict(node.store.frontier())))


def alone(table: Workbench, gone: dict[str, Bench], *names: str) -> Workbench:
    """Those who are gone, among themselves: they hear nobody of the others."""
    apart = Workbench()
    apart.clock, apart.nodes = table.clock, {name: gone[name] for name in names}
    return apart


def test_the_survivor_decides_again_and_nothing_confirmed_changes(table: Workbench) -> None:
    lose(table, "zurich", "geneva")
    book(table, "lugano", "b", 20)
    table.settle(6_000)
    assert state(table, "bern", "b") is ClaimState.TENTATIVE
    assert isinstance(force(table, "bern"), Accepted)
    book(table, "lugano", "c")
    table.settle(6_000)
    assert [state(table, "lugano", id) for id in "abc"] == [CONFIRMED, CONFIRMED, DISPLACED]
    assert (members(table, "lugano"), holder(table, "lugano")) == (["bern"], "bern")
    (told,) = {e.fields["version"] for e in table["lugano"].events("roster_forced")}
    assert told == 3


def test_it_stays_so_over_restarts_and_others_join_again(table: Workbench) -> None:
    lose(table, "zurich", "geneva")
    force(table, "bern")
    table.settle(6_000)
    assert isinstance(table.write("bern", ChangeRoster("join", NodeName("lugano"))), Accepted)
    table.settle(8_000)
    for name in ("bern", "lugano"):
        table[name].start()
    book(table, "lugano", "b", 20)
    table.settle(4_000)
    assert members(table, "bern") == members(table, "lugano") == ["bern", "lugano"]
    assert state(table, "bern", "b") is CONFIRMED
    assert {seat.tenures[0].roster for seat in seating(table, "bern").seats} == {4}


def test_what_was_forced_is_in_the_audit_trail(table: Workbench) -> None:
    lose(table, "zurich", "geneva")
    force(table, "bern")
    log = [t for body in table["bern"].log() for t in open_body(body).batch.transactions]
    assert any("roster forced: the majority of geneva." in t.reason for t in log)


def test_an_old_member_that_hears_of_it_stops_before_it_takes_anything(table: Workbench) -> None:
    gone = lose(table, "zurich", "geneva")
    force(table, "bern")
    table.settle(2_000)
    bring_back(table, gone, "geneva")
    before = gone["geneva"].store.frontier()
    with pytest.raises(ClosedOutError, match="bern forced roster 3 without this node"):
        table.settle(2_000)
    assert gone["geneva"].store.frontier() == before


def test_what_the_lost_majority_went_on_deciding_reaches_nobody(table: Workbench) -> None:
    gone = lose(table, "zurich", "geneva")
    apart = alone(table, gone, "zurich", "geneva")
    book(apart, "zurich", "theirs", 20)
    apart.settle(2_000)
    assert state(apart, "geneva", "theirs") is CONFIRMED
    force(table, "bern")
    book(table, "bern", "ours", 20)
    table.settle(6_000)
    assert state(table, "lugano", "ours") is CONFIRMED
    bring_back(table, gone, "zurich")
    table.nodes.pop("bern")  # lugano hears it first, and has heard of the roster
    with pytest.raises(ClosedOutError):
        table.settle(2_000)
    table.nodes.pop("zurich")
    closed = table["lugano"].replica.status(table.clock.now_ms).quarantined
    assert {node_of(origin) for origin in closed} <= {"zurich", "geneva"}
    assert state(table, "lugano", "ours") is CONFIRMED
    assert booking("theirs") not in table["lugano"].store.load([booking("theirs")])


def test_batches_beyond_what_was_closed_are_held_back_visibly(table: Workbench) -> None:
    gone = lose(table, "zurich", "geneva")
    force(table, "bern")
    table.settle(6_000)
    bring_back(table, gone, "zurich")
    table.write("zurich", Book(booking("late"), ROOM, 40, 50, insists=True))
    table.deliver(*table.take("zurich", "bern"))
    held = table["bern"].replica.status(table.clock.now_ms).quarantined
    assert [why for origin, why in held.items() if node_of(origin) == "zurich"] == [
        "its log was closed when bern forced a roster"
    ]
    assert table["bern"].events("origin_quarantined")


def test_nodes_that_know_a_later_roster_take_nothing_from_who_forced_one(
    table: Workbench,
) -> None:
    gone = lose(table, "bern")
    table.settle(4_000)
    table.write("zurich", ChangeRoster("join", NodeName("lugano")))
    table.settle(8_000)
    assert seating(table, "geneva").roster == 2
    rash = alone(table, gone, "bern")
    rash.settle(4_000)
    force(rash, "bern")
    rash.settle(4_000)
    bring_back(table, gone, "bern")
    for _ in range(40):
        table.tick()
        table.deliver_all()
    for name in ("geneva", "zurich", "lugano"):
        held = table[name].replica.status(table.clock.now_ms).quarantined
        assert list(held.values()) == ["forces roster 3, and a later one is known"]
    assert table["bern"].replica.status(table.clock.now_ms).quarantined
    book(table, "zurich", "b", 20)
    for _ in range(40):
        table.tick()
        table.deliver_all()
    assert state(table, "geneva", "b") is CONFIRMED
    assert holder(table, "geneva") in ("zurich", "geneva", "lugano")


def test_a_stranger_forces_nothing(table: Workbench) -> None:
    outcome = force(table, "lugano")
    assert isinstance(outcome, Refusal)
    assert outcome.code == "not_a_member"
    assert members(table, "bern") == list(NAMES)


def test_a_lost_node_comes_back_with_an_empty_disk_and_joins(table: Workbench) -> None:
    gone = lose(table, "zurich", "geneva")
    force(table, "bern")
    table.settle(6_000)
    gone["geneva"].disk.lose_everything()
    gone["geneva"].disk.mint(table.clock.now_ms)
    bring_back(table, gone, "geneva")
    table["geneva"].start()
    table.settle(2_000)
    assert isinstance(table.write("bern", ChangeRoster("join", NodeName("geneva"))), Accepted)
    table.settle(8_000)
    assert members(table, "geneva") == ["bern", "geneva"]
    book(table, "geneva", "b", 20)
    table.settle(2_000)
    assert {state(table, name, "b") for name in table.nodes} == {CONFIRMED}


def test_a_change_that_was_under_way_does_not_stand_in_its_way(table: Workbench) -> None:
    table.write("bern", ChangeRoster("join", NodeName("lugano")))
    table.settle(8_000)
    (seat,) = [view for view in seating(table, "bern").seats if view.id == ROSTER_SEAT]
    assert seat.holder is not None
    survivor = node_of(seat.holder)
    lose(table, *[name for name in table.nodes if name != survivor])
    other = next(name for name in NAMES if name != survivor)
    granted = table.write(survivor, ChangeRoster("leave", NodeName(other)))
    assert isinstance(granted, Accepted)
    force(table, survivor)
    table.settle(8_000)
    for _ in range(2):
        view = seating(table, survivor)
        assert (view.roster, members(table, survivor)) == (4, [survivor])
        assert not view.conflict
        table[survivor].start()
        table.settle(4_000)
    book(table, survivor, "b", 20)
    table.settle(1_000)
    assert state(table, survivor, "b") is CONFIRMED
