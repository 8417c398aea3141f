"""What a node keeps of a seat's terms: what may still matter, however often the seat changes hands or members stand."""

from __future__ import annotations

import pytest

from konkordat.kernel.claim import ClaimState
from konkordat.kernel.ids import NodeName, Origin, node_of
from konkordat.kernel.seat import (
    TERM_LEAP_MAX,
    TERM_MAX,
    At,
    Candidacy,
    Decision,
    Finality,
    Handover,
    Link,
    Opening,
    Ruling,
    Verdict,
    Vote,
    decode,
    encode,
)
from konkordat.protocol.seats.history import STANDING_MAX, VOTES_MAX, History
from konkordat.protocol.seats.seat import PAST_TENURES_MAX
from support.seats import SEAT, A, B, C, Nodes, claim, elected, wants

MEMBERS = (A, B, C)


def handed_round(times: int) -> Nodes:
    """Nodes that hand the seat to each other, and a place that was given in the first term."""
    nodes = elected()
    nodes.decide(A, wants(claim("x", 10, 20)))
    nodes.rounds(*MEMBERS)
    for turn in range(times):
        holder, heir = MEMBERS[turn % 3], MEMBERS[(turn + 1) % 3]
        nodes.write(holder, [nodes.seats[holder].hand_over(SEAT, NodeName(node_of(heir)))])
        nodes.rounds(*MEMBERS)
        assert nodes.seats[heir].deciding(SEAT)
    return nodes


def kept(nodes: Nodes, node: Origin) -> int:
    history = nodes.seats[node]._seats[SEAT].history
    votes = sum(map(len, history.votes.values()))
    return len(history.terms) + len(history.candidacies) + len(history.handovers) + votes


def test_however_often_a_seat_is_handed_over_the_same_is_kept_of_it() -> None:
    few, many = handed_round(3), handed_round(30)
    for node in MEMBERS:
        assert kept(few, node) == kept(many, node) < 15
        assert many.told(node, claim("x", 10, 20)) is ClaimState.CONFIRMED
        many.restart(node)
        assert kept(few, node) == kept(many, node)
        assert many.told(node, claim("x", 10, 20)) is ClaimState.CONFIRMED
    y = claim("y", 15, 25)
    many.decide(A, wants(y))
    many.rounds(*MEMBERS)
    assert many.told(C, y) is ClaimState.DISPLACED


def test_the_timeline_has_holders_whose_terms_are_forgotten() -> None:
    nodes = handed_round(7)
    told = [(term, "abc"[(term - 1) % 3]) for term in range(8, 0, -1)]
    assert nodes.holders(B) == told
    nodes.restart(B)
    assert nodes.holders(B) == told
    assert PAST_TENURES_MAX > 7


def test_a_seat_with_forgotten_terms_is_taken_over_and_old_holders_come_back() -> None:
    nodes = handed_round(4)  # b holds the seat
    x, y, z = claim("x", 10, 20), claim("y", 20, 30), claim("z", 25, 35)
    nodes.decide(B, wants(y))  # and nobody hears of it
    nodes.silence()
    nodes.rounds(A, C, count=20)
    (holder,) = [node for node in (A, C) if nodes.seats[node].deciding(SEAT)]
    nodes.decide(holder, wants(z), wants(y))
    nodes.rounds(*MEMBERS)
    for node in MEMBERS:
        assert [nodes.told(node, each) for each in (x, z)] == [ClaimState.CONFIRMED] * 2
        assert nodes.told(node, y) is ClaimState.DISPLACED


def test_what_is_said_of_a_forgotten_term_counts_for_nothing_and_a_decision_is_told() -> None:
    nodes = handed_round(6)
    seats = nodes.seats[A]
    late = Ruling(Verdict.GRANTED, claim("z", 40, 50))
    before = kept(nodes, A)
    for entry in (
        Candidacy(SEAT, 2, 1),
        Opening(SEAT, 2, 1, "majority", Link(1, A, 1), (B, C)),  # type: ignore[arg-type]
        Finality(SEAT, 2, 9),
        Handover(SEAT, 2, NodeName("c")),
        Decision(SEAT, 2, (late,)),
    ):
        seats.applied(entry, At(B, 1_000))
    assert [(refused.code, refused.entry.term) for refused in seats.refused] == [
        ("beyond_the_cutoff", 2)
    ]
    assert kept(nodes, A) == before
    assert nodes.told(A, late.claim) is ClaimState.TENTATIVE
    assert seats.held(SEAT, late.claim.id) is None


@pytest.mark.parametrize(
    "entry",
    [
        Candidacy(SEAT, TERM_MAX, 1),
        Vote(SEAT, TERM_MAX, B, 1, ((B, 1),)),
        Handover(SEAT, TERM_MAX, NodeName("c")),
    ],
    ids=lambda entry: type(entry).__name__,
)
def test_a_broken_member_cannot_use_up_the_terms(entry: Candidacy | Vote | Handover) -> None:
    """After the highest term there is none: the seat would have stayed without a holder for ever."""
    nodes = elected()
    nodes.write(B, [entry])
    nodes.seats[B].applied(entry, At(B, nodes.frontier(B)[B]))
    nodes.sync(*MEMBERS)
    assert [refused.code for refused in nodes.seats[C].refused] == ["term_leaps"]
    nodes.silence()
    nodes.rounds(B, C, count=20)
    (holder,) = [n for n in (B, C) if nodes.seats[n].deciding(SEAT)]
    for log in nodes.logs[holder].values():
        for batch in log:
            assert all(decode(encode(each)) == each for each in batch)
    assert nodes.seats[holder].term(SEAT) < 10


def test_a_term_may_be_as_far_ahead_as_any_that_a_cluster_comes_to() -> None:
    history = History()
    assert history.take(Candidacy(SEAT, TERM_LEAP_MAX, 1), At(A, 1)) == ""
    assert history.take(Candidacy(SEAT, 2 * TERM_LEAP_MAX, 1), At(B, 1)) == ""
    assert history.take(Candidacy(SEAT, 3 * TERM_LEAP_MAX + 1, 1), At(B, 2)) == "term_leaps"
    assert history.highest_seen == 2 * TERM_LEAP_MAX


def test_who_stands_again_and_again_fills_no_memory() -> None:
    history = History()
    for term in range(1, 1_000):
        history.take(Candidacy(SEAT, term, 1), At(B, term))
    history.take(Candidacy(SEAT, 5, 1), At(C, 1))
    assert len(history.candidacies) == STANDING_MAX + 1
    assert history.origins() == {B, C}
    assert history.take(Opening(SEAT, 999, 1, "majority", None, (B, C)), At(B, 1_000)) == ""  # type: ignore[arg-type]


def test_many_votes_fill_no_memory_and_confirm_no_more_than_each_of_them() -> None:
    history, all_ = History(), {}
    for term in range(1, 1_000):
        all_[term] = Vote(SEAT, term, B, 1 if term < 500 else 2, ((A, 10 * term),))
        assert history.take(all_[term], At(C, term)) == ""
    assert len(history.votes[C]) <= VOTES_MAX + 1
    assert history.voted_by(C) == 999
    for term in range(999):
        later = history.first_vote_after(C, term)
        assert later is not None
        assert later.has(A) <= all_[term + 1].has(A)
        assert later.roster <= all_[term + 1].roster
    assert history.first_vote_after(C, 999) is None
    # The latest are as they were said, and none was made for a candidate that it was not for.
    recent = [cast.entry.term for cast in history.votes[C] if cast.entry.candidate == B]
    assert recent == list(range(1_000 - len(recent), 1_000))
    assert len(recent) >= VOTES_MAX - 2  # one for each roster is of all that were before
