"""The one page about a long campaign, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from konkordat.testing.campaign import ENOUGH_SEEDS, FAILURES_KEPT, Report, SeedResult
from konkordat.testing.crash.campaign import Report as CrashReport
from konkordat.testing.crash.faults import FaultReport
from konkordat.testing.crash.flips import FlipReport
from konkordat.testing.model import Found
from konkordat.testing.options import Options
from konkordat.testing.real.campaign import Report as RealReport
from konkordat.testing.soak_parts import Broken, Hunted, LawsTold, Outcome


class RealTotals(msgspec.Struct):
    """Of all campaigns of real processes."""

    campaigns: int = 0
    kills: int = 0
    started_again: int = 0
    faults: dict[str, int] = {}
    operations: dict[str, int] = {}
    longest_agreement_s: float = 0.0


class Page(msgspec.Struct):
    """Everything that is told in the end."""

    minutes: float
    jobs: int
    planned: dict[str, int]
    seeds: Report = msgspec.field(default_factory=Report)
    long_seeds: int = 0
    law_examples: int = 0
    states: int = 0
    images: int = 0
    second_crashes: int = 0  # while a store recovered from a first
    crash_ends: dict[str, int] = {}
    flips: int = 0
    flip_ends: dict[str, int] = {}
    failing_disks: int = 0
    real: RealTotals = msgspec.field(default_factory=RealTotals)
    planted: dict[str, str] = {}  # bug -> where it was found; "" = not found
    skipped: dict[str, int] = {}  # what was left out, and how often
    failures: list[str] = []
    left_over: int = 0  # pieces that no time was left for

    @property
    def done(self) -> dict[str, int]:
        """What there is of each part of the plan."""
        return {
            "short seeds": self.seeds.seeds - self.long_seeds,
            "long seeds": self.long_seeds,
            "examples of each merge law": self.law_examples,
            "states of the seat model": self.states,
            "crash images": self.images,
            "kills of real processes": self.real.kills,
            "bit flips": self.flips,
        }

    @property
    def blind(self) -> list[str]:
        """What enough seeds should have met and did not."""
        return self.seeds.missing if self.seeds.seeds >= ENOUGH_SEEDS else []

    @property
    def red(self) -> bool:
        """True if anything is wrong with the code, or with the campaign."""
        unfound = any(not where for where in self.planted.values())
        return bool(self.failures) or bool(self.blind) or unfound or not self.seeds.seeds

    def skip(self, what: str) -> None:
        self.skipped[what] = self.skipped.get(what, 0) + 1

    def fail(self, what: str) -> None:
        if len(self.failures) < FAILURES_KEPT:
            self.failures.append(what)

    # What came of each piece ---------------------------------------------------------------------

    def add(self, outcome: Outcome) -> None:
        match outcome:
            case SeedResult():
                self._add_seed(outcome)
            case Hunted(bug=bug, where=where):
                self.planted[bug] = where
            case CrashReport():
                self._add_crashes(outcome)
            case FlipReport():
                self.flips += outcome.flips
                self.flip_ends = _summed(self.flip_ends, outcome.ends)
                self._fail_all("flipped bit", outcome.complaints)
            case FaultReport():
                self.failing_disks += outcome.lives
                self._fail_all("failing disk", outcome.complaints)
            case Found(scope=scope, states=states, fault=fault, way=way):
                self.states += states
                self._fail_all(
                    f"seats, {scope}", [f"{fault} after {'; '.join(way)}"] if fault else []
                )
            case LawsTold(examples=examples, failed=failed):
                self.law_examples += examples
                self._fail_all("laws", failed.splitlines())
            case RealReport():
                self._add_real(outcome)
            case Broken(piece=piece, why=why):
                self.fail(f"{piece}: {why}")

    def _fail_all(self, where: str, complaints: list[str]) -> None:
        for what in complaints:
            self.fail(f"{where}: {what}")

    def _add_seed(self, result: SeedResult) -> None:
        self.seeds.add(result)
        self.long_seeds += is_long(result.options)
        name = f"seed {result.options.seed} ({result.options.profile})"
        self._fail_all(name, list(result.violations))

    def _add_crashes(self, report: CrashReport) -> None:
        self.images += report.images
        self.second_crashes += report.second_crashes
        self.crash_ends = _summed(self.crash_ends, report.ends)
        self._fail_all(f"crash images, seed {report.seed}", report.late)
        for c in report.complaints:
            where = f"crash images, {c.scenario}, seed {c.seed}, step {c.step}, {c.how}"
            self._fail_all(where, list(c.what))

    def _add_real(self, report: RealReport) -> None:
        real = self.real
        real.campaigns += 1
        real.kills += report.kills
        real.started_again += report.started_again
        real.faults = _summed(real.faults, report.faults)
        told = report.outcomes | {"unknown": report.unknown, "reads": report.reads}
        real.operations = _summed(real.operations, told)
        real.longest_agreement_s = max(real.longest_agreement_s, report.agreed_after_s)
        for what in report.skipped:
            self.skip(what)
        complaints = [f"{v.checker}: {v.what}" for v in report.violations]
        self._fail_all(f"real processes, seed {report.seed}", complaints)

    # Told ----------------------------------------------------------------------------------------

    def text(self) -> str:
        """For people."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.minutes:g} minutes on {self.jobs} cores"
        yield from (
            f"  {number:>9} of {self.planned[part]:<9} {part}" for part, number in self.done.items()
        )
        # Its own verdict, planted bugs, skips and failures are empty or told below for everything.
        yield from [line for line in self.seeds.page().splitlines() if not line.startswith(_BELOW)]
        real = self.real
        agreement = f"agreement after {real.longest_agreement_s:.1f} s at most"
        yield f"real processes       {real.kills} kills, {real.started_again} starts after them, {agreement}"
        yield f"  faults             {_pairs(real.faults)}"
        yield f"  operations         {_pairs(real.operations)}"
        yield f"crash images         {_pairs(self.crash_ends)}; {self.second_crashes} crashed again"
        yield f"failing disks        {self.failing_disks} lives"
        yield f"flipped bits         {_pairs(self.flip_ends)}"
        found = sum(bool(where) for where in self.planted.values())
        yield f"planted bugs found   {found} of {len(self.planted)}"
        yield from (
            f"  {where or 'NOT FOUND':<22} {bug}" for bug, where in sorted(self.planted.items())
        )
        yield f"skipped              {sum(self.skipped.values())}"
        yield from (f"  {times:>9}  {what}" for what, times in self.skipped.items())
        if self.left_over:
            yield f"no time left for     {self.left_over} pieces of the plan"
        yield from (f"NEVER MET {what}" for what in self.blind)
        yield f"failures             {len(self.failures) or 'none'}"
        yield from (f"  {what}" for what in self.failures)
        yield "RED" if self.red else "green"

    def json(self) -> str:
        """For programs: every figure of the page."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        told |= {
            "done": self.done,
            "red": self.red,
            "never_met": self.blind,
            "events_per_second": round(self.seeds.events_per_second),
        }
        return msgspec.json.encode(told).decode()


_BELOW = ("planted", "skipped", "failures", "  seed ", "RED", "green")


def is_long(options: Options) -> bool:
    """True for a run over a virtual day."""
    return bool(options.leap_ms)


def _summed(total: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return dict(sorted((Counter(total) + Counter(more)).items()))


def _pairs(figures: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in figures.items()) or "none"
