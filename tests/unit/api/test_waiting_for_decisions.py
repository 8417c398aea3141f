"""`Prefer: wait=N`: the answer comes when the claims of a write are decided."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

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
