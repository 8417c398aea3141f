"""What is free instead: the same place at other times, and other rooms of enough size at the same time. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from konkordat.kernel.claim import Claim, Resource, in_the_way
from konkordat.kernel.hlc import HLC_MAX, Hlc, Stamp
from konkordat.kernel.ids import Origin, RecordKey
from konkordat.schedule import rules
from konkordat.schedule.claims import place_claim
from konkordat.schedule.rulebook import Rulebook
from konkordat.schedule.slots import Candidate, Place
from konkordat.schedule.times import MINUTE_MS, Interval, local_text, to_local, zone

ALTERNATIVES_SHOWN_MAX: Final = 3  # times, and rooms as well: what one can choose from at a glance
# How far from the wished time a free one is looked for. Beyond the next day people ask for another day.
REACH_MS: Final = 24 * 60 * MINUTE_MS
CANDIDATES_MAX: Final = 200  # times tried in a crowded room, so that a refusal stays cheap
ROOMS_TRIED_MAX: Final = 50  # of a venue, those nearest in size first
# A claim that is not written yet comes after every one that is.
LAST: Final = Stamp(Hlc(HLC_MAX), Origin(""))

# Who holds a place on a resource from when to when, the asking session left out.
Holders = Callable[[Resource, int, int], Sequence[Claim]]


class Asking(msgspec.Struct, frozen=True):
    """Who asks what is free, and by which rules."""

    book: Rulebook
    holders: Holders
    key: RecordKey
    event: object  # id

    def blocking(self, candidate: Candidate) -> tuple[Claim, ...]:
        """The claims because of which a place is not free."""
        claim = place_claim(self.key, candidate, LAST)
        near = self.holders(claim.resource, claim.start_ms, claim.until_ms)
        return in_the_way(claim, near, self.book.capacity(candidate.name))

    def may_have(self, candidate: Candidate) -> bool:
        return self.book.broken(candidate, self.event, "") is None


def free_times(asking: Asking, wish: Candidate) -> list[dict[str, Any]]:
    """Slots in the same place, nearest to the wished time first."""
    found: list[dict[str, Any]] = []
    for start_ms in _free_starts(asking, wish):
        moved = at_time(wish, start_ms)
        if moved is not None and asking.may_have(moved):
            found.append(moved.as_slot())
        if len(found) == ALTERNATIVES_SHOWN_MAX:
            break
    return found


def _free_starts(asking: Asking, wish: Candidate) -> Iterator[int]:
    """Starts (UTC ms, the session's own) at which the place is free."""
    claim = place_claim(asking.key, wish, LAST)
    length = claim.until_ms - claim.start_ms
    around = asking.holders(claim.resource, claim.start_ms - REACH_MS, claim.until_ms + REACH_MS)
    capacity = asking.book.capacity(wish.name)
    held = sorted(around, key=lambda h: h.start_ms)
    longest = max((h.until_ms - h.start_ms for h in held), default=0)
    # A claim fits best where another ends or before one begins.
    tried = {h.until_ms for h in held} | {h.start_ms - length for h in held}
    by_distance = sorted(tried, key=lambda at: (abs(at - claim.start_ms), at))
    for start in by_distance[:CANDIDATES_MAX]:
        moved = msgspec.structs.replace(claim, start_ms=start, until_ms=start + length)
        first = bisect_left(held, start - longest, key=_start)
        near = held[first : bisect_left(held, start + length, lo=first, key=_start)]
        if abs(start - claim.start_ms) <= REACH_MS and not in_the_way(moved, near, capacity):
            yield start + wish.before_minutes * MINUTE_MS


def free_rooms(
    asking: Asking, wish: Candidate, rooms: Iterable[tuple[str, rules.Values]], seats: int | None
) -> list[dict[str, Any]]:
    """Slots at the same time in other rooms that hold as many as the session offers seats, or, where it says nothing,
    as the wished room. `rooms` are (resource name, record's groups); the tightest fit first."""
    need = seats if seats is not None else _size(asking.book.site(wish.name))
    sized = [(_size(values), name) for name, values in rooms if name != wish.name]
    fitting = sorted(
        (size or 0, name)
        for size, name in sized
        if need is None or (size is not None and size >= need)
    )
    found: list[dict[str, Any]] = []
    for _, name in fitting[:ROOMS_TRIED_MAX]:
        there = asking.book.buffered(wish._replace(place=Place(name, wish.place.interval)))
        if asking.may_have(there) and not asking.blocking(there):
            found.append(there.as_slot())
        if len(found) == ALTERNATIVES_SHOWN_MAX:
            break
    return found


def at_time(wish: Candidate, start_ms: int) -> Candidate | None:
    """The place at another time; None where its wall time there would be ambiguous."""
    found = zone(wish.time_zone)
    local = to_local(start_ms, found) if isinstance(found, ZoneInfo) else None
    if local is None or local.fold:
        return None
    interval = Interval(start_ms, start_ms + wish.duration_minutes * MINUTE_MS)
    place = Place(wish.name, interval)
    return wish._replace(place=place, local_start=local_text(local), fold=0)


def _start(claim: Claim) -> int:
    return claim.start_ms


def _size(site: rules.Values) -> int | None:
    size = rules.read(site, "capacity")
    return size if isinstance(size, int) and not isinstance(size, bool) else None
