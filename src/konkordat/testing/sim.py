"""One seeded run of a simulated cluster, from its first start to the judges' verdict.

    python -m konkordat.testing.sim --seed 7

prints the options that the seed stands for, one line per event, what the judges found, and the hash of the log. The
same seed and code give the same hash, in every process and under every PYTHONHASHSEED.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Final

import msgspec

from konkordat.kernel.ids import NodeName
from konkordat.testing import history as past
from konkordat.testing.checkers import Violation, judge
from konkordat.testing.clients import Client, Loader
from konkordat.testing.cluster import Cluster
from konkordat.testing.disk import MemoryDisk
from konkordat.testing.faults import Plan
from konkordat.testing.operators import Operators
from konkordat.testing.options import DOMAINS, PROFILES, Options, drawn
from konkordat.testing.randomness import Source
from konkordat.testing.seen import situations
from konkordat.testing.timeline import US_PER_MS

QUIET_US: Final = 1_000_000  # before the first fault
RUN_US_MAX: Final = (
    600_000_000  # of virtual time for the operations; then clients stop where they are
)
LAST_READS: Final = 4  # by every client, after agreement
LEAP_EVERY: Final = 50  # tenths of a second between two sleeps of the world, on average
CLIENT_LOSS: Final = 0.03  # of requests and of answers, where networks are to fail

Show = Callable[[str], None]


class Result(msgspec.Struct, frozen=True):
    """What a run came to."""

    options: Options
    hash: str
    violations: tuple[Violation, ...]
    events: int  # carried out by the timeline
    virtual_ms: int  # in which nodes ran: without the leaps that were made to wait for stamps from the future
    agreed_after_ms: int  # of that, after the last fault; -1 = never
    counts: dict[str, int]
    seen: dict[str, int]
    faults: dict[str, int]
    tail: tuple[str, ...]  # the last lines of the log
    history: past.History


def run(
    options: Options,
    show: Show | None = None,
    disk: Callable[[NodeName], MemoryDisk] = MemoryDisk,
    make: type[Cluster] = Cluster,
) -> Result:
    """Simulate, then judge."""
    cluster = make(options, show, disk)
    source = Source(f"run/{options.seed}")
    clients = [Client(n, cluster, source.fork(f"client{n}")) for n in range(options.clients)]
    cluster.begin()
    for client in clients:
        client.begin()
    cluster.timeline.run_for(QUIET_US)
    _go_wrong(cluster, clients, source)
    agreed = _recover(cluster, source)
    if agreed:
        _read_at_last(cluster, clients, source)
    cluster.recorder.finish()
    result = _result(cluster)
    cluster.dissolve()
    return result


def _go_wrong(cluster: Cluster, clients: list[Client], source: Source) -> None:
    """Faults and operations, until the operations are done."""
    options = cluster.options
    if any(name in PROFILES["network"] for name in options.faults):
        cluster.client_loss = CLIENT_LOSS
    loader = Loader(cluster, source.fork("loader"))
    if options.backlog:
        loader.begin(options.backlog)
    plan = Plan(cluster, source.fork("faults"))
    plan.begin()
    Operators(cluster, source.fork("operators")).begin()
    while cluster.awake_us < RUN_US_MAX and (
        loader.left > 0 or any(client.left > 0 for client in clients)
    ):
        cluster.timeline.run_for(100 * US_PER_MS)
        if options.leap_ms and source.chance(1 / LEAP_EVERY):
            cluster.sleep(source.randint(1, 2 * options.leap_ms))
    cluster.over = True
    plan.end()


def _recover(cluster: Cluster, source: Source) -> bool:
    """Heal, and await agreement; in some seeds one more process dies meanwhile."""
    cluster.heal()
    if cluster.options.second_fault:
        process = cluster.processes[source.choice(cluster.names)]
        cluster.timeline.run_for(source.randint(0, 500) * US_PER_MS)
        cluster.seen["second fault during recovery"] += 1
        cluster.stop(process, "killed while it recovered")
        cluster.start_later(process, source.randint(1, 2_000) * US_PER_MS)
    agreed = cluster.await_agreement()
    if agreed:
        cluster.await_decisions()
    return agreed


def _read_at_last(cluster: Cluster, clients: list[Client], source: Source) -> None:
    """Every client looks for what it wrote, wherever it likes."""
    for client in clients:
        for key in source.sample(client.touched, min(LAST_READS, len(client.touched))):
            client.read(key, lambda: None)
    cluster.timeline.run_for(2_000 * US_PER_MS)
    cluster.agree()


def _result(cluster: Cluster) -> Result:
    history = cluster.history
    violations = judge(history, cluster.domain)
    for violation in violations:
        cluster.log.line("judge", f"{violation.checker}: {violation.what}")
    cluster.seen.update(cluster.network.counts)
    cluster.seen.update(situations(history))
    return Result(
        cluster.options,
        cluster.log.hash,
        tuple(violations),
        cluster.timeline.done,
        cluster.awake_us // US_PER_MS,
        -1 if cluster.agreed_after_us < 0 else cluster.agreed_after_us // US_PER_MS,
        dict(cluster.counts),
        dict(cluster.seen),
        dict(cluster.faults),
        tuple(cluster.log.tail),
        history,
    )


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status: 1 if a judge found anything."""
    parser = argparse.ArgumentParser(prog="python -m konkordat.testing.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--nodes", type=int, default=0, help="3 to 5; drawn from the seed if absent"
    )
    parser.add_argument("--profile", choices=sorted(PROFILES), default="")
    parser.add_argument("--domain", choices=sorted(DOMAINS), default="")
    parser.add_argument("--operations", type=int, default=0)
    parser.add_argument("--backlog", type=int, default=0, help="writes of a node that is cut off")
    parser.add_argument("--quiet", action="store_true", help="the options and the result only")
    chosen = parser.parse_args(arguments)
    options = drawn(chosen.seed, chosen.nodes, chosen.profile, chosen.operations, chosen.backlog)
    print(options.text())
    result = run(options, None if chosen.quiet else print)
    for violation in result.violations:
        print(f"VIOLATED {violation.checker}: {violation.what}")
    print(
        f"{result.events} events in {result.virtual_ms / 1_000:.1f} virtual s, "
        f"agreed after {result.agreed_after_ms} ms, {len(result.violations)} violations"
    )
    print(result.hash)
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
