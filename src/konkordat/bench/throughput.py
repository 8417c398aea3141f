"""How many single-change transactions five nodes acknowledge together, each synced to disk."""

from __future__ import annotations

from typing import Final

from konkordat.bench.cluster import Bench, generate
from konkordat.bench.load import Job, Outcome
from konkordat.bench.results import Figure, Section, at_least, below, holds
from konkordat.bench.run import Setting
from konkordat.bench.search import highest_rate

TARGET_PER_S: Final = 2_000.0
TARGET_S: Final = 20.0
SEARCH_S: Final = 6.0
BOUND_MS: Final = 50.0


async def measure_throughput(setting: Setting) -> Section:
    """A target rate for a while, then the highest rate at which the p99 stays below 50 ms."""
    async with Bench(setting.folder) as bench:
        run = _Run(bench, await bench.put_programme("zurich"), setting)
        await bench.agree()
        cpu_before = _cpu_s(bench)
        at_target = await run.load(TARGET_PER_S, TARGET_S / (4 if setting.quick else 1))
        cpu_s = _cpu_s(bench) - cpu_before
        setting.say(_line(TARGET_PER_S, at_target))
        settled_s = await bench.agree()
        best_rate, best = await highest_rate(TARGET_PER_S, at_target, run.attempt, _keeps_up)
        await bench.agree()
        return _section(at_target, settled_s, cpu_s, best_rate, best)


class _Run:
    def __init__(self, bench: Bench, sessions: list[str], setting: Setting) -> None:
        self.bench = bench
        self.edits = bench.edits(sessions)
        self.setting = setting
        self.number = 0

    async def load(self, per_s: float, seconds: float) -> Outcome:
        job = Job(
            targets=self.bench.targets(),
            operations=[self.edits] * len(self.bench.names),
            rate_per_s=per_s,
            seconds=seconds,
            first_number=self.number,
        )
        self.number += int(per_s * seconds) + len(self.bench.names)
        return await generate(job)

    async def attempt(self, rate: float) -> Outcome:
        await self.bench.agree()  # what the last try left behind is not this one's
        seconds = SEARCH_S / (2 if self.setting.quick else 1)
        outcome = await self.load(rate, seconds)
        self.setting.say(_line(rate, outcome))
        return outcome


def _keeps_up(rate: float, outcome: Outcome) -> bool:
    is_all = outcome.acknowledged == outcome.offered - outcome.offered % 5
    return outcome.delay_ms.p99 < BOUND_MS and is_all and outcome.per_s > 0.97 * rate


def _line(rate: float, outcome: Outcome) -> str:
    delay = outcome.delay_ms
    refused = "".join(f", {count} {code}" for code, count in outcome.refused.items())
    return (
        f"offered {rate:.0f}/s: {outcome.per_s:.0f}/s acknowledged, p50 {delay.p50:.1f} ms,"
        f" p99 {delay.p99:.1f} ms{refused}"
    )


def _cpu_s(bench: Bench) -> float:
    """Processor time of all nodes until now."""
    return sum(node.cpu_s() for node in bench.cluster.nodes.values())


def _section(
    at_target: Outcome, settled_s: float, cpu_s: float, best_rate: float, best: Outcome
) -> Section:
    each = at_target.acknowledged / max(1, at_target.requests)
    delay = at_target.delay_ms
    refused = sum(at_target.refused.values()) + at_target.unknown
    return Section(
        "throughput",
        "Throughput: single-change transactions acknowledged by five nodes together",
        (
            at_least("per_s", "sustained", at_target.per_s, 0.99 * TARGET_PER_S, "/s"),
            below("p99_ms", "p99, due to acknowledged", delay.p99, BOUND_MS, "ms"),
            Figure("p50_ms", "p50, due to acknowledged", delay.p50, "ms"),
            Figure("max_ms", "max, due to acknowledged", delay.max, "ms"),
            Figure(
                "cpu_us",
                "processor time of all five, a change",
                1e6 * cpu_s / at_target.acknowledged,
                "µs",
            ),
            Figure("refused", "refused or unknown", refused),
            holds("digests_equal", "all digests equal afterwards", True),
            Figure("settled_s", "equal after", settled_s, "s"),
            Figure(
                "best_per_s",
                "highest rate with p99 < 50 ms",
                best.per_s if best_rate else 0.0,
                "/s",
            ),
            Figure("best_p99_ms", "its p99", best.delay_ms.p99, "ms"),
        ),
        f"Patches of one field through POST /v2/batch (independent; {each:.1f} changes a request came together), open"
        " loop, from a process on the same machine. Each change is a transaction of its own.",
    )
