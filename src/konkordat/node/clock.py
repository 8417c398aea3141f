"""The node's clock: Unix milliseconds that follow the machine's clock and never go back while the process lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

_NS_PER_MS: Final = 1_000_000


class WallClock:
    """Safe to read from every thread.

    Forwards it follows the machine's clock at once, so a step by NTP or a resumed machine shows immediately. When the
    machine's clock was set back, it goes on at half speed until that has caught up: deadlines still come, stamps
    keep growing, and a step back of one second is absorbed in two.
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._lock = threading.Lock()
        self._told_ns = wall_ns()
        self._told_at_ns = monotonic_ns()

    def now_ms(self) -> int:
        """Unix ms, not before any earlier answer to any thread."""
        with self._lock:
            monotonic = self._monotonic_ns()
            passed = monotonic - self._told_at_ns
            self._told_ns = max(self._wall_ns(), self._told_ns + passed // 2)
            self._told_at_ns = monotonic
            return self._told_ns // _NS_PER_MS
