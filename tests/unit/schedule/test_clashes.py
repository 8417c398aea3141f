from __future__ import annotations

import pytest

from konkordat.schedule import clashes
from konkordat.schedule.clashes import Booking, RefusedSlot, refused_slots, speaker_clashes
from konkordat.schedule.times import Interval


def booking(session: str, start: int, until: int, *speakers: str, place: str = "room/a") -> Booking:
    return Booking(session, place, speakers, Interval(start, until))


def pairs(*bookings: Booking) -> list[tuple[str, str, str]]:
    return [(p.speaker, p.first, p.second) for p in speaker_clashes(bookings).pairs]


def test_a_speaker_cannot_be_in_two_places() -> None:
    found = pairs(booking("late", 5, 15, "anna"), booking("early", 0, 10, "anna"))
    assert found == [("anna", "early", "late")]


def test_end_to_end_is_no_clash() -> None:
    assert pairs(booking("a", 0, 10, "anna"), booking("b", 10, 20, "anna")) == []


def test_an_equal_start_is_a_clash() -> None:
    assert pairs(booking("a", 0, 10, "anna"), booking("b", 0, 10, "anna")) == [("anna", "a", "b")]


def test_three_at_once_are_three_pairs() -> None:
    three = [booking(name, 0, 10, "anna") for name in "abc"]
    assert pairs(*three) == [("anna", "a", "b"), ("anna", "a", "c"), ("anna", "b", "c")]


def test_two_who_share_two_sessions_clash_once_each() -> None:
    both = [booking(name, 0, 10, "anna", "beat") for name in "ab"]
    assert pairs(*both) == [("anna", "a", "b"), ("beat", "a", "b")]


def test_a_speaker_listed_twice_is_one_person() -> None:
    assert pairs(booking("a", 0, 10, "anna", "anna")) == []


def test_a_long_session_clashes_with_all_it_covers() -> None:
    found = pairs(
        booking("soldering", 0, 100, "anna"),
        booking("b", 10, 20, "anna"),
        booking("c", 30, 40, "anna"),
    )
    assert found == [("anna", "soldering", "b"), ("anna", "soldering", "c")]


def test_more_clashes_than_anyone_reads_are_cut_off_visibly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clashes, "PAIRS_MAX", 3)
    result = speaker_clashes(booking(str(n), 0, 10, "anna") for n in range(10))
    assert len(result.pairs) == 3
    assert result.truncated


def test_the_later_of_two_in_a_room_is_refused_and_says_why() -> None:
    found = refused_slots([booking("late", 5, 15), booking("early", 0, 10)])
    assert found == (RefusedSlot("late", "room/a", ("early",)),)


def test_of_two_with_one_start_the_second_given_is_refused() -> None:
    found = refused_slots([booking("a", 0, 10), booking("b", 0, 10)])
    assert [r.session for r in found] == ["b"]


def test_other_rooms_and_other_times_are_free() -> None:
    assert refused_slots([booking("a", 0, 10), booking("b", 0, 10, place="room/b")]) == ()
    assert refused_slots([booking("a", 0, 10), booking("b", 10, 20)]) == ()


def test_a_refused_session_stands_in_nobodys_way() -> None:
    found = refused_slots([booking("a", 0, 10), booking("b", 5, 15), booking("c", 10, 20)])
    assert [r.session for r in found] == ["b"]


def test_a_room_may_host_several() -> None:
    three = [booking(name, 0, 10) for name in "abc"]
    found = refused_slots(three, {"room/a": 2})
    assert found == (RefusedSlot("c", "room/a", ("a", "b")),)
