"""Refused bookings and orders are in the node's log, by code, and a flood of them adds only so many lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from konkordat.api.refusals import LINES_MAX, WINDOW_MS
from support.api import Caller, Node, Programme, Table, serving

NAMES = ("bern", "geneva", "zurich")
NOBODY = "0197464f-3b1c-7c07-8d1e-2f6a0b9c4d11"


@pytest.fixture
def table() -> Table:
    return Table(*NAMES, members=NAMES)


@pytest.fixture
def zurich(table: Table) -> Iterator[Node]:
    with serving(table["zurich"]) as served:
        yield served


@pytest.fixture
def admin(zurich: Node) -> Caller:
    return zurich.key("acme", scopes=("read", "write", "admin"))


@pytest.fixture
def forum(admin: Caller, table: Table) -> Programme:
    made = Programme(admin)
    table.deliver()
    return made


def noted(node: Node, event: str) -> list[dict[str, Any]]:
    return [fields for level, name, fields in node.gate.logged if name == event and level]


def level_of(node: Node, event: str) -> set[str]:
    return {level for level, name, _ in node.gate.logged if name == event}


def counted(node: Node, code: str) -> float:
    lines = node.nobody.get("/metrics").text.splitlines()
    name = f'konkordat_api_refusals_total{{code="{code}"}}'
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest.mark.row("S0-14")
@pytest.mark.parametrize(
    ("slot", "code"),
    [
        ({"room": NOBODY}, "unknown_reference"),
        ({"duration_minutes": 0}, "invalid"),
        ({"duration_minutes": -5}, "invalid"),
        ({"local_start": "1999-06-01T09:00"}, "in_the_past"),
        ({"local_start": "2028-01-01T09:00"}, "outside_event"),
        ({"local_start": "2027-03-28T02:30"}, "local_time_does_not_exist"),
    ],
)
def test_a_booking_that_cannot_be_is_in_the_log(
    forum: Programme, admin: Caller, zurich: Node, slot: dict[str, Any], code: str
) -> None:
    headers = {"X-Request-Id": "booking-7"}
    session = forum.session(slot={**forum.slot(), **slot})
    refused = admin.post("/v2/sessions", session, headers=headers)
    assert refused.json()["code"] == code
    (line,) = noted(zurich, "write_refused")
    assert (line["code"], line["path"], line["cause_id"]) == (code, "/v2/sessions", "booking-7")
    assert (line["tenant"], line["detail"]) == ("acme", refused.json()["detail"])
    assert line["by"]
    assert level_of(zurich, "write_refused") == {"info"}


def test_a_place_that_is_taken_is_in_the_log(
    forum: Programme, admin: Caller, zurich: Node, table: Table
) -> None:
    admin.post("/v2/sessions", forum.session(slot=forum.slot()))
    table.deliver()
    assert admin.post("/v2/sessions", forum.session(slot=forum.slot())).status_code == 409
    many = [{"local_start": f"2027-06-02T{hour:02}:00"} for hour in range(17)]
    admin.post("/v2/sessions", forum.session(slot={**forum.slot("15:00"), "alternatives": many}))
    codes = [line["code"] for line in noted(zurich, "write_refused")]
    assert codes[0] == "slot_taken"
    assert codes[1] in ("too_many_alternatives", "invalid")


def test_registrations_of_no_seat_or_of_too_many_are_in_the_log(
    forum: Programme, admin: Caller, zurich: Node
) -> None:
    session = forum.make("sessions", **forum.session(seats=3))
    attendee = forum.make("attendees", name="Ada")
    for quantity in (0, 4):
        wish = {"session": session, "attendee": attendee, "quantity": quantity}
        admin.post("/v2/registrations", wish)
    lines = noted(zurich, "write_refused")
    assert [line["code"] for line in lines] == ["invalid", "beyond_capacity"]
    assert lines[0]["errors"][0]["pointer"] == "/quantity"


@pytest.mark.parametrize("mode", ["independent", "atomic"])
def test_refused_operations_of_a_batch_are_in_the_log(
    forum: Programme, admin: Caller, zurich: Node, mode: str
) -> None:
    lost = forum.session(slot=forum.slot(room=NOBODY))
    operations = [
        {"op": "create", "type": "sessions", "data": forum.session()},
        {"op": "create", "type": "sessions", "data": lost},
    ]
    admin.post("/v2/batch", {"mode": mode, "operations": operations})
    (line,) = noted(zurich, "write_refused")
    assert line["code"] == "unknown_reference"
    assert mode == "atomic" or line["operation"] == 1


def test_refused_orders_are_warnings_that_say_who_and_what(
    forum: Programme, admin: Caller, zurich: Node
) -> None:
    seat = f"acme.venues.{forum.venue}"
    admin.post(f"/v2/seats/{seat}/handover", {"to": "lugano"})
    zurich.operator.post("/v2/roster", {"change": "replace", "node": "bern", "by": "geneva"})
    admin.post("/v2/roster", {"change": "leave", "node": "bern"})
    first, second, third = noted(zurich, "order_refused")
    assert (first["code"], first["seat"], first["to"]) == ("not_a_member", seat, "lugano")
    assert second["code"] == "already_a_member"
    assert (second["order"], second["member"], second["to"]) == ("replace", "bern", "geneva")
    assert second["by"] != first["by"] == third["by"]
    assert third["code"] == "scope_missing"
    assert level_of(zurich, "order_refused") == {"warning"}
    assert noted(zurich, "write_refused") == []


def test_a_flood_adds_so_many_lines_a_minute_and_all_are_counted(
    forum: Programme, admin: Caller, zurich: Node
) -> None:
    wrong = forum.session(slot=forum.slot(room=NOBODY))
    for _ in range(LINES_MAX + 5):
        admin.post("/v2/sessions", wrong)
    admin.post("/v2/sessions", forum.session(slot={**forum.slot(), "duration_minutes": 0}))
    codes = [line["code"] for line in noted(zurich, "write_refused")]
    assert codes == ["unknown_reference"] * LINES_MAX + ["invalid"]
    assert counted(zurich, "unknown_reference") == LINES_MAX + 5
    zurich.gate.clock_ms += WINDOW_MS
    admin.post("/v2/sessions", wrong)
    assert noted(zurich, "write_refused")[-1]["left_out"] == 5
    admin.post("/v2/sessions", wrong)
    assert "left_out" not in noted(zurich, "write_refused")[-1]


def test_what_was_not_looked_at_is_no_refusal(forum: Programme, zurich: Node) -> None:
    zurich.nobody.post("/v2/sessions", forum.session())
    forum.caller.get(f"/v2/sessions/{NOBODY}")
    assert noted(zurich, "write_refused") == []
