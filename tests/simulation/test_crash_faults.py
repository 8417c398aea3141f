"""Full and failing disks, at every operation of a node's life.

PROOF: I11 (SQLite raises an fsync error once and then goes on: the store must stop by itself); fault "disk full, I/O
error at the n-th operation, for every n"; planted bug "fsync error retried".
"""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from konkordat.store.port import StoreFullError, StoreWriteError
from konkordat.testing.crash.faults import try_every_operation
from konkordat.testing.crash.run import Run, Settings
from konkordat.testing.crash.scenarios import put
from konkordat.testing.crash.vfs import Fault


def test_a_failing_disk_ends_in_a_named_error_and_a_whole_store_whichever_operation_it_is() -> None:
    report = try_every_operation(seed=1)
    assert report.complaints == []
    operations = {key.partition(": ")[2] for key in report.hits}
    assert operations == {"open", "read", "write", "sync", "truncate", "delete"}
    assert {"StoreFullError", "StoreWriteError", "StoreUnusableError"} <= set(report.errors)
    assert report.went_on
    assert report.stopped


def test_after_a_failed_sync_no_commit_is_tried_again(tmp_path: Path) -> None:
    with Run(tmp_path, 1, Settings()) as run:
        run.open()
        run.write(put(run, "a"))
        run.vfs.fault = SyncFault()
        with pytest.raises(StoreWriteError, match="the disk failed"):
            run.write(put(run, "b"))
        run.vfs.fault = None  # the disk says that all is well again
        before = len(run.tape.steps)
        with pytest.raises(StoreWriteError, match="must be restarted"):
            run.write(put(run, "c"))
        assert not [s for s in run.tape.steps[before:] if type(s).__name__ != "Mark"]


def test_a_full_disk_is_rolled_back_and_room_is_enough_to_go_on(tmp_path: Path) -> None:
    with Run(tmp_path, 1, Settings()) as run:
        run.open()
        run.write(put(run, "a"))
        run.vfs.fault = Fault(2, "full", stays=True)
        with pytest.raises(StoreFullError):
            run.write(put(run, "b"))
        run.vfs.fault = None
        run.write(put(run, "c"))
        assert run.store.check() == []


def test_the_vfs_fails_as_sqlite_would_see_it(tmp_path: Path) -> None:
    with Run(tmp_path, 1, Settings()) as run:
        run.open()
        run.vfs.fault = Fault(1, "error", stays=False)
        with pytest.raises(StoreWriteError) as caught:
            run.write(put(run, "a"))
    assert isinstance(caught.value.__cause__, apsw.IOError)


class SyncFault(Fault):
    """Fails the next sync, once."""

    def __init__(self) -> None:
        super().__init__(1, "error", stays=False)

    def fails(self, operation: str) -> bool:
        return operation == "sync" and super().fails("sync")
