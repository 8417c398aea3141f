"""What the SQLite store alone takes: processor time of a commit and a load per record, and memory with many records.

Measured in a process of its own, so that its memory is the store's.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from konkordat.bench.results import Figure, Section, below
from konkordat.bench.run import Setting
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.kernel.change import batch_hash
from konkordat.kernel.digest import EMPTY, summary_of
from konkordat.kernel.hlc import Hlc, Stamp, hlc_at
from konkordat.kernel.ids import Group, NodeName, RecordKey, record_key, uuid7
from konkordat.kernel.policy import Register
from konkordat.kernel.record import Record
from konkordat.store.port import HistoryRow, LogRow, RecordWrite, WriteSet
from konkordat.store.sqlite import SqliteStore, open_sqlite

RECORDS: Final = 100_000
RECORDS_QUICK: Final = 10_000
BATCHES: Final = (1, 10, 100, 500)  # changes a commit
COMMITS_MIN: Final = 20
CHANGES_PER_SIZE: Final = (
    5_000  # enough for a mean that another run repeats within a tenth, on a quiet machine
)
# From these batches on, what a commit costs once is small beside what it costs per record.
BOUND_FROM_BATCH: Final = 100
BOUND_US: Final = 15.0
BOUND_MIB: Final = 300.0
NOW_MS: Final = 1_798_000_000_000
EVENT: Final = "01a2a1c0-0000-7000-8000-000000000001"
MIB: Final = 1 << 20
PUT_AT_ONCE: Final = 500
# About a kilobyte, in as many groups as a session of a conference has.
GROUPS: Final = {
    Group("title.de"): b'"Netze, die halten: was wir nach zehn Jahren anders machen"',
    Group("abstract.de"): b'"' + b"Ein Bericht aus dem Alltag einer Plattform. " * 15 + b'"',
    Group("slot"): b'{"local_end":"2027-06-01T10:00","local_start":"2027-06-01T09:00",'
    b'"room":"01a2a1c0-0000-7000-8000-000000000002","zone":"Europe/Zurich"}',
    Group("speakers"): b'["01a2a1c0-0000-7000-8000-000000000003"]',
    Group("state"): b'"confirmed"',
    Group("type"): b'"talk"',
}


class Cost(Struct, frozen=True):
    """Of one kind of commit at one size, per record."""

    kind: str  # new | same | spread
    batch: int
    commit_us: float  # processor time of this thread
    wall_us: float
    load_us: float


class Report(Struct, frozen=True):
    """What the measuring process says."""

    costs: list[Cost]
    resident_bytes: int
    file_bytes: int
    open_s: float


async def measure_store(setting: Setting) -> Section:
    """One store, in a process of its own."""
    count = RECORDS_QUICK if setting.quick else RECORDS
    setting.say(f"a store of its own takes {count} records of a kilobyte")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "konkordat.bench.store", str(setting.folder), str(count)),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _nothing = await process.communicate()
    if process.returncode != 0:
        message = f"The store's process ended with {process.returncode}; it said why above."
        raise CommandError(message, ExitCode.NODE_FAILED, "store_failed")
    report = msgspec.json.decode(said, type=Report)
    return Section(
        "store",
        f"The store alone, with {count} records",
        tuple(_figures(report)),
        "Processor time per record of a commit (log, records, history, indexes, digests) and of loading what it"
        " changes. New records have growing ids; `same` are the same few records, `spread` any of all.",
    )


def _figures(report: Report) -> Iterator[Figure]:
    for cost in report.costs:
        name, label = f"{cost.kind}_{cost.batch}", f"{cost.kind}, {cost.batch} a commit"
        if cost.batch >= BOUND_FROM_BATCH:
            yield below(f"{name}_commit_us", label, cost.commit_us, BOUND_US, "µs")
        else:
            yield Figure(f"{name}_commit_us", label, cost.commit_us, "µs")
        yield Figure(f"{name}_wall_us", "  with waiting for the disk", cost.wall_us, "µs")
        if cost.kind != "new":
            yield Figure(f"{name}_load_us", "  loading them", cost.load_us, "µs")
    yield below("resident_mib", "resident", report.resident_bytes / MIB, BOUND_MIB, "MiB")
    yield Figure("file_mib", "on disk", report.file_bytes / MIB, "MiB")
    yield Figure("open_s", "opening it again", report.open_s, "s")


# In the process of its own ------------------------------------------------------------------------


class Writer:
    """Commits as a replica makes them, and the time they take."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: SqliteStore = open_sqlite(folder, NodeName("zurich"), NOW_MS, os.urandom)
        self.keys: list[RecordKey] = []
        self.random = random.Random(7)
        self._origin = self.store.book.origin
        self._hlc = hlc_at(NOW_MS)
        self._seq = 0

    def new_keys(self, count: int) -> list[RecordKey]:
        """Keys of records not there yet, in order of time."""
        first = len(self.keys)
        made = [
            record_key("forum", "sessions", uuid7(NOW_MS + n, self.random.randbytes(10)))
            for n in range(first, first + count)
        ]
        self.keys += made
        return made

    def change(self, keys: Sequence[RecordKey], kind: str) -> Cost:
        """One commit that writes one group of each record; all groups of a new one."""
        began = time.thread_time()
        before = self.store.load(keys) if kind != "new" else {}
        loaded = time.thread_time() - began
        write = self._write_set(keys, before)
        cpu, wall = time.thread_time(), time.perf_counter()
        self.store.commit(write)
        cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
        return Cost(kind, len(keys), cpu * 1e6, wall * 1e6, loaded * 1e6)

    def _write_set(self, keys: Sequence[RecordKey], before: dict[RecordKey, Record]) -> WriteSet:
        self._seq += 1
        records, history = [], []
        for position, key in enumerate(keys):
            self._hlc = Hlc(self._hlc + 1)
            old = before.get(key)
            new = _changed(key, old, Stamp(self._hlc, self._origin))
            was = summary_of(old) if old else EMPTY
            records.append(RecordWrite(new, was, summary_of(new), EVENT))
            history.append(HistoryRow(key, self._hlc, self._origin, self._seq, position))
        body = self.random.randbytes(len(keys) * (180 if before else 1_000))
        hash_, hlc = batch_hash(body), self._hlc
        row = LogRow(self._origin, self._seq, hash_, hlc, hlc, body, NOW_MS)
        return WriteSet(hlc, [row], records, history)


def _changed(key: RecordKey, old: Record | None, stamp: Stamp) -> Record:
    if old is None:
        fields = {group: Register(stamp, value) for group, value in GROUPS.items()}
        return Record(key, 1, fields, stamp, stamp, "key-1")
    fields = {**old.fields, Group("state"): Register(stamp, b'"accepted"')}
    return Record(key, 1, fields, old.born, stamp, "key-2")


def _mean(costs: Sequence[Cost]) -> Cost:
    records = sum(cost.batch for cost in costs)
    return Cost(
        costs[0].kind,
        costs[0].batch,
        sum(cost.commit_us for cost in costs) / records,
        sum(cost.wall_us for cost in costs) / records,
        sum(cost.load_us for cost in costs) / records,
    )


def _measured(writer: Writer) -> Iterator[Cost]:
    for batch in BATCHES:
        commits = range(max(COMMITS_MIN, min(CHANGES_PER_SIZE // batch, CHANGES_PER_SIZE // 10)))
        yield _mean([writer.change(writer.new_keys(batch), "new") for _ in commits])
        same = writer.random.sample(writer.keys, batch)
        yield _mean([writer.change(same, "same") for _ in commits])
        sample = writer.random.sample
        yield _mean([writer.change(sample(writer.keys, batch), "spread") for _ in commits])


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def report(folder: Path, count: int) -> Report:
    """Fill a store, and measure what changes to it take."""
    writer = Writer(folder)
    while len(writer.keys) < count:
        writer.change(writer.new_keys(PUT_AT_ONCE), "new")
    costs = list(_measured(writer))
    resident = _resident_bytes()
    writer.store.close()
    began = time.perf_counter()
    open_sqlite(folder, NodeName("zurich"), NOW_MS, os.urandom).close()
    open_s = time.perf_counter() - began
    size = sum(file.stat().st_size for file in folder.iterdir())
    return Report(costs, resident, size, open_s)


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(report(Path(sys.argv[1]), int(sys.argv[2]))))
