"""Virtual time: what happens next, and when. Ties are broken by the order in which things were planned."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final

from konkordat.testing.clock import START_MS

US_PER_MS: Final = 1_000


class Timeline:
    """Plans of calls in virtual microseconds, carried out in order of (time, number)."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self.now_us = start_ms * US_PER_MS
        self.start_us = self.now_us
        self.done = 0  # calls carried out so far
        self._planned: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0

    @property
    def now_ms(self) -> int:
        return self.now_us // US_PER_MS

    def after(self, delay_us: int, call: Callable[..., None], *args: Any) -> None:
        """Plan a call `delay_us` from now, never in the past."""
        self._number += 1
        at = self.now_us + delay_us if delay_us > 0 else self.now_us
        heapq.heappush(self._planned, (at, self._number, call, args))

    def at(self, at_us: int, call: Callable[..., None], *args: Any) -> None:
        """Plan a call at a time; one that has passed means now."""
        self.after(at_us - self.now_us, call, *args)

    def run_until(self, until_us: int) -> None:
        """Carry out everything up to and including a time, and let the time be then."""
        planned, pop = self._planned, heapq.heappop
        while planned and planned[0][0] <= until_us:
            self.now_us, _, call, args = pop(planned)
            self.done += 1
            call(*args)
        self.now_us = max(self.now_us, until_us)

    def run_for(self, duration_us: int) -> None:
        self.run_until(self.now_us + duration_us)

    def leap(self, by_us: int) -> None:
        """Let time pass in which nothing happens: everything planned moves along. For waits of hours and days."""
        assert by_us >= 0
        self.now_us += by_us
        self._planned = [(at + by_us, number, *rest) for at, number, *rest in self._planned]  # type: ignore[misc]
