"""Everything that a store did to its disk, in order, with what it told its caller in between."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from konkordat.kernel.digest import Summary
from konkordat.kernel.hlc import Hlc
from konkordat.kernel.ids import Origin
from konkordat.store.sqlite.connection import FILE_NAME


class Created(NamedTuple):
    """A new file under a name. Durable with the next sync of the directory."""

    file: int
    name: str


class Removed(NamedTuple):
    name: str


class Wrote(NamedTuple):
    file: int
    at: int
    data: bytes


class Cut(NamedTuple):
    """A file was given a length."""

    file: int
    size: int


class Synced(NamedTuple):
    """What was written to the file so far is durable."""

    file: int


class SyncFailed(NamedTuple):
    """A sync reported an error. What was to be synced is gone, and no later sync brings it back (fsyncgate, 2018)."""

    file: int


class DirectorySynced(NamedTuple):
    """Names given and taken so far are durable."""


class State(NamedTuple):
    """What a store must hold after a commit, as its replica knows it."""

    origin: Origin
    frontier: tuple[tuple[Origin, int], ...]
    root: Summary
    hlc: Hlc


class Mark(NamedTuple):
    """What the caller knew. Commit 0 is the opening of a new directory."""

    what: Literal["begun", "returned", "failed", "refused"]  # refused: rolled back, says the store
    commit: int


Step = Created | Removed | Wrote | Cut | Synced | SyncFailed | DirectorySynced | Mark
LOG_NAME: Final = f"{FILE_NAME}-wal"
STEPS_MAX: Final = 1_000_000  # a scenario beyond this is a mistake, and fills the memory


class Tape:
    """Steps of one run."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.unsynced: dict[int, int] = {}  # file -> writes since its last sync
        self._names: dict[str, int] = {}
        self.late: list[str] = []  # commits that returned before the sync of their frames

    def add(self, step: Step) -> None:
        assert len(self.steps) < STEPS_MAX
        self.steps.append(step)
        match step:
            case Wrote(file=file) | Cut(file=file):
                self.unsynced[file] = self.unsynced.get(file, 0) + 1
            case Synced(file=file) | SyncFailed(file=file):
                self.unsynced.pop(file, None)
            case Created(file=file, name=name):
                self._names[name] = file
            case Removed(name=name):
                self.unsynced.pop(self._names.pop(name), None)
            case Mark(what="returned", commit=commit):
                self._judge_order(commit)
            case _:
                pass

    def _judge_order(self, commit: int) -> None:
        """The monitor of acknowledgements: at this moment the caller is told that the commit is durable."""
        # Pages that a checkpoint copied back may wait: until they are synced the log keeps its frames.
        log = self._names.get(LOG_NAME)
        written = 0
        for step in reversed(self.steps[:-1]):
            if step == Mark("begun", commit):
                break
            written += isinstance(step, Wrote) and step.file == log
        waiting = self.unsynced.get(log, 0) if log is not None else 0
        if waiting:
            self.late.append(f"commit {commit} returned while {waiting} writes were not synced")
        if not written:
            self.late.append(f"commit {commit} returned and had written nothing")
