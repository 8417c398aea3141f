"""Reading everything again, a little at a time, beside a running node: damage is found before the data is needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from konkordat.kernel.digest import summary_of
from konkordat.kernel.ids import Origin, RecordId, RecordKey
from konkordat.store.port import CorruptStoreError
from konkordat.store.sqlite import rows
from konkordat.store.sqlite.connection import FILE_NAME, connect, reads, translated
from konkordat.store.sqlite.reader import SqliteReader
from konkordat.store.sqlite.segments import total

# One step reads no more than this: about a millisecond of ordinary data, so that nobody waits for it.
STEP_BATCHES: Final = 64
STEP_BYTES: Final = 256 << 10
STEP_RECORDS: Final = 64
PRINT: Final = 5  # of what follows number, scope and id in `every_record`


class Scrub(SqliteReader):
    """Reads on a connection of its own. Each `step` is short, and sees one state."""

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)
        self.batches_read = 0  # in this pass
        self.records_read = 0
        self._pass = self._begin()

    def step(self) -> bool:
        """Read on; True when everything was read once more. Raises CorruptStoreError with what is damaged, and
        StoreError if the disk cannot be read."""
        if next(self._pass, None) is not None:
            return False
        self._pass = self._begin()
        return True

    def _begin(self) -> Iterator[bool]:
        self.batches_read = self.records_read = 0
        # What is written meanwhile belongs to the next pass, or a busy node would never finish one.
        frontier = self.frontier()
        last_record = self._last_record()
        for origin in sorted(frontier):
            yield from self._log(origin, frontier[origin])
        yield from self._all_records(last_record)
        yield from self._all_segments()

    @reads
    def _last_record(self) -> int:
        last: int = self._all("last_numbers")[0][0]
        return last

    def _log(self, origin: Origin, last: int) -> Iterator[bool]:
        after = 0
        while after < last:
            page = self.batches(origin, after, STEP_BATCHES, STEP_BYTES)  # verifies the hashes
            if not page:
                raise CorruptStoreError(f"batch {after + 1} of {origin} is not there")
            for row in page:
                after += 1
                if row.seq != after:
                    raise CorruptStoreError(f"batch {after} of {origin} is not there")
            self.batches_read += len(page)
            yield True
        self._head(origin)

    @reads
    def _head(self, origin: Origin) -> None:
        with self.moment():
            for _number, name, seq, head, _clock in self._all("origins"):
                if name == origin:
                    last = self.batches(origin, seq - 1, 1)
                    if not last or last[0].hash != head:
                        raise CorruptStoreError(
                            f"the log of {origin} does not end where it is said to"
                        )

    def _all_records(self, last: int) -> Iterator[bool]:
        after = 0
        while 0 <= after < last:
            after = self._some_records(after)
            yield True

    @reads
    def _some_records(self, after: int) -> int:
        """Verify the records that follow; the number of the last, -1 at the end."""
        page = self._all("every_record", (after, STEP_RECORDS))
        if not page:
            return -1
        names = self._learn()
        for number, scope, id, *rest in page:
            if scope not in names.scopes.names:
                raise CorruptStoreError(f"record {id} is of scope {scope}, which is not booked")
            key = RecordKey(*names.scopes.names[scope], RecordId(id))
            try:
                record = rows.record_of(key, (id, number, *rest), names.origins.names)
            except KeyError as error:
                raise CorruptStoreError(
                    f"record {'/'.join(key)} names an unknown origin"
                ) from error
            summary = summary_of(record)
            if int.from_bytes(rest[PRINT], "big") != summary.live_sum + summary.dead_sum:
                raise CorruptStoreError(
                    f"record {'/'.join(key)} has another fingerprint than its row says"
                )
        self.records_read += len(page)
        last: int = page[-1][0]
        return last

    def _all_segments(self) -> Iterator[bool]:
        place = 0
        while self._one_segment(place):
            place += 1
            yield True

    @reads
    def _one_segment(self, place: int) -> bool:
        with self._snapshot() as segments:
            if place >= len(segments):
                return False
            range_ = segments.range_of(place)
            if total(summary for _key, summary in self._prints(range_)) != segments[place].summary:
                raise CorruptStoreError(
                    f"a digest is not that of its records, from {'/'.join(range_.low)}"
                )
        return True


def open_scrub(data: Path) -> Scrub:
    """A scrub of the database in a data directory that is open already. Raises StoreError."""
    file = data / FILE_NAME
    try:
        return Scrub(connect(file, None, writes=False))
    except apsw.Error as error:
        raise translated(error, f"opening {file}") from error
