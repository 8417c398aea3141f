"""A simulated node's disk with the real SQLite store on it: slower, and it must make no difference."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, cast

from konkordat.kernel.ids import NodeName, Origin
from konkordat.store.port import Store, WriteSet
from konkordat.store.sqlite import SqliteStore, open_sqlite
from konkordat.testing.clock import START_MS
from konkordat.testing.disk import ENTROPY_BYTES, REPLAY, MemoryDisk


class SimulatedSqlite:
    """A SQLite store whose commits go through a disk; everything else goes straight to it."""

    def __init__(self, inner: SqliteStore, disk: SqliteDisk) -> None:
        self._inner = inner
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self, write: WriteSet) -> None:
        self._disk.commit(self, write)

    def apply(self, write: WriteSet) -> None:
        """What the disk does once the commit is to happen."""
        self._inner.commit(write)


class SqliteDisk(MemoryDisk):
    """The disk of one node, in a folder of its own; what the journal makes anew goes into a new folder."""

    def __init__(self, node: NodeName, folder: Path) -> None:
        self._folder = folder / node
        self._numbers = itertools.count(1)
        self._inner: SqliteStore | None = None
        self._minted_ms = START_MS
        super().__init__(node)

    def mint(self, now_ms: int) -> Origin:
        self._minted_ms = now_ms
        return super().mint(now_ms)

    def open(self) -> Store:
        inner = self._reopened()
        store = SimulatedSqlite(inner, self)
        self._store = store
        return cast("Store", store)

    def content(self) -> Store:
        return cast("Store", self._inner if self._inner is not None else self._reopened())

    def frontier(self) -> dict[Origin, int]:
        return self.content().frontier()

    def _reopened(self) -> SqliteStore:
        """The store of a new process."""
        if self._inner is not None:
            self._inner.close()
            self._inner = self._opened()
            return self._inner
        self._directory = self._folder / str(next(self._numbers))
        self._inner = self._opened()
        for write in self.commits:
            self._inner.commit(write)
        if self.commits:
            return self._reopened()
        return self._inner

    def _opened(self) -> SqliteStore:
        lives = self._lives.to_bytes(ENTROPY_BYTES, "big")
        store = open_sqlite(
            self._directory, self.node, self._minted_ms, lambda _count: lives, replay=REPLAY
        )
        assert store.book.origin == self.origin
        return store

    def _renew(self) -> None:
        if self._inner is not None:
            self._inner.close()
        self._inner = self._store = None

    def _put(self, write: WriteSet) -> None:
        self.content().commit(write)

    def close(self) -> None:
        """Let go of the files."""
        self._renew()
