"""A disk under a test's control: what was made durable survives, and only that.

The store on it is the real memory store. Every commit is also kept by itself, and from these the disk is made anew: as
of its last sync after a power loss, or as of long ago when somebody puts an old backup back.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Final, NoReturn, Protocol

from konkordat.kernel.digest import EVERYTHING, KeyRange, Summary
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import NodeName, Origin, RecordKey, make_origin
from konkordat.kernel.policy import Policies
from konkordat.store.memory import Data, MemoryReader, MemoryStore, findings_in, replay_of
from konkordat.store.port import Reader, Store, StoreWriteError, WriteSet
from konkordat.store.replay import Replay, Replayed
from konkordat.testing.clock import START_MS
from konkordat.testing.oracle import opened

Watcher = Callable[[WriteSet], None]
FailureWatcher = Callable[[str], None]
# What logs make, by all of their rows but for when these arrived.
Replays = dict[tuple[tuple[Origin, int, bytes, Hlc, Hlc, bytes], ...], Replayed]
ENTROPY_BYTES: Final = 5
REPLAY: Final = Replay(opened, Policies())


class Disk(Protocol):
    """Something that a node's process can be started on, again and again."""

    node: NodeName

    def open(self) -> Store:
        """A store of what is on the disk. Opening it takes it from whoever had it before."""


class Applies(Protocol):
    """A store that leaves it to its disk when, and whether, a commit happens."""

    def apply(self, write: WriteSet) -> None: ...


class PowerLost(Exception):
    """The machine lost power in the middle of a commit. The process is gone."""


class SimulatedStore(MemoryStore):
    """A memory store whose commits go through a disk."""

    def __init__(self, data: Data, disk: MemoryDisk) -> None:
        super().__init__(data, REPLAY)
        self._disk = disk

    def commit(self, write: WriteSet) -> None:
        self._disk.commit(self, write)

    def apply(self, write: WriteSet) -> None:
        """What the disk does once the commit is to happen."""
        super().commit(write)


class Content(Reader, Protocol):
    """What is on a disk, to be looked at."""

    def check(self) -> list[str]:
        """As of a store."""


class MemoryContent(MemoryReader):
    """Looked at once, and not while it changes: what covers all records is computed once.

    Most disks of a run have the same log in the end, which is replayed once for all of them.
    """

    def __init__(self, data: Data, replays: Replays) -> None:
        super().__init__(data)
        self._replays = replays
        self._all: list[tuple[RecordKey, Summary]] | None = None

    def check(self) -> list[str]:
        logs = [log for _, log in sorted(self._data.log.items())]
        rows = [(r.origin, r.seq, r.hash, r.first_hlc, r.last_hlc, r.body) for r in chain(*logs)]
        log = tuple(rows)
        if log not in self._replays:
            self._replays[log] = replay_of(self._data, REPLAY)
        return findings_in(self._data, self._replays[log])

    def _prints(self, range_: KeyRange) -> list[tuple[RecordKey, Summary]]:
        if range_ != EVERYTHING:
            return super()._prints(range_)
        if self._all is None:
            self._all = super()._prints(range_)
        return self._all


class MemoryDisk:
    """The disk of one node. At most one process uses it."""

    def __init__(self, node: NodeName) -> None:
        self.node = node
        self.commits: list[WriteSet] = []
        self.synced = 0  # of the commits: what survives a loss of power
        # A disk that lies: it says a commit is durable and means that it will be, some commits later.
        self.sync_every = 1
        self.watcher: Watcher | None = None  # told of each commit, once it is durable
        self.failure_watcher: FailureWatcher | None = None  # told when a commit fails, and how
        self.fails_with = ""  # what becomes of the next commit
        self.replays: Replays = {}  # shared by the disks of a run
        self._lives = 0
        self._store: Applies | None = None  # of the latest process
        self._data: Data | None = None  # None: to be made from the commits
        self.origin = Origin("")
        self.mint(START_MS)

    # Processes -----------------------------------------------------------------------------------

    def open(self) -> Store:
        store = SimulatedStore(self.data(), self)
        self._store = store
        return store

    def content(self) -> Content:
        return MemoryContent(self.data(), self.replays)

    def frontier(self) -> dict[Origin, int]:
        return MemoryReader(self.data()).frontier()

    def release(self) -> None:
        """Nobody uses it any more. What is on it goes at once, though stores of dead processes still refer to it."""
        self.watcher = self.failure_watcher = self._store = None
        self.commits.clear()
        if self._data is not None:
            for table in (self._data.log, self._data.records, self._data.history):
                table.clear()

    def data(self) -> Data:
        if self._data is None:
            self._data = Data(self.node, self.origin)
            store = MemoryStore(self._data)
            for write in self.commits:
                store.commit(write)
        return self._data

    # Commits -------------------------------------------------------------------------------------

    def commit(self, store: Applies, write: WriteSet) -> None:
        """A process commits."""
        if store is not self._store:
            raise StoreWriteError("the disk belongs to a later process")
        if self.fails_with.startswith("before"):
            self._fail()
        store.apply(write)
        self.commits.append(write)
        if len(self.commits) - self.synced >= self.sync_every:
            self.synced = len(self.commits)
        if self.watcher is not None:
            self.watcher(write)
        if self.fails_with:
            self._fail()

    def put(self, write: WriteSet) -> None:
        """Change the content while no process runs."""
        self._put(write)
        self.commits.append(write)
        self.synced = len(self.commits)

    def _put(self, write: WriteSet) -> None:
        MemoryStore(self.data()).commit(write)

    def fail_next(self, how: str) -> None:
        """Of the next commit: "before power", "after power": the power goes, before or after it is durable;
        "before error", "after error": the commit is reported as failed, whatever is on the disk."""
        assert how in FAILURES
        self.fails_with = how

    def fail_no_more(self) -> None:
        self.fails_with = ""

    def _fail(self) -> NoReturn:
        how, self.fails_with = self.fails_with, ""
        if self.failure_watcher is not None:
            self.failure_watcher(how)
        if how.endswith("power"):
            raise PowerLost
        raise StoreWriteError("an I/O error, by order of the test")

    # Losses --------------------------------------------------------------------------------------

    def lose_power(self) -> int:
        """The process is gone, and with it what was not synced; how many commits that were."""
        self.fails_with = ""
        unsynced = len(self.commits) - self.synced
        if unsynced:
            self._cut_back(self.synced)
        return unsynced

    def backup(self) -> int:
        """A name for the present content."""
        return len(self.commits)

    def restore(self, backup: int) -> None:
        """Put an old content back. Who does that must `mint`, or sequence numbers are used twice."""
        self._cut_back(backup)

    def lose_everything(self) -> None:
        """An empty disk in its place."""
        self._cut_back(0)

    def mint(self, now_ms: int) -> Origin:
        """Begin a new incarnation."""
        self._lives += 1
        self.origin = make_origin(self.node, now_ms, self._lives.to_bytes(ENTROPY_BYTES, "big"))
        self._renew()
        return self.origin

    def _cut_back(self, length: int) -> None:
        del self.commits[length:]
        self.synced = length
        self._renew()

    def _renew(self) -> None:
        """What is on the disk is to be made from the commits."""
        self._data = self._store = None


FAILURES: Final = ("before power", "after power", "before error", "after error")
