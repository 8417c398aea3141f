"""Registrations over the API: one per attendee and session, never more than there are seats."""

from __future__ import annotations

from typing import Any

import pytest

from konkordat.schedule.attendance import registration_id
from support.api import Node, Programme, Table


@pytest.fixture
def workshop(forum: Programme) -> str:
    """A session with two seats."""
    return forum.make("sessions", **forum.session("Werkstatt", seats=2, slot=forum.slot()))


@pytest.fixture
def people(forum: Programme) -> list[str]:
    return [forum.make("attendees", name=name) for name in ("Mila", "Noa", "Lia")]


def register(forum: Programme, session: str, attendee: str, **more: Any) -> Any:
    return forum.caller.post(
        "/v2/registrations", {"session": session, "attendee": attendee, **more}
    )


def seats(forum: Programme, session: str) -> dict[str, Any]:
    got = forum.caller.get(f"/v2/sessions/{session}/registrations")
    assert got.status_code == 200, got.text
    shown: dict[str, Any] = got.json()
    return shown


def test_a_registration_says_what_became_of_it(
    forum: Programme, workshop: str, people: list[str]
) -> None:
    made = register(forum, workshop, people[0], quantity=2)
    assert made.status_code == 201, made.text
    shown = made.json()
    assert (shown["state"], shown["seats_held"], shown["quantity"]) == ("confirmed", 2, 2)
    assert shown["id"] == registration_id(workshop, people[0])
    assert made.headers["location"] == f"/v2/registrations/{shown['id']}"
    assert forum.caller.get(made.headers["location"]).json() == shown


def test_a_full_session_is_sold_out_or_has_a_waiting_list(
    forum: Programme, workshop: str, people: list[str]
) -> None:
    register(forum, workshop, people[0], quantity=2)
    refused = register(forum, workshop, people[1])
    assert refused.status_code == 409
    assert refused.json()["code"] == "sold_out"
    assert refused.json()["seats_left"] == 0
    assert "conflicts" not in refused.json(), "who has the seats is nobody's business"
    waiting = register(forum, workshop, people[1], waitlist=True).json()
    assert (waiting["state"], waiting["reason"]) == ("waitlisted", {"code": "sold_out"})
    counts = seats(forum, workshop)
    expected = {"seats": 2, "seats_taken": 2, "seats_left": 0, "waitlisted": 1}
    assert expected.items() <= counts.items()


def test_the_waiting_list_moves_up_and_followers_are_told(
    forum: Programme, workshop: str, people: list[str]
) -> None:
    first = register(forum, workshop, people[0], quantity=2).json()["id"]
    second = register(forum, workshop, people[1], waitlist=True).json()["id"]
    token = forum.caller.get("/v2/registrations").json()["sync_token"]
    assert forum.caller.patch(f"/v2/registrations/{first}", {"cancelled": True}).json()[
        "state"
    ] == ("cancelled")
    assert forum.caller.get(f"/v2/registrations/{second}").json()["state"] == "confirmed"
    told = forum.caller.get(f"/v2/changes?since={token}").json()["data"]
    assert {c["id"]: c["data"]["state"] for c in told} == {first: "cancelled", second: "confirmed"}


def test_one_attendee_registers_once(forum: Programme, workshop: str, people: list[str]) -> None:
    first = register(forum, workshop, people[0])
    again = register(forum, workshop, people[0])
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    more = register(forum, workshop, people[0], quantity=2)
    assert more.json()["code"] == "already_registered"
    assert more.json()["current"]["id"] == first.json()["id"]
    assert seats(forum, workshop)["seats_taken"] == 1


def test_one_attendee_who_registers_at_two_nodes_is_registered_once(
    table: Table, forum: Programme, workshop: str, people: list[str], node: Node, geneva: Node
) -> None:
    table.deliver()
    body = {"session": workshop, "attendee": people[0]}
    here = forum.caller.post("/v2/registrations", body)
    there = geneva.caller(forum.caller).post("/v2/registrations", body)
    assert [here.status_code, there.status_code] == [201, 201], there.text
    table.deliver()
    for served in (node, geneva):
        caller = served.caller(forum.caller)
        shown = caller.get(f"/v2/sessions/{workshop}/registrations").json()
        assert [r["attendee"] for r in shown["data"]] == [people[0]]
        assert shown["seats_taken"] == 1


def test_two_nodes_that_cannot_see_each_other_do_not_sell_the_last_seat_twice(
    table: Table, forum: Programme, people: list[str], node: Node, geneva: Node
) -> None:
    """eventyay #1359: a lock skipped for speed oversells."""
    last = forum.make("sessions", **forum.session("Letzter Platz", seats=1))
    table.deliver()
    for served, who in ((node, people[0]), (geneva, people[1])):
        made = served.caller(forum.caller).post(
            "/v2/registrations", {"session": last, "attendee": who}
        )
        assert made.status_code == 201, made.text
    table.deliver()
    shown = [
        served.caller(forum.caller).get(f"/v2/sessions/{last}/registrations").json()
        for served in (node, geneva)
    ]
    assert [s["seats_taken"] for s in shown] == [1, 1]
    states = [[r["state"] for r in s["data"]] for s in shown]
    assert states[0] == states[1]
    assert sorted(states[0]) == ["confirmed", "displaced"]


def test_the_id_of_a_registration_is_not_free(
    forum: Programme, workshop: str, people: list[str]
) -> None:
    body = {"session": workshop, "attendee": people[0]}
    other = registration_id(workshop, people[1])
    assert forum.caller.post("/v2/registrations", {**body, "id": other}).status_code == 422
    assert forum.caller.put(f"/v2/registrations/{other}", body).status_code == 422
    mine = registration_id(workshop, people[0])
    assert forum.caller.put(f"/v2/registrations/{mine}", body).status_code == 201


def test_what_was_read_can_be_sent_back(forum: Programme, workshop: str, people: list[str]) -> None:
    made = register(forum, workshop, people[0]).json()
    again = forum.caller.put(f"/v2/registrations/{made['id']}", made)
    assert again.status_code == 200, again.text
    assert again.json()["version"] == made["version"]


def test_a_registration_asks_for_at_least_one_seat(
    forum: Programme, workshop: str, people: list[str]
) -> None:
    none = register(forum, workshop, people[0], quantity=0).json()
    assert (none["code"], none["errors"][0]["pointer"]) == ("invalid", "/quantity")
    assert none["errors"][0]["code"] == "out_of_range"
    assert register(forum, workshop, people[0], quantity=3).json()["code"] == "beyond_capacity"


def test_unknown_sessions_and_people_are_refused(
    forum: Programme, workshop: str, people: list[str]
) -> None:
    nobody = registration_id(workshop, people[0])
    assert register(forum, nobody, people[0]).json()["code"] == "unknown_reference"
    assert register(forum, workshop, nobody).json()["code"] == "unknown_reference"
    assert forum.caller.get(f"/v2/sessions/{nobody}/registrations").status_code == 404


def test_registrations_are_listed_by_session_in_pages(
    forum: Programme, workshop: str, people: list[str]
) -> None:
    other = forum.make("sessions", **forum.session("Andere", seats=9))
    for session, who in ((workshop, people[0]), (workshop, people[1]), (other, people[0])):
        register(forum, session, who)
    path = f"/v2/sessions/{workshop}/registrations"
    first = forum.caller.get(f"{path}?limit=1").json()
    assert first["has_more"]
    second = forum.caller.get(f"{path}?limit=1&cursor={first['next_cursor']}").json()
    found = [r["attendee"] for page in (first, second) for r in page["data"]]
    assert sorted(found) == sorted(people[:2])
    by_query = forum.caller.get(f"/v2/registrations?session={other}").json()
    assert [r["attendee"] for r in by_query["data"]] == [people[0]]


def test_a_follower_of_a_session_is_told_of_its_registrations_alone(
    forum: Programme, workshop: str, people: list[str]
) -> None:
    other = forum.make("sessions", **forum.session("Andere", seats=9))
    token = forum.caller.get(f"/v2/registrations?session={workshop}").json()["sync_token"]
    for session in (workshop, other):
        register(forum, session, people[0])
    told = forum.caller.get(f"/v2/changes?since={token}").json()["data"]
    assert [c["data"]["session"] for c in told] == [workshop]


def test_fewer_seats_by_a_merge_take_nobodys_seat_away_unseen(
    table: Table, forum: Programme, workshop: str, people: list[str], geneva: Node
) -> None:
    """Here nobody can refuse: one node lowers the seats while the other sells them."""
    table.deliver()
    there = geneva.caller(forum.caller)
    register(forum, workshop, people[0], quantity=2)
    assert there.patch(f"/v2/sessions/{workshop}", {"seats": 1}).status_code == 200
    table.deliver()
    shown = seats(forum, workshop)
    assert shown["seats"] == 1
    overbooked = [w["code"] for w in shown["warnings"]] == ["overbooked"]
    assert overbooked or shown["data"][0]["state"] == "displaced"


def test_batches_register_too(forum: Programme, workshop: str, people: list[str]) -> None:
    done = forum.caller.post(
        "/v2/batch",
        {
            "mode": "independent",
            "operations": [
                {
                    "op": "create",
                    "type": "registrations",
                    "data": {"session": workshop, "attendee": who},
                }
                for who in people
            ],
        },
    )
    assert done.status_code == 207
    assert [r["status"] for r in done.json()["results"]] == [201, 201, 409]


def test_who_may_only_read_cannot_register(
    node: Node, forum: Programme, workshop: str, people: list[str]
) -> None:
    reader = node.key("acme", scopes=("read",))
    body = {"session": workshop, "attendee": people[0]}
    assert reader.post("/v2/registrations", body).status_code == 403
    assert reader.get(f"/v2/sessions/{workshop}/registrations").status_code == 200
    stranger = node.key("other")
    assert stranger.get(f"/v2/sessions/{workshop}/registrations").status_code == 404


def test_the_line_is_told_in_the_order_in_which_seats_are_given(
    forum: Programme, workshop: str, people: list[str]
) -> None:
    first = register(forum, workshop, people[0], quantity=2).json()["id"]
    line = [register(forum, workshop, who, waitlist=True).json()["id"] for who in people[1:]]
    assert seats(forum, workshop)["line"] == line
    # Another quantity is another wish, at the end of the line.
    forum.caller.patch(f"/v2/registrations/{line[0]}", {"quantity": 2})
    assert seats(forum, workshop)["line"] == line[::-1]
    forum.caller.patch(f"/v2/registrations/{first}", {"cancelled": True})
    assert seats(forum, workshop)["line"] == line[:1]
    forum.caller.patch(f"/v2/sessions/{workshop}", {"seats": 1})
    assert seats(forum, workshop)["line"] == [], "more is asked for than there is at all"
