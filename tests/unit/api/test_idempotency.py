"""Idempotency-Key: a repeated request has one effect, whatever became of its answer, wherever it is repeated."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from konkordat.api.idempotency import Repeatable, Running
from konkordat.api.problems import Problem
from support.api import Caller, Node, Programme, Table

KEY = {"Idempotency-Key": "019746a2-7c00-7a31-8d52-3f1a2b4c5d6e"}


def test_a_repeated_create_makes_one_record(acme: Caller) -> None:
    first = acme.post("/v2/speakers", {"name": "Mila"}, headers=KEY)
    second = acme.post("/v2/speakers", {"name": "Mila"}, headers=KEY)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert second.json() == first.json()
    assert second.headers["location"] == first.headers["location"]
    assert len(acme.get("/v2/speakers").json()["data"]) == 1


def test_a_repeated_patch_and_delete_have_one_effect(acme: Caller) -> None:
    path = acme.post("/v2/speakers", {"name": "Mila"}).headers["location"]
    for _ in range(2):
        assert acme.patch(path, {"affiliation": "ETH"}, headers=KEY).json()["affiliation"] == "ETH"
    assert len(acme.get(f"{path}/history").json()["data"]) == 2
    key = {"Idempotency-Key": "delete-1"}
    assert [acme.delete(path, headers=key).status_code for _ in range(2)] == [204, 204]


def test_the_key_with_another_body_is_refused(acme: Caller) -> None:
    acme.post("/v2/speakers", {"name": "Mila"}, headers=KEY)
    other = acme.post("/v2/speakers", {"name": "Noa"}, headers=KEY)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    elsewhere = acme.post(
        "/v2/venues", {"name": {"de": "X"}, "time_zone": "Europe/Zurich"}, headers=KEY
    )
    assert elsewhere.json()["code"] == "idempotency_key_reused"


def test_a_refused_request_may_be_corrected_under_the_same_key(acme: Caller) -> None:
    assert acme.post("/v2/speakers", {"nmae": "Mila"}, headers=KEY).status_code == 422
    assert acme.post("/v2/speakers", {"name": "Mila"}, headers=KEY).status_code == 201


def test_keys_of_different_credentials_and_tenants_do_not_meet(node: Node, acme: Caller) -> None:
    callers = [acme, node.key("acme"), node.key("bolt")]
    ids = {c.post("/v2/speakers", {"name": "Mila"}, headers=KEY).json()["id"] for c in callers}
    assert len(ids) == 3


def test_a_retry_at_a_node_that_knows_of_the_first_is_replayed(
    table: Table, geneva: Node, acme: Caller
) -> None:
    first = acme.post("/v2/speakers", {"name": "Mila"}, headers=KEY)
    table.deliver()
    second = geneva.caller(acme).post("/v2/speakers", {"name": "Mila"}, headers=KEY)
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json() == first.json()


@pytest.mark.parametrize("key", [KEY["Idempotency-Key"], "order 66"])
def test_a_retry_at_a_node_that_was_cut_off_makes_the_same_record(
    table: Table, geneva: Node, acme: Caller, key: str
) -> None:
    table.deliver()
    there, header = geneva.caller(acme), {"Idempotency-Key": key}
    first = acme.post("/v2/speakers", {"name": "Mila"}, headers=header).json()
    table["geneva"].clock_ms += 3_600_000
    second = there.post("/v2/speakers", {"name": "Mila"}, headers=header).json()
    assert second["id"] == first["id"]
    table.deliver()
    for caller in (acme, there):
        assert [item["id"] for item in caller.get("/v2/speakers").json()["data"]] == [first["id"]]


def test_a_dry_run_does_not_use_the_key_up(acme: Caller) -> None:
    acme.post("/v2/speakers?dry_run=true", {"name": "Mila"}, headers=KEY)
    assert acme.post("/v2/speakers", {"name": "Mila"}, headers=KEY).status_code == 201


def test_ids_from_keys_are_uuid7_and_keep_the_time_of_a_uuid7_key() -> None:
    request = Repeatable("k", "acme", "POST /v2/speakers?", KEY["Idempotency-Key"], b"")
    assert request.id()[:13] == KEY["Idempotency-Key"][:13]
    assert request.id()[14] == "7"
    assert request.id() == request.id()
    assert request.id("1") != request.id()
    other = Repeatable("k", "acme", "POST /v2/speakers?", "any text", b"")
    assert other.id()[14] == "7"
    assert 0x0150 < int(other.id()[:4], 16) < 0x0200  # a time between 2016 and 2039


def test_a_request_that_is_still_running_is_refused() -> None:
    running = Running()
    request = Repeatable("k", "acme", "POST /v2/speakers?", "a", b"")
    with running.only_once(request):
        with pytest.raises(Problem) as caught, running.only_once(request):
            pass
        assert (caught.value.code, caught.value.status) == ("request_running", 409)
    with running.only_once(request):
        pass  # free again


@pytest.mark.row("S0-8")
def test_ten_parallel_identical_bookings_make_exactly_one(forum: Programme, node: Node) -> None:
    """cal.com #13397, LibreBooking #147."""
    from httpx import ASGITransport, AsyncClient

    async def book_all() -> list[Any]:
        transport = ASGITransport(app=node.client.app)
        async with AsyncClient(transport=transport, base_url="http://zurich") as client:
            body = forum.session(slot=forum.slot())
            calls = [
                client.post("/v2/sessions", json=body, headers=forum.caller.headers)
                for _ in range(10)
            ]
            return await asyncio.gather(*calls)

    answers = asyncio.run(book_all())
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 9]
    assert len(forum.caller.get("/v2/sessions").json()["data"]) == 1


def test_ten_parallel_bookings_with_one_key_make_exactly_one(forum: Programme, node: Node) -> None:
    from httpx import ASGITransport, AsyncClient

    async def book_all() -> list[Any]:
        transport = ASGITransport(app=node.client.app)
        async with AsyncClient(transport=transport, base_url="http://zurich") as client:
            body, headers = forum.session(slot=forum.slot()), {**forum.caller.headers, **KEY}
            calls = [client.post("/v2/sessions", json=body, headers=headers) for _ in range(10)]
            return await asyncio.gather(*calls)

    answers = asyncio.run(book_all())
    assert {answer.status_code for answer in answers} <= {201, 409}
    codes = {answer.json()["code"] for answer in answers if answer.status_code == 409}
    assert codes <= {"request_running"}
    assert len(forum.caller.get("/v2/sessions").json()["data"]) == 1
