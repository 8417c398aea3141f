"""An event as a whole: formats of other tools, and clashes."""

from __future__ import annotations

import pytest

from konkordat.schedule.interchange.read import read_programme
from support.api import Node, Programme, Table


@pytest.mark.row("S0-40")
@pytest.mark.parametrize(
    ("format_", "media_type"),
    [
        ("xml", "application/xml"),
        ("json", "application/json"),
        ("ics", "text/calendar; charset=utf-8"),
    ],
)
def test_a_programme_can_be_read_by_other_tools(
    forum: Programme, format_: str, media_type: str
) -> None:
    forum.caller.post(
        "/v2/sessions", forum.session("Netze", slot=forum.slot(), speakers=[forum.speaker])
    )
    path = f"/v2/events/{forum.event}/schedule.{format_}"
    got = forum.caller.get(path)
    assert got.status_code == 200, got.text
    assert got.headers["content-type"] == media_type
    programme = read_programme(got.content, f"schedule.{format_}")
    (session,) = programme.sessions
    assert session.title == "Netze"
    assert session.placement is not None
    assert session.placement.local_start == "2027-06-01T09:00"
    same = forum.caller.get(path, headers={"If-None-Match": got.headers["etag"]})
    assert same.status_code == 304
    forum.caller.post("/v2/sessions", forum.session("Zweite"))
    assert forum.caller.get(path, headers={"If-None-Match": got.headers["etag"]}).status_code == 200


def test_a_cancelled_session_stays_in_the_calendar_with_a_higher_sequence(
    forum: Programme, node: Node
) -> None:
    made = forum.caller.post(
        "/v2/sessions", forum.session(slot=forum.slot(), state="confirmed")
    ).json()
    path = f"/v2/events/{forum.event}/schedule.ics"
    first = forum.caller.get(path).text
    assert "SEQUENCE:0" in first
    node.gate.clock_ms += 5_000
    forum.caller.patch(f"/v2/sessions/{made['id']}", {"title": {"de": "Neu"}})
    second = forum.caller.get(path).text
    assert "SEQUENCE:0" not in second
    uids = [line for line in (*first.splitlines(), *second.splitlines()) if line.startswith("UID")]
    assert len(set(uids)) == 1


def test_a_speaker_in_two_places_is_shown_and_not_repaired(forum: Programme) -> None:
    other = forum.make("rooms", venue=forum.venue, name={"de": "Foyer"})
    ids = [
        forum.caller.post(
            "/v2/sessions",
            forum.session(slot=forum.slot(at, room=room), speakers=[forum.speaker]),
        ).json()["id"]
        for at, room in (("09:00", forum.room), ("09:30", other))
    ]
    found = forum.caller.get(f"/v2/events/{forum.event}/clashes").json()
    assert found == {
        "speakers": [{"speaker": forum.speaker, "first": ids[0], "second": ids[1]}],
        "displaced": [],
        "outside": [],
        "overbooked": [],
        "truncated": False,
    }


def test_displaced_sessions_are_listed_with_their_reason(
    table: Table, geneva: Node, forum: Programme
) -> None:
    table.deliver()
    mine = forum.caller.post("/v2/sessions", forum.session("A", slot=forum.slot())).json()
    table["geneva"].clock_ms = table["zurich"].clock_ms + 50
    there = geneva.caller(forum.caller)
    lost = there.post("/v2/sessions", forum.session("B", slot=forum.slot())).json()
    table.deliver()
    for caller in (forum.caller, there):
        (displaced,) = caller.get(f"/v2/events/{forum.event}/clashes").json()["displaced"]
        assert displaced["session"] == lost["id"]
        assert displaced["reason"]["claims"] == [{"type": "sessions", "id": mine["id"]}]


@pytest.mark.row("S0-8")
def test_sessions_of_an_event_that_moved_are_found_outside_of_it(forum: Programme) -> None:
    """indico #4068: the event moved and the room booking stayed, and nobody was told."""
    made = forum.caller.post("/v2/sessions", forum.session(slot=forum.slot())).json()
    path = f"/v2/events/{forum.event}"
    days = {"start_date": "2027-09-01", "end_date": "2027-09-02"}
    moved = forum.caller.patch(path, days).json()
    assert [warning["code"] for warning in moved["warnings"]] == ["sessions_stay"]
    assert forum.caller.get(f"{path}/clashes").json()["outside"] == [made["id"]]
    there = forum.slot() | {"local_start": "2027-09-01T09:00"}
    forum.caller.patch(f"/v2/sessions/{made['id']}", {"slot": there})
    assert forum.caller.get(f"{path}/clashes").json()["outside"] == []
