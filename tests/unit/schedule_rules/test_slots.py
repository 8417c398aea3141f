"""No room is promised twice: the local check, and what a session may still do when its place is taken (row S0-8)."""

from __future__ import annotations

import pytest

from konkordat.kernel.ids import Group
from konkordat.replica.domain import Writes
from unit.schedule_rules.world import (
    TENANT,
    World,
    but,
    create,
    delete,
    forum,
    patch,
    slot,
    talk,
    uid,
)

pytestmark = pytest.mark.row("S0-8")


@pytest.fixture
def world() -> World:
    return forum()


def test_a_second_booking_of_a_taken_room_is_refused_and_names_what_is_there(world: World) -> None:
    world.carry_out(talk("Auftakt", slot("09:00")))
    refusal = world.refused(talk("Keynote", slot("09:30")))
    assert (refusal.code, refusal.pointer) == ("slot_taken", "/slot")
    assert [claim.id.owner.id for claim in refusal.conflicts] == [uid("Auftakt")]
    assert uid("Auftakt") in refusal.detail


def test_an_equal_start_is_a_clash_too(world: World) -> None:
    world.carry_out(talk("Auftakt", slot("09:00", 60)))
    assert world.refused(talk("Kurz", slot("09:00", 5))).code == "slot_taken"


def test_a_session_may_start_when_the_one_before_ends(world: World) -> None:
    world.carry_out(talk("Auftakt", slot("09:00", 60)), talk("Keynote", slot("10:00", 60)))
    assert set(world.states().values()) == {"confirmed"}


def test_another_room_or_another_day_is_free(world: World) -> None:
    world.carry_out(talk("Auftakt", slot("09:00")))
    world.carry_out(talk("Oben", slot("09:00", room="attic")))
    world.carry_out(talk("Morgen", slot("2027-06-02T09:00")))


def test_two_sessions_of_one_command_cannot_have_the_same_place(world: World) -> None:
    refusal = world.refused(talk("a", slot("09:00")), talk("b", slot("09:00")))
    assert (refusal.code, refusal.extra["operation"]) == ("slot_taken", 1)
    assert [claim.id.owner.id for claim in refusal.conflicts] == [uid("a")]


def test_free_times_nearby_are_offered(world: World) -> None:
    world.carry_out(talk("Auftakt", slot("09:00", 60)), talk("Lang", slot("10:00", 180)))
    refusal = world.refused(talk("Keynote", slot("09:30", 60)))
    offered = world.free_instead(refusal)
    assert offered[0] == slot("08:00", 60)
    assert slot("13:00", 60) in offered
    for alternative in offered:
        assert isinstance(world.decide(talk("Keynote", alternative)), Writes)


def test_what_is_offered_lies_within_the_event(world: World) -> None:
    world.carry_out(talk("Auftakt", slot("04:00", 60)))
    offered = world.free_instead(world.refused(talk("Frueh", slot("04:30", 60))))
    assert offered == [slot("05:00", 60)]


def test_moving_a_session_over_its_own_place_is_no_clash(world: World) -> None:
    world.carry_out(talk("Auftakt", slot("09:00", 60)))
    world.carry_out(patch("sessions", "Auftakt", slot={"local_start": "2027-06-01T09:30"}))


def test_two_sessions_swap_their_rooms_in_one_command(world: World) -> None:
    world.carry_out(talk("a", slot("09:00")), talk("b", slot("09:00", room="attic")))
    world.carry_out(
        patch("sessions", "a", slot={"room": uid("attic")}),
        patch("sessions", "b", slot={"room": uid("hall")}),
    )
    assert (world.states("room/hall"), world.states("room/attic")) == (
        {"b": "confirmed"},
        {"a": "confirmed"},
    )


def test_a_deleted_or_cancelled_session_makes_room_in_the_same_command(world: World) -> None:
    world.carry_out(talk("a", slot("09:00")))
    world.carry_out(delete("sessions", "a"), talk("b", slot("09:00")))
    world.carry_out(patch("sessions", "b", state="cancelled"), talk("c", slot("09:00")))
    assert world.states() == {"c": "confirmed"}


def test_a_cancelled_session_that_comes_back_needs_its_place_to_be_free(world: World) -> None:
    world.carry_out(talk("a", slot("09:00"), state="confirmed"))
    world.carry_out(patch("sessions", "a", state="cancelled"))
    world.carry_out(talk("b", slot("09:00")))
    assert world.refused(patch("sessions", "a", state="confirmed")).code == "slot_taken"


def test_a_cancelled_session_that_comes_back_claims_from_now_on(world: World) -> None:
    world.carry_out(talk("a", slot("09:00"), state="confirmed"))
    first = world.get("sessions", "a").fields[Group("slot")].stamp
    world.carry_out(patch("sessions", "a", state="cancelled"))
    world.carry_out(patch("sessions", "a", state="confirmed"))
    assert world.get("sessions", "a").fields[Group("slot")].stamp > first


def test_a_slot_that_stays_keeps_its_place_in_the_queue(world: World) -> None:
    world.carry_out(talk("a", slot("09:00")))
    first = world.get("sessions", "a").fields[Group("slot")].stamp
    world.carry_out(patch("sessions", "a", slot=slot("09:00"), track="A"))
    assert world.get("sessions", "a").fields[Group("slot")].stamp == first


def test_a_room_for_two_takes_two(world: World) -> None:
    world.carry_out(patch("rooms", "attic", max_concurrent=2))
    world.carry_out(talk("a", slot("09:00", room="attic")), talk("b", slot("09:30", room="attic")))
    assert world.refused(talk("c", slot("09:45", room="attic"))).code == "slot_taken"
    world.carry_out(talk("d", slot("10:00", room="attic")))


def test_a_room_may_be_made_larger_and_filled_in_one_command(world: World) -> None:
    world.carry_out(talk("a", slot("09:00")))
    world.carry_out(talk("b", slot("09:00")), patch("rooms", "hall", max_concurrent=2))
    assert world.states() == {"a": "confirmed", "b": "confirmed"}


@pytest.mark.row("S0-36")
def test_a_booth_is_for_one_at_a_time(world: World) -> None:
    world.carry_out(talk("Werk 1", slot("09:00", booth=uid("stand"))))
    assert world.refused(talk("Werk 2", slot("09:00", booth=uid("stand")))).code == "slot_taken"


def test_both_buffers_lie_between_two_sessions_and_each_on_its_own_side(world: World) -> None:
    world.carry_out(
        patch("rooms", "hall", setup_minutes=10, teardown_minutes=15, turnaround_minutes=5)
    )
    world.carry_out(talk("a", slot("09:00", 60)))
    assert world.refused(talk("b", slot("10:29", 60))).code == "slot_taken"
    world.carry_out(talk("b", slot("10:30", 60)))
    assert world.refused(talk("c", slot("07:31", 60))).code == "slot_taken"
    world.carry_out(talk("c", slot("07:30", 60)))


# What to do with a slot that does not fit ---------------------------------------------------------


def test_without_slot_writes_the_rest_and_names_the_pair(world: World) -> None:
    world.carry_out(talk("a", slot("09:00")))
    notes = world.carry_out(but(talk("b", slot("09:30"), track="A"), on_conflict="without_slot"))
    (dropped,) = notes.dropped_slots
    assert (dropped.session, dropped.code, dropped.in_the_way) == (
        uid("b"),
        "slot_taken",
        (uid("a"),),
    )
    assert dropped.slot == slot("09:30")
    assert world.value("sessions", "b", "slot") is None
    assert world.value("sessions", "b", "track") == "A"


def test_writing_a_session_again_that_lost_its_slot_changes_nothing(world: World) -> None:
    world.carry_out(talk("a", slot("09:00")))
    op = but(talk("b", slot("09:30")), op="upsert", on_conflict="without_slot")
    world.carry_out(op)
    before = world.get("sessions", "b")
    assert world.carry_out(op).effects == ("unchanged",)
    assert world.get("sessions", "b") is before


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (slot("2027-07-01T09:00"), "outside_event"),
        (slot("09:00", room="nowhere"), "unknown_reference"),
        (slot("09:00") | {"time_zone": "Europe/Nowhere"}, "unknown_time_zone"),
        (slot("2027-03-28T02:30"), "local_time_does_not_exist"),
    ],
)
def test_without_slot_drops_whatever_cannot_be(world: World, at: dict, code: str) -> None:  # type: ignore[type-arg]
    notes = world.carry_out(but(talk("b", at), on_conflict="without_slot"))
    assert [dropped.code for dropped in notes.dropped_slots] == [code]
    assert world.value("sessions", "b", "slot") is None


def test_tentative_writes_the_slot_and_the_decision_displaces_it(world: World) -> None:
    world.carry_out(talk("a", slot("09:00")))
    notes = world.carry_out(but(talk("b", slot("09:30")), on_conflict="tentative"))
    assert [(w.code, w.others) for w in notes.warnings] == [("slot_taken", (uid("a"),))]
    assert world.states() == {"a": "confirmed", "b": "displaced"}
    world.carry_out(delete("sessions", "a"))
    assert world.states() == {"b": "confirmed"}


def test_a_displaced_session_can_be_edited_without_being_asked_for_its_room(world: World) -> None:
    world.carry_out(talk("a", slot("09:00")))
    world.carry_out(but(talk("b", slot("09:30")), on_conflict="tentative"))
    world.carry_out(patch("sessions", "b", track="A", speakers=[uid("anna")]))
    world.carry_out(patch("sessions", "b", state="confirmed"))
    assert world.states() == {"a": "confirmed", "b": "displaced"}


def test_of_several_sessions_only_the_one_that_does_not_fit_loses_its_slot(world: World) -> None:
    ops = [talk("a", slot("09:00")), talk("b", slot("09:30")), talk("c", slot("10:00"))]
    notes = world.carry_out(*[but(op, on_conflict="without_slot") for op in ops])
    assert [(d.operation, d.session) for d in notes.dropped_slots] == [(1, uid("b"))]
    assert world.states() == {"a": "confirmed", "c": "confirmed"}


# Times, days, rooms -------------------------------------------------------------------------------


def test_a_wall_time_that_the_clocks_skip_is_refused_with_suggestions(world: World) -> None:
    refusal = world.refused(talk("Nachts", slot("2027-03-28T02:30")))
    assert (refusal.code, refusal.pointer) == ("local_time_does_not_exist", "/slot/local_start")
    assert refusal.extra["suggestions"] == ["2027-03-28T01:30", "2027-03-28T03:30"]


@pytest.mark.parametrize(
    "start", ["2027-05-31T23:00", "2027-06-01T03:59", "2027-06-04T04:00", "2028-06-01T09:00"]
)
def test_a_session_begins_on_a_day_of_its_event(world: World, start: str) -> None:
    refusal = world.refused(talk("a", slot(start)))
    assert (refusal.code, refusal.pointer) == ("outside_event", "/slot/local_start")


@pytest.mark.parametrize("start", ["2027-06-01T04:00", "2027-06-03T23:30", "2027-06-04T03:30"])
def test_the_night_belongs_to_the_evening_before(world: World, start: str) -> None:
    world.carry_out(talk("a", slot(start)))


def test_a_session_may_not_run_on_for_days_after_its_event(world: World) -> None:
    assert world.refused(talk("a", slot("2027-06-03T20:00", 3 * 1440))).code == "outside_event"


def test_the_days_of_an_event_written_in_the_same_command_count(world: World) -> None:
    world.carry_out(
        talk("a", slot("2027-06-04T09:00")), patch("events", "forum", end_date="2027-06-04")
    )


def test_a_room_of_another_event_or_venue_is_refused(world: World) -> None:
    world.carry_out(
        create("venues", "elsewhere", name={"de": "x"}, time_zone="Europe/Zurich"),
        create("rooms", "far", venue=uid("elsewhere"), name={"de": "x"}),
        create(
            "events",
            "other",
            slug="other",
            name={"de": "x"},
            time_zone="Europe/Zurich",
            start_date="2027-06-01",
            end_date="2027-06-01",
        ),
        create("rooms", "theirs", venue=uid("kkl"), event=uid("other"), name={"de": "x"}),
    )
    assert world.refused(talk("a", slot("09:00", room="far"))).code == "wrong_place"
    assert world.refused(talk("a", slot("09:00", room="theirs"))).code == "wrong_place"


HOURS = [
    {"weekdays": ["tue", "wed"], "opens": "08:00", "closes": "00:00"},
    {"weekdays": ["wed"], "opens": "00:00", "closes": "02:00"},
]


def test_a_room_is_booked_within_its_hours_and_midnight_is_no_border(world: World) -> None:
    world.carry_out(patch("rooms", "hall", bookable_hours=HOURS))  # 1 June 2027 is a Tuesday
    world.carry_out(talk("Nacht", slot("2027-06-01T23:00", 180)))
    refusal = world.refused(talk("a", slot("07:30", 60)))
    assert (refusal.code, refusal.pointer) == ("outside_hours", "/slot/local_start")
    assert world.refused(talk("a", slot("2027-06-03T09:00"))).code == "outside_hours"


def test_hours_may_be_overridden_with_a_reason_and_a_taken_room_may_not(world: World) -> None:
    world.carry_out(patch("rooms", "hall", bookable_hours=HOURS))
    decision = world.decide(talk("a", slot("07:00", 60)), reason="Der Hauswart ist da.")
    assert isinstance(decision, Writes)
    assert decision.reason == "Der Hauswart ist da."
    world.carry_out(talk("a", slot("07:00", 60)), reason="Der Hauswart ist da.")
    refusal = world.refused(talk("b", slot("07:30", 60)), reason="Trotzdem.")
    assert refusal.code == "slot_taken"


# Deleting what is needed --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("collection", "name"), [("rooms", "hall"), ("booths", "stand"), ("speakers", "anna")]
)
def test_what_a_session_to_come_needs_is_not_deleted(
    world: World, collection: str, name: str
) -> None:
    at = slot("09:00", booth=uid("stand")) if name == "stand" else slot("09:00")
    world.carry_out(talk("a", at, speakers=[uid("anna")]))
    refusal = world.refused(delete(collection, name))
    assert refusal.code == "in_use"
    assert {claim.id.owner.id for claim in refusal.conflicts} == {uid("a")}
    world.carry_out(delete("sessions", "a"), delete(collection, name))


def test_a_room_whose_sessions_are_over_can_be_deleted(world: World) -> None:
    world.carry_out(talk("a", slot("09:00")))
    world.now_ms += 30 * 86_400_000
    world.carry_out(delete("rooms", "hall"))
    assert not world.get("rooms", "hall").alive


# Soft clashes -------------------------------------------------------------------------------------


def test_a_speaker_in_two_places_is_a_warning(world: World) -> None:
    world.carry_out(talk("a", slot("09:00"), speakers=[uid("marc"), uid("anna")]))
    notes = world.carry_out(talk("b", slot("09:30", room="attic"), speakers=[uid("anna")]))
    (warning,) = notes.warnings
    assert (warning.code, warning.session, warning.others, warning.speaker, warning.pointer) == (
        "speaker_clash",
        uid("b"),
        (uid("a"),),
        uid("anna"),
        "/speakers/0",
    )
    assert world.states("room/attic") == {"b": "confirmed"}


def test_a_pair_written_together_is_told_once(world: World) -> None:
    notes = world.carry_out(
        talk("a", slot("09:00"), speakers=[uid("anna")]),
        talk("b", slot("09:30", room="attic"), speakers=[uid("anna")]),
    )
    assert len(notes.warnings) == 1


def test_a_speaker_added_later_clashes_too(world: World) -> None:
    world.carry_out(talk("a", slot("09:00"), speakers=[uid("anna")]))
    world.carry_out(talk("b", slot("09:30", room="attic")))
    notes = world.carry_out(patch("sessions", "b", speakers=[uid("marc"), uid("anna")]))
    assert [(w.code, w.pointer) for w in notes.warnings] == [("speaker_clash", "/speakers/1")]


@pytest.mark.parametrize(
    "other",
    [
        talk("b", slot("10:00", room="attic"), speakers=[uid("anna")]),
        talk("b", slot("09:30", room="attic"), speakers=[uid("marc")]),
        talk("b", slot("09:30", room="attic"), speakers=[uid("anna")], state="cancelled"),
        talk("b", speakers=[uid("anna")]),
    ],
)
def test_no_warning_where_nobody_is_in_two_places(world: World, other: object) -> None:
    world.carry_out(talk("a", slot("09:00", 60), speakers=[uid("anna")]))
    assert world.carry_out(other).warnings == ()  # type: ignore[arg-type]


def test_more_seats_than_the_room_has_is_a_warning(world: World) -> None:
    notes = world.carry_out(talk("a", slot("09:00"), seats=101))
    assert [w.code for w in notes.warnings] == ["room_too_small"]
    assert world.carry_out(patch("sessions", "a", seats=100)).warnings == ()


def test_the_system_tenant_has_no_sessions(world: World) -> None:
    from konkordat.schedule.keys import collections_of

    assert "sessions" not in collections_of("_system")  # type: ignore[arg-type]
    assert "sessions" in collections_of(TENANT)


def test_an_alternative_that_adds_nothing_is_warned_of(world: World) -> None:
    """It took one of the few places that a slot may name, and nothing said so."""
    others = [{"room": uid("attic")}, {"local_start": "2027-06-01T09:00"}, {"room": uid("attic")}]
    notes = world.carry_out(talk("a", slot("09:00", alternatives=others)))
    assert [(w.code, w.pointer) for w in notes.warnings] == [
        ("duplicate_alternative", "/slot/alternatives/1"),
        ("duplicate_alternative", "/slot/alternatives/2"),
    ]
