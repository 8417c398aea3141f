"""What the holder of a seat rules on requests, one after the other, before it is written.

Requests that come together are answered by one decision: each has its own rulings in it, and it costs every node less
to take in than as many decisions. They share a batch of the log either way, so they count together or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.seat import RULINGS_MAX, Request, Ruling, Verdict, Wish
from konkordat.protocol.seats.ledger import Ledger


class Deliberation:
    """Places as they will be. `conclude` puts them back: what is decided is taken when it is written."""

    def __init__(self, ledger: Ledger, capacity: Mapping[Resource, int]) -> None:
        self._ledger = ledger
        self._capacity = capacity
        self._trial = _Trial(ledger)
        self._rulings: list[Ruling] = []
        self._ruled: set[ClaimId] = set()  # asked for membership alone

    def has_room(self, request: Request) -> bool:
        """Whether a request can be answered by the same decision as those before it: if there is room for all that may
        be ruled on it, and none of them was about the same claims."""
        claims = [wish.claim.id for wish in request.wishes]
        others = [*request.frees, *(id for wish in request.wishes for id in wish.replaces)]
        # A wish whose time is over lets its place go, and is denied.
        most = len(claims) * (2 if request.lapsed else 1) + len(others)
        fits = len(self._rulings) + most <= RULINGS_MAX
        return fits and self._ruled.isdisjoint(claims) and self._ruled.isdisjoint(others)

    def add(self, request: Request) -> None:
        """Rule on a request; nothing if it is answered already."""
        rulings = self._rule(request)
        self._rulings += rulings
        self._ruled.update(ruling.claim.id for ruling in rulings)

    def conclude(self) -> tuple[Ruling, ...]:
        """All rulings. The ledger is as it was."""
        rulings = tuple(self._rulings)
        self._rulings.clear()
        self._ruled.clear()
        self._trial.undo()
        return rulings

    def _rule(self, request: Request) -> list[Ruling]:
        ledger = self._ledger
        wishes = [w for w in request.wishes if not self._is_answered(w.claim, request.again)]
        frees = [id for id in request.frees if ledger.held(id) is not None]
        if not wishes and not frees:
            return []
        if request.lapsed:
            return list(self._lapse(wishes))
        freed = [Ruling(Verdict.FREED, self._trial.release(id)) for id in frees]
        trial = _Trial(ledger)
        # A swap needs every old place out of the way before any new one is looked for.
        for wish in wishes:
            trial.set_aside(wish)
        rulings = [trial.place(wish, self._capacity) for wish in wishes]
        denied = [ruling for ruling in rulings if ruling.verdict is Verdict.DENIED]
        if denied:
            trial.undo()
            return [*freed, *_all_denied(wishes, denied)]
        self._trial.absorb(trial)
        let_go = [Ruling(Verdict.FREED, claim, (by,)) for claim, by in trial.replaced(wishes)]
        return [*freed, *let_go, *rulings]

    def _is_answered(self, claim: Claim, again: bool) -> bool:
        verdict = self._ledger.answered(claim.id, claim.stamp)
        return verdict is not None and not (again and verdict is Verdict.DENIED)

    def _lapse(self, wishes: Iterable[Wish]) -> Iterator[Ruling]:
        """Their time is over: nothing stands in the way, and nothing is granted."""
        for wish in wishes:
            if self._ledger.held(wish.claim.id) is not None:
                yield Ruling(Verdict.FREED, self._trial.release(wish.claim.id))
            yield Ruling(Verdict.DENIED, wish.claim)


class _Trial:
    """Places moved for a try, and put back."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._before: dict[ClaimId, Claim | None] = {}

    def _remember(self, id: ClaimId) -> None:
        self._before.setdefault(id, self._ledger.held(id))

    def release(self, id: ClaimId) -> Claim:
        self._remember(id)
        claim = self._ledger.let_go(id)
        assert claim is not None
        return claim

    def set_aside(self, wish: Wish) -> None:
        for id in (wish.claim.id, *wish.replaces):
            self._remember(id)
            self._ledger.let_go(id)

    def place(self, wish: Wish, capacity: Mapping[Resource, int]) -> Ruling:
        """The first of the claim and its alternatives that fits."""
        for claim in (wish.claim, *wish.alternatives):
            if not self._ledger.rivals(claim, capacity.get(claim.resource, 0)):
                self._remember(claim.id)
                self._ledger.hold(claim)
                return Ruling(Verdict.GRANTED, claim)
        claim = wish.claim
        against = self._ledger.rivals(claim, capacity.get(claim.resource, 0))
        return Ruling(Verdict.DENIED, claim, against)

    def replaced(self, wishes: Iterable[Wish]) -> list[tuple[Claim, ClaimId]]:
        """What the wishes gave up, beside their own old places, and for what."""
        names = {id: wish.claim.id for wish in wishes for id in wish.replaces}
        found = [(self._before.get(id), by) for id, by in names.items()]
        return [(claim, by) for claim, by in found if claim is not None]

    def absorb(self, other: _Trial) -> None:
        """What the other moved stays moved, until this is undone."""
        self._before = {**other._before, **self._before}

    def undo(self) -> None:
        """Everything is where it was, and the trial as new."""
        for id, claim in self._before.items():
            self._ledger.let_go(id)
            if claim is not None:
                self._ledger.hold(claim)
        self._before = {}


def _all_denied(wishes: Iterable[Wish], denied: list[Ruling]) -> list[Ruling]:
    """One wish that cannot be met denies the bundle; the others name what stood in its way."""
    own = {ruling.claim.id: ruling for ruling in denied}
    against = denied[0].against
    return [own.get(w.claim.id) or Ruling(Verdict.DENIED, w.claim, against) for w in wishes]
