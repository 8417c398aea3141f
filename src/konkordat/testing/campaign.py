"""Many seeds, and one page about them."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Final

import msgspec

from konkordat.testing.options import Options, drawn
from konkordat.testing.planted import BUGS, SEEDS_MAX, hunt
from konkordat.testing.seen import REQUIRED
from konkordat.testing.sim import Result, run

ENOUGH_SEEDS: Final = (
    150  # from here on a situation that was never met is a failure of the campaign
)
FAILURES_KEPT: Final = 50
# Instead of Python's 700, 10, 10. A short run makes less than the first, so nothing of it grows old before its end.
GC_THRESHOLDS: Final = (1_000_000, 20, 50)
COUNTERS: Final = ("operations", "faults", "seen", "profiles")

Progress = Callable[[str], None]


class SeedResult(msgspec.Struct, frozen=True):
    """What is kept of a run."""

    options: Options
    hash: str
    violations: tuple[str, ...]
    events: int
    virtual_ms: int
    agreed_after_ms: int
    counts: dict[str, int]
    seen: dict[str, int]
    faults: dict[str, int]
    seconds: float = 0.0  # of one core


class Report(msgspec.Struct):
    """A campaign in figures."""

    seeds: int = 0
    events: int = 0
    virtual_node_hours: float = 0.0
    seconds: float = 0.0  # of one core, over all processes
    longest_convergence_ms: int = 0
    longest_convergence_seed: int = 0
    operations: dict[str, int] = {}
    faults: dict[str, int] = {}
    seen: dict[str, int] = {}
    profiles: dict[str, int] = {}
    failures: list[tuple[int, str, str]] = []  # seed, profile, what
    planted: dict[str, str] = {}  # bug -> where it was found; "" = not found
    skipped: list[str] = []

    @property
    def missing(self) -> list[str]:
        """What the campaign should have met and did not."""
        return [what for what in REQUIRED if not self.seen.get(what)]

    @property
    def blind(self) -> bool:
        """True if it was long enough to meet everything, and did not."""
        return self.seeds >= ENOUGH_SEEDS and bool(self.missing)

    @property
    def red(self) -> bool:
        """True if anything is wrong with the code, or with the campaign."""
        unfound = any(not where for where in self.planted.values())
        return not self.seeds or bool(self.failures) or self.blind or unfound

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds if self.seconds else 0.0

    def add(self, result: SeedResult) -> None:
        options = result.options
        self.seeds += 1
        self.events += result.events
        self.seconds += result.seconds
        self.virtual_node_hours += options.nodes * result.virtual_ms / 3_600_000
        if result.agreed_after_ms > self.longest_convergence_ms:
            self.longest_convergence_ms = result.agreed_after_ms
            self.longest_convergence_seed = options.seed
        for name, found in (
            ("operations", result.counts),
            ("faults", result.faults),
            ("seen", result.seen),
            ("profiles", {options.profile: 1}),
        ):
            self._count(name, found)
        self._keep([(options.seed, options.profile, v) for v in result.violations])

    def merge(self, other: Report) -> None:
        """Take in a part of the same campaign that ran elsewhere. The order of parts does not matter, but for which
        failures are kept."""
        self.seeds += other.seeds
        self.events += other.events
        self.seconds += other.seconds
        self.virtual_node_hours += other.virtual_node_hours
        if other.longest_convergence_ms > self.longest_convergence_ms:
            self.longest_convergence_ms = other.longest_convergence_ms
            self.longest_convergence_seed = other.longest_convergence_seed
        for name in COUNTERS:
            self._count(name, getattr(other, name))
        self._keep(other.failures)
        self.planted |= other.planted
        self.skipped += [what for what in other.skipped if what not in self.skipped]

    def _count(self, name: str, found: Mapping[str, int]) -> None:
        total = Counter(getattr(self, name))
        total.update(found)
        setattr(self, name, dict(sorted(total.items())))

    def _keep(self, failures: Sequence[tuple[int, str, str]]) -> None:
        self.failures += failures[: max(FAILURES_KEPT - len(self.failures), 0)]

    def page(self) -> str:
        """The report for people."""
        return "\n".join(self._lines())

    def brief(self) -> str:
        """The page without what is as it should be."""
        rarest = sorted(REQUIRED, key=lambda what: self.seen.get(what, 0))[:3]
        met = len(REQUIRED) - len(self.missing)
        told = [*self._figures(), f"seen                 {met} of {len(REQUIRED)} situations"]
        told[-1] += ", rarest: " + ", ".join(f"{what} {self.seen.get(what, 0)}" for what in rarest)
        return "\n".join(told)

    def _figures(self) -> Iterator[str]:
        yield f"seeds                {self.seeds}"
        yield f"virtual node-hours   {self.virtual_node_hours:.1f}"
        yield f"simulated events     {self.events} ({self.events_per_second:.0f}/s on one core)"
        longest = f"{self.longest_convergence_ms} ms (seed {self.longest_convergence_seed})"
        yield f"longest convergence  {longest}"
        yield f"profiles             {_pairs(self.profiles)}"
        yield f"operations           {_pairs(self.operations)}"
        yield f"faults               {_pairs(self.faults)}"

    def _lines(self) -> Iterator[str]:
        yield from self._figures()
        yield "seen"
        yield from (f"  {self.seen.get(what, 0):>9}  {what}" for what in REQUIRED)
        if self.planted:
            found = sum(bool(where) for where in self.planted.values())
            yield f"planted bugs found   {found} of {len(self.planted)}"
            yield from (f"  {where or 'NOT FOUND':<22} {n}" for n, where in self.planted.items())
        yield f"skipped              {'; '.join(self.skipped) or 'nothing'}"
        yield f"failures             {len(self.failures) or 'none'}"
        yield from (f"  seed {seed} ({profile}): {what}" for seed, profile, what in self.failures)
        yield "RED" if self.red else "green"


def _pairs(figures: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in figures.items()) or "none"


def run_seed(options: Options) -> SeedResult:
    """One run, reduced to what a campaign keeps."""
    began = time.process_time()
    with _collecting_at_the_end():
        kept = _kept_of(run(options))
    return msgspec.structs.replace(kept, seconds=time.process_time() - began)


def _kept_of(result: Result) -> SeedResult:
    return SeedResult(
        result.options,
        result.hash,
        tuple([f"{v.checker}: {v.what}" for v in result.violations]),
        result.events,
        result.virtual_ms,
        result.agreed_after_ms,
        result.counts,
        result.seen,
        result.faults,
    )


@contextmanager
def _collecting_at_the_end() -> Iterator[None]:
    """A run keeps its history to the end: a collector that looks before finds little, and looks through all of it. Once
    nothing is left of the run but its cycles, they are found among what is young.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.collect(1)
        gc.set_threshold(*thresholds)


def campaign(
    plans: Iterable[Options],
    report: Report | None = None,
    jobs: int = 1,
    until: float | None = None,
    progress: Progress = lambda _line: None,
) -> Report:
    """Run all plans, or as many as fit before `until` (of time.monotonic)."""
    report = report or Report()
    if jobs == 1:
        for options in plans:
            if until is not None and time.monotonic() >= until:
                break
            _note(report, run_seed(options), progress)
        return report
    with ProcessPoolExecutor(jobs) as pool:
        _spread(pool, iter(plans), report, jobs, until, progress)
    return report


def _spread(
    pool: ProcessPoolExecutor,
    plans: Iterator[Options],
    report: Report,
    jobs: int,
    until: float | None,
    progress: Progress,
) -> None:
    """Keep every process busy with one seed ahead, so that little is lost when the time is up."""
    running: set[Future[SeedResult]] = set()
    more = True
    while running or more:
        while more and len(running) < 2 * jobs:
            options = next(plans, None)
            more = options is not None and (until is None or time.monotonic() < until)
            if options is not None and more:
                running.add(pool.submit(run_seed, options))
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            _note(report, future.result(), progress)


def _note(report: Report, result: SeedResult, progress: Progress) -> None:
    report.add(result)
    for what in result.violations[:1]:
        progress(f"seed {result.options.seed} ({result.options.profile}): {what}")


def short_seeds(first: int, count: int | None = None) -> Iterator[Options]:
    """3 to 5 nodes, 400 operations, minutes of virtual time."""
    seed = first
    while count is None or seed < first + count:
        yield drawn(seed)
        seed += 1


def find_planted(report: Report, progress: Progress = lambda _line: None) -> Report:
    """Look for every planted bug, and note where it was found."""
    for bug in BUGS:
        found = hunt(bug, range(SEEDS_MAX))
        where = ""
        if found is not None:
            seed, result = found
            judges = sorted({v.checker for v in result.violations} & set(bug.found_by))
            where = f"{', '.join(judges)} in seed {seed}"
        report.planted[bug.name] = where
        progress(f"planted: {bug.name}: {where or 'NOT FOUND'}")
    return report
