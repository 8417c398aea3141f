"""Copies of a data directory: taken while the node runs, verified, and put back without using a number twice.

A copy is marked. Whoever opens it begins a new incarnation: what the old one wrote after the copy was taken may be with
peers, under sequence numbers that the copy does not know of.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import apsw
import msgspec

from konkordat.store.port import (
    SEGMENT_ROWS_MAX,
    CorruptStoreError,
    StoreFullError,
    StoreUnusableError,
)
from konkordat.store.replay import Replay
from konkordat.store.sqlite.check import Check
from konkordat.store.sqlite.connection import FILE_NAME, connect, fetched, translated
from konkordat.store.sqlite.opening import (
    APPLICATION_ID,
    DATA_FORMAT,
    LOCK_NAME,
    MINT_KEY,
    lock_directory,
    log_of,
    sync_directory,
)
from konkordat.store.sqlite.segments import read_segments
from konkordat.store.sqlite.statements import sql_of_rows
from konkordat.store.sqlite.wal import damage_of

STEP_PAGES: Final = 512  # copied between two reports of progress: 2 MiB
COPY_BYTES: Final = 1 << 20
PARTIAL: Final = ".partial"

Progress = Callable[[int, int], None]  # pages copied, pages in all


class Facts(msgspec.Struct, frozen=True):
    """What is in a database."""

    node: str
    origin: str  # the incarnation that wrote last
    data_format: int
    origins: int
    batches: int
    records: int
    bytes: int


def back_up(data: Path, file: Path, replay: Replay, progress: Progress) -> Facts:
    """Copy the database of a node, running or not, into one file, and verify the copy.

    The copy is of one moment: what is committed meanwhile is not in it, and commits are not held up. Raises
    StoreUnusableError (no database there, or `file` exists), CorruptStoreError (what was copied is damaged: no file is
    left), StoreFullError.
    """
    if file.exists():
        raise StoreUnusableError(f"{file} exists, and a backup replaces nothing")
    draft = file.with_name(file.name + PARTIAL)
    with _errors(f"backing up {data}"), _removed_on_failure(draft):
        _refuse_strangers(data / FILE_NAME)
        with suppress(FileNotFoundError):
            draft.unlink()
        # Whoever may read a backup has everything in it.
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(_reading(data / FILE_NAME)) as source, closing(_raw(draft)) as copy:
            _copy(source, copy, progress)
            copy.pragma("journal_mode", "delete")  # one file, complete by itself
            _mark(copy)
        facts = _verified(draft, replay)
        _put_in_place(draft, file)
    return facts


def restore(file: Path, data: Path, replay: Replay, progress: Progress) -> Facts:
    """Make a data directory of a backup. Its next start begins a new incarnation.

    Raises StoreUnusableError for a directory that is not empty or in use, or a file that is no backup of ours, and
    CorruptStoreError for one that is damaged; the directory is then as it was.
    """
    if not file.is_file():
        raise StoreUnusableError(f"{file} is not there")
    if data.exists() and (not data.is_dir() or any(e.name != LOCK_NAME for e in data.iterdir())):
        raise StoreUnusableError(f"{data} is not empty, and a restore replaces nothing")
    draft = data / (FILE_NAME + PARTIAL)
    with _held(data), _errors(f"restoring {file}"), _removed_on_failure(draft):
        _copy_file(file, draft, progress)
        _refuse_strangers(draft)
        with closing(_raw(draft)) as copy:
            copy.pragma("journal_mode", "delete")
            _mark(copy)
        facts = _verified(draft, replay)
        _put_in_place(draft, data / FILE_NAME)
    return facts


def adopt(data: Path, replay: Replay) -> Facts:
    """Let a directory that is an old copy be used: its next start begins a new incarnation, and everything else stays.

    Raises StoreUnusableError if it is in use or not there, CorruptStoreError if it is damaged.
    """
    file = data / FILE_NAME
    if not file.is_file():
        raise StoreUnusableError(f"{data} holds no database: start the node on it, it is new")
    with _held(data), _errors(f"adopting {data}"):
        _refuse_strangers(file)
        facts = _verified(file, replay)
        with closing(connect(file, None, writes=True)) as connection:
            _mark(connection)
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    return facts


def inspect(data: Path, replay: Replay) -> tuple[Facts | None, list[str]]:
    """What is in the database of a node that does not run, and everything that is wrong with it. Changes nothing.

    Raises StoreUnusableError if the directory is in use or holds nothing of ours.
    """
    file = data / FILE_NAME
    if not file.is_file():
        raise StoreUnusableError(f"{data} holds no database")
    with _held(data):
        try:
            with _errors(f"reading {file}"):
                _refuse_strangers(file)
                damage = damage_of(log_of(file))
                told = [f"the write-ahead log: {damage}, and commits with it"] if damage else []
                return _facts(file), told + findings_of(file, replay)
        except CorruptStoreError as error:
            return None, [str(error)]


def findings_of(file: Path, replay: Replay) -> list[str]:
    """What is wrong with a database: nothing, or a sentence each. Raises apsw.Error, CorruptStoreError."""
    with closing(_reading(file)) as connection:
        return Check(connection, replay).run(read_segments(connection), SEGMENT_ROWS_MAX)


# Steps --------------------------------------------------------------------------------------------


def _copy(source: apsw.Connection, copy: apsw.Connection, progress: Progress) -> None:
    # One read transaction around it all. Without it each commit of the node would make the copy start over.
    source.execute("BEGIN")
    source.execute("SELECT 1 FROM sqlite_schema").fetchall()
    try:
        with copy.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(STEP_PAGES)
                progress(backup.page_count - backup.remaining, backup.page_count)
    finally:
        source.execute("COMMIT")


def _copy_file(file: Path, draft: Path, progress: Progress) -> None:
    total = file.stat().st_size
    with file.open("rb") as source, draft.open("wb") as copy:
        while piece := source.read(COPY_BYTES):
            copy.write(piece)
            progress(copy.tell(), total)
        copy.flush()
        os.fsync(copy.fileno())


def _mark(connection: apsw.Connection) -> None:
    connection.execute(sql_of_rows("put_meta", 1), (MINT_KEY, "1"))


def _verified(file: Path, replay: Replay) -> Facts:
    findings = findings_of(file, replay)
    if findings:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise CorruptStoreError(f"{file}: {findings[0]}{more}")
    return _facts(file)


def _facts(file: Path) -> Facts:
    with closing(_reading(file)) as connection:
        meta: dict[str, str] = dict(fetched(connection, "meta"))
        seqs = [seq for _, _, seq, _, _ in fetched(connection, "origins") if seq]
        records = sum(s.rows for s in read_segments(connection))
        return Facts(
            node=meta.get("node", ""),
            origin=meta.get("origin", ""),
            data_format=connection.pragma("user_version"),
            origins=len(seqs),
            batches=sum(seqs),
            records=records,
            bytes=file.stat().st_size,
        )


def _refuse_strangers(file: Path) -> None:
    with closing(_reading(file)) as connection:
        if connection.pragma("application_id") != APPLICATION_ID:
            raise StoreUnusableError(f"{file} is no database of a node")
        version = connection.pragma("user_version")
        if version > DATA_FORMAT:
            raise StoreUnusableError(
                f"{file} has data format {version}, this release knows up to {DATA_FORMAT}: use the newer release"
            )


def _put_in_place(draft: Path, file: Path) -> None:
    descriptor = os.open(draft, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.rename(file)
    sync_directory(file.parent)


# Around them ----------------------------------------------------------------------------------------


def _reading(file: Path) -> apsw.Connection:
    """A connection that leaves the files as they are."""
    if not file.is_file():
        raise StoreUnusableError(f"{file} is not there")
    connection = connect(file, None, writes=False)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def _raw(file: Path) -> apsw.Connection:
    connection = connect(file, None, writes=True)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)  # or its journal mode could not be changed
    return connection


@contextmanager
def _held(data: Path) -> Iterator[None]:
    """Nobody else uses the directory meanwhile."""
    lock = lock_directory(data)
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def _errors(doing: str) -> Iterator[None]:
    """Errors of SQLite and of the system leave as errors of the store."""
    try:
        yield
    except apsw.FullError as error:
        raise StoreFullError(f"{doing}: the disk is full") from error
    except apsw.Error as error:
        raise translated(error, doing) from error
    except UnicodeDecodeError as error:
        raise CorruptStoreError(f"{doing}: a text is no UTF-8 ({error})") from error
    except OSError as error:
        raise StoreUnusableError(f"{doing}: {error.strerror}") from error


@contextmanager
def _removed_on_failure(draft: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for name in (draft.name, f"{draft.name}-journal", f"{draft.name}-wal", f"{draft.name}-shm"):
            with suppress(FileNotFoundError):
                draft.with_name(name).unlink()
        raise
