"""Bad input: each kind gets a problem document that says what and where, and the node goes on."""

from __future__ import annotations

from typing import Any

import pytest

from konkordat.api.problems import TABLE
from support.api import Caller, Node, Programme

UNKNOWN = "019746a2-7c00-7a31-8d52-3f1a2b4c5d6e"
JSON = {"Content-Type": "application/json"}


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer, checked for what every one must have."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["code"]) == (status, code), answer.text
    assert document["status"] == status
    assert document["title"] == TABLE[code].title
    assert document["retryable"] is TABLE[code].retryable
    assert document["type"] == f"/problems/{code}"
    assert document["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    assert "msgspec" not in answer.text
    return document


SPEAKER = '{"name":"Mila","external_ids":{"crm":%s}}'


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ("", 400, "bad_json", None),
        ("{", 400, "bad_json", None),
        ('{"name":"Mila"}x', 400, "bad_json", None),
        (b'{"name":"\xff"}', 400, "bad_json", None),
        ("[" * 34 + "]" * 34, 400, "too_deep", None),
        ("[" * 100_000, 400, "too_deep", None),
        ('{"name":' + "[" * 40 + "]" * 40 + "}", 400, "too_deep", None),
        ("[]", 422, "invalid", ""),
        ("null", 422, "invalid", ""),
        ("{}", 422, "invalid", "/name"),
        ('{"name":1}', 422, "invalid", "/name"),
        ('{"name":""}', 422, "invalid", "/name"),
        ('{"name":"' + "x" * 201 + '"}', 422, "invalid", "/name"),
        ('{"name":"Mila","nmae":"Mila"}', 422, "invalid", "/nmae"),
        ('{"name":"Mila","a/b~c":1}', 422, "invalid", "/a~1b~0c"),
        ('{"name":"Mila","links":[{"url":"javascript:alert(1)"}]}', 422, "invalid", "/links/0/url"),
        ('{"name":"Mila","links":[{"url":"https://a.ch","colour":1}]}', 422, "invalid", "/links/0/colour"),
        ('{"name":"Mila","id":"12"}', 422, "invalid", "/id"),
        (SPEAKER % "NaN", 422, "invalid", "/external_ids/crm"),
        (SPEAKER % "-Infinity", 422, "invalid", "/external_ids/crm"),
        (SPEAKER % "1e999", 422, "invalid", "/external_ids/crm"),
        (SPEAKER % r'"\ud800"', 422, "invalid", "/external_ids/crm"),
        (SPEAKER % r'"\udc00x"', 422, "invalid", "/external_ids/crm"),
        ('{"name":"Mila","external_ids":{"\\ud800":"7"}}', 422, "invalid", "/external_ids"),
        (SPEAKER % ("9" * 5_000), 422, "invalid", None),
    ],
)  # fmt: skip
def test_a_bad_body_is_refused_with_its_place(
    acme: Caller, body: str | bytes, status: int, code: str, pointer: str | None
) -> None:
    content = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    document = problem(acme("POST", "/v2/speakers", content=content, headers=JSON), status, code)
    if pointer is not None:
        assert [error["pointer"] for error in document["errors"]] == [pointer]
    assert acme.get("/v2/speakers").json()["data"] == []


def test_an_integer_beyond_64_bits_is_refused(forum: Programme) -> None:
    content = b'{"venue":"%s","name":{"de":"X"},"capacity":%s}' % (
        forum.venue.encode(), b"9" * 30,
    )  # fmt: skip
    document = problem(
        forum.caller("POST", "/v2/rooms", content=content, headers=JSON), 422, "invalid"
    )
    assert document["errors"][0]["pointer"] == "/capacity"


def test_of_a_name_given_twice_the_last_one_counts(acme: Caller) -> None:
    made = acme("POST", "/v2/speakers", content=b'{"name":"A","name":"B"}', headers=JSON)
    assert made.json()["name"] == "B"


SESSION_CASES: list[tuple[dict[str, Any], str, str]] = [
    ({"slot": {"duration_minutes": 0}}, "invalid", "/slot/duration_minutes"),
    ({"slot": {"duration_minutes": -45}}, "invalid", "/slot/duration_minutes"),
    (
        {"slot": {"local_start": "2027-03-28T02:30"}},
        "local_time_does_not_exist",
        "/slot/local_start",
    ),
    ({"slot": {"local_start": "2027-02-30T09:00"}}, "bad_local_time", "/slot/local_start"),
    ({"slot": {"local_start": "morgen"}}, "invalid", "/slot/local_start"),
    ({"slot": {"time_zone": "Europe/Bern"}}, "unknown_time_zone", "/slot/time_zone"),
    ({"slot": {"room": None}}, "invalid", "/slot"),
    ({"slot": {"room": UNKNOWN}}, "unknown_reference", "/slot/room"),
    ({"slot": {"local_start": "2028-06-01T09:00"}}, "outside_event", "/slot/local_start"),
    ({"event": UNKNOWN}, "unknown_reference", "/event"),
    ({"speakers": [UNKNOWN]}, "unknown_reference", "/speakers/0"),
    ({"title": {}}, "invalid", "/title"),
    ({"state": "maybe"}, "invalid", "/state"),
]


@pytest.mark.parametrize(("change", "code", "pointer"), SESSION_CASES)
def test_a_bad_session_is_refused_with_its_place(
    forum: Programme, change: dict[str, Any], code: str, pointer: str
) -> None:
    body = forum.session(slot=forum.slot())
    slot = {**body["slot"], **change.get("slot", {})}
    body |= {**change, "slot": {k: v for k, v in slot.items() if v is not None}}
    document = problem(forum.caller.post("/v2/sessions", body), 422, code)
    assert document["errors"][0]["pointer"] == pointer
    assert forum.caller.get("/v2/sessions").json()["data"] == []


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(acme: Caller, node: Node) -> None:
    big = b'{"name":"' + b"x" * (1 << 20) + b'"}'
    problem(acme("POST", "/v2/speakers", content=big, headers=JSON), 413, "body_too_large")

    def chunks() -> Any:
        for _ in range(20):
            yield b"x" * (64 << 10)

    problem(acme("POST", "/v2/speakers", content=chunks(), headers=JSON), 413, "body_too_large")
    exact = b'{"name":"Mila"}'.ljust(1 << 20)
    assert acme("POST", "/v2/speakers", content=exact, headers=JSON).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "no_route"),
        ("GET", "/v2", 404, "no_route"),
        ("GET", "/v2/talks", 404, "no_route"),
        ("GET", f"/v2/speakers/{UNKNOWN}/photo", 404, "no_route"),
        ("DELETE", "/v2/speakers", 405, "method_not_allowed"),
        ("PUT", "/v2/batch", 405, "method_not_allowed"),
        ("GET", f"/v2/speakers/{UNKNOWN}", 404, "not_found"),
        ("GET", "/v2/speakers/x", 404, "not_found"),
        ("GET", "/v2/speakers/" + "x" * 300, 404, "not_found"),
        ("GET", "/v2/speakers/%00", 404, "not_found"),
        ("GET", "/v2/speakers?limit=0", 422, "invalid"),
        ("GET", "/v2/speakers?limit=201", 422, "invalid"),
        ("GET", "/v2/speakers?limit=ten", 422, "invalid"),
        ("GET", "/v2/speakers?limit=%C2%B2", 422, "invalid"),
        ("GET", "/v2/speakers?limit=1&limit=2", 400, "bad_request"),
        ("GET", "/v2/speakers?lmit=1", 422, "invalid"),
        ("GET", "/v2/speakers?event=" + UNKNOWN, 422, "invalid"),
        ("GET", "/v2/speakers?cursor=AAAA", 400, "bad_token"),
        ("GET", "/v2/speakers?cursor=%C3%A4", 400, "bad_token"),
        ("GET", "/v2/speakers?%FF=1", 400, "bad_request"),
        ("GET", "/v2/changes", 422, "invalid"),
        ("GET", "/v2/changes?since=AAAA", 400, "bad_token"),
        ("GET", "/v2/changes?since=" + "A" * 40_000, 400, "bad_token"),
        ("GET", "/v2/changes?since=kA&types=talks", 422, "invalid"),
        ("GET", "/v2/changes?since=kA&types=", 422, "invalid"),
        ("GET", "/v2/changes?since=kA&fields=colour", 422, "invalid"),
        ("GET", "/v2/tokens/AAAA", 400, "bad_token"),
        ("GET", "/v2/audit?since=yesterday", 422, "invalid"),
        ("GET", "/v2/audit?since=2027-06-01T09:00:00", 422, "invalid"),
        ("GET", f"/v2/events/{UNKNOWN}/schedule.xml", 404, "not_found"),
        ("GET", f"/v2/events/{UNKNOWN}/clashes", 404, "not_found"),
        ("GET", f"/v2/speakers/{UNKNOWN}?api_key=kk_x", 400, "credential_in_query"),
        ("GET", "/v2/stream/events?since=AAAA", 400, "bad_token"),
        ("GET", "/problems/none", 404, "not_found"),
    ],
)
def test_a_bad_address_is_refused(
    acme: Caller, method: str, path: str, status: int, code: str
) -> None:
    problem(acme(method, path), status, code)


def test_a_wrong_method_names_those_that_exist(acme: Caller) -> None:
    allowed = acme("DELETE", "/v2/speakers").headers["allow"]
    assert {"GET", "POST"} <= set(allowed.replace(" ", "").split(","))


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        ({"Content-Type": "application/merge-patch+json"}, 415, "unsupported_media_type"),
        ({"If-Match": "abc"}, 400, "bad_request"),
        ({"If-None-Match": '"abc"'}, 400, "bad_request"),
        ({"Idempotency-Key": ""}, 400, "bad_request"),
        ({"Idempotency-Key": "x" * 101}, 400, "bad_request"),
        ({"Idempotency-Key": "x" * 300}, 400, "bad_request"),
        ({"Consistency-Token": "AAAA"}, 400, "bad_token"),
        ({"Consistency-Token": "A" * 40_000}, 400, "bad_token"),
    ],
)
def test_a_bad_header_is_refused(
    acme: Caller, headers: dict[str, str], status: int, code: str
) -> None:
    sent = {"Content-Type": "application/json", **headers}
    answer = acme("POST", "/v2/speakers", content=b'{"name":"Mila"}', headers=sent)
    problem(answer, status, code)
    assert acme.get("/v2/speakers").json()["data"] == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("dry_run=yes", "?dry_run"),
        ("on_conflict=ignore", "?on_conflict"),
        ("override=", "?override"),
        ("override=" + "x" * 501, "?override"),
        ("dryrun=true", "?dryrun"),
    ],
)
def test_a_bad_option_of_a_write_is_refused(acme: Caller, query: str, pointer: str) -> None:
    document = problem(acme.post(f"/v2/speakers?{query}", {"name": "Mila"}), 422, "invalid")
    assert document["errors"][0]["pointer"] == pointer
    assert acme.get("/v2/speakers").json()["data"] == []


def test_the_id_of_the_body_cannot_contradict_the_address(acme: Caller) -> None:
    other = UNKNOWN.replace("019", "018")
    body = {"id": other, "name": "Mila"}
    problem(acme.put(f"/v2/speakers/{UNKNOWN}", body), 422, "invalid")


@pytest.mark.parametrize(
    "id", ["x", "%00", "12", UNKNOWN.upper(), UNKNOWN + "%0A", UNKNOWN.replace("7", "4")]
)
def test_nothing_is_made_under_an_id_that_is_none(acme: Caller, id: str) -> None:
    document = problem(acme.put(f"/v2/speakers/{id}", {"name": "Mila"}), 422, "invalid")
    assert document["errors"][0]["pointer"] == "/id"
    problem(acme.patch(f"/v2/speakers/{id}", {"name": "Mila"}), 404, "not_found")
    assert acme.get("/v2/speakers").json()["data"] == []


def test_an_overloaded_node_says_when_to_come_back(acme: Caller, node: Node) -> None:
    node.gate.overloaded = True
    answer = acme.post("/v2/speakers", {"name": "Mila"})
    problem(answer, 503, "overloaded")
    assert answer.headers["retry-after"] == "2"
    node.gate.overloaded = False
    assert acme.post("/v2/speakers", {"name": "Mila"}).status_code == 201


def test_a_stopping_node_sends_clients_elsewhere(acme: Caller, node: Node) -> None:
    node.gate.stopped = "maintenance"
    answer = acme.post("/v2/speakers", {"name": "Mila"})
    problem(answer, 503, "stopping")
    assert answer.headers["retry-after"] == "1"


def test_what_nobody_foresaw_is_logged_and_told_as_an_id(
    acme: Caller, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(node.gate, "reader", broken)
    answer = acme.get("/v2/speakers", headers={"X-Request-Id": "mine-1"})
    problem(answer, 500, "internal_error")
    assert "secret" not in answer.text
    level, event, fields = node.gate.logged[-1]
    assert (level, event, fields["request_id"]) == ("error", "request_failed", "mine-1")
    assert isinstance(fields["exc_info"], RuntimeError)


def test_every_problem_has_a_page(node: Node) -> None:
    for code, entry in TABLE.items():
        page = node.nobody.get(f"/problems/{code}").json()
        assert page["remedy"] == entry.remedy


def test_a_text_of_another_form_is_told_what_it_should_be(forum: Programme) -> None:
    """Not by a regular expression, which nobody should have to read in a refusal."""
    bad = forum.session(slot=forum.slot() | {"room": "Saal 1"})
    (error,) = forum.caller.post("/v2/sessions", bad).json()["errors"]
    assert (error["code"], error["pointer"]) == ("wrong_form", "/slot/room")
    assert "UUIDv7" in error["detail"]
    assert "regex" not in error["detail"]
