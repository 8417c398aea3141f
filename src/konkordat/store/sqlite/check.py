"""Recomputing everything that can be: the log's chains, the records from the log, the digests from the records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import apsw

from konkordat.kernel.change import RequestMark
from konkordat.kernel.digest import KeyRange, summary_of
from konkordat.kernel.ids import Collection, Origin, RecordId, RecordKey, Tenant
from konkordat.kernel.record import Record
from konkordat.store.port import CorruptStoreError, HistoryRow, LogRow
from konkordat.store.replay import NOT_REPLAYED, Replay, Replayed
from konkordat.store.sqlite import claims, rows
from konkordat.store.sqlite.connection import Rows, fetched
from konkordat.store.sqlite.names import Scope
from konkordat.store.sqlite.plan import SEQ_BITS
from konkordat.store.sqlite.segments import Segments, read_segments, total

PAGE_ROWS: Final = 1_000  # of the log and of records, read at a time
FINDINGS_MAX: Final = 1_000  # what nobody reads to the end is not listed to the end


class Check:
    """One check of a store at rest. It holds all records twice, as stored and as replayed."""

    def __init__(self, connection: apsw.Connection, replay: Replay | None) -> None:
        self._connection = connection
        self._scopes: dict[int, Scope] = {}
        self._origins: dict[int, Origin] = {}
        self._replay = replay
        self._replayed = Replayed(replay)
        self._records: dict[RecordKey, Record] = {}
        self._findings: list[str] = []

    def run(self, segments: Segments, segment_rows_max: int) -> list[str]:
        """What differs from what it must be, a sentence each. `segments` are those in memory."""
        steps = [
            self._integrity,
            self._names,
            self._log,
            self._frontier,
            self._read_records,
            lambda: self._digests(segments, segment_rows_max),
            self._claims,
        ]
        if self._replay is not None:
            steps += [self._changes, self._history, self._answers]
        for step in steps:
            try:
                step()
            except (apsw.Error, CorruptStoreError, UnicodeDecodeError) as error:
                self._note(f"reading was cut short: {error}")
        if self._replay is None:
            self._note(NOT_REPLAYED)
        left_out = len(self._findings) - FINDINGS_MAX
        if left_out > 0:
            self._findings[FINDINGS_MAX:] = [f"… and {left_out} more"]
        return self._findings

    def _note(self, finding: str) -> None:
        self._findings.append(finding)

    def _all(self, name: str) -> Rows:
        return fetched(self._connection, name)

    def _pages(self, name: str) -> Iterator[tuple[Any, ...]]:
        """Rows of a query that takes (after, limit) and gives the order in its first column."""
        after = -1
        while page := fetched(self._connection, name, (after, PAGE_ROWS)):
            yield from page
            after = page[-1][0]

    # The file and the log ------------------------------------------------------------------------

    def _integrity(self) -> None:
        for (text,) in self._connection.execute("PRAGMA integrity_check").fetchall():
            if text != "ok":
                self._note(f"SQLite: {text}")

    def _names(self) -> None:
        self._scopes = {number: (Tenant(t), Collection(c)) for number, t, c in self._all("scopes")}
        self._origins = {row[0]: Origin(row[1]) for row in self._all("origins")}

    def _log(self) -> None:
        for position, hash_, first_hlc, last_hlc, arrived_ms, body in self._pages("every_batch"):
            number, seq = position >> SEQ_BITS, position & (1 << SEQ_BITS) - 1
            origin = self._origins.get(number)
            if origin is None:
                self._note(f"batch {seq} is of origin {number}, which is not booked")
            elif not isinstance(body, bytes):  # a flipped bit can change a value's type too
                self._note(f"batch {seq} of {origin}: its body is {type(body).__name__}, not bytes")
            else:
                row = LogRow(origin, seq, hash_, first_hlc, last_hlc, body, arrived_ms)
                self._replayed.feed([row])
        self._findings += self._replayed.findings

    def _frontier(self) -> None:
        replayed = self._replayed
        rows_ = self._all("origins")
        booked = {Origin(origin): (seq, head) for _, origin, seq, head, _ in rows_ if seq}
        logged = {origin: (seq, replayed.heads[origin]) for origin, seq in replayed.seqs.items()}
        for origin in sorted(booked.keys() | logged.keys()):
            if booked.get(origin) != logged.get(origin):
                ours, theirs = _head(booked.get(origin)), _head(logged.get(origin))
                self._note(f"the frontier says {ours} of {origin}, the log {theirs}")
        clock = max([0, *(clock for *_, clock in rows_)])
        if clock < replayed.last_hlc:
            self._note(f"the clock {clock} is behind the log, which has {replayed.last_hlc}")

    # Records and digests -------------------------------------------------------------------------

    def _read_records(self) -> None:
        for number, scope, id, *rest in self._pages("every_record"):
            if scope not in self._scopes:
                self._note(f"record {id} is of scope {scope}, which is not booked")
                continue
            key = RecordKey(*self._scopes[scope], RecordId(id))
            try:
                record = rows.record_of(key, (id, number, *rest), self._origins)
            except (CorruptStoreError, KeyError) as error:
                self._note(str(error) or f"record {_path(key)} cannot be read")
                continue
            self._records[key] = record
            print_ = rest[5]
            summary = summary_of(record)
            if int.from_bytes(print_, "big") != summary.live_sum + summary.dead_sum:
                self._note(f"record {_path(key)} has another fingerprint than its row says")

    def _digests(self, in_memory: Segments, rows_max: int) -> None:
        stored = read_segments(self._connection)
        if list(stored) != list(in_memory):
            self._note("the digests in memory are not those in the file")
        keys = sorted(self._records)
        at = 0
        for place, segment in enumerate(stored):
            range_ = stored.range_of(place)
            first = at
            while at < len(keys) and keys[at] in range_:
                at += 1
            found = total(summary_of(self._records[key]) for key in keys[first:at])
            if found != segment.summary:
                self._note(
                    f"the digest of {_range(range_)} is not that of its {at - first} records"
                )
            if segment.rows > rows_max:
                self._note(f"{_range(range_)} holds {segment.rows} records, more than {rows_max}")

    # What the log says -----------------------------------------------------------------------------

    def _changes(self) -> None:
        stored, replayed = self._records, self._replayed.records
        for key in sorted(stored.keys() | replayed.keys()):
            if stored.get(key) != replayed.get(key):
                self._note(f"record {_path(key)} is not what its changes make")

    def _history(self) -> None:
        stored: set[HistoryRow] = set()
        reached = 0
        for scope, id, hlc, origin, seq, position in self._all("every_history"):
            reached += 1
            if scope in self._scopes and origin in self._origins:
                key = RecordKey(*self._scopes[scope], RecordId(id))
                stored.add(HistoryRow(key, hlc, self._origins[origin], seq, position))
        ((count, unbound, backwards),) = self._all("count_history")
        if count != reached:
            self._note(f"{count} rows of history, and {reached} in the chains of records")
        if unbound:
            self._note(f"{unbound} rows of history are later than their bound")
        if backwards:
            self._note(f"{backwards} rows of history follow later ones")
        for row in sorted(stored ^ self._replayed.history):
            where = f"batch {row.seq} of {row.origin}, change {row.position}"
            said = "is not in the log" if row in stored else "is missing"
            self._note(f"history of {_path(row.key)}: {where} {said}")

    def _answers(self) -> None:
        for key_hash, body_hash, number, seq, position in self._all("every_answer"):
            origin = self._origins.get(number, Origin("?"))
            if self._replayed.marks.get((origin, seq, position)) != RequestMark(
                key_hash, body_hash
            ):
                where = f"batch {seq} of {origin}, transaction {position}"
                self._note(f"answer {key_hash.hex()} is not that of {where}")

    def _claims(self) -> None:
        for row in self._all("every_claim"):
            try:
                claim = claims.claim_of(row, self._scopes, self._origins).claim
            except CorruptStoreError as error:
                self._note(str(error))
            except KeyError as number:
                self._note(f"claim {row[2]} of {row[1]} names scope or origin {number}, not booked")
            else:
                if claim.id.owner not in self._records:
                    self._note(f"claim {claim.id.part} of {_path(claim.id.owner)} has no record")


def _path(key: RecordKey) -> str:
    return "/".join(key)


def _range(range_: KeyRange) -> str:
    low, high = range_
    return f"[{_path(low)}, {_path(high) if high else 'the end'})"


def _head(head: tuple[int, bytes] | None) -> str:
    return f"batch {head[0]} ({head[1].hex()[:12]})" if head else "nothing"
