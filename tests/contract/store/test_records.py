"""Records come back as they were, by key and in order."""

from __future__ import annotations

import pytest

from konkordat.kernel.digest import EMPTY, EVERYTHING, summary_of
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import Collection, Group, Origin, RecordId, Tenant
from konkordat.kernel.policy import Register
from konkordat.kernel.record import Record
from konkordat.store.port import RecordWrite, Store, StoreError, WriteSet
from support.stores import Kind, Put, Scribe, drop, key, put

ACME, SESSIONS = Tenant("acme"), Collection("sessions")
HOSTILE = [
    "'; DROP TABLE records; --",
    'quote"quote',
    "per%cent_under",
    "back\\slash",
    "{}$.[0]",
    "0",
    "ä" * 127,
    "🎪" * 63,
    "x" * 255,
    "e\u0301",
    "\u00e9",
    "\U0010ffff",
    "null",
]


def ids(records: list[Record]) -> list[str]:
    return [record.key.id for record in records]


def store_record(store: Store, record: Record, before: Record | None = None) -> None:
    write = RecordWrite(record, summary_of(before), summary_of(record), "")
    store.commit(WriteSet(Hlc(1), records=[write]))


def test_records_come_back_as_they_were(store: Store, scribe: Scribe) -> None:
    scribe.commit(store, put("a", title={"de": "Grüezi"}, n=1, f=1.0, none=None), put("b"))
    scribe.commit(store, put("a", n=2, list=[1, "x", {"y": []}]), drop("b"))
    assert store.load(scribe.records) == scribe.records


def test_loading_names_only_what_exists(store: Store, scribe: Scribe) -> None:
    scribe.commit(store, put("a"), drop("gone"), put("a", "rooms"))
    wanted = [key("a"), key("nobody"), key("a", "halls"), key("a", tenant="other"), key("a")]
    assert store.load(wanted) == {key("a"): scribe.records[key("a")]}
    assert store.load([]) == {}


def test_loading_many_records_of_many_collections_at_once(store: Store, scribe: Scribe) -> None:
    puts = [put(f"r{n}", f"c{n % 3}", f"t{n % 2}", n=n) for n in range(700)]
    scribe.commit(store, *puts[:400])
    scribe.commit(store, *puts[400:])
    assert store.load(scribe.records) == scribe.records
    assert store.load([p.key for p in puts[:3]]) == {p.key: scribe.records[p.key] for p in puts[:3]}


@pytest.mark.parametrize("id", HOSTILE)
def test_any_text_may_be_an_id(store: Store, scribe: Scribe, id: str) -> None:
    scribe.commit(store, put(id, title=id), put("other"))
    scribe.commit(store, put(id, title=2))
    assert store.load([key(id)]) == {key(id): scribe.records[key(id)]}
    found = store.scan(ACME, SESSIONS)
    assert sorted(ids(found)) == ids(found) == sorted([id, "other"])
    assert len(store.history(key(id))) == 2
    assert store.check() == []


def test_ids_are_in_the_order_of_code_points(store: Store, scribe: Scribe) -> None:
    scribe.commit(store, *[put(id) for id in HOSTILE])
    assert ids(store.scan(ACME, SESSIONS)) == sorted(HOSTILE)
    assert [k.id for k, _ in store.fingerprints(EVERYTHING, 100)] == sorted(HOSTILE)


@pytest.mark.parametrize("collection", ["records", "o'clock", 'a"b', "a;b", "ä", "x" * 255])
def test_any_text_may_be_a_collection_or_tenant(
    store: Store, scribe: Scribe, collection: str
) -> None:
    scribe.commit(store, put("a", collection, collection), put("a"))
    assert store.load(scribe.records) == scribe.records
    assert ids(store.scan(Tenant(collection), Collection(collection))) == ["a"]


def test_values_come_back_byte_for_byte_whatever_they_are(kind: Kind, store: Store) -> None:
    # A peer may send any bytes as a value, and any text as the name of a group or an actor.
    values = [b"", b"\xff\xfe\x00", b'1,"x":2', b"{", b"null", b'"\xc3\xa4"', b"\x00" * 3, b"}" * 9]
    names = ['a"b', "", "\x00", "\u2028", "ä", "{", "a,b", "x" * 300]
    stamp = Stamp(Hlc(7), Origin("zurich.1"))
    fields = {Group(g): Register(stamp, v) for g, v in zip(names, values, strict=True)}
    record = Record(key("a"), 1, fields, stamp, stamp, "who\x00 \U0001f3aa")
    store_record(store, record)
    assert store.load([key("a")]) == {key("a"): record}
    again = kind.reopen(store)
    assert again.load([key("a")]) == {key("a"): record}
    assert again.scan(ACME, SESSIONS) == [record]
    again.close()


def test_stamps_and_siblings_come_back(kind: Kind, store: Store) -> None:
    old, middle, new = (
        Stamp(Hlc(hlc), Origin(o))
        for hlc, o in [(3, "basel.1"), (1 << 62, "bern.2"), ((1 << 63) - 1, "zurich.3")]
    )
    kept = ((middle, b"2"), (old, b"1"))
    fields = {
        Group("a"): Register(new, b"3", kept),
        Group("b"): Register(old, b"x"),
        Group("c"): Register(middle, b"y", ((old, b""),)),
    }
    record = Record(key("a"), 5, fields, old, new, "")
    store_record(store, record)
    again = kind.reopen(store)
    assert again.load([key("a")]) == {key("a"): record}
    again.close()


def test_a_large_record_comes_back(store: Store, scribe: Scribe) -> None:
    scribe.commit(store, put("a", text="x" * 1_000_000))
    scribe.commit(store, put("a", other="ä" * 300_000))
    assert store.load([key("a")]) == scribe.records


# Scanning -----------------------------------------------------------------------------------------


def test_scanning_is_in_order_of_id_and_pages_adjoin(store: Store, scribe: Scribe) -> None:
    scribe.commit(store, *[put(f"r{(n * 37) % 100:02}") for n in range(100)])
    seen: list[str] = []
    while page := store.scan(ACME, SESSIONS, after=RecordId(seen[-1] if seen else ""), limit=7):
        assert len(page) <= 7
        seen += ids(page)
    assert seen == [f"r{n:02}" for n in range(100)]
    assert store.scan(ACME, SESSIONS, limit=0) == []


def test_scanning_stays_within_tenant_and_collection(store: Store, scribe: Scribe) -> None:
    scribe.commit(store, put("a"), put("b", "rooms"), put("c", tenant="acme2"), put("d", "session"))
    assert ids(store.scan(ACME, SESSIONS)) == ["a"]
    assert store.scan(Tenant("nobody"), SESSIONS) == []
    assert store.scan(ACME, Collection("nothing")) == []


def test_deleted_records_are_scanned_only_when_asked_for(store: Store, scribe: Scribe) -> None:
    scribe.commit(store, put("a", event="e"), put("b", event="e"), put("c", event="e"))
    scribe.commit(store, drop("b"))
    assert ids(store.scan(ACME, SESSIONS)) == ["a", "c"]
    assert ids(store.scan(ACME, SESSIONS, include_deleted=True)) == ["a", "b", "c"]
    assert store.count(ACME, SESSIONS) == 2
    assert store.count(ACME, SESSIONS, parent="e") == 2
    assert store.load([key("b")])[key("b")].life == 2


def test_a_record_made_anew_is_alive_again(store: Store, scribe: Scribe) -> None:
    scribe.commit(store, put("a", event="e", title="old"))
    scribe.commit(store, drop("a"))
    assert store.count(ACME, SESSIONS) == 0
    scribe.commit(store, put("a", event="f"))
    assert ids(store.scan(ACME, SESSIONS, parent="f")) == ["a"]
    assert store.scan(ACME, SESSIONS, parent="e", include_deleted=True) == []
    assert store.load([key("a")]) == scribe.records
    assert store.count(ACME, SESSIONS, parent="f") == 1


def test_scanning_by_parent_follows_records_that_move(store: Store, scribe: Scribe) -> None:
    puts = [put(f"r{n}", event="even" if n % 2 == 0 else "odd") for n in range(9)]
    scribe.commit(store, *puts)
    assert ids(store.scan(ACME, SESSIONS, parent="even")) == ["r0", "r2", "r4", "r6", "r8"]
    assert ids(store.scan(ACME, SESSIONS, after=RecordId("r4"), limit=1, parent="even")) == ["r6"]
    assert store.scan(ACME, SESSIONS, parent="") == []
    scribe.commit(store, put("r2", event="odd"), put("r4"))
    assert ids(store.scan(ACME, SESSIONS, parent="even")) == ["r0", "r4", "r6", "r8"]
    assert ids(store.scan(ACME, SESSIONS, parent="odd")) == ["r1", "r2", "r3", "r5", "r7"]
    assert (store.count(ACME, SESSIONS, "even"), store.count(ACME, SESSIONS, "odd")) == (4, 5)


def test_counting_what_is_not_there(store: Store) -> None:
    assert store.count(ACME, SESSIONS) == 0
    assert store.count(ACME, SESSIONS, parent="e") == 0


def test_a_write_without_loading_first_finds_its_rows(
    kind: Kind, scribe: Scribe, store: Store
) -> None:
    scribe.commit(store, *[put(f"r{n}", event="e") for n in range(30)])
    again = kind.reopen(store)
    scribe.commit(again, *[Put(key(f"r{n}"), {"event": "f"}) for n in range(30)])
    assert again.count(ACME, SESSIONS, "f") == 30
    assert again.load(scribe.records) == scribe.records
    assert again.check() == []
    again.close()


def test_a_record_that_is_said_to_be_new_and_is_not_is_refused(
    store: Store, scribe: Scribe
) -> None:
    scribe.commit(store, put("a"))
    record = scribe.records[key("a")]
    wrong = WriteSet(scribe.hlc, records=[RecordWrite(record, EMPTY, summary_of(record))])
    with pytest.raises((AssertionError, StoreError)):
        store.commit(wrong)
    assert store.load([key("a")]) == scribe.records
    assert store.check() == []
