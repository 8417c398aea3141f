"""Seed after seed of a whole cluster, and every planted bug.

KONKORDAT_SEEDS and KONKORDAT_LONG_SEEDS say how many (the defaults keep this tier under three minutes on one core),
KONKORDAT_FIRST_SEED from which on, KONKORDAT_JOBS on how many cores.
`python -m konkordat.testing.soak` goes on for as long as it is told.
"""

from __future__ import annotations

import os

import msgspec
import pytest

from konkordat.testing.campaign import ENOUGH_SEEDS, Report, SeedResult, campaign, short_seeds
from konkordat.testing.options import drawn, drawn_long
from konkordat.testing.planted import BUGS, SEEDS_MAX, PlantedBug, hunt
from konkordat.testing.seen import REQUIRED
from konkordat.testing.sim import run

SEEDS = int(os.environ.get("KONKORDAT_SEEDS") or ENOUGH_SEEDS)
LONG_SEEDS = int(os.environ.get("KONKORDAT_LONG_SEEDS") or 2)
FIRST_SEED = int(os.environ.get("KONKORDAT_FIRST_SEED") or 0)
JOBS = int(os.environ.get("KONKORDAT_JOBS") or 1)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_no_seed_breaks_an_invariant() -> None:
    report = campaign(short_seeds(FIRST_SEED, SEEDS), jobs=JOBS)
    print(report.page())
    assert not report.red, report.page()


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_no_long_seed_breaks_an_invariant() -> None:
    plans = (drawn_long(FIRST_SEED + number) for number in range(LONG_SEEDS))
    report = campaign(plans, jobs=JOBS)
    print(report.page())
    assert not report.red, report.page()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found_by_the_judge_it_is_for(bug: PlantedBug) -> None:
    assert hunt(bug, range(SEEDS_MAX)) is not None


def test_without_the_planted_bugs_the_same_runs_are_clean() -> None:
    """What finds the bugs is not the runs being made for them."""
    from konkordat.testing.planted import options_for

    for bug in BUGS[::4]:
        assert run(options_for(bug, 0)).violations == (), bug.name


def test_a_node_that_was_cut_off_catches_up_with_a_backlog() -> None:
    result = run(drawn(1, nodes=3, profile="quiet", operations=30, backlog=3_000))
    assert result.violations == ()
    assert result.seen["backlog"] > 2_900  # but for what a fenced or dying node refused


# The report -------------------------------------------------------------------------------------


def seed_result(seed: int = 1, seen: dict[str, int] | None = None, *found: str) -> SeedResult:
    options = drawn(seed, profile="quiet")
    figures = dict.fromkeys(REQUIRED, 1) if seen is None else seen
    return SeedResult(options, "", found, 10, 1_000, 50, {"accepted": 3}, figures, {"kill": 1}, 0.5)


def test_a_campaign_that_found_nothing_and_met_everything_is_green() -> None:
    report = Report()
    for seed in range(ENOUGH_SEEDS):
        report.add(seed_result(seed))
    assert not report.red
    assert report.page().endswith("green")


def test_a_campaign_without_seeds_is_red() -> None:
    assert Report().red


def test_a_campaign_with_a_violation_is_red_and_names_the_seed() -> None:
    report = Report()
    report.add(seed_result(17, None, "I2: a write is lost"))
    assert report.red
    assert "seed 17 (quiet): I2: a write is lost" in report.page()


def test_a_long_campaign_that_never_met_something_is_red() -> None:
    report = Report()
    for seed in range(ENOUGH_SEEDS):
        report.add(seed_result(seed, {"lost": 1}))
    assert report.red
    assert "late" in report.missing


def test_a_campaign_in_which_a_planted_bug_was_not_found_is_red() -> None:
    report = Report()
    report.add(seed_result())
    report.planted["clock without bound"] = ""
    assert report.red
    assert "NOT FOUND" in report.page()


def test_a_report_is_also_json() -> None:
    report = Report()
    report.add(seed_result())
    told = msgspec.json.decode(msgspec.json.encode(report))
    assert told["operations"] == {"accepted": 3}
