"""The range digests: adjoining key ranges with the summary of their records, in order, in memory.

The table `segments` is the truth; this is a cache of it. A commit asks `plan` what it would do to the segments, writes
that with everything else, and tells `adopt` only once it is durable.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import apsw

from konkordat.kernel.digest import EMPTY, FINGERPRINT_BYTES, FIRST_KEY, KeyRange, Summary
from konkordat.kernel.ids import RecordKey, record_key
from konkordat.store.port import CorruptStoreError, RecordWrite
from konkordat.store.sqlite.connection import fetched

_MODULUS: Final = 1 << (8 * FINGERPRINT_BYTES)


class Segment(NamedTuple):
    """Records from `low` up to where the next segment begins."""

    number: int
    low: RecordKey
    summary: Summary

    @property
    def rows(self) -> int:
        return self.summary.live + self.summary.dead

    def as_row(self) -> tuple[int, str, str, str, int, bytes, int, bytes]:
        live, live_sum, dead, dead_sum = self.summary
        return (
            self.number,
            *self.low,
            live,
            live_sum.to_bytes(FINGERPRINT_BYTES, "big"),
            dead,
            dead_sum.to_bytes(FINGERPRINT_BYTES, "big"),
        )


class Touched(NamedTuple):
    """What a commit does to one segment."""

    place: int  # among the segments
    segment: Segment  # with its new summary
    fresh: list[RecordKey]  # keys that were not there before


EMPTY_SEGMENT: Final = Segment(1, FIRST_KEY, EMPTY)  # of a new store


class Segments:
    """All segments of a store."""

    def __init__(self, rows: Sequence[Segment]) -> None:
        assert rows[0].low == FIRST_KEY
        self._all = list(rows)
        self._lows = [segment.low for segment in self._all]

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._all)

    def __getitem__(self, index: int) -> Segment:
        return self._all[index]

    def root(self) -> Summary:
        return total(segment.summary for segment in self._all)

    def range_of(self, index: int) -> KeyRange:
        high = self._lows[index + 1] if index + 1 < len(self._lows) else None
        return KeyRange(self._lows[index], high)

    def touched(self, records: Iterable[RecordWrite]) -> list[Touched]:
        """What these writes do to the segments, in order of key."""
        lows = self._lows
        deltas: dict[int, list[int]] = {}
        fresh: dict[int, list[RecordKey]] = {}
        for write in records:
            key = write.record.key
            index = bisect_right(lows, key) - 1
            delta = deltas.get(index)
            if delta is None:
                delta = deltas[index] = [0, 0, 0, 0]
            live, live_sum, dead, dead_sum = write.after
            old_live, old_live_sum, old_dead, old_dead_sum = write.before
            delta[0] += live - old_live
            delta[1] += live_sum - old_live_sum
            delta[2] += dead - old_dead
            delta[3] += dead_sum - old_dead_sum
            if not (old_live or old_dead):
                fresh.setdefault(index, []).append(key)
        return [
            Touched(index, _moved(self._all[index], deltas[index]), fresh.get(index, []))
            for index in sorted(deltas)
        ]

    def adopt(self, changes: Sequence[tuple[int, Sequence[Segment]]]) -> None:
        """Put segments in the place of those at these indexes; `changes` in order of index."""
        for index, segments in reversed(changes):
            self._all[index : index + 1] = segments
            self._lows[index : index + 1] = [segment.low for segment in segments]

    def whole(self, range_: KeyRange) -> range:
        """Indexes of the segments that lie within the range."""
        first = bisect_left(self._lows, range_.low)
        if range_.high is None:
            return range(first, len(self._all))
        return range(first, max(first, bisect_right(self._lows, range_.high) - 1))

    def sum_of(self, indexes: range) -> Summary:
        return total(self._all[index].summary for index in indexes)


def read_segments(connection: apsw.Connection) -> Segments:
    """The segments as the table has them. Raises CorruptStoreError."""
    try:
        rows = [
            Segment(row[0], record_key(*row[1:4]), _summary(*row[4:]))
            for row in fetched(connection, "segments")
        ]
    except TypeError as error:
        raise CorruptStoreError("the table of digests is damaged") from error
    if not rows or rows[0].low != FIRST_KEY:
        raise CorruptStoreError("the table of digests does not begin at the first key")
    return Segments(rows)


def _summary(live: int, live_sum: bytes, dead: int, dead_sum: bytes) -> Summary:
    return Summary(live, int.from_bytes(live_sum, "big"), dead, int.from_bytes(dead_sum, "big"))


def total(summaries: Iterable[Summary]) -> Summary:
    """The sum of summaries."""
    live = live_sum = dead = dead_sum = 0
    for summary in summaries:
        live += summary[0]
        live_sum += summary[1]
        dead += summary[2]
        dead_sum += summary[3]
    return Summary(live, live_sum % _MODULUS, dead, dead_sum % _MODULUS)


def _moved(segment: Segment, delta: list[int]) -> Segment:
    live, live_sum, dead, dead_sum = segment.summary
    return Segment(
        segment.number,
        segment.low,
        Summary(
            live + delta[0],
            (live_sum + delta[1]) % _MODULUS,
            dead + delta[2],
            (dead_sum + delta[3]) % _MODULUS,
        ),
    )


def cut(
    rows: Sequence[tuple[RecordKey, Summary]], rows_max: int
) -> list[Sequence[tuple[RecordKey, Summary]]]:
    """Rows in as few pieces of at most `rows_max` as will do, about equal."""
    pieces = -(-len(rows) // rows_max)
    bounds = [len(rows) * piece // pieces for piece in range(pieces + 1)]
    return [rows[first:last] for first, last in pairwise(bounds)]
