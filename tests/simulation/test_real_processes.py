"""Five real nodes with sockets, files and certificates, killed, stopped and cut off under load; the simulator's judges.

`python -m konkordat.testing.real --seed S --kills N` runs one; the soak runs many.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Final

import msgspec
import pytest

from konkordat.testing.real.campaign import BY_DRILL, BY_LINES, EVERYWHERE, Report
from konkordat.testing.real.faulty import BUGS
from konkordat.testing.real.lines import missing
from support.effort import share_of

KILLS: Final = 20
KILLS_FOR_A_BUG: Final = 1  # beside those that every campaign begins with
RUN_S: Final = 240  # about a quarter of it is usual


def run_real(*arguments: str) -> tuple[int, Report]:
    """A campaign in a process of its own, since it may need a network of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "konkordat.testing.real", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.stdout, done.stderr
    report = msgspec.json.decode(done.stdout.splitlines()[-1], type=Report)
    return done.returncode, report


@pytest.mark.slow
@pytest.mark.timeout(RUN_S)
@pytest.mark.filterwarnings("default:skipped")
@pytest.mark.row("S0-10")
@pytest.mark.row("S0-38")
@pytest.mark.row("S0-41")
def test_real_nodes_that_are_killed_stopped_and_cut_off_lose_nothing_and_agree() -> None:
    code, report = run_real("--seed", "1", "--kills", str(KILLS))
    print(report.line())
    for skipped in report.skipped:
        warnings.warn(f"skipped: {skipped}", stacklevel=1)
    assert report.violations == []
    assert code == 0
    # The faults happened, and what they were to hit was there.
    assert report.kills >= KILLS
    assert report.started_again >= KILLS
    assert report.outcomes["accepted"] > 10 * KILLS
    assert report.outcomes["replayed"] > 0
    assert report.reads > 10 * KILLS
    kinds = EVERYWHERE | (BY_DRILL if missing() else BY_LINES)
    assert all(report.faults[kind] > 0 for kind in kinds)
    assert report.faults["killed before it was ready"] > 0


@pytest.mark.slow
@pytest.mark.timeout(RUN_S)
@pytest.mark.parametrize("bug", share_of(sorted(BUGS)))
def test_a_bug_planted_in_real_nodes_is_found_by_the_judge_it_is_for(bug: str) -> None:
    arguments = (
        "--seed",
        "2",
        "--kills",
        str(KILLS_FOR_A_BUG),
        "--nodes",
        "3",
        "--lines",
        "loopback",
    )
    code, report = run_real(*arguments, "--planted", bug)
    assert code == 1
    assert {violation.checker for violation in report.violations} & set(BUGS[bug].found_by)
