"""A node that was away while 100 000 changes were made: how long until it is back in step."""

from __future__ import annotations

import time
from typing import Final

from konkordat.bench.cluster import Bench
from konkordat.bench.results import Figure, Section, below, holds
from konkordat.bench.run import Setting

CHANGES: Final = 100_000
CHANGES_QUICK: Final = 10_000
NAMES: Final = ("zurich", "geneva", "lugano")
AWAY: Final = "lugano"
BOUND_S: Final = 30.0


async def measure_catch_up(setting: Setting) -> Section:
    """Changes at two nodes while the third is down; then it is started."""
    count = CHANGES_QUICK if setting.quick else CHANGES
    async with Bench(setting.folder, NAMES) as bench:
        sessions = await bench.put_programme("zurich")
        await bench.agree()
        await bench.cluster.nodes[AWAY].stop()
        setting.say(f"{AWAY} is down; {count} changes are made elsewhere")
        edits = [
            {"op": "patch", "type": "sessions", "id": id_, "data": {"track": f"track {number}"}}
            for number, id_ in enumerate(sessions * (count // len(sessions) + 1))
        ][:count]
        started = time.perf_counter()
        half = count // 2
        await bench.write("zurich", edits[:half])
        await bench.write("geneva", edits[half:])
        await bench.agree(("zurich", "geneva"))
        wrote_s = time.perf_counter() - started
        setting.say(f"{wrote_s:.0f} s to write them; {AWAY} is started")
        started = time.perf_counter()
        ready_s = await bench.cluster.restart(AWAY)
        bench.connect([AWAY])
        await bench.agree()
        took_s = time.perf_counter() - started
        return Section(
            "catchup",
            "Catching up after being away",
            (
                below("catch_up_s", "start to in step", took_s, BOUND_S, "s"),
                Figure("ready_s", "start to ready", ready_s, "s"),
                Figure("changes", "changes that were missing", count),
                Figure("per_s", "changes a second", count / took_s, "/s"),
                holds("digests_equal", "all digests equal afterwards", True),
            ),
            f"{AWAY} was stopped while {count} single-change transactions were made at two others.",
        )
