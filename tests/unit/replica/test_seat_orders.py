"""What operators do with seats and rosters: hand over, join, leave, replace; and what is refused."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import pytest

from konkordat.kernel.change import NO_HASH, Batch, Change, Transaction
from konkordat.kernel.claim import ClaimState
from konkordat.kernel.hlc import hlc_at
from konkordat.kernel.ids import NodeName, Origin, node_of
from konkordat.kernel.refusal import Refusal
from konkordat.kernel.seat import (
    TERM_MAX,
    Candidacy,
    Decide,
    Decision,
    Entry,
    Finality,
    Opening,
    Roster,
    Ruling,
    SeatId,
    Verdict,
    Vote,
)
from konkordat.replica.messages import Accepted, Received
from konkordat.replica.rosters import ROSTER_SEAT, ChangeRoster, HandOver, proposal_key
from konkordat.replica.seat_log import MEMBERS, entry_changes, roster_change
from konkordat.replica.status import SeatingView
from konkordat.testing.domain import Book, TrialDomain, booking, capacity_of
from konkordat.testing.workbench import Workbench
from konkordat.wire.batches import open_body, seal
from konkordat.wire.messages import Push

ROOM = "room/1"
SEAT = SeatId("acme/resources")
NAMES = ("bern", "geneva", "zurich")
EVERYBODY = (*NAMES, "lugano")


def table_of(*names: str, decide: Decide = Decide.MAJORITY) -> Workbench:
    """Three members, zurich at home, and whoever else is named beside."""
    table = Workbench(*names, domain=partial(TrialDomain, "zurich", decide), members=NAMES)
    table.settle(500)
    table.write("zurich", capacity_of(ROOM, 1))
    table.settle(500)
    return table


@pytest.fixture
def table() -> Workbench:
    return table_of(*NAMES)


@pytest.fixture
def four() -> Workbench:
    """Lugano is there and no member."""
    return table_of(*EVERYBODY)


def seating(table: Workbench, name: str) -> SeatingView:
    view = table[name].replica.status(table.clock.now_ms).seating
    assert view is not None
    return view


def holder(table: Workbench, name: str, seat: SeatId = SEAT) -> str:
    (found,) = [view for view in seating(table, name).seats if view.id == seat]
    return "" if found.holder is None else node_of(found.holder)


def members(table: Workbench, name: str) -> list[str]:
    return [node_of(member) for member in seating(table, name).members]


def state(table: Workbench, name: str, id: str) -> ClaimState:
    claims = table[name].store.claims_of([booking(id)])[booking(id)]
    return next(d.state for d in claims if d.claim.id.part == "slot")


def book(table: Workbench, name: str, id: str, start: int = 0) -> None:
    table.write(name, Book(booking(id), ROOM, start, start + 10, insists=True))


def refused(outcome: Any) -> str:
    assert isinstance(outcome, Refusal), outcome
    return outcome.code


# Handing over --------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", NAMES)
def test_a_seat_is_handed_over_at_any_node_and_nothing_is_void(table: Workbench, at: str) -> None:
    book(table, "zurich", "a")
    table.deliver_all()
    assert isinstance(table.write(at, HandOver(SEAT, NodeName("geneva"))), Accepted)
    table.settle(1_000)
    assert {name: holder(table, name) for name in NAMES} == dict.fromkeys(NAMES, "geneva")
    book(table, "bern", "b")
    book(table, "bern", "c", 20)
    table.settle(500)
    assert [state(table, "zurich", id) for id in "abc"] == [
        ClaimState.CONFIRMED,
        ClaimState.DISPLACED,
        ClaimState.CONFIRMED,
    ]


def test_it_stays_there_until_it_is_given_back(table: Workbench) -> None:
    table.write("zurich", HandOver(SEAT, NodeName("geneva")))
    table.settle(8_000)
    assert holder(table, "zurich") == "geneva"
    table.write("bern", HandOver(SEAT, NodeName("zurich")))
    table.settle(1_000)
    assert holder(table, "bern") == "zurich"


def test_a_home_seat_of_a_lost_node_moves_only_by_an_operator() -> None:
    table = table_of(*NAMES, decide=Decide.HOME)
    book(table, "zurich", "a")
    table.deliver_all()
    table.nodes.pop("zurich")
    table.settle(6_000)
    assert holder(table, "bern") == "zurich"
    table.write("bern", HandOver(SEAT, NodeName("geneva"), accept_loss=True))
    book(table, "bern", "b", 20)
    table.settle(1_000)
    assert holder(table, "bern") == "geneva"
    assert state(table, "bern", "a") is ClaimState.CONFIRMED
    assert state(table, "bern", "b") is ClaimState.CONFIRMED


def test_what_a_silent_node_confirmed_at_home_is_given_up_only_when_that_is_asked_for() -> None:
    table = table_of(*NAMES, decide=Decide.HOME)
    heard_ms = table.clock.now_ms
    gone = table.nodes.pop("zurich")
    table.settle(6_000)
    outcome = table.write("bern", HandOver(SEAT, NodeName("geneva")))
    assert refused(outcome) == "may_lose_confirmed"
    assert outcome.extra["holder"] == "zurich"
    heard = datetime.fromisoformat(outcome.extra["last_heard"]).timestamp() * 1e3
    assert heard_ms - 2_000 <= heard <= heard_ms
    assert outcome.extra["last_heard"] in outcome.detail
    table.nodes["zurich"] = gone
    table.lose()
    book(table, "zurich", "a")  # cut off, it goes on confirming
    table.settle(2_000)
    assert {name: state(table, name, "a") for name in NAMES} == dict.fromkeys(
        NAMES, ClaimState.CONFIRMED
    )


def test_a_loss_that_was_accepted_is_in_the_audit_trail() -> None:
    table = table_of(*NAMES, decide=Decide.HOME)
    table.nodes.pop("zurich")
    table.settle(6_000)
    table.write("bern", HandOver(SEAT, NodeName("geneva"), accept_loss=True))
    last = open_body(table["bern"].log()[-1]).batch.transactions
    assert any("may_lose_confirmed: zurich" in transaction.reason for transaction in last)


def test_a_home_seat_of_a_node_that_is_heard_is_handed_over_there_and_loses_nothing() -> None:
    table = table_of(*NAMES, decide=Decide.HOME)
    book(table, "zurich", "a")
    table.lose()  # confirmed, and on its way
    order = HandOver(SEAT, NodeName("geneva"))
    assert refused(table.write("bern", order)) == "ask_the_holder"
    assert isinstance(table.write("zurich", order), Accepted)
    book(table, "bern", "b", 5)
    table.settle(2_000)
    assert holder(table, "bern") == "geneva"
    assert state(table, "bern", "a") is ClaimState.CONFIRMED
    assert state(table, "bern", "b") is ClaimState.DISPLACED


def test_a_seat_that_its_holder_gave_up_is_handed_on_anywhere() -> None:
    table = table_of(*NAMES, decide=Decide.HOME)
    table.write("zurich", HandOver(SEAT, NodeName("geneva")))
    table.lose(receiver="geneva")
    table.nodes.pop("geneva")
    table.deliver_all()
    assert isinstance(table.write("bern", HandOver(SEAT, NodeName("bern"))), Accepted)
    table.settle(2_000)
    assert holder(table, "zurich") == "bern"


@pytest.mark.parametrize(
    ("seat", "to", "code"),
    [
        ("acme/nothing", "geneva", "not_found"),
        (SEAT, "lugano", "not_a_member"),
        (SEAT, "zurich", "already_the_holder"),
    ],
)
def test_what_cannot_be_handed_over_is_refused(
    table: Workbench, seat: str, to: str, code: str
) -> None:
    assert refused(table.write("bern", HandOver(SeatId(seat), NodeName(to)))) == code


def test_a_seat_is_not_handed_to_a_silent_member(table: Workbench) -> None:
    table.nodes.pop("geneva")
    table.settle(4_000)
    order = HandOver(SEAT, NodeName("geneva"))
    assert refused(table.write("bern", order)) == "member_silent"


# Rosters -------------------------------------------------------------------------------------------


def test_a_node_joins_and_counts(four: Workbench) -> None:
    assert isinstance(four.write("bern", ChangeRoster("join", NodeName("lugano"))), Accepted)
    four.settle(6_000)
    for name in EVERYBODY:
        assert seating(four, name).roster == 2
        assert members(four, name) == ["bern", "geneva", "lugano", "zurich"]
    four.nodes.pop("geneva")
    book(four, "lugano", "a")
    four.settle(1_000)
    assert state(four, "bern", "a") is ClaimState.CONFIRMED


def test_after_a_change_every_seat_is_held_under_the_new_roster(four: Workbench) -> None:
    four.write("bern", ChangeRoster("join", NodeName("lugano")))
    four.settle(8_000)
    rosters = {view.id: view.tenures[0].roster for view in seating(four, "bern").seats}
    assert rosters == {SEAT: 2, ROSTER_SEAT: 2}
    assert holder(four, "bern") == "zurich"


def test_a_node_that_left_holds_nothing_and_decides_nothing(table: Workbench) -> None:
    book(table, "zurich", "a")
    table.deliver_all()
    assert isinstance(table.write("bern", ChangeRoster("leave", NodeName("zurich"))), Accepted)
    table.settle(8_000)
    assert members(table, "zurich") == ["bern", "geneva"]
    assert holder(table, "zurich") in ("bern", "geneva")
    book(table, "zurich", "b")
    book(table, "zurich", "c", 20)
    table.settle(1_000)
    assert [state(table, "geneva", id) for id in "abc"] == [
        ClaimState.CONFIRMED,
        ClaimState.DISPLACED,
        ClaimState.CONFIRMED,
    ]
    before = table["zurich"].log()
    table.nodes.pop("geneva")
    table.settle(6_000)
    assert table["zurich"].log() == before  # it does not even vote


def test_a_lost_node_is_replaced_by_another(four: Workbench) -> None:
    four.nodes.pop("zurich")
    four.settle(6_000)
    change = ChangeRoster("replace", NodeName("zurich"), NodeName("lugano"))
    assert isinstance(four.write("bern", change), Accepted)
    four.settle(8_000)
    assert members(four, "geneva") == ["bern", "geneva", "lugano"]
    four.nodes.pop("geneva")  # two of the new three are a majority
    book(four, "bern", "a")
    four.settle(6_000)
    assert state(four, "lugano", "a") is ClaimState.CONFIRMED


def test_changes_follow_each_other(four: Workbench) -> None:
    four.write("bern", ChangeRoster("join", NodeName("lugano")))
    four.settle(8_000)
    four.write("lugano", ChangeRoster("leave", NodeName("bern")))
    four.settle(8_000)
    assert seating(four, "bern").roster == 3
    assert members(four, "bern") == ["geneva", "lugano", "zurich"]


def test_of_two_changes_at_once_one_wins(four: Workbench) -> None:
    four.write("bern", ChangeRoster("join", NodeName("lugano")))
    four.write("zurich", ChangeRoster("leave", NodeName("bern")))
    four.settle(10_000)
    views = [seating(four, name) for name in EVERYBODY]
    assert {view.roster for view in views} == {2}
    assert len({view.members for view in views}) == 1
    assert not any(view.conflict for view in views)


def test_a_roster_outlives_restarts(four: Workbench) -> None:
    four.write("bern", ChangeRoster("join", NodeName("lugano")))
    four.settle(8_000)
    for name in EVERYBODY:
        four[name].start()
    four.settle(2_000)
    assert {seating(four, name).roster for name in EVERYBODY} == {2}
    book(four, "lugano", "a")
    four.settle(1_000)
    assert state(four, "geneva", "a") is ClaimState.CONFIRMED


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (ChangeRoster("join", NodeName("zurich")), "roster_unchanged"),
        (ChangeRoster("join", NodeName("basel")), "member_silent"),
        (ChangeRoster("leave", NodeName("lugano")), "not_a_member"),
        (ChangeRoster("replace", NodeName("lugano"), NodeName("bern")), "not_a_member"),
        (ChangeRoster("replace", NodeName("zurich"), NodeName("bern")), "already_a_member"),
        (ChangeRoster("replace", NodeName("zurich"), NodeName("geneva")), "already_a_member"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(
    four: Workbench, change: ChangeRoster, code: str
) -> None:
    assert refused(four.write("bern", change)) == code


def test_a_member_that_is_silent_does_not_come_in_the_place_of_another(four: Workbench) -> None:
    four.nodes.pop("geneva")
    four.settle(4_000)
    replace = ChangeRoster("replace", NodeName("zurich"), NodeName("geneva"))
    assert refused(four.write("bern", replace)) == "already_a_member"
    assert members(four, "bern") == sorted(NAMES)


def test_a_change_without_a_living_majority_is_refused(four: Workbench) -> None:
    four.nodes.pop("zurich")
    four.settle(4_000)
    leave = ChangeRoster("leave", NodeName("bern"))  # geneva alone of geneva and zurich
    assert refused(four.write("geneva", leave)) == "no_majority"
    four.nodes.pop("geneva")
    four.settle(4_000)
    assert refused(four.write("bern", ChangeRoster("join", NodeName("lugano")))) == "no_majority"


def test_the_last_member_stays() -> None:
    table = Workbench("zurich", members=["zurich"])
    table.tick()
    leave = ChangeRoster("leave", NodeName("zurich"))
    assert refused(table.write("zurich", leave)) == "roster_size"


def test_who_holds_home_seats_does_not_leave() -> None:
    table = table_of(*NAMES, decide=Decide.HOME)
    leave = ChangeRoster("leave", NodeName("zurich"))
    assert refused(table.write("bern", leave)) == "holds_home_seats"


def test_without_seats_there_is_nothing_to_order() -> None:
    table = Workbench("zurich")
    assert refused(table.write("zurich", HandOver(SEAT, NodeName("zurich")))) == "no_roster"


# What hand-made batches say ------------------------------------------------------------------------


class Stranger:
    """Writes a log of its own and tells whom it likes."""

    def __init__(self, table: Workbench) -> None:
        self._table = table
        self.origin = Origin("mallory.1")
        self._seq, self._head = 0, NO_HASH

    def says(self, *changes: Change) -> None:
        self._seq += 1
        transaction = Transaction(hlc_at(self._table.clock.now_ms), changes, "node:mallory")
        sealed = seal(Batch(self.origin, self._seq, self._head, (transaction,)))
        self._head = sealed.hash
        for name in NAMES:
            self._table.do(name, Received(NodeName("mallory"), Push((sealed.body,), 0)))

    def enters(self, *entries: Entry) -> None:
        for changes in entry_changes(entries):
            self.says(*changes)

    def proposes(self, roster: Roster) -> None:
        value = msgspec.json.encode(roster.members)
        self.says(Change(proposal_key(roster), 1, {MEMBERS: value}))


def codes(table: Workbench, event: str) -> set[str]:
    return {str(e.fields["code"]) for name in NAMES for e in table[name].events(event)}


@pytest.mark.row("S0-14")
def test_votes_and_decisions_of_strangers_are_journaled_and_change_nothing(
    table: Workbench,
) -> None:
    book(table, "bern", "a")
    table.settle(500)
    mallory = Stranger(table)
    claim = table["bern"].store.claims_of([booking("a")])[booking("a")][0].claim
    term = seating(table, "bern").seats[0].term
    mallory.enters(Vote(SEAT, term + 1, mallory.origin, 1, ()))
    mallory.enters(Decision(SEAT, term, (Ruling(Verdict.FREED, claim),)))
    table.settle(2_000)
    assert codes(table, "seat_entry_refused") == {"not_a_member"}
    assert all(state(table, name, "a") is ClaimState.CONFIRMED for name in NAMES)
    book(table, "geneva", "b", 20)
    table.settle(1_000)
    assert state(table, "zurich", "b") is ClaimState.CONFIRMED


def test_a_stranger_that_opens_a_term_of_its_own_takes_no_seat(table: Workbench) -> None:
    book(table, "bern", "a")
    table.settle(500)
    mallory = Stranger(table)
    claim = table["bern"].store.claims_of([booking("a")])[booking("a")][0].claim
    mallory.enters(
        Candidacy(SEAT, TERM_MAX, 1),
        Opening(SEAT, TERM_MAX, 1, Decide.MAJORITY, None, (mallory.origin,)),
        Decision(SEAT, TERM_MAX, (Ruling(Verdict.FREED, claim),)),
        Finality(SEAT, TERM_MAX, 1),
    )
    table.settle(2_000)
    book(table, "geneva", "b", 20)
    table.settle(1_000)
    for name in NAMES:
        table[name].start()
    table.settle(1_000)
    book(table, "bern", "c", 40)
    table.settle(1_000)
    for name in NAMES:
        assert {id: state(table, name, id) for id in "abc"} == dict.fromkeys(
            "abc", ClaimState.CONFIRMED
        )
    assert seating(table, "bern").seats[0].term < TERM_MAX


def test_a_roster_that_was_only_said_does_not_count(table: Workbench) -> None:
    mallory = Stranger(table)
    mallory.says(roster_change(Roster(2, (mallory.origin,))))
    table.settle(500)
    assert codes(table, "roster_refused") == {"roster_not_decided"}
    assert {seating(table, name).roster for name in NAMES} == {1}


def test_a_proposal_that_breaks_the_rules_is_denied_by_the_holder(table: Workbench) -> None:
    mallory = Stranger(table)
    strangers = (Origin("mallory.1"), Origin("mallory.2"))
    mallory.proposes(Roster(2, strangers))
    mallory.proposes(Roster(7, strangers[:1]))
    table.settle(8_000)
    assert codes(table, "roster_refused") == {"several_members_at_once", "roster_moved_on"}
    assert {seating(table, name).roster for name in NAMES} == {1}


def test_a_proposal_that_is_not_what_its_name_says_is_none(table: Workbench) -> None:
    mallory = Stranger(table)
    key = proposal_key(Roster(2, (Origin("bern.1"),)))
    mallory.says(Change(key, 1, {MEMBERS: b'["mallory.1"]'}))
    table.settle(8_000)
    assert {seating(table, name).roster for name in NAMES} == {1}
    assert holder(table, "bern") == "zurich"


def test_a_decision_of_a_node_that_was_followed_meanwhile_is_journaled(table: Workbench) -> None:
    gone = table.nodes.pop("zurich")
    table.settle(6_000)
    table.nodes["zurich"] = gone
    table.lose()
    book(table, "zurich", "late")  # it has not heard of its successor
    table.settle(2_000)
    assert codes(table, "seat_entry_refused") == {"beyond_the_cutoff"}
    assert state(table, "bern", "late") is ClaimState.CONFIRMED  # decided anew
