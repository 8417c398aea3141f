"""The store in memory: what the SQLite store must do, said as plainly as it can be. Tests and the simulator use it.

Every read looks through plain dictionaries; digests are added up from the records each time. Nothing is kept that could
be derived, so nothing can be out of step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Collection as CollectionOf
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from konkordat.kernel.claim import ClaimId, ClaimState, DecidedClaim, Resource
from konkordat.kernel.digest import EMPTY, KeyRange, Summary, summary_of
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import (
    Collection,
    NodeName,
    Origin,
    RecordId,
    RecordKey,
    Tenant,
    make_origin,
)
from konkordat.kernel.record import Record
from konkordat.store.port import (
    BEFORE_ALL_IDS,
    PAGE_ROWS_MAX,
    AnswerRow,
    Bookkeeping,
    HistoryRow,
    LogRow,
    RangeSummary,
    Span,
    WriteSet,
)
from konkordat.store.replay import NOT_REPLAYED, Replay, Replayed


class Row(NamedTuple):
    record: Record
    parent: str


class Data(msgspec.Struct):
    """What a disk would hold."""

    node: NodeName
    origin: Origin
    hlc: Hlc = Hlc(0)
    log: dict[Origin, list[LogRow]] = {}  # batch n of an origin is at n - 1
    records: dict[RecordKey, Row] = {}
    history: dict[RecordKey, list[HistoryRow]] = {}
    answers: dict[bytes, AnswerRow] = {}
    claims: dict[Resource, dict[ClaimId, DecidedClaim]] = {}
    claimed: dict[RecordKey, dict[ClaimId, Resource]] = {}  # by owner: where in `claims` it is

    def bookkeeping(self) -> Bookkeeping:
        return Bookkeeping(
            self.node,
            self.origin,
            self.hlc,
            {origin: len(rows) for origin, rows in self.log.items()},
            {origin: rows[-1].hash for origin, rows in self.log.items()},
            _sum(summary_of(row.record) for row in self.records.values()),
        )


class MemoryReader:
    """A Reader of the newest committed state."""

    def __init__(self, data: Data) -> None:
        self._data = data

    # Records -----------------------------------------------------------------------------------

    def load(self, keys: Iterable[RecordKey]) -> dict[RecordKey, Record]:
        records = self._data.records
        return {key: records[key].record for key in keys if key in records}

    def scan(
        self,
        tenant: Tenant,
        collection: Collection,
        after: RecordId = BEFORE_ALL_IDS,
        limit: int = 100,
        parent: str | None = None,
        include_deleted: bool = False,
    ) -> list[Record]:
        found = [
            row.record
            for row in self._of(tenant, collection, parent)
            if row.record.key.id > after and (include_deleted or row.record.alive)
        ]
        return sorted(found, key=lambda record: record.key.id)[: min(limit, PAGE_ROWS_MAX)]

    def count(self, tenant: Tenant, collection: Collection, parent: str | None = None) -> int:
        return sum(row.record.alive for row in self._of(tenant, collection, parent))

    def _of(self, tenant: Tenant, collection: Collection, parent: str | None) -> list[Row]:
        return [
            row
            for key, row in self._data.records.items()
            if key[:2] == (tenant, collection) and (parent is None or row.parent == parent)
        ]

    # Claims ------------------------------------------------------------------------------------

    def claims_on(self, spans: Sequence[Span]) -> list[DecidedClaim]:
        found: dict[ClaimId, DecidedClaim] = {}
        for resource, start_ms, until_ms in spans:
            for id, decided in self._data.claims.get(resource, {}).items():
                claim = decided.claim
                if claim.start_ms < until_ms and start_ms < claim.until_ms:
                    found[id] = decided
        return list(found.values())

    def taken(self, span: Span, states: CollectionOf[ClaimState]) -> int:
        largest: dict[RecordKey, int] = {}
        for decided in self.claims_on([span]):
            if decided.state in states:
                claim = decided.claim
                largest[claim.id.owner] = max(largest.get(claim.id.owner, 0), claim.quantity)
        return sum(largest.values())

    def every_claim(self) -> list[DecidedClaim]:
        found = [d for held in self._data.claims.values() for d in held.values()]
        return sorted(found, key=lambda d: d.claim.id)

    def claims_of(self, owners: Iterable[RecordKey]) -> dict[RecordKey, list[DecidedClaim]]:
        data = self._data
        return {
            owner: [data.claims[resource][id] for id, resource in sorted(claimed.items())]
            for owner in owners
            if (claimed := data.claimed.get(owner))
        }

    # Log, history, answers ---------------------------------------------------------------------

    def batches(
        self, origin: Origin, after: int, limit: int = 256, bytes_max: int = 1 << 20
    ) -> list[LogRow]:
        page: list[LogRow] = []
        size = 0
        for row in self._data.log.get(origin, [])[
            after : after + max(1, min(limit, PAGE_ROWS_MAX))
        ]:
            size += len(row.body)
            if page and size > bytes_max:
                break
            page.append(row)
        return page

    def history(
        self, key: RecordKey, limit: int = 100, before: tuple[Hlc, Origin] | None = None
    ) -> list[HistoryRow]:
        found = [
            row
            for row in self._data.history.get(key, [])
            if before is None or (row.hlc, row.origin) < before
        ]
        return sorted(found, key=lambda row: row[1:], reverse=True)[: min(limit, PAGE_ROWS_MAX)]

    def answer(self, key_hashes: Iterable[bytes]) -> dict[bytes, AnswerRow]:
        answers = self._data.answers
        return {key_hash: answers[key_hash] for key_hash in key_hashes if key_hash in answers}

    def frontier(self) -> dict[Origin, int]:
        return {origin: len(rows) for origin, rows in self._data.log.items()}

    @contextmanager
    def moment(self) -> Iterator[None]:
        """One thread has this store, so whoever reads commits nothing meanwhile."""
        yield

    # Digests -----------------------------------------------------------------------------------

    def summary(self, range_: KeyRange) -> Summary:
        return _sum(summary for _key, summary in self._prints(range_))

    def split(self, range_: KeyRange, ways: int) -> list[RangeSummary]:
        prints = self._prints(range_)
        size = max(1, -(-len(prints) // ways))
        parts = [prints[at : at + size] for at in range(0, len(prints), size)] or [[]]
        lows = [range_.low, *(part[0][0] for part in parts[1:])]
        highs = [*lows[1:], range_.high]
        return [
            RangeSummary(KeyRange(low, high), _sum(summary for _key, summary in part))
            for low, high, part in zip(lows, highs, parts, strict=True)
        ]

    def fingerprints(self, range_: KeyRange, limit: int) -> list[tuple[RecordKey, Summary]]:
        return self._prints(range_)[:limit]

    def _prints(self, range_: KeyRange) -> list[tuple[RecordKey, Summary]]:
        low, high = range_
        keys = sorted(k for k in self._data.records if low <= k and (high is None or k < high))
        return [(key, summary_of(self._data.records[key].record)) for key in keys]

    def close(self) -> None:
        """Nothing to let go of."""


class MemoryStore(MemoryReader):
    """A Store whose disk is `data`: a node that restarts opens a new one on the same."""

    def __init__(
        self,
        data: Data,
        replay: Replay | None = None,
        before_commit: Callable[[WriteSet], None] | None = None,
    ) -> None:
        """`before_commit` may raise a StoreError, as a disk that fails would: then nothing of the commit happens."""
        super().__init__(data)
        self.book = data.bookkeeping()
        self._replay = replay
        self._before_commit = before_commit

    @property
    def data(self) -> Data:
        return self._data

    def reader(self) -> MemoryReader:
        return MemoryReader(self._data)

    # Commit ------------------------------------------------------------------------------------

    def commit(self, write: WriteSet) -> None:
        self._refuse_nonsense(write)
        if self._before_commit is not None:
            self._before_commit(write)
        # From here on nothing can fail.
        data = self._data
        data.hlc = max(data.hlc, write.hlc)
        for batch in write.log:
            data.log.setdefault(batch.origin, []).append(batch)
        for change in write.records:
            data.records[change.record.key] = Row(change.record, change.parent)
        for place in write.history:
            data.history.setdefault(place.key, []).append(place)
        for answer in write.answers:
            data.answers[answer.mark.key_hash] = answer
        for id in write.claims_gone:
            _drop(data, id)
        for decided in write.claims:
            claim = decided.claim
            _drop(data, claim.id)
            data.claims.setdefault(claim.resource, {})[claim.id] = decided
            data.claimed.setdefault(claim.id.owner, {})[claim.id] = claim.resource
        if old := write.answers_forgotten_before_ms:
            data.answers = {k: row for k, row in data.answers.items() if row.at_ms >= old}

    def _refuse_nonsense(self, write: WriteSet) -> None:
        """What no caller may ask for: a log with a hole, a change of a record that is not what the store has."""
        seqs: dict[Origin, int] = {}
        for batch in write.log:
            seq = seqs.get(batch.origin, len(self._data.log.get(batch.origin, ())))
            assert batch.seq == seq + 1, f"batch {batch.seq} of {batch.origin} follows {seq}"
            seqs[batch.origin] = batch.seq
        there = self._data.records
        for change in write.records:
            key = change.record.key
            assert (change.before != EMPTY) == (key in there), f"{key} is misjudged"
        keys = {change.record.key for change in write.records}
        for place in write.history:
            assert place.key in keys or place.key in there, f"{place.key} is not stored"

    # Check -------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        replayed = replay_of(self._data, self._replay)
        if self._replay is None:
            return [*_log_findings(self._data, replayed), NOT_REPLAYED]
        return findings_in(self._data, replayed)

    def close(self) -> None:
        """Nothing to let go of."""


def replay_of(data: Data, replay: Replay | None) -> Replayed:
    """What a log makes by itself."""
    replayed = Replayed(replay)
    for rows in data.log.values():
        replayed.feed(rows)
    return replayed


def findings_in(data: Data, replayed: Replayed) -> list[str]:
    """Where the data are not what their log makes."""
    records = {key: row.record for key, row in data.records.items()}
    history = {row for rows in data.history.values() for row in rows}
    findings = _log_findings(data, replayed)
    if records != replayed.records:
        findings += [
            f"record {'/'.join(key)} is not what its changes make"
            for key in sorted(records.keys() | replayed.records.keys())
            if records.get(key) != replayed.records.get(key)
        ]
    findings += [f"history {row} is not as the log has it" for row in history ^ replayed.history]
    findings += [
        f"answer {row.mark.key_hash.hex()} is not as the log has it"
        for row in data.answers.values()
        if replayed.marks.get((row.origin, row.seq, row.position)) != row.mark
    ]
    return findings


def _log_findings(data: Data, replayed: Replayed) -> list[str]:
    behind = ["the clock is behind the log"] if data.hlc < replayed.last_hlc else []
    return [*replayed.findings, *behind]


def open_memory(
    node: NodeName, now_ms: int, entropy: Callable[[int], bytes], replay: Replay | None = None
) -> MemoryStore:
    """A new, empty store with a new origin. `entropy(n)` gives n random bytes."""
    return MemoryStore(Data(node, make_origin(node, now_ms, entropy(5))), replay)


def _drop(data: Data, id: ClaimId) -> None:
    resource = data.claimed.get(id.owner, {}).pop(id, None)
    if resource is not None:
        del data.claims[resource][id]


def _sum(summaries: Iterable[Summary]) -> Summary:
    result = EMPTY
    for summary in summaries:
        result = result.plus(summary)
    return result
