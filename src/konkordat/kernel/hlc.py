"""Hybrid logical clocks (Kulkarni et al., 2014): 48 bits of Unix milliseconds above 16 bits of
counter, in one integer."""

from __future__ import annotations

from typing import Final, NamedTuple, NewType

from konkordat.kernel.ids import Origin

Hlc = NewType("Hlc", int)

COUNTER_BITS: Final = 16
HLC_MAX: Final = (1 << 63) - 1  # stores keep it in a signed 64-bit column
AHEAD_MS_MAX: Final = 500  # a stamp further ahead of our clock than this waits in quarantine


class Stamp(NamedTuple):
    """When and by whom. A total order; two stamps are equal only for the same transaction."""

    hlc: Hlc
    origin: Origin


def hlc_at(ms: int, counter: int = 0) -> Hlc:
    """The clock value of a time in Unix ms."""
    assert 0 <= counter < 1 << COUNTER_BITS  # a larger one would run into the milliseconds
    return Hlc(ms << COUNTER_BITS | counter)


def ms_of(hlc: Hlc) -> int:
    """The physical part, Unix ms."""
    return hlc >> COUNTER_BITS


def tick(last: Hlc, now_ms: int) -> Hlc:
    """The next stamp to give: later than `last` and never behind the wall clock.

    A counter that overflows carries into the milliseconds, which keeps the order and borrows at most what it needs.
    """
    return Hlc(max(last + 1, now_ms << COUNTER_BITS))


def observe(last: Hlc, seen: Hlc) -> Hlc:
    """Our clock after an accepted stamp of another origin, so that what we write next is later than
    what we have seen."""
    return seen if seen > last else last


def too_far_ahead(seen: Hlc, now_ms: int, bound_ms: int = AHEAD_MS_MAX) -> bool:
    """True for a stamp that must not move our clock yet (DESIGN §4): it would drag every later write with it."""
    return ms_of(seen) > now_ms + bound_ms
