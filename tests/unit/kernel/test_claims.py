from __future__ import annotations

import pytest

from konkordat.kernel.claim import (
    Claim,
    ClaimId,
    ClaimState,
    Resource,
    affected,
    decide,
    in_the_way,
)
from konkordat.kernel.hlc import Stamp, hlc_at
from konkordat.kernel.ids import Origin, Tenant, record_key

ROOM = Resource(Tenant("acme"), "room/saal-1")


def claim(who: str, start: int, until: int, at: int = 1, quantity: int = 1) -> Claim:
    id_ = ClaimId(record_key("acme", "sessions", who), "slot")
    return Claim(id_, ROOM, start, until, quantity, Stamp(hlc_at(at), Origin("bern.1")))


def states(claims: list[Claim], capacity: int = 1) -> dict[str, ClaimState]:
    return {id_.owner.id: d.state for id_, d in decide(claims, capacity).items()}


@pytest.mark.row("S0-8")
def test_the_second_booking_of_a_taken_room_is_displaced_and_names_the_first() -> None:
    first, second = claim("a", 10, 12, at=1), claim("b", 11, 13, at=2)
    decided = decide([second, first], 1)
    assert decided[first.id].state is ClaimState.CONFIRMED
    assert decided[second.id].state is ClaimState.DISPLACED
    assert decided[second.id].against == (first.id,)


def test_a_talk_may_start_when_the_one_before_ends() -> None:
    assert set(states([claim("a", 10, 11), claim("b", 11, 12)]).values()) == {ClaimState.CONFIRMED}


def test_one_transaction_that_books_twice_is_decided_by_id() -> None:
    assert states([claim("b", 10, 12), claim("a", 10, 12)]) == {
        "a": ClaimState.CONFIRMED,
        "b": ClaimState.DISPLACED,
    }


def test_a_displaced_claim_stands_in_nobodys_way() -> None:
    claims = [claim("a", 10, 12, at=1), claim("b", 11, 14, at=2), claim("c", 13, 15, at=3)]
    assert states(claims) == {
        "a": ClaimState.CONFIRMED,
        "b": ClaimState.DISPLACED,
        "c": ClaimState.CONFIRMED,
    }


def test_when_the_first_goes_the_second_is_confirmed_and_the_third_displaced() -> None:
    first, second, third = claim("a", 10, 12), claim("b", 11, 14, at=2), claim("c", 13, 15, at=3)
    again = affected([second, third], {first.id: (10, 12)})
    assert again == [second, third]
    assert states(again) == {"b": ClaimState.CONFIRMED, "c": ClaimState.DISPLACED}


def test_two_halves_of_a_day_that_only_meet_are_not_decided_together() -> None:
    morning, noon = claim("a", 9, 12), claim("b", 12, 14)
    assert affected([morning, noon], {morning.id: (9, 12)}) == [morning]


def test_a_claim_that_moved_has_both_places_decided_anew() -> None:
    early, late, moved = claim("a", 1, 3), claim("b", 20, 22), claim("m", 20, 22, at=5)
    assert set(affected([early, late, moved], {moved.id: (1, 22)})) == {early, late, moved}


def test_a_room_for_two_takes_two_at_a_time() -> None:
    claims = [claim("a", 10, 12, at=1), claim("b", 11, 13, at=2), claim("c", 11, 12, at=3)]
    assert states(claims, 2)["c"] is ClaimState.DISPLACED
    assert states([*claims[:2], claim("d", 12, 14, at=4)], 2)["d"] is ClaimState.CONFIRMED


def test_two_that_do_not_meet_each_other_leave_room_beside_both() -> None:
    claims = [claim("a", 10, 11, at=1), claim("b", 11, 12, at=2), claim("long", 10, 12, at=3)]
    assert states(claims, 2)["long"] is ClaimState.CONFIRMED


def test_seats_are_not_oversold() -> None:
    claims = [claim(str(n), 10, 12, at=n, quantity=30) for n in range(1, 5)]
    assert [states(claims, 100)[str(n)] for n in range(1, 5)] == [
        ClaimState.CONFIRMED,
        ClaimState.CONFIRMED,
        ClaimState.CONFIRMED,
        ClaimState.DISPLACED,
    ]


def test_more_than_there_is_at_all_stands_in_its_own_way() -> None:
    asked = claim("a", 10, 12, quantity=3)
    assert in_the_way(asked, [], 2) == (asked,)


def test_a_claim_is_not_in_its_own_way_when_it_moves() -> None:
    assert in_the_way(claim("a", 11, 13), [claim("a", 10, 12)], 1) == ()


def test_a_long_claim_is_found_behind_many_short_ones() -> None:
    shorts = [claim(f"s{n:03}", n, n + 1, at=2) for n in range(500, 600)]
    all_day = claim("all-day", 0, 1_000, at=1)
    assert states([*shorts, all_day])["s599"] is ClaimState.DISPLACED
