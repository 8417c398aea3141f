"""The store that a node uses: one SQLite file in its data directory, through apsw."""

from konkordat.store.sqlite.opening import open_sqlite
from konkordat.store.sqlite.store import SqliteStore
from konkordat.store.sqlite.views import CollectionView

__all__ = ["CollectionView", "SqliteStore", "open_sqlite"]
