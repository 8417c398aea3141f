"""Who was given a place keeps it when there is less afterwards. Whoever takes it away is told, and the clashes show it.

Three sessions in a room that took one of them were nowhere to be seen, nor was one in a room that did not exist.
"""

from __future__ import annotations

from typing import Any

import pytest

from support.api import Caller, Programme, Table, serving

pytestmark = pytest.mark.row("S0-8")


def overbooked(forum: Programme, event: str = "") -> dict[str, Any]:
    """The clashes of that kind, by session."""
    found = forum.caller.get(f"/v2/events/{event or forum.event}/clashes").json()["overbooked"]
    return {each["session"]: each for each in found}


def test_a_room_that_takes_fewer_than_are_booked_is_warned_of_and_shown(
    forum: Programme, acme: Caller, table: Table
) -> None:
    hall = forum.make("rooms", venue=forum.venue, name={"de": "Halle"}, max_concurrent=3)
    times = ("09:00", "09:15", "09:30", "12:00")
    a, b, c, d = (
        forum.make("sessions", **forum.session(slot=forum.slot(at, room=hall))) for at in times
    )
    table.deliver()
    assert overbooked(forum) == {}
    fewer = acme.patch(f"/v2/rooms/{hall}", {"max_concurrent": 2})
    (warning,) = fewer.json()["warnings"]
    assert (fewer.status_code, warning["code"], warning["pointer"]) == (
        200,
        "overbooked",
        "/max_concurrent",
    )
    assert set(warning["others"]) == {a, b, c}
    found = overbooked(forum)
    assert found.keys() == {a, b, c}
    assert found[a]["code"] == "overbooked"
    assert found[a]["place"] == f"room/{hall}"
    assert {other["id"] for other in found[a]["others"]} == {b, c}
    states = [acme.get(f"/v2/sessions/{id_}").json()["slot"]["state"] for id_ in (a, b, c, d)]
    assert states == ["confirmed"] * 4, "nobody loses a place"
    acme.delete(f"/v2/sessions/{b}")
    table.deliver()
    assert overbooked(forum) == {}


def test_a_room_that_takes_fewer_but_enough_is_not_warned_of(
    forum: Programme, acme: Caller, table: Table
) -> None:
    hall = forum.make("rooms", venue=forum.venue, name={"de": "Halle"}, max_concurrent=3)
    for at in ("09:00", "09:45"):  # one ends when the other begins
        forum.make("sessions", **forum.session(slot=forum.slot(at, room=hall)))
    table.deliver()
    assert "warnings" not in acme.patch(f"/v2/rooms/{hall}", {"max_concurrent": 1}).json()
    assert overbooked(forum) == {}


def test_a_session_in_a_room_that_was_deleted_elsewhere_is_shown(
    forum: Programme, acme: Caller, table: Table
) -> None:
    annex = forum.make("rooms", venue=forum.venue, name={"de": "Anbau"})
    table.deliver()
    with serving(table["geneva"]) as served:
        gone = served.caller(acme).delete(f"/v2/rooms/{annex}")
    assert gone.status_code in (200, 204), gone.text
    booked = forum.make("sessions", **forum.session(slot=forum.slot(room=annex)))
    table.deliver("geneva")
    assert overbooked(forum) == {}
    table.deliver()
    table.deliver()
    assert overbooked(forum) == {
        booked: {
            "session": booked,
            "code": "place_deleted",
            "place": f"room/{annex}",
            "others": [],
        }
    }


def test_another_event_in_the_room_counts_and_what_is_over_does_not(
    forum: Programme, acme: Caller, table: Table
) -> None:
    hall = forum.make("rooms", venue=forum.venue, name={"de": "Halle"}, max_concurrent=2)
    other = forum.make(
        "events", slug="other", name={"de": "Zweites"}, time_zone="Europe/Zurich",
        start_date="2027-06-01", end_date="2027-06-03",
    )  # fmt: skip
    slot = forum.slot(room=hall)
    mine = forum.make("sessions", **forum.session(slot=slot))
    theirs = forum.make("sessions", **forum.session(slot=slot) | {"event": other})
    table.deliver()
    acme.patch(f"/v2/rooms/{hall}", {"max_concurrent": 1})
    assert overbooked(forum).keys() == {mine}
    assert overbooked(forum)[mine]["others"] == [{"type": "sessions", "id": theirs}]
    assert overbooked(forum, other).keys() == {theirs}
    for gate in table.gates.values():
        gate.clock_ms += 30 * 24 * 3_600_000
    assert overbooked(forum) == {}
