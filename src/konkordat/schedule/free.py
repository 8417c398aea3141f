"""When a place is free: what is left of a time beside what others hold there. Pure.

What is told can be booked: times are a session's own, with room before and after them for what the place needs between
two sessions, inside its bookable hours, and on a day of the event that asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from konkordat.kernel.claim import Claim, Resource
from konkordat.schedule import rules
from konkordat.schedule.alternatives import Asking
from konkordat.schedule.claims import EVENTS
from konkordat.schedule.slots import Candidate, Place
from konkordat.schedule.times import MINUTE_MS, Interval, local_text, to_local

SPANS_MAX: Final = (
    100  # of one place that are told: a room booked every quarter of an hour for a day
)


def free_spans(asking: Asking, where: rules.Site, window: Interval) -> list[Candidate]:
    """The places, in order of time, each as long as it can be, that a session may have inside the window."""
    whole = asking.book.buffered(_place(where, window))
    before, after = whole.before_minutes * MINUTE_MS, whole.after_minutes * MINUTE_MS
    around = Interval(window.start_ms - before, window.until_ms + after)
    held = asking.holders(Resource(asking.key.tenant, where.name), *_bounds(around))
    gaps = _gaps(around, held, asking.book.capacity(where.name))
    own = [Interval(gap.start_ms + before, gap.until_ms - after) for gap in gaps]
    found: list[Candidate] = []
    for opening in _allowed(asking, where, window):
        for span in _common(own, opening):
            place = asking.book.buffered(_place(where, span))
            # The last word has the rule that a booking is held against.
            if place.duration_minutes and asking.may_have(place):
                found.append(place)
            if len(found) == SPANS_MAX:
                return found
    return found


def _gaps(around: Interval, held: Sequence[Claim], capacity: int) -> Iterator[Interval]:
    """Where one more fits: fewer than `capacity` claims are there at every instant."""
    edges = [(claim.start_ms, claim.quantity) for claim in held]
    edges += [(claim.until_ms, -claim.quantity) for claim in held]
    load, opened = 0, around.start_ms
    # A departure sorts before an arrival at the same instant: intervals are half-open.
    for at, step in sorted(edges):
        was_full, load = load >= capacity, load + step
        if load >= capacity and not was_full and opened < min(at, around.until_ms):
            yield Interval(opened, min(at, around.until_ms))
        if load < capacity and was_full:
            opened = max(at, around.start_ms)
    if load < capacity and opened < around.until_ms:
        yield Interval(opened, around.until_ms)


def _allowed(asking: Asking, where: rules.Site, window: Interval) -> list[Interval]:
    """The parts of the window at which the place is open and the event goes on."""
    open_ = rules.open_spans(window, asking.book.site(where.name), where.zone)
    event = asking.book.values(EVENTS, asking.event)
    frame = rules.frame_of(event) if event else None
    if frame is None:
        return open_
    days = Interval(
        rules.day_start_ms(frame.first, frame),
        rules.day_start_ms(frame.last + timedelta(days=1), frame),
    )
    return list(_common(open_, days))


def _common(spans: Sequence[Interval], with_: Interval) -> Iterator[Interval]:
    for span in spans:
        start, until = max(span.start_ms, with_.start_ms), min(span.until_ms, with_.until_ms)
        if start < until:
            yield Interval(start, until)


def _place(where: rules.Site, interval: Interval) -> Candidate:
    """The place as a slot could name it: whole minutes, rounded inwards."""
    start_ms = -(-interval.start_ms // MINUTE_MS) * MINUTE_MS
    minutes = max(0, (interval.until_ms - start_ms) // MINUTE_MS)
    local = to_local(start_ms, where.zone)
    own = Interval(start_ms, start_ms + minutes * MINUTE_MS)
    place = Place(where.name, own)
    return Candidate(place, local_text(local), where.zone.key, minutes, local.fold)


def _bounds(interval: Interval) -> tuple[int, int]:
    return interval.start_ms, interval.until_ms
