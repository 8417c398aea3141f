"""Digests are those of the records, over any range, and cost the same however large the table is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import pytest

from konkordat.kernel.digest import EMPTY, EVERYTHING, FIRST_KEY, KeyRange, Summary, summary_of
from konkordat.kernel.ids import RecordKey
from konkordat.store.port import RangeSummary, Store
from konkordat.store.sqlite import SqliteStore
from support.stores import Kind, Scribe, Sqlite, brute_summary, drop, key, put


def ranges(keys: list[RecordKey], random_: random.Random) -> Iterator[KeyRange]:
    """Ranges that begin and end at, between and beyond the keys."""
    bounds = [FIRST_KEY, key("", "", ""), key("zz", "zz", "zz"), key("", "rooms"), key("", "zz")]
    bounds += random_.sample(keys, min(12, len(keys)))
    bounds += [k._replace(id=k.id + "!") for k in bounds[-4:]]  # type: ignore[arg-type]
    for low in bounds:
        yield KeyRange(low, None)
        for high in bounds:
            yield KeyRange(low, high)


def assert_right(store: Store, scribe: Scribe, seed: int = 1) -> None:
    random_ = random.Random(seed)
    records = list(scribe.records.values())
    for range_ in ranges(sorted(scribe.records), random_):
        expected = brute_summary(records, range_)
        assert store.summary(range_) == expected
        assert_parts(store.split(range_, random_.choice([1, 2, 3, 16])), range_, expected, records)
    prints = [(k, summary_of(scribe.records[k])) for k in sorted(scribe.records)]
    assert store.fingerprints(EVERYTHING, 10_000) == prints


def assert_parts(
    parts: list[RangeSummary], range_: KeyRange, expected: Summary, records: list[Any]
) -> None:
    """They adjoin, make up the range, and each has the digest of its records."""
    assert parts[0].range.low == range_.low
    assert parts[-1].range.high == range_.high
    for before, after in pairwise(parts):
        assert before.range.high == after.range.low
    total = EMPTY
    for part in parts:
        assert part.summary == brute_summary(records, part.range)
        total = total.plus(part.summary)
    assert total == expected


def fill(store: Store, scribe: Scribe, count: int, seed: int = 1) -> None:
    """Records of several tenants and collections, in random order, some of them deleted."""
    random_ = random.Random(seed)
    numbers = list(range(count))
    random_.shuffle(numbers)
    while numbers:
        portion, numbers = numbers[:50], numbers[50:]
        puts = [put(f"r{n:05}", f"c{n % 3}", f"t{n % 2}", n=n) for n in portion]
        scribe.commit(store, *puts)
        scribe.commit(store, *[drop(*reversed_(p.key)) for p in puts[::5]])


def reversed_(k: RecordKey) -> tuple[str, str, str]:
    return k.id, k.collection, k.tenant


def segments_of(store: SqliteStore) -> list[int]:
    """How many records each segment holds."""
    return [segment.rows for segment in store._segments]


def test_the_digest_of_nothing_is_empty(store: Store) -> None:
    assert store.summary(EVERYTHING) == EMPTY
    assert store.split(EVERYTHING, 16) == [RangeSummary(EVERYTHING, EMPTY)]
    assert store.fingerprints(EVERYTHING, 10) == []


def test_digests_of_any_range_are_those_of_its_records(store: Store, scribe: Scribe) -> None:
    fill(store, scribe, 200)
    assert_right(store, scribe)


def test_digests_are_right_after_reopening(kind: Kind, store: Store, scribe: Scribe) -> None:
    fill(store, scribe, 150)
    again = kind.reopen(store)
    assert again.book.root == brute_summary(scribe.records.values(), EVERYTHING)
    assert_right(again, scribe)
    again.close()


def test_the_dead_and_the_living_are_counted_apart(store: Store, scribe: Scribe) -> None:
    scribe.commit(store, put("a"), put("b"), put("c"))
    scribe.commit(store, drop("b"))
    summary = store.summary(EVERYTHING)
    assert (summary.live, summary.dead) == (2, 1)
    assert summary.dead_sum == summary_of(scribe.records[key("b")]).dead_sum


def test_a_range_that_ends_before_it_begins_is_empty(store: Store, scribe: Scribe) -> None:
    fill(store, scribe, 50)
    backwards = KeyRange(key("r9", "c2", "t1"), key("r0", "c0", "t0"))
    assert store.summary(backwards) == EMPTY
    assert store.fingerprints(backwards, 10) == []


def test_fingerprints_come_in_order_up_to_a_limit(store: Store, scribe: Scribe) -> None:
    fill(store, scribe, 60)
    prints = store.fingerprints(EVERYTHING, 1_000)
    assert store.fingerprints(EVERYTHING, 7) == prints[:7]
    inside = KeyRange(prints[10][0], prints[30][0])
    assert store.fingerprints(inside, 1_000) == prints[10:30]


def test_descending_finds_the_one_record_that_differs(store: Store, scribe: Scribe) -> None:
    """What two nodes do, with the digests of one and the records of the other."""
    fill(store, scribe, 400)
    theirs = dict(scribe.records)
    odd = sorted(theirs)[123]
    scribe.commit(store, put(*reversed_(odd), title="only here"))
    range_, steps = EVERYTHING, 0
    while len(store.fingerprints(range_, 4)) > 3:
        differing = [
            part.range
            for part in store.split(range_, 4)
            if part.summary != brute_summary(theirs.values(), part.range)
        ]
        assert len(differing) == 1
        (range_,) = differing
        steps += 1
    assert odd in range_
    assert steps <= 8


# Segments, which only SQLite has ------------------------------------------------------------------


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqliteStore]:
    store = Sqlite(tmp_path).open(segment_rows_max=16)
    yield store
    store.close()


@pytest.mark.parametrize("portion", [1, 3, 16, 100, 500])
def test_segments_stay_within_their_bound(sqlite: SqliteStore, portion: int) -> None:
    scribe = Scribe(sqlite)
    numbers = list(range(600))
    random.Random(portion).shuffle(numbers)
    for at in range(0, 600, portion):
        scribe.commit(sqlite, *[put(f"r{n:03}") for n in numbers[at : at + portion]])
        assert max(segments_of(sqlite)) <= 16
    assert sum(segments_of(sqlite)) == 600
    assert len(segments_of(sqlite)) <= 600 / 4
    assert sqlite.check() == []


@pytest.mark.parametrize("portion", [1, 5, 16, 33, 400])
def test_keys_that_grow_with_time_fill_their_segments(sqlite: SqliteStore, portion: int) -> None:
    scribe = Scribe(sqlite)
    for at in range(0, 400, portion):
        puts = [put(f"r{n:03}") for n in range(at, min(at + portion, 400))]
        scribe.commit(sqlite, *puts)
    assert max(segments_of(sqlite)) <= 16
    assert len(segments_of(sqlite)) <= 2 * 400 / 16 + 1
    assert sqlite.check() == []


def test_updates_and_deletions_cut_no_segments(sqlite: SqliteStore) -> None:
    scribe = Scribe(sqlite)
    scribe.commit(sqlite, *[put(f"r{n:03}") for n in range(16)])
    for n in range(16):
        scribe.commit(sqlite, put(f"r{n:03}", n=1))
        scribe.commit(sqlite, drop(f"r{n:03}"))
    assert segments_of(sqlite) == [16]
    assert sqlite.check() == []


def test_segments_are_the_same_after_reopening(tmp_path: Path) -> None:
    kind = Sqlite(tmp_path)
    store = kind.open()
    fill(store, Scribe(store), 120)
    before = list(store._segments)
    again = kind.reopen(store)
    assert list(again._segments) == before
    again.close()


class Steps:
    """Counts what SQLite's virtual machine does: that grows with the rows it looks at."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.count = 0
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, self._profiled)

    def _profiled(self, event: dict[str, Any]) -> None:
        self.count += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]


def steps_to_find_one_difference(path: Path, count: int) -> int:
    store = Sqlite(path).open(segment_rows_max=64)
    scribe = Scribe(store)
    for at in range(0, count, 500):
        scribe.commit(store, *[put(f"r{n:06}") for n in range(at, at + 500)])
    theirs = {k: summary_of(record) for k, record in scribe.records.items()}
    odd = sorted(theirs)[count // 3]
    scribe.commit(store, put(odd.id, title="only here"))
    counter = Steps(store._connection)
    range_ = EVERYTHING
    while store.summary(range_).live > 16:
        range_ = next(
            part.range
            for part in store.split(range_, 16)
            if part.summary.live_sum
            != sum(s.live_sum for k, s in theirs.items() if k in part.range) % (1 << 128)
        )
    assert odd in [k for k, _summary in store.fingerprints(range_, 16)]
    counted = counter.count
    store.close()
    assert counted > 0
    return counted


@pytest.mark.row("S3-2")
def test_rows_read_for_a_difference_do_not_grow_with_the_table(tmp_path: Path) -> None:
    small = steps_to_find_one_difference(tmp_path / "small", 1_000)
    large = steps_to_find_one_difference(tmp_path / "large", 16_000)
    assert large < 2 * small


def test_a_digest_reads_rows_only_at_its_edges(tmp_path: Path) -> None:
    store = Sqlite(tmp_path).open(segment_rows_max=64)
    scribe = Scribe(store)
    for at in range(0, 4_000, 500):
        scribe.commit(store, *[put(f"r{n:06}") for n in range(at, at + 500)])
    counter = Steps(store._connection)
    store.summary(EVERYTHING)
    store.split(EVERYTHING, 16)
    assert counter.count == 0
    store.summary(KeyRange(key("r000100"), key("r003900")))
    assert 0 < counter.count < 2 * 64 * 30
    store.close()
