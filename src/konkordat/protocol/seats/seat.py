"""One seat as a node sees it: which term rules, what that makes of the decisions in the logs, and what may be told."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from konkordat.kernel.claim import Claim, ClaimId, ClaimState
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import Origin, node_of
from konkordat.kernel.seat import (
    At,
    ClaimView,
    Decide,
    Decision,
    Handover,
    Roster,
    SeatId,
    SeatSpec,
    Verdict,
)
from konkordat.protocol.seats.history import History, Term, TermKey
from konkordat.protocol.seats.ledger import Ledger, Position, Settled, settled
from konkordat.protocol.seats.patience import Patience
from konkordat.protocol.seats.rules import Rules

# Rulings of a holder that decides alone, after which it says that a majority has them. Fewer cost entries more often,
# more are read again by each node that starts.
SETTLED_AT_ONCE: Final = 256
# Of terms that are forgotten, kept for the timeline. More stand in the logs.
PAST_TENURES_MAX: Final = 256


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
    voters: tuple[Origin, ...] = ()
    roster: int = 0  # version under which it was opened


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
        self._past: deque[Tenure] = deque(
            maxlen=PAST_TENURES_MAX
        )  # of forgotten terms, oldest first

    @property
    def latest(self) -> Term | None:
        """The latest opened term, whether we have all of it or not."""
        return self.history.latest()

    def mode(self, spec: SeatSpec) -> Decide:
        """A term keeps the mode it was opened with; a change of configuration waits for the next."""
        latest = self.latest
        return latest.opening.decide if latest else spec.decide

    @property
    def decides_alone(self) -> bool:
        """True where the holder's own disk makes a decision final."""
        latest = self.latest
        return latest is not None and self._rules.holder_alone(latest.opening.decide)

    def awaits_members(self, me: Origin) -> bool:
        """True while something that we decided is not final, and more acknowledgements may make it so."""
        return self.waits(me) and not self.decides_alone

    def waits(self, me: Origin) -> bool:
        """True while we do not know that a majority has all that we decided, and would say so."""
        term = self.ruling
        if term is None or term.key.holder != me:
            return False
        if self._rules.holder_alone(term.opening.decide) and term.rulings < SETTLED_AT_ONCE:
            return False  # final as they are; that a majority has them lets everybody forget how they came about
        return term.final_upto < max(term.seq, term.last_decided)

    def handovers(self) -> list[tuple[Handover, Origin]]:
        """Those that concern the present term, with their authors."""
        latest = self.latest
        term = latest.key.term if latest else 0
        return [(entry, by) for entry, by in self.history.handovers if entry.term == term]

    @property
    def gave_up(self) -> bool:
        """True if the holder of the latest term handed the seat over."""
        latest = self.latest
        return latest is not None and any(by == latest.key.holder for _, by in self.handovers())

    def heirs(self, roster: Roster) -> list[Origin]:
        """The members to whom the holder handed the seat, if it did."""
        if not self.gave_up:
            return []
        names = {entry.to for entry, _by in self.handovers()}
        return [member for member in roster.members if node_of(member) in names]

    # Following the logs ---------------------------------------------------------------------------

    def review(self, frontier: Mapping[Origin, int]) -> bool:
        """Which term rules now? Another one means another set of decisions that count. True if it is another."""
        if self.ruling is self.latest:
            return False  # the latest rules as soon as it can, and then as long as there is no later one
        ruling = self.history.ruling(frontier)
        if ruling is self.ruling:
            return False
        self._follow(ruling)
        return True

    def recount(self) -> None:
        """Decisions of terms that the ruling one adopts were told after it: they count from before it."""
        self._follow(self.ruling)

    def _follow(self, ruling: Term | None) -> None:
        self.touched.update(self.ledger.undo())
        self.ruling = ruling
        if ruling is not None:
            for step in reversed(list(self.history.chain(ruling))):
                self._replay(step.term, step.cutoff)
        self.touched.update(self.ledger.unsettled)
        self._settle()

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
                self._settle()

    def is_void(self, decision: Decision, at: At) -> bool:
        """Its term was followed before we heard of it, and what followed did not adopt it."""
        ruling, key = self.ruling, TermKey(decision.term, at.origin)
        if ruling is None or key >= ruling.key:
            return False
        steps = self.history.chain(ruling)
        return not any(s.term.key == key and self._rules.counts(at.seq, s.cutoff) for s in steps)

    def finished(self) -> None:
        """More became final."""
        self._settle()

    def _settle(self) -> None:
        """Of what a majority has, keep what came of it, and forget the decisions. By the rules no later term can make
        them void, so there is nothing to undo."""
        if self.ruling is None:
            return
        chain = list(self.history.chain(self.ruling))
        latest = next((n for n, step in enumerate(chain) if step.term.final_upto), None)
        if latest is None:
            return
        for term, cutoff in chain[latest + 1 :]:
            term.settle(cutoff)
        self._past += [self._tenure(term) for term, _cutoff in reversed(chain[latest + 1 :])]
        term = chain[latest].term
        self.history.forget_before(term)
        term.settle(term.final_upto)
        settled = self.ledger.settle(Position(term.key, term.final_upto))
        if not self._rules.holder_alone(term.opening.decide):
            self.touched.update(
                settled
            )  # else they were final, and told, as soon as they were booked

    # What may be told -----------------------------------------------------------------------------

    def view(self, claim: ClaimId, stamp: Stamp) -> ClaimView:
        """Of the wish that the claim made with this stamp: only what is final."""
        told = self.told(claim)
        if told is None:
            return ClaimView(ClaimState.TENTATIVE)
        if told.stamp != stamp:
            return ClaimView(ClaimState.TENTATIVE, told.holds)
        match told.verdict:
            case Verdict.GRANTED:
                return ClaimView(ClaimState.CONFIRMED, told.holds)
            case Verdict.DENIED:
                return ClaimView(ClaimState.DISPLACED, told.holds, told.against)
            case Verdict.FREED:
                return ClaimView(ClaimState.RELEASED, against=told.against)

    def is_told(self, claim: ClaimId) -> bool:
        """Something of the claim is final."""
        return self.told(claim) is not None

    def holds(self, claim: ClaimId) -> Claim | None:
        """The place that the claim finally has."""
        told = self.told(claim)
        return told.holds if told is not None else None

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
            return max(term.last_decided, term.seq)
        return term.final_upto

    def tenures(self) -> list[Tenure]:
        """The terms that count, latest first."""
        if self.ruling is None:
            return []
        known = [self._tenure(step.term) for step in self.history.chain(self.ruling)]
        return [*known, *reversed(self._past)]

    def _tenure(self, term: Term) -> Tenure:
        return Tenure(
            term.key.term,
            term.key.holder,
            At(term.key.holder, term.seq),
            term.opening.last.cutoff if term.opening.last else None,
            self.final_of(term),
            term.opening.voters,
            term.opening.roster,
        )

    def told(self, claim: ClaimId) -> Settled | None:
        """What came of a claim by all that is final: what is settled, and what a holder alone makes final."""
        told = self.ledger.settled.get(claim)
        for ruled in self.ledger.unsettled.get(claim, ()):
            if not self._is_final(ruled.at):
                break
            told = told.after(ruled.ruling) if told else settled(ruled.ruling)
        return told

    def _is_final(self, at: Position) -> bool:
        if at.seq <= self.final_of(self.history.terms[at.key]):
            return True
        upto = self.final_upto()
        return upto is not None and at.key.term < upto.term
