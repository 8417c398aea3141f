"""Claims are decided by whoever holds the seat: from the wish at any node to what may be told at every node."""

from __future__ import annotations

from functools import partial

import pytest

from konkordat.kernel.claim import ClaimState, DecidedClaim
from konkordat.kernel.ids import NodeName, record_key
from konkordat.kernel.refusal import Refusal
from konkordat.kernel.seat import Decide
from konkordat.replica.messages import Accepted
from konkordat.testing.domain import Book, Put, Remove, TrialDomain, booking, capacity_of
from konkordat.testing.workbench import Workbench

ROOM = "room/1"
NAMES = ("bern", "geneva", "zurich")


def states(table: Workbench, name: str, id: str) -> dict[str, ClaimState]:
    """What a node tells of a booking, by part."""
    claims = table[name].store.claims_of([booking(id)]).get(booking(id), [])
    return {decided.claim.id.part: decided.state for decided in claims}


def told(table: Workbench, name: str, id: str) -> DecidedClaim:
    claims = table[name].store.claims_of([booking(id)])[booking(id)]
    return next(decided for decided in claims if decided.claim.id.part == "slot")


def wish(id: str, start: int = 0, until: int = 10, *, insists: bool = True) -> Book:
    return Book(booking(id), ROOM, start, until, insists=insists)


@pytest.fixture
def alone() -> Workbench:
    table = Workbench("zurich", members=["zurich"])
    table.tick()
    return table


@pytest.fixture
def table() -> Workbench:
    """Three members; zurich is at home and holds the seat."""
    table = Workbench(*NAMES, domain=partial(TrialDomain, "zurich"), members=NAMES)
    table.settle(500)
    table.write("zurich", capacity_of(ROOM, 1))
    table.settle(500)
    return table


def test_a_roster_of_one_confirms_in_the_commit_itself(alone: Workbench) -> None:
    outcome = alone.write("zurich", wish("a"))
    assert isinstance(outcome, Accepted)
    assert [d.state for d in outcome.claims] == [ClaimState.CONFIRMED]


def test_a_home_seat_confirms_in_the_commit_itself() -> None:
    table = Workbench(*NAMES, domain=partial(TrialDomain, "zurich", Decide.HOME), members=NAMES)
    table.settle(500)
    table.write("zurich", capacity_of(ROOM, 1))
    table.settle(500)
    outcome = table.write("zurich", wish("a"))
    assert isinstance(outcome, Accepted)
    assert [d.state for d in outcome.claims] == [ClaimState.CONFIRMED]


def test_a_majority_takes_one_round_trip(table: Workbench) -> None:
    outcome = table.write("zurich", wish("a"))
    assert isinstance(outcome, Accepted)
    assert [d.state for d in outcome.claims] == [ClaimState.TENTATIVE]
    table.deliver_all()  # no time passes: push, acknowledgement, finality
    assert {name: states(table, name, "a") for name in NAMES} == {
        name: {"slot": ClaimState.CONFIRMED} for name in NAMES
    }


def test_a_claim_made_elsewhere_is_decided_by_the_holder(table: Workbench) -> None:
    table.write("bern", wish("a"))
    table.deliver_all()
    assert all(states(table, name, "a") == {"slot": ClaimState.CONFIRMED} for name in NAMES)


def test_of_two_at_once_one_is_confirmed_and_the_other_displaced_with_the_reason(
    table: Workbench,
) -> None:
    table.write("bern", wish("a"))
    table.write("geneva", wish("b"))
    table.deliver_all()
    for name in NAMES:
        found = {id: told(table, name, id) for id in ("a", "b")}
        won, lost = sorted(found, key=lambda each: found[each].state is not ClaimState.CONFIRMED)
        assert [found[won].state, found[lost].state] == [
            ClaimState.CONFIRMED,
            ClaimState.DISPLACED,
        ]
        assert [rival.owner.id for rival in found[lost].against] == [won]


def test_what_waits_for_its_decision_is_in_the_way_of_a_careful_booking(table: Workbench) -> None:
    table.write("bern", wish("a"))
    assert isinstance(table.write("bern", wish("b", insists=False)), Refusal)


def test_a_freed_place_can_be_had_by_another(table: Workbench) -> None:
    table.write("zurich", wish("a"))
    table.deliver_all()
    table.write("geneva", Remove(booking("a")))
    table.deliver_all()
    table.write("bern", wish("b", insists=False))
    table.deliver_all()
    assert all(states(table, name, "b") == {"slot": ClaimState.CONFIRMED} for name in NAMES)
    assert all(states(table, name, "a") == {} for name in NAMES)


def test_a_move_keeps_the_old_place_until_the_new_one_is_confirmed(table: Workbench) -> None:
    table.write("zurich", wish("a", 0, 10))
    table.write("zurich", wish("b", 20, 30))
    table.deliver_all()
    table.write("bern", wish("a", 20, 30))
    table.deliver_all()
    assert states(table, "geneva", "a") == {
        "slot": ClaimState.DISPLACED,
        "slot@held": ClaimState.CONFIRMED,
    }
    table.write("bern", wish("a", 40, 50))
    assert states(table, "bern", "a") == {
        "slot": ClaimState.TENTATIVE,
        "slot@held": ClaimState.CONFIRMED,
    }
    table.deliver_all()
    assert all(states(table, name, "a") == {"slot": ClaimState.CONFIRMED} for name in NAMES)


def test_another_member_decides_when_the_holder_is_gone_and_nothing_confirmed_changes(
    table: Workbench,
) -> None:
    table.write("zurich", wish("a"))
    table.deliver_all()
    gone = table.nodes.pop("zurich")
    table.write("bern", wish("b"))
    table.write("bern", wish("c", 20, 30))
    table.settle(5_000)
    assert {id: told(table, "geneva", id).state for id in "abc"} == {
        "a": ClaimState.CONFIRMED,
        "b": ClaimState.DISPLACED,
        "c": ClaimState.CONFIRMED,
    }
    table.nodes["zurich"] = gone
    table.write("zurich", wish("d", 20, 30))
    table.settle(3_000)
    assert {id: told(table, "zurich", id).state for id in "abcd"} == {
        "a": ClaimState.CONFIRMED,
        "b": ClaimState.DISPLACED,
        "c": ClaimState.CONFIRMED,
        "d": ClaimState.DISPLACED,
    }


def test_without_a_majority_claims_stay_tentative_and_are_decided_when_it_is_back(
    table: Workbench,
) -> None:
    others = {name: table.nodes.pop(name) for name in ("bern", "geneva")}
    table.write("zurich", wish("a"))
    table.settle(6_000)
    assert told(table, "zurich", "a").state is ClaimState.TENTATIVE
    table.nodes |= others
    table.settle(6_000)
    assert all(told(table, name, "a").state is ClaimState.CONFIRMED for name in NAMES)


def test_a_restart_takes_nothing_back_and_goes_on_deciding(table: Workbench) -> None:
    table.write("zurich", wish("a"))
    table.deliver_all()
    for name in NAMES:
        table[name].start()
    table.settle(1_000)
    table.write("geneva", wish("b"))
    table.write("geneva", wish("c", 10, 20))
    table.settle(1_000)
    assert {id: told(table, "bern", id).state for id in "abc"} == {
        "a": ClaimState.CONFIRMED,
        "b": ClaimState.DISPLACED,
        "c": ClaimState.CONFIRMED,
    }


def test_a_release_before_a_takeover_frees_the_place_after_it(table: Workbench) -> None:
    table.write("zurich", wish("a"))
    table.deliver_all()
    table.nodes.pop("zurich")
    table.write("bern", Remove(booking("a")))
    table.settle(5_000)
    table.write("geneva", wish("b"))
    table.settle(500)
    assert told(table, "bern", "b").state is ClaimState.CONFIRMED


def test_more_capacity_counts_for_the_next(table: Workbench) -> None:
    table.write("zurich", wish("a"))
    table.write("zurich", capacity_of(ROOM, 2))
    table.write("bern", wish("b"))
    table.settle(500)
    assert told(table, "geneva", "b").state is ClaimState.CONFIRMED


def test_no_roster_no_decision() -> None:
    table = Workbench("zurich", members=[])
    table.write("zurich", wish("a"))
    table.settle(5_000)
    assert told(table, "zurich", "a").state is ClaimState.TENTATIVE


def test_what_a_stranger_says_of_a_seat_is_journaled_and_changes_nothing(table: Workbench) -> None:
    table.write("bern", Put(record_key("_system", "seats", "acme/resources"), {"entries": [1]}))
    table.settle(500)
    assert table["zurich"].events("seat_entry_unreadable")
    table.write("bern", wish("a"))
    table.settle(500)
    assert told(table, "bern", "a").state is ClaimState.CONFIRMED


def test_two_first_rosters_stop_all_deciding_and_say_so() -> None:
    """Each was started alone, then joined: nobody may guess which of the two counts."""
    table = Workbench("bern", "zurich", members=["bern"])
    table["zurich"].members = [NodeName("zurich")]
    table["zurich"].start()
    table.tick()
    table.lose()
    table.settle(500)
    assert table["bern"].events("roster_conflict")
    table.write("bern", wish("a"))
    table.settle(500)
    assert told(table, "bern", "a").state is ClaimState.TENTATIVE
