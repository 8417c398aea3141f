"""The audit export: every change, in one order, byte-identical on every node."""

from __future__ import annotations

import base64
import json

import pytest

from konkordat.kernel.change import NO_HASH
from konkordat.wire.batches import open_body
from support.api import Caller, Node, Programme, Table


def lines(caller: Caller, query: str = "") -> list[dict[str, object]]:
    answer = caller.get(f"/v2/audit{query}")
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.row("S0-16")
def test_the_export_of_two_nodes_is_byte_identical(
    table: Table, node: Node, geneva: Node, forum: Programme
) -> None:
    table.deliver()
    there = geneva.caller(forum.caller)
    for number in range(20):
        table["geneva"].clock_ms = table["zurich"].clock_ms
        forum.caller.post("/v2/speakers", {"name": f"Z{number}"})
        there.post("/v2/speakers", {"name": f"G{number}"})
    assert forum.caller.get("/v2/audit").content != there.get("/v2/audit").content
    table.deliver()
    here, beyond = forum.caller.get("/v2/audit"), there.get("/v2/audit")
    assert here.content == beyond.content
    assert here.headers["x-audit-frontier"] == beyond.headers["x-audit-frontier"]
    found = lines(forum.caller)
    order = [(line["hlc"], line["origin"]) for line in found]
    assert order == sorted(order)
    assert len({line["origin"] for line in found}) == 2


def test_a_line_says_who_did_what_when_where_and_why(forum: Programme) -> None:
    made = forum.caller.post("/v2/speakers", {"name": "Noa"}).json()
    forum.caller.delete(f"/v2/speakers/{made['id']}")
    write, deletion = lines(forum.caller)[-2:]
    assert write["fields"] == {"name": "Noa"}
    assert (write["op"], write["type"], write["id"], write["tenant"]) == (
        "write", "speakers", made["id"], "acme",
    )  # fmt: skip
    assert write["actor"] == forum.caller.key.split("_")[2]
    assert write["at"] == made["created_at"]
    assert len(str(write["batch"])) == 64
    assert (deletion["op"], deletion["fields"], deletion["life"]) == ("delete", {}, 2)


def test_a_line_is_canonical(forum: Programme) -> None:
    for line in forum.caller.get("/v2/audit").text.splitlines():
        assert line == json.dumps(
            json.loads(line), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )


def test_a_tenant_sees_its_own_and_the_operator_all(node: Node) -> None:
    acme, bolt = node.key("acme"), node.key("bolt")
    acme.post("/v2/speakers", {"name": "Mila"})
    bolt.post("/v2/speakers", {"name": "Noa"})
    assert {line["tenant"] for line in lines(acme)} == {"acme"}
    assert {line["tenant"] for line in lines(bolt)} == {"bolt"}
    assert {line["tenant"] for line in lines(node.operator)} == {"_system", "acme", "bolt"}


def test_the_export_can_be_of_a_time(node: Node, acme: Caller) -> None:
    first = acme.post("/v2/speakers", {"name": "A"}).json()
    node.gate.clock_ms += 60_000
    second = acme.post("/v2/speakers", {"name": "B"}).json()
    since, until = f"?since={second['created_at']}", f"?until={second['created_at']}"
    assert [line["id"] for line in lines(acme, since)] == [second["id"]]
    assert [line["id"] for line in lines(acme, until)] == [first["id"]]
    assert lines(acme, "?since=2028-01-01T00:00:00%2B02:00") == []


@pytest.mark.row("S0-16")
def test_the_log_is_exported_with_the_bytes_that_its_hashes_are_over(
    table: Table, node: Node, geneva: Node, forum: Programme
) -> None:
    table.deliver()
    geneva.caller(forum.caller).post("/v2/speakers", {"name": "G"})
    table.deliver()
    answer = node.operator.get("/v2/audit/batches")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.content == geneva.operator.get("/v2/audit/batches").content
    previous: dict[str, bytes] = {}
    batches = [json.loads(line) for line in answer.text.splitlines()]
    for line in batches:
        opened = open_body(base64.b64decode(line["body"]))
        assert (opened.batch.origin, opened.batch.seq) == (line["origin"], line["seq"])
        assert opened.hash.hex() == line["hash"]
        assert opened.batch.previous == previous.get(line["origin"], NO_HASH)
        previous[line["origin"]] = opened.hash
    assert len(previous) == 2
    assert len(batches) == sum(node.gate.frontier().values())


def test_only_the_operator_is_given_the_log(forum: Programme) -> None:
    answer = forum.caller.get("/v2/audit/batches")
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
