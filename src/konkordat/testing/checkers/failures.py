"""I11: a node whose disk failed it stops, at once and saying so. It never guesses and never goes on. And it stops for
nothing but reasons: a bug that ends it is a finding."""

from __future__ import annotations

from konkordat.kernel.ids import NodeName
from konkordat.testing.checkers.verdict import Violation
from konkordat.testing.history import DiskFailed, History, Started, Stopped, Wrote

NAME = "I11"


def check(history: History) -> list[Violation]:
    """After every failure of a disk, the next thing its node does is stop."""
    failed: dict[NodeName, DiskFailed] = {}
    found = []
    for happening in history:
        if isinstance(happening, DiskFailed):
            failed[happening.node] = happening
        elif isinstance(happening, Stopped):
            failed.pop(happening.node, None)
        elif isinstance(happening, Wrote | Started) and happening.node in failed:
            found.append(f"{happening.node} goes on after {failed.pop(happening.node).how}")
    found += [
        f"{h.node} broke: {h.why}" for h in history if isinstance(h, Stopped) and h.unexpected
    ]
    found += [f"{node} did not stop after {h.how}" for node, h in failed.items()]
    return [Violation(NAME, what) for what in found]
