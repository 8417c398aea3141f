"""How much memory a node takes with 100 000 sessions."""

from __future__ import annotations

import time
from typing import Final

from konkordat.bench.cluster import Bench
from konkordat.bench.results import Figure, Section, below
from konkordat.bench.run import Setting

SESSIONS: Final = 100_000
SESSIONS_QUICK: Final = 10_000
BOUND_MIB: Final = 300.0
SETTLE_POLLS: Final = 20
MIB: Final = 1 << 20


async def measure_memory(setting: Setting) -> Section:
    """100 000 sessions like those of the shipped programme, at one node and then read by another."""
    count = SESSIONS_QUICK if setting.quick else SESSIONS
    async with Bench(setting.folder, ("zurich", "geneva")) as bench:
        await bench.put_programme("zurich")
        setting.say(f"{count} sessions are written at zurich")
        started = time.perf_counter()
        await bench.write("zurich", _copies(bench, count))
        wrote_s = time.perf_counter() - started
        await bench.agree()
        nodes = bench.cluster.nodes
        writer, reader = nodes["zurich"].memory_bytes(), nodes["geneva"].memory_bytes()
        await bench.cluster.nodes["zurich"].stop()
        ready_s = await bench.cluster.restart("zurich")
        restarted = nodes["zurich"].memory_bytes()
        size = sum(file.stat().st_size for file in nodes["zurich"].spec.data.iterdir())
        return Section(
            "memory",
            f"Memory of a node with {count} sessions",
            (
                below(
                    "writer_mib",
                    "resident, after taking them from clients",
                    writer / MIB,
                    BOUND_MIB,
                    "MiB",
                ),
                below(
                    "reader_mib",
                    "resident, after taking them from a peer",
                    reader / MIB,
                    BOUND_MIB,
                    "MiB",
                ),
                below(
                    "restarted_mib", "resident, after a restart", restarted / MIB, BOUND_MIB, "MiB"
                ),
                Figure("ready_s", "start to ready with them", ready_s, "s"),
                Figure("disk_mib", "on disk", size / MIB, "MiB"),
                Figure("per_s", "written, from one client", count / wrote_s, "/s"),
            ),
            "Sessions with the texts of the shipped programme, a transaction each, 200 a request.",
        )


def _copies(bench: Bench, count: int) -> list[object]:
    """New sessions with the texts of the programme's; without slots, since there are not that many rooms."""
    originals = [entry.data for entry in bench.plan.operations if entry.collection == "sessions"]
    operations: list[object] = []
    for number in range(count):
        original = originals[number % len(originals)]
        data = {
            key: value for key, value in original.items() if key not in ("slot", "external_ids")
        }
        operations.append({"op": "create", "type": "sessions", "data": data})
    return operations
