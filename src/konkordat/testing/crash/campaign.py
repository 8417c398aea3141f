"""The campaign: every step of every scenario as a crash, then as many crashes of lives made up as are wanted."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Final, NamedTuple
from unittest import mock

import msgspec

from konkordat.store.sqlite import wal
from konkordat.testing.crash.again import crash_again
from konkordat.testing.crash.judge import Judge
from konkordat.testing.crash.moments import Point, moments
from konkordat.testing.crash.platter import HOWS, Files, How, Platter
from konkordat.testing.crash.run import FULL, Run, Settings
from konkordat.testing.crash.scenarios import SCENARIOS, Scenario, random_scenario
from konkordat.testing.crash.tape import Mark, State, Tape

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- where a sync costs nothing, if there is such a place
SHUFFLED: Final[tuple[How, ...]] = ("shuffled",)
SHUFFLES_A_STEP: Final = 2  # of a named scenario, beside the three plain images
GOES_ON_EVERY: Final = 5  # of how many images one is also written to and opened again
AGAIN_EVERY: Final = (
    100  # of how many images one is recovered from on tape, and crashed again meanwhile
)
# Of a life made up, how many crash points are tried: neighbours teach little.
POINTS_A_LIFE: Final = 60
COMPLAINTS_SHOWN: Final = 20
FRAMES_REMEMBERED: Final = 2_048  # of 4 KiB: more than a tape writes
RECOVERED: Final = ("nothing", "as acknowledged", "one further")  # ends of which nobody is asked

Progress = Callable[[int], None]


class Complaint(msgspec.Struct, frozen=True):
    """An image that is not sound, and how to make it again."""

    scenario: str
    seed: int
    step: int  # of the tape
    how: str
    what: tuple[str, ...]


class Report(msgspec.Struct):
    """What a campaign did and found."""

    seed: int
    images: int = 0  # different ones, each with what had been acknowledged
    lives: int = 0
    commits: int = 0
    seconds: float = 0.0
    scenarios: dict[str, int] = {}  # images of each
    hows: dict[str, int] = {}
    ends: dict[str, int] = {}  # what was found, as the judge names it
    recoveries: int = 0  # that were crashed again
    second_crashes: int = 0  # images of these, beside those counted above
    late: list[str] = []  # acknowledgements before their sync
    unsound: int = 0
    complaints: list[Complaint] = []  # the first of them

    @property
    def sound(self) -> bool:
        return not self.unsound and not self.late

    @property
    def images_per_s(self) -> float:
        return self.images / self.seconds if self.seconds else 0.0


class Recording(NamedTuple):
    tape: Tape
    states: tuple[State, ...]


def run_campaign(
    images: int,
    seed: int,
    synchronous: int = FULL,
    progress: Progress = lambda _done: None,
    scenarios: Sequence[Scenario] = SCENARIOS,
) -> Report:
    """At least so many different images: every step of the named scenarios, then of random ones. `synchronous` other
    than FULL plants a bug."""
    campaign = _Campaign(Report(seed), synchronous, progress)
    began = time.perf_counter()
    with scratch() as folder:
        campaign.folder = folder
        for scenario in scenarios:
            campaign.try_every_step(scenario, seed)
        lives = Random(seed)
        while campaign.report.images < images:
            life = lives.getrandbits(48)
            campaign.try_some_steps(random_scenario(Random(life)), life)
    report = campaign.report
    report.seconds = time.perf_counter() - began
    return report


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for images, in memory where that is possible. While it is there, checksums of logs are remembered:
    images of one tape share nearly all their frames."""
    where = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    remembered = lru_cache(FRAMES_REMEMBERED)(wal.checksum)
    with (
        mock.patch.object(wal, "checksum", remembered),
        tempfile.TemporaryDirectory(prefix="konkordat-crash-", dir=where) as folder,
    ):
        yield Path(folder)


def record(
    scenario: Scenario,
    seed: int,
    folder: Path,
    synchronous: int = FULL,
    settings: Settings | None = None,
) -> Recording:
    """Let a scenario happen, and write down what its disk was told."""
    settings = settings or scenario.settings()
    settings.synchronous = synchronous
    with tempfile.TemporaryDirectory(dir=folder) as data, Run(Path(data), seed, settings) as run:
        scenario.story(run)
        # What the end of the process does to the files is on the tape if the story closes the store itself.
        tape, states = run.tape, tuple(run.states)
        tape_end = len(tape.steps)
    del tape.steps[tape_end:]
    return Recording(tape, states)


class _Campaign:
    def __init__(self, report: Report, synchronous: int, progress: Progress) -> None:
        self.report = report
        self.folder = Path()
        self._synchronous = synchronous
        self._progress = progress
        self._seen: set[bytes] = set()

    def try_every_step(self, scenario: Scenario, seed: int) -> None:
        recording = self._record(scenario, seed)
        steps = recording.tape.steps
        # All scenarios begin with the same opening; it is tried in the first.
        first = 0 if scenario is SCENARIOS[0] else steps.index(Mark("returned", 0))
        hows = HOWS + SHUFFLED * (SHUFFLES_A_STEP - 1)
        self._try(scenario, seed, recording, set(range(first, len(steps))), hows)

    def try_some_steps(self, scenario: Scenario, seed: int) -> None:
        recording = self._record(scenario, seed)
        total = len(recording.tape.steps)
        steps = Random(seed).sample(range(total), min(total, POINTS_A_LIFE))
        self._try(scenario, seed, recording, set(steps), (*SHUFFLED, *SHUFFLED, "torn"))

    def _record(self, scenario: Scenario, seed: int) -> Recording:
        recording = record(scenario, seed, self.folder, self._synchronous)
        self.report.lives += 1
        self.report.commits += len(recording.states) - 1
        late = [f"{scenario.name}, seed {seed}: {text}" for text in recording.tape.late]
        self.report.late = (self.report.late + late)[:COMPLAINTS_SHOWN]
        return recording

    def _try(
        self,
        scenario: Scenario,
        seed: int,
        recording: Recording,
        steps: set[int],
        hows: tuple[How, ...],
    ) -> None:
        images = self.folder / "image"
        images.mkdir(exist_ok=True)
        judge = Judge(images, scenario.settings().segment_rows_max)
        random = Random(seed)
        for point, platter in moments(recording.tape):
            if point.step not in steps:
                continue
            for how in hows:
                self._try_one(scenario, seed, recording, point, how, platter, judge, random)

    def _try_one(
        self,
        scenario: Scenario,
        seed: int,
        recording: Recording,
        point: Point,
        how: How,
        platter: Platter,
        judge: Judge,
        random: Random,
    ) -> None:
        files = platter.image(how, random)
        digest = hashlib.blake2b(digest_size=16)
        digest.update(f"{scenario.name} {seed} {point.returned} {point.begun}".encode())
        for name in sorted(files):
            digest.update(name.encode() + b"\0")
            digest.update(files[name])
        if digest.digest() in self._seen:
            return
        self._seen.add(digest.digest())
        report = self.report
        report.images += 1
        goes_on = report.images % GOES_ON_EVERY == 0
        complaints, end = judge.judge(
            files, recording.states, point.returned, point.begun, goes_on=goes_on
        )
        self._count(scenario.name, how, end or "unsound")
        self._complain(scenario.name, seed, point.step, how, complaints)
        if end in RECOVERED and report.images % AGAIN_EVERY == 0:
            self._crash_again(scenario, seed, point, how, files)
        self._progress(report.images)

    def _crash_again(
        self, scenario: Scenario, seed: int, point: Point, how: How, files: Files
    ) -> None:
        """The machine crashes once more while it recovers."""
        self.report.recoveries += 1
        for second in crash_again(files, self.folder, seed, scenario.settings()):
            self.report.second_crashes += 1
            told = f"{how}, then step {second.step}, {second.how}"
            self._complain(scenario.name, seed, point.step, told, second.complaints)

    def _complain(
        self, scenario: str, seed: int, step: int, how: str, complaints: Sequence[str]
    ) -> None:
        if complaints:
            self.report.unsound += 1
            if len(self.report.complaints) < COMPLAINTS_SHOWN:
                complaint = Complaint(scenario, seed, step, how, tuple(complaints[:5]))
                self.report.complaints.append(complaint)

    def _count(self, scenario: str, how: str, end: str) -> None:
        for name, key in (("scenarios", scenario), ("hows", how), ("ends", end)):
            counter: dict[str, int] = getattr(self.report, name)
            counter[key] = counter.get(key, 0) + 1
