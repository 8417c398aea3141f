"""The long campaign: seeds until the time is up, and one page about them.

    python -m konkordat.testing.soak --minutes 30

ends with the report, as text and (with --json FILE, or on the last line with --json -) as JSON, and exit status 1 if
any judge found anything, a planted bug was not found, or something that must be met was never met.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from konkordat.testing.campaign import Report, campaign, find_planted, short_seeds
from konkordat.testing.options import Options, drawn, drawn_long

FIRST_SEED: Final = 1_000_000  # apart from the seeds of the tests, so that each run adds something
LONG_EVERY: Final = 100  # one seed in so many is a long one
BACKLOG_EVERY: Final = 1_000  # one in so many makes a node catch up with a backlog
BACKLOG: Final = 100_000
SECONDS_PER_MINUTE: Final = 60


def seeds(first: int) -> Iterator[Options]:
    """Short ones, now and then a long one, and rarely one with a great backlog."""
    for number, options in enumerate(short_seeds(first)):
        if number % BACKLOG_EVERY == BACKLOG_EVERY // 2:
            yield drawn(options.seed, nodes=3, profile="quiet", backlog=BACKLOG)
        elif number % LONG_EVERY == LONG_EVERY // 2:
            yield drawn_long(options.seed)
        else:
            yield options


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m konkordat.testing.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--no-planted", action="store_true", help="leave the planted bugs out")
    parser.add_argument(
        "--json", default="", help="where to write the report as JSON; - for the last line"
    )
    chosen = parser.parse_args(arguments)
    until = time.monotonic() + SECONDS_PER_MINUTE * chosen.minutes
    report = Report()
    if chosen.no_planted:
        report.skipped.append("planted bugs")
    else:
        find_planted(report, _say)
    campaign(seeds(chosen.first_seed), report, chosen.jobs, until, _say)
    print(report.page())
    _write(report, chosen.json)
    return 1 if report.red else 0


def _write(report: Report, to: str) -> None:
    told: dict[str, Any] = msgspec.to_builtins(report)
    told |= {
        "red": report.red,
        "missing": report.missing,
        "events_per_second": round(report.events_per_second),
    }
    text = msgspec.json.encode(told).decode()
    if to == "-":
        print(text)
    elif to:
        Path(to).write_text(text + "\n", encoding="utf-8")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
