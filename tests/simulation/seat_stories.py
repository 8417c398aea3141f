"""A true history of a seat, written by hand, of which each test of its judge spoils one thing.

Zurich holds the seat. Bern books a place as `a`, which is confirmed; then as `b`, which is denied because of `a`; then
moves `a`, and books the place again as `c`.
"""

from __future__ import annotations

from collections.abc import Iterable

from konkordat.kernel import canonical
from konkordat.kernel.change import NO_HASH, Batch, Change, SealedBatch, Transaction
from konkordat.kernel.claim import Claim, ClaimId, ClaimState, DecidedClaim, Resource
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import Group, Origin, RecordKey, Tenant
from konkordat.kernel.seat import (
    Candidacy,
    Decide,
    Decision,
    Entry,
    Finality,
    Opening,
    Roster,
    Ruling,
    SeatId,
    Verdict,
)
from konkordat.replica.seat_log import entry_changes, roster_change
from konkordat.testing.domain import SLOT, booking
from konkordat.testing.history import Agreed, Constituted, Final, Healed, History, Read, Wrote
from konkordat.wire.batches import seal
from simulation.stories import (
    BERN,
    OF_BERN,
    OF_ZURICH,
    ZURICH,
    asked,
    at,
    final,
    started,
    us,
    wrote,
)

SEAT = SeatId("tenant-0/resources")
ROOM = Resource(Tenant("tenant-0"), "room")
KEY_A, KEY_B, KEY_C = (booking(id, "tenant-0") for id in "abc")


class Log:
    """One node's log in the making."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.batches: list[SealedBatch] = []

    def say(self, second: int, *entries: Entry) -> SealedBatch:
        """Of a seat."""
        (changes,) = entry_changes(entries)
        return self.write(second, changes)

    def write(self, second: int, changes: Iterable[Change], cause: str = "") -> SealedBatch:
        actor = "key:c" if cause else f"node:{self._origin.partition('.')[0]}"
        previous = self.batches[-1].hash if self.batches else NO_HASH
        transaction = Transaction(at(second), tuple(changes), actor, cause)
        batch = Batch(self._origin, len(self.batches) + 1, previous, (transaction,))
        self.batches.append(seal(batch))
        return self.batches[-1]

    def book(self, second: int, key: RecordKey, start: int, cause: str) -> SealedBatch:
        slot = canonical.encode(["room", start, start + 10, 1])
        return self.write(second, [Change(key, 1, {Group(SLOT): slot})], cause)


def claim(key: RecordKey, start: int, second: int) -> Claim:
    id, stamp = ClaimId(key, SLOT), Stamp(at(second), OF_BERN)
    return Claim(id, ROOM, start, start + 10, 1, stamp)


A, B = claim(KEY_A, 0, 3), claim(KEY_B, 5, 6)
MOVED, C = claim(KEY_A, 20, 9), claim(KEY_C, 0, 12)


def tentative(wish: Claim) -> DecidedClaim:
    return DecidedClaim(wish, ClaimState.TENTATIVE)


def confirmed(wish: Claim) -> DecidedClaim:
    return DecidedClaim(wish, ClaimState.CONFIRMED)


def displaced(wish: Claim, by: Claim) -> DecidedClaim:
    return DecidedClaim(wish, ClaimState.DISPLACED, (by.id,))


def granted(wish: Claim) -> Decision:
    return Decision(SEAT, 1, (Ruling(Verdict.GRANTED, wish),))


def read(second: float, key: RecordKey, *claims: DecidedClaim) -> Read:
    """Somebody looks at a booking in Zurich."""
    return Read(us(second), "c", ZURICH, key.tenant, {}, None, {}, claims)


_bern, _zurich = Log(OF_BERN), Log(OF_ZURICH)
_roster = _zurich.write(1, [roster_change(Roster(1, (OF_BERN, OF_ZURICH)))])
_opened = _zurich.say(
    2,
    Candidacy(SEAT, 1, 1),
    Opening(SEAT, 1, 1, Decide.MAJORITY, None, (OF_BERN, OF_ZURICH)),
)
_a = _bern.book(3, KEY_A, 0, "c/1")
_grants_a = _zurich.say(4, granted(A))
_final_a = _zurich.say(5, Finality(SEAT, 1, 3))
_b = _bern.book(6, KEY_B, 5, "c/2")
_denies_b = _zurich.say(7, Decision(SEAT, 1, (Ruling(Verdict.DENIED, B, (A.id,)),)))
_final_b = _zurich.say(8, Finality(SEAT, 1, 5))
_moved = _bern.book(9, KEY_A, 20, "c/3")
_moves = _zurich.say(10, granted(MOVED))
_final_move = _zurich.say(11, Finality(SEAT, 1, 7))
_c = _bern.book(12, KEY_C, 0, "c/4")
_grants_c = _zurich.say(13, granted(C))
_final_c = _zurich.say(14, Finality(SEAT, 1, 9))

# In the order in which they were made, each with what it lets Zurich tell.
STEPS: list[tuple[SealedBatch, tuple[DecidedClaim, ...]]] = [
    (_roster, ()),
    (_opened, ()),
    (_a, (tentative(A),)),
    (_grants_a, ()),
    (_final_a, (confirmed(A),)),
    (_b, (tentative(B),)),
    (_denies_b, ()),
    (_final_b, (displaced(B, A),)),
    (_moved, (tentative(MOVED),)),
    (_moves, ()),
    (_final_move, (confirmed(MOVED),)),
    (_c, (tentative(C),)),
    (_grants_c, ()),
    (_final_c, (confirmed(C),)),
]
INDEX = (confirmed(MOVED), displaced(B, A), confirmed(C))
ALL = tuple([batch for batch, _ in STEPS])


def wrotes() -> list[Wrote]:
    """Zurich takes one batch after the other, second by second."""
    return [
        wrote(ZURICH, 1 + number, [batch], ALL[:number], claims)
        for number, (batch, claims) in enumerate(STEPS)
    ]


def finals(*claims: DecidedClaim) -> list[Final]:
    """Both nodes have everything, and tell this."""
    return [final(node, *ALL, claims=claims) for node in (ZURICH, BERN)]


def true_history() -> History:
    keys = {1: KEY_A, 2: KEY_B, 3: KEY_A, 4: KEY_C}
    return [
        Constituted(us(0), (BERN, ZURICH)),
        started(ZURICH, 0),
        started(BERN, 0),
        *[
            asked("c", 0.5, f"c/{number}", BERN, key, body=str(number))
            for number, key in keys.items()
        ],
        *wrotes(),
        read(14.5, KEY_A, confirmed(MOVED)),
        Healed(us(16)),
        Agreed(us(17)),
        *finals(*INDEX),
    ]
