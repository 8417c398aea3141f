"""The state that a set of changes amounts to, computed in the plainest way there is.

No stores, no joins, no increments: sort, group, take the greatest. What a node has must equal this, whatever order and
company its changes arrived in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from konkordat.kernel.change import Batch
from konkordat.kernel.claim import Claim, ClaimId, Resource
from konkordat.kernel.digest import EMPTY, Summary, summary_of
from konkordat.kernel.hlc import Stamp
from konkordat.kernel.ids import Group, RecordKey
from konkordat.kernel.policy import Register
from konkordat.kernel.record import Record
from konkordat.replica.domain import Domain
from konkordat.testing.history import Entry, FinalBatch
from konkordat.wire.batches import open_body

OPENED_MAX: Final = 20_000  # batches kept open: several times what a short run makes
LOGS_MAX: Final = (
    8  # whole logs: those of the nodes of one run, which in the end are mostly the same one
)


@lru_cache(OPENED_MAX)
def opened(body: bytes) -> Batch:
    """A batch from its bytes. Raises WireError. Judges look at the same few batches, at every node, again and again."""
    return open_body(body).batch


def entries_of(batches: Iterable[FinalBatch]) -> tuple[Entry, ...]:
    """The audit trail: every change of these batches, in order of (hlc, origin)."""
    return _entries_of(tuple(batches))


@lru_cache(LOGS_MAX)
def _entries_of(batches: tuple[FinalBatch, ...]) -> tuple[Entry, ...]:
    entries = []
    for batch in batches:
        made = opened(batch.body)
        position = 0
        for transaction in made.transactions:
            stamp = Stamp(transaction.hlc, made.origin)
            request = transaction.request.key_hash if transaction.request else b""
            for change in transaction.changes:
                entries.append(
                    Entry(
                        stamp,
                        made.seq,
                        position,
                        change.key,
                        change.life,
                        {str(g): v for g, v in change.fields.items()},
                        transaction.actor,
                        transaction.cause_id,
                        request,
                    )
                )
                position += 1
    return tuple(sorted(entries, key=lambda e: (e.stamp, e.position)))


def stamps_of(batches: Iterable[FinalBatch]) -> set[Stamp]:
    """Every transaction in these batches, also those that changed nothing."""
    made = [opened(batch.body) for batch in batches]
    return {Stamp(t.hlc, batch.origin) for batch in made for t in batch.transactions}


def records_of(entries: Iterable[Entry]) -> dict[RecordKey, Record]:
    """Every record that the changes make."""
    of_key: dict[RecordKey, list[Entry]] = {}
    for entry in entries:
        of_key.setdefault(entry.key, []).append(entry)
    return {key: _record(key, changes) for key, changes in of_key.items()}


def _record(key: RecordKey, changes: Sequence[Entry]) -> Record:
    """The changes of the latest life; of each group the one with the highest stamp. A stamp names one write; where a
    stranger writes a record twice under one stamp, the greater value counts.
    """
    life = max(change.life for change in changes)
    present = sorted((c for c in changes if c.life == life), key=lambda c: (c.stamp, c.position))
    fields: dict[Group, Register] = {}
    if life % 2:
        for change in present:
            for group, value in change.fields.items():
                new, held = Register(change.stamp, value), fields.get(Group(group))
                fields[Group(group)] = new if held is None else max(held, new)
    last = present[-1]
    return Record(key, life, fields, present[0].stamp, last.stamp, last.actor)


def root_of(records: Mapping[RecordKey, Record]) -> Summary:
    """The digest over all records."""
    total = EMPTY
    for record in records.values():
        total = total.plus(summary_of(record))
    return total


def decisions_of(
    records: Mapping[RecordKey, Record], domain: Domain
) -> dict[ClaimId, tuple[str, frozenset[ClaimId]]]:
    """For each claim: "confirmed", or "displaced" and by which claims. Earlier stamps first, one after the other."""
    by_resource: dict[Resource, list[Claim]] = {}
    for record in records.values():
        for claim in domain.claims(record):
            by_resource.setdefault(claim.resource, []).append(claim)
    decisions = {}
    for resource, claims in by_resource.items():
        owner = domain.capacity_owner(resource)
        capacity = domain.capacity(records.get(owner) if owner else None)
        granted: list[Claim] = []
        for claim in sorted(claims, key=lambda c: (c.stamp, c.id)):
            rivals = _rivals(claim, granted, capacity)
            if rivals is None:
                granted.append(claim)
                decisions[claim.id] = ("confirmed", frozenset[ClaimId]())
            else:
                decisions[claim.id] = ("displaced", rivals)
    return decisions


def _rivals(claim: Claim, granted: Sequence[Claim], capacity: int) -> frozenset[ClaimId] | None:
    """None if the claim fits; else who is there at the first instant at which it does not."""
    starts = {claim.start_ms, *(g.start_ms for g in granted if g.quantity)}
    for at in sorted(s for s in starts if claim.start_ms <= s < claim.until_ms):
        there = [g for g in granted if g.quantity and g.start_ms <= at < g.until_ms]
        if sum(g.quantity for g in there) + claim.quantity > capacity:
            return frozenset(g.id for g in there) or frozenset((claim.id,))
    return None


def most_at_once(claims: Iterable[Claim]) -> int:
    """The highest load that these claims of one resource come to at any instant; intervals are half-open."""
    held = list(claims)
    instants = {claim.start_ms for claim in held}
    return max((sum(c.quantity for c in held if _covers(c, at)) for at in instants), default=0)


def _covers(claim: Claim, at_ms: int) -> bool:
    return claim.start_ms <= at_ms < claim.until_ms
