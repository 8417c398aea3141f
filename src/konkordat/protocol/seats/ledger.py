"""What was decided of each claim, by the decisions that count, and which places are taken by it.

What is settled can never be void, so only what came of it is kept, not how. What is not may have to be undone when
another term rules: those decisions are kept, in order, each with what it changed.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import msgspec

from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.seat import Decision, Ruling, Verdict
from konkordat.protocol.seats.history import TermKey
from konkordat.protocol.seats.places import Places
from konkordat.protocol.seats.rules import Rules


class Position(NamedTuple):
    """Where a decision stands: which term, and in which batch of its holder's log."""

    key: TermKey
    seq: int

    def is_up_to(self, other: Position) -> bool:
        """It counts before another one, or is that one: terms count one after the other."""
        if self.key == other.key:
            return self.seq <= other.seq
        return self.key.term < other.key.term


class Ruled(NamedTuple):
    ruling: Ruling
    at: Position


class Settled(msgspec.Struct, frozen=True, gc=False):
    """What came of a claim."""

    verdict: Verdict
    stamp: Stamp  # of the wish that was answered last
    holds: Claim | None  # the place it has, also while a later wish of it was denied
    against: tuple[ClaimId, ...] = ()

    def after(self, ruling: Ruling) -> Settled:
        """What comes of it by one more ruling."""
        if ruling.verdict is Verdict.FREED and self._is_of_denied_move(ruling):
            return msgspec.structs.replace(self, holds=None)  # what was denied stays denied
        return settled(ruling, self.holds)

    def _is_of_denied_move(self, ruling: Ruling) -> bool:
        """True if the ruling is about the place that a claim kept when it was denied another."""
        return self.verdict is Verdict.DENIED and self.stamp != ruling.claim.stamp


def settled(ruling: Ruling, holds: Claim | None = None) -> Settled:
    """What comes of a claim that had a place, or none, by a ruling."""
    match ruling.verdict:
        case Verdict.GRANTED:
            return Settled(Verdict.GRANTED, ruling.claim.stamp, ruling.claim)
        case Verdict.DENIED:
            return Settled(Verdict.DENIED, ruling.claim.stamp, holds, ruling.against)
        case Verdict.FREED:
            return Settled(Verdict.FREED, ruling.claim.stamp, None, ruling.against)


class _Taken(NamedTuple):
    """A decision that counts and is not settled, with the places as they were before it."""

    decision: Decision
    at: Position
    before: tuple[tuple[ClaimId, Claim | None], ...]


class Ledger:
    """Rulings by claim, places by resource."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._places: dict[Resource, Places] = {}
        self._held: dict[ClaimId, Claim] = {}
        self._tail: deque[_Taken] = deque()
        self.unsettled: dict[ClaimId, list[Ruled]] = {}  # rulings of the tail, in order
        self.settled: dict[ClaimId, Settled] = {}
        self.counted = 0  # decisions that were taken and not undone

    def take(self, decision: Decision, at: Position) -> None:
        """A decision that counts, in the order of terms and logs."""
        before: list[tuple[ClaimId, Claim | None]] = []
        for ruling in decision.rulings:
            id = ruling.claim.id
            before.append((id, self._held.get(id)))
            self.unsettled.setdefault(id, []).append(Ruled(ruling, at))
            match ruling.verdict:
                case Verdict.GRANTED:
                    self.let_go(id)
                    self.hold(ruling.claim)
                case Verdict.FREED:
                    self.let_go(id)
                case Verdict.DENIED:
                    pass
        self._tail.append(_Taken(decision, at, tuple(before)))
        self.counted += 1

    def undo(self) -> list[ClaimId]:
        """Take back everything that is not settled; the claims concerned."""
        while self._tail:
            for id, claim in reversed(self._tail.pop().before):
                self.let_go(id)
                if claim is not None:
                    self.hold(claim)
            self.counted -= 1
        concerned, self.unsettled = list(self.unsettled), {}
        return concerned

    def settle(self, upto: Position) -> list[ClaimId]:
        """Everything up to there, and all of earlier terms, is settled; the claims concerned."""
        concerned: list[ClaimId] = []
        while self._tail and self._tail[0].at.is_up_to(upto):
            for ruling in self._tail.popleft().decision.rulings:
                id = ruling.claim.id
                concerned.append(id)
                before = self.settled.get(id)
                self.settled[id] = before.after(ruling) if before else settled(ruling)
                waiting = self.unsettled[id]
                del waiting[0]
                if not waiting:
                    del self.unsettled[id]
        return concerned

    def preset(self, id: ClaimId, known: Settled) -> None:
        """What is known to be settled, before any decision is taken."""
        assert not self._tail
        self.settled[id] = known
        if known.holds is not None:
            self.hold(known.holds)

    def forget(self, id: ClaimId) -> None:
        """Nobody asks for the claim any more, and it has no place."""
        if id not in self._held and id not in self.unsettled:
            self.settled.pop(id, None)

    def held(self, id: ClaimId) -> Claim | None:
        """The place that the claim has by what was decided so far, final or not."""
        return self._held.get(id)

    def all_held(self) -> list[ClaimId]:
        """Every claim that has a place."""
        return list(self._held)

    def answered(self, id: ClaimId, stamp: Stamp) -> Verdict | None:
        """The latest verdict, final or not, if it is on the wish of that stamp."""
        known = self._known(id)
        return known.verdict if known is not None and known.stamp == stamp else None

    def answered_last(self, id: ClaimId) -> Stamp | None:
        """The wish of the claim that was answered last, finally or not."""
        known = self._known(id)
        return known.stamp if known is not None else None

    def _known(self, id: ClaimId) -> Settled | None:
        """What came of a claim by all that was decided so far, final or not."""
        known = self.settled.get(id)
        for ruled in self.unsettled.get(id, ()):
            known = known.after(ruled.ruling) if known else settled(ruled.ruling)
        return known

    # Places ---------------------------------------------------------------------------------------

    def rivals(self, claim: Claim, capacity: int) -> tuple[ClaimId, ...]:
        """What stands in the way of a claim now."""
        places = self._places.get(claim.resource)
        return (places or Places(self._rules)).in_the_way(claim, capacity)

    def hold(self, claim: Claim) -> None:
        """A claim has its place."""
        places = self._places.get(claim.resource)
        if places is None:
            places = self._places[claim.resource] = Places(self._rules)
        places.add(claim)
        self._held[claim.id] = claim

    def let_go(self, id: ClaimId) -> Claim | None:
        """A claim has its place no more. The place, if it had one."""
        claim = self._held.pop(id, None)
        if claim is not None:
            self._places[claim.resource].remove(claim)
        return claim
