"""Readers see what is committed, all of it and nothing else, and hold up nobody."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path

import apsw
import pytest

from konkordat.kernel.digest import EVERYTHING
from konkordat.kernel.ids import Collection, Tenant
from konkordat.store.port import Store, StoreError
from konkordat.store.sqlite.store import CHECKPOINT_PAGES
from support.stores import Kind, Scribe, Sqlite, brute_summary, claim, everything, key, put


def test_a_reader_sees_what_is_committed(store: Store, scribe: Scribe) -> None:
    reader = store.reader()
    assert reader.load([key("a")]) == {}
    scribe.commit(store, put("a", event="e"), claims=[claim(key("a"), 0, 10)])
    assert reader.load([key("a")]) == scribe.records
    # New tenants, collections and origins too.
    scribe.commit(store, put("b", "rooms", "other"), origin="basel.7")  # type: ignore[arg-type]
    assert reader.load(scribe.records) == scribe.records
    assert reader.frontier() == store.frontier() == scribe.frontier
    assert reader.summary(EVERYTHING) == brute_summary(scribe.records.values(), EVERYTHING)
    assert len(reader.scan(Tenant("other"), Collection("rooms"))) == 1
    reader.close()


def test_a_reader_and_the_owner_read_alike(store: Store, scribe: Scribe) -> None:
    for n in range(30):
        scribe.commit(store, *[put(f"r{n}-{m}", event="e") for m in range(5)])
    reader = store.reader()
    assert everything(reader) == everything(store)  # type: ignore[arg-type]
    assert reader.split(EVERYTHING, 4) == store.split(EVERYTHING, 4)
    reader.close()


def test_a_failed_commit_is_never_seen(kind: Kind, store: Store, scribe: Scribe) -> None:
    reader = store.reader()
    scribe.commit(store, put("a"))
    before = everything(reader)  # type: ignore[arg-type]
    kind.fail_next(store)
    with pytest.raises(StoreError):
        scribe.commit(store, put("b"))
    assert everything(reader) == before  # type: ignore[arg-type]
    reader.close()


def test_what_is_read_in_one_moment_stays_together(store: Store, scribe: Scribe) -> None:
    reader = store.reader()
    scribe.commit(store, put("a"))
    with reader.moment():
        assert reader.frontier() == scribe.frontier
        assert reader.load([key("a")]) == scribe.records
        # What has a moment of its own otherwise takes part in this one.
        assert reader.summary(EVERYTHING).live == 1
    scribe.commit(store, put("b"))
    with reader.moment():
        assert reader.frontier() == scribe.frontier
        assert reader.summary(EVERYTHING).live == 2
    reader.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Sqlite:
    return Sqlite(tmp_path)


def test_an_uncommitted_write_is_not_seen(sqlite: Sqlite) -> None:
    store = sqlite.open()
    scribe = Scribe(store)
    scribe.commit(store, put("a"))
    reader = store.reader()
    before = everything(reader)  # type: ignore[arg-type]
    seen = []

    def look() -> bool:
        seen.append(everything(reader))  # type: ignore[arg-type]
        return False

    store._connection.set_commit_hook(look)
    scribe.commit(store, put("a", title="new"), put("b"))
    store._connection.set_commit_hook(None)
    assert seen == [before]
    assert reader.load(scribe.records) == scribe.records
    reader.close()
    store.close()


def test_readers_of_other_threads_always_see_whole_commits(sqlite: Sqlite) -> None:
    """Every commit writes the same number to ten records; a reader must never see two numbers."""
    store = sqlite.open()
    scribe = Scribe(store)
    keys = [key(f"r{n}") for n in range(10)]
    scribe.commit(store, *[put(k.id, n=0) for k in keys])
    stop = threading.Event()
    torn: list[object] = []
    looks = [0, 0]

    def look(number: int) -> None:
        reader = store.reader()
        while not stop.is_set():
            found = {r.fields["n"].value for r in reader.load(keys).values()}  # type: ignore[index]
            parts = reader.split(EVERYTHING, 4)
            if len(found) != 1 or sum(p.summary.live for p in parts) != 10:
                torn.append((found, parts))
            looks[number] += 1
        reader.close()

    threads = [threading.Thread(target=look, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    n = 0
    while n < 100 or min(looks) < 20:
        n += 1
        scribe.commit(store, *[put(k.id, n=n) for k in keys])
    stop.set()
    for thread in threads:
        thread.join()
    assert torn == []
    store.close()


def test_what_is_committed_in_a_moment_is_seen_after_it(sqlite: Sqlite) -> None:
    store = sqlite.open()
    scribe = Scribe(store)
    scribe.commit(store, put("a", title="old"))
    reader = store.reader()
    with reader.moment():
        before = reader.frontier()
        scribe.commit(store, put("a", title="new"), claims=[claim(key("a"), 0, 10)])
        (shown,) = reader.load([key("a")]).values()
        assert (shown.fields["title"].value, reader.claims_of([key("a")])) == (b'"old"', {})  # type: ignore[index]
        assert reader.frontier() == before
    assert reader.load([key("a")]) == scribe.records
    assert reader.claims_of([key("a")])
    assert reader.frontier() == scribe.frontier
    reader.close()
    store.close()


def test_a_moment_that_ends_with_an_error_is_over(sqlite: Sqlite) -> None:
    store = sqlite.open()
    scribe = Scribe(store)
    reader = store.reader()
    with pytest.raises(ValueError, match="too many values"), reader.moment():
        (_one,) = [reader.frontier(), reader.frontier()]
    scribe.commit(store, put("a"))
    assert reader.load([key("a")]) == scribe.records
    reader.close()
    store.close()


def test_a_reader_cannot_write(sqlite: Sqlite) -> None:
    store = sqlite.open()
    reader = store.reader()
    with pytest.raises(apsw.ReadOnlyError):
        reader._connection.execute("DELETE FROM records")
    reader.close()
    store.close()


def test_readers_that_come_and_go_do_not_keep_the_write_ahead_log_from_starting_over(
    sqlite: Sqlite,
) -> None:
    store = sqlite.open()
    scribe = Scribe(store)
    reader = store.reader()
    pages = []
    for n in range(300):
        scribe.commit(store, *[put(f"r{n:03}-{m}", text="x" * 4_000) for m in range(10)])
        reader.load(list(scribe.records)[-5:])
        pages.append(store._wal_pages)
    assert max(pages) < 2 * CHECKPOINT_PAGES
    assert sum(before > after for before, after in pairwise(pages)) > 3
    reader.close()
    store.close()


def test_a_long_read_lets_the_log_grow_and_its_end_lets_it_start_over(sqlite: Sqlite) -> None:
    store = sqlite.open()
    scribe = Scribe(store)
    scribe.commit(store, put("a"))
    reader = store.reader()
    reader._connection.execute("BEGIN")
    frontier = reader.frontier()
    n = 0
    while store._wal_pages < 3 * CHECKPOINT_PAGES:
        n += 1
        scribe.commit(store, *[put(f"r{n:03}-{m}", text="x" * 4_000) for m in range(50)])
    assert reader.frontier() == frontier, "a snapshot stays what it was"
    reader._connection.execute("COMMIT")
    for _ in range(40):
        n += 1
        scribe.commit(store, *[put(f"r{n:03}-{m}", text="x" * 4_000) for m in range(50)])
    assert store._wal_pages < CHECKPOINT_PAGES + 200
    assert store.load(scribe.records) == scribe.records
    reader.close()
    store.close()
