"""The demo's choices, names, table and figures: everything about it that needs no node."""

from __future__ import annotations

import io
import math

import pytest
from msgspec import structs
from rich.console import Console

from konkordat.cli.board import NodeLook, board, plain_lines, short_names
from konkordat.cli.demo.choices import SESSIONS_NEEDED, choose
from konkordat.cli.demo.names import Names
from konkordat.cli.demo.stage import Stage
from konkordat.cli.exits import CommandError
from konkordat.cli.figures import spread_of
from konkordat.cli.importing import load_sample
from konkordat.schedule.clashes import Booking, refused_slots
from konkordat.schedule.interchange.plan import plan_import
from konkordat.schedule.interchange.programme import Placement, Programme
from konkordat.schedule.times import Interval

NAMES = ("zurich", "geneva", "basel", "lugano", "bern")


@pytest.fixture(scope="module")
def programme() -> Programme:
    return load_sample()


def test_nobody_plays_two_parts(programme: Programme) -> None:
    choices = choose(programme, plan_import(programme))
    cast = [choices.taken, choices.edited, choices.contested, *choices.others]
    assert len({session.id for session in cast}) == len(cast)
    refused = {entry.session.id for entry in plan_import(programme).report.slots_refused}
    assert all(session.slot for session in cast)
    assert refused.isdisjoint(session.id for session in cast)


def test_the_free_slots_are_free_and_in_one_house(programme: Programme) -> None:
    plan = plan_import(programme)
    choices = choose(programme, plan, "geneva")
    rival = {name: choices.rival_slot[name] for name in choices.free_slot}
    wished = [choices.free_slot, rival, rival | choices.rival_slot["alternatives"][0]]
    wished += choices.more_slots
    houses = {entry.id: entry.data for entry in plan.operations if entry.collection == "rooms"}
    assert {houses[slot["room"]]["venue"] for slot in wished} == {choices.venue_id}
    assert choices.venue == "Maison de la Rade"
    bookings = [
        Booking(entry.id, entry.data["slot"]["room"], (), _interval(entry.data["slot"]))
        for entry in plan.operations
        if entry.collection == "sessions" and entry.data.get("slot")
    ]
    taken = {entry.session for entry in refused_slots(bookings)}
    kept = [booking for booking in bookings if booking.session not in taken]
    kept += [Booking(f"{n}", s["room"], (), _interval(s)) for n, s in enumerate(wished)]
    assert refused_slots(kept) == ()


def test_a_programme_without_a_free_room_is_refused(programme: Programme) -> None:
    whole_day = [
        structs.replace(
            session,
            placement=Placement(
                room=room.name, local_start=f"{date}T05:00", duration_minutes=1_439
            ),
        )
        for date in ("2027-06-02", "2027-06-03", "2027-06-04")
        for room, session in zip(programme.rooms, programme.sessions, strict=False)
    ]
    full = structs.replace(programme, sessions=tuple(whole_day))
    with pytest.raises(CommandError, match="too full"):
        choose(full, plan_import(full), "geneva")


def _interval(slot: dict[str, object]) -> Interval:
    hours, minutes = str(slot["local_start"])[11:].split(":")
    day = int(str(slot["local_start"])[8:10])
    start = ((day * 24 + int(hours)) * 60 + int(minutes)) * 60_000
    return Interval(start, start + int(str(slot["duration_minutes"])) * 60_000)


def test_a_programme_too_small_for_the_story_is_refused(programme: Programme) -> None:
    small = structs.replace(programme, sessions=programme.sessions[: SESSIONS_NEEDED - 1])
    with pytest.raises(CommandError, match="needs 4 sessions"):
        choose(small, plan_import(small))


def test_ids_are_told_by_name(programme: Programme) -> None:
    plan = plan_import(programme)
    names = Names(plan)
    room = next(entry for entry in plan.operations if entry.collection == "rooms")
    name = next(iter(room.data["name"].values()))
    unknown = "019746a2-7c00-7a31-8d52-3f1a2b4c5d6e"
    assert names.put_into(f"{room.id} and {unknown}") == f"“{name}” and {unknown}"


# The table ----------------------------------------------------------------------------------------


def looks(digest: str = "abcdefabcdef") -> list[NodeLook]:
    frontier = {"zurich": 31, "geneva": 101, "lugano": 28}
    return [NodeLook(name, 872, frontier, 12_345.6, digest, "cut off") for name in NAMES]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_fits_the_terminal_whole(width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=False)
    console.print(board(looks(), NAMES, width))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in out.getvalue()
    assert len(lines) == 4 + len(NAMES)
    assert "cut off" in out.getvalue()


def test_lines_without_a_terminal_say_the_same() -> None:
    heading, first, *_ = plain_lines(looks(), NAMES)
    assert "frontier z·g·ba·l·be" in heading
    assert "31·101·0·28·0" in first
    assert "abcdefabcdef" in first


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (NAMES, ["z", "g", "ba", "l", "be"]),
        (("a", "ab"), ["a", "ab"]),
        (("node-1", "node-2"), ["node-1", "node-2"]),
    ],
)
def test_names_are_shortened_as_far_as_they_can_be_told_apart(
    names: tuple[str, ...], short: list[str]
) -> None:
    assert short_names(names) == short


# The stage ----------------------------------------------------------------------------------------


def test_a_promise_that_is_not_kept_is_shown_and_counted() -> None:
    out = io.StringIO()
    with Stage(Console(file=out, width=80), NAMES, list) as stage:
        stage.scene("Something is promised")
        assert stage.expect("kept", True, "it held")
        assert not stage.expect("broken", False, "it did [bold]not[/]")
    assert [check.ok for check in stage.checks] == [True, False]
    assert "✓ it held" in out.getvalue()
    assert "✗ it did not" in out.getvalue()


# Figures ------------------------------------------------------------------------------------------


def test_percentiles_are_values_that_were_measured() -> None:
    spread = spread_of([float(n) for n in range(1, 101)])
    assert (spread.p50, spread.p99, spread.max, spread.count) == (50.0, 99.0, 100.0, 100)
    assert spread_of([7.0]) == spread_of([7.0])
    assert spread_of([7.0]).p99 == 7.0


def test_of_nothing_there_is_no_percentile() -> None:
    assert math.isnan(spread_of([]).p50)
