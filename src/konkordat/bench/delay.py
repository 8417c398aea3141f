"""One change, commit to visible at each other node."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from konkordat.bench.cluster import Bench
from konkordat.bench.results import Figure, Section, below, holds
from konkordat.bench.run import Setting
from konkordat.bench.streams import Arrivals
from konkordat.bench.wire import Connection
from konkordat.cli.figures import spread_of

CHANGES: Final = 1_000
CHANGES_QUICK: Final = 200
PER_S: Final = 50.0
WARM_UP: Final = 50  # the first ones pay for what is done once: connections, prepared statements
WAIT_S_MAX: Final = 10.0
BOUND_MS: Final = 50.0


async def measure_delay(setting: Setting) -> Section:
    """1 000 changes at 50/s, taking turns among the nodes; watched by a stream from each."""
    count = CHANGES_QUICK if setting.quick else CHANGES
    setting.say(f"five nodes, {count} changes at {PER_S:.0f}/s")
    async with Bench(setting.folder) as bench:
        sessions = await bench.put_programme("zurich")
        await bench.agree()
        run = _Run(bench, sessions, count)
        await run.carry_out()
        return run.section()


class _Run:
    """One series of changes. Planned times, so that a slow one delays none of the others."""

    def __init__(self, bench: Bench, sessions: list[str], count: int) -> None:
        targets = bench.targets()
        self.sessions = sessions
        self.count = count + WARM_UP
        self.arrivals = [Arrivals(target.url, target.key) for target in targets]
        # One connection for each change under way, so that none waits for the one before it.
        self.connections = [
            [Connection(target.url, target.key) for _ in range(4)] for target in targets
        ]
        self.due: dict[str, float] = {}  # version -> when it was due
        self.acknowledged: dict[str, float] = {}
        self.written_at: dict[str, int] = {}  # version -> place of the node

    async def carry_out(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for arrivals in self.arrivals:
                await arrivals.open()
            listeners = [tasks.create_task(arrivals.listen()) for arrivals in self.arrivals]
            await self._write_all()
            await self._all_arrive()
            for listener in listeners:
                listener.cancel()
        for arrivals in self.arrivals:
            await arrivals.close()
        for group in self.connections:
            for connection in group:
                connection.close()

    async def _write_all(self) -> None:
        started = time.perf_counter() + 0.1
        async with asyncio.TaskGroup() as tasks:
            for number in range(self.count):
                tasks.create_task(self._write(number, started + number / PER_S))

    async def _write(self, number: int, due: float) -> None:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        place = number % len(self.connections)
        group = self.connections[place]
        connection = group[number // len(self.connections) % len(group)]
        session = self.sessions[number % len(self.sessions)]
        body = b'{"track":"track %d"}' % number
        answer = await connection.request("PATCH", f"/v2/sessions/{session}", body)
        now = time.perf_counter()
        assert answer.status == 200, answer.body
        version = _version(answer.body)
        if number >= WARM_UP:
            self.due[version], self.acknowledged[version] = due, now
            self.written_at[version] = place

    async def _all_arrive(self) -> None:
        deadline = time.perf_counter() + WAIT_S_MAX
        while time.perf_counter() < deadline:
            if all(self.due.keys() <= arrivals.at.keys() for arrivals in self.arrivals):
                return
            await asyncio.sleep(0.05)

    def section(self) -> Section:
        since_due: list[float] = []
        since_acknowledged: list[float] = []
        missing = 0
        for version, due in self.due.items():
            for place, arrivals in enumerate(self.arrivals):
                if place == self.written_at[version]:
                    continue
                at = arrivals.at.get(version)
                if at is None:
                    missing += 1
                    continue
                since_due.append((at - due) * 1000)
                # The news may overtake the answer; then it took no time after the commit was known.
                since_acknowledged.append(max(0.0, at - self.acknowledged[version]) * 1000)
        whole, after = spread_of(since_due), spread_of(since_acknowledged)
        own = spread_of([(self.acknowledged[v] - due) * 1000 for v, due in self.due.items()])
        return Section(
            "delay",
            "Delay: one change, commit to visible at each other node",
            (
                below("p99_ms", "p99, acknowledged to visible", after.p99, BOUND_MS, "ms"),
                Figure("p50_ms", "p50, acknowledged to visible", after.p50, "ms"),
                Figure("max_ms", "max, acknowledged to visible", after.max, "ms"),
                below("p99_from_due_ms", "p99, due to visible", whole.p99, BOUND_MS, "ms"),
                Figure("p50_from_due_ms", "p50, due to visible", whole.p50, "ms"),
                Figure("max_from_due_ms", "max, due to visible", whole.max, "ms"),
                Figure("acknowledge_p99_ms", "p99, due to acknowledged", own.p99, "ms"),
                holds("all_seen", "every change seen at all others", missing == 0),
            ),
            f"{len(self.due)} changes at {PER_S:.0f}/s, each node in turn, at the times planned for them (open loop),"
            f" watched by a stream from each node: {whole.count} arrivals. From due to visible holds everything: the"
            " request, the commit, the way.",
        )


def _version(body: bytes) -> str:
    import msgspec

    record: dict[str, Any] = msgspec.json.decode(body)
    return str(record["version"])
