"""An event or venue in a time zone that nobody knows is refused: its programme could not be told the time."""

from __future__ import annotations

import pytest

from konkordat.schedule.commands import operation
from konkordat.schedule.model import EventBody, VenueBody
from konkordat.schedule.registry import COLLECTIONS
from unit.schedule_rules.world import World, uid


def an_event(zone: str) -> EventBody:
    return EventBody(
        slug="forum",
        name={"de": "Forum"},
        time_zone=zone,
        start_date="2027-06-01",
        end_date="2027-06-03",
    )


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe/Zuerich", "CEST+25"])
def test_an_unknown_zone_is_refused_with_its_place(zone: str) -> None:
    world = World()
    venue = VenueBody(name={"de": "Kursaal"}, time_zone=zone)
    for collection, body in (("events", an_event(zone)), ("venues", venue)):
        refusal = world.refused(operation("create", collection, uid(collection), body))
        assert (refusal.code, refusal.pointer) == ("unknown_time_zone", "/time_zone")


def test_a_patch_to_an_unknown_zone_is_refused() -> None:
    world = World()
    world.carry_out(operation("create", "events", uid("e"), an_event("Europe/Zurich")))
    patch = COLLECTIONS["events"].patch(time_zone="Mars/Olympus")
    assert world.refused(operation("patch", "events", uid("e"), patch)).code == "unknown_time_zone"
