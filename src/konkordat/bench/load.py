"""The generator of load: a process of its own, fed one job as JSON on stdin, answering one result on stdout.

Open loop: every change has a moment at which it is due, planned before the first one is sent. It waits for a free
connection together with whatever else is due at that node, and that wait counts: its delay is from the moment it was
due to its acknowledgement. A node that stalls therefore shows in every change it held up (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Final

import msgspec
from msgspec import Struct

from konkordat.bench.wire import Connection, ConnectionLost
from konkordat.cli.figures import Spread, spread_of

BATCH_OPERATIONS_MAX: Final = (
    100  # a fifth of what a node takes; larger ones make the first wait for the last
)
PAUSE_AFTER_FAILURE_S: Final = 0.05


class Target(Struct, frozen=True):
    """A node to write at."""

    url: str
    key: str


class Job(Struct, frozen=True):
    """What to do. `operations` are templates: JSON of one operation with %d in place of what differs."""

    targets: list[Target]
    operations: list[list[str]]  # per target, used in turn
    rate_per_s: float  # in all
    seconds: float
    warm_up_s: float = 1.0  # what is due in the beginning is sent and not counted
    linger_ms: float = 10.0  # how long a change waits for company; it counts
    connections: int = 1  # to each node: what is due meanwhile goes together in the next request
    first_number: int = 0
    keep_numbers: bool = False


class Outcome(Struct, frozen=True):
    """What came of it."""

    offered: int
    acknowledged: int  # all of them, the warm-up too
    unknown: int  # the connection was lost before the answer
    refused: dict[str, int]  # problem code, or status, to how many
    per_s: float  # acknowledged, after the warm-up
    delay_ms: Spread  # from due to acknowledged, after the warm-up
    requests: int
    numbers: list[int]  # acknowledged, if asked for
    started_at: float = 0.0  # time.perf_counter(), which all processes of a machine share

    def due(self, job: Job, number: int) -> float:
        """When a change was due, as time.perf_counter()."""
        index, place = divmod(number - job.first_number, len(job.targets))
        return _Node(job, place, self.started_at).due(index)


class _Problem(Struct):
    code: str = ""


class _Result(Struct):
    status: int = 0
    problem: _Problem | None = None


class _Results(Struct):
    results: list[_Result] = []


_decoder: Final = msgspec.json.Decoder(_Results)
_problem_decoder: Final = msgspec.json.Decoder(_Problem)


class _Tally(Struct):
    """What has happened so far."""

    delays_ms: list[float] = []
    acknowledged: int = 0
    unknown: int = 0
    requests: int = 0
    refused: dict[str, int] = {}
    numbers: list[int] = []

    def refuse(self, code: str, count: int = 1) -> None:
        self.refused[code] = self.refused.get(code, 0) + count


class _Node:
    """The changes of one node: when each is due, and which are taken."""

    def __init__(self, job: Job, place: int, started: float) -> None:
        self.job = job
        self.place = place
        self.count = int(job.rate_per_s * job.seconds / len(job.targets))
        self._between_s = len(job.targets) / job.rate_per_s
        # Nodes take turns, so that load does not come in bursts of five.
        self._first_due = started + self._between_s * place / len(job.targets)
        self._taken = 0
        self._turn = asyncio.Lock()

    def due(self, index: int) -> float:
        return self._first_due + index * self._between_s

    def number(self, index: int) -> int:
        """Unique in the job."""
        return self.job.first_number + index * len(self.job.targets) + self.place

    def operation(self, index: int) -> bytes:
        templates = self.job.operations[self.place]
        return (templates[index % len(templates)] % self.number(index)).encode()

    async def take(self) -> range:
        """What is due, after a little wait for company; empty at the end. One connection at a time waits here."""
        async with self._turn:
            if self._taken >= self.count:
                return range(0)
            wait_s = self.due(self._taken) + self.job.linger_ms / 1000 - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            behind_s = time.perf_counter() - self._first_due
            due = min(int(behind_s / self._between_s) + 1, self.count)
            taken = range(
                self._taken, max(min(due, self._taken + BATCH_OPERATIONS_MAX), self._taken + 1)
            )
            self._taken = taken.stop
            return taken


async def carry_out(job: Job) -> Outcome:
    """Do the job."""
    tally = _Tally()
    started = time.perf_counter() + 0.1
    async with asyncio.TaskGroup() as tasks:
        for place, target in enumerate(job.targets):
            node = _Node(job, place, started)
            for _ in range(job.connections):
                tasks.create_task(_send(node, Connection(target.url, target.key), tally, started))
    counted_s = job.seconds - job.warm_up_s
    return Outcome(
        offered=int(job.rate_per_s * job.seconds),
        acknowledged=tally.acknowledged,
        unknown=tally.unknown,
        refused=tally.refused,
        per_s=round(
            len(tally.delays_ms) / max(counted_s, time.perf_counter() - started - job.warm_up_s), 1
        ),
        delay_ms=spread_of(tally.delays_ms),
        requests=tally.requests,
        numbers=tally.numbers,
        started_at=started,
    )


async def _send(node: _Node, connection: Connection, tally: _Tally, started: float) -> None:
    """One connection: take what is due, send it, note when it was acknowledged."""
    counts_from = started + node.job.warm_up_s
    while taken := await node.take():
        operations = b",".join([node.operation(index) for index in taken])
        body = b'{"mode":"independent","operations":[' + operations + b"]}"
        tally.requests += 1
        try:
            answer = await connection.request("POST", "/v2/batch", body)
        except (ConnectionLost, OSError, TimeoutError):
            tally.unknown += len(taken)
            await asyncio.sleep(PAUSE_AFTER_FAILURE_S)
            continue
        now = time.perf_counter()
        if answer.status >= 300:
            code = _problem_decoder.decode(answer.body).code
            tally.refuse(code or str(answer.status), len(taken))
            continue
        for index, result in zip(taken, _decoder.decode(answer.body).results, strict=True):
            if result.status >= 300:
                tally.refuse(result.problem.code if result.problem else str(result.status))
                continue
            tally.acknowledged += 1
            due = node.due(index)
            if due >= counts_from:
                tally.delays_ms.append((now - due) * 1000)
            if node.job.keep_numbers:
                tally.numbers.append(node.number(index))
    connection.close()


def main() -> None:
    """Read the job, do it, write what came of it."""
    import uvloop

    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    outcome = uvloop.run(carry_out(job))
    sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")


if __name__ == "__main__":
    main()
