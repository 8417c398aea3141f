"""Seats over five nodes: real replicas and the real seats, every message through the codec."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from konkordat.kernel.claim import ClaimState
from konkordat.kernel.ids import Tenant, record_key
from konkordat.kernel.refusal import Refusal
from konkordat.replica.messages import Accepted, Outcome
from konkordat.schedule.attendance import registration_id
from konkordat.schedule.claims import REGISTRATIONS
from konkordat.schedule.commands import Operation, WriteCommand, operation
from konkordat.schedule.domain import ScheduleDomain
from konkordat.testing.workbench import Workbench
from unit.schedule_rules.test_registrations import change, ident, register
from unit.schedule_rules.world import TENANT, body, create, patch, talk, uid

NODES = ("basel", "bern", "geneva", "lugano", "zurich")
PEOPLE = ("ada", "ben", "cleo", "dora", "emil")


def write(table: Workbench, node: str, *ops: Operation) -> Outcome:
    return table.write(node, WriteCommand(Tenant(TENANT), ops))


def claimed(table: Workbench, node: str, session: str = "workshop") -> dict[str, ClaimState]:
    """What a node tells of each person's seats."""
    names = {ident(who, session): who for who in PEOPLE}
    keys = [record_key(TENANT, "registrations", id) for id in names]
    found = table[node].store.claims_of(keys)
    return {
        names[key.id]: d.state
        for key, decided in found.items()
        for d in decided
        if d.claim.id.part == "seats"
    }


@pytest.fixture
def table() -> Workbench:
    """An event at home in bern, a workshop with two seats, and five people, known at five nodes."""
    table = Workbench(*NODES, domain=ScheduleDomain, members=NODES)
    table.settle(500)
    fields: dict[str, Any] = {
        "slug": "forum-2027",
        "name": {"de": "Forum"},
        "time_zone": "Europe/Zurich",
        "start_date": "2027-06-01",
        "end_date": "2027-06-03",
        "region": "bern",
    }
    made = write(
        table, "zurich",
        create("events", "forum", **fields),
        talk("workshop", seats=2),
        *(create("attendees", who, name=who.title()) for who in PEOPLE),
    )  # fmt: skip
    assert isinstance(made, Accepted), made
    table.settle(1_000)
    return table


@pytest.mark.row("S0-35")
def test_five_nodes_at_once_sell_no_more_seats_than_there_are(table: Workbench) -> None:
    for node, who in zip(NODES, PEOPLE, strict=True):
        assert isinstance(write(table, node, register(who)), Accepted), "nobody can know better"
    table.settle(2_000)
    told = [claimed(table, node) for node in NODES]
    assert all(t == told[0] for t in told)
    assert Counter(told[0].values()) == {ClaimState.CONFIRMED: 2, ClaimState.DISPLACED: 3}


def test_one_attendee_who_registers_at_five_nodes_at_once_is_registered_once(
    table: Workbench,
) -> None:
    for node in NODES:
        assert isinstance(write(table, node, register("ada")), Accepted)
    table.settle(2_000)
    for node in NODES:
        assert claimed(table, node) == {"ada": ClaimState.CONFIRMED}
        present = table[node].store.scan(TENANT, REGISTRATIONS)
        assert [r.key.id for r in present] == [registration_id(uid("workshop"), uid("ada"))]
    # The other seat is free, and only one.
    assert isinstance(write(table, "basel", register("ben")), Accepted)
    table.settle(1_000)
    refused = write(table, "geneva", register("cleo"))
    assert isinstance(refused, Refusal)
    assert refused.code == "sold_out"


def test_a_seat_given_back_at_one_node_goes_to_who_waits_longest_at_another(
    table: Workbench,
) -> None:
    write(table, "zurich", register("ada"), register("ben"))
    table.settle(1_000)
    for node, who in (("lugano", "cleo"), ("geneva", "dora")):
        assert isinstance(write(table, node, register(who, waitlist=True)), Accepted)
        table.settle(1_000)
    assert claimed(table, "basel")["cleo"] is ClaimState.DISPLACED
    write(table, "geneva", change("ben", cancelled=True))
    table.settle(2_000)
    for node in NODES:
        told = claimed(table, node)
        assert told["cleo"] is ClaimState.CONFIRMED, node
        assert told["dora"] is ClaimState.DISPLACED, node


def test_seats_sold_while_another_node_lowers_them_stay_sold(table: Workbench) -> None:
    assert isinstance(write(table, "lugano", shrink(1)), Accepted)
    assert isinstance(write(table, "bern", register("ada"), register("ben")), Accepted)
    table.settle(2_000)
    told = [claimed(table, node) for node in NODES]
    assert all(t == told[0] for t in told)
    confirmed = [who for who, state in told[0].items() if state is ClaimState.CONFIRMED]
    assert len(confirmed) in (1, 2)
    table.settle(2_000)
    again = claimed(table, "zurich")
    assert all(again[who] is ClaimState.CONFIRMED for who in confirmed)


def test_more_seats_for_one_registration_or_the_ones_it_has(table: Workbench) -> None:
    """A change that cannot be granted does not cost the seats that are there."""
    write(table, "zurich", register("ada"), register("ben"))
    table.settle(1_000)
    assert isinstance(write(table, "geneva", change("ada", quantity=2, waitlist=True)), Accepted)
    table.settle(2_000)
    for node in NODES:
        key = record_key(TENANT, "registrations", ident("ada"))
        decided = {d.claim.id.part: d for d in table[node].store.claims_of([key])[key]}
        assert decided["seats"].state is ClaimState.DISPLACED
        held = decided["seats@held"]
        assert (held.state, held.claim.quantity) == (ClaimState.CONFIRMED, 1)


def test_a_home_event_confirms_at_once_at_its_home(table: Workbench) -> None:
    made = body(
        "events",
        slug="messe-2027",
        name={"de": "Messe"},
        time_zone="Europe/Zurich",
        start_date="2027-06-01",
        end_date="2027-06-03",
        region="lugano",
        decide="home",
    )
    write(table, "lugano", operation("create", "events", uid("messe"), made))
    write(
        table, "lugano", create("sessions", "tour", event=uid("messe"), title={"de": "T"}, seats=1)
    )
    table.settle(2_000)
    outcome = write(table, "lugano", register("ada", "tour"))
    assert isinstance(outcome, Accepted)
    states = {d.claim.id.part: d.state for d in outcome.claims}
    assert states["seats"] is ClaimState.CONFIRMED


def shrink(seats: int) -> Operation:
    return patch("sessions", "workshop", seats=seats)
