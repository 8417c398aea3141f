"""Opening a data directory: who may, what is in it, and whose it is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import apsw
import msgspec

from konkordat.kernel.digest import Summary
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import NodeName, Origin, make_origin
from konkordat.store.port import (
    SEGMENT_ROWS_MAX,
    Bookkeeping,
    CorruptStoreError,
    StoreFullError,
    StoreUnusableError,
)
from konkordat.store.replay import Replay
from konkordat.store.sqlite.connection import FILE_NAME, PAGE_BYTES, connect, fetched, translated
from konkordat.store.sqlite.segments import EMPTY_SEGMENT, read_segments
from konkordat.store.sqlite.statements import read_sql, sql_of_rows
from konkordat.store.sqlite.store import SqliteStore
from konkordat.store.sqlite.views import CollectionView, refresh
from konkordat.store.sqlite.wal import damage_of

LOCK_NAME: Final = "node.lock"
APPLICATION_ID: Final = 0x4B4F4E4B  # "KONK": tells our files from other SQLite files
# How a database of format n - 1 becomes one of format n: the file at index n - 1. The first makes a new one.
MIGRATIONS: Final = ("schema.sql",)
DATA_FORMAT: Final = len(MIGRATIONS)
# In `meta`: "1" in a copy that must begin a new incarnation before it writes (backup.py), "" once it has.
MINT_KEY: Final = "mint"


def open_sqlite(
    path: Path,
    node: NodeName,
    now_ms: int,
    entropy: Callable[[int], bytes],
    views: Sequence[CollectionView] = (),
    replay: Replay | None = None,
    vfs: str | None = None,
    segment_rows_max: int = SEGMENT_ROWS_MAX,
) -> SqliteStore:
    """Open the data directory of a node; an absent or empty one becomes its own, with a new origin.

    `entropy(n)` gives n random bytes. Without `replay`, `check` cannot compare records with the log. `vfs` names the
    apsw VFS to use. Raises StoreUnusableError for a directory that is in use, of another node, of a newer release or
    not to be written, CorruptStoreError for a file that is damaged, StoreFullError.
    """
    file = path / FILE_NAME
    with ExitStack() as undo:
        undo.callback(os.close, lock_directory(path))
        _refuse_damaged_log(file)
        try:
            connection = connect(file, vfs, writes=True)
            undo.callback(connection.close)
            _prepare(connection, path, node, now_ms, entropy)
            segments = read_segments(connection)
            book = _read_book(connection, path, node, segments.root())
            refresh(connection, views)
            store = SqliteStore(
                connection,
                book,
                segments,
                lambda: connect(file, vfs, writes=False),
                replay,
                segment_rows_max,
                undo.pop_all().close,
            )
        except apsw.FullError as error:
            raise StoreFullError(f"opening {file}: the disk is full") from error
        except apsw.Error as error:
            raise translated(error, f"opening {file}") from error
        except UnicodeDecodeError as error:
            raise CorruptStoreError(f"{file}: a text is no UTF-8 ({error})") from error
    return store


# The directory ----------------------------------------------------------------------------------


def lock_directory(path: Path) -> int:
    """Take the directory for this process; returns the descriptor that holds the lock."""
    try:
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True)
            sync_directory(path.parent)
        lock = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnusableError(f"{path}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError as error:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        os.close(lock)
        raise StoreUnusableError(f"{path} is already in use by process {holder or '?'}") from error
    except OSError as error:
        os.close(lock)
        raise StoreUnusableError(f"{path}: {error.strerror}") from error
    return lock


def sync_directory(directory: Path) -> None:
    """Make a new entry of a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def log_of(file: Path) -> Path:
    """The write-ahead log of a database."""
    return file.with_name(f"{file.name}-wal")


def _refuse_damaged_log(file: Path) -> None:
    """SQLite would take the log up to the damage and forget the acknowledged commits behind it."""
    log = log_of(file)
    try:
        damage = damage_of(log)
    except OSError as error:
        raise StoreUnusableError(f"{log}: {error.strerror}") from error
    if damage:
        raise CorruptStoreError(
            f"{log}: {damage}, and acknowledged commits with it; what peers have of them comes back after:"
            " konkordat restore --in-place"
        )


# The file ---------------------------------------------------------------------------------------


def _prepare(
    connection: apsw.Connection,
    path: Path,
    node: NodeName,
    now_ms: int,
    entropy: Callable[[int], bytes],
) -> None:
    """Make the database if there is none, and bring an old one up to date; each in one transaction."""
    application = connection.pragma("application_id")
    version = connection.pragma("user_version")
    new = (
        application == 0
        and version == 0
        and not connection.execute("SELECT 1 FROM sqlite_schema").get
    )
    if not new and application != APPLICATION_ID:
        raise StoreUnusableError(f"{path / FILE_NAME} is a database of another program")
    if version > DATA_FORMAT:
        raise StoreUnusableError(
            f"{path} has data format {version}, this release knows up to {DATA_FORMAT}: use the newer release"
        )
    if new:
        connection.pragma("page_size", PAGE_BYTES)
    if connection.pragma("journal_mode", "wal") != "wal":
        raise StoreUnusableError(f"{path} is on a file system that cannot hold a write-ahead log")
    if version < DATA_FORMAT:
        connection.execute("BEGIN IMMEDIATE")
        for script in MIGRATIONS[version:]:
            connection.execute(read_sql(script), can_cache=False)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", DATA_FORMAT)
        if new:
            _make_identity(connection, node, now_ms, entropy)
        connection.execute("COMMIT")
    _mint_if_marked(connection, node, now_ms, entropy)


def _mint_if_marked(
    connection: apsw.Connection, node: NodeName, now_ms: int, entropy: Callable[[int], bytes]
) -> None:
    """Begin a new incarnation on a copy. The log of the one before stays, as that of any other origin."""
    meta: dict[str, str] = dict(fetched(connection, "meta"))
    if not meta.get(MINT_KEY) or meta.get("node") != node:
        return
    origin = make_origin(node, now_ms, entropy(5))
    lineage = [*msgspec.json.decode(meta["lineage"], type=list[str]), origin]
    connection.execute("BEGIN IMMEDIATE")
    for pair in (
        ("origin", origin),
        ("lineage", msgspec.json.encode(lineage).decode()),
        (MINT_KEY, ""),
    ):
        connection.execute(sql_of_rows("put_meta", 1), pair)
    connection.execute("COMMIT")


def _make_identity(
    connection: apsw.Connection, node: NodeName, now_ms: int, entropy: Callable[[int], bytes]
) -> None:
    origin = make_origin(node, now_ms, entropy(5))
    lineage = msgspec.json.encode([origin]).decode()
    for pair in (
        ("node", node),
        ("origin", origin),
        ("lineage", lineage),
        ("created_ms", str(now_ms)),
    ):
        connection.execute(sql_of_rows("put_meta", 1), pair)
    connection.execute(sql_of_rows("put_segments", 1), EMPTY_SEGMENT.as_row())


def _newest(lineage: str) -> str | None:
    """The last of the incarnations."""
    try:
        return msgspec.json.decode(lineage, type=list[str])[-1]
    except (msgspec.MsgspecError, IndexError):
        return None


def _read_book(
    connection: apsw.Connection, path: Path, node: NodeName, root: Summary
) -> Bookkeeping:
    meta: dict[str, str] = dict(fetched(connection, "meta"))
    if not {"node", "origin"} <= meta.keys():
        raise CorruptStoreError(f"{path} does not say whose it is")
    if meta["node"] != node:
        raise StoreUnusableError(f"{path} belongs to node {meta['node']}, not to {node}")
    # Written together, twice: whoever takes a damaged name for its own would write under a stranger's.
    if meta["origin"] != _newest(meta.get("lineage", "")):
        raise CorruptStoreError(f"{path} says two things about its present incarnation")
    origins = fetched(connection, "origins")
    return Bookkeeping(
        node=node,
        origin=Origin(meta["origin"]),
        hlc=Hlc(max([0, *(clock for *_, clock in origins)])),
        frontier={Origin(origin): seq for _, origin, seq, _, _ in origins if seq},
        heads={Origin(origin): head for _, origin, seq, head, _ in origins if seq},
        root=root,
    )
