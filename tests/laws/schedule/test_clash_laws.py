"""The sweeps agree with what anyone would write who had time: comparing everything with everything."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from konkordat.schedule.clashes import Booking, refused_slots, speaker_clashes
from konkordat.schedule.times import Interval
from support.effort import share

intervals = st.builds(
    lambda start, length: Interval(start, start + length), st.integers(0, 40), st.integers(1, 15)
)
places = st.sampled_from(["room/a", "room/b"])
speakers = st.lists(st.sampled_from("abcd"), max_size=3, unique=True).map(tuple)


@st.composite
def bookings(draw: st.DrawFn) -> list[Booking]:
    drawn = draw(st.lists(st.tuples(places, speakers, intervals), max_size=25))
    return [Booking(str(number), *parts) for number, parts in enumerate(drawn)]


@share(0.25)
@given(bookings())
def test_clashes_are_the_overlapping_pairs_of_each_speaker(given_bookings: list[Booking]) -> None:
    expected = {
        (speaker, frozenset((one.session, other.session)))
        for one, other in combinations(given_bookings, 2)
        if one.interval.overlaps(other.interval)
        for speaker in set(one.speakers) & set(other.speakers)
    }
    result = speaker_clashes(given_bookings)
    found = [(pair.speaker, frozenset((pair.first, pair.second))) for pair in result.pairs]
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert not result.truncated


@share(0.25)
@given(bookings())
def test_clashes_do_not_depend_on_the_order_given(
    given_bookings: list[Booking],
) -> None:
    def pairs(of: list[Booking]) -> set[tuple[str, frozenset[str]]]:
        return {(p.speaker, frozenset((p.first, p.second))) for p in speaker_clashes(of).pairs}

    assert pairs(given_bookings) == pairs(given_bookings[::-1])


def naive_refusals(given_bookings: list[Booking], capacity: int) -> dict[str, set[str]]:
    granted: list[Booking] = []
    refused: dict[str, set[str]] = {}
    for booking in sorted(given_bookings, key=lambda b: b.interval.start_ms):
        rivals = [
            other
            for other in granted
            if other.place == booking.place and other.interval.overlaps(booking.interval)
        ]
        load = max(
            (
                sum(r.interval.start_ms <= at < r.interval.until_ms for r in rivals)
                for at in range(booking.interval.start_ms, booking.interval.until_ms)
            ),
            default=0,
        )
        if load >= capacity:
            refused[booking.session] = {rival.session for rival in rivals}
        else:
            granted.append(booking)
    return refused


@share(0.25)
@given(bookings(), st.integers(1, 3))
def test_refusals_are_those_of_asking_one_by_one(
    given_bookings: list[Booking], capacity: int
) -> None:
    found = refused_slots(given_bookings, {"room/a": capacity, "room/b": capacity})
    expected = naive_refusals(given_bookings, capacity)
    assert {r.session: set(r.in_the_way) for r in found} == expected


@share(0.25)
@given(bookings())
def test_what_is_left_never_overlaps_in_a_room(given_bookings: list[Booking]) -> None:
    gone = {refused.session for refused in refused_slots(given_bookings)}
    left = [booking for booking in given_bookings if booking.session not in gone]
    assert not any(
        one.place == other.place and one.interval.overlaps(other.interval)
        for one, other in combinations(left, 2)
    )
