"""What the logs say of one seat: candidacies, votes, terms, and which terms hang together.

A function of the entries and the frontier, not of the order in which logs arrived: only the order within each log
matters, and replication keeps that.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from konkordat.kernel.ids import Origin
from konkordat.kernel.seat import (
    At,
    Candidacy,
    Decision,
    Entry,
    Finality,
    Handover,
    Opening,
    Vote,
)


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
        self._latest: Term | None = None

    def take(self, entry: Entry, at: At) -> str:
        """Book an entry. Returns why it does not count, or nothing."""
        self.highest_seen = max(self.highest_seen, entry.term)
        match entry:
            case Candidacy():
                self.candidacies.setdefault(TermKey(entry.term, at.origin), Standing(entry, at))
            case Vote():
                if entry.term <= self.voted_by(at.origin):
                    return "voted_already"
                self.votes.setdefault(at.origin, []).append(Cast(entry, at))
                self.highest_voted = max(self.highest_voted, entry.term)
            case Opening():
                return self._open(entry, at)
            case Decision():
                return self._decide(entry, at)
            case Finality():
                return self._finish(entry, at)
            case Handover():
                self.handovers.append((entry, at.origin))
        return ""

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

    # What follows from it ------------------------------------------------------------------------

    def origins(self) -> set[Origin]:
        """Who ever stood for the seat: nobody else's log can hold an opening or a decision."""
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
        """The term and those it adopts, latest first. Stops where a log is not there yet; see `covered`."""
        yield Step(term, EVERYTHING)
        link = term.opening.last
        while link is not None:
            earlier = self.terms.get(TermKey(link.term, link.holder))
            if earlier is None:
                return
            yield Step(earlier, link.cutoff)
            link = earlier.opening.last

    def covered(self, term: Term, frontier: Mapping[Origin, int]) -> bool:
        """True when we have every log that the term adopts, as far as it adopts it."""
        link = term.opening.last
        while link is not None:
            earlier = self.terms.get(TermKey(link.term, link.holder))
            if earlier is None or frontier.get(link.holder, 0) < link.cutoff:
                return False
            link = earlier.opening.last
        return True

    def ruling(self, frontier: Mapping[Origin, int]) -> Term | None:
        """The highest opened term of which we have all that it adopts. Not having that yet we stay with an older one:
        its final decisions are final all the same, and half of a newer one would show places as taken twice."""
        for key in sorted(self.terms, reverse=True):
            if self.covered(self.terms[key], frontier):
                return self.terms[key]
        return None
