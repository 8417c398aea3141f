"""Bugs that others had, over the API: each is a test named after what went wrong and where."""

from __future__ import annotations

from support.api import Node, Programme, Table


def states(forum: Programme) -> list[str]:
    return [
        s["slot"]["state"] for s in forum.caller.get("/v2/sessions").json()["data"] if s["slot"]
    ]


def test_two_overlapping_tentative_bookings_are_not_both_confirmed(forum: Programme) -> None:
    """cal.com #10789, #29958."""
    for title in ("A", "B"):
        made = forum.caller.post(
            "/v2/sessions?on_conflict=tentative", forum.session(title, slot=forum.slot())
        )
        assert made.status_code == 201
    assert sorted(states(forum)) == ["confirmed", "displaced"]


def test_an_equal_start_is_a_conflict(forum: Programme) -> None:
    """pretalx #1494."""
    forum.caller.post("/v2/sessions", forum.session("A", slot=forum.slot("09:00", minutes=60)))
    same = forum.caller.post(
        "/v2/sessions", forum.session("B", slot=forum.slot("09:00", minutes=5))
    )
    assert same.json()["code"] == "slot_taken"


def test_sessions_may_follow_each_other_without_a_gap(forum: Programme) -> None:
    forum.caller.post("/v2/sessions", forum.session("A", slot=forum.slot("09:00", minutes=60)))
    next_ = forum.caller.post("/v2/sessions", forum.session("B", slot=forum.slot("10:00")))
    assert next_.status_code == 201


def test_buffers_count_on_their_own_side(forum: Programme) -> None:
    """cal.com #3662: before and after both applied after."""
    forum.caller.patch(f"/v2/rooms/{forum.room}", {"setup_minutes": 30, "teardown_minutes": 0})
    forum.caller.post("/v2/sessions", forum.session("A", slot=forum.slot("10:00", minutes=60)))
    book = forum.caller.post
    assert book("/v2/sessions", forum.session("B", slot=forum.slot("11:15"))).status_code == 409
    assert book("/v2/sessions", forum.session("C", slot=forum.slot("11:30"))).status_code == 201


def test_a_room_free_on_both_sides_of_midnight_can_be_booked(forum: Programme) -> None:
    """pretalx #1087."""
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    hours = [
        {"weekdays": days, "opens": "18:00", "closes": "00:00"},
        {"weekdays": days, "opens": "00:00", "closes": "04:00"},
    ]
    forum.caller.patch(f"/v2/rooms/{forum.room}", {"bookable_hours": hours})
    late = forum.caller.post("/v2/sessions", forum.session(slot=forum.slot("23:30", minutes=60)))
    assert late.status_code == 201, late.text


def test_a_room_may_host_several(forum: Programme) -> None:
    """pretalx #2128."""
    forum.caller.patch(f"/v2/rooms/{forum.room}", {"max_concurrent": 2})
    codes = [
        forum.caller.post("/v2/sessions", forum.session(title, slot=forum.slot())).status_code
        for title in "ABC"
    ]
    assert codes == [201, 201, 409]


def test_changing_the_events_zone_moves_no_session(forum: Programme) -> None:
    """pretalx #766."""
    made = forum.caller.post("/v2/sessions", forum.session(slot=forum.slot())).json()
    forum.caller.patch(f"/v2/events/{forum.event}", {"time_zone": "Europe/London"})
    assert forum.caller.get(f"/v2/sessions/{made['id']}").json()["slot"] == made["slot"]


def test_a_session_that_moves_lets_its_old_place_go(forum: Programme) -> None:
    """indico #4068: the event moved and the room booking stayed."""
    a = forum.caller.post("/v2/sessions", forum.session("A", slot=forum.slot())).json()
    forum.caller.patch(f"/v2/sessions/{a['id']}", {"slot": forum.slot("15:00")})
    b = forum.caller.post("/v2/sessions", forum.session("B", slot=forum.slot()))
    assert b.status_code == 201
    for change in ({"state": "cancelled"}, {"slot": None}):
        c = forum.caller.post("/v2/sessions", forum.session("C", slot=forum.slot("16:00"))).json()
        forum.caller.patch(f"/v2/sessions/{c['id']}", change)
    d = forum.caller.post("/v2/sessions", forum.session("D", slot=forum.slot("16:00"))).json()
    forum.caller.delete(f"/v2/sessions/{d['id']}")
    e = forum.caller.post("/v2/sessions", forum.session("E", slot=forum.slot("16:00")))
    assert e.status_code == 201


def test_an_alternative_that_was_offered_can_be_taken(forum: Programme) -> None:
    forum.caller.post("/v2/sessions", forum.session("A", slot=forum.slot()))
    refused = forum.caller.post("/v2/sessions", forum.session("B", slot=forum.slot("09:15")))
    offered = refused.json()["alternatives"][0]
    taken = forum.caller.post("/v2/sessions", forum.session("B", slot=offered))
    assert taken.json()["slot"]["state"] == "confirmed"


def test_the_same_room_asked_on_both_sides_of_a_partition_goes_to_one(
    table: Table, node: Node, geneva: Node, forum: Programme
) -> None:
    table.deliver()
    there = geneva.caller(forum.caller)
    forum.caller.post("/v2/sessions", forum.session("Zürich", slot=forum.slot()))
    there.post("/v2/sessions", forum.session("Genf", slot=forum.slot()))
    table.deliver()
    pages = [caller.get("/v2/sessions").json()["data"] for caller in (forum.caller, there)]
    assert pages[0] == pages[1]
    assert sorted(states(forum)) == ["confirmed", "displaced"]
    assert {s["title"]["de"] for s in pages[0]} == {"Zürich", "Genf"}  # nothing is lost


def test_field_edits_of_two_people_do_not_disturb_each_other(
    table: Table, geneva: Node, forum: Programme
) -> None:
    made = forum.caller.post("/v2/sessions", forum.session(slot=forum.slot())).json()
    table.deliver()
    there, path = geneva.caller(forum.caller), f"/v2/sessions/{made['id']}"
    forum.caller.patch(path, {"track": "Netze"})
    there.patch(path, {"title": {"fr": "Réseaux"}})
    table.deliver()
    for caller in (forum.caller, there):
        shown = caller.get(path).json()
        assert (shown["track"], shown["title"]) == ("Netze", {"de": "Netze", "fr": "Réseaux"})
