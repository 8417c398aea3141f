"""A multi-venue event in Bern: three locations edit their own parts at once, and nothing conflicts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from konkordat.client import Client
from support.town import Town, overlapping, slot, state_of, town

pytestmark = pytest.mark.slow

LOCATIONS = ("altstadt", "wankdorf", "laenggasse")
TALKS = 12  # at each location


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("bern"), *LOCATIONS) as nodes:
        yield nodes


def programme(client: Client, event: str, rooms: list[str]) -> list[str]:
    """One location at work: talks are booked, retitled, moved, called off and staffed. Any refusal raises."""
    made = []
    for number in range(TALKS):
        at = slot(rooms[number % 2], 1 + number // 6, f"{9 + number // 2 % 3 * 2:02}:00")
        body = {"event": event, "title": {"de": f"Vortrag {number}"}, "slot": at}
        made.append(client.create("sessions", body)["id"])
    speaker = client.create("speakers", {"name": "Meret Zgraggen"})["id"]
    for number, id_ in enumerate(made):
        client.update("sessions", id_, {"title": {"de": f"Vortrag {number}, neu"}})
    client.update("sessions", made[0], {"speakers": [speaker]})
    client.update("sessions", made[1], {"slot": slot(rooms[1], 3, "15:00")})
    client.update("sessions", made[2], {"state": "cancelled"})
    return made


@pytest.mark.row("S0-42")
def test_three_locations_at_work_at_once_have_no_conflict(place: Town) -> None:
    event = place.event("altstadt", "bern-2027")
    rooms = {name: place.venue(name, rooms=2)[1] for name in LOCATIONS}
    shared = place.at["altstadt"].create("sessions", {"event": event, "title": {"de": "Feier"}})
    place.share()
    parts = ("subtitle", "abstract", "description")

    def work(name: str, part: str) -> list[str]:
        client = place.at[name]
        client.update("sessions", shared["id"], {part: {"de": f"von {name}"}})
        return programme(client, event, rooms[name])

    with ThreadPoolExecutor(len(LOCATIONS)) as pool:
        made = dict(zip(LOCATIONS, pool.map(work, LOCATIONS, parts), strict=True))
    ids = [id_ for part in made.values() for id_ in part]
    place.share()
    told = place.settled([*ids, shared["id"]])
    place.agree()
    for name, records in told.items():
        assert overlapping(list(records.values())) == [], name
        states = [state_of(records[id_]) for id_ in ids]
        assert states.count("confirmed") == len(ids) - len(LOCATIONS), name
        assert states.count("released") == len(LOCATIONS), name
        assert [records[shared["id"]][part]["de"] for part in parts] == [
            f"von {location}" for location in LOCATIONS
        ]
    assert len({str(records) for records in told.values()}) == 1, "every node tells the same"
    assert _overwritten(place.at["wankdorf"], [*ids, shared["id"]]) == []
    assert place.at["wankdorf"].clashes(event)["speakers"] == []


def _overwritten(client: Client, ids: list[str]) -> list[str]:
    """Values of one node that another node's value replaced: there are none where everybody edits their own part."""
    found = []
    for id_ in ids:
        entries = client.history("sessions", id_)["data"]
        writer = {e["stamp"]: e["node"] for e in entries}
        found += [
            f"{e['node']} {value['group']}"
            for e in entries
            for value in e["values"]
            if value.get("won_by") and writer.get(value["won_by"]) != e["node"]
        ]
    return found
