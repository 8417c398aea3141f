"""What the logs say of one seat: candidacies, votes, terms, and which terms hang together.

A function of the entries and the frontier, not of the order in which logs arrived: only the order within each log
matters, and replication keeps that. With one exception, to which no cluster comes: whether a term is beyond reach
(`TERM_LEAP_MAX`) follows from what is known when it arrives.

Once a term of the chain is final, what came before it is forgotten: every later term has it in its chain, so nobody
asks for an older one again (docs/seats.md). What is said between two final terms is kept as far as it may matter.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from konkordat.kernel.ids import Origin
from konkordat.kernel.seat import (
    TERM_LEAP_MAX,
    At,
    Candidacy,
    Decision,
    Entry,
    Finality,
    Handover,
    Opening,
    Vote,
)

# Candidacies that are kept of one member. Only its latest counts for voters, and is the one it opens.
STANDING_MAX: Final = 64
# Votes of one member that are kept as they are; of older ones under one roster the first stands for all.
VOTES_MAX: Final = 64


class TermKey(NamedTuple):
    """A term and its holder. Votes make holders unique; the pair keeps what a faulty node says apart."""

    term: int
    holder: Origin


class Term(msgspec.Struct):
    """One opened term. Mutated by `History` only."""

    key: TermKey
    opening: Opening
    seq: int  # of the opening, in the holder's log
    # Batch numbers of decisions that are not settled, ascending, with repetitions; and those decisions.
    decided: list[int] = []
    decisions: list[Decision] = []
    rulings: int = 0  # in those
    last_decided: int = 0  # of all, settled or not
    final_upto: int = (
        0  # highest number a Finality of this term names; 0: not even the opening is final
    )

    def settle(self, upto: int) -> None:
        """Forget the decisions in batches up to that one: they are settled."""
        count = bisect_right(self.decided, upto)
        self.rulings -= sum(len(decision.rulings) for decision in self.decisions[:count])
        del self.decided[:count], self.decisions[:count]


class Standing(NamedTuple):
    """A candidacy and where it stands."""

    entry: Candidacy
    at: At


class Cast(NamedTuple):
    """A vote and where it stands."""

    entry: Vote
    at: At


class Step(NamedTuple):
    """A term of a chain, and up to where its holder's log counts."""

    term: Term
    cutoff: int


EVERYTHING: Final = (1 << 63) - 1  # the ruling term has no cut-off


class History:
    """The record of one seat."""

    def __init__(self) -> None:
        self.terms: dict[TermKey, Term] = {}
        self.candidacies: dict[TermKey, Standing] = {}
        self.votes: dict[Origin, list[Cast]] = {}  # by voter, terms ascending as its log has them
        self.handovers: list[tuple[Handover, Origin]] = []
        self.highest_seen = 0  # term of any entry
        self.highest_voted = 0  # term of any vote
        self.highest_opened = 0
        self.floor: TermKey | None = (
            None  # a final term of the chain; nothing earlier is known any more
        )
        self._latest: Term | None = None

    def take(self, entry: Entry, at: At) -> str:
        """Book an entry. Returns why it does not count, or nothing."""
        if entry.term > self.highest_seen + TERM_LEAP_MAX:
            return "term_leaps"
        self.highest_seen = max(self.highest_seen, entry.term)
        if self.floor is not None and entry.term < self.floor.term:
            return self._take_old(entry, at)
        match entry:
            case Candidacy():
                self._stand(entry, at)
            case Vote():
                return self._vote(entry, at)
            case Opening():
                return self._open(entry, at)
            case Decision():
                return self._decide(entry, at)
            case Finality():
                return self._finish(entry, at)
            case Handover():
                self.handovers.append((entry, at.origin))
        return ""

    def _take_old(self, entry: Entry, at: At) -> str:
        """Of a time that is forgotten: it can be of use to nobody. Only that somebody voted is remembered."""
        match entry:
            case Vote():
                return self._vote(entry, at)
            case Decision():
                return "beyond_the_cutoff"  # we have all that counts
            case _:
                return ""

    def _stand(self, entry: Candidacy, at: At) -> None:
        self.candidacies.setdefault(TermKey(entry.term, at.origin), Standing(entry, at))
        own = [key for key in self.candidacies if key.holder == at.origin]
        for key in own[:-STANDING_MAX]:
            del self.candidacies[key]

    def _vote(self, entry: Vote, at: At) -> str:
        if entry.term <= self.voted_by(at.origin):
            return "voted_already"
        casts = self.votes.setdefault(at.origin, [])
        casts.append(Cast(entry, at))
        self.highest_voted = max(self.highest_voted, entry.term)
        if len(casts) > VOTES_MAX:
            self._join_votes(casts)
        return ""

    def _join_votes(self, casts: list[Cast]) -> None:
        """Of the oldest two votes under one roster make one of both terms, for nobody, that had no more than the first:
        it confirms less than the two did, and makes a candidate ask under the same rosters."""
        for place, ((first, at), (second, _at)) in enumerate(pairwise(casts)):
            if first.roster == second.roster:
                both = replace(first, term=second.term, candidate=Origin(""))
                casts[place : place + 2] = [Cast(both, at)]
                return

    def _open(self, entry: Opening, at: At) -> str:
        key = TermKey(entry.term, at.origin)
        if key not in self.candidacies:
            return "opened_without_standing"
        if key not in self.terms:
            self.terms[key] = Term(key, entry, at.seq)
            self._latest = self.terms[max(self.terms)]
            self.highest_opened = max(self.highest_opened, entry.term)
        return ""

    def _decide(self, entry: Decision, at: At) -> str:
        term = self.terms.get(TermKey(entry.term, at.origin))
        if term is None:
            return "not_the_holder"
        term.decided.append(at.seq)
        term.last_decided = at.seq
        term.decisions.append(entry)
        term.rulings += len(entry.rulings)
        return ""

    def _finish(self, entry: Finality, at: At) -> str:
        term = self.terms.get(TermKey(entry.term, at.origin))
        if term is None:
            return "not_the_holder"
        term.final_upto = max(term.final_upto, entry.upto)
        return ""

    def forget_before(self, term: Term) -> None:
        """The term is of the chain, and final: forget what came before it."""
        if self.floor == term.key:
            return
        floor = self.floor = term.key
        self.terms = {k: each for k, each in self.terms.items() if k.term >= floor.term}
        self.candidacies = {k: s for k, s in self.candidacies.items() if k.term >= floor.term}
        self.handovers = [h for h in self.handovers if h[0].term >= floor.term]
        for voter, casts in self.votes.items():
            # The last says for how long it votes no more.
            kept = [cast for cast in casts[:-1] if cast.entry.term >= floor.term]
            self.votes[voter] = [*kept, casts[-1]]

    # What follows from it ------------------------------------------------------------------------

    def origins(self) -> set[Origin]:
        """Who stood for the seat, as far as it matters: nobody else's log can hold an opening or a decision that is not
        forgotten."""
        return {key.holder for key in self.candidacies}

    def latest(self) -> Term | None:
        """The latest opened term."""
        return self._latest

    def final_of(self, term: int, holder: Origin) -> int:
        """What a Finality of this term named so far; 0 if there is none."""
        known = self.terms.get(TermKey(term, holder))
        return known.final_upto if known else 0

    def voted_by(self, voter: Origin) -> int:
        """The highest term for which it voted."""
        return max((cast.entry.term for cast in self.votes.get(voter, ())), default=0)

    def votes_for(self, key: TermKey) -> list[Cast]:
        """In order of voter, so that nothing depends on the order of arrival."""
        return [
            cast
            for voter in sorted(self.votes)
            for cast in self.votes[voter]
            if cast.entry.term == key.term and cast.entry.candidate == key.holder
        ]

    def first_vote_after(self, voter: Origin, term: int) -> Vote | None:
        """The first vote for a later term."""
        return next((c.entry for c in self.votes.get(voter, ()) if c.entry.term > term), None)

    def latest_known_to(self, votes: Sequence[Vote], before: int) -> Term | None:
        """The latest term below `before` whose opening is in what one of the voters had."""
        for key in sorted(self.terms, reverse=True):
            term = self.terms[key]
            if key.term < before and any(vote.has(key.holder) >= term.seq for vote in votes):
                return term
        return None

    def chain(self, term: Term) -> Iterator[Step]:
        """The term and those it adopts, latest first. Stops at what is forgotten, and where a log is not there yet; see
        `covered`."""
        yield Step(term, EVERYTHING)
        link = term.opening.last
        while link is not None:
            earlier = self.terms.get(TermKey(link.term, link.holder))
            if earlier is None:
                return
            yield Step(earlier, link.cutoff)
            link = earlier.opening.last

    def covered(self, term: Term, frontier: Mapping[Origin, int]) -> bool:
        """True when we have every log that the term adopts, as far as it adopts it. What is forgotten we had."""
        link = term.opening.last
        while link is not None and term.key != self.floor:
            earlier = self.terms.get(TermKey(link.term, link.holder))
            if earlier is None or frontier.get(link.holder, 0) < link.cutoff:
                return False
            term, link = earlier, earlier.opening.last
        return True

    def ruling(self, frontier: Mapping[Origin, int]) -> Term | None:
        """The highest opened term of which we have all that it adopts. Not having that yet we stay with an older one:
        its final decisions are final all the same, and half of a newer one would show places as taken twice."""
        for key in sorted(self.terms, reverse=True):
            if self.covered(self.terms[key], frontier):
                return self.terms[key]
        return None
