"""A disk that is full or fails, at every single operation of a life: the store says so by name, and stays whole."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

import apsw
import msgspec

from konkordat.store.port import StoreError, StoreFullError
from konkordat.testing.crash.campaign import COMPLAINTS_SHOWN, Progress, scratch
from konkordat.testing.crash.judge import NOT_OPENED, Judge
from konkordat.testing.crash.platter import Platter
from konkordat.testing.crash.run import Run, Settings
from konkordat.testing.crash.scenarios import put
from konkordat.testing.crash.tape import Mark, SyncFailed
from konkordat.testing.crash.vfs import Fault, Kind
from konkordat.testing.domain import Book, Remove, booking, item

KINDS: Final[tuple[Kind, ...]] = ("full", "error")
OPERATIONS_MAX: Final = (
    5_000  # a life with more is not short; the loop over its operations must end
)
TRIES_TO_OPEN: Final = 2


class FaultReport(msgspec.Struct):
    """What failing disks did."""

    lives: int = 0
    hits: dict[str, int] = {}  # failed operations, by kind
    errors: dict[str, int] = {}  # what the store said, by name
    went_on: int = 0  # lives with a commit after the fault, where that is allowed
    stopped: int = 0  # lives in which no commit was taken any more
    complaints: list[str] = []

    @property
    def sound(self) -> bool:
        return not self.complaints


def try_every_operation(
    seed: int, every: int = 1, progress: Progress = lambda _done: None
) -> FaultReport:
    """Fail operation 1, 2, 3 … of a life, once or for good, until there is no such operation.

    `every` leaves some out.
    """
    report = FaultReport()
    with scratch() as folder:
        for kind in KINDS:
            for stays in (False, True):
                for n in count(1, every):
                    assert n < OPERATIONS_MAX
                    fault = Fault(n, kind, stays=stays)
                    _live(report, folder, seed, fault)
                    progress(report.lives)
                    if not fault.hit:
                        break
    return report


def _live(report: FaultReport, folder: Path, seed: int, fault: Fault) -> None:
    name = f"{fault.kind} at operation {fault.at}{' and ever after' if fault.stays else ''}"
    complain = _Complaints(report, name)
    report.lives += 1
    with tempfile.TemporaryDirectory(dir=folder) as data:
        run = Run(Path(data), seed, Settings(checkpoint_pages=20), fault)
        with run:
            _story(run, complain)
    for operation in fault.hit[:1]:
        key = f"{fault.kind}: {operation}"
        report.hits[key] = report.hits.get(key, 0) + 1
    _judge_tape(run, report, complain)
    _judge_images(run, folder, complain)


class _Complaints:
    def __init__(self, report: FaultReport, name: str) -> None:
        self._report = report
        self._name = name

    def __call__(self, what: str) -> None:
        if len(self._report.complaints) < COMPLAINTS_SHOWN:
            self._report.complaints.append(f"{self._name}: {what}")

    def error(self, error: Exception) -> None:
        """Errors of the store are what is promised; anything else is not."""
        if _of_closing(error):
            return
        errors = self._report.errors
        errors[type(error).__name__] = errors.get(type(error).__name__, 0) + 1
        if not isinstance(error, StoreError):
            self(f"{type(error).__name__}: {error}")


def _of_closing(error: BaseException) -> bool:
    """SQLite says nothing of a disk that fails while a connection is closed. A VFS in Python cannot do likewise: apsw
    raises what it raised."""
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_name == "Connection.close":
            return isinstance(error, apsw.Error)
        frame = frame.tb_next
    return False


def _story(run: Run, complain: _Complaints) -> None:
    for _ in range(TRIES_TO_OPEN):
        try:
            run.open()
            break
        except Exception as error:  # noqa: BLE001 -- which errors there are is what is looked at
            complain.error(error)
    else:
        return
    steps: tuple[Callable[[], object], ...] = (
        lambda: run.write(put(run, "a")),
        lambda: run.write(*[put(run, f"g{n}", 400) for n in range(6)]),
        lambda: run.write(Book(booking("x"), "hall", 10, 20), put(run, "a")),
        lambda: run.write(Remove(item("g1")), put(run, "b")),
        lambda: run.write(put(run, "c")),
    )
    failed = ""
    for step in steps:
        try:
            step()
        except Exception as error:  # noqa: BLE001 -- as above
            complain.error(error)
            if isinstance(error, StoreFullError):
                continue  # rolled back: the node stops, but the store could go on
            failed = failed or type(error).__name__
    fault = run.vfs.fault
    assert fault is not None
    run.vfs.fault = None
    if fault.hit and not failed:
        findings = run.store.check()
        if findings:
            complain(f"after the fault: {findings[0]}")
    try:
        run.close()
    except Exception as error:  # noqa: BLE001 -- as above
        complain.error(error)


def _judge_tape(run: Run, report: FaultReport, complain: _Complaints) -> None:
    for late in run.tape.late:
        complain(late)
    broken = False
    too_late = -1  # the commit that began after a sync had failed
    returned = after_fault = 0
    for step in run.tape.steps:
        if isinstance(step, SyncFailed):
            broken = True
        elif step == Mark("begun", 0):
            broken = False  # a new process
        elif not isinstance(step, Mark):
            continue
        elif step.what == "begun":
            too_late = step.commit if broken else -1
        elif step.what == "returned":
            returned += 1
            after_fault += 1
            if step.commit == too_late:
                complain(f"commit {step.commit} began and returned after a sync had failed")
        else:
            after_fault = 0
    if returned and after_fault:
        report.went_on += 1
    else:
        report.stopped += 1


def _judge_images(run: Run, folder: Path, complain: _Complaints) -> None:
    """What a restart after the fault finds, and a restart after a loss of power."""
    platter = Platter()
    returned, begun = NOT_OPENED, 0
    refused = set()
    for step in run.tape.steps:
        if isinstance(step, Mark):
            begun = max(begun, step.commit)
            if step.what == "returned":
                returned = step.commit
            elif step.what == "refused":
                refused.add(step.commit)
        else:
            platter.play(step)
    images = folder / "image"
    images.mkdir(exist_ok=True)
    judge = Judge(images, 512)
    for how in ("kept", "lost"):
        files = platter.image(how, Random(0))
        verdict = judge.judge(files, run.states, returned, begun, refused, goes_on=True)
        for what in verdict.complaints[:2]:
            complain(f"{how}: {what}")
