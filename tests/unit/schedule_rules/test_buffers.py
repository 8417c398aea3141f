"""Setup, teardown and turnaround are part of the claim, so they hold wherever a session was booked (row S0-8).

Bugs of others: buffers before and after both applied after (cal.com #3662); a room free on both sides of midnight is
called unavailable (pretalx #1087).
"""

from __future__ import annotations

import pytest

from konkordat.kernel.claim import Claim
from unit.schedule_rules.world import World, create, forum, patch, slot, talk, uid

pytestmark = pytest.mark.row("S0-8")
MINUTE_MS = 60_000


@pytest.fixture
def world() -> World:
    world = forum()
    world.carry_out(
        patch("rooms", "hall", setup_minutes=10, teardown_minutes=15, turnaround_minutes=5)
    )
    return world


def claims_of(world: World, name: str) -> dict[str, Claim]:
    return {c.resource.name: c for c in world.domain.claims(world.get("sessions", name))}


def test_the_setup_lies_before_a_session_and_the_rest_after(world: World) -> None:
    world.carry_out(talk("a", slot("09:00", 60), speakers=[uid("anna")]))
    claims = claims_of(world, "a")
    room, speaker = claims[f"room/{uid('hall')}"], claims[f"speaker/{uid('anna')}"]
    assert speaker.until_ms - speaker.start_ms == 60 * MINUTE_MS
    assert speaker.start_ms - room.start_ms == 10 * MINUTE_MS
    assert room.until_ms - speaker.until_ms == 20 * MINUTE_MS


def test_sessions_booked_apart_keep_their_distance_when_they_meet(world: World) -> None:
    """What neither node could see: the rooms' buffers, between sessions that were booked on two sides."""
    for start, state in (("10:29", "displaced"), ("10:30", "confirmed")):
        here, there = forum(World("basel")), World("lugano")
        here.carry_out(patch("rooms", "hall", setup_minutes=10, teardown_minutes=20))
        there.records, there.log = dict(here.records), list(here.log)
        shared = len(here.log)
        here.carry_out(talk("first", slot("09:00", 60)))
        there._clock = here._clock
        there.carry_out(talk("second", slot(start)))
        for change, stamp in there.log[shared:]:
            here.receive(change, stamp)
        assert here.states() == {"first": "confirmed", "second": state}


def test_the_first_and_last_session_of_the_day_reach_to_the_opening_hours(world: World) -> None:
    hours = [{"weekdays": ["tue"], "opens": "09:00", "closes": "18:00"}]
    world.carry_out(patch("rooms", "hall", bookable_hours=hours))
    world.carry_out(talk("first", slot("09:00", 60)), talk("last", slot("17:00", 60)))
    assert set(world.states().values()) == {"confirmed"}


def test_a_room_free_on_both_sides_of_midnight_is_free_at_midnight(world: World) -> None:
    days = ["tue", "wed"]
    hours = [
        {"weekdays": days, "opens": "18:00", "closes": "00:00"},
        {"weekdays": days, "opens": "00:00", "closes": "04:00"},
    ]
    world.carry_out(patch("rooms", "hall", bookable_hours=hours))
    world.carry_out(talk("Nacht", slot("2027-06-01T23:30", 60)))
    assert world.refused(talk("b", slot("2027-06-02T00:49", 30))).code == "slot_taken"
    world.carry_out(talk("b", slot("2027-06-02T01:00", 30)))


def test_only_the_buffers_of_the_own_room_count(world: World) -> None:
    world.carry_out(talk("a", slot("09:00", 60, room="attic")))
    world.carry_out(talk("b", slot("10:00", 60, room="attic")))


def test_a_refusal_tells_the_sessions_own_times_and_why_it_does_not_fit(world: World) -> None:
    world.carry_out(talk("a", slot("09:00", 60)))
    refusal = world.refused(talk("b", slot("10:10", 60)))
    assert "from 2027-06-01T07:00:00Z to 2027-06-01T08:00:00Z" in refusal.detail
    assert refusal.detail.endswith("with what is kept free between.")
    assert world.free_instead(refusal)[0] == slot("10:30", 60)


def test_buffers_count_from_the_slots_that_are_written_after_them(world: World) -> None:
    world.carry_out(talk("a", slot("09:00", 60)))
    world.carry_out(patch("rooms", "hall", setup_minutes=0, teardown_minutes=0))
    assert world.refused(talk("b", slot("10:10", 60))).code == "slot_taken"
    world.carry_out(patch("sessions", "a", slot={"duration_minutes": 65}))
    world.carry_out(talk("b", slot("10:10", 60)))


def test_a_room_that_hosts_several_counts_buffers_as_taken_too(world: World) -> None:
    """A room that may host several: pretalx #2128."""
    world.carry_out(patch("rooms", "hall", max_concurrent=2))
    world.carry_out(talk("a", slot("09:00", 60)), talk("b", slot("09:00", 60)))
    assert world.refused(talk("c", slot("10:29", 60))).code == "slot_taken"
    world.carry_out(talk("c", slot("10:30", 60)))


def test_a_room_made_with_its_first_session_has_its_buffers(world: World) -> None:
    world.carry_out(
        create("rooms", "new", venue=uid("kkl"), name={"de": "Neu"}, setup_minutes=30),
        talk("a", slot("09:00", 60, room="new")),
    )
    assert world.refused(talk("b", slot("10:29", room="new"))).code == "slot_taken"


def test_changing_the_events_zone_moves_no_talk(world: World) -> None:
    """pretalx #766."""
    world.carry_out(talk("a", slot("09:00", 60)))
    before = world.domain.claims(world.get("sessions", "a"))
    world.carry_out(patch("events", "forum", time_zone="America/New_York"))
    assert world.domain.claims(world.get("sessions", "a")) == before
