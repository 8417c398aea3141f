"""Which places of a resource are taken. Deciding one more claim costs what is near it in time, not what is booked.

Claims for the same interval are summed: ten thousand registrations for one session are one line of the timetable.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from konkordat.kernel.claim import REASONS_MAX, Claim, ClaimId
from konkordat.protocol.seats.rules import Rules

Interval = tuple[int, int]  # start_ms, until_ms


class Places:
    """The granted claims of one resource."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._intervals: list[Interval] = []  # sorted, each once
        self._claims: dict[Interval, dict[ClaimId, Claim]] = {}
        self._taken: dict[Interval, int] = {}  # sum of quantities
        self._longest_ms = 0  # no interval that starts earlier than this before a claim reaches it

    def add(self, claim: Claim) -> None:
        interval = (claim.start_ms, claim.until_ms)
        claims = self._claims.get(interval)
        if claims is None:
            claims = self._claims[interval] = {}
            insort(self._intervals, interval)
            self._longest_ms = max(self._longest_ms, claim.until_ms - claim.start_ms)
        claims[claim.id] = claim
        self._taken[interval] = self._taken.get(interval, 0) + claim.quantity

    def remove(self, claim: Claim) -> None:
        interval = (claim.start_ms, claim.until_ms)
        claims = self._claims[interval]
        self._taken[interval] -= claims.pop(claim.id).quantity
        if not claims:
            del self._claims[interval], self._taken[interval]
            self._intervals.pop(bisect_left(self._intervals, interval))

    def in_the_way(self, claim: Claim, capacity: int) -> tuple[ClaimId, ...]:
        """Who leaves no room for the claim, at most REASONS_MAX of them; itself if it is beyond the capacity."""
        found = self._rules.in_the_way(claim, self._sums(claim), capacity)
        names: list[ClaimId] = []
        for rival in found:
            held = self._claims.get((rival.start_ms, rival.until_ms), {})
            if rival.id not in held:
                return (claim.id,)
            names += list(held)[: REASONS_MAX - len(names)]
        return tuple(names)

    def _sums(self, claim: Claim) -> list[Claim]:
        """One claim for each interval that may reach the claim, of all that is taken in it."""
        first = bisect_left(self._intervals, (claim.start_ms - self._longest_ms, 0))
        last = bisect_left(self._intervals, (claim.until_ms + 1, 0), lo=first)
        sums: list[Claim] = []
        for interval in self._intervals[first:last]:
            one = next(iter(self._claims[interval].values()))
            taken = self._taken[interval]
            sums.append(Claim(one.id, one.resource, *interval, taken, one.stamp))
        return sums
