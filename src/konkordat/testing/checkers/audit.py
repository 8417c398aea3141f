"""I4: one audit entry per applied change on every node, in an unbroken chain per origin, the same bytes everywhere."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from konkordat.kernel.change import NO_HASH, batch_hash
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import NodeName, RecordKey
from konkordat.testing.checkers.verdict import Violation
from konkordat.testing.history import Entry, Final, History
from konkordat.testing.oracle import entries_of, opened
from konkordat.wire.errors import WireError

NAME = "I4"

Applied = Mapping[RecordKey, tuple[Stamp, ...]]  # where each record was written, latest first


def check(history: History) -> list[Violation]:
    """The chains of every node, its histories, and its trail against those of the others."""
    finals = [h for h in history if isinstance(h, Final)]
    broken = list(_faults(finals))
    if broken:
        return [Violation(NAME, what) for what in broken]
    trails = {final.node: entries_of(final.batches) for final in finals}
    logged = {batches: _applied_by(entries_of(batches)) for batches in {f.batches for f in finals}}
    found = [what for final in finals for what in _miscounted(final, logged[final.batches])]
    return [Violation(NAME, what) for what in (*found, *_different(finals, trails))]


def _faults(finals: Iterable[Final]) -> Iterable[str]:
    """A log that was found sound at one node is so at all that have it, and ends where these say."""
    sound: set[tuple[object, ...]] = set()
    for final in finals:
        log = (final.batches, frozenset(final.frontier.items()))
        if log not in sound:
            faults = list(chain_faults(final))
            yield from faults
            if not faults:
                sound.add(log)


def chain_faults(final: Final) -> Iterable[str]:
    """Where a log is not one chain per origin, from the first batch to the frontier."""
    seqs: dict[str, int] = {}
    heads: dict[str, bytes] = {}
    for row in final.batches:
        name = f"batch {row.seq} of {row.origin} at {final.node}"
        if row.seq != seqs.get(row.origin, 0) + 1:
            yield f"{name} does not follow {seqs.get(row.origin, 0)}"
        if batch_hash(row.body) != row.hash:
            yield f"{name} is not what its hash says"
        try:
            batch = opened(row.body)
        except WireError:
            yield f"{name} cannot be read"
        else:
            if (batch.origin, batch.seq) != (row.origin, row.seq):
                yield f"{name} says it is batch {batch.seq} of {batch.origin}"
            if batch.previous != heads.get(row.origin, NO_HASH):
                yield f"{name} breaks the chain"
        seqs[row.origin], heads[row.origin] = row.seq, row.hash
    for origin, seq in final.frontier.items():
        if seqs.get(origin, 0) != seq:
            yield f"{final.node} says it has {origin} up to {seq}, its log ends at {seqs.get(origin, 0)}"


def _applied_by(trail: Iterable[Entry]) -> Applied:
    """The history of each record as the trail has it."""
    history: dict[RecordKey, list[Stamp]] = {}
    for entry in trail:
        history.setdefault(entry.key, []).append(entry.stamp)
    return {key: tuple(sorted(stamps, reverse=True)) for key, stamps in history.items()}


def _counted(history: Applied) -> Counter[tuple[RecordKey, Stamp]]:
    return Counter((key, stamp) for key, stamps in history.items() for stamp in stamps)


def _miscounted(final: Final, trail: Applied) -> Iterable[str]:
    if final.history == trail:
        return
    applied, logged = _counted(final.history), _counted(trail)
    for key, stamp in sorted((applied - logged) + (logged - applied)):
        times = applied[key, stamp], logged[key, stamp]
        yield f"{final.node} applied {stamp} to {key} {times[0]} times and logged it {times[1]} times"


def trail_hash(trail: Iterable[Entry]) -> str:
    """One text for a whole trail: equal if and only if the trails are."""
    state = hashlib.blake2b(digest_size=16)
    for e in trail:
        fields = sorted(e.fields.items())
        line = (e.stamp, e.seq, e.position, e.key, e.life, fields, e.actor, e.cause, e.request)
        state.update(repr(line).encode())
    return state.hexdigest()


def _different(finals: list[Final], trails: Mapping[NodeName, Sequence[Entry]]) -> Iterable[str]:
    first: dict[frozenset[tuple[str, int]], NodeName] = {}
    for final in finals:
        state = frozenset(final.frontier.items())
        node = first.setdefault(state, final.node)
        ours, theirs = trails[final.node], trails[node]
        if ours is not theirs and trail_hash(ours) != trail_hash(theirs):
            yield f"{final.node} and {node} have the same frontier and another audit trail"
    hashes: dict[tuple[str, int], tuple[NodeName, bytes]] = {}
    for final in finals:
        for row in final.batches:
            node, hashed_as = hashes.setdefault((row.origin, row.seq), (final.node, row.hash))
            if row.hash != hashed_as:
                yield f"batch {row.seq} of {row.origin} is another at {final.node} than at {node}"
