"""Sessions that hold more than there is: their room takes fewer at a time than when they were booked, or is gone.

A place that was granted stays granted, so nobody loses one because a capacity is lowered, or because a room is deleted
at a node that has not heard of its bookings. It is shown instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from konkordat.kernel.claim import Claim, ClaimState, DecidedClaim, Resource
from konkordat.kernel.ids import RecordKey
from konkordat.kernel.record import Record
from konkordat.schedule.claims import capacity_of, capacity_owner
from konkordat.schedule.clashes import overbooked
from konkordat.schedule.slots import HELD_PART, SLOT_PART
from konkordat.store.port import Reader, Span

SPANS_PER_READ: Final = 200
OTHERS_MAX: Final = 16  # named beside a session; more would help nobody
_PLACES: Final = frozenset({SLOT_PART, HELD_PART})


class Other(Struct, frozen=True):
    """A session or hold that is there at the same time."""

    type: str
    id: str


class Overbooked(Struct, frozen=True):
    """A session to come that keeps a place which there is not, or not as often."""

    session: str
    code: Annotated[
        Literal["overbooked", "place_deleted"],
        Meta(description="More sessions at a time than the place takes now, or the place is gone."),
    ]
    place: Annotated[str, Meta(examples=["room/0197…"])]
    others: tuple[Other, ...]


def overbooked_among(
    reader: Reader, claims: Mapping[RecordKey, Sequence[DecidedClaim]], now_ms: int
) -> Iterator[Overbooked]:
    """Those among an event's sessions that are not over yet. `claims` are those of its sessions."""
    own = [claim for held in claims.values() for claim in _granted(held) if claim.until_ms > now_ms]
    spans = _spans(own)
    sites = _sites(reader, spans)
    present = _present(reader, [spans[resource] for resource in sites])
    shown = {claim.id for claim in own}
    for resource, site in sites.items():
        there = present.get(resource, ())
        crowd = overbooked(there, capacity_of(site)) if site.alive else there
        code: Literal["overbooked", "place_deleted"] = (
            "overbooked" if site.alive else "place_deleted"
        )
        for claim in crowd:
            if claim.id in shown:
                others = _others(claim, crowd) if site.alive else ()
                yield Overbooked(claim.id.owner.id, code, resource.name, others)


def _granted(claims: Iterable[DecidedClaim]) -> list[Claim]:
    """The places that are held, whatever is asked for beside."""
    confirmed = (d.claim for d in claims if d.state is ClaimState.CONFIRMED)
    return [claim for claim in confirmed if claim.id.part in _PLACES and claim.quantity]


def _spans(claims: Iterable[Claim]) -> dict[Resource, Span]:
    """From when to when each place is held."""
    spans: dict[Resource, Span] = {}
    for claim in claims:
        known = spans.get(claim.resource, Span(claim.resource, claim.start_ms, claim.until_ms))
        spans[claim.resource] = Span(
            claim.resource,
            min(known.start_ms, claim.start_ms),
            max(known.until_ms, claim.until_ms),
        )
    return spans


def _sites(reader: Reader, resources: Iterable[Resource]) -> dict[Resource, Record]:
    """The rooms and booths. One that is not here yet is not told of."""
    owners = {resource: capacity_owner(resource) for resource in resources}
    found = reader.load([owner for owner in owners.values() if owner is not None])
    return {
        resource: found[owner]
        for resource, owner in owners.items()
        if owner is not None and owner in found
    }


def _present(reader: Reader, spans: Sequence[Span]) -> dict[Resource, list[Claim]]:
    """Who holds these places in those times, of whatever event."""
    present: dict[Resource, list[Claim]] = {}
    for start in range(0, len(spans), SPANS_PER_READ):
        for claim in _granted(reader.claims_on(spans[start : start + SPANS_PER_READ])):
            present.setdefault(claim.resource, []).append(claim)
    return present


def _others(claim: Claim, crowd: Iterable[Claim]) -> tuple[Other, ...]:
    owners = [c.id.owner for c in crowd if c.id.owner != claim.id.owner and c.overlaps(claim)]
    return tuple([Other(o.collection, o.id) for o in dict.fromkeys(owners)][:OTHERS_MAX])
