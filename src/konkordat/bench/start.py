"""How long a node takes from being started to being ready."""

from __future__ import annotations

import statistics
from typing import Final

from konkordat.bench.cluster import Bench
from konkordat.bench.results import Figure, Section, below
from konkordat.bench.run import Setting

STARTS: Final = 5
BOUND_S: Final = 2.0


async def measure_start(setting: Setting) -> Section:
    """A node alone, empty and then with the shipped programme, started and stopped."""
    async with Bench(setting.folder, ("zurich",)) as bench:
        empty_s = bench.cluster.started_s
        await bench.put_programme("zurich")
        took: list[float] = []
        for _ in range(STARTS):
            await bench.cluster.nodes["zurich"].stop()
            took.append(await bench.cluster.restart("zurich"))
        return Section(
            "start",
            "Start of a node to ready",
            (
                below("ready_s", f"median of {STARTS}", statistics.median(took), BOUND_S, "s"),
                Figure("slowest_s", "slowest", max(took), "s"),
                Figure("empty_s", "the first, with an empty directory", empty_s, "s"),
            ),
            "From making the process to the first 200 of /readyz, Python's own start included.",
        )
