"""What a holder decides: capacity, alternatives, moves, swaps, bundles, and what it costs."""

from __future__ import annotations

import pytest

from konkordat.kernel.claim import ClaimState
from konkordat.kernel.seat import RULINGS_MAX, Decision, Request, Ruling, Verdict
from konkordat.protocol.seats.deliberation import Deliberation
from konkordat.protocol.seats.history import TermKey
from konkordat.protocol.seats.ledger import Ledger, Position
from konkordat.protocol.seats.rules import RULES, Rules
from support.seats import CAPACITY, HALL, ROOM, SEAT, A, B, C, claim, elected, wants, wish


def ruled(ledger: Ledger, *requests: Request, capacity=CAPACITY) -> tuple[Ruling, ...]:
    deliberation = Deliberation(ledger, capacity)
    for request in requests:
        assert deliberation.has_room(request)
        deliberation.add(request)
    return deliberation.conclude()


def decided(*requests: Request):
    nodes = elected()
    nodes.decide(A, *requests)
    nodes.rounds(A, B, C)
    return nodes


def view(nodes, wanted):
    return nodes.seats[C].state(SEAT, wanted.id, wanted.stamp)


def test_the_second_claim_is_displaced_and_told_by_whom() -> None:
    x, y = claim("x", 10, 20), claim("y", 15, 25)
    nodes = decided(wants(x), wants(y))
    assert view(nodes, y).state is ClaimState.DISPLACED
    assert view(nodes, y).against == (x.id,)


def test_who_leaves_at_ten_does_not_stand_in_the_way_of_who_comes_at_ten() -> None:
    x, y = claim("x", 0, 10), claim("y", 10, 20)
    nodes = decided(wants(x), wants(y))
    assert view(nodes, y).state is ClaimState.CONFIRMED


def test_places_are_given_up_to_the_capacity_and_not_beyond() -> None:
    guests = [claim(f"g{i}", 0, 10, HALL) for i in range(5)]
    nodes = decided(*map(wants, guests))
    states = [view(nodes, guest).state for guest in guests]
    assert states == [ClaimState.CONFIRMED] * 3 + [ClaimState.DISPLACED] * 2


def test_a_claim_beyond_the_capacity_is_in_its_own_way() -> None:
    crowd = claim("crowd", 0, 10, HALL, quantity=4)
    nodes = decided(wants(crowd))
    assert view(nodes, crowd).against == (crowd.id,)


def test_the_first_alternative_that_fits_is_taken() -> None:
    x = claim("x", 10, 20)
    y, later, much_later = claim("y", 10, 20), claim("y", 15, 25), claim("y", 20, 30)
    nodes = decided(wants(x), wants(y, later, much_later))
    assert view(nodes, y).state is ClaimState.CONFIRMED
    assert view(nodes, y).holds == much_later


def test_a_move_keeps_the_old_place_until_the_new_one_is_granted() -> None:
    x, y = claim("x", 0, 10), claim("y", 10, 20)
    onto_y, beside_y = claim("x", 10, 20, at=2), claim("x", 20, 30, at=3)
    nodes = decided(wants(x), wants(y), wants(onto_y))
    assert view(nodes, onto_y).state is ClaimState.DISPLACED
    assert view(nodes, onto_y).holds == x
    nodes.decide(A, wants(beside_y), wants(claim("z", 0, 10)))
    nodes.rounds(A, B, C)
    assert view(nodes, beside_y).holds == beside_y
    assert view(nodes, claim("z", 0, 10)).state is ClaimState.CONFIRMED


def test_what_a_claim_replaces_is_let_go_with_it_and_only_then() -> None:
    old, rival = claim("old", 0, 10), claim("rival", 20, 30)
    blocked, fitting = claim("new", 20, 30), claim("new", 5, 15, at=2)
    nodes = decided(wants(old), wants(rival), Request((wish(blocked, replaces=[old]),)))
    assert view(nodes, old).state is ClaimState.CONFIRMED
    nodes.decide(A, Request((wish(fitting, replaces=[old]),)))
    nodes.rounds(A, B, C)
    assert view(nodes, old).state is ClaimState.RELEASED
    assert view(nodes, fitting).state is ClaimState.CONFIRMED


def test_two_places_are_swapped_in_one_decision() -> None:
    x, y = claim("x", 0, 10), claim("y", 10, 20)
    x_there, y_there = claim("x", 10, 20, at=2), claim("y", 0, 10, at=2)
    nodes = decided(wants(x), wants(y))
    (swap,) = nodes.decide(A, Request((wish(x_there), wish(y_there))))
    assert [r.verdict for r in swap.rulings] == [Verdict.GRANTED] * 2
    nodes.rounds(A, B, C)
    assert view(nodes, x_there).holds == x_there
    assert view(nodes, y_there).holds == y_there


def test_a_bundle_is_granted_whole_or_not_at_all() -> None:
    taken = claim("taken", 10, 20)
    weeks = [claim("w1", 0, 10), claim("w2", 10, 20), claim("w3", 20, 30)]
    nodes = decided(wants(taken), Request(tuple(map(wish, weeks))))
    assert [view(nodes, week).state for week in weeks] == [ClaimState.DISPLACED] * 3
    assert view(nodes, weeks[2]).against == (taken.id,)
    assert nodes.seats[A].rivals(SEAT, claim("free", 20, 30), 1) == ()


def test_a_place_let_go_can_be_given_to_who_was_denied_it() -> None:
    x, y = claim("x", 0, 10), claim("y", 0, 10)
    nodes = decided(wants(x), wants(y))
    nodes.decide(A, Request(frees=(x.id,)), wants(y))
    nodes.rounds(A, B, C)
    assert view(nodes, x).state is ClaimState.RELEASED
    assert view(nodes, y).state is ClaimState.DISPLACED
    nodes.decide(A, Request((wish(y),), again=True))
    nodes.rounds(A, B, C)
    assert view(nodes, y).state is ClaimState.CONFIRMED


def test_what_is_answered_is_not_decided_again() -> None:
    x = claim("x", 0, 10)
    nodes = decided(wants(x))
    assert nodes.decide(A, wants(x)) == []


def test_claims_that_changed_are_named_once() -> None:
    x = claim("x", 0, 10)
    nodes = decided(wants(x))
    assert nodes.seats[C].take_touched(SEAT) == {x.id}
    assert nodes.seats[C].take_touched(SEAT) == set()


class Counting(Rules):
    """How much of the timetable a decision looks at."""

    looked = 0

    def in_the_way(self, claim, granted, capacity):
        granted = list(granted)
        self.looked += len(granted)
        return super().in_the_way(claim, granted, capacity)


@pytest.mark.parametrize("same_time", [True, False], ids=["one session", "one after another"])
def test_deciding_looks_at_what_is_near_in_time_however_much_is_booked(same_time: bool) -> None:
    looked = []
    for booked in (10, 10_000):
        rules = Counting()
        ledger = Ledger(rules)
        at = Position(TermKey(1, A), 1)
        for i in range(booked):
            start = 0 if same_time else 10 * i
            request = wants(claim(f"n{i}", start, start + 10, HALL))
            rulings = ruled(ledger, request, capacity={HALL: 20_000})
            ledger.take(Decision(SEAT, 1, rulings), at)
        rules.looked = 0
        ruled(ledger, wants(claim("last", 5, 15, HALL)), capacity={HALL: 20_000})
        looked.append(rules.looked)
    assert looked[1] <= looked[0]


def test_a_trial_leaves_the_ledger_as_it_was() -> None:
    ledger = Ledger(RULES)
    at = Position(TermKey(1, A), 1)
    x, y = claim("x", 0, 10), claim("y", 10, 20)
    for wanted in (x, y):
        ledger.take(Decision(SEAT, 1, ruled(ledger, wants(wanted))), at)
    moved = Request((wish(claim("x", 30, 40, at=2), replaces=[y]),), frees=())
    other = wants(claim("y", 40, 50, at=3))
    assert ruled(ledger, moved) == ruled(ledger, moved)
    assert ruled(ledger, other) == ruled(ledger, other)
    assert (ledger.held(x.id), ledger.held(y.id)) == (x, y)
    assert ledger.rivals(claim("z", 0, 20), 1) == (x.id,)
    assert ROOM in CAPACITY


def test_requests_that_come_together_are_answered_by_one_decision() -> None:
    nodes = elected()
    x, y, z = claim("x", 10, 20), claim("y", 15, 25), claim("z", 20, 30)
    (decision,) = nodes.decide(A, wants(x), wants(y), wants(z))
    assert isinstance(decision, Decision)
    assert [(r.claim, r.verdict) for r in decision.rulings] == [
        (x, Verdict.GRANTED),
        (y, Verdict.DENIED),
        (z, Verdict.GRANTED),
    ]


def test_a_decision_has_no_more_rulings_than_it_may() -> None:
    nodes = elected()
    crowd = [claim(f"g{i}", 10 * i, 10 * i + 5, HALL) for i in range(2 * RULINGS_MAX + 1)]
    decisions = nodes.decide(A, *map(wants, crowd))
    counts = [len(d.rulings) for d in decisions if isinstance(d, Decision)]
    assert counts == [RULINGS_MAX, RULINGS_MAX, 1]
    nodes.rounds(A, B, C)
    assert all(view(nodes, guest).state is ClaimState.CONFIRMED for guest in crowd)


def test_what_is_asked_of_one_claim_twice_is_answered_one_after_the_other() -> None:
    nodes = elected()
    x = claim("x", 10, 20)
    nodes.decide(A, wants(x))
    moved = claim("x", 40, 50, at=2)
    decisions = nodes.decide(A, Request(frees=(x.id,)), wants(moved))
    assert [[r.verdict for r in d.rulings] for d in decisions if isinstance(d, Decision)] == [
        [Verdict.FREED],
        [Verdict.GRANTED],
    ]


def test_who_loses_the_place_kept_in_a_denied_move_stays_denied() -> None:
    """It became tentative again, after everybody had been told that it was denied."""
    x, y = claim("x", 0, 10), claim("y", 10, 20)
    onto_y, instead = claim("x", 10, 20, at=2), claim("z", 0, 10)
    nodes = decided(wants(x), wants(y), wants(onto_y))
    nodes.decide(A, Request((wish(instead, replaces=[x]),)))
    nodes.rounds(A, B, C)
    assert view(nodes, onto_y).state is ClaimState.DISPLACED
    assert view(nodes, onto_y).holds is None


def test_what_lapsed_before_it_was_decided_is_denied_by_nothing_and_keeps_no_place() -> None:
    x, late = claim("x", 0, 10), claim("x", 10, 20, at=2)
    nodes = decided(wants(x), Request((wish(late),), lapsed=True), wants(claim("y", 0, 10)))
    assert view(nodes, late).state is ClaimState.DISPLACED
    assert view(nodes, late).against == ()
    assert view(nodes, claim("y", 0, 10)).state is ClaimState.CONFIRMED
