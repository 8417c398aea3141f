"""Changes since a token: complete, once per record, with deletions, filters, and good at every node."""

from __future__ import annotations

from typing import Any

from support.api import Caller, Node, Programme, Table


def token_of(caller: Caller) -> str:
    return str(caller.get("/v2/cluster").headers["consistency-token"])


def changes(
    caller: Caller, since: str, path: str = "/v2/changes", **query: str
) -> list[dict[str, Any]]:
    """All changes since a token, over as many pages as it takes."""
    found: list[dict[str, Any]] = []
    while True:
        parts = "&".join(f"{name}={value}" for name, value in {"since": since, **query}.items())
        page = caller.get(f"{path}?{parts}").json()
        assert "data" in page, page
        found += page["data"]
        since = page["token"]
        if not page["has_more"]:
            return found


def test_a_record_that_changed_twice_is_told_once_as_it_is_now(acme: Caller) -> None:
    since = token_of(acme)
    path = acme.post("/v2/speakers", {"name": "Mila"}).headers["location"]
    last = acme.patch(path, {"affiliation": "ETH"}).json()
    assert changes(acme, since) == [
        {
            "op": "upsert",
            "type": "speakers",
            "id": last["id"],
            "version": last["version"],
            "data": last,
        }
    ]


def test_deletions_are_told(acme: Caller) -> None:
    """twenty #24096: deletions never arrive."""
    made = acme.post("/v2/speakers", {"name": "Mila"})
    since = token_of(acme)
    acme.delete(made.headers["location"])
    (change,) = changes(acme, since)
    assert (change["op"], change["id"], "data" in change) == ("delete", made.json()["id"], False)


def test_nothing_is_told_twice(acme: Caller) -> None:
    since = token_of(acme)
    acme.post("/v2/speakers", {"name": "Mila"})
    page = acme.get(f"/v2/changes?since={since}").json()
    assert changes(acme, page["token"]) == []


def test_pages_tell_everything(acme: Caller) -> None:
    since = token_of(acme)
    ids = {acme.post("/v2/speakers", {"name": f"S{n}"}).json()["id"] for n in range(9)}
    assert len(acme.get(f"/v2/changes?since={since}&limit=2").json()["data"]) == 2
    found = changes(acme, since, limit="2")
    assert {change["id"] for change in found} == ids
    assert len(found) == 9


def test_a_token_is_good_at_every_node(table: Table, geneva: Node, acme: Caller) -> None:
    table.deliver()
    there = geneva.caller(acme)
    since = token_of(acme)
    mine = acme.post("/v2/speakers", {"name": "Mila"}).json()["id"]
    theirs = there.post("/v2/speakers", {"name": "Noa"}).json()["id"]
    table.deliver()
    for caller in (acme, there):
        assert {change["id"] for change in changes(caller, since)} == {mine, theirs}


def test_a_node_that_is_behind_the_token_says_so(table: Table, geneva: Node, acme: Caller) -> None:
    table.deliver()
    acme.post("/v2/speakers", {"name": "Mila"})
    behind = geneva.caller(acme).get(f"/v2/changes?since={token_of(acme)}")
    assert (behind.status_code, behind.json()["code"]) == (503, "not_yet_consistent")


def test_a_collection_tells_its_own_changes(forum: Programme) -> None:
    acme = forum.caller
    since = token_of(acme)
    forum.make("rooms", venue=forum.venue, name={"de": "Foyer"})
    acme.post("/v2/sessions", forum.session())
    assert [c["type"] for c in changes(acme, since, "/v2/rooms/changes")] == ["rooms"]
    assert {c["type"] for c in changes(acme, since, types="rooms,sessions")} == {
        "rooms",
        "sessions",
    }


def test_the_token_keeps_its_filter(forum: Programme) -> None:
    acme = forum.caller
    page = acme.get(f"/v2/changes?since={token_of(acme)}&types=rooms").json()
    acme.post("/v2/sessions", forum.session())
    forum.make("rooms", venue=forum.venue, name={"de": "Foyer"})
    assert [c["type"] for c in changes(acme, page["token"])] == ["rooms"]
    other = acme.get(f"/v2/changes?since={page['token']}&types=sessions")
    assert other.json()["errors"][0]["pointer"] == "?since"


def test_changes_can_be_of_one_event_room_or_field(forum: Programme) -> None:
    acme = forum.caller
    other = forum.make("rooms", venue=forum.venue, name={"de": "Foyer"})
    placed = acme.post("/v2/sessions", forum.session(slot=forum.slot())).json()
    since = token_of(acme)
    acme.post("/v2/sessions", forum.session(slot=forum.slot(room=other)))
    titled = acme.patch(f"/v2/sessions/{placed['id']}", {"title": {"fr": "Réseaux"}}).json()
    assert [c["data"] for c in changes(acme, since, room=forum.room)] == [titled]
    assert placed["id"] not in {c["id"] for c in changes(acme, since, fields="slot")}
    assert [c["data"] for c in changes(acme, since, fields="title", room=forum.room)] == [titled]
    assert len(changes(acme, since, event=forum.event)) == 2
    assert changes(acme, since, event=other) == []


def test_what_leaves_the_filter_is_told_as_gone(forum: Programme) -> None:
    acme = forum.caller
    other = forum.make("rooms", venue=forum.venue, name={"de": "Foyer"})
    made = acme.post("/v2/sessions", forum.session(slot=forum.slot())).json()
    since = token_of(acme)
    acme.patch(f"/v2/sessions/{made['id']}", {"slot": {"room": other}})
    (left,) = changes(acme, since, room=forum.room)
    assert (left["op"], left["id"]) == ("delete", made["id"])
    (came,) = changes(acme, since, room=other)
    assert (came["op"], came["id"]) == ("upsert", made["id"])


def test_a_session_that_was_displaced_by_another_change_is_told(
    table: Table, geneva: Node, forum: Programme
) -> None:
    table.deliver()
    acme, there = forum.caller, geneva.caller(forum.caller)
    mine = acme.post("/v2/sessions", forum.session("Zürich", slot=forum.slot())).json()
    table["geneva"].clock_ms = table["zurich"].clock_ms + 50
    theirs = there.post("/v2/sessions", forum.session("Genf", slot=forum.slot())).json()
    seen_there = token_of(there)
    table.deliver()
    told = {c["id"]: c["data"]["slot"]["state"] for c in changes(there, seen_there)}
    assert told == {mine["id"]: "confirmed", theirs["id"]: "displaced"}
    # The winner moves away; the displaced one gets the place, and that is told, too.
    since = token_of(acme)
    acme.patch(f"/v2/sessions/{mine['id']}", {"slot": forum.slot("15:00")})
    told = {c["id"]: c["data"]["slot"]["state"] for c in changes(acme, since)}
    assert told == {mine["id"]: "confirmed", theirs["id"]: "confirmed"}


def test_a_room_that_takes_more_frees_the_displaced(
    table: Table, geneva: Node, forum: Programme
) -> None:
    table.deliver()
    acme, there = forum.caller, geneva.caller(forum.caller)
    acme.post("/v2/sessions", forum.session("Zürich", slot=forum.slot()))
    there.post("/v2/sessions", forum.session("Genf", slot=forum.slot()))
    table.deliver()
    since = token_of(acme)
    acme.patch(f"/v2/rooms/{forum.room}", {"max_concurrent": 2})
    states = [c["data"]["slot"]["state"] for c in changes(acme, since) if c["type"] == "sessions"]
    assert states == ["confirmed", "confirmed"]
