"""Small worlds: who is there, what may happen to them, and how far.

What bounds a world is named here. What is *not* bounded within it: the order of everything.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import NodeName, Origin, Tenant, record_key
from konkordat.kernel.seat import Decide, Roster, SeatId, SeatSpec
from konkordat.protocol.seats.rules import RULES, Rules

A: Final = Origin("a.1")
B: Final = Origin("b.1")
C: Final = Origin("c.1")
D: Final = Origin("d.1")

ROOM: Final = Resource(Tenant("t"), "room")
SEAT: Final = SeatId("venue/v")


def claim(name: str, start_ms: int, until_ms: int) -> Claim:
    """A claim on the whole room. One writer for both, so that nothing but the name tells two claims apart."""
    id = ClaimId(record_key("t", "sessions", name), "slot")
    return Claim(id, ROOM, start_ms, until_ms, 1, Stamp(Hlc(1), Origin("w.1")))


X: Final = claim("x", 0, 20)
Y: Final = claim("y", 10, 30)
AFTER_X: Final = claim("y", 20, 30)


class Start(StrEnum):
    """How much has happened when the world begins."""

    FRESH = "fresh"  # nothing: nobody ever held the seat
    OPENED = "opened"  # the first node has just opened term 1, and nobody else knows
    SETTLED = "settled"  # all know that it did, and that this is final


class Scope(msgspec.Struct, frozen=True):
    """A world and its bounds."""

    name: str
    nodes: tuple[Origin, ...] = (A, B, C)
    # By version from 1. A node learns the next one at any moment, or never.
    rosters: tuple[tuple[Origin, ...], ...] = ((A, B, C),)
    claims: tuple[Claim, Claim] = (X, Y)
    decide: Decide = Decide.MAJORITY
    term_max: int = 2  # no candidacy beyond
    crashes_max: int = 1
    in_flight_max: int = 4  # heartbeats
    start: Start = Start.SETTLED
    standers: tuple[Origin, ...] = (A, B, C)  # who may lose patience; the others vote
    # Who can talk once the world has begun: groups of nodes. Every cut is also among the runs of a world without one,
    # in which more is possible; a world with one is smaller, and shows sooner what happens on both sides.
    sides: tuple[tuple[Origin, ...], ...] = ()
    delivers_twice: bool = False  # a delivered heartbeat may come again
    releases: bool = False  # the holder may free the first claim once it was granted
    rules: Rules = RULES
    loses_votes: bool = False  # a planted bug of the disk: a crash takes the last vote with it

    def connects(self, one: int, other: int) -> bool:
        """Whether two nodes, by their index, can talk."""
        pair = {self.nodes[one], self.nodes[other]}
        return not self.sides or any(pair <= set(side) for side in self.sides)

    @property
    def spec(self) -> SeatSpec:
        return SeatSpec(SEAT, NodeName("a"), self.decide)

    def roster(self, version: int) -> Roster:
        return Roster(version, tuple(sorted(self.rosters[version - 1])))


TAKEOVER: Final = Scope("takeover", standers=(B,))
DUEL: Final = Scope("duel", standers=(B, C), term_max=3, crashes_max=0)
RETURN: Final = Scope("return", standers=(A, B), term_max=3)
ELECTION: Final = Scope("election", start=Start.FRESH)
# The holder is cut off for good, and goes on; explored to its end.
CUT: Final = Scope("cut off", standers=(B, C), sides=((A,), (B, C)))
# A line of three, the holder and the candidate at its ends: all goes through the one between.
LINE: Final = Scope("line", standers=(C,), crashes_max=0, in_flight_max=1, sides=((A, B), (B, C)))
UNKNOWN: Final = Scope(
    "unknown term", standers=(B,), crashes_max=0, start=Start.OPENED, delivers_twice=True
)
RELEASE: Final = Scope("release", releases=True, crashes_max=0, standers=(B,))
TOUCHING: Final = Scope("touching", claims=(X, AFTER_X), crashes_max=0, standers=(B,))
STRANGER: Final = Scope(
    "stranger",
    (A, B, C, D),
    crashes_max=0,
    standers=(C,),
    sides=((A, B), (A, C), (C, D)),
    in_flight_max=1,
)
# Majorities of the rosters before and after share nobody: with one member each, explored to its end, and three.
REPLACED: Final = Scope(
    "replaced", (A, C), ((A,), (C,)), crashes_max=1, start=Start.OPENED, standers=(A, C)
)
REPLACED_OF_THREE: Final = Scope(
    "replaced of three",
    (A, B, C, D),
    ((A, B, C), (B, C, D)),
    crashes_max=0,
    start=Start.OPENED,
    standers=(D,),
)
JOINED: Final = Scope(
    "joined", (A, B, C), ((A, B), (A, B, C)), crashes_max=0, standers=(B, C), term_max=3
)

SCOPES: Final = {
    scope.name: scope
    for scope in (
        TAKEOVER,
        DUEL,
        RETURN,
        CUT,
        LINE,
        UNKNOWN,
        ELECTION,
        RELEASE,
        TOUCHING,
        STRANGER,
        REPLACED,
        REPLACED_OF_THREE,
        JOINED,
    )
}
