"""I10: after the last fault all nodes agree in bounded time, and nothing that is bounded outgrew its bound."""

from __future__ import annotations

from konkordat.testing.checkers.verdict import Violation
from konkordat.testing.history import Agreed, Gauged, GaveUp, Healed, History

NAME = "I10"


def check(history: History) -> list[Violation]:
    """Agreement after healing, and the gauges."""
    found = [f"no agreement: {h.why}" for h in history if isinstance(h, GaveUp)]
    healed = any(isinstance(h, Healed) for h in history)
    if healed and not found and not any(isinstance(h, Agreed) for h in history):
        found.append("nobody looked whether the nodes agree")
    found += [
        f"{h.what} of {h.node} came to {h.most}, {h.limit} at most"
        for h in history
        if isinstance(h, Gauged) and h.most > h.limit
    ]
    return [Violation(NAME, what) for what in found]
