"""The stream: changes as they commit, resumed by token, bounded; and writes over the same socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from litestar.exceptions import WebSocketDisconnect

from support.api import Caller, Node, Programme, Table, serving

UNKNOWN = "019746a2-7c00-7a31-8d52-3f1a2b4c5d6e"


class Socket:
    """A client's end of a stream."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    def say(self, msg: str, **fields: Any) -> None:
        self.socket.send_json({"msg": msg, **fields})

    def hear(self, *expected: str) -> Any:
        """The next message but heartbeats, which must be one of these."""
        while True:
            message = self.socket.receive_json(timeout=10)
            if message["msg"] != "heartbeat" or "heartbeat" in expected:
                assert not expected or message["msg"] in expected, message
                return message

    def ask(self, msg: str, **fields: Any) -> Any:
        self.say(msg, **fields)
        return self.hear()

    def subscribe(self, sub: str = "s", **wish: Any) -> Any:
        """Follow, and hear of what there is already."""
        self.say("subscribe", sub=sub, **wish)
        self.hear("subscribed")
        changes = []
        while (message := self.hear("change", "caught_up"))["msg"] == "change":
            changes.append(message)
        return changes

    def closed(self) -> int:
        """The code with which the node closes; whatever it still says is let go."""
        try:
            while True:
                self.socket.receive(timeout=10)
        except WebSocketDisconnect as closed:
            return int(closed.code)


@contextmanager
def stream(caller: Caller, path: str = "/v2/stream", **hello: Any) -> Iterator[Socket]:
    with caller.client.websocket_connect(path, headers=caller.headers) as raw:
        socket = Socket(raw)
        welcome = socket.ask("hello", **hello)
        assert welcome["msg"] == "welcome"
        yield socket


@pytest.mark.row("S0-17")
def test_a_change_is_told_as_it_commits(acme: Caller) -> None:
    with stream(acme) as socket:
        assert socket.subscribe() == []
        made = acme.post("/v2/speakers", {"name": "Mila"}).json()
        change = socket.hear("change")
        assert change.pop("token")
        assert change == {
            "msg": "change", "sub": "s", "op": "upsert", "type": "speakers", "id": made["id"],
            "version": made["version"], "data": made,
        }  # fmt: skip
        acme.delete(f"/v2/speakers/{made['id']}")
        assert socket.hear("change")["op"] == "delete"


def test_the_welcome_says_where_one_is(acme: Caller) -> None:
    with acme.client.websocket_connect("/v2/stream", headers=acme.headers) as raw:
        welcome = Socket(raw).ask("hello", client="trial/1")
        assert (welcome["node"], welcome["cluster"]) == ("zurich", "trial")
        assert welcome["token"]


def test_a_token_resumes_where_it_was_given(acme: Caller) -> None:
    with stream(acme) as socket:
        socket.subscribe()
        acme.post("/v2/speakers", {"name": "A"})
        token = socket.hear("change")["token"]
    missed = [acme.post("/v2/speakers", {"name": f"M{n}"}).json()["id"] for n in range(5)]
    with stream(acme) as socket:
        told = socket.subscribe(resume_token=token)
        assert [change["id"] for change in told] == missed
        live = acme.post("/v2/speakers", {"name": "B"}).json()["id"]
        assert socket.hear("change")["id"] == live


def test_whoever_breaks_off_within_a_commit_misses_nothing(acme: Caller) -> None:
    """Only the last change of a commit carries the commit's token."""
    with stream(acme) as socket:
        socket.subscribe()
        operations = [
            {"op": "create", "type": "speakers", "data": {"name": f"S{n}"}} for n in range(5)
        ]
        acme.post("/v2/batch", {"operations": operations})
        told = [socket.hear("change") for _ in range(5)]
    with stream(acme) as socket:
        again = socket.subscribe(resume_token=told[2]["token"])
        assert {change["id"] for change in told} == {change["id"] for change in again}
    with stream(acme) as socket:
        assert socket.subscribe(resume_token=told[4]["token"]) == []


def test_a_stream_goes_on_at_another_node(table: Table, geneva: Node, acme: Caller) -> None:
    table.deliver()
    with stream(acme) as socket:
        socket.subscribe()
        acme.post("/v2/speakers", {"name": "A"})
        token = socket.hear("change")["token"]
    late = acme.post("/v2/speakers", {"name": "B"}).json()["id"]
    there = geneva.caller(acme)
    with stream(there) as socket:
        refused = socket.ask("subscribe", sub="s", resume_token=token)
        assert (refused["msg"], refused["problem"]["code"]) == ("problem", "not_yet_consistent")
        assert refused["sub"] == "s"
    table.deliver()
    with stream(there) as socket:
        assert [change["id"] for change in socket.subscribe(resume_token=token)] == [late]


@pytest.mark.row("S0-43")
def test_a_change_of_another_node_is_told_as_it_arrives(
    table: Table, geneva: Node, acme: Caller
) -> None:
    table.deliver()
    there = geneva.caller(acme)
    with stream(there) as socket:
        socket.subscribe()
        made = acme.post("/v2/speakers", {"name": "Mila"}).json()
        table.deliver()
        assert socket.hear("change")["data"] == made


@pytest.mark.row("S0-7")
def test_a_subscription_tells_only_what_it_asked_for(forum: Programme) -> None:
    acme = forum.caller
    other = forum.make("rooms", venue=forum.venue, name={"de": "Foyer"})
    with stream(acme) as socket:
        socket.subscribe("slots", types=["sessions"], fields=["slot"])
        socket.subscribe("here", filter={"room": forum.room})
        socket.subscribe("rooms", types=["rooms"])
        made = acme.post("/v2/sessions", forum.session(slot=forum.slot())).json()
        assert {socket.hear("change")["sub"] for _ in range(2)} == {"slots", "here"}
        path = f"/v2/sessions/{made['id']}"
        acme.patch(path, {"track": "A"})
        assert socket.hear("change")["sub"] == "here"
        acme.patch(path, {"slot": {"room": other}})
        told = {m["sub"]: m["op"] for m in (socket.hear("change"), socket.hear("change"))}
        assert told == {"slots": "upsert", "here": "delete"}
        acme.patch(f"/v2/rooms/{other}", {"capacity": 80})
        assert socket.hear("change")["sub"] == "rooms"
        assert socket.ask("unsubscribe", sub="rooms") == {"msg": "unsubscribed", "sub": "rooms"}
        acme.patch(f"/v2/rooms/{other}", {"capacity": 90})
        assert socket.ask("ping") == {"msg": "pong"}


def test_a_session_that_another_displaces_is_told(
    table: Table, geneva: Node, forum: Programme
) -> None:
    table.deliver()
    there = geneva.caller(forum.caller)
    forum.caller.post("/v2/sessions", forum.session("Zürich", slot=forum.slot()))
    table["geneva"].clock_ms = table["zurich"].clock_ms + 50
    lost = there.post("/v2/sessions", forum.session("Genf", slot=forum.slot())).json()
    with stream(there) as socket:
        socket.subscribe(fields=["slot"])
        table.deliver()
        told = [socket.hear("change") for _ in range(2)]
    states = {change["id"]: change["data"]["slot"]["state"] for change in told}
    assert states[lost["id"]] == "displaced"
    assert sorted(states.values()) == ["confirmed", "displaced"]


def test_another_tenants_changes_are_not_told(node: Node, acme: Caller) -> None:
    bolt = node.key("bolt")
    with stream(acme) as socket:
        socket.subscribe()
        bolt.post("/v2/speakers", {"name": "Noa"})
        mine = acme.post("/v2/speakers", {"name": "Mila"}).json()["id"]
        assert socket.hear("change")["id"] == mine


def test_changes_wait_for_the_window_and_answers_do_not(acme: Caller) -> None:
    with stream(acme, window=2) as socket:
        socket.subscribe()
        for number in range(4):
            acme.post("/v2/speakers", {"name": f"S{number}"})
        assert [socket.hear()["msg"] for _ in range(2)] == ["change", "change"]
        assert socket.ask("ping")["msg"] == "pong"
        socket.say("ack", count=1)
        assert socket.hear("change")["data"]["name"] == "S2"
        assert socket.ask("ping")["msg"] == "pong"
        socket.say("ack", count=5)
        assert socket.hear("change")["data"]["name"] == "S3"


def test_a_slow_reader_is_told_of_the_gap_and_closed(
    acme: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("konkordat.api.outbox.FRAMES_MAX", 8)
    monkeypatch.setattr("konkordat.api.outbox.LOW_WATER_FRAMES", 2)
    monkeypatch.setattr("konkordat.api.hub.ROOM_EVERY", 4)
    with stream(acme, window=1) as socket:
        socket.subscribe()
        for number in range(12):
            acme.post("/v2/speakers", {"name": f"S{number}"})
        token = socket.hear("change")["token"]
        assert socket.hear("gap")["detail"]
        assert socket.closed() == 4008
    with stream(acme) as socket:
        assert len(socket.subscribe(resume_token=token)) == 11


def test_when_the_feed_has_a_gap_everybody_resumes(node: Node, acme: Caller) -> None:
    with stream(acme) as socket:
        socket.subscribe()
        node.gate.break_feed()
        socket.hear("gap")
        assert socket.closed() == 4008
    with stream(acme) as socket:
        socket.subscribe()
        acme.post("/v2/speakers", {"name": "Mila"})
        socket.hear("change")


def test_a_fault_of_ours_ends_no_node(
    node: Node, acme: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("konkordat.api.hub.RETRY_S", 0.0)
    with stream(acme) as socket:
        socket.subscribe()
        with monkeypatch.context() as patch:
            patch.setattr("konkordat.api.hub.note_of", broken)
            acme.post("/v2/speakers", {"name": "Mila"})
            socket.hear("gap")
        assert socket.closed() == 4008
    assert ("error", "api_feed_failed") in [entry[:2] for entry in node.gate.logged]
    node.settle()
    with stream(acme) as socket:
        socket.subscribe()
        acme.post("/v2/speakers", {"name": "Noa"})
        socket.hear("change")


def test_a_stopping_node_sends_streams_elsewhere(node: Node, acme: Caller) -> None:
    from konkordat.api.gate import NodeStopped

    with stream(acme) as socket:
        socket.subscribe()
        node.gate.break_feed(NodeStopped("maintenance"))
        assert socket.hear("drain")["retry_after_ms"] > 0
        assert socket.closed() == 1012


# Writes -------------------------------------------------------------------------------------------


def create(name: str) -> dict[str, Any]:
    return {"op": "create", "type": "speakers", "data": {"name": name}}


@pytest.mark.row("S0-21")
def test_writes_over_the_socket_are_answered_by_id(acme: Caller) -> None:
    with stream(acme) as socket:
        for number in range(20):
            socket.say("write", id=f"w{number}", operations=[create(f"S{number}")])
        answers = {(m := socket.hear("written"))["id"]: m["results"] for _ in range(20)}
        assert set(answers) == {f"w{n}" for n in range(20)}
        assert all(result["status"] == 201 for results in answers.values() for result in results)
        assert m["token"]
    assert len(acme.get("/v2/speakers").json()["data"]) == 20


def test_refused_operations_are_problems_within_the_answer(acme: Caller) -> None:
    with stream(acme) as socket:
        both = socket.ask("write", id="w", operations=[create("A"), create("")])
        assert [r["status"] for r in both["results"]] == [201, 422]
        assert both["results"][1]["problem"]["errors"][0]["pointer"] == "/operations/1/data/name"
        none = socket.ask("write", id="x", operations=[create("B"), create("")], mode="atomic")
        assert (none["msg"], none["id"], none["problem"]["code"]) == ("problem", "x", "invalid")
        assert socket.ask("ping")["msg"] == "pong"
    assert len(acme.get("/v2/speakers").json()["data"]) == 1


def test_a_repeated_write_has_one_effect_also_at_another_stream(acme: Caller) -> None:
    wish = {"operations": [create("A")], "idempotency_key": "write-1"}
    with stream(acme) as socket:
        first = socket.ask("write", id="1", **wish)["results"]
    with stream(acme) as socket:
        second = socket.ask("write", id="2", **wish)["results"]
        other = socket.ask("write", id="3", operations=[create("B")], idempotency_key="write-1")
    assert second[0]["id"] == first[0]["id"]
    assert second[0]["replayed"] is True
    assert other["results"][0]["problem"]["code"] == "idempotency_key_reused"


def test_a_reader_may_not_write(node: Node) -> None:
    with stream(node.key("acme", ("read",))) as socket:
        refused = socket.ask("write", id="w", operations=[create("A")])
        assert refused["problem"]["code"] == "scope_missing"
        socket.subscribe()


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "pointer"),
    [
        ({"sub": "s", "types": ["talks"]}, "/types/0"),
        ({"sub": "s", "types": []}, "/types"),
        ({"sub": "s", "fields": ["colour"]}, "/fields"),
        ({"sub": "s", "types": ["rooms"], "fields": ["speakers"]}, "/fields"),
        ({"sub": "s", "filter": {"colour": "red"}}, "/filter/colour"),
        ({"sub": "s", "resume_token": "AAAA"}, None),
        ({"sub": "x" * 65}, "/sub"),
        ({}, "/sub"),
    ],
)
def test_a_bad_subscription_is_refused_and_the_stream_goes_on(
    acme: Caller, wish: dict[str, Any], pointer: str | None
) -> None:
    with stream(acme) as socket:
        refused = socket.ask("subscribe", **wish)
        assert refused["msg"] == "problem"
        if pointer is not None:
            assert refused["problem"]["errors"][0]["pointer"] == pointer
        socket.subscribe("other")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"msg":"dance"}', "[" * 50_000, '{"msg":"ack"}'])
def test_a_message_that_is_none_is_answered_by_a_problem(acme: Caller, text: str) -> None:
    with stream(acme) as socket:
        socket.socket.send_text(text)
        assert socket.hear("problem")["problem"]["status"] in {400, 422}
        assert socket.ask("ping")["msg"] == "pong"


def test_a_message_beyond_the_limit_ends_the_stream(acme: Caller) -> None:
    with stream(acme) as socket:
        socket.socket.send_text('{"msg":"ping","x":"' + "x" * (1 << 20) + '"}')
        assert socket.hear("problem")["problem"]["code"] == "body_too_large"
        assert socket.closed() == 4400


def test_a_stream_begins_with_hello(acme: Caller) -> None:
    with acme.client.websocket_connect("/v2/stream", headers=acme.headers) as raw:
        socket = Socket(raw)
        assert socket.ask("ping")["problem"]["code"] == "bad_request"
        assert socket.closed() == 4400


def test_the_welcome_comes_first_also_if_more_was_said_at_once(acme: Caller) -> None:
    with acme.client.websocket_connect("/v2/stream", headers=acme.headers) as raw:
        socket = Socket(raw)
        socket.say("hello")
        for _ in range(3):
            socket.say("ping")
        assert [socket.hear()["msg"] for _ in range(4)] == ["welcome", "pong", "pong", "pong"]


def test_a_name_can_be_used_once_and_only_so_many(acme: Caller) -> None:
    with stream(acme) as socket:
        socket.subscribe("a")
        assert socket.ask("subscribe", sub="a")["problem"]["errors"][0]["pointer"] == "/sub"
        assert socket.ask("unsubscribe", sub="b")["msg"] == "problem"
        for number in range(31):
            socket.subscribe(str(number))
        assert socket.ask("subscribe", sub="one too many")["msg"] == "problem"


# Who may ------------------------------------------------------------------------------------------


def refused_at_the_door(node: Node, path: str = "/v2/stream", **headers: str) -> None:
    with (
        pytest.raises(WebSocketDisconnect),
        node.client.websocket_connect(path, headers=headers) as raw,
    ):
        raw.receive(timeout=5)


def test_only_who_has_a_key_may_open_a_stream(node: Node, acme: Caller) -> None:
    refused_at_the_door(node)
    refused_at_the_door(node, Authorization="Bearer kk_acme_x")
    refused_at_the_door(node, f"/v2/stream?api_key={acme.key}")
    refused_at_the_door(node, "/v2/stream?ticket=none")


def test_a_page_of_another_origin_may_not_open_a_stream(table: Table) -> None:
    with serving(table["zurich"], cors_origins=("https://planner.example",)) as node:
        caller = node.key("acme")
        for origin in ("https://evil.example", "https://planner.example.evil.example", "null", ""):
            refused_at_the_door(node, Origin=origin, **caller.headers)
        for origin in ("https://planner.example", str(node.client.base_url)):  # and its own pages
            caller.headers["Origin"] = origin
            with stream(caller):
                pass


def test_a_ticket_opens_one_stream_once_and_soon(node: Node, acme: Caller) -> None:
    made = acme.post("/v2/stream/tickets")
    assert (made.status_code, made.json()["expires_in_s"]) == (201, 30)
    path = f"/v2/stream?ticket={made.json()['ticket']}"
    with stream(Caller(node.client), path) as socket:
        socket.subscribe()
    refused_at_the_door(node, path)
    late = acme.post("/v2/stream/tickets").json()["ticket"]
    node.gate.clock_ms += 31_000
    refused_at_the_door(node, f"/v2/stream?ticket={late}")


def test_a_revoked_key_closes_what_it_opened(node: Node, acme: Caller) -> None:
    with stream(acme) as socket:
        socket.subscribe()
        node.operator.delete(f"/v2/keys/{acme.key.split('_')[2]}")
        assert socket.hear("problem")["problem"]["code"] == "key_revoked"
        assert socket.closed() == 4401


def test_open_streams_are_limited(table: Table) -> None:
    with serving(table["zurich"], streams_max=2, streams_per_credential_max=1) as node:
        first, second, third = (node.key("acme") for _ in range(3))
        with stream(first):
            refused_at_the_door(node, **first.headers)
            with stream(second):
                refused_at_the_door(node, **third.headers)
        node.settle()
        with stream(third):
            pass


# Server-sent events -------------------------------------------------------------------------------


def events(text: str) -> list[dict[str, str]]:
    """Events as a browser reads them."""
    blocks = text.strip().split("\n\n")
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]  # type: ignore[misc]


def test_the_same_changes_come_as_server_sent_events(node: Node, acme: Caller) -> None:
    import json

    since = acme.get("/v2/cluster").headers["consistency-token"]
    made = acme.post("/v2/speakers", {"name": "Mila\nB."}).json()
    # The test client reads an answer to its end, so the node has to end it.
    text = read_until_drained(node, acme, f"/v2/stream/events?since={since}&types=speakers")
    kinds = [event["event"] for event in events(text)]
    assert kinds == ["subscribed", "change", "caught_up", "drain"]
    change = events(text)[1]
    assert json.loads(change["data"])["data"] == made
    again = read_until_drained(node, acme, "/v2/stream/events", {"Last-Event-ID": change["id"]})
    assert [event["event"] for event in events(again)] == ["subscribed", "caught_up", "drain"]


def read_until_drained(
    node: Node, caller: Caller, path: str, headers: dict[str, str] | None = None
) -> str:
    import threading
    import time

    from konkordat.api.gate import FeedGap

    def end_it() -> None:
        # On a busy machine the stream may open late: what is to be read is told once it follows the feed.
        while not node.gate.feeds_open:
            time.sleep(0.01)
        time.sleep(0.5)
        node.gate.break_feed(FeedGap())

    ending = threading.Thread(target=end_it)
    ending.start()
    answer = caller.get(path, headers=headers or {})
    ending.join()
    assert answer.headers["content-type"] == "text/event-stream"
    return str(answer.text).replace("event: gap", "event: drain")
