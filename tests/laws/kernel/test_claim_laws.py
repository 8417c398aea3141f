"""What is granted never exceeds what there is, and everybody decides alike (row S0-8 and DESIGN §6)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from konkordat.kernel.claim import (
    Claim,
    ClaimId,
    ClaimState,
    DecidedClaim,
    affected,
    decide,
    in_the_way,
)
from laws.kernel.strategies import claim_lists
from support.effort import share

pytestmark = pytest.mark.row("S0-8")

capacities = st.integers(0, 4)
Decisions = dict[ClaimId, DecidedClaim]


def granted_of(decided: Decisions) -> list[Claim]:
    return [d.claim for d in decided.values() if d.state is ClaimState.CONFIRMED]


def heaviest_load(claims: list[Claim]) -> int:
    """The highest load at any instant: the dumb way, one instant after the other."""
    instants = range(max((c.until_ms for c in claims), default=0))
    return max(
        (sum(c.quantity for c in claims if c.start_ms <= t < c.until_ms) for t in instants),
        default=0,
    )


def decided_slowly(claims: list[Claim], capacity: int) -> dict[ClaimId, bool]:
    """The dumb twin of `decide`: grant in order whatever keeps every instant within capacity."""
    granted: list[Claim] = []
    result = {}
    for claim in sorted(claims, key=lambda c: c.order):
        fits = heaviest_load([*granted, claim]) <= capacity or not claim.quantity
        result[claim.id] = fits
        granted += [claim] if fits else []
    return result


@share(0.25)
@given(claim_lists(), capacities)
def test_granted_claims_never_exceed_capacity_at_any_instant(
    claims: list[Claim], capacity: int
) -> None:
    assert heaviest_load(granted_of(decide(claims, capacity))) <= capacity


@share(0.25)
@given(claim_lists().flatmap(lambda c: st.tuples(st.just(c), st.permutations(c))), capacities)
def test_decisions_do_not_depend_on_the_order_claims_are_given_in(
    both: tuple[list[Claim], list[Claim]], capacity: int
) -> None:
    assert decide(both[0], capacity) == decide(both[1], capacity)


@share(0.25)
@given(claim_lists(), capacities)
def test_deciding_quickly_and_slowly_agree(claims: list[Claim], capacity: int) -> None:
    quick = {id_: d.state is ClaimState.CONFIRMED for id_, d in decide(claims, capacity).items()}
    assert quick == decided_slowly(claims, capacity)


@share(0.25)
@given(claim_lists(), capacities)
def test_the_earlier_claim_keeps_its_place_whatever_comes_later(
    claims: list[Claim], capacity: int
) -> None:
    ordered = sorted(claims, key=lambda c: c.order)
    full = decide(ordered, capacity)
    for upto in range(len(ordered)):
        before = decide(ordered[:upto], capacity)
        assert {id_: full[id_] for id_ in before} == before


@share(0.25)
@given(claim_lists(quantity_max=1), st.integers(1, 4))
def test_a_displaced_claim_names_earlier_granted_claims_that_it_overlaps(
    claims: list[Claim], capacity: int
) -> None:
    decided = decide(claims, capacity)
    for one in decided.values():
        if one.state is ClaimState.DISPLACED:
            rivals = [decided[id_] for id_ in one.against]
            assert rivals
            assert sum(r.claim.quantity for r in rivals) + one.claim.quantity > capacity
            assert all(r.state is ClaimState.CONFIRMED for r in rivals)
            assert all(r.claim.order < one.claim.order for r in rivals)
            assert all(r.claim.overlaps(one.claim) for r in rivals)
        else:
            assert not one.against


@share(0.25)
@given(claim_lists(), capacities)
def test_a_claim_beyond_the_whole_capacity_is_displaced_and_names_something(
    claims: list[Claim], capacity: int
) -> None:
    for one in decide(claims, capacity).values():
        if one.claim.quantity > capacity:
            assert one.state is ClaimState.DISPLACED
            assert one.against


@share(0.25)
@given(claim_lists(), capacities)
def test_a_claim_of_nothing_is_always_granted_and_stands_in_nobodys_way(
    claims: list[Claim], capacity: int
) -> None:
    decided = decide(claims, capacity)
    soft = {c.id for c in claims if not c.quantity}
    assert all(decided[id_].state is ClaimState.CONFIRMED for id_ in soft)
    assert not any(soft & set(d.against) for d in decided.values())
    without = decide([c for c in claims if c.quantity], capacity)
    assert {id_: d for id_, d in decided.items() if id_ not in soft} == without


@share(0.25)
@given(st.lists(st.integers(0, 20), min_size=2, max_size=8, unique=True), claim_lists(max_size=1))
def test_claims_that_only_meet_are_all_granted(cuts: list[int], model: list[Claim]) -> None:
    if not model:
        return
    pattern, cuts = model[0], sorted(cuts)
    claims = [
        Claim(ClaimId(pattern.id.owner, f"p{low}"), pattern.resource, low, high, 1, pattern.stamp)
        for low, high in itertools.pairwise(cuts)
    ]
    assert len(granted_of(decide(claims, 1))) == len(claims)


@share(0.25)
@given(claim_lists(), capacities, st.data())
def test_in_the_way_is_empty_exactly_when_the_claim_fits(
    claims: list[Claim], capacity: int, data: st.DataObject
) -> None:
    if not claims:
        return
    asked = data.draw(st.sampled_from(claims))
    granted = granted_of(decide([c for c in claims if c.id != asked.id], capacity))
    blocked = in_the_way(asked, granted, capacity)
    fits = not asked.quantity or heaviest_load([*granted, asked]) <= capacity
    assert (not blocked) == fits
    assert all(b in granted or b is asked for b in blocked)


# What must be decided anew ----------------------------------------------------------------------


@st.composite
def before_and_after(draw: st.DrawFn) -> tuple[list[Claim], list[Claim]]:
    """Claims of a resource, and the same after some came, went, moved, grew or were claimed again later."""
    before = draw(claim_lists(max_size=10, span=30))
    changed = {c.id: c for c in draw(claim_lists(max_size=10, span=30))}
    touched = draw(st.sets(st.integers(0, 9), max_size=3))
    after = {c.id: c for c in before}
    for number in touched:
        for id_ in [i for i in {**after, **changed} if i.owner.id == f"s{number}"]:
            after.pop(id_, None)
            if id_ in changed:
                after[id_] = changed[id_]
    return before, list(after.values())


def extents(before: list[Claim], after: list[Claim]) -> dict[ClaimId, tuple[int, int]]:
    """For each claim that is not as it was: from when to when it was and is."""
    old, new = {c.id: c for c in before}, {c.id: c for c in after}
    result = {}
    for id_ in old.keys() | new.keys():
        if old.get(id_) != new.get(id_):
            both = [c for c in (old.get(id_), new.get(id_)) if c]
            result[id_] = (min(c.start_ms for c in both), max(c.until_ms for c in both))
    return result


@share(0.25)
@given(before_and_after(), capacities)
def test_deciding_what_hangs_together_with_a_change_equals_deciding_all(
    both: tuple[list[Claim], list[Claim]], capacity: int
) -> None:
    before, after = both
    decided = decide(before, capacity)
    again = affected(after, extents(before, after))
    present = {c.id for c in after}
    kept = {id_: d for id_, d in decided.items() if id_ in present}
    assert kept | decide(again, capacity) == decide(after, capacity)


@share(0.25)
@given(before_and_after())
def test_what_is_decided_anew_leaves_no_overlap_behind(
    both: tuple[list[Claim], list[Claim]],
) -> None:
    before, after = both
    again = affected(after, extents(before, after))
    rest = [c for c in after if c not in again]
    assert not any(a.overlaps(r) for a in again for r in rest)


@share(0.25)
@given(before_and_after())
def test_reading_around_what_one_got_until_nothing_new_comes_is_enough(
    both: tuple[list[Claim], list[Claim]],
) -> None:
    before, after = both
    touched = extents(before, after)
    spans, got = list(touched.values()), 0
    while True:
        near = [c for c in after if any(c.start_ms < hi and lo < c.until_ms for lo, hi in spans)]
        if len(near) == got:
            break
        got = len(near)
        spans += [(c.start_ms, c.until_ms) for c in near]
    assert affected(near, touched) == affected(after, touched)


@share(0.25)
@given(claim_lists())
def test_a_claim_that_did_not_change_has_nothing_decided_anew(claims: list[Claim]) -> None:
    assert affected(claims, {}) == []
