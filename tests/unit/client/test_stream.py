"""The stream: resumed from what was told, told when it was interrupted, never given up."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from konkordat.client import BadAnswer, CaughtUp, Change, Gap, Gone, ProblemError, Unauthenticated
from konkordat.client.core import Core
from konkordat.client.streaming import ACK_EVERY, WINDOW, StreamState, Subscription
from unit.client.driving import GENEVA, ZURICH, core, frontier


def opened(*urls: str, **wanted: Any) -> tuple[StreamState, Core]:
    made, _ = core(*urls)
    state = StreamState(made, Subscription(**wanted))
    state.url()
    state.connected()
    return state, made


def says(state: StreamState, name: str, **fields: Any) -> list[Any]:
    return list(state.received(msgspec.json.encode({"msg": name, **fields})))


def change(state: StreamState, seq: int, **fields: Any) -> list[Any]:
    told = {"sub": "1", "op": "upsert", "type": "sessions", "id": f"s{seq}", "version": "v"}
    return says(
        state, "change", token=frontier(zurich=seq), data={"id": f"s{seq}"}, **told | fields
    )


def said(state: StreamState) -> list[Any]:
    return [msgspec.json.decode(text) for text in state.connected()]


def test_a_stream_goes_to_the_same_place_by_another_scheme_with_the_key_in_a_header() -> None:
    made, _ = core(ZURICH)
    state = StreamState(made, Subscription())
    assert state.url() == "wss://zurich.example/v2/stream"
    assert state.headers() == {"Authorization": "Bearer kk_acme_x"}
    plain, _ = core("http://127.0.0.1:8080")
    assert StreamState(plain, Subscription()).url() == "ws://127.0.0.1:8080/v2/stream"


def test_it_says_hello_and_what_it_wants_to_be_told() -> None:
    state, _ = opened(types=("sessions",), fields=("slot",), filter={"room": "r"}, since="t")
    hello, subscribe = said(state)
    assert hello == {"msg": "hello", "window": WINDOW}
    assert subscribe == {
        "msg": "subscribe",
        "sub": "1",
        "types": ["sessions"],
        "fields": ["slot"],
        "filter": {"room": "r"},
        "resume_token": "t",
    }
    assert said(opened()[0])[1] == {"msg": "subscribe", "sub": "1"}


def test_changes_are_told_with_the_token_to_resume_from() -> None:
    state, made = opened()
    (told,) = change(state, 3, mood="new")
    assert told == Change(
        "upsert", "sessions", "s3", "v", {"id": "s3"}, frontier(zurich=3), {"mood": "new"}
    )
    assert said(state)[1]["resume_token"] == frontier(zurich=3)
    assert made.token == frontier(zurich=3)


def test_a_deletion_has_no_data() -> None:
    state, _ = opened()
    (told,) = says(state, "change", op="delete", type="rooms", id="r", version="v", token="t")
    assert (told.op, told.data) == ("delete", None)


def test_it_says_when_everything_up_to_now_has_been_told() -> None:
    state, _ = opened()
    assert says(state, "caught_up", sub="1", token="t") == [CaughtUp("t")]


def test_a_nodes_own_frontier_is_not_resumed_from() -> None:
    state, _ = opened()
    change(state, 3)
    says(state, "welcome", token=frontier(zurich=90))
    says(state, "heartbeat", token=frontier(zurich=91), tokens={})
    assert state.token == frontier(zurich=3)
    says(state, "heartbeat", token=frontier(zurich=92), tokens={"1": frontier(zurich=50)})
    assert state.token == frontier(zurich=50)


def test_changes_are_acknowledged_as_they_are_taken_in() -> None:
    state, _ = opened()
    for seq in range(1, ACK_EVERY):
        change(state, seq)
    assert state.to_send() == []
    change(state, ACK_EVERY)
    (text,) = state.to_send()
    assert msgspec.json.decode(text) == {"msg": "ack", "count": ACK_EVERY}
    assert state.to_send() == []


def test_acknowledgements_of_a_lost_connection_are_not_sent_on_the_next() -> None:
    state, _ = opened()
    for seq in range(ACK_EVERY):
        change(state, seq)
    state.lost("reset by peer")
    state.connected()
    assert state.to_send() == []


def test_after_a_break_it_goes_on_elsewhere_from_the_last_token_and_says_so() -> None:
    state, _ = opened(ZURICH, GENEVA)
    change(state, 3)
    state.lost("reset by peer")
    assert state.url() == "wss://geneva.example/v2/stream"
    assert said(state)[1]["resume_token"] == frontier(zurich=3)
    assert says(state, "welcome") == []
    assert says(state, "subscribed", token=frontier(zurich=3)) == [Gap("reset by peer")]
    assert says(state, "caught_up", token="t") == [CaughtUp("t")]


def test_the_first_connection_is_no_gap() -> None:
    state, _ = opened()
    assert says(state, "subscribed", token="t") == []


def test_a_reader_that_was_too_slow_comes_back_to_the_same_node() -> None:
    state, made = opened(ZURICH, GENEVA)
    says(state, "gap", detail="Too slow.")
    assert state.over
    assert made.nodes.best() == ZURICH
    assert says(state, "subscribed", token="t") == [Gap("Too slow.")]


def test_a_node_that_stops_is_left() -> None:
    state, _ = opened(ZURICH, GENEVA)
    says(state, "drain", retry_after_ms=500)
    assert state.over
    assert "geneva" in state.url()


def test_a_problem_that_may_pass_makes_it_come_back() -> None:
    state, _ = opened(ZURICH, GENEVA)
    behind = {"code": "not_yet_consistent", "status": 503, "retryable": True, "detail": "Not yet."}
    assert says(state, "problem", problem=behind) == []
    assert state.over
    assert "geneva" in state.url()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(401, "key_revoked", Unauthenticated), (410, "token_expired", Gone)],
)
def test_a_problem_that_will_not_pass_is_raised(
    status: int, code: str, kind: type[ProblemError]
) -> None:
    state, _ = opened()
    with pytest.raises(kind):
        says(state, "problem", problem={"code": code, "status": status, "retryable": False})


def test_pauses_grow_while_nothing_is_told_and_start_anew_afterwards() -> None:
    state, _ = opened()
    pauses = []
    for _ in range(20):
        state.lost("refused")
        pauses.append(state.pause_s())
    assert pauses[0] < pauses[1] < pauses[2]
    assert pauses[-1] == 2.5  # half of the cap, since the draw here is always one half
    change(state, 1)
    state.lost("refused")
    assert state.pause_s() == pauses[0]


def test_what_newer_nodes_may_say_is_passed_over() -> None:
    state, _ = opened()
    assert says(state, "weather", degrees=21) == []


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[]", b"7", b'"x"', "{"])
def test_what_is_no_message_is_named(raw: bytes | str) -> None:
    state, _ = opened()
    with pytest.raises(BadAnswer):
        list(state.received(raw))
