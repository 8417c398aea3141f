"""`Prefer: wait=N`: the answer comes when the claims of a write are decided."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from konkordat.kernel.ids import NodeName
from konkordat.replica.messages import Received
from support.api import Caller, Node, Programme, Table, serving

WAIT = {"Prefer": "wait=10"}
NAMES = ("zurich", "geneva", "bern")


@pytest.fixture
def table() -> Table:
    """Three members of a roster. Zurich is where the venue is decided."""
    return Table(*NAMES, members=NAMES)


@pytest.fixture
def zurich(table: Table) -> Iterator[Node]:
    with serving(table["zurich"]) as served:
        yield served


@pytest.fixture
def acme(zurich: Node) -> Caller:
    return zurich.key("acme")


@pytest.fixture
def forum(acme: Caller, table: Table) -> Programme:
    made = Programme(acme)
    table.deliver()
    return made


class Elsewhere:
    """Delivers what nodes say, in a thread of its own, as long as the block runs."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._done.wait(0.02):
            self._table.deliver()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()


def state(body: dict[str, Any]) -> str:
    return str(body["slot"]["state"])


def test_without_it_the_answer_comes_at_once(forum: Programme, acme: Caller) -> None:
    made = acme.post("/v2/sessions", forum.session(slot=forum.slot()))
    assert made.status_code == 201
    assert state(made.json()) == "tentative"


def test_with_it_the_answer_has_the_decision(forum: Programme, acme: Caller, table: Table) -> None:
    with Elsewhere(table):
        made = acme.post("/v2/sessions", forum.session(slot=forum.slot()), headers=WAIT)
    assert made.status_code == 201
    assert state(made.json()) == "confirmed"
    assert made.headers["Preference-Applied"] == "wait=10"
    assert acme.get(made.headers["Location"]).headers["ETag"] == made.headers["ETag"]


def test_what_outlasts_the_wait_is_answered_as_tentative(forum: Programme, acme: Caller) -> None:
    headers = {"Prefer": "wait=0"}
    made = acme.post("/v2/sessions", forum.session(slot=forum.slot()), headers=headers)
    assert made.status_code == 201
    assert state(made.json()) == "tentative"
    assert made.headers["Preference-Applied"] == "wait=0"


def test_a_place_that_was_lost_meanwhile_is_a_state_and_no_error(
    forum: Programme, acme: Caller, table: Table
) -> None:
    first = acme.post("/v2/sessions", forum.session(slot=forum.slot())).json()["id"]
    second = forum.session("Andere", slot=forum.slot())
    with Elsewhere(table):
        made = acme.post("/v2/sessions?on_conflict=tentative", second, headers=WAIT)
    assert made.status_code == 201
    assert state(made.json()) == "displaced"
    assert [claim["id"] for claim in made.json()["slot"]["reason"]["claims"]] == [first]


@pytest.mark.parametrize("mode", ["atomic", "independent"])
def test_a_batch_waits_for_all_its_claims(
    mode: str, forum: Programme, acme: Caller, table: Table
) -> None:
    operations = [
        {"op": "create", "type": "sessions", "data": forum.session(slot=forum.slot(at))}
        for at in ("09:00", "10:00", "11:00")
    ]
    body = {"mode": mode, "include_data": True, "operations": operations}
    with Elsewhere(table):
        done = acme.post("/v2/batch", body, headers=WAIT)
    assert [state(result["data"]) for result in done.json()["results"]] == ["confirmed"] * 3


def test_a_repeated_request_waits_too(forum: Programme, acme: Caller, table: Table) -> None:
    headers = {"Idempotency-Key": "once"}
    body = forum.session(slot=forum.slot())
    assert state(acme.post("/v2/sessions", body, headers=headers).json()) == "tentative"
    with Elsewhere(table):
        again = acme.post("/v2/sessions", body, headers={**headers, **WAIT})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert state(again.json()) == "confirmed"


@pytest.mark.parametrize("way", ["alone", "atomic", "independent", "replayed"])
def test_a_series_waits_for_all_its_occurrences(
    way: str, forum: Programme, acme: Caller, table: Table
) -> None:
    """Only the claims of the records that a request names were waited for, and a series has none itself."""
    series = {
        "event": forum.event,
        "rule": "FREQ=DAILY;COUNT=3",
        "slot": forum.slot(),
        "session": {"title": {"de": "Frühstück"}},
    }
    once = {"Idempotency-Key": "once"}
    if way == "replayed":
        acme.post("/v2/series", series, headers=once)
    with Elsewhere(table):
        if way in ("alone", "replayed"):
            made = acme.post("/v2/series", series, headers=WAIT | once).json()["id"]
        else:
            operations = [{"op": "create", "type": "series", "data": series}]
            body = {"mode": way, "operations": operations}
            made = acme.post("/v2/batch", body, headers=WAIT).json()["results"][0]["id"]
        shown = acme.get(f"/v2/series/{made}/sessions").json()["data"]
    assert [state(session) for session in shown] == ["confirmed"] * 3


def test_a_write_that_claims_nothing_does_not_wait(forum: Programme, acme: Caller) -> None:
    made = acme.post("/v2/sessions", forum.session(), headers={"Prefer": "wait=30"})
    assert made.status_code == 201
    assert made.json()["slot"] is None


def test_the_version_changes_with_the_decision(
    forum: Programme, acme: Caller, table: Table
) -> None:
    made = acme.post("/v2/sessions", forum.session(slot=forum.slot()))
    table.deliver()
    now = acme.get(made.headers["Location"], headers={"If-None-Match": made.headers["ETag"]})
    assert now.status_code == 200
    assert state(now.json()) == "confirmed"
    assert now.headers["ETag"] != made.headers["ETag"]


# Decisions are changes of the record --------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_decision_is_a_change_for_whoever_resumes_after_the_write(
    name: str, forum: Programme, acme: Caller, table: Table, zurich: Node
) -> None:
    acme.post("/v2/sessions", forum.session("Frühere", slot=forum.slot("15:00")))
    table.deliver()
    made = acme.post("/v2/sessions", forum.session(slot=forum.slot()))
    token = made.headers["Consistency-Token"]
    table.deliver()
    with serving(table[name]) as node:
        page = node.caller(acme).get(f"/v2/changes?since={token}").json()
    changed = {note["id"]: note for note in page["data"]}
    assert state(changed[made.json()["id"]]["data"]) == "confirmed"
    assert changed[made.json()["id"]]["version"] != made.json()["version"]
    assert zurich.gate.name == "zurich"


def test_a_decision_that_had_been_heard_is_told_when_it_is_final(
    forum: Programme, acme: Caller, table: Table, zurich: Node
) -> None:
    """The follower saw the holder's decision while it was not final yet."""
    made = acme.post("/v2/sessions", forum.session(slot=forum.slot())).json()
    tokens = []
    for _ in range(40):  # one drain at a time
        gate = table["zurich"]
        tokens.append(acme.get("/v2/cluster").json()["nodes"][0]["token"])
        for name, other in table.gates.items():
            sent, other.sent = other.sent, []
            for to, message in sent:
                for at in table.gates if to is None else [to]:
                    if at != name:
                        table.gates[at].handle([Received(NodeName(name), message)])
        if state(acme.get(f"/v2/sessions/{made['id']}").json()) == "confirmed":
            break
    assert gate is zurich.gate
    for token in tokens:
        page = acme.get(f"/v2/changes?since={token}").json()
        assert made["id"] in {note["id"] for note in page["data"]}


def test_followers_are_told_of_a_decision_at_every_node(
    forum: Programme, acme: Caller, table: Table
) -> None:
    made = acme.post("/v2/sessions", forum.session(slot=forum.slot())).json()
    with serving(table["bern"]) as bern:
        caller = bern.caller(acme)
        headers = caller.headers
        with bern.client.websocket_connect("/v2/stream", headers=headers) as socket:
            socket.send_json({"msg": "hello"})
            socket.send_json({"msg": "subscribe", "sub": "all"})
            while socket.receive_json(timeout=10)["msg"] != "caught_up":
                pass
            table.deliver()
            states: list[str] = []
            while "confirmed" not in states:
                message = socket.receive_json(timeout=10)
                if message["msg"] == "change" and message["id"] == made["id"]:
                    states.append(state(message["data"]))
    assert states[-1] == "confirmed"


def test_a_release_waits_for_its_name(forum: Programme, acme: Caller, table: Table) -> None:
    path = f"/v2/events/{forum.event}/releases"
    with Elsewhere(table):
        made = acme.post(path, {"name": "1.0"}, headers=WAIT)
    assert made.json()["release"]["state"] == "confirmed"
    assert made.headers["preference-applied"] == "wait=10"


def test_a_series_waits_for_the_places_of_its_sessions(
    forum: Programme, acme: Caller, table: Table
) -> None:
    body = {
        "event": forum.event,
        "slot": forum.slot(),
        "rule": "FREQ=DAILY;COUNT=3",
        "session": {"title": {"de": "Morgen"}},
    }
    with Elsewhere(table):
        made = acme.post("/v2/series", body, headers=WAIT | {"Idempotency-Key": "once"})
        assert made.status_code == 201, made.text
        path = f"/v2/series/{made.json()['id']}/sessions"
        assert [state(one) for one in acme.get(path).json()["data"]] == ["confirmed"] * 3
        again = acme.post("/v2/series", body, headers=WAIT | {"Idempotency-Key": "once"})
    assert again.headers["Idempotency-Replayed"] == "true"
