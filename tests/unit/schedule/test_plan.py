from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from msgspec import structs

from konkordat.kernel import canonical
from konkordat.kernel.ids import Group
from konkordat.schedule.fields import UUID7_PATTERN
from konkordat.schedule.interchange.collect import Records, collect_programme
from konkordat.schedule.interchange.plan import ImportPlan, derived_id, plan_import
from konkordat.schedule.interchange.programme import Placement, Programme, ProgrammeRoom
from konkordat.schedule.interchange.read import read_programme
from konkordat.schedule.registry import COLLECTIONS, checked, from_groups, to_groups
from konkordat.schedule.rules import references
from konkordat.schedule.sample import sample_programme
from support.frab import event, read

PERSON = "<persons><person id='3'>Anna Muster</person></persons>"


def sample() -> Programme:
    return read_programme(sample_programme())


def stored(plan: ImportPlan) -> dict[str, list[dict[str, Any]]]:
    """The records of a plan as the API would answer them."""
    records: dict[str, list[dict[str, Any]]] = {name: [] for name in COLLECTIONS}
    for operation in plan.operations:
        spec = COLLECTIONS[operation.collection]
        body = msgspec.convert({"id": operation.id, **operation.data}, spec.body)
        groups = to_groups(spec, body)
        checked(spec, groups)
        records[operation.collection].append({"id": operation.id, **from_groups(spec, groups)})
    return records


def test_every_operation_comes_after_what_it_refers_to() -> None:
    seen: set[str] = set()
    for operation in plan_import(sample()).operations:
        spec = COLLECTIONS[operation.collection]
        groups = to_groups(spec, msgspec.convert({"id": operation.id, **operation.data}, spec.body))
        values = {Group(group): canonical.encode(value) for group, value in groups.items()}
        assert all(found.id in seen for found in references(spec, values, values))
        seen.add(operation.id)


def test_every_operation_is_a_valid_body() -> None:
    made = stored(plan_import(sample()))
    counts = {name: len(records) for name, records in made.items() if records}
    assert counts == {
        "events": 1,
        "venues": 5,
        "rooms": 25,
        "speakers": 150,
        "sessions": 200,
    }


def test_planning_the_same_file_twice_gives_the_same_records() -> None:
    assert plan_import(sample()) == plan_import(sample())


def test_ids_tell_apart_events_kinds_and_names() -> None:
    made = {
        derived_id("2027-06-01", slug, kind, name)
        for slug in ("forum", "forums")
        for kind in ("room", "session")
        for name in ("ession", "s", "")
    }
    assert len(made) == 12


def test_a_room_that_moved_to_another_venue_is_another_room() -> None:
    """The seat of its venue decides about a room. Under one id at two venues two would."""
    programme = sample()
    renamed = {venue.name: f"{venue.name} (neu)" for venue in programme.venues}
    moved = structs.replace(
        programme,
        venues=tuple([structs.replace(v, name=renamed[v.name]) for v in programme.venues]),
        rooms=tuple([structs.replace(r, venue=renamed[r.venue]) for r in programme.rooms]),
    )
    before, after = (stored(plan_import(each)) for each in (programme, moved))
    for kind, stays in (("rooms", False), ("venues", False), ("sessions", True)):
        ids, now = ({record["id"] for record in made[kind]} for made in (before, after))
        assert (ids == now) if stays else ids.isdisjoint(now)


def test_an_id_is_a_uuid_of_version_7_with_the_time_of_the_first_day() -> None:
    made = derived_id("2027-06-01", "forum", "session", "9025")
    assert re.search(UUID7_PATTERN, made)
    assert made.replace("-", "")[:12] == f"{1811808000000:012x}"
    assert derived_id("1970-01-01", "forum", "session", "1").startswith("00000000-0000-7")


def test_sessions_come_by_start_and_then_as_in_the_file() -> None:
    programme = read(
        event("late", start="11:00"),
        event("none", duration="00:00"),
        event("first", start="09:00"),
        event("second", start="09:00"),
    )
    operations = [o for o in plan_import(programme).operations if o.collection == "sessions"]
    assert [o.data["external_ids"]["frab"] for o in operations] == [
        "first",
        "second",
        "late",
        "none",
    ]


def test_the_later_of_two_in_a_room_loses_its_slot_and_stays() -> None:
    report = plan_import(read(event("1"), event("2", start="09:30"))).report
    (refused,) = report.slots_refused
    assert (refused.session.external_id, refused.room) == ("2", "Aula")
    assert [other.external_id for other in refused.in_the_way] == ["1"]
    assert (report.sessions, report.placed) == (2, 1)


def test_the_plan_leaves_the_refusing_to_who_holds_the_rooms() -> None:
    plan = plan_import(read(event("1"), event("2", start="09:30")))
    sessions = [o for o in plan.operations if o.collection == "sessions"]
    assert all("slot" in o.data for o in sessions)
    assert {o.on_conflict for o in sessions} == {"without_slot"}


def two_rooms(state: str = "confirmed") -> Programme:
    programme = read(event("1", more=PERSON), event("2", more=PERSON))
    first, second = programme.sessions
    second = structs.replace(
        second, placement=Placement("Keller", "2027-06-01T09:30", 45), state=state
    )
    rooms = (*programme.rooms, ProgrammeRoom("Keller", programme.venues[0].name))
    return structs.replace(programme, rooms=rooms, sessions=(first, second))


def test_a_speaker_in_two_places_is_reported_by_name() -> None:
    (clash,) = plan_import(two_rooms()).report.speaker_clashes
    assert (clash.speaker, clash.first.external_id, clash.second.external_id) == (
        "Anna Muster",
        "1",
        "2",
    )


def test_a_cancelled_session_takes_neither_room_nor_speaker() -> None:
    assert plan_import(two_rooms("cancelled")).report.speaker_clashes == ()


def test_a_session_that_lost_its_slot_does_not_clash_as_well() -> None:
    programme = read(event("1", more=PERSON), event("2", start="09:30", more=PERSON))
    report = plan_import(programme).report
    assert len(report.slots_refused) == 1
    assert report.speaker_clashes == ()


def test_texts_are_in_the_language_of_the_session_else_in_the_commonest() -> None:
    german = "<language>de</language>"
    programme = read(
        event("1", more=german), event("2", start="10:00", more=german), event("3", start="11:00")
    )
    titles = [o.data["title"] for o in plan_import(programme).operations if "title" in o.data]
    assert [list(title) for title in titles] == [["de"], ["de"], ["de"]]


def test_venues_take_the_region_asked_for_unless_they_have_their_own() -> None:
    plan = plan_import(read(event()), region="bern")
    assert [o.data["region"] for o in plan.operations if o.collection == "venues"] == ["bern"]
    regions = {
        o.data["region"] for o in plan_import(sample(), "chur").operations if "region" in o.data
    }
    assert regions == {"zurich", "geneva", "basel", "lugano", "bern"}


# And back --------------------------------------------------------------------------------------


@pytest.mark.row("S0-40")
def test_what_was_imported_can_be_collected_again() -> None:
    programme = sample()
    records = stored(plan_import(programme))
    collected = collect_programme(
        Records(
            records["events"][0],
            records["venues"],
            records["rooms"],
            records["speakers"],
            records["sessions"],
        )
    )
    assert collected.event == structs.replace(programme.event, version="")
    assert collected.venues == programme.venues
    assert collected.rooms == programme.rooms
    assert set(collected.speakers) == set(programme.speakers)
    bare = {structs.replace(s, guid=None, uid=None) for s in collected.sessions}
    assert bare == set(programme.sessions)


def test_a_displaced_slot_is_not_shown_as_if_it_held_the_room() -> None:
    records = stored(plan_import(read(event())))
    session = records["sessions"][0]
    session["slot"] = {**session["slot"], "state": "displaced"}
    collected = collect_programme(
        Records(records["events"][0], records["venues"], records["rooms"], (), (session,))
    )
    assert collected.sessions[0].placement is None


def test_a_slot_in_another_zone_is_shown_in_that_of_the_event() -> None:
    records = stored(plan_import(read(event())))
    session = records["sessions"][0]
    session["slot"] = {**session["slot"], "time_zone": "Europe/London"}
    collected = collect_programme(
        Records(records["events"][0], records["venues"], records["rooms"], (), (session,))
    )
    assert collected.sessions[0].placement == Placement("Aula", "2027-06-01T10:00", 45)


def test_two_rooms_of_one_name_are_told_apart_by_their_venue() -> None:
    records = stored(plan_import(sample()))
    rooms = [{**room, "name": {"de": "Saal 1"}} for room in records["rooms"][:10:6]]
    collected = collect_programme(Records(records["events"][0], records["venues"], rooms))
    assert [room.name for room in collected.rooms] == ["Saal 1", "Saal 1 (Maison de la Rade)"]


def test_the_language_asked_for_is_taken_where_there_is_one() -> None:
    records = stored(plan_import(read(event("1"), event("2", start="10:00"))))
    first, second = records["sessions"]
    first["title"] = {"en": "Networks", "fr": "Réseaux"}
    second["title"] = {"de": "Netze", "it": "Reti"}
    collected = collect_programme(
        Records(records["events"][0], records["venues"], records["rooms"], (), (first, second)),
        language="fr",
    )
    assert [session.title for session in collected.sessions] == ["Réseaux", "Netze"]
