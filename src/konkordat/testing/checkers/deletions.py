"""I8: a deleted record does not come back, unless somebody makes it anew and says so by a later life."""

from __future__ import annotations

from collections.abc import Iterable

from konkordat.kernel.frontier import covers
from konkordat.kernel.ids import NodeName, RecordKey
from konkordat.testing.checkers.durability import excused
from konkordat.testing.checkers.verdict import Violation
from konkordat.testing.history import DiskChanged, Final, History, Read, Told, Wrote, spoilt_keys

NAME = "I8"


def check(history: History) -> list[Violation]:
    """Lives only grow: on every disk, for everybody who knows of a deletion, and in the end."""
    deletions = [
        h
        for h in history
        if isinstance(h, Told) and any(not s.alive for s in h.sights) and h.stamp is not None
    ]
    found = (*_shrinking(history), *_seen_again(history, deletions), *_back(history, deletions))
    return [Violation(NAME, what) for what in found]


def _shrinking(history: History) -> Iterable[str]:
    lives: dict[NodeName, dict[RecordKey, int]] = {}
    spoilt = spoilt_keys(history)
    for happening in history:
        if isinstance(happening, DiskChanged):
            lives.pop(happening.node, None)
        elif isinstance(happening, Wrote):
            known = lives.setdefault(happening.node, {})
            for key, life in happening.lives.items():
                if life < known.get(key, 0) and key not in spoilt:
                    yield f"{happening.node} went from life {known[key]} of {key} back to {life}"
                known[key] = life


def _seen_again(history: History, deletions: list[Told]) -> Iterable[str]:
    spoilt = spoilt_keys(history)
    for read in history:
        if not isinstance(read, Read) or read.sight is None or read.sight.key in spoilt:
            continue
        for told in deletions:
            if told.at_us >= read.at_us or not covers(read.frontier, told.frontier):
                continue
            for sight in told.sights:
                if sight.key == read.sight.key and read.sight.life < sight.life:
                    yield f"{read.node} shows {sight.key} as of before its deletion by {told.cause}"


def _back(history: History, deletions: list[Told]) -> Iterable[str]:
    changed = [h for h in history if isinstance(h, DiskChanged)]
    for final in history:
        if not isinstance(final, Final):
            continue
        for told in deletions:
            if told.stamp is None or excused(told, told.stamp, changed):
                continue
            for sight in told.sights:
                record = final.records.get(sight.key)
                if not sight.alive and (record is None or record.life < sight.life):
                    yield f"{sight.key}, deleted by {told.cause}, is back at {final.node}"
