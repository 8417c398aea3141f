"""Clocks under a test's control: the true time of a simulation, and what a node's own clock makes of it."""

from __future__ import annotations

from typing import Final

START_MS: Final = 1_800_000_000_000  # 15 January 2027: where simulated time begins


class ManualClock:
    """Unix milliseconds that move only when told to."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def advance(self, by_ms: int) -> int:
        """Let time pass; returns the new time."""
        assert by_ms >= 0
        self.now_ms += by_ms
        return self.now_ms


class SkewedClock:
    """A machine's clock: the true time, wrong by an offset that a test may change at any moment.

    `now_ms` is what the node's process is told, by the same rule as in production: it follows the machine's clock
    forwards at once and, while that is behind what was told before, goes on at half speed. So within the life of a
    process it never goes back; a new process begins with whatever the machine says.
    """

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms
        self._told_half_ms = 0  # in half milliseconds, so that half speed needs no fraction
        self._told_at_ms = 0

    def machine_ms(self, true_ms: int) -> int:
        """What the machine's clock shows."""
        return true_ms + self.offset_ms

    def restart(self, true_ms: int) -> None:
        """A new process: what the one before was told is forgotten."""
        self._told_half_ms = 2 * self.machine_ms(true_ms)
        self._told_at_ms = true_ms

    def now_ms(self, true_ms: int) -> int:
        """What the process is told; true time must not go back between calls."""
        passed = true_ms - self._told_at_ms
        assert passed >= 0
        machine, slow = 2 * (true_ms + self.offset_ms), self._told_half_ms + passed
        self._told_half_ms = told = machine if machine > slow else slow
        self._told_at_ms = true_ms
        return told // 2
