"""A session that lost its place, or a registration its seat, to another one asks again by naming it, once it is free.

Its slot was equal to what was there, so nothing was written, and it read `displaced` by a booking that was deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.api import Caller, Programme, Table, serving

pytestmark = pytest.mark.row("S0-8")


@pytest.fixture
def geneva(acme: Caller, table: Table) -> Iterator[Caller]:
    """The same client at another node."""
    with serving(table["geneva"]) as served:
        yield served.caller(acme)


def path_of(made: Any) -> str:
    return f"/v2/sessions/{made.json()['id']}"


class Race:
    """Two sessions that were booked at one place, at nodes that could not see each other."""

    def __init__(self, forum: Programme, geneva: Caller, table: Table) -> None:
        slot = forum.slot()
        self.table, self.slot = table, slot
        made = [
            caller.post("/v2/sessions", forum.session("A", slot=slot))
            for caller in (forum.caller, geneva)
        ]
        assert [one.status_code for one in made] == [201, 201]
        table.deliver()
        states = {path: state(forum.caller, path) for path in map(path_of, made)}
        (self.won,) = [path for path, told in states.items() if told == "confirmed"]
        (self.lost,) = [path for path, told in states.items() if told == "displaced"]


@pytest.fixture
def race(forum: Programme, geneva: Caller, table: Table) -> Race:
    return Race(forum, geneva, table)


def state(caller: Caller, path: str) -> str:
    return str(caller.get(path).json()["slot"]["state"])


@pytest.mark.parametrize("way", ["patch", "put", "tentative"])
def test_a_slot_that_is_named_again_is_claimed_again_once_it_is_free(
    way: str, race: Race, acme: Caller, table: Table
) -> None:
    acme.delete(race.won)
    table.deliver()
    body = acme.get(race.lost).json()
    if way == "put":
        asked = acme.put(race.lost, body)
    else:
        query = "?on_conflict=tentative" if way == "tentative" else ""
        asked = acme.patch(race.lost + query, {"slot": race.slot})
    assert asked.json()["slot"]["state"] == "tentative", asked.text
    table.deliver()
    assert state(acme, race.lost) == "confirmed"


def test_a_title_that_is_edited_asks_for_no_place(race: Race, acme: Caller, table: Table) -> None:
    acme.delete(race.won)
    table.deliver()
    acme.patch(race.lost, {"title": {"de": "Anders"}})
    table.deliver()
    assert state(acme, race.lost) == "displaced"


def test_while_the_place_is_taken_nothing_is_refused_and_who_has_it_is_told(
    race: Race, acme: Caller
) -> None:
    body = acme.get(race.lost).json()
    put = acme.put(race.lost, body)
    assert (put.status_code, put.json()["version"]) == (200, body["version"])
    (warning,) = put.json()["warnings"]
    assert warning["code"] == "slot_taken"
    assert warning["others"] == [race.won.rpartition("/")[2]]
    edited = acme.put(race.lost, {**body, "title": {"de": "Anders"}})
    assert (edited.status_code, edited.json()["title"]) == (200, {"de": "Anders"})


def test_who_would_rather_wait_is_in_line_from_then_on(
    race: Race, acme: Caller, table: Table
) -> None:
    asking = f"{race.lost}?on_conflict=tentative"
    asked = acme.patch(asking, {"slot": race.slot}).json()
    assert asked["slot"]["state"] == "tentative"
    table.deliver()
    again = acme.patch(asking, {"slot": race.slot}).json()
    assert again["slot"]["state"] == "displaced", "it keeps its turn"
    acme.delete(race.won)
    table.deliver()
    table.deliver()
    assert state(acme, race.lost) == "confirmed"


def test_a_confirmed_session_that_is_written_again_stays_as_it_is(race: Race, acme: Caller) -> None:
    body = acme.get(race.won).json()
    for _ in range(2):
        again = acme.put(race.won, body)
        assert (again.status_code, again.json()["version"]) == (200, body["version"])
        assert again.json()["slot"]["state"] == "confirmed"


def test_a_batch_says_that_it_wrote_what_it_asked_for_again(
    race: Race, acme: Caller, table: Table
) -> None:
    patch = {"op": "patch", "type": "sessions", "data": {"slot": race.slot}}
    operations = [{**patch, "id": race.lost.rpartition("/")[2]}]
    taken = acme.post("/v2/batch", {"mode": "atomic", "operations": operations}).json()
    assert [result["effect"] for result in taken["results"]] == ["unchanged"]
    acme.delete(race.won)
    table.deliver()
    free = acme.post("/v2/batch", {"mode": "atomic", "operations": operations}).json()
    assert [result["effect"] for result in free["results"]] == ["updated"]


def test_a_session_keeps_the_place_it_has_while_it_asks_again(
    forum: Programme, acme: Caller, geneva: Caller, table: Table
) -> None:
    path = path_of(acme.post("/v2/sessions", forum.session("A", slot=forum.slot("09:00"))))
    table.deliver()
    won = path_of(acme.post("/v2/sessions", forum.session("B", slot=forum.slot("10:00"))))
    table.deliver("geneva")
    assert geneva.patch(path, {"slot": forum.slot("09:30")}).status_code == 200
    table.deliver()
    slot = acme.get(path).json()["slot"]
    assert (slot["state"], slot["held"]["local_start"][-5:]) == ("displaced", "09:00")
    acme.delete(won)
    table.deliver()
    assert acme.patch(path, {"slot": forum.slot("09:30")}).json()["slot"]["state"] == "tentative"
    table.deliver()
    slot = acme.get(path).json()["slot"]
    assert (slot["state"], "held" in slot) == ("confirmed", False)


def test_a_series_that_is_written_again_asks_for_what_it_lost(
    forum: Programme, acme: Caller, geneva: Caller, table: Table
) -> None:
    series = {
        "event": forum.event,
        "rule": "FREQ=DAILY;COUNT=2",
        "slot": forum.slot(),
        "session": {"title": {"de": "Probe"}},
    }
    won = path_of(acme.post("/v2/sessions", forum.session("A", slot=forum.slot())))
    table.deliver("geneva")
    made = geneva.post("/v2/series", series)
    assert made.status_code == 201, made.text
    table.deliver()
    path = f"/v2/series/{made.json()['id']}"

    def states() -> list[str]:
        return [s["slot"]["state"] for s in acme.get(f"{path}/sessions").json()["data"]]

    assert states() == ["displaced", "displaced"]
    acme.delete(won)
    table.deliver()
    assert acme.put(path, series).status_code == 200
    table.deliver()
    assert states() == ["confirmed", "confirmed"]
    before = acme.get(f"{path}/sessions").content
    assert acme.put(path, series).status_code == 200
    assert acme.get(f"{path}/sessions").content == before


def test_a_registration_that_is_made_again_gets_a_seat_that_is_left(
    forum: Programme, acme: Caller, geneva: Caller, table: Table
) -> None:
    session = acme.post("/v2/sessions", forum.session("A", seats=1)).json()["id"]
    people = [acme.post("/v2/attendees", {"name": name}).json()["id"] for name in ("Noa", "Lia")]
    table.deliver()

    def register(caller: Caller, who: str) -> Any:
        return caller.post("/v2/registrations", {"session": session, "attendee": who})

    first, second = register(acme, people[0]).json(), register(geneva, people[1]).json()
    table.deliver()
    shown = {
        id_: acme.get(f"/v2/registrations/{id_}").json() for id_ in (first["id"], second["id"])
    }
    (lost,) = [id_ for id_, one in shown.items() if one["state"] == "displaced"]
    (won,) = shown.keys() - {lost}
    taken = register(acme, shown[lost]["attendee"])
    assert taken.json()["state"] == "displaced"
    acme.patch(f"/v2/registrations/{won}", {"cancelled": True})
    table.deliver()
    again = register(acme, shown[lost]["attendee"])
    assert again.json()["state"] == "pending", again.text
    table.deliver()
    after = acme.get(f"/v2/registrations/{lost}").json()
    assert after["state"] == "confirmed"
    repeated = register(acme, shown[lost]["attendee"]).json()
    assert repeated["version"] == after["version"]
