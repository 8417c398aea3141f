"""Entries about seats as bytes, and the order of candidates."""

from __future__ import annotations

import pytest

from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import NodeName, Origin, Tenant, record_key
from konkordat.kernel.seat import (
    RULINGS_MAX,
    Candidacy,
    Decide,
    Decision,
    Finality,
    Handover,
    Link,
    Opening,
    Ruling,
    SeatId,
    UnreadableEntry,
    Verdict,
    Vote,
    candidates,
    decode,
    encode,
)

SEAT = SeatId("venue/v")
A, B = Origin("a.1"), Origin("b.1")
CLAIM = Claim(
    ClaimId(record_key("t", "sessions", "x"), "slot"),
    Resource(Tenant("t"), "room"),
    0,
    10,
    1,
    Stamp(Hlc(7), A),
)
RULING = Ruling(Verdict.GRANTED, CLAIM)


@pytest.mark.parametrize(
    "entry",
    [
        Candidacy(SEAT, 1, 1),
        Vote(SEAT, 1, A, 1, ((A, 3), (B, 4))),
        Opening(SEAT, 2, 1, Decide.MAJORITY, Link(1, A, 9), (A, B)),
        Opening(SEAT, 1, 1, Decide.HOME, None, (A,)),
        Decision(SEAT, 1, (RULING, Ruling(Verdict.DENIED, CLAIM, (CLAIM.id,)))),
        Finality(SEAT, 1, 12),
        Handover(SEAT, 0, NodeName("b")),
    ],
    ids=lambda entry: type(entry).__name__,
)
def test_an_entry_survives_its_bytes(entry) -> None:
    assert decode(encode(entry)) == entry


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"null",
        b'{"is":"coup","seat":"s","term":1}',
        b"\xff",
        encode(Candidacy(SEAT, 0, 1)),
        encode(Candidacy(SEAT, 1 << 60, 1)),
        encode(Candidacy(SeatId(""), 1, 1)),
        encode(Candidacy(SeatId("s" * 300), 1, 1)),
        encode(Decision(SEAT, 1, ())),
        encode(Decision(SEAT, 1, (RULING,) * (RULINGS_MAX + 1))),
        encode(Vote(SEAT, 1, A, 1, tuple((Origin(f"n{i}.1"), 1) for i in range(300)))),
        encode(Opening(SEAT, 1, 1, Decide.HOME, None, (A,) * 65)),
    ],
)
def test_what_is_no_entry_is_refused_by_name(raw: bytes) -> None:
    with pytest.raises(UnreadableEntry):
        decode(raw)


def test_home_stands_first_and_seats_of_a_lost_node_spread_over_the_others() -> None:
    members = [Origin(f"{name}.1") for name in ("a", "b", "c", "d")]
    orders = [candidates(SeatId(f"venue/{i}"), NodeName("b"), members) for i in range(60)]
    assert {order[0] for order in orders} == {Origin("b.1")}
    assert {order[1] for order in orders} == {Origin("a.1"), Origin("c.1"), Origin("d.1")}


def test_the_order_of_candidates_does_not_depend_on_the_order_of_members() -> None:
    members = [Origin(f"{name}.1") for name in ("a", "b", "c", "d")]
    home = NodeName("z")
    assert candidates(SEAT, home, members) == candidates(SEAT, home, reversed(members))
