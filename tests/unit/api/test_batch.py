"""Batches: together or each for itself, with one result an operation."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from support.api import Caller, Node, Programme, Table

UNKNOWN = "019746a2-7c00-7a31-8d52-3f1a2b4c5d6e"


def create(type_: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"op": "create", "type": type_, "data": data, **more}


def batch(caller: Caller, *operations: dict[str, Any], **more: Any) -> Any:
    headers = more.pop("headers", {})
    return caller.post("/v2/batch", {"operations": operations, **more}, headers=headers)


def test_independent_operations_succeed_or_fail_each_for_itself(forum: Programme) -> None:
    acme = forum.caller
    done = batch(
        acme,
        create("sessions", forum.session("A", slot=forum.slot())),
        create("sessions", forum.session("B", slot=forum.slot())),
        create("sessions", {"event": forum.event}),
        {"op": "patch", "type": "speakers", "id": UNKNOWN, "data": {"name": "X"}},
        {"op": "delete", "type": "speakers", "id": forum.speaker},
        {"op": "put", "type": "speakers", "id": UNKNOWN, "data": {"name": "Noa"}},
    )
    assert done.status_code == 207
    results = done.json()["results"]
    assert [r["status"] for r in results] == [201, 409, 422, 404, 200, 201]
    assert results[0]["effect"] == "created"
    assert results[1]["problem"]["code"] == "slot_taken"
    assert results[1]["problem"]["conflicts"][0]["id"] == results[0]["id"]
    assert results[2]["problem"]["errors"][0]["pointer"] == "/operations/2/data/title"
    assert results[4]["effect"] == "deleted"
    assert acme.get(f"/v2/sessions/{results[0]['id']}").json()["version"] == results[0]["version"]


def test_independent_operations_share_one_commit(acme: Caller, node: Node) -> None:
    commits = len(node.gate.commits)
    done = batch(acme, *[create("speakers", {"name": f"S{n}"}) for n in range(100)])
    assert done.status_code == 200
    assert len(node.gate.commits) == commits + 1
    assert len({result["id"] for result in done.json()["results"]}) == 100


def test_an_atomic_batch_is_all_or_nothing(forum: Programme) -> None:
    acme = forum.caller
    refused = batch(
        acme,
        create("speakers", {"name": "Noa"}),
        create("sessions", forum.session(speakers=[UNKNOWN])),
        mode="atomic",
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_reference")
    assert refused.json()["errors"][0]["pointer"] == "/operations/1/data/speakers/0"
    assert len(acme.get("/v2/speakers").json()["data"]) == 1


def test_operations_of_an_atomic_batch_may_refer_to_each_other(forum: Programme) -> None:
    done = batch(
        forum.caller,
        create("sessions", forum.session(speakers=[UNKNOWN])),
        create("speakers", {"id": UNKNOWN, "name": "Noa"}),
        mode="atomic",
        include_data=True,
    )
    assert done.status_code == 200
    first, second = done.json()["results"]
    assert first["data"]["speakers"] == [UNKNOWN]
    assert second["id"] == UNKNOWN


@pytest.mark.row("S0-36")
def test_two_sessions_swap_their_rooms_in_one_atomic_batch(forum: Programme) -> None:
    acme = forum.caller
    other = forum.make("rooms", venue=forum.venue, name={"de": "Foyer"})
    a = acme.post("/v2/sessions", forum.session("A", slot=forum.slot())).json()["id"]
    b = acme.post("/v2/sessions", forum.session("B", slot=forum.slot(room=other))).json()["id"]
    swap = [
        {"op": "patch", "type": "sessions", "id": a, "data": {"slot": {"room": other}}},
        {"op": "patch", "type": "sessions", "id": b, "data": {"slot": {"room": forum.room}}},
    ]
    assert batch(acme, *swap).status_code == 207  # each for itself, each is in the other's way
    assert batch(acme, *swap, mode="atomic").status_code == 200
    states = {id: acme.get(f"/v2/sessions/{id}").json()["slot"] for id in (a, b)}
    assert {(s["room"], s["state"]) for s in states.values()} == {
        (other, "confirmed"), (forum.room, "confirmed"),
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["independent", "atomic"])
def test_a_repeated_batch_has_one_effect(acme: Caller, mode: str) -> None:
    key = {"Idempotency-Key": "batch-1"}
    operations = [create("speakers", {"name": f"S{n}"}) for n in range(3)]
    first = batch(acme, *operations, mode=mode, headers=key)
    second = batch(acme, *operations, mode=mode, headers=key)
    assert (first.status_code, second.status_code) == (200, 200)
    ids = [result["id"] for result in first.json()["results"]]
    assert [result["id"] for result in second.json()["results"]] == ids
    assert all(result["replayed"] for result in second.json()["results"])
    assert len(acme.get("/v2/speakers").json()["data"]) == 3
    other = batch(acme, *operations[:2], mode=mode, headers=key)
    codes = {r["problem"]["code"] for r in other.json().get("results", [])} or {
        other.json()["code"]
    }
    assert codes == {"idempotency_key_reused"}


def test_a_retried_batch_at_a_node_that_was_cut_off_makes_the_same_records(
    table: Table, geneva: Node, acme: Caller
) -> None:
    table.deliver()
    key, there = {"Idempotency-Key": "batch-1"}, geneva.caller(acme)
    operations = [create("speakers", {"name": f"S{n}"}) for n in range(3)]
    batch(acme, *operations, headers=key)
    batch(there, *operations, headers=key)
    table.deliver()
    assert len(there.get("/v2/speakers").json()["data"]) == 3


def test_a_dry_run_of_a_batch_writes_nothing(acme: Caller) -> None:
    done = batch(acme, create("speakers", {"name": "Noa"}), dry_run=True)
    assert done.status_code == 200
    assert acme.get("/v2/speakers").json()["data"] == []


def test_a_batch_holds_500_operations_and_not_one_more(acme: Caller) -> None:
    operations = [create("speakers", {"name": f"S{n}"}) for n in range(501)]
    refused = batch(acme, *operations)
    assert refused.json()["errors"][0]["pointer"] == "/operations"
    assert batch(acme, *operations[:500]).status_code == 200
    assert batch(acme, *operations[:500], mode="atomic").status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/operations"),
        ({"operations": []}, "/operations"),
        ({"operations": [{}]}, "/operations/0/op"),
        ({"operations": [{"op": "merge", "type": "speakers"}]}, "/operations/0/op"),
        ({"operations": [create("talks", {})]}, "/operations/0/type"),
        ({"operations": [create("speakers", {})], "mode": "some"}, "/mode"),
        (
            {"operations": [{"op": "create", "type": "speakers", "colour": 1}]},
            "/operations/0/colour",
        ),
    ],
)
def test_a_bad_batch_is_refused_as_a_whole(acme: Caller, body: Any, pointer: str) -> None:
    refused = acme.post("/v2/batch", body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("operation", "pointer"),
    [
        ({"op": "create", "type": "speakers"}, "/operations/0/data"),
        ({"op": "patch", "type": "speakers", "data": {}}, "/operations/0/id"),
        ({"op": "delete", "type": "speakers", "id": UNKNOWN, "data": {}}, "/operations/0/data"),
        (create("speakers", {"name": 1}), "/operations/0/data/name"),
        (create("speakers", {"name": "X"}, id="12"), "/operations/0/id"),
        ({"op": "put", "type": "speakers", "id": "12", "data": {"name": "X"}}, "/operations/0/id"),
        (create("speakers", {"name": "X", "links": [{}]}), "/operations/0/data/links/0/url"),
    ],
)
@pytest.mark.parametrize("mode", ["independent", "atomic"])
def test_a_bad_operation_is_pointed_at(
    acme: Caller, operation: dict[str, Any], pointer: str, mode: str
) -> None:
    answer = batch(acme, operation, mode=mode).json()
    problem = answer["results"][0]["problem"] if mode == "independent" else answer
    assert problem["code"] == "invalid"
    assert problem["errors"][0]["pointer"] == pointer


def test_conditions_hold_within_a_batch(acme: Caller) -> None:
    made = acme.post("/v2/speakers", {"name": "Mila"}).json()
    patch = {"op": "patch", "type": "speakers", "id": made["id"], "data": {"name": "M"}}
    done = batch(acme, patch | {"if_match": f'"{made["version"]}"'}, patch | {"if_match": '"old"'})
    assert [r["status"] for r in done.json()["results"]] == [200, 412]
    put = {
        "op": "put",
        "type": "speakers",
        "id": made["id"],
        "data": {"name": "N"},
        "if_none_match": "*",
    }
    assert batch(acme, put).json()["results"][0]["status"] == 412


def test_results_fit_what_the_document_says(forum: Programme) -> None:
    from konkordat.api.batch import BatchResult

    done = batch(
        forum.caller,
        create("sessions", forum.session("A", slot=forum.slot())),
        create("sessions", forum.session("B", slot=forum.slot()), on_conflict="without_slot"),
        create("sessions", {}),
        include_data=True,
    )
    decoded = msgspec.json.decode(done.content, type=BatchResult)
    assert decoded.results[1].dropped_slot.code == "slot_taken"  # type: ignore[union-attr]
