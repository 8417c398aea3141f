"""What a crash may leave of a tape: files as a machine finds them when the power is back."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from random import Random
from typing import Final, Literal, NamedTuple

from konkordat.testing.crash.tape import (
    Created,
    Cut,
    DirectorySynced,
    Removed,
    Step,
    Synced,
    SyncFailed,
    Wrote,
)

SECTOR_BYTES: Final = 512  # what a disk writes whole or not at all
FILE_BYTES_MAX: Final = 1 << 30  # a write beyond it is a mistake, not a file

Files = Mapping[str, bytes]  # name in the directory -> content
How = Literal["kept", "lost", "torn", "shuffled"]
HOWS: Final[tuple[How, ...]] = ("lost", "kept", "torn", "shuffled")
# kept      the process was killed: the system still writes what it was given
# lost      nothing arrived that was not synced
# torn      all arrived but for part of the latest write
# shuffled  some writes since the last sync arrived, some did not, some in part, some as garbage

# Of a shuffled image, how often a write that was not synced arrived; each image draws one.
ARRIVAL_CHANCES: Final = (0.1, 0.5, 0.9)
TEAR_CHANCE: Final = 0.15
GARBAGE_CHANCE: Final = 0.1  # of the torn ones


class Inode(NamedTuple):
    durable: bytearray
    pending: list[Wrote | Cut]


class Platter:
    """A disk after some steps of a tape; `image` says what a crash now would leave."""

    def __init__(self) -> None:
        self._inodes: dict[int, Inode] = {}
        self._names: dict[str, int] = {}  # durable
        self._renaming: list[Created | Removed] = []  # not yet durable, in order
        self._newest: Wrote | Cut | None = None

    def play(self, step: Step) -> bool:
        """Take a step; False if it does not touch the disk."""
        match step:
            case Created():
                self._inodes.setdefault(step.file, Inode(bytearray(), []))
                self._renaming.append(step)
            case Removed():
                self._renaming.append(step)
            case Wrote() | Cut():
                self._inodes[step.file].pending.append(step)
                self._newest = step
            case Synced():
                inode = self._inodes[step.file]
                for write in inode.pending:
                    _apply(inode.durable, write)
                inode.pending.clear()
            case SyncFailed():
                self._inodes[step.file].pending.clear()
            case DirectorySynced():
                self._names = _renamed(self._names, self._renaming)
                self._renaming.clear()
            case _:
                return False
        return True

    def remains(self) -> dict[str, bytes]:
        """The files if only the process ended."""
        return self.image("kept", Random(0))

    def image(self, how: How, random: Random) -> dict[str, bytes]:
        """The files after a crash now."""
        renaming = self._renaming
        if how == "lost":
            renaming = []
        elif how == "shuffled":
            # File systems log what happens to names in order.
            renaming = renaming[: random.randint(0, len(renaming))]
        names = _renamed(self._names, renaming)
        chance = random.choice(ARRIVAL_CHANCES)
        files = {}
        for name, file in names.items():
            inode = self._inodes[file]
            content = bytearray(inode.durable)
            for write in inode.pending:
                if how == "kept" or (how == "torn" and write is not self._newest):
                    _apply(content, write)
                elif how == "torn":
                    _tear(content, write, random, in_order=True)
                elif how == "shuffled" and random.random() < chance:
                    if random.random() < TEAR_CHANCE:
                        _tear(content, write, random, in_order=False)
                    else:
                        _apply(content, write)
            files[name] = bytes(content)
        return files


def _renamed(names: Mapping[str, int], steps: list[Created | Removed]) -> dict[str, int]:
    result = dict(names)
    for step in steps:
        if isinstance(step, Created):
            result[step.name] = step.file
        else:
            result.pop(step.name, None)
    return result


def _apply(content: bytearray, step: Wrote | Cut) -> None:
    if isinstance(step, Cut):
        _resize(content, step.size)
        return
    end = step.at + len(step.data)
    _resize(content, max(end, len(content)))
    content[step.at : end] = step.data


def _tear(content: bytearray, step: Wrote | Cut, random: Random, *, in_order: bool) -> None:
    """Part of a write: some of its sectors, the first ones if `in_order`. Bytes outside of it are never touched: the
    disks that SQLite calls powersafe-overwrite, which is what it takes all disks for."""
    if isinstance(step, Cut):
        return
    first, end = step.at, step.at + len(step.data)
    bounds = [first, *range(first - first % SECTOR_BYTES + SECTOR_BYTES, end, SECTOR_BYTES), end]
    sectors = list(pairwise(bounds))
    arrived = random.randint(0, max(0, len(sectors) - 1))
    chosen = sectors[:arrived] if in_order else random.sample(sectors, arrived)
    for low, high in chosen:
        _apply(content, Wrote(step.file, low, step.data[low - first : high - first]))
    if not in_order and random.random() < GARBAGE_CHANCE:
        low, high = random.choice(sectors)
        _apply(content, Wrote(step.file, low, random.randbytes(high - low)))


def _resize(content: bytearray, size: int) -> None:
    assert size <= FILE_BYTES_MAX
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))
