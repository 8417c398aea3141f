"""The log of a simulated run: one readable line per event, and a hash over all of them that tells two runs apart."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from typing import Final

from konkordat.testing.timeline import Timeline

KEPT_LINES: Final = 400  # of the end of a run, for whoever must find out what went wrong


class Log:
    """Lines go to the hash, to the tail that is kept, and to `show` where somebody watches."""

    def __init__(self, timeline: Timeline, show: Callable[[str], None] | None = None) -> None:
        self._agenda, self._start_us = timeline, timeline.start_us
        self._show = show
        self._hash = hashlib.blake2b(digest_size=16)
        self.lines = 0
        self.tail: deque[str] = deque(maxlen=KEPT_LINES)

    def line(self, who: str, what: str) -> None:
        """One event: when, by whom, what."""
        text = f"{self._agenda.now_us - self._start_us:>12} {who:<9} {what}"
        self._hash.update(text.encode() + b"\n")
        self.lines += 1
        self.tail.append(text)
        if self._show is not None:
            self._show(text)

    @property
    def hash(self) -> str:
        """32 hexadecimal digits over everything up to now."""
        return self._hash.copy().hexdigest()
