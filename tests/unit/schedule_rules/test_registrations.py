"""Seats of sessions: who may register, in one command and over several."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from konkordat.kernel.claim import Resource
from konkordat.kernel.ids import RecordKey, record_key
from konkordat.kernel.record import Record
from konkordat.schedule.attendance import registration_id
from konkordat.schedule.commands import Operation, operation
from konkordat.schedule.domain import ScheduleDomain
from konkordat.schedule.registry import COLLECTIONS
from unit.schedule_rules.world import (
    TENANT,
    World,
    body,
    create,
    delete,
    forum,
    patch,
    slot,
    talk,
    uid,
)

PEOPLE = ("mila", "noa", "lia", "ben")


@pytest.fixture
def world() -> World:
    """A workshop with two seats, a talk without any, and four people."""
    world = forum()
    world.carry_out(talk("workshop", slot("09:00"), seats=2), talk("keynote"))
    world.carry_out(*(create("attendees", name, name=name.title()) for name in PEOPLE))
    return world


def ident(who: str, session: str = "workshop") -> str:
    return registration_id(uid(session), uid(who))


def register(who: str, session: str = "workshop", op: Any = "create", **more: Any) -> Operation:
    made = body("registrations", session=uid(session), attendee=uid(who), **more)
    return operation(op, "registrations", ident(who, session), made)


def change(who: str, **fields: Any) -> Operation:
    made = msgspec.convert(fields, COLLECTIONS["registrations"].patch)
    return operation("patch", "registrations", ident(who), made)


def resource(session: str = "workshop") -> Resource:
    return Resource(TENANT, f"session/{uid(session)}")


def states(world: World) -> dict[str, str]:
    """What became of each person's claim."""
    names = {ident(who): who for who in PEOPLE}
    return {names[d.claim.id.owner.id]: str(d.state) for d in world.decisions(resource())}


def test_seats_are_given_until_there_are_none_left(world: World) -> None:
    world.carry_out(register("mila"), register("noa"))
    refusal = world.refused(register("lia"))
    assert (refusal.code, refusal.extra) == ("sold_out", {"seats": 2, "seats_left": 0})
    assert states(world) == {"mila": "confirmed", "noa": "confirmed"}


def test_a_refusal_says_how_many_seats_are_left(world: World) -> None:
    world.carry_out(register("mila"))
    refusal = world.refused(register("noa", quantity=2))
    assert (refusal.code, refusal.extra["seats_left"]) == ("sold_out", 1)
    assert refusal.conflicts == (), "who has the seats is nobody's business"


def test_two_first_bookers_make_two_of_a_many_seat_slot() -> None:
    """cal.com #13360: the first two to book a slot of many seats each made a slot of their own."""
    world = forum()
    world.carry_out(talk("workshop", slot("09:00"), seats=100))
    world.carry_out(*(create("attendees", name, name=name) for name in PEOPLE))
    world.carry_out(register("mila"))
    world.carry_out(register("noa"))
    assert len(world.decisions(resource())) == 2
    assert len([k for k in world.records if k.collection == "sessions"]) == 1
    assert list(world.states().values()) == ["confirmed"]


def test_who_waits_is_asked_again_when_a_seat_comes_free(world: World) -> None:
    world.carry_out(register("mila"), register("noa"))
    world.carry_out(register("lia", waitlist=True))
    world.carry_out(register("ben", waitlist=True))
    assert states(world)["lia"] == "displaced"
    world.carry_out(change("mila", cancelled=True))
    assert states(world) == {"noa": "confirmed", "lia": "confirmed", "ben": "displaced"}


def test_only_who_wants_to_waits(world: World) -> None:
    world.carry_out(register("mila", waitlist=True), register("noa"))
    claims = {
        claim.id.owner.id: (record, claim)
        for record in world.records.values()
        for claim in world.domain.claims(record)
        if claim.id.part == "seats"
    }
    assert world.domain.wanted(*claims[ident("mila")]).waits
    assert not world.domain.wanted(*claims[ident("noa")]).waits


@pytest.mark.parametrize(
    ("session", "code"), [("keynote", "not_registrable"), ("off", "not_registrable")]
)
def test_there_must_be_seats_to_register_for(world: World, session: str, code: str) -> None:
    world.carry_out(talk("off", seats=10, state="cancelled"))
    assert world.refused(register("mila", session)).code == code


def test_more_than_all_seats_cannot_be_had_even_by_waiting(world: World) -> None:
    refusal = world.refused(register("mila", quantity=3, waitlist=True))
    assert (refusal.code, refusal.pointer) == ("beyond_capacity", "/quantity")


def test_one_attendee_registers_once_for_a_session(world: World) -> None:
    world.carry_out(register("mila"))
    refusal = world.refused(register("mila", quantity=2))
    assert refusal.code == "already_registered"
    assert refusal.current is not None
    assert world.carry_out(register("mila")).effects == ("unchanged",)


def test_who_cancelled_may_register_again(world: World) -> None:
    world.carry_out(register("mila", quantity=2))
    world.carry_out(change("mila", cancelled=True))
    world.carry_out(register("noa"))
    assert world.refused(register("mila", quantity=2)).code == "sold_out"
    world.carry_out(register("mila"))
    assert states(world) == {"mila": "confirmed", "noa": "confirmed"}


def test_a_registration_keeps_its_session_and_attendee(world: World) -> None:
    world.carry_out(register("mila"))
    refusal = world.refused(change("mila", attendee=uid("noa")))
    assert refusal.pointer == "/attendee"


def test_a_seat_given_back_can_be_taken_in_the_same_command_in_any_order(world: World) -> None:
    world.carry_out(register("mila"), register("noa"))
    world.carry_out(register("lia"), change("noa", cancelled=True))
    assert states(world) == {"mila": "confirmed", "lia": "confirmed"}


def test_a_command_cannot_oversell_by_itself(world: World) -> None:
    assert world.refused(*(register(who) for who in PEOPLE)).code == "sold_out"
    assert world.refused(*(register(who) for who in PEOPLE)).extra["operation"] == 2


def test_fewer_seats_are_always_possible_more_only_if_there_are(world: World) -> None:
    world.carry_out(register("mila", quantity=2))
    world.carry_out(change("mila", quantity=1))
    world.carry_out(register("noa"))
    assert world.refused(change("mila", quantity=2)).code == "sold_out"
    assert states(world) == {"mila": "confirmed", "noa": "confirmed"}


def test_another_quantity_is_another_wish(world: World) -> None:
    """A decision answers the wish of one stamp, so what the claim says must not change under it."""
    world.carry_out(register("mila"))
    before = stamp(world, "mila")
    world.carry_out(change("mila", external_ids={"crm": "7"}))
    assert stamp(world, "mila") == before
    world.carry_out(change("mila", quantity=2))
    assert stamp(world, "mila") > before


def stamp(world: World, who: str) -> Any:
    record = world.records[record_key(TENANT, "registrations", ident(who))]
    return world.domain.claims(record)[0].stamp


def test_nobody_comes_in_without_a_seat(world: World) -> None:
    world.carry_out(register("mila", quantity=2))
    world.carry_out(register("noa", waitlist=True))
    assert world.refused(change("noa", checked_in=True)).code == "not_confirmed"
    world.carry_out(change("mila", checked_in=True))


def test_a_session_keeps_the_seats_that_are_taken(world: World) -> None:
    world.carry_out(register("mila", quantity=2))
    refusal = world.refused(patch("sessions", "workshop", seats=1))
    assert (refusal.code, refusal.extra["seats_taken"]) == ("seats_below_registered", 2)
    assert world.refused(patch("sessions", "workshop", seats=None)).code == refusal.code
    world.carry_out(patch("sessions", "workshop", seats=2, track="x"))
    world.carry_out(patch("sessions", "workshop", seats=1), change("mila", quantity=1))


def test_what_is_registered_for_is_not_deleted(world: World) -> None:
    world.carry_out(register("mila"))
    assert world.refused(delete("sessions", "workshop")).code == "in_use"
    refusal = world.refused(delete("attendees", "mila"))
    assert (refusal.code, refusal.extra["registrations"]) == ("in_use", 1)
    world.carry_out(delete("attendees", "noa"))
    world.carry_out(change("mila", cancelled=True))
    world.carry_out(delete("sessions", "workshop"), delete("attendees", "mila"))


def test_a_session_that_moves_keeps_its_registrations_and_who_decides_them(world: World) -> None:
    world.carry_out(register("mila"))
    domain = ScheduleDomain()

    def find(key: RecordKey) -> Record | None:
        return world.records.get(key)

    before = domain.seat(resource(), find)
    world.carry_out(patch("sessions", "workshop", slot=slot("11:00", room="attic")))
    assert states(world) == {"mila": "confirmed"}
    after = domain.seat(resource(), find)
    assert before is not None
    assert before == after
    assert before.id == f"{TENANT}/events/{uid('forum')}"


def test_an_event_says_who_decides_about_its_seats(world: World) -> None:
    world.carry_out(patch("events", "forum", region="lausanne", decide="home"))
    spec = world.domain.seat(resource(), world.records.get)
    assert spec is not None
    assert (spec.home, spec.decide) == ("lausanne", "home")
    assert world.domain.seat_of(world.get("events", "forum")) == spec


def test_the_seat_of_a_session_is_unknown_until_session_and_event_are_here(world: World) -> None:
    records = dict(world.records)
    del records[world.get("events", "forum").key]
    assert world.domain.seat(resource(), records.get) is None
    assert world.domain.seat(resource("nowhere"), world.records.get) is None


def test_who_cancels_a_session_is_told_of_those_who_are_registered(world: World) -> None:
    world.carry_out(register("mila"), register("noa"))
    (warning,) = world.carry_out(patch("sessions", "workshop", state="cancelled")).warnings
    assert (warning.code, warning.pointer) == ("has_registrations", "/state")
    assert warning.detail.startswith("2 seats are taken")
    assert not world.carry_out(patch("sessions", "workshop", title={"de": "Ein anderer"})).warnings
    assert not world.carry_out(patch("sessions", "keynote", state="cancelled")).warnings
