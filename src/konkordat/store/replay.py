"""Replaying a log: what the records, history and answers of a store must be if its log is right. Used by `check`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from konkordat.kernel.change import NO_HASH, Batch, RequestMark, batch_hash
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import Origin, RecordKey
from konkordat.kernel.merge import apply
from konkordat.kernel.policy import Policies
from konkordat.kernel.record import Record
from konkordat.store.port import HistoryRow, LogRow

NOT_REPLAYED = "the log was not replayed: nothing was given to decode it with"


class Replay(NamedTuple):
    """What a store needs in order to check its records against its log: it knows neither the wire nor the policies."""

    decode: Callable[[bytes], Batch]  # raises ValueError for what is no batch
    policies: Policies


class Replayed:
    """The state after some batches; feed it every batch of every origin, each origin in sequence."""

    def __init__(self, replay: Replay | None) -> None:
        self._replay = replay
        self.records: dict[RecordKey, Record] = {}
        self.history: set[HistoryRow] = set()
        self.marks: dict[tuple[Origin, int, int], RequestMark] = {}  # by origin, seq and position
        self.findings: list[str] = []
        self.seqs: dict[Origin, int] = {}
        self.heads: dict[Origin, bytes] = {}
        self.last_hlc = Hlc(0)

    def feed(self, rows: Iterable[LogRow]) -> None:
        """Take batches in. What is wrong with one is noted, and the rest goes on."""
        for row in rows:
            name = f"batch {row.seq} of {row.origin}"
            expected = self.seqs.get(row.origin, 0) + 1
            if row.seq != expected:
                self.findings.append(f"{name}: {expected} should come here")
            if batch_hash(row.body) != row.hash:
                self.findings.append(f"{name}: its body does not match its hash")
            elif self._replay is not None:
                self._open(row, name, self._replay)
            self.seqs[row.origin], self.heads[row.origin] = row.seq, row.hash
            self.last_hlc = max(self.last_hlc, row.last_hlc)

    def _open(self, row: LogRow, name: str, replay: Replay) -> None:
        try:
            batch = replay.decode(row.body)
        except ValueError as error:
            self.findings.append(f"{name}: its body is no batch ({error})")
            return
        if (batch.origin, batch.seq) != (row.origin, row.seq):
            self.findings.append(f"{name}: its body is batch {batch.seq} of {batch.origin}")
        if batch.previous != self.heads.get(row.origin, NO_HASH):
            self.findings.append(f"{name}: the chain is broken before it")
        stamps = [t.hlc for t in batch.transactions]
        if stamps and (stamps[0], stamps[-1]) != (row.first_hlc, row.last_hlc):
            self.findings.append(f"{name}: it is booked under other stamps than its own")
        self._apply(batch, replay.policies)

    def _apply(self, batch: Batch, policies: Policies) -> None:
        position = 0
        for number, transaction in enumerate(batch.transactions):
            stamp = Stamp(transaction.hlc, batch.origin)
            if transaction.request is not None:
                self.marks[(batch.origin, batch.seq, number)] = transaction.request
            for change in transaction.changes:
                key = change.key
                before = self.records.get(key)
                self.records[key] = apply(before, change, stamp, transaction.actor, policies)
                self.history.add(
                    HistoryRow(key, transaction.hlc, batch.origin, batch.seq, position)
                )
                position += 1
