"""How soon a booking is confirmed, how many are decided, and how soon others decide when the holder is killed."""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

from konkordat.bench.bookings import Decisions, Plan, State
from konkordat.bench.cluster import Bench, generate
from konkordat.bench.load import Job, Outcome
from konkordat.bench.results import Figure, Section, at_least, below, holds
from konkordat.bench.run import Setting
from konkordat.bench.search import highest_rate
from konkordat.bench.wire import Connection
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


class _Way(NamedTuple):
    """One way to come to a confirmation."""

    name: str
    what: str
    node: str
    venue: str
    bound_ms: float  # of the p99


WAYS: Final = (
    _Way("home", "decided by the holder alone, booked there", CUT_OFF_PROOF, "home", 15.0),
    _Way("majority", "decided by a majority, booked at the holder", HOLDER, "majority", 50.0),
    _Way("remote", "decided by a majority, booked at another node", ELSEWHERE, "majority", 80.0),
)


async def measure_confirmation(setting: Setting) -> Section:
    """Bookings at 500/s: of a `home` seat at its holder, of a majority's at its holder, and at another node; and for
    each the highest rate that keeps the bound."""
    async with Bench(setting.folder) as bench:
        plan = await _prepared(bench)
        figures: list[Figure] = []
        undecided = 0
        for way in WAYS:
            confirming = _Confirming(bench, plan, way, setting)
            run = await confirming.attempt(RATE_PER_S)
            undecided += run.undecided
            delay = run.delays()
            rate, kept = await highest_rate(
                RATE_PER_S, run, confirming.attempt, confirming.keeps_bound
            )
            figures += [
                below(f"{way.name}_p99_ms", f"p99, {way.what}", delay.p99, way.bound_ms, "ms"),
                Figure(f"{way.name}_p50_ms", "p50", delay.p50, "ms"),
                Figure(f"{way.name}_max_ms", "max", delay.max, "ms"),
                Figure(f"{way.name}_per_s", "highest rate that keeps the bound", rate, "/s"),
                Figure(f"{way.name}_kept_p50_ms", "p50 there", kept.delays().p50, "ms"),
            ]
        return Section(
            "claims",
            "Confirmation: a booking, due to confirmed where it was made",
            (*figures, holds("all_decided", "every booking was decided", undecided == 0)),
            f"{RATE_PER_S:.0f} bookings a second for {_seconds(setting):.0f} s each, open loop, in independent batches;"
            " watched by a stream at the node where they are made. Five nodes, each commit synced.",
        )


def _seconds(setting: Setting) -> float:
    return SECONDS / (3 if setting.quick else 1)


class _Confirming:
    """Bookings that are confirmed in one way, at rates to be tried."""

    def __init__(self, bench: Bench, plan: Plan, way: _Way, setting: Setting) -> None:
        self._bench = bench
        self._plan = plan
        self._way = way
        self._setting = setting

    async def attempt(self, per_s: float) -> _Run:
        run = _Run(self._bench, self._plan, self._way.node)
        await run.book(self._way.venue, per_s, _seconds(self._setting))
        await self._bench.agree()  # what one leaves behind is not the next one's
        delay = run.delays()
        self._setting.say(
            f"{self._way.name}: {per_s:.0f} bookings a second at {self._way.node},"
            f" confirmed after p50 {delay.p50:.1f} ms, p99 {delay.p99:.1f} ms"
        )
        return run

    def keeps_bound(self, _per_s: float, run: _Run) -> bool:
        return not run.undecided and run.delays().p99 < self._way.bound_ms


async def measure_contention(setting: Setting) -> Section:
    """All nodes book the twenty rooms of one seat, many of them the same places."""
    seconds = CONTEND_SECONDS / (2 if setting.quick else 1)
    async with Bench(setting.folder) as bench:
        plan = await _prepared(bench)
        setting.say(f"{CONTEND_PER_S:.0f} bookings a second of 20 rooms, at all nodes")
        before = await _decided(bench, HOLDER)
        job, outcome, took_s = await _contend(bench, plan, seconds, sum(before.values()))
        after = await _decided(bench, HOLDER)
        decided = {state: after[state] - before[state] for state in State}
        await bench.agree()
        overlaps = await plan.overlaps(bench)
        return Section(
            "contention",
            "Contention: bookings of twenty rooms of one seat, decided by its holder",
            (
                at_least("decided_per_s", "decided", sum(decided.values()) / took_s, 2_000.0, "/s"),
                Figure("confirmed", "confirmed", decided[State.CONFIRMED]),
                Figure("displaced", "displaced, with the reason", decided[State.DISPLACED]),
                Figure("refused", "refused at once", sum(outcome.refused.values())),
                Figure("acknowledge_p50_ms", "p50, due to answered", outcome.delay_ms.p50, "ms"),
                holds(
                    "all_decided",
                    "every booking was decided",
                    sum(decided.values()) == outcome.acknowledged,
                ),
                holds("none_twice", "no place was confirmed twice", overlaps == 0),
            ),
            f"{job.rate_per_s:.0f} bookings a second are offered at five nodes for {seconds:.0f} s; one in"
            f" {RIVALS + 1} is for a place that was booked a moment before. Counted by the holder, from the first one"
            " due to the last one final.",
        )


async def _contend(
    bench: Bench, plan: Plan, seconds: float, decided_before: int
) -> tuple[Job, Outcome, float]:
    """The load; what came of it; seconds until the holder had decided all of it."""
    first, templates = plan.bookings("majority", int(CONTEND_PER_S * seconds), RIVALS)
    places = len(bench.names)
    job = Job(
        targets=bench.targets(),
        operations=[templates[place::places] for place in range(places)],
        rate_per_s=CONTEND_PER_S,
        seconds=seconds,
        connections=2,
        first_number=first,
        keep_numbers=True,
    )
    outcome = await generate(job)
    give_up = time.perf_counter() + WAIT_S_MAX
    while True:
        decided = sum((await _decided(bench, HOLDER)).values()) - decided_before
        now = time.perf_counter()
        if decided >= outcome.acknowledged or now > give_up:
            return job, outcome, now - outcome.due(job, first)
        await asyncio.sleep(POLL_S)


async def _decided(bench: Bench, node: str) -> dict[State, int]:
    """How many claims a node has seen decided since it was started."""
    (target,) = bench.targets([node])
    connection = Connection(target.url, target.key)
    page = (await connection.request("GET", "/metrics", b"")).body.decode()
    connection.close()
    counted = dict.fromkeys(State, 0)
    for line in page.splitlines():
        for state in State:
            if line.startswith(f'konkordat_claims_decided_total{{state="{state}"}}'):
                counted[state] = int(float(line.split()[-1]))
    return counted


async def measure_takeover(setting: Setting) -> Section:
    """The holder is killed; bookings of its rooms go on elsewhere."""
    async with Bench(setting.folder) as bench:
        plan = await _prepared(bench)
        before = _Run(bench, plan, ELSEWHERE)
        await before.book("majority", TAKEOVER_RATE_PER_S, 3.0)
        confirmed = {id for id, state in before.stream.states.items() if state == State.CONFIRMED}
        setting.say(f"{HOLDER} is killed; {TAKEOVER_RATE_PER_S:.0f} bookings a second go on")
        bench.cluster.nodes[HOLDER].kill()
        killed = time.perf_counter()
        run = _Run(bench, plan, ELSEWHERE)
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

    def __init__(self, bench: Bench, plan: Plan, node: str) -> None:
        self._bench = bench
        self._plan = plan
        self._node = node
        (target,) = bench.targets([node])
        self.stream = Decisions(target.url, target.key)
        self.due: dict[str, float] = {}
        self.outcome: Outcome

    async def book(self, venue: str, per_s: float, seconds: float) -> None:
        """Make them, and wait for their decisions."""
        count = int(per_s * seconds)
        first, templates = self._plan.bookings(venue, count)
        job = Job(
            targets=self._bench.targets([self._node]),
            operations=[templates],
            rate_per_s=per_s,
            seconds=seconds,
            linger_ms=LINGER_MS,
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
