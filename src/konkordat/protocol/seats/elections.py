"""Standing for a seat, voting, and opening a term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from konkordat.kernel.ids import Origin, node_of
from konkordat.kernel.seat import (
    Candidacy,
    Decide,
    Link,
    Opening,
    SeatSpec,
    Vote,
    candidates,
)
from konkordat.protocol.seats.history import Cast, Standing, Term, TermKey
from konkordat.protocol.seats.patience import Heard
from konkordat.protocol.seats.rosters import Rosters
from konkordat.protocol.seats.rules import Rules
from konkordat.protocol.seats.seat import Seat

NOBODY: Final = Origin("")  # the seat is ours to take at once
NOT_VACANT: Final = Origin("?")


class Elections:
    """What one node does for the seats to have holders. Changes nothing but the patience of a seat."""

    def __init__(self, me: Origin, rosters: Rosters, rules: Rules) -> None:
        self._me = me
        self._rosters = rosters
        self._rules = rules

    def calm_under(self, seat: Seat) -> Origin | None:
        """The holder of a seat of which nothing can become due but by its silence, or by what is said of the seat; None
        of any other seat."""
        latest, history, roster = seat.latest, seat.history, self._rosters.latest
        if latest is None or seat.ruling is not latest or seat.handovers():
            return None
        holder = latest.key.holder
        contested = max(history.highest_seen, history.highest_voted) > latest.key.term
        settled = holder != self._me or not self._is_outdated(latest, seat.spec)
        is_calm = not contested and settled and self._rules.is_member(holder, roster)
        return holder if is_calm else None

    # Standing -------------------------------------------------------------------------------------

    def stand(self, seat: Seat, spec: SeatSpec, now_ms: int, heard: Heard) -> Candidacy | None:
        """A candidacy, if the seat is vacant and it is our turn."""
        roster = self._rosters.latest
        absent = self._vacancy(seat, spec, now_ms, heard)
        if absent == NOT_VACANT or not self._rules.is_member(self._me, roster):
            return None
        if absent and seat.patience.alive(absent, now_ms, heard):
            return None
        if not seat.patience.may_stand(spec, roster, absent or None, now_ms, heard):
            return None
        seat.patience.stood(spec, roster, now_ms)
        return Candidacy(seat.id, seat.history.highest_seen + 1, roster.version)

    def _vacancy(self, seat: Seat, spec: SeatSpec, now_ms: int, heard: Heard) -> Origin:
        """Whose absence would be ours to fill; NOBODY's: it is ours at once; or NOT_VACANT."""
        latest, history = seat.latest, seat.history
        roster = self._rosters.latest
        ours = latest is not None and latest.key.holder == self._me
        handed_to_us = any(entry.to == node_of(self._me) for entry, _by in seat.handovers())
        if handed_to_us and (seat.gave_up or not ours):
            return NOBODY
        if seat.gave_up:
            return self._unclaimed(seat, spec, now_ms, heard)
        if latest is not None and ours:
            # Somebody voted for a later term that nobody opened: the seat needs a term after that one.
            blocked = history.highest_voted > latest.key.term
            return NOBODY if blocked or self._is_outdated(latest, spec) else NOT_VACANT
        holder = latest.key.holder if latest else self._home(spec)
        if holder == self._me:
            return NOBODY
        if latest is not None and not self._rules.is_member(holder, roster):
            return self._left(seat, spec, now_ms, heard)
        return NOT_VACANT if seat.mode(spec) is Decide.HOME else holder

    def _is_outdated(self, term: Term, spec: SeatSpec | None) -> bool:
        """A term may not go on under a roster whose members may all be gone some day; and should not decide otherwise
        than its seat is configured."""
        opening = term.opening
        is_other = spec is not None and spec.decide is not opening.decide
        return is_other or opening.roster < self._rosters.latest.version

    def _unclaimed(self, seat: Seat, spec: SeatSpec, now_ms: int, heard: Heard) -> Origin:
        """The holder handed the seat to others than us. Should they be gone before they open, it falls to the next."""
        heirs = seat.heirs(self._rosters.latest)
        if not heirs:
            return self._left(seat, spec, now_ms, heard)
        if seat.mode(spec) is Decide.HOME:
            return NOT_VACANT
        return max(heirs, key=lambda heir: heard.get(heir, 0))

    def _left(self, seat: Seat, spec: SeatSpec, now_ms: int, heard: Heard) -> Origin:
        """The holder is no member any more, so there is no silence of it to wait for. The first in order of those that
        are heard stands at once; if it does not get through, so does the next, once it is silent."""
        members = self._rosters.latest.members
        alive = [m for m in members if seat.patience.alive(m, now_ms, heard)]
        first = candidates(spec.id, spec.home, alive or members)[0]
        handed_only = seat.mode(spec) is Decide.HOME
        return NOBODY if first == self._me and not handed_only else NOT_VACANT

    def _home(self, spec: SeatSpec) -> Origin:
        return candidates(spec.id, spec.home, self._rosters.latest.members)[0]

    # Voting ---------------------------------------------------------------------------------------

    def vote(
        self,
        seat: Seat,
        spec: SeatSpec,
        frontier: Mapping[Origin, int],
        now_ms: int,
        heard: Heard,
    ) -> Vote | None:
        """A vote, cast in this commit. `frontier` is ours with the batch that will carry the vote: that batch, and all
        the commit admitted, become durable with it."""
        history = seat.history
        if history.highest_seen <= history.highest_opened:
            return None  # nobody stands
        voted = history.voted_by(self._me)
        standing = [
            s
            for s in history.candidacies.values()
            if self._rules.may_vote(s.entry.term, voted, history.highest_opened)
            and self._rosters.is_member(s.at.origin, s.entry.roster)
        ]
        if not standing or not self._rosters.was_ever_member(self._me):
            return None
        chosen = min(standing, key=lambda s: (-s.entry.term, self._rank(spec, s.at.origin)))
        if self._rash(seat, spec, chosen.at.origin, now_ms, heard):
            return None
        known = history.origins() | {self._me}
        had = tuple(sorted((o, frontier[o]) for o in known if frontier.get(o, 0)))
        return Vote(seat.id, chosen.entry.term, chosen.at.origin, chosen.entry.roster, had)

    def _rank(self, spec: SeatSpec, origin: Origin) -> int:
        members = {*self._rosters.latest.members, origin}
        return candidates(spec.id, spec.home, members).index(origin)

    def _rash(
        self, seat: Seat, spec: SeatSpec, candidate: Origin, now_ms: int, heard: Heard
    ) -> bool:
        """Refuse, for now, to unseat a holder that we just heard and that did not ask for it."""
        latest = seat.latest
        holder = latest.key.holder if latest else self._home(spec)
        if candidate in (holder, self._me):
            return False
        handed = any(entry.to == node_of(candidate) for entry, _by in seat.handovers())
        if seat.mode(spec) is Decide.HOME:
            return not handed
        roster = self._rosters.latest
        left = latest is not None and not self._rules.is_member(holder, roster)
        if left or handed:
            return False
        expected = seat.heirs(roster) if seat.gave_up else [holder]
        return any(seat.patience.fresh(each, now_ms, heard) for each in expected)

    # Opening --------------------------------------------------------------------------------------

    def open(self, seat: Seat, spec: SeatSpec, frontier: Mapping[Origin, int]) -> Opening | None:
        """Our candidacy won: name the cut-off, and open. What a later vote has overtaken is not worth opening."""
        history = seat.history
        standing = history.candidacies.get(TermKey(history.highest_voted, self._me))
        if standing is None or standing.entry.term <= history.highest_opened:
            return None
        term = standing.entry.term
        casts = [
            cast
            for cast in history.votes_for(TermKey(term, self._me))
            if self._rules.caught_up(frontier, cast.entry, self._me)
        ]
        votes = [cast.entry for cast in casts]
        last = history.latest_known_to(votes, term)
        if last is None and history.floor is not None:
            return None  # a final term is none that may be left out: more votes are to come that tell of it
        if last is not None and not history.covered(last, frontier):
            return None
        if not self._elected(seat, spec, standing, casts, last):
            return None
        link = self._adopt(last, votes)
        voters = tuple(sorted({cast.at.origin for cast in casts}))
        return Opening(seat.id, term, standing.entry.roster, spec.decide, link, voters)

    def _adopt(self, last: Term | None, votes: Sequence[Vote]) -> Link | None:
        if last is None:
            return None
        cutoff = self._rules.cutoff(votes, last.key.holder)
        return Link(last.key.term, last.key.holder, cutoff)

    def _elected(
        self,
        seat: Seat,
        spec: SeatSpec,
        standing: Standing,
        casts: Sequence[Cast],
        last: Term | None,
    ) -> bool:
        """True with a majority of every roster whose members may have made something final that we must not miss."""
        since = last.key.term if last else 0
        voted_under = {
            earlier.entry.roster
            for cast in casts
            for earlier in seat.history.votes[cast.at.origin]
            if since < earlier.entry.term < standing.entry.term
        }
        under = last.opening.roster if last else None
        own = standing.entry.roster
        versions = self._rules.rosters_concerned(own, under, spec.roster, voted_under)
        supporters = [standing.at.origin, *(cast.at.origin for cast in casts)]
        return all(self._rosters.majority(version, supporters) for version in versions)
