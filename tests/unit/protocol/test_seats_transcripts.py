"""The steps of the safety argument, one run each. All runs are the model's (tests/simulation); these are to be read."""

from __future__ import annotations

import msgspec
import pytest

from konkordat.kernel.claim import ClaimState
from konkordat.kernel.ids import NodeName, Origin
from konkordat.kernel.seat import (
    At,
    Candidacy,
    Decide,
    Decision,
    Finality,
    Opening,
    Roster,
    Vote,
)
from konkordat.protocol.seats.machine import Seats
from konkordat.protocol.seats.seat import SETTLED_AT_ONCE
from support.seats import (
    ROSTER,
    SEAT,
    SPEC,
    A,
    B,
    C,
    D,
    Nodes,
    claim,
    elected,
    wants,
)

X = claim("x", 10, 20)
Y = claim("y", 15, 25)  # wants the room while x has it
CONFIRMED, TENTATIVE = ClaimState.CONFIRMED, ClaimState.TENTATIVE
DISPLACED = ClaimState.DISPLACED


def kinds(entries: list) -> list[type]:
    return [type(entry) for entry in entries]


def test_the_home_node_takes_a_seat_that_nobody_ever_held() -> None:
    nodes = Nodes()
    assert kinds(nodes.act(A, A, B, C)) == [Candidacy, Vote]
    assert nodes.act(B, A, B, C) == []
    nodes.sync(A, B, C)
    assert kinds(nodes.act(B, A, C)) == [Vote]
    nodes.sync(A, B)
    assert kinds(nodes.act(A, B, C)) == [Opening]
    assert nodes.seats[A].deciding(SEAT)


def test_others_take_it_when_home_is_gone() -> None:
    nodes = Nodes()
    nodes.silence()
    nodes.rounds(B, C, count=20)
    (holder,) = nodes.holders(B)
    assert holder[1] in "bc"


def test_a_decision_is_tentative_until_a_majority_has_it() -> None:
    nodes = elected()
    nodes.decide(A, wants(X))
    nodes.act(A, B, C)
    assert nodes.told(A, X) is TENTATIVE
    nodes.pull(B, A)
    assert nodes.act(A, B, C) == []
    nodes.tell(A, B)
    (final,) = nodes.act(A, B, C)
    assert isinstance(final, Finality)
    assert nodes.told(A, X) is CONFIRMED
    assert nodes.told(B, X) is TENTATIVE
    nodes.pull(C, A)
    assert nodes.told(C, X) is CONFIRMED


def test_a_holder_that_is_cut_off_confirms_nothing() -> None:
    nodes = elected()
    nodes.decide(A, wants(X))
    nodes.silence()
    assert nodes.act(A) == []
    assert nodes.told(A, X) is TENTATIVE


def test_a_final_decision_survives_its_holder() -> None:
    nodes = elected()
    nodes.decide(A, wants(X))
    nodes.pull(B, A)
    nodes.tell(A, B)
    nodes.act(A, B)
    assert nodes.told(A, X) is CONFIRMED
    nodes.silence()
    nodes.rounds(B, C, count=20)
    (successor,) = [node for node in (B, C) if nodes.seats[node].deciding(SEAT)]
    nodes.decide(successor, wants(Y))
    nodes.rounds(B, C)
    assert nodes.told(C, X) is CONFIRMED
    assert nodes.told(C, Y) is DISPLACED


def test_what_only_the_lost_holder_knew_is_void_and_decided_anew() -> None:
    nodes = elected()
    nodes.decide(A, wants(X))  # nobody else ever hears of it in time
    nodes.silence()
    nodes.rounds(B, C, count=20)
    (successor,) = [node for node in (B, C) if nodes.seats[node].deciding(SEAT)]
    nodes.decide(successor, wants(Y), wants(X))
    nodes.rounds(B, C)
    assert (nodes.told(B, Y), nodes.told(B, X)) == (CONFIRMED, DISPLACED)
    nodes.tell(A, B)
    nodes.act(A, B, C)  # the old holder, back, and not yet knowing
    assert nodes.told(A, X) is TENTATIVE
    nodes.rounds(A, B, C)
    assert not nodes.seats[A].deciding(SEAT)
    assert (nodes.told(A, Y), nodes.told(A, X)) == (CONFIRMED, DISPLACED)


def test_a_holder_stops_deciding_at_the_first_vote_for_another() -> None:
    nodes = elected()
    nodes.silence()
    nodes.act(B, C)
    nodes.pull(A, B)
    assert not nodes.seats[A].deciding(SEAT)


def test_what_a_voter_gets_after_its_vote_it_does_not_confirm() -> None:
    nodes = elected()
    nodes.decide(A, wants(X))
    nodes.silence()
    nodes.act(B, C)
    nodes.act(C, B)
    nodes.pull(C, B)
    nodes.pull(B, A)
    nodes.pull(A, B)
    nodes.tell(A, B)
    assert not any(isinstance(entry, Finality) for entry in nodes.act(A, B, C))
    assert nodes.told(A, X) is TENTATIVE


def test_an_acknowledgement_waits_for_the_log_of_who_gave_it() -> None:
    nodes = elected()
    nodes.decide(A, wants(X))
    nodes.silence()
    nodes.act(B, C)  # votes for itself …
    nodes.pull(B, A)  # … and only then gets the decision
    nodes.tell(A, B)
    assert nodes.act(A, B, C) == []
    nodes.pull(A, B)
    assert nodes.told(A, X) is TENTATIVE


def test_a_vote_before_the_acknowledgement_confirms_as_far_as_it_had_the_log() -> None:
    nodes = elected()
    nodes.decide(A, wants(X))
    nodes.pull(B, A)
    nodes.silence()
    nodes.act(B, C)
    nodes.pull(A, B)
    nodes.tell(A, B)
    assert kinds(nodes.act(A, B)) == [Finality]
    assert nodes.told(A, X) is CONFIRMED


def test_the_cutoff_is_the_furthest_that_any_voter_had() -> None:
    nodes = elected()
    before = nodes.frontier(C)[A]
    nodes.decide(A, wants(X))
    nodes.pull(C, A)
    nodes.silence()
    nodes.act(B, C)
    nodes.pull(C, B)
    nodes.act(C, B)
    nodes.pull(B, C)
    (opening,) = nodes.act(B, C)
    assert isinstance(opening, Opening)
    assert opening.last is not None
    assert (opening.last.holder, opening.last.cutoff) == (A, before + 1)


def test_a_candidate_opens_only_with_all_that_its_voters_had() -> None:
    nodes = elected()
    nodes.decide(A, wants(X))
    nodes.pull(C, A)
    nodes.silence()
    nodes.act(B, C)
    nodes.pull(C, B)
    nodes.act(C, B)
    missing = nodes.logs[C].pop(A)  # b gets what c wrote, not yet what a wrote
    nodes.pull(B, C)
    assert nodes.act(B, C) == []
    nodes.logs[C][A] = missing
    nodes.pull(B, C)
    assert kinds(nodes.act(B, C)) == [Opening]


def test_a_voter_does_not_unseat_a_holder_that_it_just_heard() -> None:
    nodes = elected()
    nodes.silence()
    nodes.act(B, C)
    nodes.pull(C, B)
    assert nodes.act(C, A, B) == []
    assert kinds(nodes.act(C, B)) == [Vote]


def test_nobody_stands_without_hearing_a_majority() -> None:
    nodes = elected()
    nodes.silence()
    assert nodes.act(B) == []
    nodes.act(B, C)
    nodes.silence()
    assert kinds(nodes.act(B, C)) == [Candidacy, Vote]


def test_who_was_cut_off_does_not_take_the_holder_for_lost_that_it_has_not_heard_yet() -> None:
    nodes = elected()
    nodes.silence()
    assert nodes.act(B) == []  # alone: it hears nobody
    nodes.now_ms += 100
    assert nodes.act(B, C) == []  # and now somebody, but not the holder
    nodes.now_ms += 100
    assert nodes.act(B, A, C) == []
    assert nodes.seats[A].deciding(SEAT)


@pytest.mark.parametrize("decide", list(Decide))
def test_a_seat_that_is_to_decide_otherwise_is_opened_anew_by_its_holder(decide: Decide) -> None:
    before = Decide.HOME if decide is Decide.MAJORITY else Decide.MAJORITY
    nodes = elected()
    for mode in (before, decide):
        for node in (A, B, C):
            nodes.seats[node].establish(msgspec.structs.replace(SPEC, decide=mode))
        nodes.rounds(A, B, C)
    assert nodes.seats[A].deciding(SEAT)
    assert nodes.seats[B].decided_by(SEAT) is decide
    term = nodes.holders(B)[0][0]
    nodes.rounds(A, B, C)
    assert nodes.holders(B)[0][0] == term  # once


def test_a_holder_that_is_cut_off_goes_on_deciding_as_its_term_says() -> None:
    nodes = elected()
    nodes.seats[A].establish(msgspec.structs.replace(SPEC, decide=Decide.HOME))
    nodes.silence()
    nodes.act(A)
    nodes.decide(A, wants(X))
    nodes.act(A)
    assert nodes.told(A, X) is TENTATIVE


def test_two_candidates_of_one_term_do_not_duel_for_ever() -> None:
    nodes = elected()
    nodes.silence()
    nodes.act(B, C)
    nodes.act(C, B)
    nodes.rounds(B, C, count=60)
    assert [nodes.seats[node].deciding(SEAT) for node in (B, C)].count(True) == 1


def test_a_holder_that_lost_one_vote_to_nobody_goes_on_in_a_later_term() -> None:
    nodes = elected()
    nodes.silence()
    nodes.act(B, C)
    nodes.rounds(A, B, C, count=60)
    assert nodes.seats[A].deciding(SEAT)
    assert nodes.holders(C)[0] == (3, "a")


def test_a_planned_handover_leaves_nothing_void() -> None:
    nodes = elected()
    nodes.decide(A, wants(X))
    nodes.write(A, [nodes.seats[A].hand_over(SEAT, NodeName("c"))])
    assert not nodes.seats[A].deciding(SEAT)
    nodes.rounds(A, B, C)
    assert nodes.seats[C].deciding(SEAT)
    nodes.decide(C, wants(Y))
    nodes.rounds(A, B, C)
    assert [nodes.told(node, X) for node in (A, B, C)] == [CONFIRMED] * 3
    assert nodes.told(A, Y) is DISPLACED


HOME = msgspec.structs.replace(SPEC, decide=Decide.HOME)


def test_a_home_seat_confirms_in_the_same_commit_and_alone() -> None:
    nodes = Nodes(spec=HOME)
    nodes.rounds(A, B, C)
    nodes.silence()
    nodes.decide(A, wants(X))
    assert nodes.told(A, X) is CONFIRMED


def test_a_home_seat_is_not_looked_at_with_each_acknowledgement() -> None:
    """A node holds a thousand of them, each with a few decisions of which no more is to be said."""
    nodes = Nodes(spec=HOME)
    nodes.rounds(A, B, C)
    heard = dict.fromkeys((A, B, C), nodes.now_ms)
    nodes.decide(A, wants(X))
    nodes.sync(A, B, C)
    nodes.act(A, B, C)
    nodes.tell(A, B)
    assert not nodes.seats[A].has_due(nodes.now_ms, heard)


def test_a_home_seat_tells_that_a_majority_has_its_decisions_once_they_are_many() -> None:
    nodes = Nodes(spec=HOME)
    nodes.rounds(A, B, C)
    places = [claim(f"g{number}", number, number + 1) for number in range(SETTLED_AT_ONCE)]
    nodes.decide(A, *map(wants, places[:-1]))
    nodes.rounds(A, B, C)
    assert Finality not in kinds(said_by_a(nodes))
    nodes.decide(A, wants(places[-1]))
    nodes.rounds(A, B, C)
    assert kinds(said_by_a(nodes)).count(Finality) == 1


def said_by_a(nodes: Nodes) -> list:
    return [entry for entries in nodes.logs[A][A] for entry in entries]


def test_a_home_seat_is_taken_over_by_an_operator_only() -> None:
    nodes = Nodes(spec=HOME)
    nodes.rounds(A, B, C)
    nodes.silence()
    nodes.rounds(B, C, count=40)
    assert not nodes.seats[B].deciding(SEAT)
    assert not nodes.seats[C].deciding(SEAT)
    nodes.write(B, [nodes.seats[B].hand_over(SEAT, NodeName("b"))])
    nodes.rounds(B, C)
    assert nodes.seats[B].deciding(SEAT)


def test_a_restart_takes_back_nothing_that_was_told() -> None:
    nodes = elected()
    nodes.decide(A, wants(X), wants(Y))
    nodes.rounds(A, B, C)
    before = nodes.seats[A].final_upto(SEAT)
    nodes.restart(A)
    assert nodes.told(A, X) is CONFIRMED
    assert nodes.told(A, Y) is DISPLACED
    assert nodes.seats[A].final_upto(SEAT) == before
    assert nodes.seats[A].deciding(SEAT)


def test_a_node_that_lost_its_disk_is_nobody_until_it_is_admitted() -> None:
    nodes = elected()
    reborn = Origin("b.2")
    nodes.logs[reborn] = {}
    nodes.seats[reborn] = Seats(reborn, ROSTER)
    nodes.seats[reborn].establish(SPEC)
    nodes.pull(reborn, A)
    nodes.silence()
    assert nodes.act(reborn, C) == []
    nodes.act(C, B, reborn)
    nodes.pull(reborn, C)
    assert nodes.act(reborn, C) == []


def test_a_vote_of_a_stranger_is_noted_and_not_counted() -> None:
    nodes = elected()
    nodes.silence()
    nodes.act(C, B)
    vote = Vote(SEAT, 2, C, 1, ((D, 1),))
    nodes.seats[C].applied(vote, At(D, 1))
    nodes.seats[C].reached({**nodes.frontier(C), D: 1})
    assert [refused.code for refused in nodes.seats[C].refused] == ["not_a_member"]
    assert nodes.act(C, B) == []


def test_a_second_vote_in_a_term_and_a_decision_of_a_stranger_are_refused() -> None:
    nodes = elected()
    seats = nodes.seats[C]
    seats.applied(Vote(SEAT, 1, C, 1, ((B, 9),)), At(B, 9))
    seats.applied(Decision(SEAT, 1, ()), At(B, 10))
    seats.applied(Opening(SEAT, 7, 1, Decide.MAJORITY, None, ()), At(B, 11))
    codes = [refused.code for refused in seats.refused]
    assert codes == ["voted_already", "not_the_holder", "opened_without_standing"]


def test_a_replaced_roster_needs_the_majority_of_the_one_before() -> None:
    """Members a, b, c become b, c, d. Majorities {a, c} and {b, d} share nobody: d must ask old members too."""
    after = Roster(2, (B, C, D))
    nodes = Nodes((A, B, C, D))
    nodes.rounds(A, C, count=3)
    assert nodes.seats[A].deciding(SEAT)
    for node in (B, D):
        nodes.seats[node].roster_changed(after)
    nodes.silence()
    nodes.rounds(B, D, count=40)
    assert nodes.holders(B) == []
    nodes.seats[C].roster_changed(after)
    nodes.rounds(B, C, D, count=60)
    (term, _name), (first, _home) = nodes.holders(D)
    assert term > first == 1


def test_terms_of_which_something_is_missing_do_not_rule_yet() -> None:
    nodes = elected()
    nodes.decide(A, wants(X))
    nodes.rounds(A, B)
    nodes.silence()
    nodes.act(B, C)
    nodes.pull(C, B)
    nodes.act(C, B)
    nodes.pull(B, C)
    nodes.act(B, C)
    assert nodes.holders(B)[0] == (2, "b")
    fresh = Nodes((D,), ROSTER)
    fresh.logs[B] = {B: nodes.logs[B][B]}
    fresh.pull(D, B)  # the new holder's log, without the old holder's
    assert fresh.holders(D) == []
    fresh.logs[B] = nodes.logs[B]
    fresh.pull(D, B)
    assert fresh.holders(D) == nodes.holders(B)
    assert fresh.told(D, X) is CONFIRMED
