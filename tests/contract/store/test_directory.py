"""A data directory belongs to one node and one process, and says so to everybody else."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import apsw
import pytest

from konkordat.kernel.ids import NodeName
from konkordat.store.port import CorruptStoreError, StoreError, StoreUnusableError
from konkordat.store.sqlite import SqliteStore, open_sqlite
from konkordat.store.sqlite.connection import FILE_NAME
from konkordat.store.sqlite.opening import APPLICATION_ID, DATA_FORMAT, MIGRATIONS
from support.stores import NODE, START_MS, Scribe, entropy, put


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where there is nothing yet, not even the directory above."""
    return tmp_path / "nodes" / "zurich"


def opened(path: Path, node: str = NODE) -> SqliteStore:
    return open_sqlite(path, NodeName(node), START_MS, entropy)


def edit(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path / FILE_NAME))
    connection.execute(sql)
    connection.close()


def test_a_directory_is_made_for_its_owner_alone(path: Path) -> None:
    store = opened(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert (path / FILE_NAME).exists()
    store.close()


def test_each_new_directory_has_an_origin_of_its_own(tmp_path: Path) -> None:
    origins = set()
    for n in range(3):
        store = open_sqlite(tmp_path / str(n), NODE, START_MS, os.urandom)
        origins.add(store.book.origin)
        store.close()
    assert len(origins) == 3
    assert all(origin.startswith("zurich.") for origin in origins)


def test_a_directory_in_use_is_refused_naming_the_process(path: Path) -> None:
    store = opened(path)
    with pytest.raises(StoreUnusableError, match=f"already in use by process {os.getpid()}"):
        opened(path)
    store.close()
    opened(path).close()


def test_a_directory_is_free_again_once_its_process_was_killed(path: Path) -> None:
    code = f"""
        import os, signal, sys
        from pathlib import Path
        from konkordat.store.sqlite import open_sqlite
        store = open_sqlite(Path({str(path)!r}), "zurich", 1, os.urandom)
        print(os.getpid(), flush=True)
        sys.stdin.read()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    pid = process.stdout.readline().strip()
    with pytest.raises(StoreUnusableError, match=f"process {pid}"):
        opened(path)
    process.kill()
    process.communicate()
    opened(path).close()


def test_a_directory_of_another_node_is_refused_naming_both(path: Path) -> None:
    opened(path).close()
    with pytest.raises(StoreUnusableError, match=r"belongs to node zurich, not to basel"):
        opened(path, "basel")
    opened(path).close()


def test_data_of_a_newer_release_is_refused_and_left_alone(path: Path) -> None:
    opened(path).close()
    edit(path, f"PRAGMA user_version = {DATA_FORMAT + 1}")
    before = (path / FILE_NAME).read_bytes()
    with pytest.raises(StoreUnusableError, match=f"data format {DATA_FORMAT + 1}"):
        opened(path)
    assert (path / FILE_NAME).read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.mkdir(parents=True)
    edit(path, "CREATE TABLE photos (id)")
    with pytest.raises(StoreUnusableError, match="another program"):
        opened(path)
    edit(path, "SELECT id FROM photos")


@pytest.mark.parametrize(
    "content",
    [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 5_000, b"\0" * 8_192],
    ids=["text", "broken header", "zeros"],
)
def test_what_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.mkdir(parents=True)
    (path / FILE_NAME).write_bytes(content)
    with pytest.raises(StoreError):
        opened(path)
    assert (path / FILE_NAME).read_bytes() == content


def test_a_database_cut_short_is_refused_or_found_damaged(path: Path) -> None:
    store = opened(path)
    Scribe(store).commit(store, *[put(f"r{n}", text="x" * 500) for n in range(100)])
    store.close()
    file = path / FILE_NAME
    os.truncate(file, file.stat().st_size // 2 // 4096 * 4096)
    try:
        store = opened(path)
    except CorruptStoreError:
        return
    assert store.check() != []
    store.close()


def test_a_database_that_does_not_say_whose_it_is_is_refused(path: Path) -> None:
    opened(path).close()
    edit(path, "DELETE FROM meta WHERE key = 'node'")
    with pytest.raises(CorruptStoreError, match="whose"):
        opened(path)


def test_a_file_where_the_directory_should_be_is_refused(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("hello")
    with pytest.raises(StoreUnusableError):
        opened(path)
    assert path.read_text() == "hello"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_may_not_be_written_is_refused(path: Path) -> None:
    path.mkdir(parents=True, mode=0o500)
    with pytest.raises(StoreUnusableError):
        opened(path)


def test_opening_that_is_refused_lets_go_of_the_directory(path: Path) -> None:
    opened(path).close()
    for _ in range(3):
        with pytest.raises(StoreUnusableError):
            opened(path, "basel")
    opened(path).close()


def test_a_crash_while_the_database_is_made_leaves_none(path: Path) -> None:
    def dies(size: int) -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_sqlite(path, NODE, START_MS, dies)
    store = opened(path)
    assert store.check()[1:] == []
    store.close()


def test_the_schema_is_the_sum_of_the_migrations(path: Path) -> None:
    store = opened(path)
    assert store._connection.pragma("user_version") == DATA_FORMAT == len(MIGRATIONS)
    assert store._connection.pragma("application_id") == APPLICATION_ID
    assert store._connection.pragma("integrity_check") == "ok"
    store.close()


def test_connections_are_set_up_for_safety(path: Path) -> None:
    store = opened(path)
    reader = store.reader()
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 0,
        "trusted_schema": 0,
        "temp_store": 2,
        "mmap_size": 0,
    }
    for connection in (store._connection, reader._connection):
        assert {name: connection.pragma(name) for name in expected} == expected
    assert store._connection.pragma("query_only") == 0
    assert reader._connection.pragma("query_only") == 1
    reader.close()
    store.close()
