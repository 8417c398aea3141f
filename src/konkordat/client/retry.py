"""When to try again, and how long to wait before. One policy for requests, streams and whoever else repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

RETRY_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class RetryPolicy(msgspec.Struct, frozen=True):
    """Exponential backoff with full jitter (Brooker, "Exponential backoff and jitter", 2015)."""

    base_s: float = 0.05
    factor: float = 2.0
    cap_s: float = 5.0  # of one pause; higher is kinder to nodes in trouble, lower notices sooner
    attempts_max: int = 12
    elapsed_max_s: float = 20.0  # in all; then the last error is raised

    def pause_s(
        self, failures: int, elapsed_s: float, asked_s: float | None, draw: Callable[[], float]
    ) -> float | None:
        """How long to wait after so many failures; None to give up.

        `asked_s` is what the node asked for (Retry-After); it is never undercut. `draw` gives a number in [0, 1).
        """
        if failures >= self.attempts_max:
            return None
        ceiling = min(self.cap_s, self.base_s * self.factor ** (failures - 1))
        pause = ceiling * draw()
        if asked_s is not None:
            pause = asked_s + min(
                pause, 0.25 * asked_s
            )  # jitter on top, so that not all come back at once
        return None if elapsed_s + pause > self.elapsed_max_s else pause
