"""Claims: what is scarce is not a field but a claim on a resource, for an interval, of a quantity.

At no instant may the granted claims on a resource exceed its capacity. In this release the decision
is a pure function of the merged state: the earlier claim (by stamp) keeps its place, a later one
that does not fit beside it is displaced. Every node that has the same records computes the same
decisions. Seats (DESIGN §6) will replace `decide` by decisions that are themselves changes, so that
a confirmed claim never changes; the values here stay.
"""

from __future__ import annotations

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


class Resource(NamedTuple):
    """Something of which there is only so much: ("acme", "room/0190…")."""

    tenant: Tenant
    name: str


class ClaimId(NamedTuple):
    """A record makes a claim through one of its groups; the group's name tells claims of one record apart."""

    owner: RecordKey
    part: str


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A wish for `quantity` of a resource during [start_ms, until_ms), UTC milliseconds."""

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


def in_the_way(claim: Claim, granted: Iterable[Claim], capacity: int) -> tuple[Claim, ...]:
    """The granted claims because of which `claim` does not fit; empty when it fits.

    The load only rises where some claim starts, so it is enough to look at the claim's own start and at every start
    inside it.
    """
    rivals = [g for g in granted if g.id != claim.id and g.overlaps(claim)]
    room = capacity - claim.quantity
    for at in sorted(
        {claim.start_ms, *(g.start_ms for g in rivals if g.start_ms > claim.start_ms)}
    ):
        present = [g for g in rivals if g.start_ms <= at < g.until_ms]
        if sum(g.quantity for g in present) > room:
            # A claim beyond the whole capacity is in its own way: name what is there, even if that is nobody.
            return tuple(sorted(present, key=lambda g: g.order)) or (claim,)
    return ()


def decide(claims: Iterable[Claim], capacity: int) -> dict[ClaimId, DecidedClaim]:
    """Decisions for all claims of one resource, earlier stamps first."""
    granted: list[Claim] = []
    decided: dict[ClaimId, DecidedClaim] = {}
    for claim in sorted(claims, key=lambda c: c.order):
        rivals = in_the_way(claim, granted, capacity)
        if rivals:
            against = tuple(r.id for r in rivals[:REASONS_MAX])
            decided[claim.id] = DecidedClaim(claim, ClaimState.DISPLACED, against)
        else:
            granted.append(claim)
            decided[claim.id] = DecidedClaim(claim, ClaimState.CONFIRMED)
    return decided


def affected(claims: Sequence[Claim], touched: Mapping[ClaimId, tuple[int, int]]) -> list[Claim]:
    """The claims whose decision can change when those in `touched` (old and new extent, ms) came,
    moved or went: all that hang together with them through overlaps."""
    spans = sorted(touched.values())
    result: dict[ClaimId, Claim] = {}
    rest = list(claims)
    while True:
        near = [c for c in rest if any(c.start_ms < hi and lo < c.until_ms for lo, hi in spans)]
        if not near:
            return sorted(result.values(), key=lambda c: c.order)
        for claim in near:
            result[claim.id] = claim
        rest = [c for c in rest if c.id not in result]
        spans = [(c.start_ms, c.until_ms) for c in near]
