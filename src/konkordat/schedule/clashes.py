"""Clashes: soft rules broken, computed from merged state, shown, never silently repaired.

Pure sweeps over bookings sorted by start, O(n log n) plus what is found. Intervals are half-open:
a session may start the minute another ends.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from konkordat.kernel.claim import Claim, ClaimId
from konkordat.schedule.times import Interval

# n sessions at one moment clash in n²/2 pairs; nobody reads more than this, and no answer holds it.
PAIRS_MAX: Final = 10_000


class Booking(Struct, frozen=True):
    """A session at its place and time, as much as clashes depend on."""

    session: str
    place: str  # the resource: "room/<id>", "booth/<id>"
    speakers: tuple[str, ...]
    interval: Interval


class SpeakerClash(Struct, frozen=True, order=True):
    """One speaker, two sessions that overlap. ``first`` starts no later than ``second``.

    The same two sessions clash once for each speaker they share.
    """

    speaker: str
    first: str
    second: str


class SpeakerClashes(Struct, frozen=True):
    """All clashes in order of time, or the first ``PAIRS_MAX`` with ``truncated`` set."""

    pairs: tuple[SpeakerClash, ...]
    truncated: bool = False


class RefusedSlot(Struct, frozen=True):
    """A booking that does not fit, and the granted ones that stand in its way."""

    session: str
    place: str
    in_the_way: tuple[str, ...]


def speaker_clashes(bookings: Iterable[Booking]) -> SpeakerClashes:
    """Every pair of overlapping sessions of one speaker, each pair once per speaker."""
    found: list[SpeakerClash] = []
    for speaker, first, second in _overlapping_pairs(bookings):
        if len(found) == PAIRS_MAX:
            return SpeakerClashes(tuple(found), truncated=True)
        found.append(SpeakerClash(speaker, first.session, second.session))
    return SpeakerClashes(tuple(found))


def refused_slots(
    bookings: Iterable[Booking], capacities: Mapping[str, int] | None = None
) -> tuple[RefusedSlot, ...]:
    """The bookings that find no room, when the earlier start goes first (then the given order).

    ``capacities`` gives how many sessions a place may host at once; 1 where it says nothing.
    A refused booking stands in nobody's way.
    """
    granted: dict[str, list[tuple[int, int, Booking]]] = {}
    refused: list[RefusedSlot] = []
    for number, booking in enumerate(_by_start(bookings)):
        present = granted.setdefault(booking.place, [])
        _forget_ended(present, booking.interval.start_ms)
        # All of them began before this one and none has ended, so each overlaps it, and the load
        # is nowhere higher than at its start.
        if len(present) >= (capacities or {}).get(booking.place, 1):
            in_the_way = tuple(b.session for _, _, b in sorted(present, key=_number))
            refused.append(RefusedSlot(booking.session, booking.place, in_the_way))
        else:
            heapq.heappush(present, (booking.interval.until_ms, number, booking))
    return tuple(refused)


def overbooked(claims: Iterable[Claim], capacity: int) -> tuple[Claim, ...]:
    """Of the claims on one room or booth, of which each record's take one: those that share an instant with more than
    `capacity`. In order of start."""
    found: dict[ClaimId, Claim] = {}
    present: list[tuple[int, int, Claim]] = []
    for number, claim in enumerate(sorted(claims, key=lambda c: (c.start_ms, c.order))):
        while present and present[0][0] <= claim.start_ms:
            heapq.heappop(present)
        heapq.heappush(present, (claim.until_ms, number, claim))
        if len({other.id.owner for _, _, other in present}) > capacity:
            found |= {other.id: other for _, _, other in sorted(present, key=lambda p: p[1])}
    return tuple(found.values())


def _overlapping_pairs(bookings: Iterable[Booking]) -> Iterator[tuple[str, Booking, Booking]]:
    """(speaker, earlier, later) for each overlap, in order of the later one's start."""
    running: dict[str, list[tuple[int, int, Booking]]] = {}
    for number, booking in enumerate(_by_start(bookings)):
        # A speaker listed twice on one session is still one person.
        for speaker in dict.fromkeys(booking.speakers):
            present = running.setdefault(speaker, [])
            _forget_ended(present, booking.interval.start_ms)
            for _, _, other in sorted(present, key=_number):
                yield speaker, other, booking
            heapq.heappush(present, (booking.interval.until_ms, number, booking))


def _by_start(bookings: Iterable[Booking]) -> list[Booking]:
    """Sorted by start; the sort is stable, so equal starts keep the order they came in."""
    return sorted(bookings, key=lambda booking: booking.interval.start_ms)


def _number(entry: tuple[int, int, Booking]) -> int:
    return entry[1]


def _forget_ended(present: list[tuple[int, int, Booking]], now_ms: int) -> None:
    while present and present[0][0] <= now_ms:
        heapq.heappop(present)
