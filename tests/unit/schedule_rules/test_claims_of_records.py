"""Claims follow from the merged state, whatever peers wrote; nothing a peer wrote can raise."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from konkordat.kernel import canonical
from konkordat.kernel.change import Change
from konkordat.kernel.claim import Resource
from konkordat.kernel.hlc import Stamp, hlc_at
from konkordat.kernel.ids import Collection, Group, Origin, record_key
from konkordat.kernel.merge import lift
from konkordat.kernel.record import Record
from konkordat.schedule.domain import ScheduleDomain
from konkordat.schedule.slots import place_of
from unit.schedule_rules.world import TENANT, World, forum, patch, slot, talk, uid

DOMAIN = ScheduleDomain()
STAMP = Stamp(hlc_at(1_000), Origin("bern.1"))
GOOD = slot("09:00")


def session(**groups: bytes) -> Record:
    fields = {Group(name): value for name, value in groups.items()}
    return lift(Change(record_key(TENANT, "sessions", uid("x")), 1, fields), STAMP)


def test_a_session_claims_its_room_and_softly_its_speakers() -> None:
    speakers = canonical.encode([uid("anna"), uid("marc")])
    made = DOMAIN.claims(session(slot=canonical.encode(GOOD), speakers=speakers))
    assert [(c.resource.name, c.quantity, c.id.part) for c in made] == [
        (f"room/{uid('hall')}", 1, "slot"),
        (f"speaker/{uid('anna')}", 0, f"speaker/{uid('anna')}"),
        (f"speaker/{uid('marc')}", 0, f"speaker/{uid('marc')}"),
    ]
    assert {(c.until_ms - c.start_ms, c.stamp) for c in made} == {(3_600_000, STAMP)}


@pytest.mark.parametrize(
    "raw",
    [
        b"null",
        b"[]",
        b"1",
        b"{}",
        b"",
        b"\xff",
        b"[" * 50_000,
        canonical.encode({**GOOD, "duration_minutes": 0}),
        canonical.encode({**GOOD, "duration_minutes": -5}),
        canonical.encode({**GOOD, "duration_minutes": 1 << 60}),
        canonical.encode({**GOOD, "duration_minutes": 1.5}),
        canonical.encode({**GOOD, "duration_minutes": "60"}),
        canonical.encode({**GOOD, "local_start": "2027-03-28T02:30"}),
        canonical.encode({**GOOD, "local_start": "yesterday"}),
        canonical.encode({**GOOD, "local_start": None}),
        canonical.encode({**GOOD, "local_start": "9999-12-31T23:59"}),
        canonical.encode({**GOOD, "local_start": "0001-01-01T00:00"}),
        canonical.encode({**GOOD, "time_zone": "Mars/Olympus"}),
        canonical.encode({**GOOD, "time_zone": "../../etc/passwd"}),
        canonical.encode({**GOOD, "fold": 7}),
        canonical.encode({**GOOD, "booth": "b"}),
        canonical.encode({k: v for k, v in GOOD.items() if k != "room"}),
        canonical.encode({**GOOD, "room": ""}),
        canonical.encode({**GOOD, "room": "x" * 1_000}),
        canonical.encode({**GOOD, "room": "a\n"}),
    ],
)
def test_a_slot_that_makes_no_sense_claims_nothing_and_raises_nothing(raw: bytes) -> None:
    assert DOMAIN.claims(session(slot=raw)) == ()
    assert place_of(raw) is None


@pytest.mark.parametrize("raw", [b"null", b"7", b'{"a":1}', b"[1,null,{}]", b'[""]', b"\xff"])
def test_an_odd_list_of_speakers_claims_only_the_room(raw: bytes) -> None:
    made = DOMAIN.claims(session(slot=canonical.encode(GOOD), speakers=raw))
    assert [c.id.part for c in made] == ["slot"]


def test_a_slot_with_fields_of_a_newer_release_claims_the_same() -> None:
    newer = canonical.encode({**GOOD, "mood": {"light": "dim"}})
    ordinary = DOMAIN.claims(session(slot=canonical.encode(GOOD)))
    assert DOMAIN.claims(session(slot=newer)) == ordinary


def test_an_odd_state_is_not_cancelled() -> None:
    for state in (b"7", b"\xff", b'"unheard-of"'):
        assert DOMAIN.claims(session(slot=canonical.encode(GOOD), state=state))
    cancelled = session(slot=canonical.encode(GOOD), state=b'"cancelled"')
    assert DOMAIN.claims(cancelled) == ()


def test_other_records_and_deleted_ones_claim_nothing() -> None:
    key = record_key(TENANT, "sessions", uid("x"))
    assert DOMAIN.claims(lift(Change(key, 2), STAMP)) == ()
    room = Change(record_key(TENANT, "rooms", "r"), 1, {Group("slot"): canonical.encode(GOOD)})
    assert DOMAIN.claims(lift(room, STAMP)) == ()


def test_a_big_slot_of_a_peer_is_not_kept_in_memory() -> None:
    big = canonical.encode({**GOOD, "padding": "x" * 100_000})
    assert place_of(big) == place_of(canonical.encode(GOOD))


@pytest.mark.parametrize(
    ("raw", "capacity"),
    [(b"3", 3), (b"0", 1), (b"-1", 1), (b"true", 1), (b"2.0", 1), (b"1000001", 1), (b"\xff", 1)],
)
def test_only_a_sensible_capacity_counts(raw: bytes, capacity: int) -> None:
    key = record_key(TENANT, "rooms", "r")
    room = lift(Change(key, 1, {Group("max_concurrent"): raw}), STAMP)
    assert DOMAIN.capacity(room) == capacity
    assert DOMAIN.capacity(None) == 1


def test_a_resource_and_the_record_that_says_its_capacity_know_each_other() -> None:
    for collection, name in (("rooms", "room/r"), ("booths", "booth/r")):
        key = record_key(TENANT, collection, "r")
        assert DOMAIN.owned_resource(key) == Resource(TENANT, name)
        assert DOMAIN.capacity_owner(Resource(TENANT, name)) == key
    assert DOMAIN.owned_resource(record_key(TENANT, "speakers", "s")) is None
    assert DOMAIN.capacity_owner(Resource(TENANT, "speaker/s")) is None


def test_only_the_named_groups_can_change_claims() -> None:
    speakers = canonical.encode([uid("anna")])
    record = session(slot=canonical.encode(GOOD), speakers=speakers)
    assert DOMAIN.claim_groups(Collection("sessions")) == {
        "slot",
        "placing",
        "state",
        "speakers",
        "seats",
    }
    assert DOMAIN.claim_groups(Collection("rooms")) == {"max_concurrent"}
    assert DOMAIN.claim_groups(Collection("venues")) == frozenset()
    other = session(slot=canonical.encode(GOOD), speakers=speakers, seats=b"3", track=b'"A"')
    assert DOMAIN.claims(other) == DOMAIN.claims(record)


def test_parents_are_events_and_venues() -> None:
    world = forum()
    world.carry_out(talk("a"))
    assert DOMAIN.parent(world.get("sessions", "a")) == uid("forum")
    assert DOMAIN.parent(world.get("rooms", "hall")) == uid("kkl")
    assert DOMAIN.parent(world.get("speakers", "anna")) == ""
    assert DOMAIN.parent(session(event=b"7")) == ""


def merged(changes: Sequence[tuple[Change, Stamp]]) -> World:
    world = World()
    for change, stamp in changes:
        world.receive(change, stamp)
    return world


@pytest.mark.row("S0-8")
@pytest.mark.row("S0-9")
def test_bookings_of_one_room_on_two_sides_are_decided_alike_and_the_earlier_keeps_it() -> None:
    basel, lugano = forum(World("basel")), forum(World("lugano"))
    shared = list(basel.log)
    lugano.records, lugano.log = dict(basel.records), list(basel.log)
    basel.carry_out(talk("Basel bucht", slot("09:00")))
    lugano.carry_out(talk("Lugano bucht", slot("09:30")))
    lugano.carry_out(patch("sessions", "Lugano bucht", track="A"))
    ours, theirs = basel.log[len(shared) :], lugano.log[len(shared) :]
    for order in itertools.permutations(ours + theirs):
        world = merged([*shared, *order])
        assert world.states() == {"Basel bucht": "confirmed", "Lugano bucht": "displaced"}
        assert world.value("sessions", "Lugano bucht", "slot") == slot("09:30")
