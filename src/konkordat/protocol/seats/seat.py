"""One seat as a node sees it: which term rules, what that makes of the decisions in the logs, and what may be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from konkordat.kernel.claim import Claim, ClaimId, ClaimState
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import Origin
from konkordat.kernel.seat import (
    At,
    ClaimView,
    Decide,
    Decision,
    Finality,
    Handover,
    SeatId,
    SeatSpec,
    Verdict,
)
from konkordat.protocol.seats.history import History, Term, TermKey
from konkordat.protocol.seats.ledger import Ledger, Position, Ruled
from konkordat.protocol.seats.patience import Patience
from konkordat.protocol.seats.rules import Rules


class FinalUpto(NamedTuple):
    """Everything adopted by the term, and its own decisions up to here, is final. Grows by term, then by seq."""

    term: int
    holder: Origin
    seq: int


class Tenure(msgspec.Struct, frozen=True):
    """Who held a seat in which term, for status pages and the timeline."""

    term: int
    holder: Origin
    opened: At
    adopted_upto: int | None  # in the log of the term before; None: there was none
    final_upto: int


class Seat:
    """The state of one seat. Mutated by the machine only."""

    def __init__(self, id: SeatId, rules: Rules, patience: Patience) -> None:
        self.id = id
        self.spec: SeatSpec | None = None  # until configuration tells; logs may speak of it before
        self.patience = patience
        self.history = History()
        self.ledger = Ledger(rules)
        self.ruling: Term | None = None  # the latest term of which we have all that it adopts
        self.touched: set[ClaimId] = set()  # claims of which the view may have changed
        self._rules = rules

    @property
    def latest(self) -> Term | None:
        """The latest opened term, whether we have all of it or not."""
        return self.history.latest()

    def mode(self, spec: SeatSpec) -> Decide:
        """A term keeps the mode it was opened with; a change of configuration waits for the next."""
        latest = self.latest
        return latest.opening.decide if latest else spec.decide

    def handovers(self) -> list[tuple[Handover, Origin]]:
        """Those that concern the present term, with their authors."""
        latest = self.latest
        term = latest.key.term if latest else 0
        return [(entry, by) for entry, by in self.history.handovers if entry.term == term]

    # Following the logs ---------------------------------------------------------------------------

    def review(self, frontier: Mapping[Origin, int]) -> None:
        """Which term rules now? Another one means another set of decisions that count."""
        if self.ruling is self.latest:
            return  # the latest rules as soon as it can, and then as long as there is no later one
        ruling = self.history.ruling(frontier)
        if ruling is self.ruling:
            return
        self.touched.update(self.ledger.ruled)
        self.ruling, self.ledger = ruling, Ledger(self._rules)
        if ruling is not None:
            for step in reversed(list(self.history.chain(ruling))):
                self._replay(step.term, step.cutoff)
        self.touched.update(self.ledger.ruled)

    def _replay(self, term: Term, cutoff: int) -> None:
        for seq, decision in zip(term.decided, term.decisions, strict=True):
            if self._rules.counts(seq, cutoff):
                self.ledger.take(decision, Position(term.key, seq))

    def book(self, decision: Decision, at: At) -> None:
        """A decision of the ruling term counts at once; of an adopted one it was there before, or is void."""
        ruling = self.ruling
        if ruling is not None and ruling.key == TermKey(decision.term, at.origin):
            self.ledger.take(decision, Position(ruling.key, at.seq))
            if at.seq <= self.final_of(ruling):  # else nothing may be told of it yet
                self.touched.update(r.claim.id for r in decision.rulings)

    def finished(self, entry: Finality, at: At, before: int) -> None:
        """More became final: what, in this term and, with its opening, in those that it adopts."""
        if not before:
            self.touched.update(self.ledger.ruled)
            return
        term = self.history.terms[TermKey(entry.term, at.origin)]
        for decision in term.upto(entry.upto)[len(term.upto(before)) :]:
            self.touched.update(ruling.claim.id for ruling in decision.rulings)

    # What may be told -----------------------------------------------------------------------------

    def view(self, claim: ClaimId, stamp: Stamp) -> ClaimView:
        """Of the wish that the claim made with this stamp: only what is final."""
        ruled = self._last_final(claim)
        holds = self._holds(claim)
        if ruled is None or ruled.ruling.claim.stamp != stamp:
            return ClaimView(ClaimState.TENTATIVE, holds)
        match ruled.ruling.verdict:
            case Verdict.GRANTED:
                return ClaimView(ClaimState.CONFIRMED, holds)
            case Verdict.DENIED:
                return ClaimView(ClaimState.DISPLACED, holds, ruled.ruling.against)
            case Verdict.FREED:
                return ClaimView(ClaimState.RELEASED, holds)

    def is_told(self, claim: ClaimId) -> bool:
        """Something of the claim is final."""
        return self._last_final(claim) is not None

    def final_upto(self) -> FinalUpto | None:
        """The latest point up to which all is final."""
        if self.ruling is None:
            return None
        for step in self.history.chain(self.ruling):
            upto = self.final_of(step.term)
            if upto:
                return FinalUpto(step.term.key.term, step.term.key.holder, upto)
        return None

    def final_of(self, term: Term) -> int:
        """Up to where the term's own decisions are final; 0: not even its opening."""
        if self._rules.holder_alone(term.opening.decide):
            return max(term.decided[-1] if term.decided else 0, term.seq)
        return term.final_upto

    def tenures(self) -> list[Tenure]:
        """The terms that count, latest first."""
        if self.ruling is None:
            return []
        return [
            Tenure(
                term.key.term,
                term.key.holder,
                At(term.key.holder, term.seq),
                term.opening.last.cutoff if term.opening.last else None,
                self.final_of(term),
            )
            for term, _cutoff in self.history.chain(self.ruling)
        ]

    def _is_final(self, at: Position) -> bool:
        upto = self.final_upto()
        if upto is not None and at.key.term < upto.term:
            return True
        return at.seq <= self.final_of(self.history.terms[at.key])

    def _last_final(self, claim: ClaimId) -> Ruled | None:
        ruled = self.ledger.ruled.get(claim, ())
        return next((r for r in reversed(ruled) if self._is_final(r.at)), None)

    def _holds(self, claim: ClaimId) -> Claim | None:
        """The place of the last final ruling that gave or took one."""
        for ruled in reversed(self.ledger.ruled.get(claim, ())):
            if ruled.ruling.verdict is not Verdict.DENIED and self._is_final(ruled.at):
                return ruled.ruling.claim if ruled.ruling.verdict is Verdict.GRANTED else None
        return None
