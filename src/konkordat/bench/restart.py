"""kill -9 during load: every change that was acknowledged is on all nodes afterwards."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from konkordat.bench.cluster import Bench, generate
from konkordat.bench.load import Job
from konkordat.bench.results import Figure, Section, holds
from konkordat.bench.run import Setting

RATE_PER_S: Final = 500.0
SECONDS: Final = 12.0
VICTIM: Final = "geneva"
PAGE: Final = 200


async def measure_restart(setting: Setting) -> Section:
    """New sessions at every node; one node is killed in the middle and started again."""
    seconds = SECONDS / (2 if setting.quick else 1)
    setting.say(f"{RATE_PER_S:.0f} new sessions a second; {VICTIM} is killed and started again")
    async with Bench(setting.folder) as bench:
        await bench.put_programme("zurich")
        await bench.agree()
        job = Job(
            targets=bench.targets(),
            operations=[[_template(bench)]] * len(bench.names),
            rate_per_s=RATE_PER_S,
            seconds=seconds,
            keep_numbers=True,
        )
        loading = asyncio.create_task(generate(job))
        await asyncio.sleep(seconds / 3)
        node = bench.cluster.nodes[VICTIM]
        node.kill()
        killed = time.perf_counter()
        await asyncio.sleep(1.0)
        ready_s = await bench.cluster.restart(VICTIM)
        away_s = time.perf_counter() - killed
        outcome = await loading
        bench.connect([VICTIM])
        settled_s = await bench.agree()
        acknowledged, asked_for = (
            set(outcome.numbers),
            set(range(outcome.offered + len(bench.names))),
        )
        lost, phantoms = 0, 0
        for name in bench.names:
            there = await _numbers(bench, name)
            lost += len(acknowledged - there)
            phantoms += len(there - asked_for)
        return Section(
            "restart",
            "Kill -9 of a node during load",
            (
                Figure("acknowledged", "acknowledged", outcome.acknowledged),
                Figure("unknown", "unknown: the connection was lost first", outcome.unknown),
                holds("nothing_lost", "every acknowledged change is on all nodes", not lost),
                Figure("lost", "lost", lost),
                Figure("phantoms", "never asked for", phantoms),
                holds("digests_equal", "all digests equal afterwards", True),
                Figure("ready_s", "start to ready", ready_s, "s"),
                Figure("away_s", "away in all", away_s, "s"),
                Figure("settled_s", "digests equal after the load", settled_s, "s"),
            ),
            f"New sessions at {RATE_PER_S:.0f}/s over five nodes; {VICTIM} is killed after {seconds / 3:.0f} s and"
            " started again; then every acknowledged one is looked for on every node.",
        )


def _template(bench: Bench) -> str:
    event = bench.plan.event_id
    return (
        '{"op":"create","type":"sessions","data":{"event":"' + event + '",'
        '"title":{"en":"Session"},"external_ids":{"bench":"%d"}}}'
    )


async def _numbers(bench: Bench, name: str) -> set[int]:
    """The numbers of the sessions of the bench at one node."""
    found: set[int] = set()
    cursor = ""
    while True:
        page: Any = await bench.ask(name, "GET", f"/v2/sessions?limit={PAGE}{cursor}")
        found |= {
            int(session["external_ids"]["bench"])
            for session in page["data"]
            if "bench" in session["external_ids"]
        }
        if not page["has_more"]:
            return found
        cursor = f"&cursor={page['next_cursor']}"
