"""Speakers: when they can come, and time between their sessions. Nothing of it refuses anything."""

from __future__ import annotations

import pytest

from konkordat.schedule.commands import WriteNotes
from unit.schedule_rules.world import World, create, forum, patch, slot, talk, uid


@pytest.fixture
def world() -> World:
    return forum()


def window(start: str, end: str) -> dict[str, str]:
    return {
        "local_start": f"2027-06-01T{start}",
        "local_end": f"2027-06-01T{end}",
        "time_zone": "Europe/Zurich",
    }


def codes(notes: WriteNotes) -> list[str]:
    return [warning.code for warning in notes.warnings]


def test_who_says_nothing_can_always_come(world: World) -> None:
    assert codes(world.carry_out(talk("a", slot("09:00"), speakers=[uid("anna")]))) == []


@pytest.mark.parametrize(
    ("start", "minutes", "warned"),
    [
        ("09:00", 60, False),
        ("08:59", 60, True),
        ("11:30", 60, False),  # over a break that is none
        ("12:30", 60, True),
        ("14:00", 30, True),
    ],
)
def test_a_session_outside_a_speakers_times_is_warned_of(
    world: World, start: str, minutes: int, warned: bool
) -> None:
    times = [window("12:00", "13:00"), window("09:00", "12:00")]
    world.carry_out(patch("speakers", "anna", availability=times))
    notes = world.carry_out(talk("a", slot(start, minutes), speakers=[uid("marc"), uid("anna")]))
    assert codes(notes) == (["speaker_unavailable"] if warned else [])
    for warning in notes.warnings:
        assert (warning.pointer, warning.speaker) == ("/speakers/1", uid("anna"))


def test_only_what_concerns_time_and_people_is_looked_at_again(world: World) -> None:
    world.carry_out(patch("speakers", "anna", availability=[window("09:00", "10:00")]))
    assert codes(world.carry_out(talk("a", slot("11:00"), speakers=[uid("anna")]))) == [
        "speaker_unavailable"
    ]
    assert codes(world.carry_out(patch("sessions", "a", track="x"))) == []
    assert codes(world.carry_out(patch("sessions", "a", slot=slot("09:00")))) == []


def test_the_event_leaves_speakers_time_between_sessions(world: World) -> None:
    world.carry_out(patch("events", "forum", speaker_gap_minutes=15))
    world.carry_out(talk("a", slot("09:00"), speakers=[uid("anna")]))
    near = talk("b", slot("10:10", room="attic"), speakers=[uid("anna")])
    (warning,) = world.carry_out(near).warnings
    assert (warning.code, warning.others) == ("speaker_gap", (uid("a"),))
    assert codes(world.carry_out(patch("sessions", "b", slot=slot("10:15", room="attic")))) == []
    # Two places at once is the graver of the two, and told alone.
    moved = world.carry_out(patch("sessions", "b", slot=slot("09:30", room="attic")))
    assert codes(moved) == ["speaker_clash"]


def test_a_new_speaker_in_the_same_command_counts(world: World) -> None:
    notes = world.carry_out(
        create("speakers", "eva", name="Eva", availability=[window("09:00", "10:00")]),
        talk("a", slot("10:00"), speakers=[uid("eva")]),
    )
    assert codes(notes) == ["speaker_unavailable"]
