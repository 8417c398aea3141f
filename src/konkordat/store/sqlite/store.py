"""The SQLite store: everything of a node in one file, changed by one connection, in one transaction a commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Final, NamedTuple

import apsw

from konkordat.kernel.digest import EMPTY, KeyRange
from konkordat.kernel.ids import Origin, RecordKey
from konkordat.kernel.record import Record
from konkordat.store.port import (
    Bookkeeping,
    CorruptStoreError,
    StoreError,
    StoreFullError,
    StoreWriteError,
    WriteSet,
)
from konkordat.store.replay import Replay
from konkordat.store.sqlite import plan
from konkordat.store.sqlite.check import Check
from konkordat.store.sqlite.connection import Rows, reads, translated
from konkordat.store.sqlite.names import by_scope
from konkordat.store.sqlite.plan import Head, Known
from konkordat.store.sqlite.reader import SqliteReader
from konkordat.store.sqlite.segments import Segment, Segments, Touched, cut, total
from konkordat.store.sqlite.statements import ROWS_PER_STEP, sql, sql_of_rows

KNOWN_MAX: Final = 10_000  # rows whose place is remembered from one load to the next commit
# Once the WAL holds so many pages (4 MiB), the commit that made it so copies them back: 5 to 15 ms, every twenty
# commits of a hundred changes. Higher: fewer and longer such commits. Lower: what every commit changes is copied more
# often, and each checkpoint is two syncs. A thread of its own was no better with five nodes on two cores (measured).
CHECKPOINT_PAGES: Final = 1_000

Changes = Sequence[tuple[int, Sequence[Segment]]]  # place among the segments -> what comes there


class Written(NamedTuple):
    """What memory must follow once a commit is durable."""

    last_record: int
    last_history: int
    bound: int
    segments: Changes
    heads: Mapping[Origin, Head]


class SqliteStore(SqliteReader):
    """A Store. Every method but `reader` belongs to the owner thread; `reader` may be called from any."""

    def __init__(
        self,
        connection: apsw.Connection,
        book: Bookkeeping,
        segments: Segments,
        reopen: Callable[[], apsw.Connection],
        replay: Replay | None,
        segment_rows_max: int,
        release: Callable[[], None],
    ) -> None:
        """`reopen` gives another connection, for reading. `release` closes `connection` and lets go of the
        directory."""
        super().__init__(connection)
        self.book = book
        self._segments = segments
        self._reopen = reopen
        self._replay = replay
        self._segment_rows_max = segment_rows_max
        self._release = release
        self._heads = {o: Head(seq, book.heads[o]) for o, seq in book.frontier.items()}
        self._known: dict[RecordKey, Known] = {}
        last_record, last_segment, last_history, bound = self._all("last_numbers")[0]
        self._last_record: int = last_record
        self._last_segment: int = last_segment
        self._last_history: int = last_history
        self._bound: int = bound  # the highest clock value in the history
        self._broken = ""  # why no commit may be tried any more
        self._wal_pages = 0
        self._checkpoint_at_pages = CHECKPOINT_PAGES
        self._learn()
        connection.set_wal_hook(self._wal_grew)

    # Commit ------------------------------------------------------------------------------------

    def commit(self, write: WriteSet) -> None:
        if self._broken:
            raise StoreWriteError(f"{self._broken}; the node must be restarted")
        try:
            written = self._write(write)
        except apsw.Error as error:
            self._undo()
            raise self._consequence(error) from error
        except BaseException:
            self._undo()
            raise
        finally:
            self._known.clear()
        # Durable. Memory follows.
        self._names.settle()
        self._heads.update(written.heads)
        self._last_record = written.last_record
        self._last_history = written.last_history
        self._bound = written.bound
        self._segments.adopt(written.segments)
        if self._wal_pages >= self._checkpoint_at_pages:
            self._checkpoint()

    def _write(self, write: WriteSet) -> Written:
        names, execute = self._names, self._connection.execute
        heads = plan.heads_after(write, self._heads)
        self._look_up(write)
        known = self._known
        history = plan.history_rows(
            write.history, known, names.origins, self._last_history, self._bound
        )
        records = plan.record_rows(write.records, names, known, history.latest, self._last_record)
        claims_gone = plan.gone_rows(write.claims_gone, names)
        claims = plan.claim_rows(write.claims, names)
        touched = self._segments.touched(write.records)
        execute("BEGIN IMMEDIATE")
        self._put("put_scopes", [(names.scopes[scope], *scope) for scope in names.scopes.fresh])
        self._put("put_records", records.put)
        self._put("move_records", records.moved)
        self._put("put_log", plan.log_rows(write.log, names.origins))
        self._put("put_history", history.rows)
        for booked in records.booked:
            execute(sql("put_latest"), booked)
        self._put("put_answers", plan.answer_rows(write.answers, names.origins))
        if write.answers_forgotten_before_ms:
            execute(sql("forget_answers"), (write.answers_forgotten_before_ms,))
        for gone in claims_gone:
            execute(sql("drop_claim"), gone)
        self._put("put_claims", claims)
        segments = [(t.place, self._resized(t)) for t in touched]
        self._put("put_segments", [s.as_row() for _place, new in segments for s in new])
        own = self.book.origin
        self._put("put_origins", plan.origin_rows(heads, self._heads, names, own, write.hlc))
        execute("COMMIT")
        last_history = self._last_history + len(history.rows)
        return Written(records.last, last_history, history.bound, segments, heads)

    def _put(self, name: str, rows: Rows) -> None:
        """Write rows in as few steps as there are sizes of statements."""
        execute = self._connection.execute
        at, count = 0, len(rows)
        for size in ROWS_PER_STEP:
            while count - at >= size:
                bindings = tuple(chain.from_iterable(rows[at : at + size]))
                execute(sql_of_rows(name, size), bindings)
                at += size

    def _look_up(self, write: WriteSet) -> None:
        """Find the rows of records that were not loaded since the last commit."""
        known = self._known
        changed = [w.record.key for w in write.records if w.before != EMPTY]
        new = {w.record.key for w in write.records if w.before == EMPTY}
        booked = [row.key for row in write.history if row.key not in new]
        missing = [key for key in chain(changed, booked) if key not in known]
        for (tenant, collection), ids in by_scope(missing).items():
            scope = self._names.scopes[(tenant, collection)]
            for id, *row in self._listed("known", (scope,), list(ids)):
                known[ids[id]] = Known(*row)
        for key in missing:
            assert key in known, (
                f"{key} is said to be there, or to have a history, and is not stored"
            )

    def _resized(self, touched: Touched) -> list[Segment]:
        """The segment with its new digest; if that is more than one may hold, the segments in its place."""
        segment = touched.segment
        if segment.rows <= self._segment_rows_max:
            return [segment]
        low, high = self._segments.range_of(touched.place)
        first_fresh = min(touched.fresh)
        tail = list(self._prints(KeyRange(first_fresh, high)))
        if len(tail) == len(touched.fresh) < segment.rows:
            # Keys that grow with time only append: what is full stays full, and the new ones begin segments.
            kept = segment.summary.minus(total(summary for _key, summary in tail))
            pieces = cut(tail, self._segment_rows_max)
            head = [Segment(segment.number, low, kept)]
        else:
            # Anything else leaves halves, so that all have room.
            present = [*self._prints(KeyRange(low, first_fresh)), *tail]
            first, *pieces = cut(present, -(-self._segment_rows_max // 2))
            head = [Segment(segment.number, low, total(summary for _key, summary in first))]
        return head + [
            Segment(self._next_segment(), piece[0][0], total(summary for _key, summary in piece))
            for piece in pieces
        ]

    def _next_segment(self) -> int:
        # Numbers that a commit took and did not keep are left out: they only have to differ.
        self._last_segment += 1
        return self._last_segment

    def _undo(self) -> None:
        """Leave everything as it was before the commit that failed."""
        self._names.forget()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except apsw.Error as error:
            self._broken = f"a commit could not be rolled back ({error})"

    def _consequence(self, error: apsw.Error) -> StoreError:
        """What a commit that failed with this error means for the next one."""
        if self._broken:
            return StoreWriteError(self._broken)
        if isinstance(error, apsw.FullError):
            return StoreFullError("the disk is full; the commit was rolled back")
        if isinstance(error, apsw.IOError):
            # After a failed write or sync nobody knows what is on the disk. SQLite reports it once and would go on.
            self._broken = f"the disk failed in a commit ({error})"
            return StoreWriteError(self._broken)
        if isinstance(error, apsw.CorruptError | apsw.NotADBError):
            self._broken = f"the database is damaged ({error})"
            return CorruptStoreError(self._broken)
        return StoreWriteError(f"the commit was rolled back ({error})")

    # Checkpoints -------------------------------------------------------------------------------

    def _wal_grew(self, _connection: apsw.Connection, _schema: str, pages: int) -> int:
        if pages < self._wal_pages:  # it started over
            self._checkpoint_at_pages = CHECKPOINT_PAGES
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        """Copy the WAL back into the file, as far as no reader still needs it. The commit before it is durable.

        SQLite's own checkpoints swallow errors of the disk. What is committed is safe in the WAL, but a disk that
        failed to write or sync is not to be trusted with more.
        """
        self._checkpoint_at_pages = self._wal_pages + CHECKPOINT_PAGES
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.BusyError, apsw.LockedError, apsw.FullError):
            return  # another program is at it, or there is no room: it is tried again after the next commit
        except apsw.Error as error:
            self._broken = f"the disk failed in a checkpoint ({error})"

    # Reading -----------------------------------------------------------------------------------

    def reader(self) -> SqliteReader:
        try:
            return SqliteReader(self._reopen())
        except apsw.Error as error:
            raise translated(error, "opening a reader") from error

    def frontier(self) -> dict[Origin, int]:
        return {origin: head.seq for origin, head in self._heads.items()}

    @reads
    def load(self, keys: Iterable[RecordKey]) -> dict[RecordKey, Record]:
        loaded = self._loaded(keys)
        known = self._known
        if len(known) > KNOWN_MAX:
            known.clear()
        for key, row in loaded:
            known[key] = Known(row[1], row[2], row[3], row[6])
        return self._records(loaded)

    @contextmanager
    def moment(self) -> Iterator[None]:
        """The owner is the only one who changes anything, so between two commits all it reads is one snapshot."""
        yield

    @contextmanager
    def _snapshot(self) -> Iterator[Segments]:
        yield self._segments

    @reads
    def check(self) -> list[str]:
        check = Check(self._connection, self._replay)
        return check.run(self._segments, self._segment_rows_max)

    def close(self) -> None:
        """Close the file and let go of the directory. Readers must be closed before."""
        self._release()
