"""I1: equal applied sets mean equal digests at every step, and a node has what the pure oracle makes of its log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from konkordat.kernel.digest import Summary
from konkordat.kernel.frontier import Frontier
from konkordat.kernel.ids import Origin, RecordKey
from konkordat.kernel.record import Record
from konkordat.replica.domain import Domain
from konkordat.testing.checkers.verdict import Violation
from konkordat.testing.history import (
    Constituted,
    Final,
    FinalBatch,
    History,
    Spoilt,
    Started,
    Wrote,
)
from konkordat.testing.oracle import decisions_of, entries_of, records_of, root_of

NAME = "I1"


class Made(NamedTuple):
    """What a log makes."""

    records: dict[RecordKey, Record]
    root: Summary


def check(history: History, domain: Domain) -> list[Violation]:
    """Every step's digest against those of the same frontier, then every final state against the oracle."""
    finals = [h for h in history if isinstance(h, Final)]
    made = _made(finals)
    unlike = [what for f in finals for what in _unlike_oracle(f, made[f.batches])]
    if not any(
        isinstance(h, Constituted) for h in history
    ):  # else claims have a judge of their own
        unlike += [what for f in finals for what in _decided_unlike(f, made[f.batches], domain)]
    return [Violation(NAME, what) for what in (*_unequal(history), *unlike)]


def _made(finals: Iterable[Final]) -> dict[tuple[FinalBatch, ...], Made]:
    """What each log makes; in the end most nodes have the same one."""
    made: dict[tuple[FinalBatch, ...], Made] = {}
    for final in finals:
        if final.batches not in made:
            records = records_of(entries_of(final.batches))
            made[final.batches] = Made(records, root_of(records))
    return made


def _unequal(history: History) -> Iterable[str]:
    first: dict[frozenset[tuple[Origin, int]], tuple[str, Summary]] = {}
    spoilt = any(isinstance(h, Spoilt) for h in history)  # then only what it ends in counts
    for happening in history:
        if spoilt and not isinstance(happening, Final):
            continue
        if isinstance(happening, Started | Wrote | Final):
            state = _state(happening.frontier)
            node, root = first.setdefault(state, (happening.node, happening.root))
            if root != happening.root:
                yield (
                    f"{happening.node} and {node} differ at the same frontier {sorted(state)}: "
                    f"{happening.root.text()}, {root.text()}"
                )


def _state(frontier: Frontier) -> frozenset[tuple[Origin, int]]:
    return frozenset((origin, seq) for origin, seq in frontier.items() if seq)


def _unlike_oracle(final: Final, expected: Made) -> Iterable[str]:
    if expected.records != final.records:
        yield from _other_records(final, expected.records)
    if expected.root != final.root:
        yield f"the digest of {final.node} is not that of its records"
    for complaint in final.complaints:
        yield f"the store of {final.node} finds: {complaint}"


def _other_records(final: Final, expected: Mapping[RecordKey, Record]) -> Iterable[str]:
    for key in sorted(expected.keys() | final.records.keys()):
        if expected.get(key) != final.records.get(key):
            found = final.records.get(key)
            yield f"{final.node} has {found} for {key}, its log makes {expected.get(key)}"


def _decided_unlike(final: Final, expected: Made, domain: Domain) -> Iterable[str]:
    decided = {id: (str(d.state), frozenset(d.against)) for id, d in final.claims.items()}
    wanted = decisions_of(expected.records, domain)
    for id in sorted(wanted.keys() | decided.keys()):
        if wanted.get(id) != decided.get(id):
            yield f"{final.node} decided {id} as {decided.get(id)}, its log makes {wanted.get(id)}"
