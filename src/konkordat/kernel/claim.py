"""Claims: what is scarce is not a field but a claim on a resource, for an interval, of a quantity.

At no instant may the granted claims on a resource exceed its capacity. In this release the decision
is a pure function of the merged state: the earlier claim (by stamp) keeps its place, a later one
that does not fit beside it is displaced. Every node that has the same records computes the same
decisions. Seats (DESIGN §6) will replace `decide` by decisions that are themselves changes, so that
a confirmed claim never changes; the values here stay.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import RecordKey, Tenant

REASONS_MAX: Final = 16  # claims named in one reason; more would help nobody


class ClaimState(StrEnum):
    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    DISPLACED = "displaced"
    RELEASED = "released"
    EXPIRED = "expired"


class Resource(NamedTuple):
    """Something of which there is only so much: ("acme", "room/0190…")."""

    tenant: Tenant
    name: str


class ClaimId(NamedTuple):
    """A record makes a claim through one of its groups; the group's name tells claims of one record apart."""

    owner: RecordKey
    part: str


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A wish for `quantity` of a resource during [start_ms, until_ms), UTC milliseconds; start_ms < until_ms.

    Quantity 0 takes nothing: it always fits and never stands in the way, but it is found by resource and time. Soft
    rules ("a speaker in two places") read such claims.
    """

    id: ClaimId
    resource: Resource
    start_ms: int
    until_ms: int
    quantity: int
    stamp: Stamp  # of the group that makes the claim: it gives the order of deciding

    @property
    def order(self) -> tuple[Stamp, ClaimId]:
        """Earlier first. The id breaks the tie of claims that one transaction made."""
        return (self.stamp, self.id)

    def overlaps(self, other: Claim) -> bool:
        return self.start_ms < other.until_ms and other.start_ms < self.until_ms


class DecidedClaim(msgspec.Struct, frozen=True, gc=False):
    """A claim with its state and, where displaced, the claims that stood in its way."""

    claim: Claim
    state: ClaimState
    against: tuple[ClaimId, ...] = ()
    expires_ms: int = 0  # the place is let go by itself then, Unix ms; 0: never

    def is_over(self, now_ms: int) -> bool:
        """True of a place whose time is up, whether whoever decides has said so yet or not."""
        return 0 < self.expires_ms <= now_ms


def in_the_way(claim: Claim, granted: Iterable[Claim], capacity: int) -> tuple[Claim, ...]:
    """The granted claims because of which `claim` does not fit, earliest first; empty when it fits.

    A claim beyond the whole capacity is in its own way: it names what is there, or itself where nothing is.
    """
    rivals = [g for g in granted if g.quantity and g.id != claim.id and g.overlaps(claim)]
    at = _overfull_at(claim, rivals, capacity - claim.quantity)
    if at is None:
        return ()
    present = [g for g in rivals if g.start_ms <= at < g.until_ms]
    return tuple(sorted(present, key=lambda g: g.order)) or (claim,)


def _overfull_at(claim: Claim, rivals: Sequence[Claim], room: int) -> int | None:
    """The first instant of the claim at which its rivals leave too little. Load rises only where one of them starts."""
    if room < 0:
        return claim.start_ms
    # A departure sorts before an arrival at the same instant: intervals are half-open.
    edges = [(g.until_ms, -g.quantity) for g in rivals]
    edges += [(max(g.start_ms, claim.start_ms), g.quantity) for g in rivals]
    load = 0
    for at, step in sorted(edges):
        load += step
        if load > room:
            return at
    return None


def decide(claims: Iterable[Claim], capacity: int) -> dict[ClaimId, DecidedClaim]:
    """Decisions for all claims of one resource, earlier stamps first.

    n claims of which each overlaps few others cost O(n log n); n that all overlap cost O(n² log n).
    """
    granted: list[Claim] = []  # in order of start
    longest_ms = 0  # of the granted: none that starts earlier than this before a claim reaches it
    decided: dict[ClaimId, DecidedClaim] = {}
    for claim in sorted(claims, key=lambda c: c.order):
        first = bisect_left(granted, claim.start_ms - longest_ms, key=_start)
        last = bisect_left(granted, claim.until_ms, lo=first, key=_start)
        rivals = in_the_way(claim, granted[first:last], capacity)
        if rivals:
            against = tuple(r.id for r in rivals[:REASONS_MAX])
            decided[claim.id] = DecidedClaim(claim, ClaimState.DISPLACED, against)
            continue
        decided[claim.id] = DecidedClaim(claim, ClaimState.CONFIRMED)
        granted.insert(bisect_left(granted, claim.start_ms, key=_start), claim)
        longest_ms = max(longest_ms, claim.until_ms - claim.start_ms)
    return decided


def _start(claim: Claim) -> int:
    return claim.start_ms


def affected(claims: Sequence[Claim], touched: Mapping[ClaimId, tuple[int, int]]) -> list[Claim]:
    """The claims whose decision can change when those in `touched` came, moved or went: all that hang together with
    them through overlaps. Deciding these alone gives each the decision that deciding all would give it.

    `touched` says for each claim from when to when it was and is, old and new place together. `claims` are all of the
    resource in their new state, or at least every one that hangs together with those times: a caller that reads by
    time must read again around what it got until nothing new comes.
    """
    pieces: list[tuple[int, int, Claim | None]] = [(c.start_ms, c.until_ms, c) for c in claims]
    pieces += [(start, until, None) for start, until in touched.values() if start < until]
    result: list[Claim] = []
    cluster: list[Claim] = []
    reaches_ms, is_touched = 0, False
    for start, until, claim in sorted(pieces, key=lambda piece: piece[:2]):
        if (
            start >= reaches_ms
        ):  # half-open: what only meets the cluster's end does not belong to it
            result += cluster if is_touched else ()
            cluster, reaches_ms, is_touched = [], until, False
        reaches_ms = max(reaches_ms, until)
        if claim is None:
            is_touched = True
        else:
            cluster.append(claim)
    result += cluster if is_touched else ()
    return sorted(result, key=lambda c: c.order)
