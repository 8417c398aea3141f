"""What was decided of each claim, by the decisions that count, and which places are taken by it.

Built anew when another term rules, extended by one decision at a time otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

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


class Ruled(NamedTuple):
    ruling: Ruling
    at: Position


class Ledger:
    """Rulings by claim, places by resource."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._places: dict[Resource, Places] = {}
        self._held: dict[ClaimId, Claim] = {}
        self.ruled: dict[ClaimId, list[Ruled]] = {}  # in the order of deciding

    def take(self, decision: Decision, at: Position) -> None:
        """A decision that counts, in the order of terms and logs."""
        for ruling in decision.rulings:
            self.ruled.setdefault(ruling.claim.id, []).append(Ruled(ruling, at))
            match ruling.verdict:
                case Verdict.GRANTED:
                    self._let_go(ruling.claim.id)
                    self._hold(ruling.claim)
                case Verdict.FREED:
                    self._let_go(ruling.claim.id)
                case Verdict.DENIED:
                    pass

    def held(self, id: ClaimId) -> Claim | None:
        """The place that the claim has by what was decided so far, final or not."""
        return self._held.get(id)

    def all_held(self) -> list[ClaimId]:
        """Every claim that has a place."""
        return list(self._held)

    def answered(self, id: ClaimId, stamp: Stamp) -> Ruling | None:
        """The latest ruling, if it is on the wish of that stamp."""
        ruled = self.ruled.get(id)
        latest = ruled[-1].ruling if ruled else None
        return latest if latest is not None and latest.claim.stamp == stamp else None

    # Deciding ------------------------------------------------------------------------------------

    def decide(self, request: Request, capacity: Mapping[Resource, int]) -> tuple[Ruling, ...]:
        """Rulings on a request, nothing if it is answered already. Leaves the ledger as it was: what is decided is
        taken when it is written."""
        wishes = [w for w in request.wishes if not self._is_answered(w.claim, request.again)]
        frees = [id for id in request.frees if id in self._held]
        if not wishes and not frees:
            return ()
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
        let_go = [Ruling(Verdict.FREED, claim) for claim in trial.replaced(wishes)]
        return (*rulings, *let_go, *granted)

    def _is_answered(self, claim: Claim, again: bool) -> bool:
        ruling = self.answered(claim.id, claim.stamp)
        return ruling is not None and not (again and ruling.verdict is Verdict.DENIED)

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

    def replaced(self, wishes: Iterable[Wish]) -> list[Claim]:
        """What the wishes gave up, beside their own old places."""
        names = {id: None for wish in wishes for id in wish.replaces}
        return [claim for id in names if (claim := self._before.get(id)) is not None]

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
