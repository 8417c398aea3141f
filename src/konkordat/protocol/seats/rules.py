"""The rules on which safety rests, all in one place, each a function of its arguments.

Why no two holders ever confirm against each other, in five steps (docs/seats.md tells it with pictures):

1. A decision of term t is *final* once a majority of the term's roster has it, each member before its first vote for a
   later term (`acknowledged`). Only the holder says so, by an entry in its log (`Finality`).
2. A later term t' is opened only on votes of a majority of every roster that matters (`majority`, `rosters_concerned`).
   So at least one of its voters, M, is among those of step 1.
3. M had the decision before it voted, and its vote says how far it had the old holder's log (`cutoff`). So the cut-off
   of t in t' is not before any final decision of t.
4. The candidate opens only when it has all that its voters had (`caught_up`). So it decides in full knowledge of every
   decision that may be final, and grants nothing against it.
5. Later openings inherit cut-offs and never draw them again, or leave out a term that none of their voters knew, which
   by 2 and 3 cannot have had a final decision.

No clock, lease or order of arrival is used. Tests plant bugs by replacing one rule at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from konkordat.kernel.claim import Claim, in_the_way
from konkordat.kernel.ids import Origin
from konkordat.kernel.seat import Decide, Roster, Vote


class Rules:
    """The rules as they are. Stateless."""

    def is_member(self, origin: Origin, roster: Roster) -> bool:
        """Only members vote, stand and hold."""
        return origin in roster.members

    def may_vote(self, term: int, voted: int, opened: int) -> bool:
        """One vote for a term, and never for an older one: the vote before it promised that."""
        return term > voted and term > opened

    def majority(self, roster: Roster, supporters: Iterable[Origin]) -> bool:
        """More than half of the members. Strangers do not count, nobody counts twice."""
        return len(set(supporters) & set(roster.members)) * 2 > len(roster.members)

    def rosters_concerned(
        self, own: int, last: int | None, first: int, voted_under: Iterable[int]
    ) -> set[int]:
        """Versions of rosters of which a candidate needs a majority each: any two terms must share a voter who tells
        the later of the earlier. Its own; that of the latest opened term its voters know, or, where they know none, the
        roster when the seat was made; and those under which its voters voted since, for terms that may be open too.
        """
        return {own, first if last is None else last, *voted_under}

    def caught_up(self, frontier: Mapping[Origin, int], vote: Vote, me: Origin) -> bool:
        """True when we have all that a voter had. What we write in this commit we have."""
        return all(origin == me or frontier.get(origin, 0) >= seq for origin, seq in vote.frontier)

    def cutoff(self, votes: Sequence[Vote], holder: Origin) -> int:
        """How much of an earlier holder's log counts: the furthest that any of the voters had."""
        return max(vote.has(holder) for vote in votes)

    def countable(self, frontier: Mapping[Origin, int], member: Origin, theirs: int) -> bool:
        """A member's frontier counts once we have its own log up to then: a vote that it cast before would be in it."""
        return frontier.get(member, 0) >= theirs

    def acknowledged(self, origin: Origin, acked: Mapping[Origin, int], later: Vote | None) -> int:
        """How far a member has a holder's log, as far as it counts. `later` is the member's first vote for a later term
        than the holder's: what it got after that it does not confirm."""
        return acked.get(origin, 0) if later is None else later.has(origin)

    def holder_alone(self, decide: Decide) -> bool:
        """Whether the holder's own disk makes a decision final."""
        return decide is Decide.HOME

    def counts(self, seq: int, cutoff: int) -> bool:
        """A decision of an adopted term counts up to the cut-off, and is void beyond it."""
        return seq <= cutoff

    def in_the_way(
        self, claim: Claim, granted: Iterable[Claim], capacity: int
    ) -> tuple[Claim, ...]:
        """Which granted claims leave no room. Half-open: who leaves at ten is not in the way of who comes at ten."""
        return in_the_way(claim, granted, capacity)


RULES = Rules()
