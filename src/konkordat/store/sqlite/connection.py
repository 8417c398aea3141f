"""Connections: how they are set up, and what their errors mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar

import apsw

from konkordat.store.port import CorruptStoreError, StoreError, StoreUnusableError
from konkordat.store.sqlite.statements import sql

FILE_NAME: Final = "konkordat.sqlite3"

# The readers of this process never block on the writer in WAL mode, nor it on them. What can hold a lock for a moment
# is another program that recovers or checkpoints the file.
BUSY_TIMEOUT_MS: Final = 5_000
# Pages of 4 KiB. Measured: 8 KiB pages make random updates a third dearer, as each writes a whole page to the WAL.
PAGE_BYTES: Final = 4_096
# Page cache of the owner's connection: holds the upper levels of all trees and the leaves that a day's work touches
# (100 000 sessions have about 12 MiB of index pages). Of a reader: it borrows from the system's cache what it lacks.
WRITER_CACHE_KIB: Final = 32 << 10
READER_CACHE_KIB: Final = 8 << 10
# A WAL that once grew (a long read held up its reset) is cut back to this when it starts over.
WAL_BYTES_KEPT: Final = 64 << 20
STATEMENTS_CACHED: Final = 200  # every query in each of its sizes, several times over

Rows = list[tuple[Any, ...]]
# In quotes: apsw has the type in its stub alone.
Bindings: TypeAlias = "tuple[apsw.Binding, ...] | Mapping[str, apsw.Binding]"
P = ParamSpec("P")
R = TypeVar("R")


def connect(path: Path, vfs: str | None, *, writes: bool) -> apsw.Connection:
    """A connection to an existing or (if it `writes`) new database. Raises apsw.Error."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOMUTEX
    if writes:
        flags |= apsw.SQLITE_OPEN_CREATE
    connection = apsw.Connection(str(path), flags, vfs, STATEMENTS_CACHED)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    # SQL in the file's own schema must not be able to do anything, whoever wrote it.
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    # A name in double quotes that nothing has is an error, not a text.
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    cache_kib = WRITER_CACHE_KIB if writes else READER_CACHE_KIB
    for name, value in (
        ("cache_size", -cache_kib),
        # No memory map: a read error in it would end the process, a VFS that injects faults would not see it, and its
        # pages would count as the node's memory.
        ("mmap_size", 0),
        ("temp_store", 2),  # memory: nothing here sorts more than a page of rows
        (
            "foreign_keys",
            0,
        ),  # there are none: references are local numbers, and check() follows them
        ("synchronous", 2),  # FULL: a commit returns when the WAL is on the disk
        ("journal_size_limit", WAL_BYTES_KEPT),
        ("cell_size_check", 1),  # finds a damaged page when it is read, not when it is used
    ):
        connection.pragma(name, value)
    if not writes:
        connection.pragma("query_only", 1)
    return connection


def fetched(connection: apsw.Connection, name: str, bindings: Bindings = ()) -> Rows:
    """All rows of a query of queries.sql."""
    return connection.execute(sql(name), bindings).fetchall()


def translated(error: apsw.Error, doing: str) -> StoreError:
    """What an error of SQLite while reading means here."""
    reason = f"{doing}: {error}"
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return CorruptStoreError(reason)
    if isinstance(error, apsw.CantOpenError | apsw.PermissionsError | apsw.ReadOnlyError):
        return StoreUnusableError(reason)
    return StoreError(reason)


def reads(method: Callable[P, R]) -> Callable[P, R]:
    """Marks a method that only reads: errors of SQLite leave it as errors of the store."""

    @wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except apsw.Error as error:
            raise translated(error, f"reading ({method.__name__})") from error
        except UnicodeDecodeError as error:
            raise CorruptStoreError(f"a text is no UTF-8 ({error})") from error

    return guarded


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal, for views, which cannot have parameters."""
    return "'" + text.replace("'", "''") + "'"
