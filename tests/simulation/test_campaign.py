"""Seed after seed of a whole cluster, and every planted bug.

The seeds come in chunks, which test processes share; `support.campaigns` adds up what they met, and the run is red if
that leaves anything out. KONKORDAT_SEEDS and KONKORDAT_LONG_SEEDS say how many, KONKORDAT_FIRST_SEED from which on.
`python -m konkordat.testing.soak` goes on for as long as it is told.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import msgspec
import pytest

from konkordat.testing.campaign import ENOUGH_SEEDS, Report, SeedResult, campaign, short_seeds
from konkordat.testing.options import Options, drawn, drawn_long
from konkordat.testing.planted import BUGS, SEEDS_MAX, PlantedBug, hunt
from konkordat.testing.seen import REQUIRED
from konkordat.testing.sim import run
from support.campaigns import PROPERTY, CampaignJudge

SEEDS = int(os.environ.get("KONKORDAT_SEEDS") or 1_000)
LONG_SEEDS = int(os.environ.get("KONKORDAT_LONG_SEEDS") or 10)
FIRST_SEED = int(os.environ.get("KONKORDAT_FIRST_SEED") or 0)
CHUNK = (
    25  # seeds to a test: seconds, so that no process is left with much while the others are done
)
STARTS = range(FIRST_SEED, FIRST_SEED + SEEDS, CHUNK)

Record = Callable[[str, object], None]


def judged(plans: Iterable[Options], record: Record) -> None:
    """Run seeds; hand what they met to the judge of the whole campaign."""
    report = campaign(plans)
    record(PROPERTY, msgspec.json.encode(report).decode())
    assert not report.failures, report.page()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", STARTS)
def test_no_seed_breaks_an_invariant(first: int, record_property: Record) -> None:
    count = min(CHUNK, FIRST_SEED + SEEDS - first)
    judged(short_seeds(first, count), record_property)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + LONG_SEEDS))
def test_no_long_seed_breaks_an_invariant(seed: int, record_property: Record) -> None:
    judged([drawn_long(seed)], record_property)


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


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(50_116, id="told in the microsecond in which the disk is lost"),
        pytest.param(50_265, id="all nodes wait for a stamp from the future, so none decides"),
    ],
)
def test_a_seed_that_a_judge_once_condemned_for_nothing_is_clean(seed: int) -> None:
    assert run(drawn(seed)).violations == ()


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


def test_the_parts_of_a_campaign_add_up_to_the_whole() -> None:
    results = [
        seed_result(seed, {"lost": seed}, *(["I2: a write is lost"] if seed == 3 else []))
        for seed in range(6)
    ]
    whole, one, other = Report(), Report(), Report()
    for result in results:
        whole.add(result)
        (one if result.options.seed < 2 else other).add(result)
    one.merge(other)
    assert one.page() == whole.page()
    assert one.failures == [(3, "quiet", "I2: a write is lost")]


def chunk(seeds: int, seen: dict[str, int] | None = None) -> pytest.TestReport:
    """What a test process tells of its part of the seeds."""
    report = Report()
    for seed in range(seeds):
        report.add(seed_result(seed, seen))
    told = [(PROPERTY, msgspec.json.encode(report).decode())]
    return pytest.TestReport(
        "chunk", ("", None, ""), {}, "passed", None, "call", user_properties=told
    )


def test_what_one_chunk_met_need_not_be_met_by_the_others() -> None:
    judge = CampaignJudge()
    judge.pytest_runtest_logreport(chunk(ENOUGH_SEEDS, {"lost": 1}))
    assert judge.verdict() is not None
    judge.pytest_runtest_logreport(chunk(1))
    assert judge.verdict() is None
    assert judge.total.seeds == ENOUGH_SEEDS + 1


def test_chunks_that_together_never_met_something_make_the_run_red() -> None:
    judge = CampaignJudge()
    for _ in range(2):
        judge.pytest_runtest_logreport(chunk(ENOUGH_SEEDS // 2, {"lost": 1}))
    verdict = judge.verdict()
    assert verdict is not None
    assert verdict.failed
    assert "late" in str(verdict.longrepr)


def test_a_few_seeds_need_not_meet_everything() -> None:
    judge = CampaignJudge()
    judge.pytest_runtest_logreport(chunk(ENOUGH_SEEDS // 2, {"lost": 1}))
    assert judge.verdict() is None


def test_a_report_is_also_json() -> None:
    report = Report()
    report.add(seed_result())
    told = msgspec.json.decode(msgspec.json.encode(report))
    assert told["operations"] == {"accepted": 3}
