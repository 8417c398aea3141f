"""Long waiting lists: places that come free go to those who stand first, and nobody looks at all who stand behind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from konkordat.kernel.claim import ClaimState
from konkordat.kernel.ids import RecordKey, record_key
from konkordat.kernel.record import Record
from konkordat.replica.deciding import READ_AHEAD
from konkordat.replica.messages import Command
from konkordat.schedule.claims import REGISTRATIONS
from konkordat.schedule.commands import Operation, WriteCommand, operation
from konkordat.schedule.registry import COLLECTIONS
from unit.schedule_rules.seated import NODE, Seated, seated_forum
from unit.schedule_rules.test_registrations import ident, register
from unit.schedule_rules.world import TENANT, create, patch, talk

PEOPLE = [f"person {number}" for number in range(3 * READ_AHEAD)]


@pytest.fixture
def seated() -> Seated:
    """A workshop with one seat, which the first person has; the others wait, in their order."""
    seated = seated_forum()
    seated.carry_out(talk("workshop", seats=1))
    seated.carry_out(*(create("attendees", who, name=who) for who in PEOPLE))
    for who in PEOPLE:
        seated.carry_out(register(who, waitlist=True))
    return seated


def seats_of(seated: Seated, session: str = "workshop") -> list[str]:
    """Who has a seat."""
    keys = {who: record_key(TENANT, REGISTRATIONS, ident(who, session)) for who in PEOPLE}
    found = seated.table[NODE].store.claims_of(keys.values())
    confirmed = {
        key
        for key, claims in found.items()
        for d in claims
        if d.claim.id.part == "seats" and d.state is ClaimState.CONFIRMED
    }
    return [who for who, key in keys.items() if key in confirmed]


def quantity(who: str, wanted: int) -> Operation:
    made = msgspec.convert({"quantity": wanted}, COLLECTIONS["registrations"].patch)
    return operation("patch", "registrations", ident(who, "lab"), made)


@pytest.mark.row("S0-35")
def test_seats_that_come_free_together_go_to_those_who_stand_first(seated: Seated) -> None:
    assert seats_of(seated) == PEOPLE[:1]
    seated.carry_out(patch("sessions", "workshop", seats=2 * READ_AHEAD + 5))
    assert seats_of(seated) == PEOPLE[: 2 * READ_AHEAD + 5]


@pytest.fixture
def lab(seated: Seated) -> Seated:
    """The first has all three seats of another session; the second waits for two, all others for one."""
    first, second, *others = PEOPLE
    seated.carry_out(talk("lab", seats=3))
    seated.carry_out(register(first, "lab", quantity=3))
    seated.carry_out(register(second, "lab", quantity=2, waitlist=True))
    for who in others:
        seated.carry_out(register(who, "lab", waitlist=True))
    return seated


def test_seats_that_come_free_go_to_the_first_who_can_use_them(lab: Seated) -> None:
    """A seat that the first in line cannot use is not kept empty: a newcomer could have it."""
    first, second, third, fourth, *_others = PEOPLE
    lab.carry_out(quantity(first, 2))
    assert seats_of(lab, "lab") == [first, third]
    lab.carry_out(operation("delete", "registrations", ident(first, "lab")))
    assert seats_of(lab, "lab") == [second, third]
    lab.carry_out(operation("delete", "registrations", ident(third, "lab")))
    assert seats_of(lab, "lab") == [second, fourth]


def test_a_newcomer_has_what_nobody_who_waits_can_use(seated: Seated) -> None:
    first, second, third, *_others = PEOPLE
    seated.carry_out(talk("lab", seats=3))
    seated.carry_out(register(first, "lab", quantity=3))
    seated.carry_out(register(second, "lab", quantity=2, waitlist=True))
    seated.carry_out(quantity(first, 2))
    seated.carry_out(register(third, "lab"))
    assert seats_of(seated, "lab") == [first, third]


def test_who_waits_comes_before_who_registers_as_a_seat_comes_free(lab: Seated) -> None:
    """Also in the very commit in which it does, however early the newcomer comes to the holder."""
    first, second, *others = PEOPLE
    lab.carry_out(operation("delete", "registrations", ident(others[-1], "lab")))
    commands = [
        Command(f"c{n}", "test", WriteCommand(TENANT, (made,)))
        for n, made in enumerate(
            [quantity(first, 1), register(others[-1], "lab", quantity=2, waitlist=True)]
        )
    ]
    lab.table.do(NODE, *commands)
    assert seats_of(lab, "lab") == [first, second]


def test_one_free_seat_needs_no_look_at_the_whole_line(
    seated: Seated, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = seated.table[NODE].store
    read: set[RecordKey] = set()
    load = store.load

    def watched(keys: Iterable[RecordKey]) -> dict[RecordKey, Record]:
        wanted = list(keys)
        read.update(key for key in wanted if key.collection == REGISTRATIONS)
        found: dict[RecordKey, Record] = load(wanted)
        return found

    monkeypatch.setattr(store, "load", watched)
    seated.carry_out(operation("delete", "registrations", ident(PEOPLE[0])))
    assert seats_of(seated) == PEOPLE[1:2]
    assert 0 < len(read) <= READ_AHEAD + 1


def test_who_waits_for_more_than_there_ever_are_holds_nobody_up(seated: Seated) -> None:
    first, second, third, fourth, *_ = PEOPLE
    seated.carry_out(talk("lab", seats=3))
    seated.carry_out(register(first, "lab", quantity=2))
    seated.carry_out(register(second, "lab", quantity=3, waitlist=True))
    seated.carry_out(register(third, "lab", quantity=2, waitlist=True))
    seated.carry_out(patch("sessions", "lab", seats=2))
    seated.carry_out(operation("delete", "registrations", ident(first, "lab")))
    assert seats_of(seated, "lab") == [third]
    seated.carry_out(register(fourth, "lab", waitlist=True))
    seated.carry_out(patch("sessions", "lab", seats=5))
    assert seats_of(seated, "lab") == [second, third]


def test_nobody_moves_up_in_a_session_that_is_cancelled_until_it_takes_place_again(
    seated: Seated,
) -> None:
    first, second, third, *_ = PEOPLE
    seated.carry_out(patch("sessions", "workshop", state="cancelled"))
    assert seats_of(seated) == [first]
    seated.carry_out(operation("delete", "registrations", ident(first)))
    assert seats_of(seated) == []
    seated.carry_out(patch("sessions", "workshop", state="draft", seats=2))
    assert seats_of(seated) == [second, third]
