"""Backups, old copies and lost disks: nothing of the others is lost, and no sequence number is used twice.

PROOF: faults "restore of an old backup" and "a node's disk lost"; I2, I8 (old backup), I11; planted bug "restored
backup keeps its incarnation". The stores are real ones on files; the nodes are real replicas.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from konkordat.kernel.ids import NodeName, Origin, node_of
from konkordat.replica.admission import OwnHistoryLostError
from konkordat.replica.messages import Accepted
from konkordat.store.port import CorruptStoreError, StoreUnusableError
from konkordat.store.sqlite import SqliteStore, open_sqlite
from konkordat.store.sqlite.backup import Facts, adopt, back_up, inspect, restore
from konkordat.store.sqlite.connection import FILE_NAME
from konkordat.testing.clock import START_MS
from konkordat.testing.crash.run import REPLAY
from konkordat.testing.domain import Put, Remove, item
from konkordat.testing.workbench import Bench, Workbench


class DirectoryDisk:
    """A disk that is a real directory."""

    def __init__(self, node: NodeName, root: Path) -> None:
        self.node = node
        self.path = root / node
        self._store: SqliteStore | None = None

    def open(self) -> SqliteStore:
        self.close()
        self._store = open_sqlite(self.path, self.node, START_MS, os.urandom, replay=REPLAY)
        return self._store

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


Cluster = Callable[..., Workbench]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    disks: list[DirectoryDisk] = []

    def make(*names: str) -> Workbench:
        def disk(node: NodeName) -> DirectoryDisk:
            disks.append(DirectoryDisk(node, tmp_path))
            return disks[-1]

        return Workbench(*names, disk=disk)

    yield make
    for disk in disks:
        disk.close()


def stopped(node: Bench) -> Path:
    """Stop a node; its directory."""
    assert isinstance(node.disk, DirectoryDisk)
    node.disk.close()
    return node.disk.path


def save(data: Path, file: Path) -> Facts:
    return back_up(data, file, REPLAY, lambda _done, _total: None)


def put_back(file: Path, data: Path) -> Facts:
    return restore(file, data, REPLAY, lambda _done, _total: None)


def write(bench: Workbench, name: str, *ids: str) -> None:
    for id in ids:
        outcome = bench.write(name, Put(item(id), {"title": f"{id} by {name}"}))
        assert isinstance(outcome, Accepted)


def assert_whole(bench: Workbench, ids: set[str]) -> None:
    """All nodes have these records, sound stores, and one content for each (origin, seq)."""
    contents: dict[tuple[Origin, int], bytes] = {}
    for node in bench.nodes.values():
        assert node.store.check() == []
        for origin, last in node.store.frontier().items():
            bodies = node.log(origin)
            assert len(bodies) == last
            for seq, body in enumerate(bodies, start=1):
                assert contents.setdefault((origin, seq), body) == body, "a number was used twice"
        for id in ids:
            assert node.values(item(id)) is not None, f"{node.name} lacks {id}"


# A backup -------------------------------------------------------------------------------------------


def test_a_backup_of_a_node_that_goes_on_writing_is_of_one_moment(
    cluster: Cluster, tmp_path: Path
) -> None:
    bench = cluster("zurich")
    for n in range(60):
        bench.write("zurich", Put(item(f"n{n:03}"), {"text": "x" * 60_000}))
    written: list[str] = []

    def meanwhile(_done: int, _total: int) -> None:
        written.append(f"meanwhile-{len(written)}")
        write(bench, "zurich", written[-1])

    facts = back_up(bench["zurich"].disk.path, tmp_path / "b", REPLAY, meanwhile)  # type: ignore[attr-defined]
    assert len(written) > 2, "the copy was made in one step, and shows nothing"
    assert (facts.node, facts.batches, facts.records) == ("zurich", 60, 60)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["b"]
    assert (tmp_path / "b").stat().st_mode & 0o077 == 0
    assert bench["zurich"].store.check() == []


def test_a_backup_of_a_damaged_database_is_refused_and_leaves_no_file(
    cluster: Cluster, tmp_path: Path
) -> None:
    bench = cluster("zurich")
    write(bench, "zurich", "one")
    data = stopped(bench["zurich"])
    damage(data / FILE_NAME, "UPDATE log SET hash = zeroblob(32)")
    with pytest.raises(CorruptStoreError, match="does not match its hash"):
        save(data, tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["zurich"]


def test_a_backup_replaces_nothing(cluster: Cluster, tmp_path: Path) -> None:
    bench = cluster("zurich")
    (tmp_path / "b").write_text("something else")
    with pytest.raises(StoreUnusableError, match="exists"):
        save(stopped(bench["zurich"]), tmp_path / "b")
    assert (tmp_path / "b").read_text() == "something else"


# An old backup put back -----------------------------------------------------------------------------


def test_a_restored_node_begins_a_new_incarnation_and_gets_back_what_it_wrote_since(
    cluster: Cluster, tmp_path: Path
) -> None:
    bench = cluster("zurich", "geneva", "basel")
    write(bench, "zurich", "a", "b", "c")
    write(bench, "geneva", "g")
    bench.settle()
    zurich = bench["zurich"]
    old = zurich.replica.origin
    save(zurich.disk.path, tmp_path / "b")  # type: ignore[attr-defined]
    write(bench, "zurich", "d", "e")
    bench.write("zurich", Remove(item("a")))
    bench.settle()

    data = stopped(zurich)
    shutil.rmtree(data)
    assert put_back(tmp_path / "b", data).origin == old
    zurich.start()
    assert zurich.replica.origin != old
    assert node_of(zurich.replica.origin) == "zurich"
    write(bench, "zurich", "f")  # before it has heard of anybody
    bench.settle()

    assert_whole(bench, {"b", "c", "d", "e", "f", "g"})
    assert zurich.values(item("a")) is None, "a deleted record came back with the backup"
    assert zurich.store.frontier()[old] == 6
    assert zurich.store.frontier()[zurich.replica.origin] == 1


def test_a_restored_node_mints_once(cluster: Cluster, tmp_path: Path) -> None:
    bench = cluster("zurich")
    write(bench, "zurich", "a")
    zurich = bench["zurich"]
    save(zurich.disk.path, tmp_path / "b")  # type: ignore[attr-defined]
    data = stopped(zurich)
    shutil.rmtree(data)
    put_back(tmp_path / "b", data)
    zurich.start()
    first = zurich.replica.origin
    zurich.start()
    assert zurich.replica.origin == first


def test_a_backup_that_is_copied_by_hand_mints_as_well(cluster: Cluster, tmp_path: Path) -> None:
    bench = cluster("zurich")
    write(bench, "zurich", "a")
    zurich = bench["zurich"]
    old = zurich.replica.origin
    save(zurich.disk.path, tmp_path / "b")  # type: ignore[attr-defined]
    data = stopped(zurich)
    shutil.rmtree(data)
    data.mkdir()
    shutil.copy(tmp_path / "b", data / FILE_NAME)
    zurich.start()
    assert zurich.replica.origin != old
    assert zurich.store.frontier() == {old: 1}


@pytest.mark.parametrize("what", ["a file", "a database", "in use"])
def test_a_restore_replaces_nothing(cluster: Cluster, tmp_path: Path, what: str) -> None:
    bench = cluster("zurich")
    write(bench, "zurich", "a")
    zurich = bench["zurich"]
    save(zurich.disk.path, tmp_path / "b")  # type: ignore[attr-defined]
    data = zurich.disk.path if what == "in use" else tmp_path / "other"  # type: ignore[attr-defined]
    data.mkdir(exist_ok=True)
    if what != "in use":
        (data / ("notes.txt" if what == "a file" else FILE_NAME)).write_text("kept")
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    with pytest.raises(StoreUnusableError, match="not empty"):
        put_back(tmp_path / "b", data)
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"no database at all, but longer than a header" * 40, CorruptStoreError),
        (b"", StoreUnusableError),
    ],
)
def test_what_is_no_backup_is_refused(
    tmp_path: Path, content: bytes, error: type[Exception]
) -> None:
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(error):
        put_back(tmp_path / "b", tmp_path / "data")
    assert not (tmp_path / "data" / FILE_NAME).exists()


def test_a_backup_that_was_damaged_since_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    bench = cluster("zurich")
    write(bench, "zurich", "a")
    save(bench["zurich"].disk.path, tmp_path / "b")  # type: ignore[attr-defined]
    damage(tmp_path / "b", "UPDATE records SET actor = 'somebody else'")
    with pytest.raises(CorruptStoreError, match="checksum"):
        put_back(tmp_path / "b", tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["node.lock"]


# An old copy put back by hand -----------------------------------------------------------------------


def test_an_old_copy_put_back_by_hand_stops_and_goes_on_once_it_is_adopted(
    cluster: Cluster, tmp_path: Path
) -> None:
    bench = cluster("zurich", "geneva")
    write(bench, "zurich", "a", "b")
    bench.settle()
    zurich = bench["zurich"]
    old = zurich.replica.origin
    data = stopped(zurich)
    shutil.copytree(data, tmp_path / "copy")
    zurich.start()
    write(bench, "zurich", "c")
    bench.settle()

    stopped(zurich)
    shutil.rmtree(data)
    shutil.copytree(tmp_path / "copy", data)
    zurich.start()
    assert zurich.replica.origin == old
    with pytest.raises(OwnHistoryLostError):
        bench.settle(at_least_ms=1_000)
    assert zurich.store.frontier() == {old: 2}
    bench.flying.clear()

    stopped(zurich)
    assert adopt(data, REPLAY).batches == 2
    zurich.start()
    write(bench, "zurich", "d")
    bench.settle()
    assert_whole(bench, {"a", "b", "c", "d"})
    assert zurich.store.frontier()[old] == 3


def test_a_directory_in_use_is_not_adopted(cluster: Cluster) -> None:
    bench = cluster("zurich")
    with pytest.raises(StoreUnusableError, match="in use"):
        adopt(bench["zurich"].disk.path, REPLAY)  # type: ignore[attr-defined]


def test_a_damaged_directory_is_not_adopted(cluster: Cluster) -> None:
    bench = cluster("zurich")
    write(bench, "zurich", "a")
    data = stopped(bench["zurich"])
    damage(data / FILE_NAME, "DELETE FROM records")
    with pytest.raises(CorruptStoreError):
        adopt(data, REPLAY)


# A lost disk ----------------------------------------------------------------------------------------


def test_a_node_on_an_empty_disk_gets_everything_back_its_own_writes_too(cluster: Cluster) -> None:
    bench = cluster("zurich", "geneva")
    write(bench, "zurich", "a", "b")
    write(bench, "geneva", "g")
    bench.settle()
    zurich = bench["zurich"]
    old = zurich.replica.origin
    shutil.rmtree(stopped(zurich))
    zurich.start()
    write(bench, "zurich", "new")
    bench.settle()
    assert zurich.replica.origin != old
    assert_whole(bench, {"a", "b", "g", "new"})


# Looking --------------------------------------------------------------------------------------------


def test_a_check_of_a_stopped_node_names_what_is_wrong_and_changes_nothing(
    cluster: Cluster,
) -> None:
    bench = cluster("zurich")
    write(bench, "zurich", "a", "b")
    data = stopped(bench["zurich"])
    facts, findings = inspect(data, REPLAY)
    assert facts is not None
    assert (facts.batches, facts.records, findings) == (2, 2, [])
    damage(data / FILE_NAME, "DELETE FROM history WHERE seq = 2")
    before = (data / FILE_NAME).read_bytes()
    _facts, findings = inspect(data, REPLAY)
    assert findings
    assert "batch 2" in findings[0]
    assert (data / FILE_NAME).read_bytes() == before


def test_a_check_of_what_is_no_database_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusableError, match="holds no database"):
        inspect(tmp_path, REPLAY)
    (tmp_path / FILE_NAME).write_bytes(b"garbage " * 1_000)
    _facts, findings = inspect(tmp_path, REPLAY)
    assert len(findings) == 1


def damage(file: Path, sql: str) -> None:
    """Change a database behind everybody's back."""
    connection = apsw.Connection(str(file))
    connection.execute(sql)
    connection.close()
