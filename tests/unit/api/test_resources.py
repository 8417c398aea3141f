"""Records over REST: made, read, changed, deleted; conditions and lists."""

from __future__ import annotations

from support.api import Caller, Programme


def test_a_created_record_can_be_read_where_the_answer_says(acme: Caller) -> None:
    made = acme.post("/v2/speakers", {"name": "Mila", "external_ids": {"crm": "7"}})
    assert made.status_code == 201
    read = acme.get(made.headers["location"])
    assert read.status_code == 200
    assert read.json() == made.json()
    assert read.headers["etag"] == made.headers["etag"] == f'"{read.json()["version"]}"'
    assert read.json()["name"] == "Mila"
    assert read.json()["deleted_at"] is None
    assert read.json()["updated_at_node"] == "zurich"


def test_a_session_shows_what_became_of_its_slot(forum: Programme) -> None:
    made = forum.caller.post("/v2/sessions", forum.session(slot=forum.slot()))
    slot = made.json()["slot"]
    assert slot["state"] == "confirmed"
    assert slot["start"] == "2027-06-01T07:00:00Z"
    assert slot["end"] == "2027-06-01T07:45:00Z"


def test_a_taken_room_is_refused_naming_what_is_there(forum: Programme) -> None:
    first = forum.caller.post("/v2/sessions", forum.session("Erste", slot=forum.slot())).json()
    second = forum.caller.post("/v2/sessions", forum.session("Zweite", slot=forum.slot("09:30")))
    assert second.status_code == 409
    problem = second.json()
    assert problem["code"] == "slot_taken"
    (conflict,) = problem["conflicts"]
    assert conflict["id"] == first["id"]
    assert conflict["title"] == {"de": "Erste"}
    assert problem["alternatives"]
    assert problem["errors"][0]["pointer"] == "/slot"
