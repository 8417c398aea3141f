"""I12: what is odd is taken or refused alike by every node."""

from __future__ import annotations

from collections.abc import Iterable

from konkordat.testing.checkers.verdict import Violation
from konkordat.testing.history import Agreed, Asked, Final, History

NAME = "I12"


def check(history: History) -> list[Violation]:
    """Once all agree, no node lacks an origin that another has, and nothing waits for a time that has come."""
    if not any(isinstance(h, Agreed) for h in history):
        return []  # I10 has the word
    finals = [h for h in history if isinstance(h, Final)]
    origins = sorted({origin for final in finals for origin in final.frontier})
    found = []
    for origin in origins:
        taken = {final.node: final.frontier.get(origin, 0) for final in finals}
        if len(set(taken.values())) > 1:
            found.append(f"{origin} is taken differently: {taken}")
    found += _held_back(history, finals)
    return [Violation(NAME, what) for what in found]


def _held_back(history: History, finals: Iterable[Final]) -> Iterable[str]:
    """Only an origin in whose name batches were forged may still be under suspicion, or one whose batches from the
    future are gone: no node has them, or there would be no agreement.
    """
    forged = {h.body for h in history if isinstance(h, Asked) and h.kind == "forged"}
    for final in finals:
        for origin, why in sorted(final.quarantined.items()):
            if origin not in forged and not why.endswith("ahead of our clock"):
                yield f"{final.node} holds {origin} back: {why}"
