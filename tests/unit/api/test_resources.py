"""Records over REST: made, read, changed, deleted; conditions and lists."""

from __future__ import annotations

from typing import Any

import pytest

from support.api import Caller, Node, Programme

UNKNOWN = "019746a2-7c00-7a31-8d52-3f1a2b4c5d6e"


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


def test_the_slot_of_a_cancelled_session_is_released(forum: Programme) -> None:
    made = forum.caller.post("/v2/sessions", forum.session(slot=forum.slot())).json()
    gone = forum.caller.patch(f"/v2/sessions/{made['id']}", {"state": "cancelled"}).json()
    assert gone["slot"]["state"] == "released"
    assert gone["slot"]["start"] == made["slot"]["start"]
    assert gone["version"] != made["version"]


def test_the_client_may_choose_the_id(acme: Caller) -> None:
    made = acme.post("/v2/speakers", {"id": UNKNOWN, "name": "Mila"})
    assert made.json()["id"] == UNKNOWN
    again = acme.post("/v2/speakers", {"id": UNKNOWN, "name": "Another"})
    assert again.status_code == 409
    assert again.json()["code"] == "already_exists"


def test_what_was_read_can_be_written_back(forum: Programme) -> None:
    made = forum.caller.post("/v2/sessions", forum.session(slot=forum.slot()))
    path = f"/v2/sessions/{made.json()['id']}"
    back = forum.caller.put(path, made.json(), headers={"If-Match": made.headers["etag"]})
    assert back.status_code == 200, back.text
    assert back.json()["version"] == made.json()["version"]


def test_put_makes_what_is_not_there_and_replaces_what_is(acme: Caller) -> None:
    path = f"/v2/speakers/{UNKNOWN}"
    made = acme.put(path, {"name": "Mila", "affiliation": "ETH"})
    assert (made.status_code, made.headers["location"]) == (201, path)
    replaced = acme.put(path, {"name": "Mila B."})
    assert replaced.status_code == 200
    assert (replaced.json()["name"], replaced.json()["affiliation"]) == ("Mila B.", None)


def test_put_with_if_none_match_only_creates(acme: Caller) -> None:
    path = f"/v2/speakers/{UNKNOWN}"
    only = {"If-None-Match": "*"}
    assert acme.put(path, {"name": "Mila"}, headers=only).status_code == 201
    second = acme.put(path, {"name": "Mila B."}, headers=only)
    assert second.status_code == 412
    assert second.json()["current"]["name"] == "Mila"


def test_a_patch_changes_what_it_names_and_null_clears(acme: Caller) -> None:
    made = acme.post(
        "/v2/speakers",
        {"name": "Mila", "affiliation": "ETH", "biography": {"de": "Kurz", "fr": "Bref"}},
    )
    path = made.headers["location"]
    patched = acme.patch(path, {"affiliation": None, "biography": {"fr": None, "it": "Corto"}})
    assert patched.status_code == 200
    assert patched.json()["name"] == "Mila"
    assert patched.json()["affiliation"] is None
    assert patched.json()["biography"] == {"de": "Kurz", "it": "Corto"}


def test_a_lost_edit_is_refused_with_the_present_state(acme: Caller) -> None:
    made = acme.post("/v2/speakers", {"name": "Mila"})
    path, first = made.headers["location"], {"If-Match": made.headers["etag"]}
    changed = acme.patch(path, {"name": "Mila B."}, headers=first)
    assert changed.status_code == 200
    lost = acme.patch(path, {"affiliation": "ETH"}, headers=first)
    assert lost.status_code == 412
    problem = lost.json()
    assert problem["code"] == "precondition_failed"
    assert problem["current"] == changed.json()
    assert lost.headers["etag"] == changed.headers["etag"]


def test_a_read_with_the_present_etag_is_not_sent_again(acme: Caller) -> None:
    made = acme.post("/v2/speakers", {"name": "Mila"})
    path = made.headers["location"]
    same = acme.get(path, headers={"If-None-Match": f'"other", W/{made.headers["etag"]}'})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["etag"] == made.headers["etag"]
    assert acme.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_the_etag_changes_when_somebody_else_takes_the_place(
    table: Any, node: Node, geneva: Node, forum: Programme
) -> None:
    table.deliver()
    there = geneva.caller(forum.caller)
    mine = forum.caller.post("/v2/sessions", forum.session("Zürich", slot=forum.slot())).json()
    table["geneva"].clock_ms = table["zurich"].clock_ms + 50
    theirs = there.post("/v2/sessions", forum.session("Genf", slot=forum.slot())).json()
    assert (mine["slot"]["state"], theirs["slot"]["state"]) == ("confirmed", "confirmed")
    table.deliver()
    for caller in (forum.caller, there):
        kept = caller.get(f"/v2/sessions/{mine['id']}").json()
        lost = caller.get(f"/v2/sessions/{theirs['id']}").json()
        assert kept == mine
        assert lost["slot"]["state"] == "displaced"
        assert lost["slot"]["reason"] == {
            "code": "slot_taken",
            "claims": [{"type": "sessions", "id": mine["id"]}],
        }
        assert lost["version"] != theirs["version"]
        # The record itself is what it was, so an edit made in between is not lost.
        edit = {"If-Match": f'"{theirs["version"]}"'}
    patched = there.patch(f"/v2/sessions/{theirs['id']}", {"track": "A"}, headers=edit)
    assert patched.status_code == 200
    assert (
        there.patch(f"/v2/sessions/{theirs['id']}", {"track": "B"}, headers=edit).status_code == 412
    )


def test_a_deleted_record_is_gone_and_its_history_stays(acme: Caller) -> None:
    path = acme.post("/v2/speakers", {"name": "Mila"}).headers["location"]
    acme.patch(path, {"name": "Mila B."})
    gone = acme.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    assert acme.get(path).status_code == 404
    assert acme.delete(path).status_code == 404
    history = acme.get(f"{path}/history").json()
    assert [entry["op"] for entry in history["data"]] == ["delete", "write", "write"]


def test_the_history_shows_which_value_won(
    table: Any, node: Node, geneva: Node, acme: Caller
) -> None:
    made = acme.post("/v2/speakers", {"name": "Mila"})
    table.deliver()
    path, there = made.headers["location"], geneva.caller(acme)
    acme.patch(path, {"affiliation": "ETH"})
    table["geneva"].clock_ms += 50
    there.patch(path, {"affiliation": "EPFL"})
    table.deliver()
    here, beyond = acme.get(f"{path}/history").json(), there.get(f"{path}/history").json()
    assert here == beyond
    values = [
        value
        for entry in here["data"]
        for value in entry["values"]
        if value["group"] == "affiliation"
    ]
    assert [(v["value"], v["is_current"]) for v in values] == [("EPFL", True), ("ETH", False)]
    assert values[1]["won_by"] == here["data"][0]["stamp"]
    assert {entry["node"] for entry in here["data"]} == {"zurich", "geneva"}
    assert all(entry["actor"] and entry["cause_id"] for entry in here["data"])


def test_the_history_comes_in_pages(acme: Caller) -> None:
    path = acme.post("/v2/speakers", {"name": "Mila"}).headers["location"]
    for number in range(5):
        acme.patch(path, {"affiliation": f"ETH {number}"})
    seqs, query = [], "?limit=2"
    while True:
        page = acme.get(f"{path}/history{query}").json()
        seqs += [entry["seq"] for entry in page["data"]]
        if not page["has_more"]:
            break
        query = f"?limit=2&cursor={page['next_cursor']}"
    assert len(seqs) == 6
    assert seqs == sorted(seqs, reverse=True)


def test_a_list_comes_in_pages_and_ends_with_a_sync_token(acme: Caller) -> None:
    made = [acme.post("/v2/speakers", {"name": f"S{n}"}).json()["id"] for n in range(7)]
    found, query = [], "?limit=3"
    while True:
        page = acme.get(f"/v2/speakers{query}").json()
        found += [item["id"] for item in page["data"]]
        assert ("sync_token" in page) is not page["has_more"]
        if not page["has_more"]:
            break
        assert len(page["data"]) == 3
        query = f"?limit=3&cursor={page['next_cursor']}"
    assert found == sorted(made)


def test_changes_made_while_paging_are_told_after_the_sync_token(acme: Caller) -> None:
    for n in range(4):
        acme.post("/v2/speakers", {"name": f"S{n}"})
    first = acme.get("/v2/speakers?limit=2").json()
    late = acme.patch(f"/v2/speakers/{first['data'][0]['id']}", {"affiliation": "ETH"}).json()
    last = acme.get(f"/v2/speakers?limit=2&cursor={first['next_cursor']}").json()
    changes = acme.get(f"/v2/speakers/changes?since={last['sync_token']}").json()
    assert [change["data"] for change in changes["data"]] == [late]


def test_a_list_can_be_of_one_event(forum: Programme) -> None:
    other = forum.make(
        "events", slug="other", name={"de": "Andere"}, time_zone="Europe/Zurich",
        start_date="2027-06-01", end_date="2027-06-03",
    )  # fmt: skip
    mine = forum.caller.post("/v2/sessions", forum.session()).json()["id"]
    forum.caller.post("/v2/sessions", forum.session() | {"event": other})
    listed = forum.caller.get(f"/v2/sessions?event={forum.event}").json()
    assert [item["id"] for item in listed["data"]] == [mine]


def test_an_empty_filter_does_not_match_everything(forum: Programme) -> None:
    forum.caller.post("/v2/sessions", forum.session())
    assert forum.caller.get("/v2/sessions?event=").status_code == 422
    assert forum.caller.get(f"/v2/sessions?event={UNKNOWN}").json()["data"] == []


def test_a_cursor_of_another_list_is_refused(acme: Caller) -> None:
    for n in range(2):
        acme.post("/v2/speakers", {"name": f"S{n}"})
    cursor = acme.get("/v2/speakers?limit=1").json()["next_cursor"]
    refused = acme.get(f"/v2/events?cursor={cursor}")
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_token")


def test_a_dry_run_says_what_would_happen_and_writes_nothing(forum: Programme) -> None:
    body = forum.session(slot=forum.slot())
    tried = forum.caller.post("/v2/sessions?dry_run=true", body)
    assert tried.status_code == 200
    assert "location" not in tried.headers
    assert forum.caller.get("/v2/sessions").json()["data"] == []
    forum.caller.post("/v2/sessions", body)
    assert forum.caller.post("/v2/sessions?dry_run=true", body).status_code == 409


def test_a_dry_run_tells_places_as_they_would_be(forum: Programme) -> None:
    """Undecided where something new would be claimed, and as it is where nothing would."""
    new = forum.caller.post("/v2/sessions?dry_run=true", forum.session(slot=forum.slot())).json()
    assert new["slot"]["state"] == "tentative"
    made = forum.caller.post("/v2/sessions", forum.session(slot=forum.slot(), seats=2)).json()
    tried = f"/v2/sessions/{made['id']}?dry_run=true"
    states = [
        forum.caller.patch(tried, change).json()["slot"]["state"]
        for change in ({"track": "x"}, {"slot": forum.slot("11:00")}, {"state": "cancelled"})
    ]
    assert states == ["confirmed", "tentative", "released"]
    operation = {"op": "patch", "type": "sessions", "id": made["id"], "data": {"track": "x"}}
    for mode in ("atomic", "independent"):
        whole = {"operations": [operation], "mode": mode, "dry_run": True, "include_data": True}
        (result,) = forum.caller.post("/v2/batch", whole).json()["results"]
        assert result["data"]["slot"]["state"] == "confirmed", mode


def test_soft_clashes_come_back_as_warnings(forum: Programme) -> None:
    other = forum.make("rooms", venue=forum.venue, name={"de": "Foyer"})
    first = forum.caller.post(
        "/v2/sessions", forum.session(slot=forum.slot(), speakers=[forum.speaker])
    ).json()
    second = forum.caller.post(
        "/v2/sessions", forum.session(slot=forum.slot(room=other), speakers=[forum.speaker])
    )
    assert second.status_code == 201
    (warning,) = second.json()["warnings"]
    assert warning["code"] == "speaker_clash"
    assert warning["others"] == [first["id"]]
    assert warning["speaker"] == forum.speaker


def test_a_session_can_be_written_without_a_slot_that_is_taken(forum: Programme) -> None:
    first = forum.caller.post("/v2/sessions", forum.session(slot=forum.slot())).json()
    made = forum.caller.post(
        "/v2/sessions?on_conflict=without_slot", forum.session("Zweite", slot=forum.slot())
    )
    assert made.status_code == 201
    assert made.json()["slot"] is None
    dropped = made.json()["dropped_slot"]
    assert dropped["code"] == "slot_taken"
    assert dropped["in_the_way"] == [first["id"]]


def test_a_rule_is_overridden_by_a_reason_that_the_audit_trail_keeps(forum: Programme) -> None:
    hours = [{"weekdays": ["tue"], "opens": "08:00", "closes": "12:00"}]
    forum.caller.patch(f"/v2/rooms/{forum.room}", {"bookable_hours": hours})
    late = forum.session(slot=forum.slot("20:00"))
    assert forum.caller.post("/v2/sessions", late).json()["code"] == "outside_hours"
    made = forum.caller.post("/v2/sessions?override=Abendanlass", late)
    assert made.status_code == 201
    assert '"reason":"Abendanlass"' in forum.caller.get("/v2/audit").text


@pytest.mark.parametrize("type_", ["events", "venues", "rooms", "booths", "speakers", "sessions"])
def test_every_collection_has_all_routes(forum: Programme, type_: str) -> None:
    assert forum.caller.get(f"/v2/{type_}").status_code == 200
    assert forum.caller.get(f"/v2/{type_}/{UNKNOWN}").json()["code"] == "not_found"
    assert forum.caller.get(f"/v2/{type_}/{UNKNOWN}/history").status_code == 404
    assert forum.caller.delete(f"/v2/{type_}/{UNKNOWN}").status_code == 404
    assert forum.caller.patch(f"/v2/{type_}/{UNKNOWN}", {}).status_code == 404
    assert forum.caller.post(f"/v2/{type_}", {}).status_code == 422
    token = forum.caller.get("/v2/cluster").json()["nodes"][0]["token"]
    assert forum.caller.get(f"/v2/{type_}/changes?since={token}").status_code == 200
