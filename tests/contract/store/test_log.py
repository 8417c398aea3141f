"""The log gives batches in bounded pages; history and answers say where to look in it."""

from __future__ import annotations

import random
from pathlib import Path

import apsw
import pytest

from konkordat.kernel.change import RequestMark
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import Origin
from konkordat.store.port import HistoryRow, Store, WriteSet
from support.stores import START_MS, Kind, Scribe, Sqlite, drop, key, put

BASEL, BERN = Origin("basel.7"), Origin("bern.3")


def mark(name: str, body: str = "b") -> RequestMark:
    return RequestMark(name.encode().ljust(16, b"_"), body.encode().ljust(16, b"_"))


# Batches ------------------------------------------------------------------------------------------


@pytest.fixture
def filled(store: Store, scribe: Scribe) -> Store:
    """Twenty batches of basel and one of bern. Those of basel have bodies of about 1 000 bytes."""
    sizes = [
        scribe.seal(scribe.transaction(put("a", x="x" * 900)), origin=BASEL) for _ in range(20)
    ]
    store.commit(scribe.write_set(*sizes, scribe.seal(scribe.transaction(put("b")), origin=BERN)))
    return store


def seqs(store: Store, origin: Origin = BASEL, after: int = 0, **limits: int) -> list[int]:
    return [row.seq for row in store.batches(origin, after, **limits)]


def test_batches_come_back_as_they_were_committed(kind: Kind, store: Store, scribe: Scribe) -> None:
    write = scribe.commit(store, put("a", title="A"), put("b"))
    assert store.batches(scribe.origin, 0) == list(write.log)
    again = kind.reopen(store)
    assert again.batches(scribe.origin, 0) == list(write.log)
    again.close()


def test_batches_are_of_one_origin_and_in_sequence(filled: Store) -> None:
    assert seqs(filled) == list(range(1, 21))
    assert seqs(filled, after=17) == [18, 19, 20]
    assert seqs(filled, BERN) == [1]
    assert {row.origin for row in filled.batches(BASEL, 0)} == {BASEL}


def test_there_are_no_batches_beyond_the_frontier_or_of_an_unknown_origin(filled: Store) -> None:
    assert seqs(filled, after=20) == []
    assert seqs(filled, after=1 << 39) == []
    assert seqs(filled, Origin("nobody.1")) == []


def test_a_page_of_batches_keeps_to_both_limits(filled: Store) -> None:
    size = len(filled.batches(BASEL, 0, 1)[0].body)
    assert seqs(filled, limit=5) == [1, 2, 3, 4, 5]
    assert seqs(filled, bytes_max=3 * size) == [1, 2, 3]
    assert seqs(filled, bytes_max=3 * size - 1) == [1, 2]
    assert seqs(filled, limit=2, bytes_max=3 * size) == [1, 2]
    assert seqs(filled, after=18, limit=9, bytes_max=1 << 30) == [19, 20]


def test_a_page_holds_one_batch_however_large_it_is(filled: Store) -> None:
    assert seqs(filled, bytes_max=1) == [1]
    assert seqs(filled, after=7, bytes_max=0) == [8]
    assert seqs(filled, limit=0) == [1]


def test_pages_of_batches_adjoin(filled: Store) -> None:
    seen: list[int] = []
    while page := seqs(filled, after=seen[-1] if seen else 0, limit=3, bytes_max=2_500):
        seen += page
    assert seen == list(range(1, 21))


def test_a_limit_of_bytes_is_kept_without_reading_the_bodies_beyond_it(tmp_path: Path) -> None:
    store = Sqlite(tmp_path).open()
    scribe = Scribe(store)
    for n in range(64):
        scribe.commit(store, put("a", text="x" * 400_000, n=n))
    store.close()
    store = Sqlite(tmp_path).open()
    status = store._connection.cache_stats
    status()
    assert len(store.batches(scribe.origin, 0, 64, 500_000)) == 1
    pages_read = status()["misses"] * 4_096
    assert pages_read < 3 * 400_000, "of 25 MB of bodies"
    store.close()


# History ------------------------------------------------------------------------------------------


@pytest.mark.row("S0-16")
def test_history_is_newest_first_whatever_the_order_of_arrival(
    store: Store, scribe: Scribe
) -> None:
    first = scribe.transaction(put("a", n=1))
    second = scribe.transaction(put("a", n=2))
    third = scribe.transaction(put("b"), put("a", n=3))
    # The third arrives first, from another node; then ours.
    store.commit(scribe.write_set(scribe.seal(third, origin=BASEL)))
    store.commit(scribe.write_set(scribe.seal(first, second)))
    assert store.history(key("a")) == [
        HistoryRow(key("a"), third.hlc, BASEL, 1, 1),
        HistoryRow(key("a"), second.hlc, scribe.origin, 1, 1),
        HistoryRow(key("a"), first.hlc, scribe.origin, 1, 0),
    ]
    assert store.history(key("nobody")) == store.history(key("a", "halls")) == []


@pytest.mark.row("S0-15")
def test_a_change_that_lost_is_in_the_history(store: Store, scribe: Scribe) -> None:
    late = scribe.transaction(put("a", title="late"))
    scribe.commit(store, put("a", title="early"), origin=BASEL)
    scribe.commit(store, drop("a"))
    store.commit(scribe.write_set(scribe.seal(late, origin=BERN)))
    assert not store.load([key("a")])[key("a")].alive
    assert [row.origin for row in store.history(key("a"))] == [scribe.origin, BASEL, BERN]
    assert store.check() == []


def test_equal_times_are_ordered_by_the_name_of_the_origin(store: Store, scribe: Scribe) -> None:
    transaction = scribe.transaction(put("a", n=1))
    origins = [Origin(o) for o in ("m.1", "z.1", "a.1")]
    for origin in origins:
        store.commit(scribe.write_set(scribe.seal(transaction, origin=origin)))
    assert [row.origin for row in store.history(key("a"))] == ["z.1", "m.1", "a.1"]
    before = (transaction.hlc, Origin("m.1"))
    assert [row.origin for row in store.history(key("a"), before=before)] == ["a.1"]


def test_history_comes_in_pages(store: Store, scribe: Scribe) -> None:
    for n in range(25):
        scribe.commit(store, put("a", n=n), put("b"), origin=BASEL if n % 2 else BERN)
    seen: list[HistoryRow] = []
    while page := store.history(
        key("a"), limit=4, before=(seen[-1].hlc, seen[-1].origin) if seen else None
    ):
        assert len(page) <= 4
        seen += page
    assert seen == store.history(key("a"))
    assert len(seen) == 25
    assert seen == sorted(seen, key=lambda row: (row.hlc, row.origin), reverse=True)


def test_a_long_history_in_any_order_of_arrival_is_paged_right(
    store: Store, scribe: Scribe
) -> None:
    transactions = [scribe.transaction(put("a", n=n)) for n in range(300)]
    random.Random(3).shuffle(transactions)
    for n, transaction in enumerate(transactions):
        origin = Origin(f"n{n % 5}.1")
        store.commit(scribe.write_set(scribe.seal(transaction, origin=origin)))
    stamps = sorted((t.hlc for t in transactions), reverse=True)
    for first in (0, 1, 50, 290):
        before = (stamps[first - 1], Origin("a.1")) if first else None
        page = store.history(key("a"), limit=7, before=before)
        assert [row.hlc for row in page] == stamps[first : first + 7]


def test_the_newest_page_of_a_long_history_is_read_without_the_rest(tmp_path: Path) -> None:
    store = Sqlite(tmp_path).open()
    scribe = Scribe(store)
    for _ in range(20):
        done = [scribe.transaction(put("a")) for _ in range(500)]
        store.commit(scribe.write_set(scribe.seal(*done)))
    steps: list[int] = []
    store._connection.trace_v2(
        apsw.SQLITE_TRACE_PROFILE,
        lambda event: steps.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]),
    )
    assert len(store.history(key("a"), limit=10)) == 10
    assert 0 < sum(steps) < 10_000, "of 10 000 rows"
    store.close()


# Answers ------------------------------------------------------------------------------------------


def test_a_request_that_had_its_effect_is_found_by_its_key(
    kind: Kind, store: Store, scribe: Scribe
) -> None:
    transactions = [
        scribe.transaction(put("a"), request=mark("one")),
        scribe.transaction(put("b")),
        scribe.transaction(put("c"), request=mark("two", "c")),
    ]
    write = scribe.write_set(scribe.seal(*transactions, origin=BASEL))
    store.commit(write)
    one, two = write.answers
    assert (two.origin, two.seq, two.position, two.at_ms) == (BASEL, 1, 2, START_MS)
    wanted = [one.mark.key_hash, two.mark.key_hash, mark("three").key_hash, one.mark.key_hash]
    assert store.answer(wanted) == {one.mark.key_hash: one, two.mark.key_hash: two}
    assert store.answer([]) == {}
    again = kind.reopen(store)
    assert again.answer(wanted) == {one.mark.key_hash: one, two.mark.key_hash: two}
    assert again.check() == []
    again.close()


def test_old_answers_are_forgotten_and_younger_ones_kept(store: Store, scribe: Scribe) -> None:
    write = scribe.write_set(
        *[
            scribe.seal(scribe.transaction(put(name), request=mark(name)))
            for name in ("old", "edge", "young")
        ]
    )
    rows = [
        row._replace(at_ms=at) for row, at in zip(write.answers, (999, 1_000, 1_001), strict=True)
    ]
    store.commit(WriteSet(write.hlc, write.log, write.records, write.history, rows))
    store.commit(WriteSet(write.hlc))
    assert len(store.answer([row.mark.key_hash for row in rows])) == 3
    store.commit(WriteSet(write.hlc, answers_forgotten_before_ms=1_000))
    assert list(store.answer([row.mark.key_hash for row in rows]).values()) == rows[1:]


def test_the_later_answer_to_a_key_takes_the_place_of_the_earlier(
    store: Store, scribe: Scribe
) -> None:
    for origin in (BASEL, BERN):
        batch = scribe.seal(scribe.transaction(put("a"), request=mark("k")), origin=origin)
        store.commit(scribe.write_set(batch))
    (row,) = store.answer([mark("k").key_hash]).values()
    assert row.origin == BERN
    assert row.at_ms == START_MS
    assert Hlc(0) < scribe.hlc
