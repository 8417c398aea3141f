"""A disk that is full or fails: nothing is half written or acknowledged, and a failed sync is not forgotten."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from konkordat.store.port import StoreFullError, StoreWriteError
from konkordat.store.sqlite import SqliteStore, open_sqlite
from support.stores import NODE, REPLAY, START_MS, Scribe, entropy, everything, key, put


class FaultyVfs(apsw.VFS):
    """The system's files, but that an operation fails when a test says so."""

    def __init__(self) -> None:
        self.name = f"faulty-{id(self)}"
        super().__init__(self.name, "")
        self.operations = 0  # writes and syncs so far
        self.fail_at: int | None = None
        self.fail_from: int | None = None
        self.fail_kind = ""  # only of these; any if empty
        self.error: type[apsw.Error] = apsw.IOError
        self.failed: list[str] = []

    def xOpen(self, name: Any, flags: list[int]) -> FaultyFile:  # noqa: N802
        return FaultyFile(self, name, flags)

    def before(self, what: str) -> None:
        if self.fail_kind not in what:
            return
        self.operations += 1
        at, since = self.fail_at, self.fail_from
        if self.operations == at or (since is not None and self.operations >= since):
            self.failed.append(what)
            raise self.error(f"{what} failed")


class FaultyFile(apsw.VFSFile):
    def __init__(self, vfs: FaultyVfs, name: Any, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.kind = "wal" if str(path).endswith("-wal") else "database"
        self.vfs = vfs
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self.vfs.before(f"write {self.kind}")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.vfs.before(f"sync {self.kind}")
        super().xSync(flags)


@pytest.fixture
def vfs() -> Iterator[FaultyVfs]:
    made = FaultyVfs()
    yield made
    made.unregister()


def opened(path: Path, vfs: FaultyVfs | None = None) -> SqliteStore:
    name = vfs.name if vfs else None
    return open_sqlite(path, NODE, START_MS, entropy, replay=REPLAY, vfs=name, segment_rows_max=8)


@pytest.fixture
def store(tmp_path: Path, vfs: FaultyVfs) -> Iterator[SqliteStore]:
    made = opened(tmp_path, vfs)
    yield made
    vfs.fail_at = vfs.fail_from = None
    made.close()


def test_a_failed_sync_stops_all_further_commits(
    tmp_path: Path, vfs: FaultyVfs, store: SqliteStore
) -> None:
    scribe = Scribe(store)
    scribe.commit(store, put("a"))
    before = everything(store)
    vfs.fail_kind, vfs.operations, vfs.fail_at = "sync", 0, 1
    with pytest.raises(StoreWriteError, match="the disk failed"):
        scribe.commit(store, put("b"))
    assert vfs.failed == ["sync wal"]
    # SQLite would go on from here.
    with pytest.raises(StoreWriteError, match="must be restarted"):
        scribe.commit(store, put("c"))
    assert everything(store) == before, "what was durable can still be read"
    store.close()
    again = opened(tmp_path)
    assert again.check() == []
    assert key("a") in again.load([key("a"), key("b")])
    again.close()


@pytest.mark.parametrize("error", [apsw.IOError, apsw.FullError])
def test_whichever_operation_fails_nothing_is_half_written(
    tmp_path: Path, vfs: FaultyVfs, error: type[apsw.Error]
) -> None:
    """The n-th write or sync of a commit fails, for every n."""
    vfs.error = error
    for n in range(1, 200):
        path = tmp_path / str(n)
        store = opened(path, vfs)
        scribe = Scribe(store)
        scribe.commit(store, *[put(f"r{m}", event="e") for m in range(5)])
        before = everything(store)
        vfs.operations, vfs.fail_at, vfs.failed = 0, n, []
        outcome = None
        try:
            scribe.commit(store, *[put(f"s{m:02}", text="x" * 2_000) for m in range(20)])
        except StoreWriteError as failure:
            outcome = type(failure)
        assert (outcome is not None) == bool(vfs.failed)
        if outcome is not None:
            assert outcome is (StoreFullError if error is apsw.FullError else StoreWriteError)
            assert everything(store) == before
        vfs.fail_at = None
        store.close()
        again = opened(path)
        assert again.check() == []
        found = again.load(scribe.records)
        assert len(found) in (5, 25), "all of a commit, or nothing"
        again.close()
        if not vfs.failed:
            break
    else:
        pytest.fail("a commit has no two hundred operations")
    assert n > 20, "many operations were made to fail"


def test_a_checkpoint_whose_disk_fails_stops_further_commits_but_loses_nothing(
    tmp_path: Path, vfs: FaultyVfs, store: SqliteStore
) -> None:
    scribe = Scribe(store)
    vfs.fail_kind, vfs.operations, vfs.fail_from = "sync database", 0, 1
    while not vfs.failed:
        scribe.commit(
            store, *[put(f"r{len(scribe.records)}-{m}", text="x" * 4_000) for m in range(50)]
        )
    records, frontier = dict(scribe.records), dict(scribe.frontier)
    with pytest.raises(StoreWriteError, match="checkpoint"):
        scribe.commit(store, put("one more"))
    assert set(vfs.failed) == {"sync database"}
    assert store.load(records) == records
    vfs.fail_from = None
    store.close()
    again = opened(tmp_path)
    assert dict(again.book.frontier) == frontier
    assert again.load(records) == records
    assert again.check() == []
    again.close()


def test_a_full_disk_refuses_a_commit_and_takes_the_next_once_there_is_room(
    tmp_path: Path,
) -> None:
    store = opened(tmp_path)
    scribe = Scribe(store)
    scribe.commit(store, put("a"))
    before = everything(store)
    connection = store._connection
    connection.pragma("max_page_count", connection.pragma("page_count") + 4)
    saved = dict(scribe.records), dict(scribe.frontier), dict(scribe.heads)
    with pytest.raises(StoreFullError):
        scribe.commit(store, *[put(f"r{n}", text="x" * 4_000) for n in range(50)])
    assert everything(store) == before
    scribe.records, scribe.frontier, scribe.heads = saved
    scribe.commit(store, put("small"))
    assert key("small") in store.load([key("small")])
    connection.pragma("max_page_count", 1 << 30)
    scribe.commit(store, *[put(f"r{n}", text="x" * 4_000) for n in range(50)])
    assert store.load(scribe.records) == scribe.records
    assert store.check() == []
    store.close()
    again = opened(tmp_path)
    assert again.check() == []
    again.close()


def test_a_process_that_may_write_no_more_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    """The system itself refuses writes beyond a size of file (EFBIG), in a process of its own."""
    code = f"""
        import json, os, resource, signal, sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from pathlib import Path
        from konkordat.store.port import StoreError
        from support.stores import Scribe, put, entropy
        from konkordat.store.sqlite import open_sqlite
        store = open_sqlite(Path({str(tmp_path)!r}), "zurich", 1, entropy)
        scribe = Scribe(store)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        acknowledged = 0
        try:
            while True:
                scribe.commit(store, put(f"r{{acknowledged:04}}", text="x" * 3_000))
                acknowledged += 1
        except StoreError as error:
            print(json.dumps([acknowledged, type(error).__name__, store.frontier()]))
        os._exit(0)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    acknowledged, error, frontier = json.loads(done.stdout)
    assert error in ("StoreFullError", "StoreWriteError")
    assert 0 < acknowledged < 1_000
    assert list(frontier.values()) == [acknowledged]
    again = opened(tmp_path)
    assert again.check() == []
    assert list(again.book.frontier.values()) == [acknowledged]
    again.close()
