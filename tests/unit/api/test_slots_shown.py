"""A slot as clients see it, at a node that holds its own seats: granted, held, denied, and what is free instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from konkordat.api import schemas
from konkordat.replica.messages import Tick
from konkordat.schedule import places
from konkordat.schedule.registry import COLLECTIONS
from support.api import Node, Programme, TrialGate, serving

pytestmark = pytest.mark.row("S0-8")


@pytest.fixture
def node() -> Iterator[Node]:
    gate = TrialGate("zurich", members=("zurich",))
    gate.handle([Tick()])
    with serving(gate) as served:
        yield served


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local check sees nothing of what others hold, as at a node that has not heard of it."""
    monkeypatch.setattr(places.Places, "holders", lambda *_: [])


@pytest.fixture
def attic(forum: Programme) -> str:
    return forum.make("rooms", venue=forum.venue, name={"de": "Estrich"}, capacity=50)


def book(forum: Programme, title: str, slot: dict[str, Any], query: str = "", **more: Any) -> Any:
    return forum.caller.post(f"/v2/sessions{query}", forum.session(title, slot=slot, **more))


def slot_of(forum: Programme, made: Any) -> Any:
    """The slot as it is now; the answer fits the document, and can be sent back as it is."""
    path = f"/v2/sessions/{made.json()['id']}"
    got = forum.caller.get(path)
    msgspec.json.decode(got.content, type=schemas.shown(COLLECTIONS["sessions"]))
    back = forum.caller.put(path, got.json())
    assert (back.status_code, back.headers["etag"]) == (200, got.headers["etag"]), back.text
    return got.json()["slot"]


def test_an_alternative_that_was_granted_is_shown_beside_the_wish(
    forum: Programme, attic: str
) -> None:
    book(forum, "A", forum.slot())
    made = book(forum, "B", {**forum.slot(), "alternatives": [{"room": attic}]})
    assert made.status_code == 201, made.text
    shown = slot_of(forum, made)
    assert (shown["state"], shown["room"]) == ("confirmed", forum.room)
    assert shown["granted"] == {
        **forum.slot(room=attic),
        "start": "2027-06-01T07:00:00Z",
        "end": "2027-06-01T07:45:00Z",
    }


def test_shown_times_are_the_sessions_own_and_not_those_of_the_room(forum: Programme) -> None:
    forum.caller.patch(f"/v2/rooms/{forum.room}", {"setup_minutes": 30, "teardown_minutes": 30})
    made = book(forum, "A", forum.slot())
    shown = slot_of(forum, made)
    assert (shown["start"], shown["end"]) == ("2027-06-01T07:00:00Z", "2027-06-01T07:45:00Z")
    assert "granted" not in shown
    refused = book(forum, "B", forum.slot("10:00")).json()
    (conflict,) = refused["conflicts"]
    assert (conflict["start"], conflict["end"]) == (shown["start"], shown["end"])
    assert conflict["title"] == {"de": "A"}


def test_a_denied_move_shows_the_place_that_is_kept_and_why(
    forum: Programme, blind: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = book(forum, "A", forum.slot()), book(forum, "B", forum.slot("14:00"))
    tag = forum.caller.get(f"/v2/sessions/{a.json()['id']}").headers["etag"]
    forum.caller.patch(
        f"/v2/sessions/{a.json()['id']}", {"slot": {"local_start": "2027-06-01T14:00"}}
    )
    monkeypatch.undo()  # else sending it back would ask for the place again
    shown = slot_of(forum, a)
    assert (shown["state"], shown["local_start"]) == ("displaced", "2027-06-01T14:00")
    assert shown["held"]["local_start"] == "2027-06-01T09:00"
    assert shown["reason"]["claims"] == [{"type": "sessions", "id": b.json()["id"]}]
    assert forum.caller.get(f"/v2/sessions/{a.json()['id']}").headers["etag"] != tag


@pytest.mark.parametrize("format_", ["ics", "xml", "json"])
def test_exports_show_where_a_session_really_is(
    forum: Programme, attic: str, blind: None, format_: str
) -> None:
    path = f"/v2/events/{forum.event}/schedule.{format_}"
    book(forum, "Fest", forum.slot())
    book(forum, "Ersatz", {**forum.slot(), "alternatives": [{"room": attic}]})
    moved = book(forum, "Bleibt", forum.slot("15:00")).json()["id"]
    forum.caller.patch(f"/v2/sessions/{moved}", {"slot": forum.slot("09:15")})
    text = forum.caller.get(path).text
    assert "Estrich" in text
    when = {"ics": "T130000Z", "xml": "15:00", "json": "15:00"}[format_]
    assert when in text
    assert {"ics": "T071500Z", "xml": "09:15", "json": "09:15"}[format_] not in text


def test_free_rooms_of_enough_size_are_offered_beside_free_times(
    forum: Programme, attic: str
) -> None:
    small = forum.make("rooms", venue=forum.venue, name={"de": "Stube"}, capacity=10)
    taken = forum.make("rooms", venue=forum.venue, name={"de": "Aula"}, capacity=60)
    book(forum, "A", forum.slot())
    book(forum, "B", forum.slot(room=taken))
    refused = book(forum, "C", forum.slot(), seats=40).json()
    rooms = [offer["room"] for offer in refused["alternatives"]]
    assert rooms.count(attic) == 1
    assert forum.room in rooms
    assert not {small, taken} & set(rooms)
    assert "wished" not in refused
    (instead,) = [offer for offer in refused["alternatives"] if offer["room"] == attic]
    assert book(forum, "C", instead, seats=40).json()["slot"]["state"] == "confirmed"


def test_a_displaced_session_is_told_what_is_free(forum: Programme, attic: str) -> None:
    a = book(forum, "A", forum.slot())
    b = book(forum, "B", forum.slot(), "?on_conflict=tentative")
    assert slot_of(forum, b)["state"] == "displaced"
    free = forum.caller.get(f"/v2/sessions/{b.json()['id']}/alternatives").json()
    assert [c["id"] for c in free["conflicts"]] == [a.json()["id"]]
    assert attic in [offer["room"] for offer in free["alternatives"]]
    assert forum.slot("09:45") in free["alternatives"]


def test_a_hold_says_when_it_ends_and_gives_its_place_to_the_session(
    forum: Programme, node: Node
) -> None:
    body = {"event": forum.event, "slot": forum.slot(), "ttl_seconds": 600}
    made = forum.caller.post("/v2/holds", body)
    assert made.status_code == 201, made.text
    hold = made.json()
    assert (hold["slot"]["state"], hold["ttl_seconds"]) == ("confirmed", None)
    refused = book(forum, "A", forum.slot()).json()
    assert [(c["type"], c["id"]) for c in refused["conflicts"]] == [("holds", hold["id"])]
    a = book(forum, "A", {**forum.slot(), "hold": hold["id"]})
    assert (a.status_code, a.json()["slot"]["state"]) == (201, "confirmed")
    assert "hold" not in a.json()["slot"]
    assert forum.caller.get(f"/v2/holds/{hold['id']}").json()["slot"]["state"] == "released"


def test_a_hold_expires(forum: Programme, node: Node) -> None:
    body = {"event": forum.event, "slot": forum.slot(), "ttl_seconds": 60}
    hold = forum.caller.post("/v2/holds", body).json()
    node.gate.clock_ms += 61_000
    node.gate.handle([Tick()])
    assert forum.caller.get(f"/v2/holds/{hold['id']}").json()["slot"]["state"] == "expired"
    assert forum.caller.get(f"/v2/holds?event={forum.event}").json()["data"][0]["id"] == hold["id"]


def test_a_batch_may_ask_for_places_together(forum: Programme, attic: str) -> None:
    a, b = book(forum, "A", forum.slot()), book(forum, "B", forum.slot(room=attic))
    operations = [
        {"op": "patch", "type": "sessions", "id": s.json()["id"], "data": {"slot": {"room": room}}}
        for s, room in ((a, attic), (b, forum.room))
    ]
    asked = {"mode": "atomic", "together": True, "operations": operations}
    done = forum.caller.post("/v2/batch", asked)
    assert done.status_code == 200, done.text
    assert [slot_of(forum, s)["room"] for s in (a, b)] == [attic, forum.room]
    assert {slot_of(forum, s)["state"] for s in (a, b)} == {"confirmed"}
    asked["mode"] = "independent"
    assert forum.caller.post("/v2/batch", asked).json()["errors"][0]["pointer"] == "/together"


def test_more_alternatives_than_sixteen_are_refused_with_a_code(forum: Programme) -> None:
    others = [{"local_start": f"2027-06-02T{hour:02}:00"} for hour in range(6, 23)]
    refused = book(forum, "A", {**forum.slot(), "alternatives": others})
    assert (refused.status_code, refused.json()["code"]) == (422, "too_many_alternatives")


# Series -------------------------------------------------------------------------------------------


def daily(forum: Programme, **more: Any) -> dict[str, Any]:
    body = {"rule": "FREQ=DAILY;COUNT=3", "session": {"title": {"de": "Yoga"}}}
    return {"event": forum.event, "slot": forum.slot("07:00"), **body, **more}


def test_a_series_is_booked_in_one_request_and_tells_its_sessions(forum: Programme) -> None:
    made = forum.caller.post("/v2/series", daily(forum))
    assert made.status_code == 201, made.text
    told = made.json()
    assert [one["recurrence_id"] for one in told["occurrences"]] == [
        f"2027-06-0{day}T07:00" for day in (1, 2, 3)
    ]
    msgspec.json.decode(made.content, type=schemas.shown(COLLECTIONS["series"]))
    sessions = forum.caller.get(f"/v2/series/{told['id']}/sessions").json()["data"]
    assert [s["id"] for s in sessions] == [one["session"] for one in told["occurrences"]]
    assert {(s["series"], s["slot"]["state"]) for s in sessions} == {(told["id"], "confirmed")}
    assert forum.caller.put(f"/v2/series/{told['id']}", told).status_code == 200
    gone = forum.caller.delete(f"/v2/series/{told['id']}")
    assert gone.status_code == 204
    assert forum.caller.get(f"/v2/sessions/{sessions[2]['id']}").status_code == 404


def test_a_series_that_does_not_fit_names_the_occurrence_or_skips_it(forum: Programme) -> None:
    book(forum, "A", forum.slot("07:15", day=2))
    refused = forum.caller.post("/v2/series", daily(forum))
    assert (refused.status_code, refused.json()["code"]) == (409, "slot_taken")
    assert refused.json()["occurrence"] == "2027-06-02T07:00"
    made = forum.caller.post("/v2/series?on_conflict=skip_occurrence", daily(forum)).json()
    assert [one["recurrence_id"] for one in made["skipped"]] == ["2027-06-02T07:00"]
    assert made["exdates"] == ["2027-06-02T07:00"]


def test_a_sessions_series_cannot_be_changed(forum: Programme) -> None:
    made = forum.caller.post("/v2/series", daily(forum)).json()
    session = made["occurrences"][0]["session"]
    other = forum.caller.post("/v2/series", daily(forum, slot=forum.slot("20:00"))).json()
    for change in ({"series": other["id"]}, {"recurrence_id": "2027-06-02T07:00"}):
        refused = forum.caller.patch(f"/v2/sessions/{session}", change)
        assert (refused.status_code, refused.json()["code"]) == (409, "fixed")
