"""How soon a booking is confirmed, how many are decided, and how soon others decide when the holder is killed."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from konkordat.bench.bookings import Decisions, Plan, State
from konkordat.bench.cluster import Bench, generate
from konkordat.bench.load import Job, Outcome
from konkordat.bench.results import Figure, Section, at_least, below, holds
from konkordat.bench.run import Setting
from konkordat.cli.figures import Spread, spread_of

RATE_PER_S: Final = 500.0
SECONDS: Final = 12.0
LINGER_MS: Final = 2.0  # a booking waits this long for company on its way; it counts
WAIT_S_MAX: Final = 30.0
POLL_S: Final = 0.02

CONTEND_PER_S: Final = 2_400.0
CONTEND_SECONDS: Final = 8.0
RIVALS: Final = 5  # of so many bookings one is made for a place that another wants too

TAKEOVER_RATE_PER_S: Final = 50.0
TAKEOVER_SECONDS: Final = 8.0
HOLDER: Final = "zurich"
ELSEWHERE: Final = "bern"
CUT_OFF_PROOF: Final = "lugano"


async def measure_confirmation(setting: Setting) -> Section:
    """Bookings at 500/s: of a `home` seat at its holder, of a majority's at its holder, and at another node."""
    seconds = SECONDS / (3 if setting.quick else 1)
    async with Bench(setting.folder) as bench:
        plan = await _prepared(bench)
        told: dict[str, Spread] = {}
        undecided = 0
        for name, node, venue in (
            ("home", CUT_OFF_PROOF, "home"),
            ("majority", HOLDER, "majority"),
            ("remote", ELSEWHERE, "majority"),
        ):
            setting.say(f"{name}: {RATE_PER_S:.0f} bookings a second at {node}")
            run = _Run(bench, plan, [node])
            await run.book(venue, RATE_PER_S, seconds)
            told[name] = run.delays()
            undecided += run.undecided
            await bench.agree()
        bounds = {"home": 15.0, "majority": 50.0, "remote": 80.0}
        labels = {
            "home": "decided by the holder alone, booked there",
            "majority": "decided by a majority, booked at the holder",
            "remote": "decided by a majority, booked at another node",
        }
        figures: list[Figure] = []
        for name, delay in told.items():
            figures += [
                below(f"{name}_p99_ms", f"p99, {labels[name]}", delay.p99, bounds[name], "ms"),
                Figure(f"{name}_p50_ms", "p50", delay.p50, "ms"),
                Figure(f"{name}_max_ms", "max", delay.max, "ms"),
            ]
        return Section(
            "claims",
            "Confirmation: a booking, due to confirmed where it was made",
            (*figures, holds("all_decided", "every booking was decided", undecided == 0)),
            f"{RATE_PER_S:.0f} bookings a second for {seconds:.0f} s each, open loop, in independent batches; watched"
            " by a stream at the node where they are made. Five nodes, each commit synced.",
        )


async def measure_contention(setting: Setting) -> Section:
    """All nodes book the twenty rooms of one seat, many of them the same places."""
    seconds = CONTEND_SECONDS / (2 if setting.quick else 1)
    async with Bench(setting.folder) as bench:
        plan = await _prepared(bench)
        setting.say(f"{CONTEND_PER_S:.0f} bookings a second of 20 rooms, at all nodes")
        run = _Run(bench, plan, list(bench.names), watch=[HOLDER])
        await run.book("majority", CONTEND_PER_S, seconds, rivals=RIVALS, linger_ms=10.0)
        await bench.agree()
        overlaps = await plan.overlaps(bench)
        decided = run.decided
        return Section(
            "contention",
            "Contention: bookings of twenty rooms of one seat, decided by its holder",
            (
                at_least("decided_per_s", "decided", run.per_s(), 2_000.0, "/s"),
                Figure("confirmed", "confirmed", decided[State.CONFIRMED]),
                Figure("displaced", "displaced, with the reason", decided[State.DISPLACED]),
                Figure("refused", "refused at once", sum(run.outcome.refused.values())),
                Figure("p50_ms", "p50, due to decided", run.delays().p50, "ms"),
                Figure("p99_ms", "p99, due to decided", run.delays().p99, "ms"),
                holds("all_decided", "every booking was decided", run.undecided == 0),
                holds("none_twice", "no place was confirmed twice", overlaps == 0),
            ),
            f"{CONTEND_PER_S:.0f} bookings a second over five nodes for {seconds:.0f} s; every {RIVALS}th is for a"
            " place that was booked a moment before. Decided as the holder's stream tells it.",
        )


async def measure_takeover(setting: Setting) -> Section:
    """The holder is killed; bookings of its rooms go on elsewhere."""
    async with Bench(setting.folder) as bench:
        plan = await _prepared(bench)
        before = _Run(bench, plan, [ELSEWHERE])
        await before.book("majority", TAKEOVER_RATE_PER_S, 3.0)
        confirmed = {id for id, state in before.stream.states.items() if state == State.CONFIRMED}
        setting.say(f"{HOLDER} is killed; {TAKEOVER_RATE_PER_S:.0f} bookings a second go on")
        bench.cluster.nodes[HOLDER].kill()
        killed = time.perf_counter()
        run = _Run(bench, plan, [ELSEWHERE])
        await run.book("majority", TAKEOVER_RATE_PER_S, TAKEOVER_SECONDS)
        first = min(run.stream.at.values(), default=float("inf")) - killed
        changed = await plan.states(bench, ELSEWHERE, confirmed)
        await bench.cluster.restart(HOLDER)
        bench.connect([HOLDER])
        await bench.agree()
        return Section(
            "takeover",
            "Takeover: the holder is killed, another member decides",
            (
                below("decided_again_s", "kill to the first decision", first, 5.0, "s"),
                holds("all_decided", "every booking was decided", run.undecided == 0),
                holds(
                    "none_changed",
                    "no confirmed booking changed",
                    all(state == State.CONFIRMED for state in changed.values()),
                ),
                Figure("confirmed_before", "confirmed before", len(confirmed)),
                Figure("decided_after", "decided afterwards", len(run.stream.at)),
                holds("digests_equal", "all digests equal when it is back", True),
            ),
            f"{HOLDER} holds the seat and is killed with -9; {ELSEWHERE} goes on taking bookings of its rooms.",
        )


async def _prepared(bench: Bench) -> Plan:
    plan = Plan()
    await plan.lay_out(bench, HOLDER)
    await bench.agree()
    await plan.await_holders(bench)
    return plan


class _Run:
    """Bookings at some nodes, watched there."""

    def __init__(
        self, bench: Bench, plan: Plan, nodes: list[str], watch: list[str] | None = None
    ) -> None:
        self._bench = bench
        self._plan = plan
        self._nodes = nodes
        (target,) = bench.targets(watch or nodes)
        self.stream = Decisions(target.url, target.key)
        self.due: dict[str, float] = {}
        self.outcome: Outcome

    async def book(
        self,
        venue: str,
        per_s: float,
        seconds: float,
        rivals: int = 0,
        linger_ms: float = LINGER_MS,
    ) -> None:
        """Make them, and wait for their decisions."""
        count = int(per_s * seconds)
        first, templates = self._plan.bookings(venue, count, rivals)
        shares = [templates[place :: len(self._nodes)] for place in range(len(self._nodes))]
        job = Job(
            targets=self._bench.targets(self._nodes),
            operations=shares,
            rate_per_s=per_s,
            seconds=seconds,
            linger_ms=linger_ms,
            connections=4,
            first_number=first,
            keep_numbers=True,
        )
        await self.stream.open()
        listener = asyncio.create_task(self.stream.listen())
        try:
            self.outcome = await generate(job)
            self.due = {
                self._plan.id_of(number): self.outcome.due(job, number)
                for number in self.outcome.numbers
            }
            await self._all_decided()
        finally:
            listener.cancel()
            await self.stream.close()

    async def _all_decided(self) -> None:
        give_up = time.perf_counter() + WAIT_S_MAX
        while True:
            if not self.undecided or time.perf_counter() > give_up:
                return
            await asyncio.sleep(POLL_S)

    @property
    def undecided(self) -> int:
        return sum(1 for id in self.due if id not in self.stream.at)

    @property
    def decided(self) -> dict[State, int]:
        states = [state for id, state in self.stream.states.items() if id in self.due]
        return {state: states.count(state) for state in State}

    def delays(self) -> Spread:
        """From due to decided, without the warm-up of the first second."""
        begin = min(self.due.values(), default=0.0) + 1.0
        return spread_of(
            [
                (self.stream.at[id] - due) * 1_000
                for id, due in self.due.items()
                if due >= begin and id in self.stream.at
            ]
        )

    def per_s(self) -> float:
        """Decisions in the time from the first to the last."""
        at = sorted(self.stream.at[id] for id in self.due if id in self.stream.at)
        return (len(at) - 1) / (at[-1] - at[0]) if len(at) > 1 else 0.0
