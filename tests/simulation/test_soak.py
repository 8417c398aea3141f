"""The long campaign's plan and its page."""

from __future__ import annotations

import msgspec
import pytest

from konkordat.testing.campaign import SeedResult
from konkordat.testing.checkers import Violation
from konkordat.testing.crash.campaign import Complaint
from konkordat.testing.crash.campaign import Report as CrashReport
from konkordat.testing.crash.faults import FaultReport
from konkordat.testing.crash.flips import FlipReport
from konkordat.testing.model import Found
from konkordat.testing.options import drawn
from konkordat.testing.planted import BUGS
from konkordat.testing.real.campaign import Report as RealReport
from konkordat.testing.seats.bugs import BUGS as SEAT_BUGS
from konkordat.testing.soak_page import Page
from konkordat.testing.soak_parts import (
    FULL_MINUTES,
    PLAN,
    Broken,
    Crashes,
    Exploration,
    FailingDisks,
    Flips,
    Hunt,
    Hunted,
    Kills,
    Laws,
    LawsTold,
    Outcome,
    Seed,
    pieces,
    quotas,
    seeds,
)


def seed_result(*violations: str) -> SeedResult:
    counts = {"accepted": 3, "refused": 2, "unknown": 1}
    return SeedResult(drawn(1), "", violations, 100, 3_600_000, 40, counts, {}, {"kill": 2}, 0.5)


def real_report(*violations: Violation) -> RealReport:
    faults, outcomes = {"kill": 2}, {"accepted": 5}
    return RealReport(
        1, "loopback", faults, 2, 2, outcomes, 7, 0, 9, 1.5, 30.0, ["cuts: no ip"], list(violations)
    )


def page_of(*outcomes: Outcome) -> Page:
    page = Page(6.0, 2, quotas(6))
    for outcome in (seed_result(), *outcomes):
        page.add(outcome)
    return page


def test_all_of_the_plan_is_done_in_the_full_time_and_a_part_of_it_in_a_part() -> None:
    assert quotas(FULL_MINUTES) == PLAN
    assert quotas(FULL_MINUTES / 10) == {part: number // 10 for part, number in PLAN.items()}
    assert min(quotas(0.01).values()) == 1


@pytest.mark.parametrize("minutes", [1, 6, 150])
def test_the_pieces_come_to_what_is_planned(minutes: float) -> None:
    quota = quotas(minutes)
    todo = pieces(7, quota, planted=True)
    sums = {
        "kills of real processes": sum(p.kills for p in todo if isinstance(p, Kills)),
        "crash images": sum(p.images for p in todo if isinstance(p, Crashes)),
        "bit flips": sum(p.flips for p in todo if isinstance(p, Flips)),
        "examples of each merge law": sum(p.examples for p in todo if isinstance(p, Laws)),
    }
    assert sums == {part: quota[part] for part in sums}
    states = sum(p.states for p in todo if isinstance(p, Exploration))
    assert states >= quota["states of the seat model"]
    assert sum(isinstance(p, Hunt) for p in todo) == len(BUGS) + len(SEAT_BUGS)
    assert sum(isinstance(p, FailingDisks) for p in todo) == 1


def test_no_two_pieces_and_no_two_seeds_are_the_same() -> None:
    todo = pieces(7, quotas(150), planted=True)
    assert len({msgspec.json.encode((type(p).__name__, p)) for p in todo}) == len(todo)
    more = seeds(7, quotas(150))
    first = [next(more) for _ in range(1_000)]
    assert all(isinstance(piece, Seed) for piece in first)
    assert len({piece.options.seed for piece in first}) == 1_000
    assert sum(bool(piece.options.leap_ms) for piece in first) >= 30
    assert any(piece.options.backlog for piece in first)


def test_a_page_on_which_all_is_well_is_green() -> None:
    page = page_of(
        Hunted("some bug", "I2 in seed 3"),
        CrashReport(1, images=10, second_crashes=4),
        FlipReport(5),
        FaultReport(3),
        Found("takeover", 1_000, 1, 1, 1, exhausted=False),
        LawsTold(100, "9 passed"),
        real_report(),
    )
    assert not page.red
    text = page.text()
    assert text.endswith("green")
    for told in ("accepted 3, refused 2, unknown 1", "2 kills", "cuts: no ip", "1 of 1", "events"):
        assert told in text
    told = msgspec.json.decode(page.json())
    assert (told["red"], told["done"]["crash images"], told["real"]["kills"]) == (False, 10, 2)


@pytest.mark.parametrize(
    "outcome",
    [
        seed_result("I2: lost"),
        Hunted("some bug", ""),
        CrashReport(1, late=["too late"]),
        CrashReport(1, unsound=1, complaints=[Complaint("restart", 1, 2, "torn", ("lost",))]),
        FlipReport(5, complaints=["silent"]),
        FaultReport(3, complaints=["went on"]),
        Found("takeover", 9, 1, 1, 1, exhausted=False, fault="two answers", way=("a", "b")),
        LawsTold(100, "1 failed", "FAILED merge"),
        real_report(Violation("I5", "backwards")),
        Broken("20 kills", "it ended"),
    ],
    ids=lambda outcome: type(outcome).__name__,
)
def test_a_page_with_anything_wrong_is_red(outcome: Outcome) -> None:
    page = page_of(outcome)
    assert page.red
    assert page.text().endswith("RED")
    assert msgspec.json.decode(page.json())["red"] is True
