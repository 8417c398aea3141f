"""The seats of one node: told what stands in the logs and what members have, it says what to write.

How a replica uses it, in each commit, after admitting what peers sent:

    seats.applied(entry, at)          each entry of the admitted batches, in the order of each log
    seats.reached(frontier)           what is durable or becomes so with this commit, without its own new batch
    seats.decide(…), seats.due(…)     entries for the new batch, which they take as written: number frontier[me] + 1

A claim is answered as `state` says only after that commit is durable. Heartbeats go to `acknowledged`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import NodeName, Origin
from konkordat.kernel.seat import (
    At,
    Candidacy,
    ClaimView,
    Decide,
    Decision,
    Entry,
    Finality,
    Handover,
    Opening,
    Request,
    Roster,
    SeatId,
    SeatSpec,
    Verdict,
    Vote,
)
from konkordat.protocol.seats.acknowledgements import Acknowledgements
from konkordat.protocol.seats.deliberation import Deliberation
from konkordat.protocol.seats.elections import Elections
from konkordat.protocol.seats.finality import finality
from konkordat.protocol.seats.ledger import Settled
from konkordat.protocol.seats.patience import Company, Heard, Patience, SeatSettings
from konkordat.protocol.seats.rosters import Rosters
from konkordat.protocol.seats.rules import RULES, Rules
from konkordat.protocol.seats.seat import FinalUpto, Seat, Tenure
from konkordat.protocol.seats.watch import Watch

REFUSALS_MAX: Final = (
    1_024  # kept for the journal between two readings; beyond it a flood adds nothing
)


class Refused(NamedTuple):
    """An entry that does not count, and why; for the journal. It stays in its log."""

    # not_a_member | voted_already | not_the_holder | opened_without_standing | beyond_the_cutoff | term_leaps
    code: str
    entry: Entry
    at: At


class Seats:
    """The machine. Deterministic; the only mutator of what it holds."""

    def __init__(
        self,
        me: Origin,
        roster: Roster,
        settings: SeatSettings | None = None,
        started_ms: int = 0,
        rules: Rules = RULES,
    ) -> None:
        self.me = me
        self.refused: list[Refused] = []
        self._rules = rules
        self._settings = settings or SeatSettings()
        self._company = Company(started_ms)
        self._frontier: dict[Origin, int] = {}
        self._rosters = Rosters(roster, rules)
        self.acked = Acknowledgements(rules)
        self._elections = Elections(me, self._rosters, rules)
        self._seats: dict[SeatId, Seat] = {}
        # What was said by origins that are in no roster that we know: no more than stands in the logs.
        self._aside: dict[Origin, list[tuple[Entry, At]]] = {}
        self._late: list[tuple[Entry, At]] = []  # of those, what counts after all
        self._watch = Watch()
        self._changed: dict[SeatId, None] = {}  # since `take_changed`
        self._behind: dict[SeatId, None] = {}  # perhaps: a term was opened that does not rule yet
        self._awaiting: dict[SeatId, None] = {}  # perhaps: decisions of ours are not final

    # What it is told ------------------------------------------------------------------------------

    def roster_changed(self, roster: Roster) -> None:
        """A roster came to be known. What its members said before counts from now on: all of it at once, since our
        frontier has gone past it, and a term is followed when the frontier has what it adopts."""
        self._rosters.learn(roster)
        for member in roster.members:
            for entry, at in self._aside.pop(member, ()):
                code = self._seat(entry.seat).history.take(entry, at)
                if code:
                    self._refuse(code, entry, at)
                self._late.append((entry, at))
        self._behind, self._awaiting = dict.fromkeys(self._seats), dict.fromkeys(self._seats)
        self._review()
        self._stir(self._seats)

    def roster_forced(self, version: int) -> None:
        """The roster of this version, which is known, stands for the majorities of all before: these are lost."""
        self._rosters.force(version)
        self._stir(self._seats)

    def was_ever_member(self, origin: Origin) -> bool:
        """Of any roster that we know."""
        return self._rosters.was_ever_member(origin)

    def take_late(self) -> list[tuple[Entry, At]]:
        """The entries that count since a roster came to be known that has their authors."""
        late, self._late = self._late, []
        return late

    def establish(self, spec: SeatSpec) -> None:
        """A seat exists, or is configured otherwise from its next term on."""
        self._seat(spec.id).spec = spec
        self._stir([spec.id])

    def applied(self, entry: Entry, at: At) -> bool:
        """An entry stands in a log. In the order of each log; logs among each other in any order. False if it is set
        aside: its author is in no roster that we know; see `take_late`."""
        if not isinstance(entry, Handover) and not self._rosters.was_ever_member(at.origin):
            self._set_aside(entry, at)
            return False
        self._apply(entry, at)
        return True

    def _apply(self, entry: Entry, at: At) -> None:
        seat = self._seat(entry.seat)
        self._stir([seat.id])
        if at.origin == self.me:
            self._awaiting[seat.id] = None
        code = seat.history.take(entry, at)
        if code:
            self._refuse(code, entry, at)
            return
        match entry:
            case Candidacy():
                if at.origin != self.me:
                    seat.patience.other_stands()
            case Opening():
                seat.patience.opened()
                self._behind[seat.id] = None
                self._review()
            case Decision():
                seat.book(entry, at)
                if seat.is_void(entry, at):
                    self._refuse("beyond_the_cutoff", entry, at)
            case Finality():
                seat.finished()
            case Vote():
                if entry.candidate != self.me and entry.term > seat.history.highest_opened:
                    # Its candidacy is in another log, which may still be on its way.
                    seat.patience.other_stands()
            case Handover():
                pass  # read by `Elections` when somebody stands

    def reached(self, frontier: Mapping[Origin, int]) -> None:
        """All entries up to this frontier have been told, and are durable or become so with this commit."""
        self._frontier = dict(frontier)
        self._review()
        if self.acked.reached(self._frontier):
            self._stir_awaiting()

    def _review(self) -> None:
        """Follow the terms of which we have all by now."""
        for id in list(self._behind):
            seat = self._seats[id]
            if seat.review(self._frontier):
                self._awaiting[id] = None
                self._stir([id])
            if seat.ruling is seat.latest:
                del self._behind[id]

    def recounted(self, frontier: Mapping[Origin, int]) -> None:
        """At a start: all there is was told, but who holds the seats before what was decided."""
        self.reached(frontier)
        for seat in self._seats.values():
            seat.recount()
        self._stir(self._seats)

    def acknowledged(self, member: Origin, frontier: Mapping[Origin, int]) -> None:
        """A member said what it has durably. Entries that follow from it come with the next `due`."""
        if not self._rosters.was_ever_member(member):
            return
        if self.acked.take(member, frontier, self._frontier):
            self._stir_awaiting()

    def _stir_awaiting(self) -> None:
        """More is acknowledged: of which seats may that make something final?"""
        self._awaiting = {id: None for id in self._awaiting if self._seats[id].waits(self.me)}
        self._watch.stir(self._awaiting)

    def awaits_members(self) -> bool:
        """True while something that we decided is not final, and more acknowledgements may make it so."""
        return any(self._seats[id].awaits_members(self.me) for id in self._awaiting)

    def decides_alone(self, id: SeatId) -> bool:
        """True where the holder's own disk makes a decision final."""
        seat = self._seats.get(id)
        return seat is not None and seat.decides_alone

    # What it says ---------------------------------------------------------------------------------

    def due(self, now_ms: int, heard: Heard) -> list[Entry]:
        """Entries to write now: candidacies, votes, openings, finality. They are taken as written."""
        entries: list[Entry] = []
        self._company.look(self._hears_majority(now_ms, heard), now_ms)
        seats = self._watch.take(lambda holder: self._is_missed(holder, now_ms, heard))
        if not seats:
            return entries
        having = self._with_this_commit()
        for id in seats:
            seat, elections = self._seats[id], self._elections
            if seat.spec is None:
                continue
            holder = elections.calm_under(seat)
            if holder is None or self._is_missed(holder, now_ms, heard):
                self._write(entries, elections.stand(seat, seat.spec, now_ms, heard))
                vote = elections.vote(seat, seat.spec, having, now_ms, heard)
                self._write(entries, vote)
                self._write(entries, elections.open(seat, seat.spec, having))
                holder = elections.calm_under(seat)
            made = finality(seat, self.me, having, self.acked, self._rosters, self._rules)
            self._write(entries, made)
            self._watch.found(id, holder)
        return entries

    def has_due(self, now_ms: int, heard: Heard) -> bool:
        """True if `due` may have anything to say."""
        self._company.look(self._hears_majority(now_ms, heard), now_ms)
        return self._watch.has_any(lambda holder: self._is_missed(holder, now_ms, heard))

    def _is_missed(self, holder: Origin, now_ms: int, heard: Heard) -> bool:
        """True of a holder that is silent, while enough members are heard for another to take over."""
        return not self._alive(holder, now_ms, heard) and self._hears_majority(now_ms, heard)

    def _hears_majority(self, now_ms: int, heard: Heard) -> bool:
        members = self._rosters.latest.members
        return sum(self._alive(each, now_ms, heard) for each in members) * 2 > len(members)

    def _alive(self, member: Origin, now_ms: int, heard: Heard) -> bool:
        within = self._settings.takeover_after_ms
        return member == self.me or now_ms - heard.get(member, -within - 1) <= within

    def decide(
        self, id: SeatId, requests: Iterable[Request], capacity: Mapping[Resource, int]
    ) -> list[Decision]:
        """Decisions on requests, in their order; nothing for those answered already. Only while `deciding`."""
        assert self.deciding(id)
        decisions: list[Decision] = []
        deliberation = Deliberation(self._seats[id].ledger, capacity)
        for request in requests:
            if not deliberation.has_room(request):
                decisions += self._concluded(id, deliberation)
            deliberation.add(request)
        return decisions + self._concluded(id, deliberation)

    def _concluded(self, id: SeatId, deliberation: Deliberation) -> list[Decision]:
        """The decision, taken as written; none if nothing was to be ruled."""
        rulings = deliberation.conclude()
        if not rulings:
            return []
        ruling = self._seats[id].ruling
        assert ruling is not None
        decision = Decision(id, ruling.key.term, rulings)
        self._write([], decision)
        return [decision]

    def fits(self, id: SeatId, request: Request, capacity: Mapping[Resource, int]) -> bool:
        """Whether a request would be granted now: all of it, or what of it is not answered."""
        deliberation = Deliberation(self._seats[id].ledger, capacity)
        deliberation.add(request)
        rulings = deliberation.conclude()
        return bool(rulings) and all(ruling.verdict is not Verdict.DENIED for ruling in rulings)

    def hand_over(self, id: SeatId, to: NodeName) -> Handover:
        """An operator, here, wants another holder. If it is we who hold it, we stop deciding with it."""
        latest = self._seats[id].latest
        handover = Handover(id, latest.key.term if latest else 0, to)
        self._write([], handover)
        return handover

    def take_changed(self) -> list[SeatId]:
        """Seats of which something was said, or another term rules, since this was last asked."""
        changed, self._changed = self._changed, {}
        return list(changed)

    def take_touched(self, id: SeatId) -> set[ClaimId]:
        """Claims of which the view may have changed since this was last asked; of a seat that changed."""
        seat = self._seats[id]
        touched, seat.touched = seat.touched, set()
        return touched

    # What may be told -----------------------------------------------------------------------------

    def deciding(self, id: SeatId) -> bool:
        """True while we hold the seat and know of nobody who may follow."""
        seat = self._seats.get(id)
        ruling = seat.ruling if seat is not None else None
        if seat is None or ruling is None or ruling.key.holder != self.me:
            return False
        history = seat.history
        if max(history.highest_voted, history.highest_opened) > ruling.key.term:
            return False
        return not seat.gave_up and self._rules.is_member(self.me, self._rosters.latest)

    def state(self, id: SeatId, claim: ClaimId, stamp: Stamp) -> ClaimView:
        """What may be told of the wish that this claim made with this stamp."""
        return self._seats[id].view(claim, stamp)

    def is_told(self, id: SeatId, claim: ClaimId) -> bool:
        """Something of the claim is final."""
        return self._seats[id].is_told(claim)

    def rivals(self, id: SeatId, claim: Claim, capacity: int) -> tuple[ClaimId, ...]:
        """What stands in the way of a claim as far as we know: for the check before a claim is made."""
        return self._seats[id].ledger.rivals(claim, capacity)

    def final_upto(self, id: SeatId) -> FinalUpto | None:
        """The latest point of the seat's decisions up to which all is final. Never goes back."""
        return self._seats[id].final_upto()

    @property
    def ids(self) -> tuple[SeatId, ...]:
        """The seats that were established here or spoken of in logs."""
        return tuple(self._seats)

    @property
    def roster(self) -> Roster:
        """The latest that we know."""
        return self._rosters.latest

    def spec(self, id: SeatId) -> SeatSpec | None:
        """The seat as configuration knows it; None while only logs speak of it."""
        seat = self._seats.get(id)
        return seat.spec if seat is not None else None

    def held(self, id: SeatId, claim: ClaimId) -> Claim | None:
        """The place that a claim has by what was decided so far, final or not."""
        return self._seats[id].ledger.held(claim)

    def all_held(self, id: SeatId) -> list[ClaimId]:
        """Every claim that has a place by what was decided so far."""
        return self._seats[id].ledger.all_held()

    def holder(self, id: SeatId) -> Origin | None:
        """Who opened the latest term that we know of, whether it still decides or not."""
        latest = self._seats[id].latest
        return latest.key.holder if latest else None

    def term(self, id: SeatId) -> int:
        """The latest opened term; 0 before the first."""
        latest = self._seats[id].latest
        return latest.key.term if latest else 0

    def gave_up(self, id: SeatId) -> bool:
        """Whether the holder of the latest term handed the seat over."""
        return self._seats[id].gave_up

    def opened_under(self, id: SeatId) -> int | None:
        """The roster under which the seat is held, or, as long as nobody ever held it, was made; None of a seat that
        only logs speak of."""
        seat = self._seats[id]
        if seat.latest is not None:
            return seat.latest.opening.roster
        return None if seat.spec is None else seat.spec.roster

    def decided_by(self, id: SeatId) -> Decide:
        """When decisions of the seat are final, in its present term."""
        seat = self._seats[id]
        if seat.latest is not None:
            return seat.latest.opening.decide
        return seat.spec.decide if seat.spec is not None else Decide.MAJORITY

    def signature(self, id: SeatId) -> tuple[object, ...]:
        """Changes whenever who holds the seat, or how far it decided, may have."""
        seat = self._seats[id]
        ruling, history = seat.ruling, seat.history
        return (
            ruling.key if ruling else None,
            seat.final_of(ruling) if ruling else 0,
            history.highest_opened,
            history.highest_voted,
            len(history.handovers),
        )

    def answered(self, id: SeatId, claim: ClaimId, stamp: Stamp) -> Verdict | None:
        """The latest verdict on the wish that the claim made with this stamp, final or not; for whoever decides."""
        return self._seats[id].ledger.answered(claim, stamp)

    def answered_last(self, id: SeatId, claim: ClaimId) -> Stamp | None:
        """The stamp of the wish that was answered last, finally or not."""
        return self._seats[id].ledger.answered_last(claim)

    def finally_holds(self, id: SeatId, claim: ClaimId) -> Claim | None:
        """The place that a claim has for good."""
        return self._seats[id].holds(claim)

    def told(self, id: SeatId, claim: ClaimId) -> Settled | None:
        """All that is final of a claim."""
        return self._seats[id].told(claim)

    def counted(self, id: SeatId) -> int:
        """How many decisions count, of those that were told since this machine was made."""
        return self._seats[id].ledger.counted

    def preset(self, id: SeatId, claim: ClaimId, known: Settled) -> None:
        """What is settled by decisions that are not told again. Before the first entry."""
        self._seat(id).ledger.preset(claim, known)

    def forget(self, id: SeatId, claim: ClaimId) -> None:
        """Nobody asks for the claim any more."""
        self._seats[id].ledger.forget(claim)

    def counting(self, id: SeatId) -> list[tuple[int, Origin]]:
        """The terms that count, latest first, with their holders."""
        return [(tenure.term, tenure.holder) for tenure in self._seats[id].tenures()]

    def tenures(self, id: SeatId) -> list[Tenure]:
        """The terms that count, latest first."""
        return self._seats[id].tenures()

    # Bookkeeping ----------------------------------------------------------------------------------

    def _seat(self, id: SeatId) -> Seat:
        seat = self._seats.get(id)
        if seat is None:
            patience = Patience(self.me, self._settings, self._company)
            seat = self._seats[id] = Seat(id, self._rules, patience)
        return seat

    def _stir(self, ids: Iterable[SeatId]) -> None:
        self._watch.stir(ids)
        self._changed.update(dict.fromkeys(ids))

    def _with_this_commit(self) -> dict[Origin, int]:
        return {**self._frontier, self.me: self._position}

    @property
    def _position(self) -> int:
        """The number of the batch that this commit writes."""
        return self._frontier.get(self.me, 0) + 1

    def _write(self, entries: list[Entry], entry: Entry | None) -> None:
        if entry is not None:
            entries.append(entry)
            self.applied(entry, At(self.me, self._position))

    def _set_aside(self, entry: Entry, at: At) -> None:
        """A stranger's word counts for nothing, unless a roster that has it is still on its way to us."""
        self._aside.setdefault(at.origin, []).append((entry, at))
        if self._rosters.latest.version:
            self._refuse("not_a_member", entry, at)

    def _refuse(self, code: str, entry: Entry, at: At) -> None:
        if len(self.refused) < REFUSALS_MAX:
            self.refused.append(Refused(code, entry, at))


def rebuilt(
    make: Callable[[], Seats], entries: Iterable[tuple[Entry, At]], frontier: Mapping[Origin, int]
) -> Seats:
    """A machine as it was before its node stopped, from what stands in the logs; members acknowledge anew."""
    seats = make()
    for entry, at in entries:
        seats.applied(entry, at)
    seats.reached(frontier)
    return seats
