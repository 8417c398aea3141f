"""Read your writes anywhere: tokens, waiting, and nodes that do not claim to know what they cannot know."""

from __future__ import annotations

import pytest

from konkordat.kernel.frontier import parse_token
from support.api import Caller, Node, Table

PATIENT = {"Prefer": "wait=1"}


def test_every_answer_to_a_key_carries_what_the_node_has_seen(acme: Caller, node: Node) -> None:
    made = acme.post("/v2/speakers", {"name": "Mila"})
    token = made.headers["consistency-token"]
    assert acme.get("/v2/speakers").headers["consistency-token"] == token
    refused = acme.get("/v2/speakers?limit=0")
    assert refused.headers["consistency-token"] == token
    assert "consistency-token" not in node.nobody.get("/v2/speakers").headers


@pytest.mark.row("S0-32")
def test_a_node_that_is_behind_says_so_instead_of_guessing(
    table: Table, geneva: Node, acme: Caller
) -> None:
    table.deliver()
    there = geneva.caller(acme)
    made = acme.post("/v2/speakers", {"name": "Mila"})
    seen = {"Consistency-Token": made.headers["consistency-token"]}
    behind = there.get(made.headers["location"], headers=seen)
    assert (behind.status_code, behind.json()["code"]) == (503, "not_yet_consistent")
    assert behind.headers["retry-after"] == "1"
    assert behind.json()["retryable"] is True
    table.deliver()
    assert there.get(made.headers["location"], headers=seen).json() == made.json()


def test_who_is_shown_a_commit_that_the_loop_has_not_heard_of_gets_a_token_of_it(
    node: Node, acme: Caller
) -> None:
    """The owner commits and then tells the loop. What is read in between was told under the token of before it."""
    before = node.gate.frontier()
    made = acme.post("/v2/speakers", {"name": "Mila"})
    node.gate._frontier = before
    shown = acme.get(made.headers["location"])
    assert shown.json() == made.json()
    assert parse_token(shown.headers["consistency-token"]) == node.gate.store.frontier()


def test_writes_wait_for_the_token_too(table: Table, geneva: Node, acme: Caller) -> None:
    table.deliver()
    there = geneva.caller(acme)
    made = acme.post("/v2/speakers", {"name": "Mila"})
    seen = {"Consistency-Token": made.headers["consistency-token"], **PATIENT}
    assert there.patch(made.headers["location"], {"name": "M"}, headers=seen).status_code == 503


def test_a_preference_that_was_heeded_is_named(acme: Caller) -> None:
    answer = acme.get("/v2/speakers", headers={"Prefer": "respond-async, wait=90"})
    assert answer.headers["preference-applied"] == "wait=30"
    for other in ("return=minimal", "wait=soon", "await=3"):
        assert (
            "preference-applied" not in acme.get("/v2/speakers", headers={"Prefer": other}).headers
        )


def test_only_a_node_that_has_caught_up_says_not_found(
    table: Table, node: Node, geneva: Node, acme: Caller
) -> None:
    table.deliver()
    there = geneva.caller(acme)
    path = acme.post("/v2/speakers", {"name": "Mila"}).headers["location"]
    # Geneva hears how far Zurich is, but not yet what it wrote.
    from konkordat.replica.messages import Received, Tick
    from konkordat.wire.messages import Heartbeat

    table["zurich"].clock_ms += 300
    table["zurich"].handle([Tick()])
    beats = [m for _, m in table["zurich"].sent if isinstance(m, Heartbeat)]
    table["geneva"].clock_ms = table["zurich"].clock_ms
    table["geneva"].handle([Received(table["zurich"].name, beats[-1])])
    for answer in (there.get(path), there.patch(path, {"name": "M"}), there.get(f"{path}/history")):
        assert (answer.status_code, answer.json()["code"]) == (503, "not_yet_consistent")
    table.deliver()
    assert there.get(path).status_code == 200
    unknown = path.replace("/0", "/1")
    assert there.get(unknown).status_code == 404


def test_a_token_tells_which_nodes_have_it(table: Table, geneva: Node, acme: Caller) -> None:
    table.deliver()
    token = acme.post("/v2/speakers", {"name": "Mila"}).headers["consistency-token"]
    path = f"/v2/tokens/{token}"
    assert acme.get(path).json() == {"here": True, "nodes": {"zurich": True, "geneva": False}}
    table.deliver()
    there = geneva.caller(acme).get(path).json()
    assert there == {"here": True, "nodes": {"zurich": True, "geneva": True}}


def test_a_token_of_the_stream_serves_as_well(acme: Caller) -> None:
    acme.post("/v2/speakers", {"name": "Mila"})
    token = acme.get("/v2/speakers").json()["sync_token"]
    assert acme.get("/v2/speakers", headers={"Consistency-Token": token}).status_code == 200


@pytest.mark.row("S0-28")
def test_the_cluster_shows_who_has_what(table: Table, geneva: Node, acme: Caller) -> None:
    table.deliver()
    acme.post("/v2/speakers", {"name": "Mila"})
    before = geneva.caller(acme).get("/v2/cluster").json()
    assert [node["name"] for node in before["nodes"]] == ["geneva", "zurich"]
    table.deliver()
    for node in (acme, geneva.caller(acme)):
        shown = node.get("/v2/cluster").json()
        assert shown["converged"] is True
        assert shown["digests_equal"] is True
        assert len({node["digest"] for node in shown["nodes"]}) == 1
        assert len({str(node["frontier"]) for node in shown["nodes"]}) == 1
        assert shown["problems"] == []


def test_health_needs_no_key(node: Node) -> None:
    assert node.nobody.get("/livez").json() == {"status": "live", "health": "ready"}
    assert node.nobody.get("/readyz").status_code == 200
    metrics = node.nobody.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert (
        'konkordat_api_requests_total{method="GET",route="/livez",status="200"} 1.0' in metrics.text
    )
