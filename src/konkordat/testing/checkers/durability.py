"""I2: no acknowledged write is lost. It is in every log after healing, in the history of its record, and nothing is
there that nobody asked for.

The one excuse is a disk that was lost or replaced while it alone had the write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import node_of
from konkordat.testing.checkers.verdict import Violation
from konkordat.testing.history import Asked, DiskChanged, Entry, Final, History, Told
from konkordat.testing.oracle import entries_of, stamps_of
from konkordat.testing.rulings import ANY_CHANGE, SYSTEM

NAME = "I2"
OF_ROSTERS = (ANY_CHANGE.tenant, ANY_CHANGE.collection)


def check(history: History) -> list[Violation]:
    """Acknowledged against logged, for every node that is there in the end."""
    finals = [h for h in history if isinstance(h, Final)]
    return [
        Violation(NAME, what) for what in (*_lost(history, finals), *_phantoms(history, finals))
    ]


def _lost(history: History, finals: list[Final]) -> Iterable[str]:
    stamps = {batches: stamps_of(batches) for batches in {final.batches for final in finals}}
    logged = {final.node: stamps[final.batches] for final in finals}
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


def _phantoms(history: History, finals: list[Final]) -> Iterable[str]:
    asked: dict[str, set[object]] = {}
    for happening in history:
        if isinstance(happening, Asked):
            asked.setdefault(happening.cause, set()).update(happening.keys)
    unasked = {
        batches: [entry for entry in entries_of(batches) if not _was_asked(entry, asked)]
        for batches in {final.batches for final in finals}
    }
    for final in finals:
        for entry in unasked[final.batches]:
            yield f"{final.node} has {entry.key} written by {entry.cause}, which nobody asked for"


def _was_asked(entry: Entry, asked: Mapping[str, set[object]]) -> bool:
    key = entry.key
    if key.tenant == SYSTEM and entry.actor == f"node:{node_of(entry.stamp.origin)}":
        return True  # what nodes say of seats is their own
    return (ANY_CHANGE if key[:2] == OF_ROSTERS else key) in asked.get(entry.cause, ())
