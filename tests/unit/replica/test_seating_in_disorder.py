"""Decisions that arrive before what they are about, holders that come and go, seats between which a booking moves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec
import pytest

from konkordat.kernel.claim import Claim, ClaimId, ClaimState, DecidedClaim, Resource
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import Collection, Group, Origin, Tenant, node_of
from konkordat.kernel.record import Record
from konkordat.kernel.seat import SeatId, Verdict
from konkordat.protocol.seats.ledger import Settled
from konkordat.replica.admission import OwnHistoryLostError
from konkordat.replica.claims import SETTLED, held_id
from konkordat.replica.messages import Accepted, Tick
from konkordat.replica.recall import settled_claims, unseen
from konkordat.testing.disk import MemoryDisk
from konkordat.testing.domain import Book, Put, Remove, TrialDomain, Wish, booking, capacity_of
from konkordat.testing.workbench import Bench, Workbench

ROOM = "room/1"
MEMBERS = ("bern", "geneva", "zurich")
HOUR_MS = 3_600_000


def states(table: Workbench, name: str, id: str) -> dict[str, ClaimState]:
    """What a node tells of a booking, by part."""
    claims = table[name].store.claims_of([booking(id)]).get(booking(id), [])
    shown = [decided for decided in claims if SETTLED not in decided.claim.id.part]
    return {decided.claim.id.part: decided.state for decided in shown}


def wish(id: str, resource: str = ROOM, start: int = 0, until: int = 10, **more: object) -> Book:
    return Book(booking(id), resource, start, until, insists=True, wish=Wish(**more))  # type: ignore[arg-type]


def four() -> Workbench:
    """Three members of which zurich holds the seat, and lugano, which is none."""
    table = Workbench(*MEMBERS, "lugano", domain=partial(TrialDomain, "zurich"), members=MEMBERS)
    table.settle(500)
    table.write("zurich", capacity_of(ROOM, 1))
    table.settle(500)
    return table


def booked_through_zurich_alone(
    table: Workbench, id: str, room: str = ROOM, known: bool = False
) -> dict[str, Bench]:
    """Lugano books; only zurich hears of it and decides, and the others hear of that alone. Then both are gone."""
    table.write("lugano", wish(id, room))
    table.lose("lugano", "bern")
    table.lose("lugano", "geneva")
    table.deliver(*table.take("lugano", "zurich"))
    for _ in range(4):  # the decision, the acknowledgements, that it is final
        table.deliver(*table.take("zurich", "bern"), *table.take("zurich", "geneva"))
        table.deliver(*table.take("bern", "zurich"), *table.take("geneva", "zurich"))
    assert states(table, "zurich", id) == {"slot": ClaimState.CONFIRMED}
    for name in ("bern", "geneva"):
        unheard = table[name].record(booking(id)) is None
        assert unheard != known, "or this is not what it is meant to be"
    table.flying.clear()
    return {name: table.nodes.pop(name) for name in ("lugano", "zurich")}


def assert_b_is_refused_and_a_kept(
    table: Workbench, gone: dict[str, Bench], room: str = ROOM
) -> None:
    """The members that are left decide without the others, who then come back and find their place kept."""
    table.write("geneva", wish("b", room))
    table.settle(6_000)
    assert states(table, "geneva", "b") == {"slot": ClaimState.DISPLACED}
    table.nodes |= gone
    table.settle(3_000)
    for name in (*MEMBERS, "lugano"):
        assert states(table, name, "a") == {"slot": ClaimState.CONFIRMED}


def test_a_new_holder_lets_no_place_go_of_which_it_has_not_seen_the_booking() -> None:
    table = four()
    gone = booked_through_zurich_alone(table, "a")
    assert_b_is_refused_and_a_kept(table, gone)


def test_a_new_holder_that_was_started_anew_still_knows_such_a_place() -> None:
    table = four()
    gone = booked_through_zurich_alone(table, "a")
    for name in ("bern", "geneva"):
        table[name].start()
    assert_b_is_refused_and_a_kept(table, gone)


def test_a_place_given_to_a_wish_that_came_and_went_is_not_told_for_ever() -> None:
    """Who heard of the decision first told the place as taken for good, and refused it to everybody."""
    table = four()
    gone = booked_through_zurich_alone(table, "a")
    table.nodes.pop("bern")  # without a majority nobody can decide finally that it is free
    table.nodes["zurich"] = gone["zurich"]
    table.write("zurich", Remove(booking("a")))
    table.deliver(*table.take("zurich", "geneva", "Push"))  # the end comes before the wish
    table.flying.clear()
    del table.nodes["zurich"]
    table.nodes["lugano"] = gone["lugano"]
    table.settle(3_000)
    assert states(table, "geneva", "a") == {}
    assert isinstance(table.write("geneva", Book(booking("b"), ROOM, 0, 10)), Accepted)


def test_a_wish_that_was_denied_stays_denied_for_a_node_that_hears_of_it_late() -> None:
    table = four()
    table.write("zurich", wish("first"))
    table.settle(300)
    table.write("lugano", wish("a"))
    table.lose("lugano", "bern")
    table.lose("lugano", "geneva")
    table.deliver(*table.take("lugano", "zurich"))
    for _ in range(4):
        table.deliver(*table.take("zurich", "bern"), *table.take("zurich", "geneva"))
        table.deliver(*table.take("bern", "zurich"), *table.take("geneva", "zurich"))
    table.flying.clear()
    table["bern"].start()
    table.settle(3_000)
    for name in (*MEMBERS, "lugano"):
        assert states(table, name, "a") == {"slot": ClaimState.DISPLACED}


def test_what_expired_before_it_was_decided_is_told_as_expired() -> None:
    table = four()
    gone = table.nodes.pop("zurich")
    table.write("bern", wish("a", expires_ms=table.clock.now_ms + 500))
    table.settle(6_000)
    assert states(table, "bern", "a") == {"slot": ClaimState.EXPIRED}
    table.nodes["zurich"] = gone
    table.settle(1_000)
    assert states(table, "zurich", "a") == {"slot": ClaimState.EXPIRED}


def test_a_later_wish_is_not_ended_by_the_time_of_the_one_before() -> None:
    table = four()
    table.write("bern", wish("a", expires_ms=table.clock.now_ms + 2_000))
    table.settle(300)
    table.write("bern", wish("a", start=20, until=30))
    table.settle(3_000)
    assert states(table, "bern", "a") == {"slot": ClaimState.CONFIRMED}


def two_seats() -> Workbench:
    """Rooms 0 are decided in zurich, rooms 1 in bern."""
    table = Workbench(*MEMBERS, domain=partial(TrialDomain, ("zurich", "bern")), members=MEMBERS)
    table.settle(500)
    for room in ("room-0", "room-1"):
        table.write("zurich", capacity_of(room, 1))
    table.settle(500)
    return table


def test_a_booking_that_moves_to_another_seat_keeps_its_place_also_if_its_holder_starts_anew() -> (
    None
):
    table = two_seats()
    table.write("geneva", wish("a", "room-0"))
    table.settle(300)
    bern = table.nodes.pop("bern")
    table.write("geneva", wish("a", "room-1"))
    table.settle(300)
    table["zurich"].start()
    table["geneva"].start()
    table.settle(300)
    for name in ("zurich", "geneva"):
        assert states(table, name, "a") == {
            "slot": ClaimState.TENTATIVE,
            "slot@held": ClaimState.CONFIRMED,
        }
    table.nodes["bern"] = bern
    table.settle(2_000)
    for name in MEMBERS:
        assert states(table, name, "a") == {"slot": ClaimState.CONFIRMED}
    assert isinstance(table.write("zurich", Book(booking("b"), "room-0", 0, 10)), Accepted)
    table.settle(500)
    assert states(table, "geneva", "b") == {"slot": ClaimState.CONFIRMED}


def test_a_booking_removed_while_it_moves_lets_go_of_both_places() -> None:
    table = two_seats()
    table.write("geneva", wish("a", "room-0"))
    table.settle(300)
    table.write("geneva", wish("a", "room-1"))
    table.write("geneva", Remove(booking("a")))
    table.settle(500)
    for number, room in enumerate(("room-0", "room-1")):
        table.write("zurich", wish(f"b{number}", room))
    table.settle(500)
    for number in range(2):
        assert states(table, "bern", f"b{number}") == {"slot": ClaimState.CONFIRMED}


def test_a_place_is_let_go_though_the_first_who_did_so_was_not_heard_any_more() -> None:
    table = four()
    table.write("bern", wish("a"))
    table.settle(300)
    table.write("bern", Remove(booking("a")))
    table.deliver(*table.take("bern"))  # zurich lets it go, and nobody hears of that
    table.flying.clear()
    gone = table.nodes.pop("zurich")
    table.settle(6_000)
    table.nodes["zurich"] = gone
    table.settle(1_000)
    table.write("zurich", wish("b"))
    table.settle(500)
    for name in MEMBERS:
        assert states(table, name, "b") == {"slot": ClaimState.CONFIRMED}


def test_a_place_that_was_left_before_it_was_heard_of_is_not_told_as_kept() -> None:
    """Who knew the later wish first went on showing the place of the earlier one."""
    table = four()
    table.write("lugano", wish("a"))
    table.deliver(*table.take("lugano", "zurich"))
    table.flying.clear()
    table.tick(1)
    table.write("bern", wish("a", start=20, until=30))
    table.lose("bern")
    for _ in range(3):  # the first is confirmed, and heard of in bern before its wish
        table.deliver(*table.take("zurich", "geneva"), *table.take("zurich", "bern"))
        table.deliver(*table.take("geneva", "zurich"))
    table.settle(3_000)
    for name in MEMBERS:
        assert states(table, name, "a") == {"slot": ClaimState.CONFIRMED}


def test_a_holder_on_an_old_copy_of_its_disk_says_nothing_before_it_heard_its_peers() -> None:
    """It wrote what was due at once, under numbers that its peers knew with another content."""
    table = four()
    table.write("zurich", wish("a", expires_ms=table.clock.now_ms + 2_000))
    table.settle(500)
    zurich = table["zurich"]
    assert isinstance(zurich.disk, MemoryDisk)
    backup = zurich.disk.backup()
    table.settle(3_000)
    assert states(table, "zurich", "a") == {"slot": ClaimState.EXPIRED}
    zurich.disk.restore(backup)
    zurich.start()
    written = len(zurich.log())
    table.do("zurich", Tick())
    assert len(zurich.log()) == written
    table.lose("zurich")
    table.tick(300)
    with pytest.raises(OwnHistoryLostError):
        table.deliver_all()


def test_the_only_member_on_an_empty_disk_says_no_roster_before_it_heard_who_knows_the_last() -> (
    None
):
    """It founded a second one, and gave places to others that its first incarnation had confirmed."""
    table = Workbench("bern", "zurich", domain=partial(TrialDomain, "zurich"), members=["zurich"])
    table.settle(500)
    table.write("zurich", wish("a"))
    table.settle(500)
    assert states(table, "bern", "a") == {"slot": ClaimState.CONFIRMED}
    zurich = table["zurich"]
    assert isinstance(zurich.disk, MemoryDisk)
    zurich.disk.lose_everything()
    zurich.disk.mint(table.clock.now_ms)
    zurich.connects = True
    zurich.start()
    table.write("zurich", wish("b"))
    for _ in range(100):  # cut off
        table.tick()
        table.lose()
    assert states(table, "zurich", "b") == {"slot": ClaimState.TENTATIVE}
    table.settle(1_000)
    assert states(table, "zurich", "a") == {"slot": ClaimState.CONFIRMED}
    assert states(table, "zurich", "b") == {"slot": ClaimState.TENTATIVE}
    assert not table["bern"].events("roster_conflict")


def test_a_place_at_another_seat_is_known_after_a_start_also_before_the_move_is() -> None:
    """Who had the place before the move was shown there, and the new place was forgotten."""
    rooms = ("room-0", "room-1")
    domain = partial(TrialDomain, ("zurich", "zurich"))
    table = Workbench(*MEMBERS, "lugano", domain=domain, members=MEMBERS)
    table.settle(500)
    for room in rooms:
        table.write("zurich", capacity_of(room, 1))
    table.write("lugano", wish("a", rooms[0]))
    table.settle(500)
    gone = booked_through_zurich_alone(table, "a", rooms[1], known=True)
    for name in ("bern", "geneva"):
        table[name].start()
    assert_b_is_refused_and_a_kept(table, gone, rooms[1])


def test_a_denial_is_known_after_a_start_whatever_places_the_booking_still_has() -> None:
    """It has the latest at one seat, an older one at the other, which then denied it a third: that was forgotten."""
    here, there = SeatId("here"), SeatId("there")
    id = ClaimId(booking("a"), "slot")

    def place(number: int, room: str) -> Claim:
        stamp = Stamp(Hlc(number), Origin("bern.1"))
        return Claim(id, Resource(Tenant("acme"), room), 0, 10, 1, stamp)

    old, kept, wished = place(1, "here-1"), place(2, "there-1"), place(3, "here-2")
    shown = msgspec.structs.replace(kept, id=held_id(id))
    rows = [
        DecidedClaim(wished, ClaimState.DISPLACED),
        DecidedClaim(shown, ClaimState.CONFIRMED),
        *unseen(id, here, Settled(Verdict.DENIED, wished.stamp, old), shown, is_ahead=False),
    ]
    index = {row.claim.id: row for row in rows}
    found = settled_claims(index, lambda of: here if of.name.startswith("here") else there)
    assert {each.seat: (each.settled.verdict, each.settled.holds) for each in found} == {
        here: (Verdict.DENIED, old),
        there: (Verdict.GRANTED, kept),
    }


class Cancelling(TrialDomain):
    """A booking that is cancelled claims nothing."""

    def claims(self, record: Record) -> Sequence[Claim]:
        register = record.fields.get(STATE)
        return () if register is not None and register.value == b'"off"' else super().claims(record)

    def claim_groups(self, collection: Collection) -> frozenset[Group]:
        groups = super().claim_groups(collection)
        return groups | {STATE} if groups else groups


STATE = Group("state")


@pytest.mark.parametrize("restarts", [False, True])
def test_a_denial_is_remembered_where_the_wish_does_not_count_yet(restarts: bool) -> None:
    """Bern takes the cancellation back and geneva does not hear of it before zurich has denied the wish."""
    table = Workbench(*MEMBERS, domain=partial(Cancelling, "zurich"), members=MEMBERS)
    table.settle(500)
    table.write("zurich", wish("a"))
    table.write("zurich", Put(booking("b"), {"state": "off"}))
    table.settle(1_000)
    table.write("bern", Put(booking("b"), {"state": "on"}))
    table.lose("bern", "geneva")
    table.deliver_all()
    table.write("zurich", wish("b"))
    for _ in range(4):
        table.deliver(*table.take("zurich", "geneva", "Push"), *table.take("zurich", "bern"))
        table.deliver(*table.take("bern", "zurich"))
    table.lose()
    assert states(table, "zurich", "b") == {"slot": ClaimState.DISPLACED}
    assert states(table, "geneva", "b") == {}
    if restarts:
        table["geneva"].start()
    table.settle(2_000)
    assert states(table, "geneva", "b") == {"slot": ClaimState.DISPLACED}


def test_what_a_new_term_adopted_is_known_after_a_start_before_it_is_final() -> None:
    """Zurich decides and is gone before that is final; the third starts anew as soon as it hears of the second."""
    table = Workbench(*MEMBERS, domain=partial(TrialDomain, "zurich"), members=MEMBERS)
    table.settle(500)
    table.write("zurich", wish("before", start=100, until=110))
    table.settle(1_000)
    table.write("zurich", wish("a"))
    table.deliver(*table.take("zurich", "bern", "Push"), *table.take("zurich", "geneva", "Push"))
    table.nodes.pop("zurich")
    table.lose("", "zurich")
    started: set[str] = set()
    for _ in range(60):
        table.tick()
        while table.flying:
            frame = table.flying.pop(0)
            table.deliver(frame)
            if frame.receiver not in started and has_followed(table, frame.receiver, frame.sender):
                table[frame.receiver].start()
                started.add(frame.receiver)
    assert len(started) == 1
    for name in ("bern", "geneva"):
        assert states(table, name, "a") == {"slot": ClaimState.CONFIRMED}


def has_followed(table: Workbench, name: str, holder: str) -> bool:
    """Whether a node knows that another one has opened the second term of the only seat."""
    view = table[name].replica.status(table.clock.now_ms).seating
    assert view is not None
    return any(
        s.term == 2 and s.holder is not None and node_of(s.holder) == holder for s in view.seats
    )


# Who waits, while its denial is not final ------------------------------------------------------


def denied_for_now(table: Workbench) -> None:
    """The room is full; somebody waits for it, whose denial only zurich knows."""
    table.write("zurich", wish("a"))
    table.settle(500)
    table.write("zurich", wish("b", waits=True))
    assert states(table, "zurich", "b") == {"slot": ClaimState.TENTATIVE}


def test_a_place_that_comes_free_before_the_denial_is_final_goes_to_who_waits() -> None:
    table = four()
    denied_for_now(table)
    table.write("zurich", Remove(booking("a")))
    table.settle(1_000)
    for name in (*MEMBERS, "lugano"):
        assert states(table, name, "b") == {"slot": ClaimState.CONFIRMED}


def test_a_room_that_grows_before_the_denial_is_final_has_a_place_for_who_waits() -> None:
    table = four()
    denied_for_now(table)
    table.write("zurich", capacity_of(ROOM, 2))
    table.settle(1_000)
    assert states(table, "bern", "b") == {"slot": ClaimState.CONFIRMED}


def test_the_next_holder_makes_the_denial_final_and_gives_the_place_that_came_free() -> None:
    table = four()
    denied_for_now(table)
    table.write("zurich", Remove(booking("a")))
    table.deliver(*table.take("zurich", kind="Push"))
    table.flying.clear()
    del table.nodes["zurich"]
    table.settle(9_000)
    assert states(table, "geneva", "b") == {"slot": ClaimState.CONFIRMED}


def test_the_next_holder_gives_a_place_that_came_free_while_no_holder_heard_of_it() -> None:
    table = four()
    denied_for_now(table)
    table.deliver(*table.take("zurich", kind="Push"))
    table.write("geneva", capacity_of(ROOM, 2))
    table.lose("geneva", kind="Push")
    table.deliver(*table.take("geneva", "zurich"))
    table.tick()
    table.deliver(*table.take("zurich"))
    assert states(table, "geneva", "b") == {"slot": ClaimState.DISPLACED}
    table.flying.clear()
    del table.nodes["zurich"]
    table.settle(9_000)
    assert states(table, "geneva", "b") == {"slot": ClaimState.CONFIRMED}
