"""Releases: frozen copies of a programme, with ids that stay."""

from __future__ import annotations

import json
from typing import Any

import pytest

from konkordat.kernel.change import BATCH_BYTES_MAX
from konkordat.wire.batches import open_body
from support.api import Node, Programme, Table


def release(forum: Programme, name: str = "1.0", query: str = "", **more: Any) -> Any:
    return forum.caller.post(f"/v2/events/{forum.event}/releases{query}", {"name": name, **more})


def schedule(forum: Programme, query: str = "", format_: str = "json") -> Any:
    got = forum.caller.get(f"/v2/events/{forum.event}/schedule.{format_}{query}")
    assert got.status_code == 200, got.text
    return got


def talks(document: Any) -> dict[str, dict[str, Any]]:
    """The talks of a frab schedule by guid."""
    days = document.json()["schedule"]["conference"]["days"]
    return {t["guid"]: t for day in days for room in day["rooms"].values() for t in room}


@pytest.fixture
def talk(forum: Programme) -> str:
    return forum.make(
        "sessions", **forum.session("Netze", slot=forum.slot(), speakers=[forum.speaker])
    )


def test_a_release_keeps_the_programme_as_it_was(forum: Programme, talk: str) -> None:
    made = release(forum, comment="für den Druck")
    assert made.status_code == 201, made.text
    shown = made.json()["release"]
    assert (shown["name"], shown["sessions"], shown["state"]) == ("1.0", 1, "confirmed")
    before = schedule(forum)
    forum.caller.patch(
        f"/v2/sessions/{talk}", {"title": {"de": "Neu"}, "slot": forum.slot("14:00")}
    )
    forum.caller.patch(f"/v2/rooms/{forum.room}", {"name": {"de": "Anderer Saal"}})
    forum.caller.delete(f"/v2/speakers/{forum.speaker}")
    assert talks(schedule(forum)) != talks(before)
    assert talks(schedule(forum, "?release=1.0")) == talks(before)
    assert talks(schedule(forum, f"?release={shown['id']}")) == talks(before)


@pytest.mark.parametrize("format_", ["xml", "json", "ics"])
def test_every_format_can_be_had_of_a_release(forum: Programme, talk: str, format_: str) -> None:
    release(forum)
    first = schedule(forum, "?release=1.0", format_)
    forum.caller.patch(f"/v2/sessions/{talk}", {"title": {"de": "Neu"}})
    again = schedule(forum, "?release=1.0", format_)
    assert again.headers["etag"] == first.headers["etag"]
    assert b"Neu" not in again.content
    same = forum.caller.get(
        f"/v2/events/{forum.event}/schedule.{format_}?release=1.0",
        headers={"If-None-Match": first.headers["etag"]},
    )
    assert same.status_code == 304


def test_a_release_makes_no_drafts_and_slot_ids_stay(forum: Programme, talk: str) -> None:
    """pretalx #1281, #2256: duplicate drafts after a release; slot ids change with each release."""
    sessions = forum.caller.get("/v2/sessions").json()["data"]
    for name in ("0.1", "0.2", "1.0"):
        forum.caller.patch(f"/v2/sessions/{talk}", {"track": name})
        assert release(forum, name).status_code == 201
    after = forum.caller.get("/v2/sessions").json()["data"]
    assert [s["id"] for s in after] == [s["id"] for s in sessions] == [talk]
    guids = {tuple(talks(schedule(forum, f"?release={n}"))) for n in ("0.1", "0.2", "1.0")}
    assert guids == {(talk,)}
    calendars = [schedule(forum, f"?release={n}", "ics").text for n in ("0.1", "1.0")]
    uids = {line for text in calendars for line in text.splitlines() if line.startswith("UID")}
    assert len(uids) == 1


def test_a_release_never_changes(forum: Programme, talk: str, node: Node) -> None:
    made = release(forum).json()["release"]
    path = f"/v2/releases/{made['id']}"
    assert forum.caller.get(path).status_code == 200
    for method in ("PATCH", "PUT", "DELETE"):
        assert forum.caller(method, path, {}).status_code == 405
    batch = {"operations": [{"op": "delete", "type": "releases", "id": made["id"]}]}
    assert forum.caller.post("/v2/batch", batch).status_code == 422
    again = release(forum, "1.0")
    assert (again.status_code, again.json()["code"]) == (409, "release_exists")
    assert release(forum, "now").json()["code"] == "release_exists"


def test_a_name_is_free_for_every_event(forum: Programme, talk: str) -> None:
    other = forum.make(
        "events", slug="messe", name={"de": "Messe"}, time_zone="Europe/Zurich",
        start_date="2027-06-01", end_date="2027-06-03",
    )  # fmt: skip
    assert release(forum).status_code == 201
    assert forum.caller.post(f"/v2/events/{other}/releases", {"name": "1.0"}).status_code == 201
    assert len(forum.caller.get(f"/v2/events/{other}/releases").json()["data"]) == 1


def test_what_clashes_is_listed_before_a_release(forum: Programme, talk: str) -> None:
    other = forum.make("rooms", venue=forum.venue, name={"de": "Foyer"})
    second = forum.make(
        "sessions",
        **forum.session("Zugleich", slot=forum.slot(room=other), speakers=[forum.speaker]),
    )
    dry = release(forum, query="?dry_run=true")
    assert dry.status_code == 200
    assert dry.json()["release"] is None
    (pair,) = dry.json()["clashes"]["speakers"]
    assert {pair["first"], pair["second"]} == {talk, second}
    assert forum.caller.get(f"/v2/events/{forum.event}/releases").json()["data"] == []
    made = release(forum)
    assert made.status_code == 201
    assert len(made.json()["clashes"]["speakers"]) == 1


def test_releases_are_compared_with_each_other_and_with_now(forum: Programme, talk: str) -> None:
    gone = forum.make("sessions", **forum.session("Fällt aus"))
    release(forum, "1")
    forum.caller.delete(f"/v2/sessions/{gone}")
    forum.caller.patch(f"/v2/sessions/{talk}", {"slot": forum.slot("11:00"), "track": "Netze"})
    new = forum.make("sessions", **forum.session("Neu"))
    release(forum, "2")
    forum.caller.patch(f"/v2/rooms/{forum.room}", {"name": {"de": "Aula"}})

    def diff(before: str, after: str) -> Any:
        got = forum.caller.get(f"/v2/events/{forum.event}/releases/{before}/diff/{after}")
        assert got.status_code == 200, got.text
        return got.json()

    shown = diff("1", "2")
    assert [d["id"] for d in shown["added"]] == [new]
    assert [(d["id"], d["title"]) for d in shown["removed"]] == [(gone, {"de": "Fällt aus"})]
    (changed,) = shown["changed"]
    assert (changed["id"], changed["fields"]) == (talk, ["slot", "track"])
    assert changed["slot"]["before"]["local_start"].endswith("09:00")
    assert changed["slot"]["after"]["local_start"].endswith("11:00")
    assert [d["type"] for d in diff("2", "now")["changed"]] == ["rooms"]
    assert diff("1", "1") == {"added": [], "removed": [], "changed": []}


def test_what_does_not_change_is_kept_once(forum: Programme, talk: str, node: Node) -> None:
    first = release(forum, "1").json()["release"]
    second = release(forum, "2").json()["release"]
    assert first["digest"] == second["digest"]
    parts = [k for k in keys(node) if k.collection == "release_parts"]
    assert len(parts) == 1


def keys(node: Node) -> list[Any]:
    reader = node.gate.reader()
    found = []
    for seq in range(1, reader.frontier()[node.gate.replica.origin] + 1):
        (row,) = reader.batches(node.gate.replica.origin, seq - 1, 1)
        for transaction in open_body(row.body).batch.transactions:
            found += [change.key for change in transaction.changes]
    return found


def test_a_programme_larger_than_a_transaction_can_be_released(
    forum: Programme, node: Node
) -> None:
    """872 sessions, as FOSDEM 2020 had, with long descriptions: several times what one transaction may hold."""
    for start in range(0, 872, 100):
        operations = [
            {
                "op": "create",
                "type": "sessions",
                "data": forum.session(f"Vortrag {n}", description={"de": f"{n} " * 1_500}),
            }
            for n in range(start, min(start + 100, 872))
        ]
        done = forum.caller.post("/v2/batch", {"mode": "atomic", "operations": operations})
        assert done.status_code == 200, done.text
    made = release(forum)
    assert made.status_code == 201, made.text
    assert made.json()["release"]["sessions"] == 872
    stored = node.gate.reader()
    size = sum(
        len(stored.batches(node.gate.replica.origin, seq, 1)[0].body)
        for seq in range(stored.frontier()[node.gate.replica.origin])
    )
    assert size > 2 * BATCH_BYTES_MAX
    ids = {s["id"] for s in everything(forum)}
    got = forum.caller.get(f"/v2/events/{forum.event}/releases/1.0/diff/now").json()
    assert got == {"added": [], "removed": [], "changed": []}
    assert len(ids) == 872


def everything(forum: Programme) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = forum.caller.get(f"/v2/sessions?limit=200{cursor}").json()
        found += page["data"]
        if not page["has_more"]:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def test_a_release_made_at_one_node_is_the_same_at_another(
    table: Table, forum: Programme, talk: str, geneva: Node
) -> None:
    release(forum)
    table.deliver()
    there = Programme.__new__(Programme)
    there.caller, there.event = geneva.caller(forum.caller), forum.event
    assert talks(schedule(there, "?release=1.0")) == talks(schedule(forum, "?release=1.0"))


def test_a_name_given_twice_in_a_partition_ends_with_one(
    table: Table, forum: Programme, talk: str, node: Node, geneva: Node
) -> None:
    table.deliver()
    for served in (node, geneva):
        made = served.caller(forum.caller).post(
            f"/v2/events/{forum.event}/releases", {"name": "1.0"}
        )
        assert made.status_code == 201
    table.deliver()
    told = []
    for served in (node, geneva):
        caller = served.caller(forum.caller)
        data = caller.get(f"/v2/events/{forum.event}/releases").json()["data"]
        assert sorted(r["state"] for r in data) == ["confirmed", "displaced"]
        told.append(caller.get(f"/v2/events/{forum.event}/releases/1.0").json()["id"])
    assert told[0] == told[1]


def test_a_repeated_request_makes_one_release(forum: Programme, talk: str) -> None:
    headers = {"Idempotency-Key": "0197464f-3b1c-7c07-8d1e-2f6a0b9c4d11"}
    path = f"/v2/events/{forum.event}/releases"
    first = forum.caller.post(path, {"name": "1.0"}, headers=headers)
    forum.caller.patch(f"/v2/sessions/{talk}", {"track": "später"})
    again = forum.caller.post(path, {"name": "1.0"}, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["release"]["id"] == first.json()["release"]["id"]
    assert "später" not in json.dumps(schedule(forum, "?release=1.0").json(), ensure_ascii=False)


def test_addresses_of_people_are_not_frozen(forum: Programme, talk: str, node: Node) -> None:
    forum.caller.patch(f"/v2/speakers/{forum.speaker}", {"email": "mila@example.ch"})
    release(forum)
    reader = node.gate.reader()
    held = [reader.load([k]).get(k) for k in keys(node) if k.collection == "release_parts"]
    assert held
    for record in held:
        assert record is not None
        assert b"mila@example.ch" not in record.fields["content"].value  # type: ignore[index]


def test_unknown_releases_and_events_are_not_found(forum: Programme, node: Node) -> None:
    path = f"/v2/events/{forum.event}"
    assert forum.caller.get(f"{path}/releases/9.9").status_code == 404
    assert forum.caller.get(f"{path}/schedule.json?release=9.9").status_code == 404
    assert forum.caller.get(f"/v2/events/{forum.room}/releases").status_code == 404
    assert release(forum, "bad/name").json()["code"] == "invalid"
    stranger = node.key("other")
    assert stranger.get(f"{path}/releases").status_code == 404
    reader = node.key("acme", scopes=("read",))
    assert reader.post(f"{path}/releases", {"name": "1"}).status_code == 403
