"""I5: a client reads its own writes and never reads backwards, at whatever node, or is told that the node is behind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from konkordat.kernel.frontier import Frontier, covers
from konkordat.kernel.ids import RecordKey
from konkordat.testing.checkers.verdict import Violation
from konkordat.testing.history import Asked, History, Read, Sight, Told, spoilt_keys

NAME = "I5"


class Known(NamedTuple):
    """What a client was shown of a record, and in which state of a node."""

    sight: Sight
    frontier: Frontier
    how: str


def check(history: History) -> list[Violation]:
    """Every read against what its client wrote and read before."""
    return [Violation(NAME, what) for what in _backwards(history)]


def _backwards(history: History) -> Iterable[str]:
    known: dict[tuple[str, RecordKey], list[Known]] = {}
    spoilt = spoilt_keys(history)
    rehearsed = {h.cause for h in history if isinstance(h, Asked) and h.kind == "rehearse"}
    for happening in history:
        if isinstance(happening, Told) and happening.outcome in ("accepted", "replayed"):
            if happening.cause not in rehearsed:
                for sight in happening.sights:
                    new = Known(sight, happening.frontier, f"its write {happening.cause}")
                    known.setdefault((happening.client, sight.key), []).append(new)
        elif isinstance(happening, Read) and happening.sight is not None:
            if not covers(happening.frontier, happening.token):
                yield f"{happening.client} was answered by {happening.node}, which is behind its token"
            if happening.sight.key in spoilt:
                continue
            seen = known.setdefault((happening.client, happening.sight.key), [])
            yield from _older(happening, happening.sight, seen)
            new = Known(happening.sight, happening.frontier, f"a read at {happening.node}")
            seen[:] = [k for k in seen if not covers(happening.frontier, k.frontier)]
            seen.append(new)


def _older(read: Read, sight: Sight, seen: Iterable[Known]) -> Iterable[str]:
    for before in seen:
        if not covers(read.token, before.frontier):
            continue  # the session was begun anew, or the answer came after the read was sent
        if _is_older(sight, before.sight):
            yield (
                f"{read.client} reads {sight.key} at {read.node} as of before {before.how}: "
                f"{sight}, then {before.sight}"
            )


def _is_older(now: Sight, before: Sight) -> bool:
    if now.life != before.life:
        return now.life < before.life
    return any(
        group not in now.stamps or now.stamps[group] < stamp
        for group, stamp in before.stamps.items()
    )
