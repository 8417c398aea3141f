"""A hold is over at its end, also where nobody decides that for as long as a line is cut.

It read `confirmed` for as long as the cut lasted, and a booking of its place was refused with 409.
"""

from __future__ import annotations

from typing import Any

import pytest

from support.api import Caller, Programme, Table, serving

pytestmark = pytest.mark.row("S0-8")


def hold(caller: Caller, forum: Programme, at: str = "09:00", ttl_s: int = 60) -> str:
    body = {"event": forum.event, "slot": forum.slot(at), "ttl_seconds": ttl_s}
    made = caller.post("/v2/holds", body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def state(caller: Caller, path: str) -> str:
    return str(caller.get(path).json()["slot"]["state"])


def pass_time(table: Table, ms: int, *cut_off: str) -> None:
    for gate in table.gates.values():
        gate.clock_ms += ms
    table.deliver(*cut_off)


@pytest.mark.parametrize("cut_off", ["bern", "geneva"])
def test_it_reads_expired_and_is_in_nobodys_way_where_no_decision_arrives(
    cut_off: str, table: Table, forum: Programme, acme: Caller
) -> None:
    """At the holder, which has no majority, and at another node."""
    held = hold(acme, forum)
    table.deliver()
    with serving(table[cut_off]) as node:
        there = node.caller(acme)
        assert state(there, f"/v2/holds/{held}") == "confirmed"
        before = there.get(f"/v2/holds/{held}").headers["etag"]
        table.deliver(cut_off)
        pass_time(table, 61_000, cut_off)
        assert state(there, f"/v2/holds/{held}") == "expired"
        assert there.get(f"/v2/holds/{held}").headers["etag"] != before
        listed = there.get(f"/v2/holds?event={forum.event}").json()["data"]
        assert [one["slot"]["state"] for one in listed] == ["expired"]
        noted = there.patch(f"/v2/holds/{held}", {"note": "noch da?"})
        assert noted.json()["slot"]["state"] == "expired"
        booked = there.post("/v2/sessions", forum.session(slot=forum.slot("09:00")))
        assert booked.status_code == 201, booked.text
        assert booked.json()["slot"]["state"] == "tentative"
    table.deliver()
    table.deliver()
    assert state(acme, f"/v2/sessions/{booked.json()['id']}") == "confirmed"
    assert state(acme, f"/v2/holds/{held}") == "expired"


def test_one_that_was_never_decided_ends_too(table: Table, forum: Programme, acme: Caller) -> None:
    with serving(table["geneva"]) as node:
        there = node.caller(acme)
        held = hold(there, forum)
        assert state(there, f"/v2/holds/{held}") == "tentative"
        taken = there.post("/v2/sessions", forum.session(slot=forum.slot("09:00")))
        assert taken.json()["code"] == "slot_taken"
        pass_time(table, 61_000, "geneva")
        assert state(there, f"/v2/holds/{held}") == "expired"
        booked = there.post("/v2/sessions", forum.session(slot=forum.slot("09:00")))
        assert booked.status_code == 201, booked.text


def test_a_place_that_it_kept_while_it_moved_ends_with_it(
    table: Table, forum: Programme, acme: Caller
) -> None:
    held = hold(acme, forum)
    table.deliver()
    with serving(table["geneva"]) as node:
        there = node.caller(acme)
        moved = there.patch(f"/v2/holds/{held}", {"slot": forum.slot("11:00")}).json()["slot"]
        assert (moved["state"], "held" in moved) == ("tentative", True)
        pass_time(table, 61_000, "geneva")
        shown: dict[str, Any] = there.get(f"/v2/holds/{held}").json()["slot"]
        assert (shown["state"], "held" in shown) == ("expired", False)
        for at in ("09:00", "11:00"):
            booked = there.post("/v2/sessions", forum.session(slot=forum.slot(at)))
            assert booked.status_code == 201, booked.text


def test_its_place_is_not_given_away_while_the_holders_clock_may_be_behind(
    table: Table, forum: Programme, acme: Caller
) -> None:
    """The seat's holder would take it for held still, and displace the booking."""
    held = hold(acme, forum)
    table.deliver()
    gate = table["geneva"]
    with serving(gate) as node:
        there = node.caller(acme)
        ends_ms = max(d.expires_ms for d in gate.store.every_claim())
        gate.clock_ms = ends_ms + 100
        assert state(there, f"/v2/holds/{held}") == "confirmed"
        booked = there.post("/v2/sessions", forum.session(slot=forum.slot("09:00")))
        assert booked.json()["code"] == "slot_taken"
        gate.clock_ms = ends_ms + 500
        assert state(there, f"/v2/holds/{held}") == "expired"
        booked = there.post("/v2/sessions", forum.session(slot=forum.slot("09:00")))
        assert booked.status_code == 201, booked.text
