"""Which rooms and booths are free, and when: what is shown can be booked, what is not shown cannot."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from konkordat.api.free import ShownFreePlaces
from support.api import Caller, Programme

Q = "/v2/free?"
MORNING = "local_start=2027-06-01T09:00&duration_minutes=180"


def look(forum: Programme, query: str) -> list[dict[str, Any]]:
    got = forum.caller.get(f"/v2/free?{query}")
    assert got.status_code == 200, got.text
    msgspec.json.decode(got.content, type=ShownFreePlaces)
    data: list[dict[str, Any]] = got.json()["data"]
    return data


def spans(place: dict[str, Any]) -> list[tuple[str, int]]:
    """(wall time, minutes) of what is free."""
    return [(slot["local_start"][5:], slot["duration_minutes"]) for slot in place["free"]]


def book(forum: Programme, at: str, minutes: int = 45, title: str = "Netze") -> str:
    return forum.make("sessions", **forum.session(title, slot=forum.slot(at, minutes=minutes)))


def test_a_day_of_a_room_is_what_its_bookings_leave(forum: Programme) -> None:
    book(forum, "09:00", title="Auftakt")
    book(forum, "11:00", 60)
    (saal,) = look(forum, f"room={forum.room}&day=2027-06-01")
    assert spans(saal) == [("06-01T00:00", 540), ("06-01T09:45", 75), ("06-01T12:00", 720)]
    assert (saal["is_free"], saal["name"], saal["venue"]) == (False, {"de": "Saal"}, forum.venue)
    assert [one["title"] for one in saal["taken"]] == [{"de": "Auftakt"}, {"de": "Netze"}]
    assert saal["taken"][0]["start"] == "2027-06-01T07:00:00Z"


def test_a_slot_that_is_shown_can_be_booked_as_it_is(forum: Programme) -> None:
    forum.caller.patch(f"/v2/rooms/{forum.room}", {"setup_minutes": 20, "turnaround_minutes": 10})
    book(forum, "09:00")
    book(forum, "11:00")
    (saal,) = look(forum, f"room={forum.room}&event={forum.event}&day=2027-06-01")
    assert ("06-01T10:15", 15) in spans(saal), spans(saal)
    for shown in saal["free"]:
        wish = {k: v for k, v in shown.items() if k not in {"start", "end"}}
        dry = forum.caller.post("/v2/sessions?dry_run=true", forum.session("X", slot=wish))
        assert dry.status_code == 200, dry.text
        longer = wish | {"duration_minutes": wish["duration_minutes"] + 1}
        if shown["end"] < "2027-06-01T10":
            dry = forum.caller.post("/v2/sessions?dry_run=true", forum.session("X", slot=longer))
            assert dry.status_code == 409


def test_of_a_venue_every_place_says_whether_it_is_free_at_that_time(forum: Programme) -> None:
    attic = forum.make("rooms", venue=forum.venue, name={"de": "Estrich"}, capacity=50)
    stand = forum.make("booths", venue=forum.venue, name={"de": "A1"})
    book(forum, "09:00")
    found = {place["id"]: place for place in look(forum, f"venue={forum.venue}&{MORNING}")}
    assert {id_: place["is_free"] for id_, place in found.items()} == {
        forum.room: False, attic: True, stand: True,
    }  # fmt: skip
    assert spans(found[forum.room]) == [("06-01T09:45", 135)]
    assert found[stand]["free"][0]["booth"] == stand
    (large,) = look(forum, f"venue={forum.venue}&{MORNING}&seats=40")
    assert large["id"] == attic


def test_a_hold_takes_its_place_too(forum: Programme) -> None:
    forum.make("holds", event=forum.event, slot=forum.slot("10:00"), ttl_seconds=600)
    (saal,) = look(forum, f"room={forum.room}&{MORNING}")
    assert [one["type"] for one in saal["taken"]] == ["holds"]
    assert spans(saal) == [("06-01T09:00", 60), ("06-01T10:45", 75)]


def test_where_several_may_be_at_once_a_place_is_free_until_it_is_full(forum: Programme) -> None:
    forum.caller.patch(f"/v2/rooms/{forum.room}", {"max_concurrent": 2})
    book(forum, "09:00", 60)
    (saal,) = look(forum, f"room={forum.room}&{MORNING}")
    assert saal["is_free"]
    book(forum, "09:30", 60)
    (saal,) = look(forum, f"room={forum.room}&{MORNING}")
    assert spans(saal) == [("06-01T09:00", 30), ("06-01T10:00", 120)]


def test_only_bookable_hours_are_free_and_hours_that_meet_are_one(forum: Programme) -> None:
    hours = [
        {"weekdays": ["tue"], "opens": "08:00", "closes": "12:00"},
        {"weekdays": ["tue"], "opens": "12:00", "closes": "13:00"},
        {"weekdays": ["tue"], "opens": "18:00", "closes": "02:00"},
    ]
    forum.caller.patch(f"/v2/rooms/{forum.room}", {"bookable_hours": hours})
    (saal,) = look(forum, f"room={forum.room}&day=2027-06-01")
    assert spans(saal) == [("06-01T08:00", 300), ("06-01T18:00", 360)]
    (saal,) = look(forum, f"room={forum.room}&day=2027-06-02")
    assert spans(saal) == [("06-02T00:00", 120)]


def test_a_room_that_is_closed_is_not_booked_while_the_clocks_go_back(forum: Programme) -> None:
    """From 02:00 to 02:00 is an hour then, and no time at all by the clock."""
    hours = [{"weekdays": ["sun"], "opens": "08:00", "closes": "12:00"}]
    forum.caller.patch(f"/v2/rooms/{forum.room}", {"bookable_hours": hours})
    days = {"start_date": "2027-10-30", "end_date": "2027-10-31", "time_zone": "Europe/Zurich"}
    night = forum.make("events", slug="night", name={"de": "Nacht"}, **days)
    slot = forum.slot(minutes=60) | {"local_start": "2027-10-31T02:00"}
    refused = forum.caller.post(
        "/v2/sessions", {"event": night, "title": {"de": "X"}, "slot": slot}
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "outside_hours")


def test_for_an_event_a_place_is_free_on_its_days_only(forum: Programme) -> None:
    of_event = f"room={forum.room}&event={forum.event}"
    (eve,) = look(forum, f"{of_event}&day=2027-05-31")
    assert spans(eve) == []
    (first,) = look(forum, f"{of_event}&day=2027-06-01")
    assert spans(first) == [("06-01T04:00", 1200)]
    (anyone,) = look(forum, f"room={forum.room}&day=2027-05-31")
    assert anyone["is_free"]


def test_of_an_event_those_places_are_shown_that_it_may_have(forum: Programme) -> None:
    other = forum.make("venues", name={"de": "Messe"}, time_zone="Europe/Zurich")
    elsewhere = forum.make("rooms", venue=other, name={"de": "Halle"})
    days = {"start_date": "2027-06-01", "end_date": "2027-06-01", "time_zone": "Europe/Zurich"}
    fair = forum.make("events", slug="fair", name={"de": "Messe"}, venues=[other], **days)
    kept = forum.make("rooms", venue=other, name={"de": "Loge"}, event=forum.event)
    assert [p["id"] for p in look(forum, f"event={fair}&{MORNING}")] == [elsewhere]
    everywhere = [p["id"] for p in look(forum, f"event={forum.event}&{MORNING}")]
    assert set(everywhere) == {forum.room, elsewhere, kept}


def test_a_day_on_which_the_clocks_go_forward_has_23_hours(forum: Programme) -> None:
    (saal,) = look(forum, f"room={forum.room}&day=2027-03-28")
    assert (saal["is_free"], spans(saal)) == (True, [("03-28T00:00", 1380)])
    (saal,) = look(forum, f"room={forum.room}&day=2027-10-31")
    assert spans(saal) == [("10-31T00:00", 1500)]


def test_a_list_goes_on_over_rooms_and_booths(forum: Programme) -> None:
    for number in range(3):
        forum.make("rooms", venue=forum.venue, name={"de": f"Raum {number}"})
        forum.make("booths", venue=forum.venue, name={"de": f"Stand {number}"})
    where = f"venue={forum.venue}&{MORNING}"
    whole = [place["id"] for place in look(forum, where)]
    assert len(whole) == 7
    for limit in (1, 2, 4, 7):
        seen, cursor = [], ""
        while True:
            page = forum.caller.get(f"/v2/free?{where}&limit={limit}{cursor}").json()
            seen += [place["id"] for place in page["data"]]
            if not page["has_more"]:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == whole


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("day=2027-06-01", 422, "invalid"),
        ("venue={venue}", 422, "invalid"),
        ("venue={venue}&room={room}&day=2027-06-01", 422, "invalid"),
        ("venue={venue}&day=2027-06-31", 422, "invalid"),
        ("venue={venue}&day=20270601", 422, "invalid"),
        ("venue={venue}&day=9999-01-01", 422, "invalid"),
        ("venue={venue}&day=2027-06-01&duration_minutes=30", 422, "invalid"),
        ("venue={venue}&day=2027-06-01&" + MORNING, 422, "invalid"),
        ("venue={venue}&local_start=2027-06-01T09:00", 422, "invalid"),
        ("venue={venue}&local_start=2027-06-01T09:00&duration_minutes=0", 422, "invalid"),
        ("venue={venue}&local_start=2027-06-01T09:00&duration_minutes=20161", 422, "invalid"),
        ("venue={venue}&local_start=morgen&duration_minutes=30", 422, "bad_local_time"),
        (
            "venue={venue}&local_start=2027-03-28T02:30&duration_minutes=30",
            422,
            "local_time_does_not_exist",
        ),
        ("venue=nowhere&" + MORNING, 404, "not_found"),
        ("room={venue}&" + MORNING, 404, "not_found"),
        ("venue=&" + MORNING, 422, "invalid"),
        ("venue={venue}&cursor=x&" + MORNING, 400, "bad_token"),
        ("venue={venue}&limit=201&" + MORNING, 422, "invalid"),
        ("venue={venue}&colour=red&" + MORNING, 422, "invalid"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    forum: Programme, query: str, status: int, code: str
) -> None:
    got = forum.caller.get(Q + query.format(venue=forum.venue, room=forum.room))
    assert (got.status_code, got.json()["code"]) == (status, code), got.text


def test_another_tenant_sees_nothing_of_a_place(forum: Programme, node: Any) -> None:
    stranger: Caller = node.key("other")
    got = stranger.get(f"/v2/free?room={forum.room}&day=2027-06-01")
    assert (got.status_code, got.json()["code"]) == (404, "not_found")
