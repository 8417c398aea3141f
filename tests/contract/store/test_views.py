"""Every collection is also a view, which other programs read with SQL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apsw
import pytest

from konkordat.kernel.digest import EMPTY, summary_of
from konkordat.kernel.hlc import Hlc, Stamp
from konkordat.kernel.ids import Collection, Group, Origin
from konkordat.kernel.policy import Register
from konkordat.kernel.record import Record
from konkordat.store.port import RecordWrite, WriteSet
from konkordat.store.sqlite import CollectionView, SqliteStore, open_sqlite
from konkordat.store.sqlite.connection import FILE_NAME
from support.stores import NODE, START_MS, Scribe, drop, entropy, key, put

SESSIONS = CollectionView(
    Collection("sessions"),
    (Group("title.de"), Group("slot"), Group("speakers")),
    {Group("slot"): ("room", "start")},
)


def opened(path: Path, *views: CollectionView) -> SqliteStore:
    return open_sqlite(path, NODE, START_MS, entropy, views)


def query(path: Path, sql: str) -> list[dict[str, Any]]:
    """As another program would: a connection of its own, which may only read."""
    connection = apsw.Connection(str(path / FILE_NAME), apsw.SQLITE_OPEN_READONLY)
    cursor = connection.execute(sql)
    rows = [
        dict(zip([name for name, *_ in cursor.get_description()], row, strict=True))
        for row in cursor
    ]
    connection.close()
    return rows


def test_a_view_shows_the_living_records_of_all_tenants(tmp_path: Path) -> None:
    store = opened(tmp_path, SESSIONS)
    scribe = Scribe(store)
    slot = {"room": "r1", "start": "2027-06-01T09:00"}
    fields = {"title.de": "Grüezi", "slot": slot, "speakers": ["a", "b"], "event": "e1"}
    scribe.commit(store, put("a", **fields), put("b", tenant="other"), put("c"), put("d", "rooms"))
    scribe.commit(store, drop("c"))
    rows = query(tmp_path, "SELECT * FROM sessions ORDER BY id")
    assert [(row["tenant"], row["id"]) for row in rows] == [("acme", "a"), ("other", "b")]
    first, second = rows
    assert first["title.de"] == "Grüezi"
    assert json.loads(first["slot"]) == slot
    assert (first["slot_room"], first["slot_start"]) == ("r1", "2027-06-01T09:00")
    assert json.loads(first["speakers"]) == ["a", "b"]
    assert (first["parent"], first["updated_by"], first["updated_ms"]) == ("e1", "cred-1", START_MS)
    assert (second["title.de"], second["slot"], second["slot_room"]) == (None, None, None)
    store.close()


def test_a_view_follows_its_definition_at_the_next_opening(tmp_path: Path) -> None:
    opened(tmp_path, SESSIONS).close()
    more = CollectionView(SESSIONS.collection, (*SESSIONS.groups, Group("abstract")))
    store = opened(tmp_path, more)
    Scribe(store).commit(store, put("a", abstract="x"))
    (row,) = query(tmp_path, "SELECT * FROM sessions")
    assert row["abstract"] == "x"
    assert "slot_room" not in row
    store.close()


def test_opening_with_the_same_views_changes_no_schema(tmp_path: Path) -> None:
    opened(tmp_path, SESSIONS).close()
    (before,) = query(tmp_path, "PRAGMA schema_version")
    opened(tmp_path, SESSIONS).close()
    assert query(tmp_path, "PRAGMA schema_version") == [before]


@pytest.mark.parametrize(
    "name", ['a"b', "o'clock", "a b; DROP TABLE log", "ä🎪", "select", "$.x[0]"]
)
def test_names_stay_names_whatever_is_in_them(tmp_path: Path, name: str) -> None:
    view = CollectionView(Collection(name), (Group(name),), {Group(name): (name,)})
    store = opened(tmp_path, view)
    Scribe(store).commit(store, put("a", name, **{name: {name: 7}}))
    column = name.replace('"', '""')
    (row,) = query(tmp_path, f'SELECT "{column}_{column}" AS part FROM "{column}"')
    assert row == {"part": 7}
    assert store.check()[1:] == []
    store.close()


def test_values_that_are_no_json_show_as_null_and_harm_no_other_record(tmp_path: Path) -> None:
    store = opened(tmp_path, SESSIONS)
    Scribe(store).commit(store, put("a", slot={"room": "r1"}))
    stamp = Stamp(Hlc(1), Origin("basel.1"))
    hostile = Record(key("b"), 1, {Group("slot"): Register(stamp, b"{\xff")}, stamp, stamp)
    write = RecordWrite(hostile, EMPTY, summary_of(hostile))
    store.commit(WriteSet(Hlc(1), records=[write]))
    rows = query(tmp_path, "SELECT id, slot_room FROM sessions ORDER BY id")
    assert rows == [{"id": "a", "slot_room": "r1"}, {"id": "b", "slot_room": None}]
    store.close()


def test_a_view_looks_records_up_by_key(tmp_path: Path) -> None:
    store = opened(tmp_path, SESSIONS)
    plan = store._connection.execute(
        "EXPLAIN QUERY PLAN SELECT * FROM sessions WHERE tenant = 'acme' AND id = 'a'"
    ).fetchall()
    assert any("records_by_key (scope=? AND id=?)" in detail for *_, detail in plan), plan
    store.close()
