"""Whatever is wrong with stored data is found by `check`, and what is read is never used unverified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from konkordat.kernel.change import RequestMark
from konkordat.kernel.digest import EVERYTHING
from konkordat.kernel.ids import Collection, Origin, Tenant
from konkordat.store.memory import MemoryStore
from konkordat.store.port import CorruptStoreError, StoreUnusableError
from konkordat.store.replay import NOT_REPLAYED
from konkordat.store.sqlite import SqliteStore, open_sqlite
from konkordat.store.sqlite.connection import FILE_NAME
from support.stores import NODE, START_MS, Memory, Scribe, Sqlite, claim, entropy, key, put

BASEL = Origin("basel.7")
MARK = RequestMark(b"k" * 16, b"b" * 16)


@pytest.fixture
def sqlite(tmp_path: Path) -> Sqlite:
    return Sqlite(tmp_path)


@pytest.fixture
def store(sqlite: Sqlite) -> Iterator[SqliteStore]:
    """Forty records with some of everything, and nothing wrong with them."""
    opened = sqlite.open()
    scribe = Scribe(opened)
    scribe.commit(opened, *[put(f"r{n:02}", event="e", n=n) for n in range(40)])
    scribe.commit(opened, put("r05", title="second"), put("r06"), origin=BASEL)
    request = scribe.transaction(put("r07", n=1), request=MARK)
    opened.commit(scribe.write_set(scribe.seal(request), claims=[claim(key("r07"), 0, 10)]))
    scribe.commit(opened, put("r05", title="third"), origin=BASEL)
    assert opened.check() == []
    yield opened
    opened.close()


def plant(store: SqliteStore, sql: str) -> None:
    store._connection.execute(sql)
    assert store._connection.changes() > 0, "the fault is there"


def flipped(column: str, where: str, table: str = "records", byte: int = 8) -> str:
    """SQL that flips one bit in the middle of a value."""
    text = f"hex(CAST({column} AS BLOB))"
    nibble = f"instr('0123456789ABCDEF', substr({text}, {2 * byte}, 1)) - 1"
    other = f"substr('1032547698BADCFE', 1 + {nibble}, 1)"
    kind = "TEXT" if column == "fields" else "BLOB"
    new = f"substr({text}, 1, {2 * byte - 1}) || {other} || substr({text}, {2 * byte + 1})"
    return f"UPDATE {table} SET {column} = CAST(unhex({new}) AS {kind}) WHERE {where}"


FIFTH = "number = (SELECT number FROM records WHERE id = 'r05')"
LAST_BASEL = (
    "position = (SELECT max(position) FROM log WHERE first_hlc IN (SELECT max(first_hlc) FROM log))"
)
OF_BASEL = "origin = (SELECT number FROM origins WHERE origin = 'basel.7')"
BASEL_LOG = "position >> 40 = (SELECT number FROM origins WHERE origin = 'basel.7')"

FAULTS = {
    "a bit of a record's fields": (flipped("fields", FIFTH), "r05"),
    "a bit of a record's stamps": (flipped("stamps", FIFTH, byte=2), "r05"),
    "a bit of a record's fingerprint": (flipped("print", FIFTH), "r05"),
    "a record's life": (f"UPDATE records SET life = 3 WHERE {FIFTH}", "r05"),
    "a record's parent": (f"UPDATE records SET parent = 'f' WHERE {FIFTH}", "r05"),
    "a record's actor": (f"UPDATE records SET actor = 'x' WHERE {FIFTH}", "r05"),
    "a record's time": (f"UPDATE records SET touched = touched + 1 WHERE {FIFTH}", "r05"),
    "a record's newest history": (f"UPDATE records SET latest = 0 WHERE {FIFTH}", "r05"),
    "a record's id": (f"UPDATE records SET id = 'r05a' WHERE {FIFTH}", "r05a"),
    "a record that is gone": (f"DELETE FROM records WHERE {FIFTH}", "r05"),
    "a record in another's place": (
        """UPDATE records SET fields = o.fields, stamps = o.stamps, checksum = o.checksum
        FROM (SELECT * FROM records WHERE id = 'r06') AS o WHERE records.id = 'r05'""",
        "r05",
    ),
    "a bit of a batch": (flipped("body", LAST_BASEL, "log", 40), "batch 2 of basel.7"),
    "a bit of a batch's hash": (flipped("hash", LAST_BASEL, "log"), "batch 2 of basel.7"),
    "a batch's stamps": (f"UPDATE log SET last_hlc = 7 WHERE {LAST_BASEL}", "batch 2 of basel.7"),
    "the last batch is gone": (f"DELETE FROM log WHERE {LAST_BASEL}", "of basel.7"),
    "a batch in the middle is gone": (
        f"DELETE FROM log WHERE position = (SELECT min(position) FROM log WHERE {BASEL_LOG})",
        "batch 2 of basel.7: 1 should come here",
    ),
    "two batches have changed places": (
        f"""UPDATE log SET (hash, body) = (SELECT hash, body FROM log AS o
        WHERE o.position <> log.position AND o.position >> 40 = log.position >> 40) WHERE {BASEL_LOG}""",
        "basel.7",
    ),
    "the frontier is ahead": ("UPDATE origins SET seq = seq + 1", "the frontier says batch 3"),
    "the frontier is behind": (
        "UPDATE origins SET seq = 1 WHERE origin = 'basel.7'",
        "the frontier says batch 1",
    ),
    "the head is another": (flipped("head", "origin = 'basel.7'", "origins"), "of basel.7"),
    "the clock is behind": ("UPDATE origins SET clock = 5", "the clock 5 is behind"),
    "an origin is not booked": ("DELETE FROM origins WHERE origin = 'basel.7'", "not booked"),
    "a history row is missing": (f"DELETE FROM history WHERE {OF_BASEL} AND seq = 2", "r05"),
    "a history row in the middle is missing": (
        f"DELETE FROM history WHERE {OF_BASEL} AND seq = 1 AND position = 0",
        "history of acme/sessions/r05: batch 1 of basel.7, change 0 is missing",
    ),
    "a history row says something else": (
        f"UPDATE history SET position = 7 WHERE {OF_BASEL} AND seq = 2",
        "change 7 is not in the log",
    ),
    "a history row of no record": (
        "INSERT INTO history SELECT 999, 0, hlc, origin, seq, position, bound FROM history LIMIT 1",
        "45 rows of history, and 44 in the chains",
    ),
    "a record's history is another's": (
        "UPDATE records SET latest = 1 WHERE id = 'r05'",
        "history of acme/sessions/r05",
    ),
    "a history that runs in a circle": (
        "UPDATE history SET previous = number + 1 WHERE number = 1",
        "1 rows of history follow later ones",
    ),
    "a history row is later than its bound": (
        "UPDATE history SET bound = 1 WHERE number = 5",
        "later than their bound",
    ),
    "an answer to another body": (flipped("body_hash", "true", "answers"), "answer 6b6b"),
    "an answer elsewhere": ("UPDATE answers SET position = 3", "answer 6b6b"),
    "a claim without a record": (
        "UPDATE claims SET id = 'nobody'",
        "nobody does not match its checksum",
    ),
    "a claim in another state": (
        "UPDATE claims SET state = 'displaced'",
        "slot of acme/sessions/r07 does not match its checksum",
    ),
    "a claim in no state": ("UPDATE claims SET state = 'x'", "slot of acme/sessions/r07"),
    "a digest's count": ("UPDATE segments SET live = live + 1 WHERE number = 2", "the digest of"),
    "a digest's sum": (flipped("live_sum", "number = 2", "segments"), "the digest of"),
    "a digest is gone": ("DELETE FROM segments WHERE number = 2", "the digest of"),
    "the first digest is gone": ("DELETE FROM segments WHERE number = 1", "first key"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_check_finds(store: SqliteStore, fault: str) -> None:
    sql, named = FAULTS[fault]
    store._connection.pragma("writable_schema", 1)
    plant(store, sql)
    findings = store.check()
    assert any(named in finding for finding in findings), findings


def test_check_lists_no_more_than_can_be_read(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("konkordat.store.sqlite.check.FINDINGS_MAX", 5)
    plant(store, "UPDATE records SET actor = 'x'")
    findings = store.check()
    assert len(findings) == 6
    assert findings[-1].startswith("… and")


def test_check_says_when_it_cannot_replay_the_log(sqlite: Sqlite) -> None:
    store = open_sqlite(sqlite.path, NODE, START_MS, entropy)
    scribe = Scribe(store)
    scribe.commit(store, put("a"))
    assert store.check() == [NOT_REPLAYED]
    plant(store, flipped("fields", "true", byte=1))
    assert len(store.check()) > 1
    store.close()


def test_a_damaged_record_is_not_used(store: SqliteStore) -> None:
    plant(store, flipped("fields", FIFTH))
    with pytest.raises(CorruptStoreError, match="acme/sessions/r05"):
        store.load([key("r04"), key("r05")])
    with pytest.raises(CorruptStoreError, match="acme/sessions/r05"):
        store.scan(Tenant("acme"), Collection("sessions"))
    with pytest.raises(CorruptStoreError, match="acme/sessions/r05"):
        store.reader().load([key("r05")])
    assert store.load([key("r04")]).keys() == {key("r04")}


def test_a_damaged_batch_is_not_relayed(store: SqliteStore) -> None:
    plant(store, flipped("body", LAST_BASEL, "log", 40))
    with pytest.raises(CorruptStoreError, match=r"batch 2 of basel\.7"):
        store.batches(BASEL, 0)
    assert [row.seq for row in store.batches(BASEL, 0, limit=1)] == [1]


def test_a_damaged_history_is_not_used(store: SqliteStore) -> None:
    assert len(store.history(key("r05"))) == 3
    plant(store, f"DELETE FROM history WHERE {OF_BASEL} AND seq = 1")
    with pytest.raises(CorruptStoreError, match="history of acme/sessions/r05"):
        store.history(key("r05"))


def test_a_history_that_runs_in_a_circle_is_not_used(store: SqliteStore) -> None:
    plant(store, "UPDATE history SET previous = number + 1 WHERE previous = 0")
    with pytest.raises(CorruptStoreError, match="history of acme/sessions/r01"):
        store.history(key("r01"))


def test_a_damaged_claim_is_not_used(store: SqliteStore) -> None:
    plant(store, "UPDATE claims SET against = '['")
    with pytest.raises(CorruptStoreError, match="slot of acme/sessions/r07"):
        store.claims_of([key("r07")])


def test_a_row_of_an_origin_that_is_not_booked_is_not_used(
    sqlite: Sqlite, store: SqliteStore
) -> None:
    plant(store, "DELETE FROM origins WHERE origin = 'basel.7'")
    again = sqlite.reopen(store)
    with pytest.raises(CorruptStoreError, match="not booked"):
        again.load([key("r05")])
    again.close()


@pytest.mark.parametrize("seed", range(40))
def test_any_flipped_bit_in_the_file_ends_detected_or_changes_nothing(
    sqlite: Sqlite, store: SqliteStore, seed: int
) -> None:
    """Reads either give what was written, or say that the store is damaged."""
    keys = [k for k, _summary in store.fingerprints(EVERYTHING, 100)]
    records = store.load(keys)
    log = {o: store.batches(o, 0) for o in store.frontier()}
    store.close()
    file = sqlite.path / FILE_NAME
    content = bytearray(file.read_bytes())
    at = (seed * 7919 * 4096 + seed * 104_729) % len(content)
    content[at] ^= 1 << (seed % 8)
    file.write_bytes(content)
    detected = False
    try:
        again = sqlite.open()
    except (CorruptStoreError, StoreUnusableError):
        return
    for k in keys:
        try:
            found = again.load([k])
        except CorruptStoreError:
            detected = True
        else:
            if found != {k: records[k]}:
                assert found == {}, "what is wrong is never shown"
                detected = True
    for origin, rows in log.items():
        try:
            detected = detected or again.batches(origin, 0) != rows
        except CorruptStoreError:
            detected = True
    if detected:
        assert again.check() != []
    again.close()


def test_the_twin_in_memory_finds_what_is_wrong_too(tmp_path: Path) -> None:
    store = Memory(tmp_path).open()
    scribe = Scribe(store)
    scribe.commit(store, put("a"), put("b"))
    scribe.commit(store, put("a", title="x"))
    assert store.check() == []
    a = store.data.records.pop(key("a"))
    assert store.check() == ["record acme/sessions/a is not what its changes make"]
    store.data.records[key("a")] = a
    store.data.history[key("a")].pop()
    assert len(store.check()) == 1
    store.data.log[scribe.origin].pop(0)
    assert len(store.check()) > 2
    assert NOT_REPLAYED in MemoryStore(store.data).check()
