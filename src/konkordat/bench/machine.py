"""The machine that the figures are from: without it a figure means nothing."""

from __future__ import annotations

import os
import platform
import statistics
import time
from pathlib import Path
from typing import Final

from msgspec import Struct

FSYNCS: Final = 200  # enough for a median on disks that take 10 ms, in two seconds
FSYNC_BYTES: Final = 4096  # a page, as a commit of the WAL writes


class Machine(Struct, frozen=True):
    """What was measured on."""

    cores: int
    cpu: str
    memory_gib: float
    system: str
    python: str
    sqlite: str
    file_system: str  # of the folder that the nodes' files are in
    fsync_ms_p50: float  # one page appended and synced, in that folder
    fsync_ms_p99: float


def describe_machine(folder: Path) -> Machine:
    """The machine, and how long its disk takes to sync a page in `folder`."""
    import apsw

    syncs = sorted(measure_fsync(folder))
    return Machine(
        cores=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        cpu=_first("/proc/cpuinfo", "model name") or platform.machine(),
        memory_gib=round(_memory_kib() / (1 << 20), 1),
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        sqlite=apsw.sqlite_lib_version(),
        file_system=_file_system(folder),
        fsync_ms_p50=round(statistics.median(syncs), 3),
        fsync_ms_p99=round(syncs[int(len(syncs) * 0.99)], 3),
    )


def measure_fsync(folder: Path) -> list[float]:
    """Milliseconds of each of FSYNCS appends of a page, synced."""
    path = folder / "fsync-probe"
    took: list[float] = []
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        for _ in range(FSYNCS):
            os.write(handle, b"k" * FSYNC_BYTES)
            begun = time.perf_counter()
            os.fdatasync(handle) if hasattr(os, "fdatasync") else os.fsync(handle)
            took.append((time.perf_counter() - begun) * 1000)
    finally:
        os.close(handle)
        path.unlink()
    return took


def lines_of(machine: Machine) -> list[str]:
    """The machine for people."""
    return [
        f"{machine.cores} cores, {machine.cpu}, {machine.memory_gib} GiB; {machine.system}",
        f"{machine.python}; SQLite {machine.sqlite}, WAL, synchronous=FULL: acknowledged means synced",
        f"{machine.file_system}: {machine.fsync_ms_p50} ms to sync a page (p99 {machine.fsync_ms_p99} ms)",
    ]


def _first(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _memory_kib() -> int:
    digits = _first("/proc/meminfo", "MemTotal").split()
    return int(digits[0]) if digits else 0


def _file_system(folder: Path) -> str:
    """The type of the file system that holds the folder: the mount with the longest path above it."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown file system"
    place = folder.resolve()
    above = [
        (len(fields[1]), fields[2])
        for fields in (line.split() for line in mounts)
        if place.is_relative_to(fields[1])
    ]
    return max(above, default=(0, "unknown file system"))[1]
