"""What a request carries, whom it asks, when it is repeated, and what is said when it fails."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from konkordat.client import (
    BadAnswer,
    Conflict,
    Forbidden,
    Gone,
    InsecureAddress,
    Invalid,
    NodeUnreachable,
    NotFound,
    PreconditionFailed,
    ProblemError,
    RetryPolicy,
    Unauthenticated,
    Unavailable,
    operations,
)
from konkordat.client.core import Core, Reply
from unit.client.driving import (
    BASEL,
    GENEVA,
    LOST,
    ZURICH,
    Run,
    core,
    frontier,
    reply,
    trouble,
)

SESSION = {"id": "s1", "title": {"de": "Auftakt"}}


# What is sent ---------------------------------------------------------------------------------


def test_a_write_carries_the_key_in_a_header_and_never_in_the_address() -> None:
    made, clock = core()
    run = Run(clock, operations.create(made, "sessions", {"a": 1}, {}), reply(201, SESSION))
    (send,) = run.sent
    assert run.result == SESSION
    assert (send.method, send.url) == ("POST", f"{ZURICH}/v2/sessions")
    assert send.headers["Authorization"] == "Bearer kk_acme_x"
    assert "kk_acme_x" not in send.url
    assert msgspec.json.decode(send.body or b"") == {"a": 1}


def test_every_write_has_an_idempotency_key_of_its_own_and_no_read_has_one() -> None:
    made, clock = core()
    keys = [
        Run(clock, steps, reply(200, SESSION)).sent[0].headers.get("Idempotency-Key")
        for steps in (
            operations.create(made, "sessions", {}, {}),
            operations.update(made, "sessions", "s1", {}, {}),
            operations.put(made, "sessions", "s1", {}, {}),
            operations.delete(made, "sessions", "s1", {}),
            operations.batch(made, [], "atomic", {}),
        )
        if steps is not None
    ]
    assert keys == [f"idem-{number}" for number in range(5)]
    read = Run(clock, operations.get(made, "sessions", "s1"), reply(200, SESSION))
    assert "Idempotency-Key" not in read.sent[0].headers


def test_an_idempotency_key_may_be_given() -> None:
    made, clock = core()
    steps = operations.create(made, "sessions", {}, {"idempotency_key": "mine"})
    assert Run(clock, steps, reply(201, SESSION)).sent[0].headers["Idempotency-Key"] == "mine"


@pytest.mark.row("S0-32")
def test_a_repeated_write_keeps_its_key_over_attempts_and_nodes() -> None:
    made, clock = core(ZURICH, GENEVA)
    steps = operations.create(made, "sessions", {}, {})
    run = Run(clock, steps, LOST, trouble(503, "overloaded"), LOST, reply(201, SESSION))
    assert run.result == SESSION
    assert {send.headers["Idempotency-Key"] for send in run.sent} == {"idem-0"}
    assert len({send.body for send in run.sent}) == 1
    assert set(run.hosts) == {"zurich", "geneva"}


def test_ids_are_quoted_in_addresses() -> None:
    made, clock = core()
    run = Run(clock, operations.get(made, "sessions", "a/b?c#d é"), reply(200, SESSION))
    assert run.sent[0].url == f"{ZURICH}/v2/sessions/a%2Fb%3Fc%23d%20%C3%A9"


def test_a_version_becomes_an_etag_and_a_patch_a_merge_patch() -> None:
    made, clock = core()
    steps = operations.update(made, "sessions", "s1", {"track": None}, {"if_match": "3f2a"})
    (send,) = Run(clock, steps, reply(200, SESSION)).sent
    assert send.headers["If-Match"] == '"3f2a"'
    assert send.headers["Content-Type"] == "application/merge-patch+json"
    assert send.body == b'{"track":null}'
    again = operations.put(made, "sessions", "s1", {}, {"if_match": '"3f2a"'})
    assert Run(clock, again, reply(200, SESSION)).sent[0].headers["If-Match"] == '"3f2a"'
    new = operations.put(made, "sessions", "s1", {}, {"only_new": True})
    assert Run(clock, new, reply(201, SESSION)).sent[0].headers["If-None-Match"] == "*"


def test_options_of_a_write_are_said_as_the_api_has_them() -> None:
    made, clock = core()
    steps = operations.create(
        made,
        "sessions",
        {},
        {
            "on_conflict": "tentative",
            "override": "Der Hauswart ist da.",
            "dry_run": True,
            "wait_s": 3,
        },
    )
    (send,) = Run(clock, steps, reply(200, SESSION)).sent
    asked = "on_conflict=tentative&override=Der+Hauswart+ist+da.&dry_run=true"
    assert send.url == f"{ZURICH}/v2/sessions?{asked}"
    assert send.headers["Prefer"] == "wait=3"


def test_a_read_may_wait_for_what_it_has_to_see() -> None:
    made, clock = core()
    run = Run(clock, operations.get(made, "sessions", "s1", wait_s=2.4), reply(200, SESSION))
    assert run.sent[0].headers["Prefer"] == "wait=2"


# What was seen ----------------------------------------------------------------------------------


def test_what_was_seen_goes_with_every_following_request() -> None:
    made, clock = core()
    first = Run(
        clock,
        operations.create(made, "sessions", {}, {}),
        reply(201, SESSION, consistency_token=frontier(zurich=7)),
    )
    assert "Consistency-Token" not in first.sent[0].headers
    then = Run(clock, operations.get(made, "sessions", "s1"), reply(200, SESSION))
    assert then.sent[0].headers["Consistency-Token"] == frontier(zurich=7)


def test_what_several_nodes_said_is_joined_and_nothing_is_forgotten() -> None:
    made, clock = core()
    for seen in (frontier(zurich=7, geneva=2), frontier(geneva=5), frontier(zurich=6, basel=1)):
        Run(clock, operations.cluster(made), reply(200, {}, consistency_token=seen))
    assert made.token == frontier(zurich=7, geneva=5, basel=1)


def test_a_token_may_be_given_and_must_be_one() -> None:
    made, _ = core()
    made.token = frontier(bern=3)
    assert made.token == frontier(bern=3)
    with pytest.raises(ValueError, match="token"):
        made.token = "hello"
    assert made.token == frontier(bern=3)
    made.token = ""
    assert made.token == ""


def test_a_token_of_a_newer_release_is_left_alone() -> None:
    made, _ = core()
    made.saw(frontier(bern=3))
    made.saw("~v9~")
    assert made.token == frontier(bern=3)


def test_a_long_stream_of_tokens_is_joined_as_it_comes() -> None:
    made, _ = core()
    for number in range(1, 1_000):
        made.saw("filter." + frontier(bern=number))
    assert made.token == frontier(bern=999)
    assert len(made._seen._fresh) == 0


# Whom to ask ------------------------------------------------------------------------------------


def test_the_first_node_is_asked_as_long_as_it_answers() -> None:
    made, clock = core(ZURICH, GENEVA)
    hosts = [
        Run(clock, operations.get(made, "sessions", "s1"), reply(200, SESSION)).hosts
        for _ in range(3)
    ]
    assert hosts == [["zurich"]] * 3


@pytest.mark.row("S0-32")
def test_a_node_that_does_not_answer_is_left_at_once_and_asked_last_for_a_while() -> None:
    made, clock = core(ZURICH, GENEVA)
    run = Run(clock, operations.get(made, "sessions", "s1"), LOST, reply(200, SESSION))
    assert (run.hosts, run.result) == (["zurich", "geneva"], SESSION)
    then = Run(clock, operations.get(made, "sessions", "s1"), reply(200, SESSION))
    assert then.hosts == ["geneva"]
    clock.now_s += 60
    later = Run(clock, operations.get(made, "sessions", "s1"), reply(200, SESSION))
    assert later.hosts == ["zurich"]


def test_all_nodes_are_tried_in_turn() -> None:
    made, clock = core(ZURICH, GENEVA, BASEL, attempts_max=7)
    run = Run(clock, operations.get(made, "sessions", "s1"), LOST)
    assert run.hosts[:6] == ["zurich", "geneva", "basel"] * 2
    assert isinstance(run.error, NodeUnreachable)


def test_a_node_that_asks_for_patience_is_not_waited_for_while_another_may_be_asked() -> None:
    made, clock = core(ZURICH, GENEVA)
    busy = trouble(503, "overloaded", retryable=True, retry_after=9)
    run = Run(clock, operations.get(made, "sessions", "s1"), busy, reply(200, SESSION))
    assert (run.hosts, run.pauses) == (["zurich", "geneva"], [0.0])


# When to repeat ---------------------------------------------------------------------------------


def test_the_only_node_is_given_the_time_it_asks_for() -> None:
    made, clock = core()
    busy = trouble(429, "rate_limited", retryable=True, retry_after=3)
    run = Run(clock, operations.get(made, "sessions", "s1"), busy, reply(200, SESSION))
    assert run.result == SESSION
    assert 3 <= run.pauses[0] <= 4


def test_pauses_grow_up_to_their_cap_and_end() -> None:
    made, clock = core(draw=1.0, base_s=0.1, cap_s=0.5, attempts_max=7, elapsed_max_s=60)
    run = Run(clock, operations.get(made, "sessions", "s1"), LOST)
    assert [round(pause, 3) for pause in run.pauses] == [0.1, 0.2, 0.4, 0.5, 0.5, 0.5]
    assert len(run.sent) == 7


def test_nothing_is_repeated_beyond_the_time_allowed() -> None:
    made, clock = core(draw=1.0, base_s=1.0, elapsed_max_s=5)
    began = clock.now_s
    run = Run(clock, operations.get(made, "sessions", "s1"), LOST)
    assert isinstance(run.error, NodeUnreachable)
    assert clock.now_s - began <= 5


def test_jitter_is_full() -> None:
    policy = RetryPolicy(base_s=1.0, cap_s=8.0)
    drawn = [policy.pause_s(3, 0.0, None, lambda d=draw: d) for draw in (0.0, 0.25, 1.0)]
    assert drawn == [0.0, 1.0, 4.0]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_repeated_also_where_only_a_proxy_answers(status: int) -> None:
    made, clock = core()
    page = Reply(status, {}, b"<html>down</html>")
    run = Run(clock, operations.get(made, "sessions", "s1"), page, reply(200, SESSION))
    assert run.result == SESSION


def test_a_request_that_is_running_elsewhere_is_repeated_until_its_answer_is_there() -> None:
    made, clock = core()
    running = trouble(409, "request_running", retryable=True)
    steps = operations.create(made, "sessions", {}, {})
    assert Run(clock, steps, running, running, reply(201, SESSION)).result == SESSION


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "bad_token", Invalid),
        (401, "key_revoked", Unauthenticated),
        (403, "scope_missing", Forbidden),
        (404, "not_found", NotFound),
        (409, "slot_taken", Conflict),
        (410, "token_expired", Gone),
        (412, "precondition_failed", PreconditionFailed),
        (413, "body_too_large", Invalid),
        (415, "unsupported_media_type", Invalid),
        (422, "invalid", Invalid),
        (418, "teapot", Unavailable),
    ],
)
def test_what_will_not_pass_is_raised_at_once(status: int, code: str, kind: type) -> None:
    made, clock = core(ZURICH, GENEVA)
    refused = trouble(status, code, retryable=False, request_id="r1")
    run = Run(clock, operations.create(made, "sessions", {}, {}), refused)
    assert type(run.error) is kind
    assert isinstance(run.error, ProblemError)
    assert (run.error.code, run.error.status, run.error.request_id) == (code, status, "r1")
    assert (len(run.sent), run.pauses) == (1, [])


def test_a_refusal_does_not_make_the_node_suspect() -> None:
    made, clock = core(ZURICH, GENEVA)
    Run(clock, operations.get(made, "sessions", "s1"), trouble(404, "not_found"))
    assert Run(clock, operations.cluster(made), reply(200, {})).hosts == ["zurich"]


def test_when_time_runs_out_the_last_problem_is_raised() -> None:
    made, clock = core(attempts_max=3)
    behind = trouble(503, "not_yet_consistent", retryable=True, retry_after=1)
    run = Run(clock, operations.get(made, "sessions", "s1"), behind)
    assert isinstance(run.error, Unavailable)
    assert (run.error.code, run.error.retryable) == ("not_yet_consistent", True)


# What is said -----------------------------------------------------------------------------------


def test_a_conflict_names_what_stands_in_the_way_and_what_is_free() -> None:
    made, clock = core()
    taken = trouble(409, "slot_taken", conflicts=[{"id": "x"}], alternatives=[{"room": "r"}])
    error = Run(clock, operations.create(made, "sessions", {}, {}), taken).error
    assert isinstance(error, Conflict)
    assert (error.conflicts, error.alternatives) == ([{"id": "x"}], [{"room": "r"}])
    assert str(error) == "slot_taken: slot_taken."


def test_a_lost_write_names_the_key_to_repeat_it_with() -> None:
    made, clock = core(attempts_max=2)
    error = Run(clock, operations.create(made, "sessions", {}, {}), LOST).error
    assert isinstance(error, NodeUnreachable)
    assert error.idempotency_key == "idem-0"
    assert ZURICH in str(error)


@pytest.mark.parametrize(
    "document",
    [None, [], "text", {"errors": 7, "conflicts": {"a": 1}, "current": [], "detail": None}],
)
def test_a_strange_problem_document_is_still_an_error_with_its_status(document: Any) -> None:
    made, clock = core()
    error = Run(clock, operations.create(made, "sessions", {}, {}), reply(409, document)).error
    assert isinstance(error, Conflict)
    assert (error.errors, error.conflicts, error.current) == ([], [], None)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"7"])
def test_an_answer_that_is_no_record_is_named(body: bytes) -> None:
    made, clock = core()
    steps = operations.page(made, "sessions", {})
    assert isinstance(Run(clock, steps, Reply(200, {}, body)).error, BadAnswer)


# Addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["http://zurich.example", "http://10.0.0.7:8080", "http://127.0.0.1.example"]
)
def test_a_key_is_not_sent_in_the_clear_off_this_machine(url: str) -> None:
    with pytest.raises(InsecureAddress, match="https"):
        Core((url,), "kk_acme_x")
    Core((url,), "")  # without a key there is nothing to protect
    Core((url,), "kk_acme_x", allow_insecure=True)


@pytest.mark.parametrize(
    "url",
    ["https://zurich.example", "http://127.0.0.1:8080/", "http://localhost", "http://[::1]:8"],
)
def test_https_and_this_machine_are_fine(url: str) -> None:
    Core((url,), "kk_acme_x")


@pytest.mark.parametrize(
    "url",
    ["", "zurich.example", "ftp://zurich.example", "https://", "https://kk_x@zurich.example"],
)
def test_what_is_no_address_of_a_node_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Core((url,), "")


def test_a_client_needs_a_node() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Core((), "")
