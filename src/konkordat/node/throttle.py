"""Log lines that a flood cannot multiply."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

EVERY_S: Final = 5.0  # one line per kind in this time; the metrics count every one
KINDS_MAX: Final = 256  # kinds are few and ours, but some carry a peer's name


class Throttle:
    """Says whether something may be logged now, and how often it was held back before. Safe for every thread."""

    def __init__(
        self, every_s: float = EVERY_S, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._every_s = every_s
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._last: dict[str, tuple[float, int]] = {}  # kind -> (when logged, held back since)

    def pass_(self, kind: str) -> int | None:
        """How many of this kind were held back since the last line, or None if this one is held back too."""
        now = self._monotonic_s()
        with self._lock:
            last = self._last.get(kind)
            if last is not None and now - last[0] < self._every_s:
                self._last[kind] = (last[0], last[1] + 1)
                return None
            if last is None and len(self._last) >= KINDS_MAX:
                self._last.clear()
            self._last[kind] = (now, 0)
            return 0 if last is None else last[1]
