"""How far peers are behind, in time: the age of the oldest batch that a peer lacks.

Kept from recent commits alone, bounded per origin. As of a peer's last word: what it may have got since then is not
counted against it while it is alive; of a lost peer the age goes on growing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from typing import Final

from konkordat.kernel.frontier import missing
from konkordat.kernel.ids import Origin

REMEMBERED_MAX: Final = 4_096  # commits per origin: a minute of steady load, or hours of editing


class CommitTimes:
    """When this node got which batch."""

    def __init__(self) -> None:
        self._frontier: dict[Origin, int] = {}
        self._times: dict[Origin, deque[tuple[int, int]]] = {}  # (seq up to here, at ms), both grow

    def start(self, frontier: Mapping[Origin, int], now_ms: int) -> None:
        """What was there at the start: when it came is not remembered."""
        self._frontier = dict(frontier)
        self._times = {
            origin: deque([(seq, now_ms)], REMEMBERED_MAX) for origin, seq in frontier.items()
        }

    def committed(self, frontier: Mapping[Origin, int], now_ms: int) -> None:
        """A commit moved the frontier."""
        for origin, seq in frontier.items():
            if seq > self._frontier.get(origin, 0):
                self._frontier[origin] = seq
                times = self._times.get(origin)
                if times is None:
                    times = self._times[origin] = deque(maxlen=REMEMBERED_MAX)
                times.append((seq, now_ms))

    def oldest_missing_ms(self, theirs: Mapping[Origin, int]) -> int | None:
        """When we got the oldest batch that somebody with that frontier lacks; None if it lacks none.

        For a batch beyond what is remembered: a time that is too late, never too early.
        """
        oldest: int | None = None
        for origin, (has, _) in missing(theirs, self._frontier).items():
            times = self._times[origin]
            # The first commit that went beyond what they have; sequences grow, so it is found by halves.
            at = bisect_right(times, has, key=lambda commit: commit[0])
            came_ms = times[min(at, len(times) - 1)][1]
            oldest = came_ms if oldest is None else min(oldest, came_ms)
        return oldest


def lag_ms(oldest_missing_ms: int | None, alive: bool, heard_ms: int, now_ms: int) -> float:
    """A peer's lag as of its last word if it is alive, as of now if it is lost."""
    if oldest_missing_ms is None:
        return 0.0
    as_of_ms = heard_ms if alive and heard_ms else now_ms
    return float(max(0, as_of_ms - oldest_missing_ms))
