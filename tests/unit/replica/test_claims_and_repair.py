"""Claims are decided alike everywhere, and data that went different at equal frontiers is found and repaired."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from konkordat.kernel.claim import ClaimState
from konkordat.kernel.digest import EMPTY, summary_of
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import Group, NodeName, Origin, RecordKey
from konkordat.kernel.policy import Register
from konkordat.kernel.record import Record
from konkordat.kernel.refusal import Refusal
from konkordat.protocol.comparison import PAUSE_MS
from konkordat.replica.messages import Accepted, Received
from konkordat.store.port import RecordWrite, WriteSet
from konkordat.testing.domain import Book, Put, Remove, booking, capacity_of, item
from konkordat.testing.workbench import Bench, Workbench
from konkordat.wire.messages import Fetch, Goodbye, States

HOUR = 3_600_000
ROOM = "room-1"


def book(name: str, start: int, until: int, insists: bool = False, room: str = ROOM) -> Book:
    return Book(booking(name), room, start * HOUR, until * HOUR, 1, insists)


def states(node: Bench, *names: str) -> dict[str, str]:
    """The decisions on these bookings as the store has them."""
    found = node.store.claims_of([booking(name) for name in names])
    return {key.id: claims[0].state.value for key, claims in found.items() if claims}


@pytest.fixture
def pair() -> Workbench:
    bench = Workbench("zurich", "bern")
    bench.settle()
    return bench


# Claims ---------------------------------------------------------------------------------------------


def test_a_place_that_is_taken_is_refused_with_what_stands_in_the_way(pair: Workbench) -> None:
    pair.write("zurich", book("first", 9, 10))
    pair.deliver_all()
    outcome = pair.write("bern", book("second", 9, 11))
    assert isinstance(outcome, Refusal)
    assert [claim.id.owner for claim in outcome.conflicts] == [booking("first")]


def test_what_only_meets_its_neighbour_fits(pair: Workbench) -> None:
    pair.write("zurich", book("first", 9, 10))
    outcome = pair.write("zurich", book("second", 10, 11))
    assert isinstance(outcome, Accepted)
    assert [d.state for d in outcome.claims] == [ClaimState.CONFIRMED]


def test_of_two_bookings_on_both_sides_of_a_cut_the_earlier_keeps_its_place(
    pair: Workbench,
) -> None:
    pair.write("zurich", book("first", 9, 10))
    pair.clock.advance(5)
    pair.write("bern", book("second", 9, 10))
    pair.lose()
    pair.settle()
    for node in pair.nodes.values():
        assert states(node, "first", "second") == {"first": "confirmed", "second": "displaced"}
        (displaced,) = node.store.claims_of([booking("second")])[booking("second")]
        assert [claim.owner for claim in displaced.against] == [booking("first")]


def test_the_displaced_gets_its_place_when_the_other_goes(pair: Workbench) -> None:
    pair.write("zurich", book("first", 9, 10))
    pair.write("zurich", book("second", 9, 10, insists=True))
    pair.write("zurich", Remove(booking("first")))
    pair.settle()
    for node in pair.nodes.values():
        assert states(node, "first", "second") == {"second": "confirmed"}


def test_more_capacity_decides_anew(pair: Workbench) -> None:
    for number in range(3):
        pair.write("zurich", book(f"b{number}", 9, 10, insists=True))
    pair.settle()
    pair.write("bern", capacity_of(ROOM, 2))
    pair.settle()
    for node in pair.nodes.values():
        decided = states(node, "b0", "b1", "b2")
        assert decided == {"b0": "confirmed", "b1": "confirmed", "b2": "displaced"}


def test_a_chain_of_overlaps_is_decided_alike_in_every_order_of_arrival() -> None:
    """An early claim that arrives last turns over everything that hangs together with it."""
    wishes = [("a", 1, 3), ("b", 2, 5), ("c", 4, 7), ("d", 6, 9)]
    names = [name for name, _, _ in wishes]
    results = set()
    for order in itertools.permutations(range(4)):
        bench = Workbench("n0", "n1", "n2", "n3", "judge")
        for number, (name, start, until) in enumerate(wishes):
            bench.clock.advance(1)
            bench.write(f"n{number}", book(name, start, until, insists=True))
        for number in order:
            bench.deliver(*bench.take(sender=f"n{number}", receiver="judge"))
        results.add(tuple(sorted(states(bench["judge"], *names).items())))
    assert results == {
        (("a", "confirmed"), ("b", "displaced"), ("c", "confirmed"), ("d", "displaced"))
    }


def test_moving_a_booking_frees_its_old_place(pair: Workbench) -> None:
    pair.write("zurich", book("first", 9, 10))
    pair.write("zurich", book("second", 9, 10, insists=True))
    pair.write("zurich", book("first", 14, 15))
    pair.settle()
    for node in pair.nodes.values():
        assert states(node, "first", "second") == {"first": "confirmed", "second": "confirmed"}


@pytest.mark.parametrize(
    "slot", [None, 7, "x", [], ["r", 1], ["r", 5, 5, 1], ["r", 0, 1 << 62, 1], [1, 2, 3, 4]]
)
def test_what_is_no_slot_claims_nothing_and_stops_nobody(pair: Workbench, slot: Any) -> None:
    pair.write("zurich", Put(booking("odd"), {"slot": slot}))
    pair.settle()
    assert states(pair["bern"], "odd") == {}


# Repair ---------------------------------------------------------------------------------------------


def plant(node: Bench, record: Record) -> None:
    """Change a record behind the replica's back, digests and all: as if it had been merged wrongly."""
    before = summary_of(node.store.load([record.key]).get(record.key))
    write = RecordWrite(record, before, summary_of(record), "")
    node.store.commit(WriteSet(node.store.book.hlc, records=(write,)))
    node.start()


def record_of(key: RecordKey, title: bytes, hlc: int, origin: str) -> Record:
    stamp = Stamp(Hlc(hlc), Origin(origin))
    return Record(key, 1, {Group("title"): Register(stamp, title)}, stamp, stamp)


def test_a_difference_at_equal_frontiers_is_found_told_and_repaired(pair: Workbench) -> None:
    for number in range(40):
        pair.write("zurich", Put(item(f"i{number:02}"), {"title": str(number)}))
    pair.settle()
    plant(pair["bern"], record_of(item("i07"), b'"wrong"', 1, "bern.1"))
    assert not pair.agree()
    pair.settle()
    assert pair["bern"].values(item("i07")) == {"title": "7"}
    assert pair["bern"].events("digest_mismatch")
    (repaired,) = pair["bern"].events("records_repaired")
    assert repaired.fields["keys"] == ["acme/items/i07"]


def test_a_record_that_should_not_be_there_ends_up_on_both(pair: Workbench) -> None:
    pair.write("zurich", Put(item("a"), {"title": "a"}))
    pair.settle()
    plant(pair["bern"], record_of(item("ghost"), b'"boo"', 1, "bern.1"))
    pair.settle()
    assert pair["zurich"].values(item("ghost")) == {"title": "boo"}


def test_a_difference_among_many_records_is_found_by_descending(pair: Workbench) -> None:
    for start in range(0, 3_000, 500):
        commands = [
            pair.command(Put(item(f"i{number:05}"), {"title": "x"}))
            for number in range(start, start + 500)
        ]
        pair.write_all("zurich", commands)
    pair.settle()
    for number in (3, 1_500, 1_501, 2_999):
        plant(pair["bern"], record_of(item(f"i{number:05}"), b'"wrong"', 1, "bern.1"))
    began = len(pair["zurich"].effects)
    pair.settle()
    asked = [e for e in pair["zurich"].effects[began:] if type(e).__name__ == "Sent"]
    assert len(asked) < 20
    assert pair.agree()


def test_a_repaired_booking_is_decided_anew(pair: Workbench) -> None:
    pair.write("zurich", book("first", 9, 10))
    pair.write("zurich", book("second", 9, 10, insists=True))
    pair.settle()
    key = booking("first")
    (record,) = pair["bern"].store.load([key]).values()
    plant(pair["bern"], msgspec.structs.replace(record, life=2, fields={}))
    told = len(pair["zurich"].feed())
    pair.settle()
    assert states(pair["zurich"], "first", "second") == {"second": "confirmed"}
    (news,) = pair["zurich"].feed()[told:]
    assert [(d.claim.id.owner.id, d.state) for d in news.claims] == [("second", "confirmed")]
    assert [id.owner for id in news.gone] == list(news.records) == [key]


def test_a_claim_that_a_wrong_record_left_behind_goes_with_the_repair(pair: Workbench) -> None:
    """Bern's record of the booking lost its slot, but the place stayed taken. Then the booking is cancelled."""
    pair.write("zurich", book("first", 9, 10))
    pair.settle()
    key = booking("first")
    (record,) = pair["bern"].store.load([key]).values()
    plant(pair["bern"], msgspec.structs.replace(record, fields={}))
    pair.settle()
    pair.write("zurich", Remove(key))
    pair.settle()
    assert states(pair["zurich"], "first") == states(pair["bern"], "first") == {}
    assert isinstance(pair.write("bern", book("second", 9, 10)), Accepted)


def test_states_that_nobody_asked_for_change_nothing(pair: Workbench) -> None:
    pair.write("zurich", Put(item("a"), {"title": "a"}))
    pair.settle()
    forged = record_of(item("a"), b'"forged"', 1 << 60, "mallory.1")
    frontier = pair["bern"].replica.status(pair.clock.now_ms).frontier
    pair.do("bern", Received(NodeName("zurich"), States(1, frontier, (forged,))))
    assert pair["bern"].values(item("a")) == {"title": "a"}


def test_a_difference_while_batches_are_on_their_way_is_no_alarm(pair: Workbench) -> None:
    for number in range(20):
        pair.write("zurich", Put(item(f"i{number}"), {"title": "x"}))
        pair.tick()
        pair.lose(kind="Push")
        pair.deliver_all()
    pair.settle()
    for node in pair.nodes.values():
        assert not node.events("digest_mismatch")


def test_a_comparison_is_not_begun_again_at_once(pair: Workbench) -> None:
    pair.write("zurich", Put(item("a"), {"title": "a"}))
    pair.settle()
    plant(pair["bern"], record_of(item("ghost"), b'"boo"', 1, "bern.1"))
    for _ in range(PAUSE_MS // 50 - 10):
        pair.tick()
        pair.deliver(*pair.take(kind="Heartbeat"))
        pair.lose()
    for node in pair.nodes.values():
        assert len(node.events("digest_mismatch")) == 1
    pair.settle()


def test_records_too_large_for_one_answer_are_fetched_in_turns(pair: Workbench) -> None:
    """Forty large records differ: more than one frame holds."""
    for number in range(40):
        pair.write("zurich", Put(item(f"i{number:02}"), {"title": "x" * (200 << 10)}))
        pair.deliver_all()
    pair.settle()
    for number in range(40):
        plant(pair["bern"], record_of(item(f"i{number:02}"), b'"wrong"', 1, "bern.1"))
    pair.settle()
    assert pair.agree()


def test_asking_for_unknown_records_is_answered_with_none(pair: Workbench) -> None:
    effects = pair.do("bern", Received(NodeName("zurich"), Fetch(1, (item("nobody"),))))
    assert [e.message.records for e in effects if isinstance(getattr(e, "message", 0), States)] == [
        ()
    ]


def test_a_goodbye_is_believed_at_once(pair: Workbench) -> None:
    pair.do("bern", Received(NodeName("zurich"), Goodbye("stopped")))
    (peer,) = pair["bern"].replica.status(pair.clock.now_ms).peers
    assert not peer.alive
    assert peer.health == "lost"
    assert pair["bern"].replica.status(pair.clock.now_ms).root == EMPTY
