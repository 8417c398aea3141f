"""A commit is durable as a whole or leaves nothing."""

from __future__ import annotations

import pytest

from konkordat.kernel.change import RequestMark
from konkordat.kernel.digest import EVERYTHING
from konkordat.kernel.hlc import Hlc, hlc_at
from konkordat.kernel.ids import Origin
from konkordat.store.port import Store, StoreError, WriteSet
from support.stores import NODE, START_MS, Kind, Scribe, claim, drop, everything, key, put

MARK = RequestMark(b"k" * 16, b"b" * 16)
BASEL = Origin("basel.7")


def test_a_new_store_is_empty_and_has_an_origin_of_its_node(store: Store) -> None:
    book = store.book
    assert book.node == NODE
    assert book.origin.startswith("zurich.")
    assert (book.hlc, dict(book.frontier), dict(book.heads)) == (0, {}, {})
    assert book.root == (0, 0, 0, 0)
    assert store.frontier() == {}
    assert store.check() == []


@pytest.mark.row("S0-3")
def test_what_was_committed_is_there_after_reopening(
    kind: Kind, store: Store, scribe: Scribe
) -> None:
    scribe.commit(store, put("a", title="A"), put("b", event="e"))
    scribe.commit(store, put("a", title="A2"), drop("b"), origin=BASEL)
    scribe.commit(store, put("c"), claims=[claim(key("c"), 0, 10)])
    before = everything(store)
    again = kind.reopen(store)
    assert everything(again) == before
    assert again.load([key("a")])[key("a")] == scribe.records[key("a")]
    assert again.check() == []
    again.close()


def test_reopening_gives_the_bookkeeping_as_of_the_last_commit(
    kind: Kind, store: Store, scribe: Scribe
) -> None:
    first = store.book
    scribe.commit(store, put("a"), put("b"))
    scribe.commit(store, put("a", title="A"), origin=BASEL)
    scribe.commit(store, drop("b"))
    root = store.summary(EVERYTHING)
    again = kind.reopen(store)
    book = again.book
    assert (book.node, book.origin) == (first.node, first.origin)
    assert book.hlc == scribe.hlc
    assert dict(book.frontier) == scribe.frontier == {first.origin: 2, BASEL: 1}
    assert dict(book.heads) == scribe.heads
    assert book.root == root
    assert (book.root.live, book.root.dead) == (1, 1)
    again.close()


@pytest.mark.row("S0-10")
def test_a_commit_that_fails_leaves_everything_as_it_was(
    kind: Kind, store: Store, scribe: Scribe
) -> None:
    scribe.commit(store, put("a", event="e"), claims=[claim(key("a"), 0, 10)])
    before = everything(store)
    doomed = Scribe(store)
    doomed.records = dict(scribe.records)
    doomed.frontier, doomed.heads = dict(scribe.frontier), dict(scribe.heads)
    doomed.hlc = scribe.hlc
    transaction = doomed.transaction(
        put("a", title="no"), put("n", "new-collection", "new-tenant"), request=MARK
    )
    batches = [doomed.seal(transaction), doomed.seal(doomed.transaction(put("z")), origin=BASEL)]
    # Enough new records for the segments to be cut.
    batches.append(doomed.seal(doomed.transaction(*[put(f"r{n:03}") for n in range(40)])))
    write = doomed.write_set(
        *batches, claims=[claim(key("z"), 5, 15)], claims_gone=[claim(key("a"), 0, 10).claim.id]
    )
    kind.fail_next(store)
    with pytest.raises(StoreError):
        store.commit(write)
    assert everything(store) == before
    assert store.answer([MARK.key_hash]) == {}
    assert store.claims_of([key("z")]) == {}
    assert store.check() == []
    # What failed was the disk, for once: the same write set is fine.
    store.commit(write)
    assert store.load([key("z")]) == {key("z"): doomed.records[key("z")]}
    assert set(store.answer([MARK.key_hash])) == {MARK.key_hash}
    assert store.check() == []
    again = kind.reopen(store)
    assert dict(again.book.frontier) == doomed.frontier
    assert again.check() == []
    again.close()


def test_a_failed_commit_is_not_there_after_reopening(
    kind: Kind, store: Store, scribe: Scribe
) -> None:
    scribe.commit(store, put("a"))
    before = everything(store)
    kind.fail_next(store)
    with pytest.raises(StoreError):
        scribe.commit(store, put("b"))
    again = kind.reopen(store)
    assert everything(again) == before
    again.close()


def test_the_clock_is_kept_even_by_a_commit_without_batches(kind: Kind, store: Store) -> None:
    store.commit(WriteSet(hlc_at(START_MS)))
    again = kind.reopen(store)
    assert again.book.hlc == hlc_at(START_MS)
    again.close()


def test_the_clock_does_not_go_back(kind: Kind, store: Store, scribe: Scribe) -> None:
    scribe.commit(store, put("a"))
    scribe.commit(store, put("a"), origin=BASEL)
    last = scribe.hlc
    store.commit(WriteSet(Hlc(5)))
    again = kind.reopen(store)
    assert again.book.hlc == last
    again.close()


def test_a_log_with_a_hole_is_refused(store: Store, scribe: Scribe) -> None:
    scribe.seal(scribe.transaction(put("a")))
    second = scribe.seal(scribe.transaction(put("a")))
    write = scribe.write_set(second)
    with pytest.raises(AssertionError):
        store.commit(write)
    assert store.frontier() == {}


def test_many_batches_of_several_origins_make_one_commit(store: Store, scribe: Scribe) -> None:
    batches = [
        scribe.seal(scribe.transaction(put(f"s{n}", title=n)), origin=Origin(f"n{n % 3}.1"))
        for n in range(30)
    ]
    store.commit(scribe.write_set(*batches))
    assert store.frontier() == {Origin(f"n{n}.1"): 10 for n in range(3)}
    assert store.load(scribe.records) == scribe.records
    assert store.check() == []
