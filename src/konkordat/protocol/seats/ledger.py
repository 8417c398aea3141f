"""What was decided of each claim, by the decisions that count, and which places are taken by it.

What is settled can never be void, so only what came of it is kept, not how. What is not may have to be undone when
another term rules: those decisions are kept, in order, each with what it changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.seat import Decision, Request, Ruling, Verdict, Wish
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
                    self._let_go(id)
                    self._hold(ruling.claim)
                case Verdict.FREED:
                    self._let_go(id)
                case Verdict.DENIED:
                    pass
        self._tail.append(_Taken(decision, at, tuple(before)))
        self.counted += 1

    def undo(self) -> list[ClaimId]:
        """Take back everything that is not settled; the claims concerned."""
        while self._tail:
            for id, claim in reversed(self._tail.pop().before):
                self._let_go(id)
                if claim is not None:
                    self._hold(claim)
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
            self._hold(known.holds)

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

    # Deciding ------------------------------------------------------------------------------------

    def decide(self, request: Request, capacity: Mapping[Resource, int]) -> tuple[Ruling, ...]:
        """Rulings on a request, nothing if it is answered already. Leaves the ledger as it was: what is decided is
        taken when it is written."""
        wishes = [w for w in request.wishes if not self._is_answered(w.claim, request.again)]
        frees = [id for id in request.frees if id in self._held]
        if not wishes and not frees:
            return ()
        if request.lapsed:
            return tuple(self._lapse(wishes))
        trial = _Trial(self)
        rulings = [Ruling(Verdict.FREED, trial.release(id)) for id in frees]
        # A swap needs every old place out of the way before any new one is looked for.
        for wish in wishes:
            trial.set_aside(wish)
        granted: list[Ruling] = []
        denied: list[Ruling] = []
        for wish in wishes:
            ruling = trial.place(wish, capacity)
            (granted if ruling.verdict is Verdict.GRANTED else denied).append(ruling)
        trial.undo()
        if denied:
            return (*rulings, *_all_denied(wishes, denied))
        let_go = [Ruling(Verdict.FREED, claim, (by,)) for claim, by in trial.replaced(wishes)]
        return (*rulings, *let_go, *granted)

    def _lapse(self, wishes: Iterable[Wish]) -> Iterator[Ruling]:
        """Their time is over: nothing stands in the way, and nothing is granted."""
        for wish in wishes:
            held = self._held.get(wish.claim.id)
            if held is not None:
                yield Ruling(Verdict.FREED, held)
            yield Ruling(Verdict.DENIED, wish.claim)

    def _is_answered(self, claim: Claim, again: bool) -> bool:
        verdict = self.answered(claim.id, claim.stamp)
        return verdict is not None and not (again and verdict is Verdict.DENIED)

    def rivals(self, claim: Claim, capacity: int) -> tuple[ClaimId, ...]:
        """What stands in the way of a claim now."""
        places = self._places.get(claim.resource)
        return (places or Places(self._rules)).in_the_way(claim, capacity)

    def _hold(self, claim: Claim) -> None:
        places = self._places.get(claim.resource)
        if places is None:
            places = self._places[claim.resource] = Places(self._rules)
        places.add(claim)
        self._held[claim.id] = claim

    def _let_go(self, id: ClaimId) -> Claim | None:
        claim = self._held.pop(id, None)
        if claim is not None:
            self._places[claim.resource].remove(claim)
        return claim


class _Trial:
    """Places moved for a try, and put back."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._before: dict[ClaimId, Claim | None] = {}

    def _remember(self, id: ClaimId) -> None:
        self._before.setdefault(id, self._ledger.held(id))

    def release(self, id: ClaimId) -> Claim:
        self._remember(id)
        claim = self._ledger._let_go(id)  # noqa: SLF001 - one data structure in two classes
        assert claim is not None
        return claim

    def set_aside(self, wish: Wish) -> None:
        for id in (wish.claim.id, *wish.replaces):
            if self._ledger.held(id) is not None:
                self.release(id)
            self._remember(id)

    def place(self, wish: Wish, capacity: Mapping[Resource, int]) -> Ruling:
        """The first of the claim and its alternatives that fits."""
        for claim in (wish.claim, *wish.alternatives):
            if not self._ledger.rivals(claim, capacity.get(claim.resource, 0)):
                self._remember(claim.id)
                self._ledger._hold(claim)  # noqa: SLF001
                return Ruling(Verdict.GRANTED, claim)
        claim = wish.claim
        against = self._ledger.rivals(claim, capacity.get(claim.resource, 0))
        return Ruling(Verdict.DENIED, claim, against)

    def replaced(self, wishes: Iterable[Wish]) -> list[tuple[Claim, ClaimId]]:
        """What the wishes gave up, beside their own old places, and for what."""
        names = {id: wish.claim.id for wish in wishes for id in wish.replaces}
        found = [(self._before.get(id), by) for id, by in names.items()]
        return [(claim, by) for claim, by in found if claim is not None]

    def undo(self) -> None:
        for id, claim in self._before.items():
            self._ledger._let_go(id)  # noqa: SLF001
            if claim is not None:
                self._ledger._hold(claim)  # noqa: SLF001


def _all_denied(wishes: Iterable[Wish], denied: list[Ruling]) -> list[Ruling]:
    """One wish that cannot be met denies the bundle; the others name what stood in its way."""
    own = {ruling.claim.id: ruling for ruling in denied}
    against = denied[0].against
    return [own.get(w.claim.id) or Ruling(Verdict.DENIED, w.claim, against) for w in wishes]
