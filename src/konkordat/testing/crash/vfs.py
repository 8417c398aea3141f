"""A VFS that writes down what SQLite does to a disk, and fails when it is told to.

It inherits everything from the system's own VFS, shared memory included, so the files are real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Final, Literal, TypeAlias

import apsw

from konkordat.testing.crash.tape import (
    Created,
    Cut,
    DirectorySynced,
    Removed,
    Synced,
    SyncFailed,
    Tape,
    Wrote,
)

_RECORDED: Final = apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL
# SQLite's unix VFS syncs the directory with the first sync of these, after each time they are opened.
_WITH_DIRECTORY: Final = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL

ReadableBuffer: TypeAlias = "bytes | bytearray | memoryview"
Operation = Literal["open", "read", "write", "truncate", "sync", "delete"]
Kind = Literal["full", "error"]
_numbers: Final = count(1)  # VFS names are global to the process


class Fault:
    """What the disk does wrong, and when."""

    def __init__(self, at: int, kind: Kind, *, stays: bool) -> None:
        """Operation number `at` (from 1) fails; if it `stays`, all later ones too. "full" hits what needs room."""
        self.at = at
        self.kind = kind
        self.stays = stays
        self.seen = 0  # operations so far
        self.hit: list[Operation] = []  # what failed

    def fails(self, operation: Operation) -> bool:
        if self.kind == "full" and operation not in ("write", "open"):
            return False
        self.seen += 1
        due = self.seen >= self.at if self.stays else self.seen == self.at
        if due:
            self.hit.append(operation)
        return due


class TapeVfs(apsw.VFS):
    """Give its `name` to `open_sqlite`. Keep it for as long as anything is open."""

    def __init__(self, tape: Tape, fault: Fault | None = None) -> None:
        self.name = f"konkordat-tape-{next(_numbers)}"
        self.tape = tape
        self.fault = fault
        self._files = count(1)
        self._there: dict[str, int] = {}  # name -> file
        super().__init__(self.name, "")

    def adopt(self, files: Mapping[str, bytes]) -> None:
        """Files that are there and durable when the tape begins."""
        for name, content in files.items():
            number = self._there[name] = next(self._files)
            self.tape.add(Created(number, name))
            self.tape.add(Wrote(number, 0, content))
            self.tape.add(Synced(number))
        self.tape.add(DirectorySynced())

    def refuse(self, operation: Operation) -> None:
        """Raises if this operation is to fail."""
        if self.fault is not None and self.fault.fails(operation):
            raise apsw.exception_for(_code(self.fault.kind, operation))

    def xOpen(  # noqa: N802 -- the names of SQLite
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        if name is None or not flags[0] & _RECORDED:
            return apsw.VFSFile("", name, flags)
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        new = not path.exists()
        if new:
            self.refuse("open")
        file = TapeFile(self, name, flags)
        if new:
            self._there[path.name] = next(self._files)
            self.tape.add(Created(self._there[path.name], path.name))
        file.number = self._there[path.name]
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self.refuse("delete")
        super().xDelete(filename, syncdir)
        name = Path(filename).name
        if self._there.pop(name, None) is not None:
            self.tape.add(Removed(name))
            if syncdir:
                self.tape.add(DirectorySynced())


class TapeFile(apsw.VFSFile):
    """A file whose every change is on the tape."""

    def __init__(self, vfs: TapeVfs, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._vfs = vfs
        self._syncs_directory = bool(flags[0] & _WITH_DIRECTORY)
        self.number = 0

    def xWrite(self, data: ReadableBuffer, offset: int) -> None:  # noqa: N802
        self._vfs.refuse("write")
        super().xWrite(data, offset)
        self._vfs.tape.add(Wrote(self.number, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._vfs.refuse("truncate")
        super().xTruncate(newsize)
        self._vfs.tape.add(Cut(self.number, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        try:
            self._vfs.refuse("sync")
        except apsw.Error:
            self._vfs.tape.add(SyncFailed(self.number))
            raise
        super().xSync(flags)
        self._vfs.tape.add(Synced(self.number))
        if self._syncs_directory:
            self._syncs_directory = False
            self._vfs.tape.add(DirectorySynced())

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._vfs.refuse("read")
        return super().xRead(amount, offset)


def _code(kind: Kind, operation: Operation) -> int:
    """What SQLite's own VFS would answer."""
    if kind == "full":
        return apsw.SQLITE_FULL if operation == "write" else apsw.SQLITE_CANTOPEN
    return {
        "open": apsw.SQLITE_CANTOPEN,
        "read": apsw.SQLITE_IOERR_READ,
        "write": apsw.SQLITE_IOERR_WRITE,
        "truncate": apsw.SQLITE_IOERR_TRUNCATE,
        "sync": apsw.SQLITE_IOERR_FSYNC,
        "delete": apsw.SQLITE_IOERR_DELETE,
    }[operation]
