"""Bugs planted in the rules, one at a time. Each must be found by the model, or the model proves nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from konkordat.kernel.claim import Claim
from konkordat.kernel.ids import Origin
from konkordat.kernel.seat import Decide, Roster, Vote
from konkordat.protocol.seats.rules import Rules
from konkordat.replica.rosters import VERSIONS
from konkordat.testing.seats.scopes import (
    REPLACED,
    STRANGER,
    TAKEOVER,
    TOUCHING,
    UNKNOWN,
    Scope,
)


class ConfirmsAlone(Rules):
    """Confirm by an old holder: what it has on its own disk it calls final, whoever may have followed it."""

    def holder_alone(self, decide: Decide) -> bool:  # noqa: ARG002
        return True


class IgnoresTerms(Rules):
    """Term not checked: decisions of an older term count, wherever the cut-off is."""

    def counts(self, seq: int, cutoff: int) -> bool:  # noqa: ARG002
        return True


class CountsTwice(Rules):
    """A vote counted twice: the candidate's own, once as candidacy and once as vote."""

    def majority(self, roster: Roster, supporters: Iterable[Origin]) -> bool:
        votes = [origin for origin in supporters if origin in roster.members]
        return len(votes) * 2 > len(roster.members)


class CountsStrangers(Rules):
    """The vote of a non-member counts."""

    def is_member(self, origin: Origin, roster: Roster) -> bool:  # noqa: ARG002
        return True

    def majority(self, roster: Roster, supporters: Iterable[Origin]) -> bool:
        return len(set(supporters)) * 2 > len(roster.members)


class ClosedIntervals(Rules):
    """Who leaves at ten is in the way of who comes at ten."""

    def in_the_way(
        self, claim: Claim, granted: Iterable[Claim], capacity: int
    ) -> tuple[Claim, ...]:
        longer = [msgspec.structs.replace(g, until_ms=g.until_ms + 1) for g in granted]
        wider = msgspec.structs.replace(claim, until_ms=claim.until_ms + 1)
        found = super().in_the_way(wider, longer, capacity)
        return tuple(msgspec.structs.replace(f, until_ms=f.until_ms - 1) for f in found)


class CutsOneShort(Rules):
    """The cut-off one short of what the voters had."""

    def cutoff(self, votes: Sequence[Vote], holder: Origin) -> int:
        return super().cutoff(votes, holder) - 1


class VoterKeepsConfirming(Rules):
    """A voter that goes on counting for older terms."""

    def acknowledged(self, origin: Origin, acked: Mapping[Origin, int], later: Vote | None) -> int:  # noqa: ARG002
        return acked.get(origin, 0)


class CountsTooEarly(Rules):
    """An acknowledgement counts although the member may have voted before it: its log has not come yet."""

    def countable(self, frontier: Mapping[Origin, int], member: Origin, theirs: int) -> bool:  # noqa: ARG002
        return True


class OpensTooEarly(Rules):
    """A candidate opens before it has what its voters had."""

    def caught_up(self, frontier: Mapping[Origin, int], vote: Vote, me: Origin) -> bool:  # noqa: ARG002
        return True


class AsksNewRosterAlone(Rules):
    """A candidate asks only the members of today: those of yesterday may have made something final without them."""

    def rosters_concerned(
        self,
        own: int,
        last: int | None,  # noqa: ARG002
        first: int,  # noqa: ARG002
        voted_under: Iterable[int],  # noqa: ARG002
    ) -> set[int]:
        return {own}


def _planted(scope: Scope, name: str, rules: Rules) -> Scope:
    return msgspec.structs.replace(scope, name=name, rules=rules)


class GrantsEveryRoster(Rules):
    """Two changes of the roster at once: both get the version that they ask for. Nothing that the model has."""

    def in_the_way(
        self, claim: Claim, granted: Iterable[Claim], capacity: int
    ) -> tuple[Claim, ...]:
        return () if claim.resource == VERSIONS else super().in_the_way(claim, granted, capacity)


# By the name of the bug: the smallest world in which it shows.
BUGS: Final = {
    scope.name: scope
    for scope in (
        _planted(TAKEOVER, "confirm by an old holder", ConfirmsAlone()),
        _planted(TAKEOVER, "term not checked", IgnoresTerms()),
        _planted(TAKEOVER, "vote counted twice", CountsTwice()),
        _planted(STRANGER, "vote of a non-member", CountsStrangers()),
        _planted(TOUCHING, "closed intervals", ClosedIntervals()),
        _planted(TAKEOVER, "cut-off one short", CutsOneShort()),
        _planted(TAKEOVER, "voter keeps confirming", VoterKeepsConfirming()),
        _planted(TAKEOVER, "acknowledgement counted too early", CountsTooEarly()),
        _planted(UNKNOWN, "opened before caught up", OpensTooEarly()),
        _planted(REPLACED, "new roster asked alone", AsksNewRosterAlone()),
        msgspec.structs.replace(TAKEOVER, name="vote not durable", loses_votes=True),
    )
}
