"""I7: a request has one effect, wherever it is repeated; a key that was used for another request is refused.

Two nodes that know nothing of each other's doing may both carry a request out: then both effects are the same write of
the same records, and nobody was in a position to know. Whoever has the first effect must not make a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from konkordat.kernel.frontier import Frontier
from konkordat.kernel.hlc import AHEAD_MS_MAX, Hlc, ms_of
from konkordat.kernel.ids import Origin, RecordKey
from konkordat.store.port import ANSWER_LIFE_MS
from konkordat.testing.checkers.verdict import Violation
from konkordat.testing.history import Asked, Entry, Final, History
from konkordat.testing.oracle import entries_of
from konkordat.testing.seen import made_on

NAME = "I7"
# A day, less what clocks may be apart that nobody has found out about yet.
REMEMBERED_MS = ANSWER_LIFE_MS - 2 * AHEAD_MS_MAX


class Effect(NamedTuple):
    """A transaction that a request made."""

    origin: Origin
    seq: int
    hlc: int
    cause: str
    keys: tuple[RecordKey, ...]


def check(history: History) -> list[Violation]:
    """The effects of every request in every log."""
    frontiers = made_on(history)
    asked = {h.cause: h for h in history if isinstance(h, Asked)}
    finals = [h for h in history if isinstance(h, Final)]
    found: dict[str, None] = {}
    for batches in {final.batches: None for final in finals}:
        for effects in _effects(entries_of(batches)).values():
            found.update(dict.fromkeys(_repeated(effects, frontiers, asked)))
    return [Violation(NAME, what) for what in found]


def _effects(trail: Iterable[Entry]) -> dict[bytes, list[Effect]]:
    """The transactions of each request, by the hash of its key."""
    keys: dict[tuple[bytes, Origin, int, int, str], list[RecordKey]] = {}
    for entry in trail:
        if entry.request:
            stamp = entry.stamp
            transaction = (entry.request, stamp.origin, entry.seq, stamp.hlc, entry.cause)
            keys.setdefault(transaction, []).append(entry.key)
    effects: dict[bytes, list[Effect]] = {}
    for (request, origin, seq, hlc, cause), written in keys.items():
        effects.setdefault(request, []).append(Effect(origin, seq, hlc, cause, tuple(written)))
    return effects


def _repeated(
    effects: list[Effect], frontiers: dict[tuple[Origin, int], Frontier], asked: dict[str, Asked]
) -> Iterable[str]:
    for first in effects:
        for second in effects:
            if second is first or not _knew(second, first, frontiers):
                continue
            if ms_of(Hlc(second.hlc)) - ms_of(Hlc(first.hlc)) > REMEMBERED_MS:
                continue
            yield f"{second.cause} repeats {first.cause}, which {second.origin} had"
    askers = {(asked[e.cause].tenant, asked[e.cause].request) for e in effects if e.cause in asked}
    if len(askers) > 1:
        yield f"requests of {sorted(askers)} are taken for one"
    # What changes nothing is left out of an effect, so two effects of one request may differ in part; not altogether.
    bodies = {asked[e.cause].body for e in effects if e.cause in asked}
    if len(bodies) == 1 and not set[RecordKey].intersection(*(set(e.keys) for e in effects)):
        yield f"one request wrote {sorted({e.keys for e in effects})}"


def _knew(second: Effect, first: Effect, frontiers: dict[tuple[Origin, int], Frontier]) -> bool:
    """True if the second was made by a node that had the first."""
    if second.origin == first.origin:
        return (second.seq, second.hlc) > (first.seq, first.hlc)
    frontier = frontiers.get((second.origin, second.seq), {})
    return frontier.get(first.origin, 0) >= first.seq
