"""Bits that change by themselves, in any file of a stopped node: each is noticed, or changes nothing.

Three directories are flipped: of a node that was stopped in order (one file), of one that was killed (database and log
of writes), and of one killed just after a checkpoint (the log holds old frames too).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import structs

from konkordat.kernel.digest import EVERYTHING
from konkordat.kernel.ids import Collection, Origin, RecordId, Tenant
from konkordat.store.port import CorruptStoreError, LogRow, StoreError
from konkordat.store.sqlite import SqliteStore, open_sqlite
from konkordat.testing.clock import START_MS
from konkordat.testing.crash.campaign import COMPLAINTS_SHOWN, Progress, record, scratch
from konkordat.testing.crash.platter import Files, Platter
from konkordat.testing.crash.run import NODE, REPLAY, Run, Settings, state_of
from konkordat.testing.crash.scenarios import Scenario, put, some_command

COLLECTIONS: Final = (("acme", "items"), ("acme", "bookings"))
ARRIVALS: Final = "arrivals"
PAGE: Final = 1_000
COMMITS: Final = 12
COMMANDS: Final = 8  # in a commit
DIRECTORIES_EVERY: Final = 200  # flips of one set of directories

Content = Mapping[str, Any]


class FlipReport(msgspec.Struct):
    """What flipped bits came to."""

    flips: int = 0
    ends: dict[str, int] = {}
    silent: int = 0
    complaints: list[str] = []

    @property
    def sound(self) -> bool:
        return not self.silent


class Subject(NamedTuple):
    """A directory to be damaged, and what a sound one holds."""

    name: str
    files: Files
    content: Content


def run_flips(flips: int, seed: int, progress: Progress = lambda _done: None) -> FlipReport:
    """Flip so many bits, one at a time, and see what each comes to."""
    report = FlipReport()
    random = Random(seed)
    with scratch() as folder:
        subjects: list[Subject] = []
        for number in range(flips):
            if number % DIRECTORIES_EVERY == 0:
                subjects = list(_subjects(folder, random.getrandbits(48)))
            subject = random.choice(subjects)
            name = random.choices(list(subject.files), [len(f) for f in subject.files.values()])[0]
            bit = random.randrange(8 * len(subject.files[name]))
            end = _flip(folder / "flipped", subject, name, bit)
            report.flips += 1
            report.ends[end] = report.ends.get(end, 0) + 1
            if end.startswith(SILENT):
                report.silent += 1
                if len(report.complaints) < COMPLAINTS_SHOWN:
                    report.complaints.append(
                        f"bit {bit} of {name}, {subject.name}, flip {number} of seed {seed}: {end}"
                    )
            progress(report.flips)
    return report


SILENT: Final = "SILENT"


def _flip(folder: Path, subject: Subject, name: str, bit: int) -> str:
    """What it came to; it begins with SILENT if that is not sound."""
    try:
        return _judged(folder, subject, name, bit)
    except Exception as error:  # noqa: BLE001 -- any but a StoreError: noticed, but not for what it is
        return f"{SILENT}: {type(error).__name__} ({error}) instead of an error of the store"


def _judged(folder: Path, subject: Subject, name: str, bit: int) -> str:
    flipped = bytearray(subject.files[name])
    flipped[bit // 8] ^= 1 << bit % 8
    lay(folder, {**subject.files, name: bytes(flipped)})
    try:
        store = open_subject(folder)
    except CorruptStoreError:
        return "refused at the start: damaged"
    except StoreError:
        return "refused at the start: unusable"
    try:
        findings = store.check()
        try:
            content = content_of(store)
        except CorruptStoreError:
            return "found when it was read" if findings else "found when it was read, not by check"
        except StoreError:
            return "could not be read"
        if findings:
            return "found by check"
        changed = [name for name in content if content[name] != subject.content[name]]
        if changed == [ARRIVALS]:
            return "harmless: a time of arrival, on which nothing depends"
        if changed:
            return f"{SILENT}: {', '.join(changed)} changed"
        return "harmless: bytes that mean nothing"
    finally:
        store.close()


def _subjects(folder: Path, seed: int) -> Iterator[Subject]:
    for name, settings, closes in (
        ("stopped in order", Settings(segment_rows_max=16), True),
        ("killed", Settings(segment_rows_max=16), False),
        ("killed after a checkpoint", Settings(segment_rows_max=16, checkpoint_pages=40), False),
    ):

        def story(run: Run, closes: bool = closes) -> None:
            _busy_life(run)
            if closes:
                run.close()

        tape = record(Scenario(name, story), seed, folder, settings=settings).tape
        platter = Platter()
        for step in tape.steps:
            platter.play(step)
        files = platter.image("kept", Random(seed))
        lay(folder / "sound", files)
        store = open_subject(folder / "sound")
        assert store.check() == []
        yield Subject(name, files, content_of(store))
        store.close()


def _busy_life(run: Run) -> None:
    run.open()
    for _ in range(COMMITS):
        mine = [some_command(run.random) for _ in range(COMMANDS)]
        run.write_with_peer([*mine, put(run, "steady")], [some_command(run.random)])


def lay(folder: Path, files: Files) -> None:
    """Make a directory hold these files."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def open_subject(folder: Path) -> SqliteStore:
    """Open a directory with the settings that these were made with. Raises StoreError."""
    return open_sqlite(folder, NODE, START_MS, _no_entropy, replay=REPLAY, segment_rows_max=16)


def _no_entropy(size: int) -> bytes:
    return bytes(size)


def content_of(store: SqliteStore) -> Content:
    """Everything that a store gives to a reader, as one value. Raises StoreError."""
    frontier = store.frontier()
    records = [found for scope in COLLECTIONS for found in _records(store, *scope)]
    keys = [found.key for found in records]
    return {
        "state": state_of(store),
        "log": {
            origin: [structs.replace(row, arrived_ms=0) for row in _log(store, origin)]
            for origin in sorted(frontier)
        },
        ARRIVALS: [row.arrived_ms for origin in sorted(frontier) for row in _log(store, origin)],
        "records": records,
        "lists": [
            [r.key for r in store.scan(Tenant(t), Collection(c), limit=PAGE)]
            for t, c in COLLECTIONS
        ],
        "counts": [store.count(Tenant(t), Collection(c)) for t, c in COLLECTIONS],
        "history": [store.history(key, PAGE) for key in keys],
        "claims": dict(sorted(store.claims_of(keys).items())),
        "digest": store.summary(EVERYTHING),
        "prints": store.fingerprints(EVERYTHING, PAGE),
    }


def _log(store: SqliteStore, origin: Origin) -> Sequence[LogRow]:
    return store.batches(origin, 0, PAGE, 1 << 30)


def digest_of(content: Content) -> str:
    """A content as 32 hexadecimal digits, the same on every machine and release."""
    state = hashlib.blake2b(digest_size=16)
    for row in (row for origin in sorted(content["log"]) for row in content["log"][origin]):
        state.update(row.hash)
    for found in content["records"]:
        state.update(repr((found.key, found.life, found.born, found.touched, found.actor)).encode())
        for group in sorted(found.fields):
            state.update(repr((group, *found.fields[group])).encode())
    return state.hexdigest()


def _records(store: SqliteStore, tenant: str, collection: str) -> Iterator[Any]:
    after = RecordId("")
    for _ in count():
        page = store.scan(Tenant(tenant), Collection(collection), after, PAGE, include_deleted=True)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].key.id
