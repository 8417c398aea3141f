"""What seats rest on never changes: whose a room or session is, under which roster a seat was made (row S0-8)."""

from __future__ import annotations

from typing import Any

import pytest

from unit.schedule_rules.world import World, create, delete, forum, patch, slot, talk, uid, write

pytestmark = pytest.mark.row("S0-8")


@pytest.fixture
def world() -> World:
    world = forum()
    world.carry_out(
        create("venues", "other", name={"de": "Anderswo"}, time_zone="Europe/Zurich"),
        event("autumn"),
    )
    return world


def event(name: str, **more: Any) -> Any:
    days = {"start_date": "2027-10-01", "end_date": "2027-10-02", "time_zone": "Europe/Zurich"}
    return create("events", name, slug=name, name={"de": name}, **days, **more)


@pytest.mark.parametrize(("collection", "name"), [("rooms", "hall"), ("booths", "stand")])
def test_a_place_stays_in_its_venue(world: World, collection: str, name: str) -> None:
    refusal = world.refused(patch(collection, name, venue=uid("other")))
    assert (refusal.code, refusal.pointer) == ("fixed", "/venue")
    replaced = write("upsert", collection, name, venue=uid("other"), name={"de": "x"})
    assert world.refused(replaced).code == "fixed"
    world.carry_out(patch(collection, name, venue=uid("kkl"), name={"de": "Neu"}))


def test_a_session_stays_in_its_event(world: World) -> None:
    world.carry_out(talk("a", slot("09:00")))
    refusal = world.refused(patch("sessions", "a", event=uid("autumn")))
    assert (refusal.code, refusal.pointer) == ("fixed", "/event")


def test_a_venue_may_change_its_region_and_how_it_decides(world: World) -> None:
    world.carry_out(patch("venues", "kkl", region="lugano", decide="home"))
    assert world.value("venues", "kkl", "decide") == "home"


@pytest.mark.parametrize(("collection", "name"), [("rooms", "hall"), ("booths", "stand")])
def test_a_deleted_place_does_not_come_back_under_its_id(
    world: World, collection: str, name: str
) -> None:
    world.carry_out(delete(collection, name))
    again = create(collection, name, venue=uid("other"), name={"de": "x"})
    assert world.refused(again).code == "deleted_for_good"


def test_a_new_seat_knows_the_roster_it_was_made_under(world: World) -> None:
    world.roster = 7
    world.carry_out(event("winter"))
    assert world.value("events", "winter", "founded") == 7
    assert world.value("venues", "kkl", "founded") == 1
    world.roster = 9
    world.carry_out(patch("events", "winter", name={"de": "Winter"}))
    assert world.value("events", "winter", "founded") == 7


def test_without_a_roster_a_seat_is_made_under_the_first(world: World) -> None:
    world.roster = 0
    world.carry_out(event("winter"))
    assert world.value("events", "winter", "founded") == 1


def test_an_event_that_comes_back_names_no_later_roster_than_it_had(world: World) -> None:
    world.carry_out(delete("events", "autumn"))
    world.roster = 9
    world.carry_out(event("autumn"))
    assert world.value("events", "autumn", "founded") is None


def test_making_a_venue_again_the_same_way_changes_nothing(world: World) -> None:
    again = create("venues", "other", name={"de": "Anderswo"}, time_zone="Europe/Zurich")
    assert world.carry_out(again).effects == ("unchanged",)
