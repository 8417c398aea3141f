"""I2: no acknowledged write is lost. It is in every log after healing, in the history of its record, and nothing is
there that nobody asked for.

The one excuse is a disk that was lost or replaced while it alone had the write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import NodeName, node_of
from konkordat.testing.checkers.verdict import Violation
from konkordat.testing.history import Asked, DiskChanged, Entry, Final, History, Told
from konkordat.testing.oracle import entries_of, stamps_of
from konkordat.testing.rulings import ANY_CHANGE, SYSTEM

NAME = "I2"
OF_ROSTERS = (ANY_CHANGE.tenant, ANY_CHANGE.collection)


def check(history: History) -> list[Violation]:
    """Acknowledged against logged, for every node that is there in the end."""
    finals = [h for h in history if isinstance(h, Final)]
    trails = {final.node: entries_of(final.batches) for final in finals}
    lost = _lost(history, finals)
    return [Violation(NAME, what) for what in (*lost, *_phantoms(history, trails))]


def _lost(history: History, finals: list[Final]) -> Iterable[str]:
    made = {batches: stamps_of(batches) for batches in {final.batches for final in finals}}
    logged = {final.node: made[final.batches] for final in finals}
    changed = [h for h in history if isinstance(h, DiskChanged)]
    rehearsed = {h.cause for h in history if isinstance(h, Asked) and h.kind == "rehearse"}
    for told in history:
        if not isinstance(told, Told) or told.stamp is None or told.cause in rehearsed:
            continue
        if excused(told, told.stamp, changed):
            continue
        for final in finals:
            if told.stamp not in logged[final.node]:
                yield f"{told.cause}, acknowledged by {told.node} as {told.stamp}, is not at {final.node}"
                continue
            for sight in told.sights:
                if told.stamp not in final.history.get(sight.key, ()):
                    yield f"{told.cause} is not in the history of {sight.key} at {final.node}"


def excused(told: Told, stamp: Stamp, changed: list[DiskChanged]) -> bool:
    """True if a disk that alone had this write was lost or replaced."""
    seq = told.frontier.get(stamp.origin, 0)
    return any(
        max(change.frontier.get(stamp.origin, 0), change.elsewhere.get(stamp.origin, 0)) < seq
        for change in changed
    )


def _phantoms(history: History, trails: Mapping[NodeName, Sequence[Entry]]) -> Iterable[str]:
    asked: dict[str, set[object]] = {}
    for happening in history:
        if isinstance(happening, Asked):
            asked.setdefault(happening.cause, set()).update(happening.keys)
    for node, trail in trails.items():
        for entry in trail:
            if entry.key.tenant == SYSTEM and entry.actor == f"node:{node_of(entry.stamp.origin)}":
                continue  # what nodes say of seats is their own
            key = (
                ANY_CHANGE if (entry.key.tenant, entry.key.collection) == OF_ROSTERS else entry.key
            )
            if key not in asked.get(entry.cause, ()):
                yield f"{node} has {entry.key} written by {entry.cause}, which nobody asked for"
